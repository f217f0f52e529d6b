"""One sealed file of a store: it opens as the store does, shows nothing else, and is the store again elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.errors import (
    CannotOpenError,
    ExistsError,
    ForeignStoreError,
    FormatError,
    IntegrityError,
    NewerFormatError,
    NotFoundError,
    PolicyError,
    StoreError,
    StrongroomError,
)
from strongroom.keystore.backup import create_backup, verify_backup
from strongroom.keystore.checkpoints import verify_checkpoint
from strongroom.keystore.opening import open_store
from strongroom.keystore.restoring import restore_backup
from strongroom.stores.archive import Archive, write_archive
from tests.merging.scenes import Clone, new_clone
from tests.stores.builders import header_of, new_root
from tests.support.gpg import GpgHome


def backed_up(here: Clone, path: Path) -> Path:
    with here.open() as keystore:
        create_backup(keystore, path)
    return path


def files(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def test_a_round_trip_on_an_empty_host(here: Clone, tmp_path: Path) -> None:
    with here.open() as keystore:
        keystore.create("billing/api-token", "secret")
        token = keystore.fernet("box").encrypt(b"before")
    path = backed_up(here, tmp_path / "keys.backup")
    assert path.stat().st_mode & 0o777 == 0o600
    empty = tmp_path / "other-host"
    empty.mkdir()
    environ = {
        "HOME": str(empty), "PATH": os.environ["PATH"], "STRONGROOM_IDENTITY_FILE": str(here.identity),
    }  # fmt: skip
    restored = restore_backup(path, empty / ".strongroom", environ=environ)
    assert (restored.keysets, restored.groups) == (3, 0)
    assert files(empty / ".strongroom") == files(here.directory)
    with open_store(empty / ".strongroom", environ=environ) as keystore:
        assert keystore.pin == restored.pin
        assert keystore.fernet("box").decrypt(token) == b"before"
        keystore.rotate("box")


def test_a_backup_that_is_not_there_is_missing_and_what_is_none_says_so(here: Clone, tmp_path: Path) -> None:
    letter = tmp_path / "letter"
    letter.write_text("dear all, this is no backup of anything")
    with here.open() as keystore:
        with pytest.raises(NotFoundError, match=r"there is no backup .*absent") as missing:
            verify_backup(keystore, tmp_path / "absent")
        with pytest.raises(FormatError, match="is none of ours") as other:
            verify_backup(keystore, letter)
        with pytest.raises(StoreError, match="cannot be read: Is a directory"):
            verify_backup(keystore, tmp_path)
    assert missing.value.hint == other.value.hint == "strongroom backup create FILE writes one"


def test_names_and_labels_do_not_show_in_the_file(here: Clone, tmp_path: Path) -> None:
    raw = backed_up(here, tmp_path / "keys.backup").read_bytes()
    front, _, _ = raw.partition(b'"mac"')
    assert b"columns" not in raw
    assert b"box" not in raw.replace(front, b"")
    assert b"strongroom/1 store" in front  # the header does, so that its slots open the file


def test_openpgp_opens_it_by_the_root_file_within(tmp_path: Path, alice: GpgHome) -> None:
    from strongroom.keystore.founding import found

    environ = {**alice.env, "STRONGROOM_STATE": str(tmp_path / "state")}
    found(tmp_path / ".strongroom", environ=environ)
    with open_store(tmp_path / ".strongroom", environ=environ) as keystore:
        keystore.create("box", "fernet")
        create_backup(keystore, tmp_path / "keys.backup")
    restore_backup(tmp_path / "keys.backup", tmp_path / "again", environ=environ)
    with open_store(tmp_path / "again", environ=environ) as keystore:
        keystore.rotate("box")


class TestVerify:
    def test_the_same(self, here: Clone, tmp_path: Path) -> None:
        path = backed_up(here, tmp_path / "keys.backup")
        with here.open() as keystore:
            compared = verify_backup(keystore, path, environ=here.environ)
        assert (compared.keysets, compared.versions, compared.differences) == (2, 2, ())

    def test_what_changed_since(self, here: Clone, tmp_path: Path) -> None:
        path = backed_up(here, tmp_path / "keys.backup")
        with here.open() as keystore:
            keystore.compromise("box", 1, reason="leaked")
            keystore.create("new", "fernet")
        (here.directory / "keysets" / "columns.json").unlink()
        with here.open() as keystore:
            compared = verify_backup(keystore, path, environ=here.environ)
        assert compared.differences == (
            "keyset 'box' has revision 1 in the backup and 2 in the store",
            "version 1 of 'box' is active in the backup and compromised in the store",
            "1 versions of 'box' are not in the backup",
            "keyset 'columns' is not in the store any more",
            "keyset 'new' is not in the backup",
        )

    def test_other_material_under_the_same_words(self, here: Clone, tmp_path: Path) -> None:
        from msgspec.structs import replace

        path = backed_up(here, tmp_path / "keys.backup")
        with here.open() as keystore:
            sealed = keystore.sealed
            opened = sealed.load("box")
            version = opened.keyset.version(1)
            other = sealed.seal(
                keystore.sealed.load("columns").material(1), name=opened.keyset.name, key_id=version.key_id,
                type=opened.keyset.type, purpose=opened.keyset.purpose,
            )  # fmt: skip
            changed = replace(opened.keyset, versions=(replace(version, sealed=other),), revision=2)
            sealed.replace(changed, replaces=opened.keyset.revision)
            compared = verify_backup(keystore, path, environ=here.environ)
        assert "version 1 of 'box' holds other material in the backup" in compared.differences

    def test_after_a_rotation_of_the_root(self, here: Clone, tmp_path: Path) -> None:
        path = backed_up(here, tmp_path / "keys.backup")
        here.rotate_root()
        with here.open() as keystore:
            compared = verify_backup(keystore, path, environ=here.environ)
        assert all("has revision 1 in the backup and 2 in the store" in each for each in compared.differences)
        assert len(compared.differences) == 2

    def test_of_another_store(self, here: Clone, tmp_path: Path) -> None:
        other = new_clone(tmp_path / "other")
        path = backed_up(other, tmp_path / "keys.backup")
        with here.open() as keystore, pytest.raises(ForeignStoreError, match="does not follow"):
            verify_backup(keystore, path, environ=other.environ)

    def test_where_nothing_opens_it(self, here: Clone, tmp_path: Path) -> None:
        path = backed_up(here, tmp_path / "keys.backup")
        environ = {name: value for name, value in here.environ.items() if name != "STRONGROOM_IDENTITY_FILE"}
        with here.open() as keystore, pytest.raises(CannotOpenError):
            verify_backup(keystore, path, environ=environ)


class TestRefusals:
    def test_a_store_that_is_there_is_not_overwritten(self, here: Clone, tmp_path: Path) -> None:
        path = backed_up(here, tmp_path / "keys.backup")
        before = files(here.directory)
        with pytest.raises(ExistsError):
            restore_backup(path, here.directory, environ=here.environ)
        assert files(here.directory) == before

    def test_nor_a_file_that_is_there(self, here: Clone, tmp_path: Path) -> None:
        path = backed_up(here, tmp_path / "keys.backup")
        before = path.read_bytes()
        with here.open() as keystore, pytest.raises(ExistsError):
            create_backup(keystore, path)
        assert path.read_bytes() == before

    def test_not_into_the_store_itself(self, here: Clone) -> None:
        with here.open() as keystore, pytest.raises(PolicyError, match="in the store itself"):
            create_backup(keystore, here.directory / "keys.backup")

    def test_a_damaged_record_is_found_when_the_backup_is_made(self, here: Clone, tmp_path: Path) -> None:
        record = here.directory / "keysets" / "box.json"
        with here.open() as keystore:
            record.write_bytes(record.read_bytes().replace(b'"exportable": false', b'"exportable": true'))
            with pytest.raises(IntegrityError, match="box"):
                create_backup(keystore, tmp_path / "keys.backup")
        assert list(tmp_path.glob("*keys.backup*")) == []

    def test_a_changed_header_of_a_backup_is_no_file_of_git(self, here: Clone, tmp_path: Path) -> None:
        path = backed_up(here, tmp_path / "keys.backup")
        raw = path.read_bytes()
        assert raw.count(b'"revision": ') >= 1
        path.write_bytes(raw.replace(b'"revision": ', b'"revision" :', 1))
        with pytest.raises(FormatError, match=r"the backup .* is damaged") as caught:
            restore_backup(path, tmp_path / "again", environ=here.environ)
        assert "git" not in caught.value.hint

    def test_a_pin_of_another_store(self, here: Clone, tmp_path: Path) -> None:
        path = backed_up(here, tmp_path / "keys.backup")
        other = new_clone(tmp_path / "other")
        with other.open() as keystore:
            pin = keystore.pin
        with pytest.raises(ForeignStoreError):
            restore_backup(path, tmp_path / "again", pin=pin, environ=here.environ)
        with pytest.raises(ForeignStoreError):
            restore_backup(path, tmp_path / "again", environ={**here.environ, "STRONGROOM_PIN": pin})
        assert not (tmp_path / "again").exists()

    def test_a_place_that_cannot_be_written(self, here: Clone, tmp_path: Path) -> None:
        with here.open() as keystore, pytest.raises(StoreError):
            create_backup(keystore, tmp_path / "missing" / "keys.backup")
        path = backed_up(here, tmp_path / "keys.backup")
        with pytest.raises(StoreError) as caught:
            restore_backup(path, tmp_path / "missing" / "again", environ=here.environ)
        assert caught.value.hint == f"mkdir -p {tmp_path / 'missing'}"

    def test_a_file_of_something_else(self, tmp_path: Path) -> None:
        for raw in (b"", b"something else entirely, and longer than a line of ours", b"strongroom/1 backup\n"):
            (tmp_path / "keys.backup").write_bytes(raw)
            with pytest.raises(FormatError):
                Archive(tmp_path / "keys.backup")

    def test_a_newer_format_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "keys.backup").write_bytes(b"strongroom/2 backup\n" + bytes(100))
        with pytest.raises(NewerFormatError, match="strongroom/2"):
            Archive(tmp_path / "keys.backup")


class TestBytes:
    """The format by itself, over a root of its own."""

    root = new_root()

    def archive(self, path: Path, entries: list[tuple[str, bytes]]) -> Path:
        write_archive(path, header=b"a header", root_file=None, root=self.root, entries=entries)
        return path

    @pytest.mark.parametrize("size", [0, 1, 65_400, 65_480, 65_536, 200_000])
    def test_entries_of_every_length_come_back(self, tmp_path: Path, size: int) -> None:
        entries = [("keysets/a.json", bytes(size)), ("keysets/b.json", b"b")]
        path = self.archive(tmp_path / "keys.backup", entries)
        with Archive(path) as archive:
            assert list(archive.entries(self.root)) == entries
            assert archive.header == b"a header"

    def test_entries_that_are_not_sorted_are_not_written(self, tmp_path: Path) -> None:
        with pytest.raises(FormatError):
            self.archive(tmp_path / "keys.backup", [("keysets/b.json", b""), ("keysets/a.json", b"")])
        assert list(tmp_path.iterdir()) == []

    def test_another_root_does_not_open_it(self, tmp_path: Path) -> None:
        path = self.archive(tmp_path / "keys.backup", [("keysets/a.json", b"a")])
        with Archive(path) as archive, pytest.raises(IntegrityError):
            list(archive.entries(new_root()))

    def test_what_lies_outside_a_store_is_never_written(self, here: Clone, tmp_path: Path) -> None:
        from strongroom.sealing.header_codec import encode_header

        with here.open() as keystore:
            root, header = keystore.sealed.root, keystore.sealed.header
        for number, place in enumerate(("../evil.json", "keysets/../../evil.json", "keysets/A.json", "evil")):
            path = tmp_path / f"{number}.backup"
            write_archive(path, header=encode_header(header, root), root_file=None, root=root, entries=[(place, b"{}")])
            with pytest.raises(StrongroomError):
                restore_backup(path, tmp_path / "again", environ=here.environ)
        assert not (tmp_path / "again").exists()
        assert not list(tmp_path.rglob("*evil*"))

    @given(st.data())
    @settings(max_examples=150)
    def test_any_byte_changed_or_cut_off_is_found(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        path = tmp_path_factory.mktemp("bytes") / "keys.backup"
        entries = [("keysets/a.json", bytes(70_000)), ("keysets/b.json", b"b")]
        raw = bytearray(self.archive(path, entries).read_bytes())
        place = data.draw(st.integers(0, len(raw) - 1))
        if data.draw(st.booleans()):
            raw[place] ^= data.draw(st.integers(1, 255))
        else:
            del raw[place:]
        path.write_bytes(raw)
        with pytest.raises((FormatError, IntegrityError)), Archive(path) as archive:
            list(archive.entries(self.root))

    def test_bytes_behind_the_end_are_found(self, tmp_path: Path) -> None:
        path = self.archive(tmp_path / "keys.backup", [("keysets/a.json", b"a")])
        path.write_bytes(path.read_bytes() + b"more")
        with Archive(path) as archive, pytest.raises(IntegrityError):
            list(archive.entries(self.root))


def test_a_header_that_somebody_exchanged_in_front_of_it_does_not_open(here: Clone, tmp_path: Path) -> None:
    from strongroom.sealing.header_codec import encode_header

    with here.open() as keystore:
        root = keystore.sealed.root
        header = encode_header(header_of(root), root)
    write_archive(tmp_path / "keys.backup", header=header, root_file=None, root=root, entries=[])
    with pytest.raises(CannotOpenError):
        restore_backup(tmp_path / "keys.backup", tmp_path / "again", environ=here.environ)


@pytest.mark.slow
def test_the_command_line(here: Clone, tmp_path: Path) -> None:
    path, again = str(tmp_path / "keys.backup"), str(tmp_path / "again")
    made = here.run("--json", "backup", "create", path)
    assert made.json["keysets"] == 2, made.stderr
    assert here.run("backup", "verify", path).status == 0
    with here.open() as keystore:
        keystore.rotate("box")
    verified = here.run("backup", "verify", path)
    assert (verified.status, verified.text.splitlines()[0]) == (
        6, "keyset 'box' has revision 1 in the backup and 2 in the store",
    )  # fmt: skip
    restored = here.run("--pin", made.json["pin"], "backup", "restore", path, again)
    assert f"its pin is {made.json['pin']}" in restored.stderr
    assert here.run("--store", again, "list").text.count("\n") == 2


def test_the_frozen_backup_is_the_store_that_it_was_made_of(tmp_path: Path) -> None:
    vectors = Path(__file__).parents[1] / "vectors"
    identity = tmp_path / "hpke.json"
    identity.write_bytes((vectors / "format-1" / "identities" / "hpke.json").read_bytes())
    identity.chmod(0o600)
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "STRONGROOM_IDENTITY_FILE": str(identity)}
    restore_backup(vectors / "backup-1" / "store.backup", tmp_path / "store", environ=environ)
    restored = {name: raw for name, raw in files(tmp_path / "store").items() if not name.startswith(".git")}
    assert restored == {
        name: raw for name, raw in files(vectors / "format-1" / "store").items() if not name.startswith(".git")
    }
    with open_store(tmp_path / "store", environ=environ) as keystore:
        report = verify_checkpoint(keystore, vectors / "backup-1" / "store.checkpoint")
    assert (report.keysets, report.newer, report.new, report.differences) == (len(restored) - 1, 0, 0, ())
