"""A group's record is the holders' word: whoever writes to the repository can neither grant nor put in his own key."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.errors import (
    ConflictError,
    ExistsError,
    FormatError,
    IntegrityError,
    InvalidNameError,
    NotFoundError,
    PolicyError,
)
from strongroom.keystore import workers
from strongroom.keystore.opening import open_memory
from strongroom.model.names import Revision
from strongroom.sealing.identities import WorkerIdentity, identity_from_file
from strongroom.stores.workers_codec import decode_group, encode_group_body, join_group
from strongroom.stores.workers_records import WorkerGroups
from tests.workers.scenes import HandClock, Site


@pytest.fixture
def path(site: Site, web: WorkerIdentity) -> Path:
    return site.directory / "workers" / "web.json"


def test_a_group_is_made_with_one_identity_file(site: Site, place: Path) -> None:
    made = workers.create_worker(site.keystore, "batch", place / "b.identity", bits=2048)
    identity = identity_from_file(made.identity)
    assert isinstance(identity, WorkerIdentity)
    assert (identity.group, identity.store) == ("batch", site.keystore.sealed.header.store)
    assert identity.public == site.read("batch").public
    assert made.identity.stat().st_mode & 0o777 == 0o600
    assert [Path(each).name for each in made.to_add] == ["strongroom.issuer.json", "batch.json"]
    assert all(Path(each).exists() for each in made.to_add)
    second = workers.create_worker(site.keystore, "web", place / "w.identity", bits=2048)
    assert [Path(each).name for each in second.to_add] == ["web.json"]
    again = identity_from_file(second.identity)
    assert isinstance(again, WorkerIdentity)
    assert again.issuer == identity.issuer


def test_a_group_that_is_there_is_not_made_again(site: Site, web: WorkerIdentity, place: Path) -> None:
    with pytest.raises(ExistsError):
        workers.create_worker(site.keystore, "web", place / "w.identity", bits=2048)
    assert not (place / "w.identity").exists()


def test_an_identity_is_kept_out_of_the_store(site: Site) -> None:
    with pytest.raises(PolicyError, match="whoever has the repository"):
        workers.create_worker(site.keystore, "web", site.directory / "workers" / "web.identity", bits=2048)


@pytest.mark.parametrize("name", ["a/b", "Web", "strongroom.web", "web.json", "con", "", "../x", "x" * 65])
def test_a_groups_name_is_one_segment(site: Site, place: Path, name: str) -> None:
    with pytest.raises(InvalidNameError):
        workers.create_worker(site.keystore, name, place / "i", bits=2048)


def test_grants_come_sorted_and_once(site: Site, web: WorkerIdentity) -> None:
    site.keystore.create("alpha", "ed25519")
    workers.grant(site.keystore, "web", ["alpha"])
    group = workers.grant(site.keystore, "web", ["alpha", "box"], public=False)
    assert [(each.keyset, each.public) for each in group.grants] == [("alpha", False), ("box", False)]
    assert [row.grants for row in workers.list_workers(site.keystore)] == [group.grants]


@pytest.mark.parametrize("name", ["missing", "strongroom.issuer"])
def test_what_is_not_there_or_the_stores_own_is_not_granted(site: Site, web: WorkerIdentity, name: str) -> None:
    with pytest.raises((NotFoundError, InvalidNameError)):
        workers.grant(site.keystore, "web", [name])


def test_an_edited_record_is_not_authentic(site: Site, path: Path) -> None:
    site.keystore.create("payroll", "fernet")
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b'"box"', b'"payroll"'))
    with pytest.raises(IntegrityError):
        site.read("web")
    path.write_bytes(raw.replace(b'"revision": 2', b'"revision": 3'))
    with pytest.raises(IntegrityError):
        site.read("web")


def test_a_record_under_another_name_is_refused(site: Site, path: Path) -> None:
    path.with_name("admin.json").write_bytes(path.read_bytes())
    with pytest.raises(FormatError, match="says that it is 'web'"):
        site.read("admin")


def test_a_keysets_record_in_a_groups_place_is_refused(site: Site, path: Path) -> None:
    path.write_bytes((site.directory / "keysets" / "box.json").read_bytes())
    with pytest.raises(FormatError, match="stands a record"):
        site.read("web")


def test_a_record_of_another_root_is_refused(site: Site, path: Path, place: Path, clock: HandClock) -> None:
    other = Site.make(place / "other", clock)
    other.group("web", key=0)
    path.write_bytes((place / "other" / "workers" / "web.json").read_bytes())
    with pytest.raises(IntegrityError, match="is under root"):
        site.read("web")
    other.keystore.close()


def test_a_record_has_one_spelling(site: Site, path: Path) -> None:
    raw = path.read_bytes()
    for other in (raw + b"\n", raw.replace(b"  ", b"\t", 1), raw.replace(b"{", b'{"x": 1,', 1), raw[:-1]):
        with pytest.raises(FormatError):
            decode_group(other, name="web")
    record = decode_group(raw, name="web")
    assert join_group(encode_group_body(record.group, record.root), record.mac) == raw


def test_a_link_in_a_records_place_is_not_followed(site: Site, path: Path, place: Path) -> None:
    from strongroom.errors import StoreError

    (place / "elsewhere").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(place / "elsewhere")
    with pytest.raises(StoreError, match="a link"):
        site.read("web")


def test_the_second_of_two_racing_writers_loses(site: Site, web: WorkerIdentity) -> None:
    groups = WorkerGroups(site.keystore.sealed, site.directory)
    old = groups.read("web")
    workers.revoke(site.keystore, "web", ["box"])
    with pytest.raises(ConflictError):
        groups.write(old.granting((), now=site.clock.now()), replaces=old.revision)
    workers.remove_worker(site.keystore, "web")
    with pytest.raises(ConflictError, match="is gone"):
        groups.write(old, replaces=Revision(3))


def test_a_removed_group_is_gone(site: Site, web: WorkerIdentity) -> None:
    assert workers.remove_worker(site.keystore, "web") == ()  # no git has it
    assert workers.list_workers(site.keystore) == ()
    with pytest.raises(NotFoundError, match="worker group 'web'"):
        workers.remove_worker(site.keystore, "web")
    with pytest.raises(NotFoundError):
        workers.revoke(site.keystore, "web", ["box"])


def test_a_store_in_memory_has_no_groups() -> None:
    with open_memory() as keystore, pytest.raises(PolicyError, match="is no directory"):
        workers.list_workers(keystore)


def test_a_group_names_its_issuer_only_once_the_first_was_replaced(
    site: Site, web: WorkerIdentity, place: Path, path: Path
) -> None:
    assert path.read_bytes().startswith(b'{\n  "format": "strongroom/1 worker"')
    site.keystore.rotate("strongroom.issuer", now=True)
    workers.grant(site.keystore, "web", ["box"])
    assert b"strongroom/1 worker" in path.read_bytes(), "readers of the first format go on with it"
    workers.rotate_worker(site.keystore, "web", place / "new.identity", bits=2048)
    raw = path.read_bytes()
    named = site.keystore.show("strongroom.issuer").version(2).key_id
    assert raw.startswith(b'{\n  "format": "strongroom/2 worker"')
    assert f'  "issuer": "{named:08x}",\n  "created"'.encode() in raw
    assert site.read("web").issuer == named
    for other in (
        raw.replace(b"strongroom/2", b"strongroom/1", 1),
        raw.replace(f'  "issuer": "{named:08x}",\n'.encode(), b"", 1),
        raw.replace(f"{named:08x}".encode(), b"00000000", 1),
    ):
        with pytest.raises(FormatError):
            decode_group(other, name="web")
