"""A whole store in one file. Only its header is in the clear, as in the store itself; the end cannot be cut off unseen.

docs/reference/backup.md. The records are sealed already, but their names, labels, states and grants are not, and a
backup goes where the repository does not. So all of it is one encrypted stream, whose key the root seals: whoever opens
the store opens the backup, by the slots of the header that lies in front, and nobody else reads a name or drops a
record.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from strongroom._closing import let_go
from strongroom.errors import (
    DecryptionError,
    ExistsError,
    FormatError,
    IntegrityError,
    NewerFormatError,
    NotFoundError,
    StoreError,
)
from strongroom.model.codec import MAX_RECORD
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.streaming import HEADER_LENGTH, Layout, StreamKey
from strongroom.sealing.header_codec import MAX_HEADER, UnverifiedHeader, decode_header
from strongroom.sealing.root import Root
from strongroom.stores.directory import MAX_ATTACHMENT
from strongroom.stores.placing import sync
from strongroom.stores.workers_codec import MAX_GROUP

FORMAT_LINE: Final = b"strongroom/1 backup\n"
MAX_ENTRIES: Final = 1_000_000
MAX_NAME: Final = 256
_MAX_ENTRY: Final = max(MAX_RECORD, MAX_GROUP)
_KEY_LENGTH: Final = 32
_SEALED_KEY: Final = 112
_SHORT: Final = "the backup is cut off, or is none"
_REFUSED: Final = "the backup does not open: a byte of it was changed, or its end is missing"

_ANOTHER: Final = "take another copy: strongroom backup verify FILE tells whether it is whole"

Entry = tuple[str, bytes]
"""The path of a file in the store, and its bytes."""


def write_archive(path: Path, *, header: bytes, root_file: bytes | None, root: Root, entries: Iterable[Entry]) -> int:
    """A new backup of mode 0600, whole on the disk when this returns; its size. `entries` ascend by path.

    ExistsError where there is something already; StoreError, and then nothing is left; UnsyncedError, and it is there.
    """
    if os.path.lexists(path):
        raise ExistsError(f"{str(path)!r} exists already, and is not overwritten", hint="name a new file")
    beside = path.with_name(f".{path.name}.new-{secrets.token_hex(8)}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o600)
                _write(file, header=header, root_file=root_file, root=root, entries=entries)
                file.flush()
                os.fsync(descriptor)
                size = file.tell()
            _appear(beside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise
    except OSError as error:
        raise StoreError(f"the backup {str(path)!r} cannot be written: {error.strerror}", hint="df, ls -ld") from None
    return size


def _appear(beside: Path, path: Path) -> None:
    """Give the file its name, and never one that another writer took meanwhile."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # what fails now leaves nothing
    try:
        try:
            os.link(beside, path)
        except FileExistsError:
            raise ExistsError(f"{str(path)!r} exists already, and is not overwritten", hint="name a new file") from None
        except OSError:  # a stick's file system knows no links
            beside.rename(path)
        else:
            with contextlib.suppress(OSError):  # a second name of a backup that is whole
                beside.unlink()
        sync(directory, shown=f"the backup {str(path)!r}")
    finally:
        let_go(directory)


def _write(file: IO[bytes], *, header: bytes, root_file: bytes | None, root: Root, entries: Iterable[Entry]) -> None:
    key = SecretBytes(os.urandom(_KEY_LENGTH))
    front = b"".join((FORMAT_LINE, _counted(header), _counted(root_file or b""), root.seal_backup(key)))
    file.write(front)
    stream = StreamKey(key, b"").seal(hashlib.sha256(front).digest())
    file.write(stream.header)
    last = ""
    for path, raw in entries:
        if path <= last:
            raise FormatError(f"{path!r} comes after {last!r}")
        last = path
        file.write(stream.update(_counted(path.encode("ascii")) + _counted(raw)))
    file.write(stream.update(_counted(b"")))
    file.write(stream.finish())


def _counted(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


class Archive:
    """A backup file that was opened for reading. Its front is read at once, and what follows when it is asked for.

    `header` and `root_file` are what a store has of these names: nobody vouches for them before a slot opens.
    FormatError, NewerFormatError, NotFoundError, StoreError. Close it, or use it in a `with` block.
    """

    def __init__(self, path: Path) -> None:
        self._shown = f"the backup {str(path)!r}"
        try:
            self._file = path.open("rb", buffering=1 << 20)
        except FileNotFoundError:
            raise NotFoundError(
                f"there is no backup {str(path)!r}", hint="strongroom backup create FILE writes one"
            ) from None
        except OSError as error:
            raise StoreError(f"{self._shown} cannot be read: {error.strerror}", hint="ls -ld") from None
        try:
            self._size = self._regular_size()
            self._read_front()
        except BaseException:
            self._file.close()
            raise

    def _regular_size(self) -> int:
        found = os.fstat(self._file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise FormatError(f"{self._shown} is no regular file", hint="ls -ld")
        return found.st_size

    def _read_front(self) -> None:
        line = self._take(len(FORMAT_LINE))
        if line != FORMAT_LINE:
            if line.startswith(b"strongroom/") and line[11:12].isdigit():
                raise NewerFormatError(f"{self._shown} begins with {line!r}", hint="pip install --upgrade strongroom")
            raise FormatError(f"{self._shown} is none of ours", hint="strongroom backup create FILE writes one")
        digest = hashlib.sha256(line)
        parts = []
        for limit in (MAX_HEADER, MAX_ATTACHMENT):
            length = self._take(4)
            part = self._take(_length(length, limit))
            digest.update(length + part)
            parts.append(part)
        self.header, root_file = parts
        self.root_file: bytes | None = root_file or None
        self._sealed_key = self._take(_SEALED_KEY)
        digest.update(self._sealed_key)
        self._binding = digest.digest()
        self._start = self._file.tell()

    def claims(self) -> UnverifiedHeader:
        """What its header says; a slot that opens proves it. FormatError, NewerFormatError."""
        try:
            return decode_header(self.header)
        except NewerFormatError:
            raise
        except FormatError as trouble:  # whose hint is about files of git: a backup is none
            raise FormatError(f"{self._shown} is damaged: {trouble}", hint=_ANOTHER) from None

    def entries(self, root: Root) -> Iterator[Entry]:
        """The files in it, by path, each as soon as its bytes are authentic. IntegrityError, FormatError.

        That none is missing is known when the iteration has ended without an error, and not before.
        """
        opened = _Plaintext(self._segments(root))
        last = ""
        for _ in range(MAX_ENTRIES):
            path = _path(opened.take(_length(opened.take(4), MAX_NAME)))
            if not path:
                opened.end()
                return
            if path <= last:
                raise FormatError("the backup's entries are not sorted, or one comes twice")
            last = path
            yield path, opened.take(_length(opened.take(4), _MAX_ENTRY))
        raise FormatError(f"the backup has more than {MAX_ENTRIES} entries")

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _segments(self, root: Root) -> Iterator[bytes]:
        key = root.open_backup(self._sealed_key)
        try:
            layout = Layout(self._size - self._start, prefix=0)
            self._file.seek(self._start)
            opener = StreamKey(key, b"").open(self._take(HEADER_LENGTH), self._binding)
            for number in range(layout.last + 1):
                start, end = layout.span(number)
                yield opener.segment(self._take(end - start), number=number, last=number == layout.last)
        except DecryptionError:
            raise IntegrityError(_REFUSED, hint=_ANOTHER) from None

    def _take(self, length: int) -> bytes:
        try:
            raw = self._file.read(length)
        except OSError as error:
            raise StoreError(f"{self._shown} cannot be read: {error.strerror}") from None
        if len(raw) != length:
            raise FormatError(_SHORT, hint=_ANOTHER)
        return raw


class _Plaintext:
    """Bytes that come in segments, taken in pieces of any length."""

    def __init__(self, segments: Iterator[bytes]) -> None:
        self._segments = segments
        self._held = bytearray()

    def take(self, length: int) -> bytes:
        while len(self._held) < length:
            segment = next(self._segments, None)
            if segment is None:
                raise FormatError(_SHORT, hint=_ANOTHER)
            self._held += segment
        taken = bytes(self._held[:length])
        del self._held[:length]
        return taken

    def end(self) -> None:
        """FormatError unless this was all of it."""
        if self._held or next(self._segments, None) is not None:
            raise FormatError("the backup goes on after its end")


def _length(raw: bytes, limit: int) -> int:
    length = int.from_bytes(raw, "big")
    if length > limit:
        raise FormatError(f"a part of the backup has {length} bytes; the limit is {limit}")
    return length


def _path(raw: bytes) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError:
        raise FormatError("a path in the backup is not ASCII") from None
