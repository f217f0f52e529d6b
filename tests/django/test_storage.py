"""Encrypted files over Django's storages: ciphertext below, plaintext above, and nothing of a cut or moved file."""

from __future__ import annotations

import io
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage, InMemoryStorage, Storage
from django.db import models
from django.http import FileResponse
from django.test import override_settings
from django.test.utils import isolate_apps
from django.urls import path

from strongroom.django import keystores
from strongroom.django.storage import EncryptedStorage
from strongroom.django.stored import InFiles
from strongroom.errors import DecryptionError, NotFoundError, PurposeError, SettingsError, UnsupportedError
from strongroom.keystore.in_use import Use
from strongroom.primitives.streaming import SEGMENT

KEYSET = "student-files"
MANY = random.Random(1).randbytes(5 * SEGMENT + 321)  # noqa: S311  the same bytes each time


@pytest.fixture(autouse=True)
def keystore() -> Iterator[None]:
    with override_settings(STRONGROOM={"default": {"STORE": "memory:?seed=files"}}):
        keystores["default"].create(KEYSET, "aes256-gcm")
        yield
        keystores.close_all()


@pytest.fixture(params=["files", "memory"])
def inner(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return FileSystemStorage(location=tmp_path / "media") if request.param == "files" else InMemoryStorage()


@pytest.fixture
def storage(inner: Storage) -> EncryptedStorage:
    return EncryptedStorage(storage=inner, keyset=KEYSET)


def raw(inner: Storage, name: str) -> bytes:
    with inner.open(name, "rb") as file:
        return file.read()


def put(inner: Storage, name: str, content: bytes) -> None:
    inner.delete(name)
    assert inner.save(name, ContentFile(content)) == name


@pytest.mark.parametrize("content", [b"", b"short", MANY], ids=["empty", "short", "many segments"])
def test_what_is_saved_is_read_and_lies_below_as_ciphertext(
    storage: EncryptedStorage, inner: Storage, content: bytes
) -> None:
    name = storage.save("transcripts/1.pdf", ContentFile(content))
    assert name == "transcripts/1.pdf"
    with storage.open(name) as file:
        assert file.read() == content
    assert storage.size(name) == len(content)
    below = raw(inner, name)
    assert below.startswith(b"\x01")
    assert not content or content[:5] not in below
    assert storage.exists(name)
    assert storage.listdir("transcripts") == ([], ["1.pdf"])
    assert storage.get_modified_time(name) == inner.get_modified_time(name)
    storage.delete(name)
    assert not inner.exists(name)


def test_text_is_saved_as_utf8(storage: EncryptedStorage) -> None:
    name = storage.save("note.txt", ContentFile("Grüße"))
    assert storage.open(name).read() == "Grüße".encode()
    assert storage.size(name) == 7


@pytest.mark.parametrize("mode", ["r", "rt"])
def test_a_file_opened_as_text_is_text_as_in_a_directory(tmp_path: Path, mode: str) -> None:
    below = FileSystemStorage(location=tmp_path / "below")
    plain = FileSystemStorage(location=tmp_path / "plain")
    storage = EncryptedStorage(storage=below, keyset=KEYSET)
    written = "Grüße\r\nan alle\n" * 20_000
    for each in (plain, storage):
        assert each.save("note.txt", ContentFile(written.encode())) == "note.txt"
    told: list[list[object]] = []
    for each in (plain, storage):
        with each.open("note.txt", mode) as file:
            size = file.size
            told.append([size, list(file), file.seek(0), file.read(3), file.read(), type(file.read())])
    assert told[0] == told[1]
    for each in (plain, storage):
        again = each.open("note.txt", mode)
        again.close()
        with again.open() as file:  # as a FileField's file is, for each that asks for it
            told.append([file.read(5), file.open().read(5), file.mode])
    assert told[2] == told[3]
    path = tmp_path / "below" / "note.txt"
    path.write_bytes(path.read_bytes()[:-1])
    with storage.open("note.txt", mode) as file, pytest.raises(DecryptionError):
        file.read()


def test_a_path_is_a_name_and_any_bytes_may_be_in_it(tmp_path: Path) -> None:
    below = FileSystemStorage(location=tmp_path)
    storage: Any = EncryptedStorage(storage=below, keyset=KEYSET)
    name = storage.save(Path("deep/note.txt"), ContentFile(b"1"))
    with storage.open(Path("deep/note.txt")) as file:
        assert (file.read(), file.mode, file.name) == (b"1", "rb", name)
    odd = storage.save(os.fsdecode(b"caf\xe9.txt"), ContentFile(b"2"))  # Latin-1
    with storage.open(odd, "r") as file:
        assert (file.read(), file.mode) == ("2", "r")
    assert (tmp_path / os.fsdecode(b"caf\xe9.txt")).exists()


def test_a_taken_name_is_left_and_another_one_found(storage: EncryptedStorage) -> None:
    one, two = (storage.save("a.txt", ContentFile(data)) for data in (b"one", b"two"))
    assert one != two
    assert [storage.open(name).read() for name in (one, two)] == [b"one", b"two"]


def test_any_part_is_read_in_any_order_and_by_lines(storage: EncryptedStorage) -> None:
    name = storage.save("many", ContentFile(MANY))
    shuffle = random.Random(2)  # noqa: S311  the same places each time
    with storage.open(name) as file:
        for _ in range(200):
            start, length = shuffle.randrange(len(MANY) + 10), shuffle.randrange(2 * SEGMENT)
            assert file.seek(start) == start
            assert file.read(length) == MANY[start : start + length]
        assert file.seek(-5, io.SEEK_END) == len(MANY) - 5
        assert file.read() == MANY[-5:]
        assert file.read() == b""
        assert file.size == len(MANY)
        assert b"".join(file) == MANY
        assert b"".join(file.chunks()) == MANY
    lines = storage.save("lines", ContentFile(b"one\ntwo\nthree"))
    with storage.open(lines) as file:
        assert list(file) == [b"one\n", b"two\n", b"three"]


class Counting(InMemoryStorage):
    """It counts what was read of it."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        storage, file = self, super()._open(name, mode)

        class Watched(io.RawIOBase):
            def read(self, size: int = -1) -> bytes:
                got = file.read(size)
                storage.read += len(got)
                return got

            def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
                file.seek(offset, whence)
                return file.tell()

            def tell(self) -> int:
                return file.tell()

        return File(Watched(), name)


def test_only_the_segments_that_are_wanted_are_read() -> None:
    inner = Counting()
    storage = EncryptedStorage(storage=inner, keyset=KEYSET)
    name = storage.save("large", ContentFile(bytes(100 * SEGMENT)))
    with storage.open(name) as file:
        file.seek(50 * SEGMENT)
        assert len(file.read(10)) == 10
    assert inner.read <= 3 * SEGMENT


def test_cut_reordered_spliced_and_flipped_files_do_not_open(storage: EncryptedStorage, inner: Storage) -> None:
    one = storage.save("one", ContentFile(MANY))
    two = storage.save("two", ContentFile(MANY))
    good, other = raw(inner, one), raw(inner, two)
    at = 5 + SEGMENT
    wrong = {
        "nothing": b"",
        "the header only": good[:45],
        "the last byte": good[:-1],
        "the last segment": good[: 5 + 5 * SEGMENT],
        "reordered": good[:at]
        + good[at + SEGMENT : at + 2 * SEGMENT]
        + good[at : at + SEGMENT]
        + good[at + 2 * SEGMENT :],
        "spliced": good[:at] + other[at : at + SEGMENT] + good[at + SEGMENT :],
        "lengthened": good + bytes(100),
        "another file's": other,
        "plaintext": MANY,
        "a flipped bit": good[:-40] + bytes([good[-40] ^ 4]) + good[-39:],
        "an unknown version": b"\x01\x00\x00\x00\x07" + good[5:],
    }
    for what, content in wrong.items():
        put(inner, one, content)
        with pytest.raises(DecryptionError) as caught:
            storage.open(one).read()
        assert "'one'" in str(caught.value), what
        assert "tag" not in str(caught.value)
    put(inner, one, good)
    assert storage.open(one).read() == MANY


def test_the_end_of_a_cut_file_is_not_believed(storage: EncryptedStorage, inner: Storage) -> None:
    name = storage.save("one", ContentFile(MANY))
    put(inner, name, raw(inner, name)[: 5 + 3 * SEGMENT])
    with storage.open(name) as file:
        assert file.read(SEGMENT) == MANY[:SEGMENT]  # the first segments are what and where they were
        with pytest.raises(DecryptionError):
            file.seek(0, io.SEEK_END)
        file.seek(3 * SEGMENT)
        with pytest.raises(DecryptionError):
            file.read(1)


def test_files_that_changed_places_do_not_open(storage: EncryptedStorage, inner: Storage) -> None:
    names = [storage.save(name, ContentFile(name.encode())) for name in ("alice", "bob")]
    alice, bob = (raw(inner, name) for name in names)
    put(inner, "alice", bob)
    put(inner, "bob", alice)
    for name in names:
        with pytest.raises(DecryptionError):
            storage.open(name)


def test_after_a_rotation_old_files_open_and_new_ones_are_under_the_new_version(
    storage: EncryptedStorage, inner: Storage
) -> None:
    keystore = keystores["default"]
    old = storage.save("old", ContentFile(b"before"))
    keystore.rotate(KEYSET, now=True)
    new = storage.save("new", ContentFile(b"after"))
    versions = keystore.show(KEYSET).versions
    assert [raw(inner, name)[1:5] for name in (old, new)] == [v.key_id.to_bytes(4, "big") for v in versions]
    assert [storage.open(name).read() for name in (old, new)] == [b"before", b"after"]


class Broken(io.BytesIO):
    """It fails once this many bytes were read."""

    def __init__(self, content: bytes, after: int) -> None:
        super().__init__(content)
        self.after = after

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= self.after:
            raise OSError("the upload broke off")
        return super().read(size)


@pytest.mark.parametrize("after", [0, 1, 3 * SEGMENT])
def test_a_failure_leaves_nothing_half_written(storage: EncryptedStorage, inner: Storage, after: int) -> None:
    with pytest.raises(OSError, match="broke off"):
        storage.save("half", File(Broken(MANY, after), "half"))
    assert not inner.exists("half")


class Contended(InMemoryStorage):
    """Another writer is always a little faster: he takes the name that was free when it was looked for."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def _save(self, name: str, content: File[bytes]) -> str:
        if self.times:
            self.times -= 1
            super()._save(name, ContentFile(b"his"))
            name = self.get_available_name(name)
        return super()._save(name, content)


def test_a_name_that_is_taken_meanwhile_is_bound_to_the_file_all_the_same() -> None:
    inner = Contended(3)
    storage = EncryptedStorage(storage=inner, keyset=KEYSET)
    name = storage.save("report", ContentFile(MANY))
    assert name != "report"
    assert storage.open(name).read() == MANY
    assert raw(inner, "report") == b"his"
    assert len(inner.listdir("")[1]) == 4


def test_two_threads_that_save_under_one_name_both_keep_theirs(tmp_path: Path) -> None:
    storage = EncryptedStorage(storage=FileSystemStorage(location=tmp_path), keyset=KEYSET)
    start, names = threading.Barrier(6), []

    def save(number: int) -> None:
        start.wait()
        names.append((storage.save("same", ContentFile(bytes([number]) * 1000)), number))

    threads = [threading.Thread(target=save, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({name for name, _ in names}) == 6
    assert all(storage.open(name).read() == bytes([number]) * 1000 for name, number in names)
    assert len(list(tmp_path.iterdir())) == 6


def test_it_is_made_from_settings_over_an_alias_or_a_dict(tmp_path: Path) -> None:
    files = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    ours = "strongroom.django.storage.EncryptedStorage"
    configured = {
        "files": files,
        "by-alias": {"BACKEND": ours, "OPTIONS": {"storage": "files", "keyset": KEYSET}},
        "by-dict": {"BACKEND": ours, "OPTIONS": {"storage": files, "keyset": KEYSET}},
    }
    from django.core.files.storage import storages

    with override_settings(STORAGES=configured):
        name = storages["by-alias"].save("x", ContentFile(b"content"))
        assert storages["by-dict"].open(name).read() == b"content"
    assert b"content" not in (tmp_path / "x").read_bytes()


def test_what_files_each_version_protects_is_told(tmp_path: Path) -> None:
    files = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(tmp_path / "in")}}
    ours = "strongroom.django.storage.EncryptedStorage"
    keystore = keystores["default"]
    with override_settings(STORAGES={"kept": {"BACKEND": ours, "OPTIONS": {"storage": files, "keyset": KEYSET}}}):
        from django.core.files.storage import storages

        assert InFiles("default").uses(keystore.show(KEYSET)) == []
        storages["kept"].save("a/b/old", ContentFile(b"1"))
        storages["kept"].save("old", ContentFile(b"2"))
        keystore.rotate(KEYSET, now=True)
        storages["kept"].save("new", ContentFile(b"3"))
        (tmp_path / "in" / "a" / "stray").write_bytes(b"in the clear")
        place = "the files of STORAGES['kept']"
        told = InFiles("default").uses(keystore.show(KEYSET))
        assert told == [Use(place=place, version=1, count=2), Use(place=place, version=2, count=1)]


def test_an_address_is_refused_unless_a_view_of_the_site_was_named(inner: Storage) -> None:
    storage = EncryptedStorage(storage=inner, keyset=KEYSET)
    with pytest.raises(SettingsError, match="ciphertext") as caught:
        storage.url("x")
    assert isinstance(caught.value, AttributeError)
    assert '"url"' in caught.value.hint
    with override_settings(ROOT_URLCONF=(path("files/<path:name>", lambda request, name: None, name="file"),)):
        assert EncryptedStorage(storage=inner, keyset=KEYSET, url="file").url("a/b.pdf") == "/files/a/b.pdf"


def test_a_response_sends_the_plaintext(storage: EncryptedStorage) -> None:
    name = storage.save("many.bin", ContentFile(MANY))
    response = FileResponse(storage.open(name), as_attachment=True)
    assert response["Content-Length"] == str(len(MANY))
    assert b"".join(response.streaming_content) == MANY  # type: ignore[arg-type]  # a synchronous iterator here
    response.close()


def test_what_cannot_be_is_refused_with_its_reason(storage: EncryptedStorage, inner: Storage) -> None:
    name = storage.save("x", ContentFile(b"content"))
    with pytest.raises(UnsupportedError):
        storage.open(name, "wb")
    with pytest.raises(NotImplementedError):
        storage.path(name)
    with pytest.raises(FileNotFoundError):
        storage.open("nothing")
    missing = EncryptedStorage(storage=inner, keyset="nothing")
    with pytest.raises(NotFoundError, match="'nothing'"):
        missing.save("y", ContentFile(b"content"))
    assert not inner.exists("y")
    keystores["default"].create("tokens", "fernet")
    with pytest.raises(PurposeError, match="'tokens'"):
        EncryptedStorage(storage=inner, keyset="tokens").save("y", ContentFile(b"content"))
    keystores["default"].suspend(KEYSET, 1, reason="told so")
    with pytest.raises(DecryptionError):
        storage.open(name)


@isolate_apps("strongroom")
def test_a_file_field_saves_reads_and_measures_through_it(storage: EncryptedStorage, inner: Storage) -> None:
    class Scan(models.Model):
        page = models.FileField(upload_to="scans/%Y", storage=storage)

        class Meta:
            app_label = "strongroom"

    scan = Scan()
    scan.page.save("one.bin", ContentFile(MANY), save=False)
    assert scan.page.name.startswith("scans/20")
    assert MANY[:64] not in raw(inner, scan.page.name)
    again = Scan(page=scan.page.name)
    for _ in range(2):
        with again.page.open() as page:
            assert page.read() == MANY
    assert again.page.size == len(MANY)
    assert getattr(again.page, "url", None) is None
    _, _, _, kept = Scan._meta.get_field("page").deconstruct()
    assert kept["storage"].deconstruct()[0] == "strongroom.django.storage.EncryptedStorage"
    again.page.delete(save=False)
    assert not inner.exists(scan.page.name)


@pytest.mark.slow
def test_a_hundred_megabytes_pass_through_a_bounded_memory(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    size = 100 * 1024 * 1024
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(size)
    storage = EncryptedStorage(storage=FileSystemStorage(location=tmp_path / "media"), keyset=KEYSET)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with large.open("rb") as file:
        name = storage.save("large", File(file, "large"))
    with storage.open(name) as file:
        total = sum(chunk.count(0) for chunk in file.chunks())
    assert total == size
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024  # KiB
    assert (tmp_path / "media" / "large").stat().st_size > size
