"""Streams bound to a keyset: files, sealed and read in segments. The version is found by the key id in front."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from strongroom.errors import DecryptionError
from strongroom.keystore.handles.base import Handle, Kit, is_compromised, processing
from strongroom.keystore.handles.guarding import admit
from strongroom.keystore.handles.prefixed import wanted
from strongroom.keystore.live import Snapshot
from strongroom.model.types import KeyType
from strongroom.model.version import Version
from strongroom.primitives.streaming import HEADER_LENGTH, Layout, StreamKey, StreamOpener, sealed_length

PREFIX_LENGTH = 5
STREAM_START = PREFIX_LENGTH + HEADER_LENGTH
"""Bytes before the first segment: the prefix and the header. They differ for every two streams."""

_KINDS = (KeyType.AES256_GCM, KeyType.XAES256_GCM)
_SHORT = "the stream ends before its segment does"


class _StreamKit(Kit):
    __slots__ = ("protect", "sound", "with_compromised")

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        every = processing(snapshot, compromised=True)
        self.with_compromised = {_prefix(v): (self._key(v), v) for v in every}
        self.sound = {_prefix(v): self.with_compromised[_prefix(v)] for v in every if not is_compromised(snapshot, v)}
        self.protect = None if self.refusal is not None else self._key(self.protecting)

    def _key(self, version: Version) -> StreamKey:
        return StreamKey.of(self.material(version), _prefix(version))


class Streams(Handle[_StreamKit]):
    """Encryption of what is too long for the memory (strongroom.primitives.streaming), under an AEAD keyset.

    A stream always carries its version's five bytes, even one of an imported version whose messages carry none.
    """

    __slots__ = ()

    def _make(self, snapshot: Snapshot) -> _StreamKit:
        wanted(snapshot, self.name, _KINDS, "streams")
        return _StreamKit(snapshot)

    def seal(self, pieces: Iterable[bytes], associated_data: bytes) -> Iterator[bytes]:
        """The stream of these pieces, under the version that is primary now. Nothing is held but a segment."""
        kit = self._current()
        if kit.protect is None:
            kit.refuse()
        if kit.snapshot.tally is not None and kit.snapshot.keyset.policy.max_messages is not None:
            kit.snapshot.tally.take(1)  # a stream is under a key of its own: only a stated limit counts it
        sealer = kit.protect.seal(associated_data)
        yield sealer.header
        for piece in pieces:
            whole = sealer.update(piece)
            if whole:
                yield whole
        yield sealer.finish()

    def open(
        self, source: BinaryIO, associated_data: bytes, *, what: str = "the stream", compromised_too: bool = False
    ) -> io.BufferedReader:
        """The plaintext of a stream, to be read and sought in. `source` can seek, and is closed with it.

        The first segment is authenticated here, each other when it is asked for, the last when the end is.
        DecryptionError, here or at a read, names what does not open, and does not say why.
        """
        kit = self._current()
        keys = kit.with_compromised if compromised_too else kit.sound
        failed = f"{what} does not open under keyset {self.name!r} with this associated data"
        with _named(failed):
            source.seek(0)
            start = _exactly(source, STREAM_START)
            found = keys.get(start[:PREFIX_LENGTH])
            if found is None:
                raise kit.unopened(DecryptionError(failed))
            key, version = found
            source.seek(0, io.SEEK_END)
            layout = Layout(source.tell(), prefix=PREFIX_LENGTH)
            plain = _Plain(source, key.open(start, associated_data), layout, failed)
            plain.authenticate(0)
            admit(kit.snapshot, version, asked=compromised_too)
            return io.BufferedReader(plain)


def plaintext_length(total: int) -> int:
    """How long the plaintext of a stream of so many bytes is; nothing is authentic. DecryptionError for no stream's."""
    return Layout(total, prefix=PREFIX_LENGTH).length


def stream_length(length: int) -> int:
    """How long the stream of so many bytes of plaintext is."""
    return sealed_length(length, prefix=PREFIX_LENGTH)


def stream_version(start: bytes) -> bytes | None:
    """The five bytes that name a stream's version, None where these bytes begin no stream. Nothing is authentic."""
    whole = len(start) >= STREAM_START and start[0] == 1 and start[PREFIX_LENGTH] == HEADER_LENGTH
    return start[:PREFIX_LENGTH] if whole else None


class _Plain(io.RawIOBase):
    """What BufferedReader reads from: one segment is held, the one that was asked for last."""

    def __init__(self, source: BinaryIO, opener: StreamOpener, layout: Layout, failed: str) -> None:
        self._source = source
        self._failed = failed
        self._opener = opener
        self._layout = layout
        self._position = 0
        self._held: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}.get(whence)
        if base is None:
            # the length is what an attacker left of the stream, until its last segment has shown that it is the last
            self.authenticate(self._layout.last)
            base = self._layout.length
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if self._position >= self._layout.length:
            self.authenticate(self._layout.last)  # as above: the end of the file is a claim
            return 0
        number, begin = Layout.find(self._position)
        plain = self.authenticate(number)
        taken = plain[self._position - begin : self._position - begin + len(view)]
        view[: len(taken)] = taken
        self._position += len(taken)
        return len(taken)

    def authenticate(self, number: int) -> bytes:
        """The plaintext of a segment, which is what and where it was."""
        if self._held[0] != number:
            start, stop = self._layout.span(number)
            last = number == self._layout.last
            with _named(self._failed):
                self._source.seek(start)
                ciphertext = _exactly(self._source, stop - start)
                self._held = (number, self._opener.segment(ciphertext, number=number, last=last))
        return self._held[1]

    def close(self) -> None:
        if not self.closed:
            self._held = (-1, b"")
            self._source.close()
        super().close()

    def __repr__(self) -> str:
        return f"<plaintext of a stream, {self._layout.length} bytes>"


def _exactly(source: BinaryIO, count: int) -> bytes:
    """So many bytes, however the source deals them out. DecryptionError where it ends before."""
    got = source.read(count)
    while len(got) < count:
        more = source.read(count - len(got))
        if not more:
            raise DecryptionError(_SHORT)
        got += more
    return got


@contextmanager
def _named(failed: str) -> Iterator[None]:
    """Have a failure say which stream it was, and no more."""
    try:
        yield
    except DecryptionError:
        raise DecryptionError(failed, hint="strongroom show KEYSET lists the versions that may still decrypt") from None


def _prefix(version: Version) -> bytes:
    return b"\x01" + version.key_id.to_bytes(4, "big")
