"""Encrypted files over any Django storage. What the inner storage is given is ciphertext, and nothing else.

    STORAGES = {
        "records": {
            "BACKEND": "strongroom.django.storage.EncryptedStorage",
            "OPTIONS": {"storage": "s3", "keyset": "student-files"},     # an alias, or a dict with BACKEND and OPTIONS
        },
        ...
    }

A file is bound to its name below the inner storage: two files that are swapped, or one that is moved, do not open.
What stays visible to whoever can read the inner storage: names, times and lengths. Whoever can write to it can delete
a file, or put an older content of the same name back.
"""

from __future__ import annotations

import io
import os
import posixpath
from collections.abc import Iterator, Mapping
from datetime import datetime
from os import PathLike
from typing import Any, BinaryIO, Self, cast

from django.core.files.base import File
from django.core.files.storage import Storage, storages
from django.urls import reverse
from django.utils.deconstruct import deconstructible
from django.utils.module_loading import import_string

from strongroom._encoding import encode_fields
from strongroom.django.connections import keystores
from strongroom.django.switching import deleting
from strongroom.errors import ConflictError, SettingsError, StrongroomError, UnsupportedError
from strongroom.keystore.handles.streams import STREAM_START, Streams, plaintext_length, stream_length

_PURPOSE = b"strongroom/1 file"
_TRIES = 8


class NoUrlError(SettingsError, AttributeError):
    """A file in here has no address. It is an AttributeError as well: Django's file inputs ask `getattr(file, "url")`,
    and then show none, so that the admin's page still opens."""


@deconstructible(path="strongroom.django.storage.EncryptedStorage")
class EncryptedStorage(Storage):
    """A storage that seals what it saves and authenticates what it reads, segment by segment.

    storage: the inner storage, as an alias of STORAGES or a dict with BACKEND and OPTIONS. keyset: an `aes256-gcm`
    keyset; storages that must not read each other's files have keysets of their own. keystore: an alias of STRONGROOM.
    url: the name of a URL pattern of the site's own view, which gets the file's name as `name` and hands out what
    `open` gives; without it `url()` is refused, for the inner storage's address would hand out ciphertext.
    """

    def __init__(
        self,
        *,
        storage: str | Mapping[str, Any] | Storage,
        keyset: str,
        keystore: str = "default",
        url: str | None = None,
    ) -> None:
        self.keyset = keyset
        self.keystore = keystore
        self._said = storage
        self._url = url
        self._made: Storage | None = storage if isinstance(storage, Storage) else None

    @property
    def inner(self) -> Storage:
        """The storage that holds the ciphertext."""
        if isinstance(self._said, str):
            return storages[self._said]
        if self._made is None:
            self._made = storages.create_storage(dict(cast("Mapping[str, Any]", self._said)))
        return self._made

    @property
    def streams(self) -> Streams:
        """The handle that seals and opens. Raises as the keystore does."""
        return keystores[self.keystore].streams(self.keyset)

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        if mode not in {"rb", "r", "rt"}:
            raise UnsupportedError(
                f"an encrypted file is read or saved whole, not opened with mode {mode!r}",
                hint="storage.save(name, content)",
            )
        file: File[Any] = self.opened(name)
        if "b" not in mode:  # text is UTF-8, as what is saved as text becomes
            file = _OpenedFile(self, io.TextIOWrapper(cast("Any", file.file), "utf-8"), name)
        file.mode = mode
        return file

    def opened(self, name: str, *, compromised_too: bool = False) -> File[bytes]:
        """The plaintext of a file, as `open` gives it; of one under a compromised version too, where that is asked."""
        streams = self.streams
        source = self.inner.open(name, "rb")
        try:
            plain = streams.open(
                cast("BinaryIO", source), _binding(name), what=f"the file {name!r}", compromised_too=compromised_too
            )
        except BaseException:
            source.close()
            raise
        return _OpenedFile(self, plain, name)

    def sealed(self, name: str, content: File[Any]) -> Iterator[bytes]:
        """The ciphertext of this content under this name, piece by piece, for those who write it by other means."""
        return self.streams.seal(content.chunks(), _binding(name))

    def start_of(self, name: str) -> bytes:
        """What the ciphertext of a file begins with: no two of them begin alike."""
        with self.inner.open(name, "rb") as file:
            return bytes(file.read(STREAM_START))

    def _save(self, name: str, content: File[Any]) -> str:
        streams, inner = self.streams, self.inner
        length: int | None = None
        for _ in range(_TRIES):
            raw = _Sealed(streams, content, name)
            sealed = _SealedFile(raw, name, _length(content))
            try:
                saved = inner.save(name, sealed)
            except BaseException:
                self._remove_half(name, raw.start)
                raise
            if length not in {None, raw.taken}:
                self.delete(saved)
                break
            if _binding(saved) == _binding(name):
                return saved
            # Another writer took the name meanwhile, and the inner storage chose one itself: it is bound to the wrong
            # name, so it is saved again. What cannot be read twice shows by its length.
            self.delete(saved)
            name, length = saved, raw.taken
        raise ConflictError(f"the file {name!r} was not saved: other writers took its name each time")

    def _remove_half(self, name: str, start: bytes) -> None:
        """Delete what a failure left, if it is ours: nobody else's file begins with these random bytes."""
        try:
            with self.inner.open(name, "rb") as left:
                ours = bool(start) and left.read(STREAM_START) == start
            if ours:
                self.delete(name)
        except Exception:  # noqa: BLE001  the failure itself is what the caller is told
            return

    def delete(self, name: str) -> None:
        """Delete the file."""
        with deleting(self.inner, name):
            self.inner.delete(name)

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name; it is not opened."""
        return self.inner.exists(name)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Directories and files, as the inner storage has them."""
        directories, files = self.inner.listdir(path)
        return list(directories), list(files)

    def size(self, name: str) -> int:
        """Bytes of plaintext, reckoned from the length of the ciphertext: the content is authentic only once read."""
        return plaintext_length(self.inner.size(name))

    def url(self, name: str | None) -> str:
        """The address of the site's own view, where one was named."""
        if self._url is None:
            raise NoUrlError(
                "an encrypted file has no address: the inner storage's would hand out ciphertext",
                hint='"url": "NAME" in the OPTIONS of STORAGES, the URL pattern of a view that returns FileResponse',
            )
        return reverse(self._url, kwargs={"name": name or ""})

    def get_valid_name(self, name: str) -> str:
        """As the inner storage has it."""
        return self.inner.get_valid_name(name)

    def get_alternative_name(self, file_root: str, file_ext: str) -> str:
        """As the inner storage has it."""
        return self.inner.get_alternative_name(file_root, file_ext)

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        """As the inner storage has it."""
        return self.inner.get_available_name(name, max_length=max_length)

    def generate_filename(self, filename: str | PathLike[str]) -> str:
        """As the inner storage has it."""
        return self.inner.generate_filename(filename)

    def get_accessed_time(self, name: str) -> datetime:
        """As the inner storage has it."""
        return self.inner.get_accessed_time(name)

    def get_created_time(self, name: str) -> datetime:
        """As the inner storage has it."""
        return self.inner.get_created_time(name)

    def get_modified_time(self, name: str) -> datetime:
        """As the inner storage has it."""
        return self.inner.get_modified_time(name)


def encrypted_storages() -> dict[str, EncryptedStorage]:
    """Those that STORAGES names, by their aliases. No other storage is made for it."""
    found: dict[str, EncryptedStorage] = {}
    for alias, said in cast("dict[str, dict[str, Any]]", storages.backends).items():
        kind = import_string(said["BACKEND"])
        if isinstance(kind, type) and issubclass(kind, EncryptedStorage):
            found[alias] = cast("EncryptedStorage", storages[alias])
    return found


class _OpenedFile(File):  # type: ignore[type-arg]  # generic in the stubs, not in Django
    """A file as `open` gives it. Once closed it is opened again by its storage: Django would look for a path."""

    def __init__(self, storage: EncryptedStorage, plain: Any, name: str) -> None:
        super().__init__(plain, os.fspath(name))
        self._storage = storage

    def open(self, mode: str | None = None, *_: Any, **__: Any) -> Self:
        if self.closed:
            again = self._storage.open(cast("str", self.name), mode or self.mode)
            self.file, self.mode = again.file, again.mode
        else:
            self.seek(0)
        return self


class _Sealed(io.RawIOBase):
    """The ciphertext of a file as it is read, once; nothing is kept of it but where it stands."""

    def __init__(self, streams: Streams, content: File[Any], name: str) -> None:
        self._pieces = streams.seal(self._plain(content), _binding(name))
        self._left = memoryview(b"")
        self._given = 0
        self.start = b""
        """What the stream begins with, once it has begun."""
        self.taken = 0
        """Bytes of plaintext that were read."""

    def _plain(self, content: File[Any]) -> Iterator[bytes]:
        for piece in content.chunks():
            raw = piece.encode() if isinstance(piece, str) else bytes(piece)
            self.taken += len(raw)
            yield raw

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._given

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            piece = next(self._pieces, b"")
            self.start = self.start or piece[:STREAM_START]
            self._left = memoryview(piece)
        view = memoryview(buffer).cast("B")
        taken = self._left[: len(view)]
        self._left = self._left[len(taken) :]
        view[: len(taken)] = taken
        self._given += len(taken)
        return len(taken)


class _SealedFile(File):  # type: ignore[type-arg]  # generic in the stubs, not in Django
    """What the inner storage is given. It cannot be rewound once read: a second reading would need a second stream."""

    content_type = "application/octet-stream"

    def __init__(self, raw: _Sealed, name: str, length: int | None) -> None:
        super().__init__(cast("Any", io.BufferedReader(raw, File.DEFAULT_CHUNK_SIZE)), name)
        self._raw = raw
        if length is not None:
            self.size = stream_length(length)

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        # past the buffer: what the stream begins with is written first, so that a half can be told to be ours
        while piece := self._raw.read(chunk_size or self.DEFAULT_CHUNK_SIZE):
            yield piece

    def seekable(self) -> bool:
        return False

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        # storages go to the beginning before they read
        if (offset, whence, cast("Any", self.file).tell()) == (0, io.SEEK_SET, 0):
            return 0
        raise io.UnsupportedOperation("a file that is being encrypted is read once, from the beginning")


def _binding(name: str | PathLike[str]) -> bytes:
    """The associated data of a file: its name, in one spelling."""
    spelled = posixpath.normpath(os.fspath(name).replace("\\", "/"))
    return encode_fields(_PURPOSE, spelled.encode("utf-8", "surrogateescape"))  # a directory's names may be any bytes


def _length(content: File[Any]) -> int | None:
    """How long it is, where it can tell: text is as long as its UTF-8, which nobody knows yet."""
    try:
        length = content.size
        mode = getattr(content.file, "mode", "b") if content.file is not None else "b"
    except (AttributeError, OSError, StrongroomError):
        return None
    return length if isinstance(mode, str) and "b" in mode and not isinstance(content.file, io.TextIOBase) else None
