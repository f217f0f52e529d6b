"""A host that has seen nothing of a store notices by a checkpoint what is older in it, and what is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.errors import FormatError, IntegrityError, NewerFormatError, NotFoundError, StaleError
from strongroom.keystore.checkpoints import CheckpointReport, create_checkpoint, verify_checkpoint
from strongroom.model.names import Revision, parse_name
from strongroom.primitives import rsa
from strongroom.stores.workers_codec import Grant, Group
from strongroom.stores.workers_records import WorkerGroups
from tests.merging.scenes import Clone, new_clone


def made(here: Clone, path: Path) -> Path:
    with here.open() as keystore:
        path.write_bytes(create_checkpoint(keystore))
    return path


def verified(here: Clone, path: Path) -> CheckpointReport:
    here.state = here.state.with_name(f"{here.state.name}-fresh")  # another host: no witness that has seen it
    with here.open() as keystore:
        return verify_checkpoint(keystore, path)


def test_the_same_store_and_a_newer_one_are_as_they_should_be(here: Clone, tmp_path: Path) -> None:
    path = made(here, tmp_path / "release.checkpoint")
    assert verified(here, path).differences == ()
    with here.open() as keystore:
        keystore.rotate("box")
        keystore.create("new", "fernet")
    report = verified(here, path)
    assert (report.keysets, report.newer, report.new, report.differences) == (2, 1, 1, ())


def test_a_record_that_was_turned_back_and_one_that_is_gone_are_told(here: Clone, tmp_path: Path) -> None:
    box, columns = here.directory / "keysets" / "box.json", here.directory / "keysets" / "columns.json"
    before = box.read_bytes()
    with here.open() as keystore:
        keystore.rotate("box")
    path = made(here, tmp_path / "release.checkpoint")
    box.write_bytes(before)
    columns.unlink()
    assert verified(here, path).differences == (
        "keyset 'box' has revision 1, and revision 2 was there",
        "keyset 'columns' is gone, and revision 1 was there",
    )


def test_another_record_of_the_same_revision_is_told(here: Clone, tmp_path: Path) -> None:
    box = here.directory / "keysets" / "box.json"
    before = box.read_bytes()
    with here.open() as keystore:
        keystore.rotate("box")
    path = made(here, tmp_path / "release.checkpoint")
    box.write_bytes(before)
    here.state = here.state.with_name("fresh")
    with here.open() as keystore:
        keystore.rotate("box")
    assert verified(here, path).differences == ("keyset 'box' is another revision 2 than was there",)


def test_a_header_that_was_turned_back_is_told(here: Clone, tmp_path: Path) -> None:
    header = here.directory / "store.json"
    before = header.read_bytes()
    with here.open() as keystore:
        keystore.sealed.replace_header(keystore.sealed.header.with_propagation(3600))
    path = made(here, tmp_path / "release.checkpoint")
    header.write_bytes(before)
    assert verified(here, path).differences == ("the header has revision 1, and revision 2 was there",)


def test_it_outlives_a_rotation_of_the_root_and_tells_when_that_is_turned_back(here: Clone, tmp_path: Path) -> None:
    old = made(here, tmp_path / "old.checkpoint")
    here.rotate_root()
    assert verified(here, old).differences == ()
    new = made(here, tmp_path / "new.checkpoint")
    here.git("checkout", "--quiet", "--", ".strongroom")
    with pytest.raises(StaleError, match="of root 2, and the store here is at root 1"):
        verified(here, new)


def test_another_store_s_is_refused(here: Clone, tmp_path: Path) -> None:
    path = made(new_clone(tmp_path / "other"), tmp_path / "other.checkpoint")
    with pytest.raises(IntegrityError, match="is of store") as caught:
        verified(here, path)
    assert "strongroom --store" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (b'"revision": 1', b'"revision": 3', IntegrityError),
        (b'"header": 1', b'"header": 2', IntegrityError),
        (b'"name": "box"', b'"name": "bix"', IntegrityError),
        (b"\n}\n", b"\n}\n\n", FormatError),
        (b'"keysets": [', b'"keysets":  [', FormatError),
        (b"strongroom/1 checkpoint", b"strongroom/9 checkpoint", NewerFormatError),
    ],
)
def test_what_was_changed_in_it_is_refused(
    here: Clone, tmp_path: Path, old: bytes, new: bytes, error: type[Exception]
) -> None:
    path = made(here, tmp_path / "release.checkpoint")
    raw = path.read_bytes()
    assert old in raw
    path.write_bytes(raw.replace(old, new, 1))
    with pytest.raises(error):
        verified(here, path)


def test_a_line_cannot_be_dropped(here: Clone, tmp_path: Path) -> None:
    path = made(here, tmp_path / "release.checkpoint")
    raw = path.read_bytes()
    start, end = raw.index(b"    {\n"), raw.index(b"    {\n", raw.index(b"    {\n") + 1)
    path.write_bytes(raw[:start] + raw[end:])
    with pytest.raises(IntegrityError, match="not authentic"):
        verified(here, path)


def test_a_worker_group_that_was_turned_back_is_told(here: Clone, tmp_path: Path) -> None:
    public = rsa.public_der(rsa.load_sealed(rsa.generate(2048)))
    with here.open() as keystore:
        groups, now = WorkerGroups(keystore.sealed, here.directory), keystore.clock.now()
        group = Group(name="web", revision=Revision(1), public=public, created=now, changed=now)
        groups.write(group, replaces=None)
        before = groups.path_of("web").read_bytes()
        groups.write(group.granting((Grant(keyset=parse_name("box"), public=False),), now=now), replaces=Revision(1))
    path = made(here, tmp_path / "release.checkpoint")
    assert verified(here, path).groups == 1
    (here.directory / "workers" / "web.json").write_bytes(before)
    assert verified(here, path).differences == ("worker group 'web' has revision 1, and revision 2 was there",)


def test_a_file_that_is_not_there(here: Clone, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        verified(here, tmp_path / "none")
    assert "strongroom checkpoint create" in caught.value.hint


def test_the_command_line(here: Clone, tmp_path: Path) -> None:
    path = tmp_path / "release.checkpoint"
    path.write_bytes(here.run("checkpoint", "create").stdout)
    (here.directory / "keysets" / "columns.json").unlink()
    ran = here.run("checkpoint", "verify", str(path))
    assert (ran.status, ran.text) == (6, "keyset 'columns' is gone, and revision 1 was there\n")


@pytest.mark.parametrize("raw", [b"", b"a letter", b"<<<<<<< ours\n", b"\r\n", b'{"format": "strongroom/1 record"}'])
def test_a_file_that_is_none_leads_to_where_checkpoints_are_and_not_to_git(
    here: Clone, tmp_path: Path, raw: bytes
) -> None:
    path = tmp_path / "release.checkpoint"
    path.write_bytes(raw)
    with pytest.raises(FormatError) as caught:
        verified(here, path)
    assert "git" not in caught.value.hint
    assert "strongroom checkpoint create" in caught.value.hint
