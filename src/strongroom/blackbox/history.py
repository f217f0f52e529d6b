"""What version control remembers of secrets: who could read which, and what the last change of one was."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from strongroom.blackbox import keybox, keyring, past, placing
from strongroom.blackbox.admins import matching
from strongroom.blackbox.git import Git
from strongroom.blackbox.reading import MAX_CIPHERTEXT, MAX_PLAINTEXT, about
from strongroom.blackbox.site import Site
from strongroom.errors import FormatError, NotFoundError, PathError, UnsupportedError
from strongroom.openpgp.engine import Certificate
from strongroom.openpgp.packets import MAX_RING, recipients_of
from strongroom.primitives.secret import SecretBytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """A secret that a key can open, or could: it is to be changed where it is used, not only here."""

    name: str
    now: bool
    """The version in the work tree, too; else only versions that git keeps."""
    versions: int
    """How many committed versions it opens, on any branch."""
    first: str
    """The oldest commit that brought one, by its full id; empty without git."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One committed version of a secret, opened in memory; `at` in seconds since the epoch, UTC."""

    commit: str
    author: str
    at: int
    plaintext: SecretBytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A plaintext in the work tree that says something else than its `.gpg`."""

    name: str
    sealed: SecretBytes
    plaintext: SecretBytes


def keys_of(site: Site, who: str) -> tuple[Certificate, ...]:
    """The keys that `who` (a line of the list, an address, a fingerprint) means, or meant once, here.

    In the tracked keyring, and in every one that git keeps on any branch: whoever left is in none of now, and whoever
    renewed a key read with the older one. That a committed key is nobody's is not found out: it only adds to a list
    of what is to be changed.
    """
    held = dict.fromkeys(keyring.blocks(keyring.read(site.tree, site.place.data)).values())
    control = site.control()
    if isinstance(control, Git):
        rings = (each.blob for each in past.brought(control) if each.name.rpartition("/")[2] in keyring.RINGS)
        for _, raw in past.contents(control, rings, limit=keybox.MAX_RING):
            with suppress(FormatError):
                held |= dict.fromkeys(keyring.blocks({"an older keyring": raw}).values())
    name = who.replace(" ", "")
    found = (key for ring in _rings(held) for key in matching(name, site.engine.certificates(ring)))
    return tuple({key.transferable: key for key in found}.values())


def is_whole(site: Site) -> bool:
    """Whether nothing is known to be older than what is here: False in a shallow clone, where exposures are missed."""
    control = site.control()
    return not (isinstance(control, Git) and past.is_shallow(control))


def readable_by(site: Site, *certificates: Certificate) -> tuple[Exposure, ...]:
    """Every secret, registered or not any more, of which one of these certificates opens some version.

    Told by the recipients that the messages name, on all branches; no secret key and no gpg is needed. git keeps
    those versions in every clone, so that removing an admin takes none of them back.
    """
    wanted = {subkey.key_id for key in certificates for subkey in key.encryption_subkeys}
    now = {plain for plain in site.files() if _opens(_current(site, plain), wanted)}
    found: dict[str, list[past.Brought]] = {}
    control = site.control()
    if isinstance(control, Git):
        versions = [each for each in past.brought(control) if each.name.endswith(".gpg")]
        blobs = past.contents(control, (each.blob for each in versions), limit=MAX_CIPHERTEXT)
        opened = {blob for blob, raw in blobs if _opens(raw, wanted)}
        for each in versions:
            if each.blob in opened:
                found.setdefault(each.name.removesuffix(".gpg"), []).append(each)
    return tuple(
        Exposure(
            name=name,
            now=name in now,
            versions=len({each.blob for each in found.get(name, ())}),
            first=found[name][-1].commit if name in found else "",
        )
        for name in sorted(now | found.keys())
    )


def editions(site: Site, name: str, *, most: int = 2) -> tuple[Edition, ...]:
    """The newest committed versions of a registered file, the newest first: blackbox_whatsnew, and a decrypted log.

    Nothing is checked out; the original leaves an old version staged. UnsupportedError without git, NotFoundError if no
    version is committed.
    """
    plain = site.registry.registered(name)
    control = site.control()
    if not isinstance(control, Git):
        raise UnsupportedError(f"only git keeps older versions, and {str(site.root)!r} is not in git")
    made = []
    for commit in past.commits_of(control, f"{plain}.gpg", most=most):
        with about(plain):
            plaintext = site.open(past.content_at(control, commit.id, f"{plain}.gpg"))
        made.append(Edition(commit=commit.id, author=commit.author, at=commit.at, plaintext=plaintext))
    if not made:
        raise NotFoundError(f"no version of {plain + '.gpg'!r} is committed", hint="git status")
    return tuple(made)


def differences(site: Site, names: Collection[str] = ()) -> tuple[Difference, ...]:
    """The plaintexts in the work tree (of all registered files, or of these) that differ: blackbox_diff.

    Both sides in memory. What is equal, or has no plaintext there, is not among them. PathError for a link.
    """
    wanted = [site.registry.registered(name) for name in names] if names else list(dict.fromkeys(site.files()))
    found = []
    for plain in wanted:
        site.registry.writable(plain, protected=())  # a hostile name on the list is a PathError
        if placing.status_of(site.tree, plain) is None:
            continue
        with about(plain):
            sealed = site.open(site.sealed(plain))
        plaintext = site.tree.read_secret(plain, limit=MAX_PLAINTEXT)[0]
        if sealed != plaintext:
            found.append(Difference(name=plain, sealed=sealed, plaintext=plaintext))
    return tuple(found)


def _rings(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The keys as rings that an engine takes."""
    ring = b""
    for block in blocks:
        if ring and len(ring) + len(block) > MAX_RING:
            yield ring
            ring = b""
        ring += block
    if ring:
        yield ring


def _current(site: Site, plain: str) -> bytes:
    try:
        return site.sealed(site.registry.writable(plain, protected=()))
    except (NotFoundError, FormatError, PathError):
        return b""


def _opens(ciphertext: bytes, wanted: Collection[str]) -> bool:
    try:
        return not set(recipients_of(ciphertext)).isdisjoint(wanted)
    except FormatError:
        return False  # no message, or none that anybody should open
