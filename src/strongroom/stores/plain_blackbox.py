"""The registered files of a BlackBox repository as entries, read-only. GnuPG proves no origin: none is verified.

An entry is known by its own path, as the list has it (the name law binds keysets only), and has one version, which is
active. Listing opens nothing, so there an entry is a `secret` until this view has opened it; `load` opens the file,
once, and tells a key from a secret: a file that holds one private key, as PEM or DER, and nothing else is a key of its
type, validated in full each time it is opened; everything else (an encrypted PEM too) is a `secret`. RSA keys serve to
sign, because a file does not say what its key is for: `strongroom import` seals it with the purpose that it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from operator import attrgetter

from strongroom._encoding import Timestamp, encode_fields
from strongroom.blackbox.repository import Repository
from strongroom.errors import ClosedError, FormatError, NotFoundError, PassphraseError, PolicyError, StoreError
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId, KeysetName, Revision
from strongroom.model.policy import Policy
from strongroom.model.states import KeyState
from strongroom.model.types import TRAITS, KeyType, Prefix, Purpose
from strongroom.model.version import Version
from strongroom.primitives.importing import Recognised, looks_like_private_key, recognise
from strongroom.primitives.material import public_of
from strongroom.primitives.secret import SecretBytes
from strongroom.stores.base import Opened, Source

_UNKNOWN = Timestamp(0)
"""When an entry was made: its file does not say, and the time of a checkout is not it."""

_UNSEALED = b"blackbox"
"""Stands for sealed material, which an entry has none of; nothing unwraps it."""

_STAMP = attrgetter("st_mtime_ns", "st_ctime_ns", "st_size", "st_ino")


class PlainEntry:
    """One registered file. Its plaintext is in memory from the first use on, for as long as this object is kept."""

    __slots__ = ("_material", "_view", "hindrance", "keyset")

    verified = False

    def __init__(self, view: PlainBlackBox, keyset: Keyset, material: SecretBytes | None) -> None:
        self.keyset = keyset
        self.hindrance = None
        self._view = view
        self._material = material

    def __repr__(self) -> str:
        return f"<plain entry {self.keyset.name!r}, unverified>"

    def material(self, number: int) -> SecretBytes:
        """The material of version 1, as `strongroom.primitives.material` has it. As `PlainBlackBox.load`."""
        self.keyset.version(number)
        if self._material is None:
            opened = self._view.load(self.keyset.name)
            # what was listed as a secret is given as one: the whole file
            self._material = opened.plaintext() if self.keyset.type is KeyType.SECRET else opened.material(number)
        return self._material

    def plaintext(self) -> SecretBytes:
        """The whole file, whatever it holds."""
        return self._view.plaintext(self.keyset.name)


class PlainBlackBox:
    """A source over a repository. `on_close` ends what the caller started for it, like an engine."""

    writable = False
    verified = False

    def __init__(self, repository: Repository, *, on_close: Callable[[], None] | None = None) -> None:
        self._repository = repository
        self._on_close = on_close
        self._known: dict[str, tuple[object, Keyset]] = {}
        self._closed = False

    def __repr__(self) -> str:
        return f"<view of {self.location!r}>"

    @property
    def location(self) -> str:
        """`blackbox:` and the repository's root."""
        return f"blackbox:{self._repository.root}"

    def names(self) -> tuple[str, ...]:
        """The registered files, sorted; nothing is opened for it."""
        self._check_open()
        return tuple(sorted(set(self._repository.files())))

    def load(self, name: str) -> PlainEntry:
        """One entry, opened now. NotFoundError, PathError, CannotOpenError, OpenPGPError, StoreError."""
        stamp = self.stamp(name)
        plaintext = self.plaintext(name)
        found = _recognised(plaintext)
        if found is None:
            keyset, material = _keyset(name, KeyType.SECRET, None), plaintext
        else:
            keyset = _keyset(name, KeyType(found.kind), public_of(found.kind, found.material))
            material = found.material
        self._known[name] = (stamp, keyset)
        return PlainEntry(self, keyset, material)

    def load_all(self) -> tuple[PlainEntry, ...]:
        """Every entry, unopened, in the order of their names."""
        return tuple([PlainEntry(self, self._listed(name), None) for name in self.names()])

    def plaintext(self, name: str) -> SecretBytes:
        """A file as it is, opened now."""
        self._check_open()
        return self._repository.read(name)

    def stamp(self, name: str) -> object:
        """Times, size and inode of the encrypted file."""
        self._check_open()
        try:
            # asked of the path as it is: a link is read by nobody (Repository.read), so its stamp tells nothing
            return _STAMP((self._repository.root / f"{name}.gpg").lstat())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            raise NotFoundError(
                f"there is no file {name + '.gpg'!r} in {str(self._repository.root)!r}",
                hint="strongroom blackbox list-files",
            ) from None
        except OSError as error:
            raise StoreError(f"cannot read {name + '.gpg'!r}: {error.strerror}", hint="ls -la") from None

    def close(self) -> None:
        """Forget what is known, and end what was started for it. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._known.clear()
            if self._on_close is not None:
                self._on_close()

    def _listed(self, name: str) -> Keyset:
        known = self._known.get(name)
        if known is not None:
            try:
                if self.stamp(name) == known[0]:
                    return known[1]
            except (NotFoundError, StoreError):
                del self._known[name]
        return _keyset(name, KeyType.SECRET, None)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the view is closed", hint="open it again with strongroom.open()")


def _recognised(plaintext: SecretBytes) -> Recognised | None:
    """The one private key that a file is; None for a file that is anything else, or holds a key that we do not take."""
    if not looks_like_private_key(plaintext):
        return None
    try:
        return recognise(plaintext)
    except (FormatError, PassphraseError, PolicyError):
        return None


def _keyset(name: str, kind: KeyType, public: bytes | None) -> Keyset:
    version = Version(
        number=1,
        key_id=_key_id(name),
        state=KeyState.ACTIVE,
        created=_UNKNOWN,
        promote_at=_UNKNOWN,
        changed=_UNKNOWN,
        reason=None,
        prefix=Prefix.NONE,
        public=public,
        sealed=_UNSEALED,
    )
    return Keyset(
        name=KeysetName(name),
        type=kind,
        purpose=TRAITS[kind].default_purpose or Purpose.SIGN,
        # whoever opens the file has the key: there is nothing to keep in
        policy=Policy(rotate_every=None, propagation=0, exportable=True),
        labels={},
        revision=Revision(1),
        versions=(version,),
    )


def _key_id(name: str) -> KeyId:
    """The same in every process. Of the name alone: of the material it would be a check value of a secret."""
    digest = hashlib.sha256(
        encode_fields(b"strongroom/1 plain entry", name.encode("utf-8", "surrogateescape"))
    ).digest()
    return KeyId(int.from_bytes(digest[:4], "big") or 1)


def _conforms(view: PlainBlackBox) -> Source:
    return view


def _entry_conforms(entry: PlainEntry) -> Opened:
    return entry
