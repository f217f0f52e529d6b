"""What lies around a store: rights, keys beside data, gpg's age, the merge driver. Nothing secret is read, or told."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from strongroom._closing import let_go
from strongroom.blackbox.discovery import git_top
from strongroom.blackbox.git import Git
from strongroom.errors import GitError, StrongroomError
from strongroom.keystore.credentials import Given
from strongroom.keystore.finding import HEADER
from strongroom.keystore.findings import Finding
from strongroom.keystore.merge_setup import merges_here
from strongroom.openpgp.versions import SAFE, gpg_version
from strongroom.stores.descending import KEYSETS

PRIVATE: Final = re.compile(
    rb"-----BEGIN (?:PGP PRIVATE KEY BLOCK|(?:(?!ENCRYPTED)[A-Z]+ )?PRIVATE KEY)-----|\"strongroom/1 identity\""
)
"""What a file with a key in the clear holds; an encrypted PEM says ENCRYPTED, and is left alone."""

_IDENTITY: Final = b'"strongroom/1 identity"'
_KIND: Final = re.compile(rb'"kind":\s*"([a-z]+)"')
_REMEDIES: Final = {
    b"openpgp": "strongroom admin remove ends the role that it is",
    b"worker": "strongroom worker rotate gives its group another key",
}

_NAMES: Final = re.compile(
    r"secring\.gpg$|private-keys-v1\.d/|\.(?:identity|passphrase|key|pem|p8|asc|sec)$|(?:^|/)id_[a-z0-9]+$"
)
_MAX_FILES: Final = 2000
_HEAD: Final = 65_536
_SECRET_PACKETS: Final = frozenset({0x94, 0x95, 0x96, 0x97, 0xC5})  # tag 5 in both formats (RFC 9580 section 4.2)


def look_around(
    directory: Path, given: Given, databases: Sequence[Path], environ: Mapping[str, str]
) -> Iterator[Finding]:
    """Everything but the store itself; `databases` are files beside which no key should lie."""
    yield from _version(environ)
    yield from _store_rights(directory)
    top = git_top(directory.absolute())
    for what, path in _credential_files(given, environ):
        yield from _file_rights(what, path)
        yield from _beside(what, path, top, databases)
    if top is not None:
        try:
            yield from _merge_driver(directory, environ)
            yield from _keys_in_work_tree(top, environ)
        except GitError as error:
            yield Finding(level="note", about="git", fact=str(error), hint=error.hint)


def _version(environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        version = gpg_version(environ)
    except StrongroomError:
        return  # what is said of gpg at the beginning is enough
    if version < SAFE:
        yield Finding(
            level="problem",
            about="gpg",
            fact=f"GnuPG {_dotted(version)} is older than {_dotted(SAFE)}, and can be deceived by a message",
            hint="apt-get install gnupg, or what your system calls it; gpg --version tells the version",
        )
    else:
        yield Finding(level="ok", about="gpg", fact=f"GnuPG {_dotted(version)}")


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _store_rights(directory: Path) -> Iterator[Finding]:
    for path in (directory, directory / HEADER, directory / KEYSETS):
        mode = _mode(path)
        if mode is not None and mode & stat.S_IWOTH:
            yield Finding(
                level="problem",
                about="permissions",
                fact=f"everyone on this host may write to {str(path)!r}",
                hint=f"chmod o-w {path}",
            )


def _credential_files(given: Given, environ: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    for what, said, variable in (
        ("identity file", given.identity, "STRONGROOM_IDENTITY_FILE"),
        ("passphrase file", given.passphrase_file, "STRONGROOM_PASSPHRASE_FILE"),
    ):
        path = said or (Path(environ[variable]) if environ.get(variable) else None)
        if path is not None:
            yield what, path


def _file_rights(what: str, path: Path) -> Iterator[Finding]:
    mode = _mode(path)
    if mode is not None and mode & 0o027:
        yield Finding(
            level="problem",
            about="permissions",
            fact=f"the {what} {str(path)!r} has mode {stat.S_IMODE(mode):04o}: others could read or write it",
            hint=f"chmod 0600 {path}",
        )


def _beside(what: str, path: Path, top: Path | None, databases: Sequence[Path]) -> Iterator[Finding]:
    real = Path(os.path.realpath(path))
    if top is not None and real.is_relative_to(os.path.realpath(top)):
        yield Finding(
            level="problem",
            about="keys",
            fact=f"the {what} {str(path)!r} lies in the repository whose store it opens",
            hint=f"mv {path} to a directory outside it; if it was ever committed: strongroom doctor --history",
        )
    for database in databases:
        if real.parent == Path(os.path.realpath(database)).parent:
            yield Finding(
                level="warning",
                about="keys",
                fact=f"the {what} {str(path)!r} lies beside the database {str(database)!r}: who copies one has both",
                hint=f"mv {path} to a directory that no backup of the database takes along",
            )


def _merge_driver(directory: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    if not merges_here(directory, environ=environ):
        yield Finding(
            level="note",
            about="git",
            fact="this clone merges records as text: two branches that changed one keyset will conflict",
            hint="strongroom git-setup",
        )


def _keys_in_work_tree(top: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Tracked files that are called like keys, and are some. Other names are looked at by the search of history."""
    listed = Git(root=top, top=top, environ=environ).run("ls-files", "-z", "--cached").split(b"\0")
    names = [name for name in map(os.fsdecode, listed) if name and _NAMES.search(name)]
    for name in names[:_MAX_FILES]:
        head = _head(top / name)
        if PRIVATE.search(head) or (head[:1] and head[0] in _SECRET_PACKETS and "secring" in name):
            yield Finding(
                level="problem",
                about="keys",
                fact=f"{name!r} in the repository is a private key in the clear",
                hint=_remedy(head),
            )


def _remedy(head: bytes) -> str:
    found = _KIND.search(head) if _IDENTITY in head else None
    if found is None:
        return "strongroom import takes it in; then git rm it, and make a new one: git's history keeps the old"
    verb = _REMEDIES.get(found[1], "strongroom slot list tells which slot it opens, strongroom slot remove ends it")
    return f"{verb}; then git rm it: git's history keeps what it opened until now"


def _head(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, _HEAD) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return b""
    finally:
        let_go(descriptor)


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return None  # opening says it
