"""The look and the rename, and each deletion, hold one lock: between them no other file can take the name."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage

from strongroom.django.storage import EncryptedStorage
from strongroom.django.switching import switch
from strongroom.django.testing import override_keystore


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """The directory's lock, as another process has it. BlockingIOError where somebody holds it."""
    held = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(held)


class Trying(FileSystemStorage):
    """A directory that tries, while a file of it is deleted, to get its lock."""

    tried = 0

    def delete(self, name: str) -> None:
        with pytest.raises(BlockingIOError), locked(Path(self.path(name)).parent):
            pass
        self.tried += 1
        super().delete(name)


def test_a_deletion_holds_the_lock_and_gives_it_back(tmp_path: Path) -> None:
    inner = Trying(location=tmp_path)
    with override_keystore({"files": "aes256-gcm"}):
        storage = EncryptedStorage(storage=inner, keyset="files")
        name = storage.save("a.txt", ContentFile(b"one"))
        storage.delete(name)
        plain = EncryptedStorage(storage=FileSystemStorage(location=tmp_path), keyset="files")
        plain.delete("never/there.txt")  # there is no directory to lock, and nothing to delete
    assert inner.tried == 1
    assert list(tmp_path.iterdir()) == []
    with locked(tmp_path):
        pass


def test_while_another_process_holds_the_lock_nothing_is_switched_and_then_only_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    done: list[bool] = []
    with locked(tmp_path):
        switching = threading.Thread(target=lambda: done.append(switch(path, [b"new"], instead_of=b"old")))
        switching.start()
        switching.join(0.5)
        assert switching.is_alive()
        assert path.read_bytes() == b"old"
        path.unlink()
        path.write_bytes(b"somebody's")
    switching.join()
    assert done == [False]
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_bytes() == b"somebody's"
    assert switch(path, [b"new"], instead_of=b"somebody's")
    assert path.read_bytes() == b"new"
