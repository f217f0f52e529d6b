"""Many messages with one start of gpg. What it reads and writes are files in memory, named by links in a private home.

A start costs some 6 ms, half of what a small message costs altogether. gpg takes many files (`--multifile`), but by
name only, and writes each result beside its source: so a name here is a link to a descriptor that gpg inherits, of a
file that has no name anywhere (memfd_create(2)). No plaintext gets a place on any disk, and nothing outlives us.

It is a shortcut, never a judge: whatever did not go as it always does has no result here, and is done alone.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from strongroom.errors import StoreError
from strongroom.openpgp.addressing import file_name_option
from strongroom.openpgp.homes import Home, PrivateHome
from strongroom.openpgp.runner import Runner
from strongroom.openpgp.status import Status
from strongroom.primitives.secret import SecretBytes

MOST: Final = 32
"""Messages of one start: each holds up to two descriptors open, and several threads may have one."""
LARGEST: Final = 256 * 1024
"""Bytes of a message, sealed or open, above which it goes alone: its own start is then the small part of the cost."""

_NAME_MAX: Final = 255  # bytes
_WORDS: Final = 64 * 1024  # what gpg may say on stdout, where nothing is expected


def split(places: Sequence[int]) -> Iterator[Sequence[int]]:
    """The messages of each start. One alone is none: it is not worth the names."""
    for at in range(0, len(places), MOST):
        if len(chosen := places[at : at + MOST]) > 1:
            yield chosen


def openable(ciphertext: bytes) -> bool:
    """Whether a message is small enough."""
    return len(ciphertext) <= LARGEST


def sealable(plaintext: SecretBytes, filename: str) -> bool:
    """Whether a message is small enough, and its name one that gpg may store and a file can have, `.gpg` behind it."""
    named = bool(file_name_option(filename)) and "/" not in filename and filename not in (".", "..")
    return len(plaintext) <= LARGEST and named and len(os.fsencode(filename)) <= _NAME_MAX - len(".gpg")


def decrypt(
    gpg: Runner, home: Home, environ: Mapping[str, str], ciphertexts: Sequence[bytes], *, asking: bool = True
) -> list[SecretBytes]:
    """Their plaintexts, in order; none at all if not every one of them opened whole, by the predicate of `status`.

    Without `asking` nobody is asked for a passphrase.
    """
    if not _possible():
        return []
    with contextlib.suppress(OSError, StoreError), _Names(environ) as names:
        sealed = [names.add(f"{number}.gpg", SecretBytes(raw)) for number, raw in enumerate(ciphertexts)]
        opened = [names.add(f"{number}", SecretBytes(b"")) for number, _ in enumerate(ciphertexts)]
        finished = gpg.unlock(
            home,
            # --yes: the results are there already, as links, and are to be written through
            [
                f"--max-output={LARGEST}",
                "--yes",
                "--multifile",
                "--decrypt",
                "--",
                *(str(each.path) for each in sealed),
            ],
            stdin=SecretBytes(b""),
            limit=_WORDS,
            inherited=names.descriptors,
            more_time=len(ciphertexts),
            asking=asking,
        )
        if finished.ended != "itself" or finished.returncode:
            return []
        told = _by_file(Status.parse(finished.status))
        plaintexts = [each.content() for each in opened]
        if len(told) == len(plaintexts) and all(
            status.of("FILE_START")[0].words == ("3", str(source.path))
            and status.accepts_decryption(returncode=0, length=len(plaintext))
            for source, status, plaintext in zip(sealed, told, plaintexts, strict=True)
        ):
            return plaintexts
    return []


def encrypt(
    gpg: Runner,
    home: Home,
    environ: Mapping[str, str],
    options: Sequence[str],
    messages: Sequence[tuple[str, SecretBytes]],
) -> list[bytes]:
    """A ciphertext for each file name and plaintext, in order; none at all if not every one of them was made.

    `options` say to whom and how. That the results go to nobody else is the caller's to check, as for one message.
    """
    if not _possible():
        return []
    with contextlib.suppress(OSError, StoreError), _Names(environ) as names:
        plain = [names.add(f"{n}/{filename}", plaintext) for n, (filename, plaintext) in enumerate(messages)]
        finished = gpg.run(
            home,
            [*options, "--multifile", "--encrypt", "--", *(str(each.path) for each in plain)],
            limit=_WORDS,
            inherited=names.descriptors,
            more_time=len(messages),
        )
        told = _by_file(Status.parse(finished.status))
        if finished.returncode or len(told) != len(plain) or not all(each.of("END_ENCRYPTION") for each in told):
            return []
        return [each.path.with_name(f"{each.path.name}.gpg").read_bytes() for each in plain]
    return []


def _possible() -> bool:
    """Whether this system has files in memory, and names for descriptors: Linux does."""
    return hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd")  # noqa: PTH112  no Path for one question


def _by_file(status: Status) -> list[Status]:
    """What was said about each file, from FILE_START to FILE_DONE; nothing at all if something was said outside."""
    found: list[Status] = []
    begun: int | None = None
    for place, line in enumerate(status.lines):
        if (line.keyword == "FILE_START") is not (begun is None):
            return []
        if begun is None:
            begun = place
        elif line.keyword == "FILE_DONE":
            found.append(Status(status.lines[begun : place + 1]))
            begun = None
    return found if begun is None else []


class _File:
    """A file in memory, and the path by which gpg knows it."""

    __slots__ = ("fd", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.memfd_create("strongroom", os.MFD_CLOEXEC)

    def fill(self, content: SecretBytes) -> None:
        left = memoryview(content.reveal())
        while left:
            left = left[os.write(self.fd, left) :]

    def content(self) -> SecretBytes:
        """What was written there, by whomever; as much of it as one read gives, which is all of it."""
        return SecretBytes(os.pread(self.fd, LARGEST + 1, 0))


class _Names:
    """A private directory of links to files in memory. All of it goes at the end, the directory with what gpg made."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._home = PrivateHome(environ)
        self._files: list[_File] = []

    def __enter__(self) -> Self:
        return self

    def add(self, name: str, content: SecretBytes) -> _File:
        """A file of this content under this name; OSError where there are too many."""
        path = self._home.path / "messages" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        made = _File(path)
        self._files.append(made)
        path.symlink_to(f"/proc/self/fd/{made.fd}")
        made.fill(content)
        return made

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What gpg is to inherit."""
        return tuple(each.fd for each in self._files)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for each in self._files:
            os.close(each.fd)
        self._home.close()
