"""Models whose files lie in encrypted storages, in a database of their own, for the time of a test."""

from __future__ import annotations

import multiprocessing
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage, storages
from django.core.management import call_command
from django.db import models
from django.test import override_settings
from django.test.utils import isolate_apps
from django.utils.deconstruct import deconstructible

from strongroom.django.encrypted import BlindIndex, encrypted
from strongroom.django.file_columns import FileColumn
from strongroom.django.file_moving import FileVersions
from strongroom.django.testing import override_keystore
from strongroom.exitcodes import DONE
from strongroom.keystore.facade import KeyStore
from tests.django.conftest import of_its_own
from tests.django.tables import APP, tables

FILES, NAMES, INDEX = "files", "names", "index"


class Kept(InMemoryStorage):
    """Memory with an empty beginning for each test: a storage that renames nothing and replaces nothing."""

    interfere: Callable[[str], object] | None = None

    def _save(self, name: str, content: File[Any]) -> str:
        saved = super()._save(name, content)
        if self.interfere is not None:
            told, self.interfere = self.interfere, None
            told(saved)
        return saved


def in_directory() -> Storage:
    return storages["directory"]


def in_memory() -> Storage:
    return storages["memory"]


@deconstructible
class Elsewhere(Storage):
    """A storage that every process sees, and that is no directory of ours. Its connection is for one process only."""

    def __init__(self, place: str) -> None:
        self._connection = (os.getpid(), FileSystemStorage(location=place))

    @property
    def _files(self) -> FileSystemStorage:
        process, files = self._connection
        if process != os.getpid():
            raise OSError("this connection is another process's")
        return files

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        read_by_a_process(Path(self._files.location), name)
        return self._files.open(name, mode)

    def _save(self, name: str, content: File[Any]) -> str:
        return self._files.save(name, content)

    def delete(self, name: str) -> None:
        self._files.delete(name)

    def exists(self, name: str) -> bool:
        return self._files.exists(name)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        return self._files.listdir(path)

    def size(self, name: str) -> int:
        return self._files.size(name)


class Directory(FileSystemStorage):
    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        read_by_a_process(Path(self.location), name)
        return super()._open(name, mode)


KILL, READERS = ".kill", ".readers"
"""Files in a storage: at which names a process is killed, and which processes read something."""


def read_by_a_process(place: Path, name: str) -> None:
    """Write down that a process other than the tests' reads a file, and kill it where that is listed, once a line."""
    if multiprocessing.parent_process() is None:
        return
    with (place / READERS).open("a") as readers:
        readers.write(f"{os.getpid()} {name}\n")
    listed = place / KILL
    lines = listed.read_text().splitlines() if listed.exists() else []
    if name in lines:
        lines.remove(name)
        listed.write_text("\n".join(lines))
        os.kill(os.getpid(), signal.SIGKILL)


OURS = "strongroom.django.storage.EncryptedStorage"


def settings_for(directory: Path) -> dict[str, Any]:
    below = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(directory)}}
    memory = {"BACKEND": f"{__name__}.Kept"}
    return {
        "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
        "directory": {"BACKEND": OURS, "OPTIONS": {"storage": below, "keyset": FILES}},
        "memory": {"BACKEND": OURS, "OPTIONS": {"storage": memory, "keyset": FILES}},
    }


class Site:
    """Models whose files lie in the storages of the test, and what is done to them."""

    def __init__(self, directory: Path, keystore: KeyStore) -> None:
        self.directory, self.keystore = directory, keystore
        with isolate_apps():

            class Scan(models.Model):
                title = models.CharField(max_length=20)
                page = models.FileField(storage=in_directory, null=True, blank=True)

                class Meta:
                    app_label = APP

            class Remote(models.Model):
                id = models.UUIDField(primary_key=True, default=uuid.uuid4)
                page = models.FileField(storage=in_memory, upload_to="scans", max_length=40)

                class Meta:
                    app_label = APP

            class Hidden(models.Model):
                id = models.UUIDField(primary_key=True, default=uuid.uuid4)
                page = encrypted(models.FileField(storage=in_memory), keyset=NAMES, context="id")
                other = encrypted(models.FileField(storage=in_memory), keyset=NAMES, index=BlindIndex(INDEX))

                class Meta:
                    app_label = APP

        self.Scan, self.Remote, self.Hidden = Scan, Remote, Hidden

    def models(self) -> tuple[type[models.Model], ...]:
        return self.Scan, self.Remote, self.Hidden

    def saved(self, model: Any, content: bytes, name: str = "a.txt", field: str = "page", **values: Any) -> Any:
        made = model(**values)
        getattr(made, field).save(name, ContentFile(content), save=False)
        if model is self.Hidden and field == "page":
            made.other.save("other.txt", ContentFile(b"other"), save=False)
        made.save()
        return made

    def version(self, storage: Any, name: str) -> int | None:
        return FileVersions(storage).made(storage.start_of(name))

    def column(self, model: type[models.Model], name: str = "page") -> FileColumn:
        return FileColumn(model._meta.get_field(name))

    def rotate(self) -> None:
        self.keystore.rotate(FILES, now=True)


@contextmanager
def file_site(tmp_path: Path) -> Iterator[Site]:
    """The models and their tables, the storages in STORAGES, and an open keystore with the keysets."""
    kinds = {FILES: "aes256-gcm", NAMES: "aes256-gcm", INDEX: "hmac-sha256"}
    directory = tmp_path / "files"
    with override_settings(STORAGES=settings_for(directory)), override_keystore(kinds) as opened:
        made = Site(directory, opened)
        with tables(of_its_own(tmp_path), *made.models()):
            yield made


def text(file: Any) -> bytes:
    with file:
        return bytes(file.read())


def said(*arguments: str, status: int = DONE) -> str:
    out, err = StringIO(), StringIO()
    with nullcontext() if status == DONE else pytest.raises(SystemExit) as ended:
        call_command("strongroom", "reencrypt", *arguments, stdout=out, stderr=err)
    assert ended is None or ended.value.code == status, out.getvalue()
    return out.getvalue() + err.getvalue()
