"""The keystore as the application sees it: a name goes in, a handle comes out. It never creates what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom.caching.limits import DEFAULT_LIMITS, Limits
from strongroom.caching.local import LocalCache
from strongroom.caching.observing import Standing
from strongroom.caching.worker import WorkerSource
from strongroom.errors import PolicyError
from strongroom.keystore import acts, witnessing
from strongroom.keystore.awaiting import Awaiting
from strongroom.keystore.choosing import Choosing
from strongroom.keystore.counting import Counting
from strongroom.keystore.handles.aead import Aead
from strongroom.keystore.handles.blind_index import BlindIndex
from strongroom.keystore.handles.fernet import Fernet
from strongroom.keystore.handles.hybrid import Hybrid
from strongroom.keystore.handles.jwt import USUAL_TYPE, JwtKeys
from strongroom.keystore.handles.keys import PrivateKey, PublicKey, private_key_of, public_key_of
from strongroom.keystore.handles.mac import Mac
from strongroom.keystore.handles.secret import Secret
from strongroom.keystore.handles.signing import Signer, Verifier
from strongroom.keystore.handles.streams import Streams
from strongroom.keystore.in_use import Answering, InUse
from strongroom.keystore.lifecycle import Lifecycle
from strongroom.keystore.live import Gate, LiveKeyset, Snapshot
from strongroom.keystore.making import Maker, RandomMaker
from strongroom.keystore.moves import Moves
from strongroom.model.keyset import Keyset
from strongroom.model.names import is_reserved
from strongroom.model.types import TRAITS, KeyType, Purpose
from strongroom.stores.acceptance import Witnessed
from strongroom.stores.base import Source
from strongroom.stores.sealed import SealedStore
from strongroom.stores.usage import UsageFile


class KeyStore(Answering, Awaiting, Choosing, Moves):
    """An open store.

    Handles (`fernet`, `aead`, `streams`, `mac`, `signer`, `verifier`, `hybrid`, `secret`) may be kept: they follow the
    keyset. A second look-up of a name costs what a dict look-up costs. Threads may share a KeyStore; after a fork the
    child may go on using it. Close it, or use it in a `with` block.
    """

    def __init__(
        self,
        source: Source,
        *,
        clock: Clock = SYSTEM_CLOCK,
        limits: Limits = DEFAULT_LIMITS,
        maker: Maker | None = None,
        notices: tuple[str, ...] = (),
        base: Path | None = None,
        throw_away: bool = False,
    ) -> None:
        self.source = source
        self.clock = clock
        self.limits = limits
        self.notices = notices
        """What a person should be told about the opening, a sentence each; empty if all is well."""
        self.base = base
        self.after_change: Callable[[], None] | None = None
        """Called after every change that was made here and written. It must not raise."""
        self._reports: list[InUse] = []
        self._throw_away = throw_away
        self._maker: Maker = RandomMaker() if maker is None else maker
        self._gate = Gate()
        sealed = source if isinstance(source, SealedStore) else None
        usage = None if sealed is None else UsageFile.beside(sealed.witness.location)
        self._counting = Counting(usage, is_worker=sealed is None)
        self._confirmed: set[bytes] = set()
        entries = limits.entries
        self._live: LocalCache[LiveKeyset] = LocalCache(self._follow, entries=entries)
        self._fernets: LocalCache[Fernet] = LocalCache(
            lambda name: Fernet(self._for(name, KeyType.FERNET)), entries=entries
        )
        self._aeads: LocalCache[Aead] = LocalCache(
            lambda name: Aead(self._for(name, KeyType.AES256_GCM)), entries=entries
        )
        self._streams: LocalCache[Streams] = LocalCache(
            lambda name: Streams(self._for(name, KeyType.AES256_GCM)), entries=entries
        )
        self._macs: LocalCache[Mac] = LocalCache(
            lambda name: Mac(self._for(name, KeyType.HMAC_SHA256)), entries=entries
        )
        self._signers: LocalCache[Signer] = LocalCache(
            lambda name: Signer(self._for(name, KeyType.ED25519)), entries=entries
        )
        self._verifiers: LocalCache[Verifier] = LocalCache(
            lambda name: Verifier(self._for(name, KeyType.ED25519)), entries=entries
        )
        self._hybrids: LocalCache[Hybrid] = LocalCache(
            lambda name: Hybrid(self._for(name, KeyType.X25519)), entries=entries
        )
        self._secrets: LocalCache[Secret] = LocalCache(
            lambda name: Secret(self._for(name, KeyType.SECRET)), entries=entries
        )
        self._jwts: LocalCache[JwtKeys] = LocalCache(self._jwt, entries=entries)
        self._caches = (
            self._fernets,
            self._aeads,
            self._streams,
            self._macs,
            self._signers,
            self._verifiers,
            self._hybrids,
            self._secrets,
            self._jwts,
            self._live,
        )

    # --- handles: each raises NotFoundError for a missing keyset, PurposeError for one made for something else

    def fernet(self, name: str) -> Fernet:
        """A Fernet handle: tokens that any Fernet library reads (github.com/fernet/spec)."""
        return self._fernets[name]

    def aead(self, name: str) -> Aead:
        """Authenticated encryption with associated data (AES-256-GCM, XAES-256-GCM)."""
        return self._aeads[name]

    def streams(self, name: str) -> Streams:
        """Encryption of files, in segments, under an AEAD keyset."""
        return self._streams[name]

    def mac(self, name: str) -> Mac:
        """Message authentication (HMAC-SHA-256, RFC 2104)."""
        return self._macs[name]

    def blind_index(self, name: str, scope: bytes) -> BlindIndex:
        """Marks by which equal values are found (an hmac-sha256 keyset). A new handle each time: keep it."""
        return BlindIndex(self._for(name, KeyType.HMAC_SHA256), scope)

    def signer(self, name: str) -> Signer:
        """Signatures under the primary (Ed25519, ECDSA P-256, RSA-PSS)."""
        return self._signers[name]

    def verifier(self, name: str) -> Verifier:
        """Verification under every version that may verify."""
        return self._verifiers[name]

    def hybrid(self, name: str) -> Hybrid:
        """Encryption to a public key: HPKE (RFC 9180) for x25519 and mlkem768-x25519, JWE (RFC 7516) for RSA."""
        return self._hybrids[name]

    def jwt(self, name: str, *, algorithm: str | None = None) -> JwtKeys:
        """Keys for JSON Web Tokens: EdDSA, ES256, and RS256 or PS256, which RSA keysets want said (RFC 8725)."""
        return self._jwts[f"{algorithm or ''} {name}"]

    def secret(self, name: str) -> Secret:
        """Opaque bytes; `reveal` lets them out."""
        return self._secrets[name]

    def private_key(self, name: str, *, version: int | None = None) -> PrivateKey:
        """The private key of the primary, or of a version, as a `cryptography` object: raw access, in one word."""
        return private_key_of(self._for(name, KeyType.ED25519).snapshot(), version, confirmed=self._confirmed)

    def public_key(self, name: str, *, version: int | None = None) -> PublicKey:
        """The verified public half of the primary, or of a version, as a `cryptography` object."""
        return public_key_of(self._for(name, KeyType.ED25519).snapshot(), version)

    def current(self, name: str, usual: KeyType = KeyType.SECRET) -> Snapshot:
        """The keyset as it is in force now, for code of this floor; in a build, a throw-away one of the usual type."""
        return self._for(name, usual).snapshot()

    # --- the inventory

    def names(self) -> tuple[str, ...]:
        """The names of all keysets, sorted; nothing is opened for it."""
        self._gate.check()
        return tuple(self.source.names())

    def list(self) -> tuple[Keyset, ...]:
        """All keysets, verified, sorted by name; no material is unwrapped."""
        self._gate.check()
        return tuple(opened.keyset for opened in self.source.load_all())

    def show(self, name: str) -> Keyset:
        """One keyset, verified, with its versions and their states; no material is unwrapped."""
        self._gate.check()
        return self.source.load(name).keyset

    def __contains__(self, name: str) -> bool:
        self._gate.check()
        return name in self.source.names()

    # --- whose store this is, and what was seen of it

    @property
    def pin(self) -> str:
        """What to write down outside the repository, as one line (DESIGN section 4, foreign stores)."""
        return str(self.sealed.pin)

    def witnessed(self) -> Witnessed:
        """What the witness saw of each record, and what differs from it here."""
        return witnessing.witnessed(self.sealed, self.base)

    def accept_witness(self, name: str | None = None) -> tuple[str, ...]:
        """Accept the record of this name, or all, as it is here now; the names of those that differed.

        Only this checkout's memory changes; versions known to be compromised or destroyed stay so.
        """
        accepted = witnessing.accept(self.sealed, self.base, name)
        acts.record("witness-accepted", keysets=",".join(accepted) or "none")
        self.look_again()
        return accepted

    def path_of(self, name: str) -> Path | None:
        """The file to give to git for a keyset; None where there are no files."""
        return self.sealed.path_of(name)

    def look_again(self) -> None:
        """Have every handle ask its source at its next use: there are news of it."""
        for live in list(self._live.values()):
            live.expire()

    @property
    def standing(self) -> Standing | None:
        """For a worker: serial and age of what it holds, and how its places serve. None for a holder."""
        return self.source.standing() if isinstance(self.source, WorkerSource) else None

    # --- the end

    def close(self) -> None:
        """Forget what is in memory. Handles made here refuse to look up again; closing twice is harmless."""
        self._gate.closed = True
        self.look_again()
        for cache in self._caches:
            cache.close()
        self._counting.close()
        self.source.close()

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._gate.closed

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<KeyStore {self.source.location!r}{', closed' if self._gate.closed else ''}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a keystore is not pickled or copied; open it where it is needed")

    def _follow(self, name: str) -> LiveKeyset:
        if is_reserved(name) and isinstance(self.source, SealedStore):
            raise PolicyError(
                f"{name!r} is the store's own keyset, and is not used by hand", hint=f"strongroom show {name}"
            )
        live = LiveKeyset(
            self.source, name, clock=self.clock, limits=self.limits, gate=self._gate, counting=self._counting
        )
        live.snapshot()  # a missing keyset is told now, and nothing is kept of it
        return live

    def _jwt(self, key: str) -> JwtKeys:
        algorithm, _, name = key.partition(" ")
        live = self._for(name, USUAL_TYPE.get(algorithm, KeyType.ED25519))
        return JwtKeys(live, algorithm or None, confirmed=self._confirmed)

    def _for(self, name: str, usual: KeyType) -> LiveKeyset:
        if self._throw_away and name not in self._live and name not in self.source.names():
            # STRONGROOM_BUILD: whatever is asked for is made up, and gone with the process
            self.create(name, usual, purpose=None if TRAITS[usual].default_purpose else Purpose.SIGN)
        return self._live[name]

    @property
    def sealed(self) -> SealedStore:
        """The sealed store underneath. Raises PolicyError where this is a view that cannot be written."""
        self._gate.check()
        if not isinstance(self.source, SealedStore):
            raise PolicyError(
                f"{self.source.location!r} is only read", hint="open the store itself: strongroom --store DIRECTORY"
            )
        return self.source

    @property
    def _life(self) -> Lifecycle:
        return Lifecycle(self.sealed, clock=self.clock, maker=self._maker)

    def _moved(self, keyset: Keyset) -> Keyset:
        live = self._live.get(keyset.name)
        if live is not None:
            live.expire()
        self.changed()
        return keyset

    def changed(self) -> None:
        """Something of the store was changed here: tell who wants to know (a holder with CACHE publishes)."""
        if self.after_change is not None:
            self.after_change()
