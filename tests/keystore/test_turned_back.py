"""What a committer turns back or takes away besides keysets' records is noticed by whoever has seen it. DESIGN 4."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.errors import ForeignStoreError, IntegrityError, NotFoundError, StaleError
from strongroom.keystore import workers
from strongroom.keystore.examining_keys import look_at_keys
from strongroom.keystore.exposures import EXPOSURES, exposed, rotate_exposed
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store
from strongroom.keystore.publishing import publish
from strongroom.keystore.rooting import destroy_root, rotate_root
from strongroom.keystore.running import environment_for
from strongroom.stores.workers_records import WorkerGroups

ENVIRON = {"PATH": "/nonexistent", "STRONGROOM_DEVELOPMENT": "1"}


class Site:
    """A store of one keyset, `box`, with a worker group `web` that was granted it; and what lies on its disk."""

    def __init__(self, place: Path, keystore: KeyStore) -> None:
        self.place = place
        self.keystore = keystore
        self.directory = place / "s"
        self.group = self.directory / "workers" / "web.json"

    def publish(self) -> None:
        publish(self.keystore, out=self.place / "publication")

    def rotate_root(self, exposed: str | None = None) -> None:
        rotate_root(self.keystore, exposed=exposed, environ=ENVIRON)

    def files(self) -> dict[Path, bytes]:
        return {each: each.read_bytes() for each in self.directory.rglob("*.json")}

    def told(self) -> list[str]:
        return [each.fact for each in look_at_keys(self.keystore, ENVIRON) if each.level == "problem"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    environ = {**ENVIRON, "STRONGROOM_STATE": str(tmp_path / "state")}
    found(tmp_path / "s", development=True, environ=environ)
    with open_store(tmp_path / "s", environ=environ) as keystore:
        keystore.create("box", "fernet")
        keystore.create("other", "fernet")
        workers.create_worker(keystore, "web", tmp_path / "web.identity", bits=2048)
        workers.grant(keystore, "web", ["box"])
        yield Site(tmp_path, keystore)


def test_what_may_go_out_no_more_does_not_go_out_of_an_older_record_either(site: Site) -> None:
    site.keystore.create("open", "fernet", exportable=True)
    site.keystore.create("password", "secret")
    path = site.keystore.path_of("open")
    assert path is not None
    before = path.read_bytes()
    assert environment_for(site.keystore, {"A": "open"}, {})["A"]
    site.keystore.set_policy("open", exportable=False)
    path.write_bytes(before)
    with pytest.raises(StaleError, match="'open' is stale"):
        environment_for(site.keystore, {"A": "open"}, {})
    site.keystore.accept_witness("open")
    assert environment_for(site.keystore, {"A": "open"}, {})["A"]
    secret = site.keystore.path_of("password")
    assert secret is not None
    older = secret.read_bytes()
    site.keystore.rotate("password", generate=True, now=True)
    secret.write_bytes(older)
    assert environment_for(site.keystore, {"A": "password"}, {})["A"]  # a secret is there to be read, and is read


def test_an_older_worker_group_is_listed_and_not_published_or_written_until_it_is_accepted(site: Site) -> None:
    granted = site.group.read_bytes()
    workers.revoke(site.keystore, "web", ["box"])
    site.publish()
    site.group.write_bytes(granted)
    before = site.files()
    for refused in (
        site.publish,
        site.rotate_root,
        lambda: workers.grant(site.keystore, "web", ["other"]),
        lambda: workers.revoke(site.keystore, "web", ["box"]),
        lambda: workers.remove_worker(site.keystore, "web"),
    ):
        with pytest.raises(StaleError, match="worker group 'web' is stale: revision 2 is here, and revision 3"):
            refused()
    assert site.files() == before
    assert [row.name for row in workers.list_workers(site.keystore)] == ["web"]
    assert len(site.told()) == 1
    [row] = [each for each in site.keystore.witnessed().rows if each.differences]
    assert (row.name, row.revision) == ("strongroom.workers/web", 3)
    assert site.keystore.accept_witness(row.name) == (row.name,)
    assert site.told() == []
    (site.place / "publication").unlink()
    site.publish()
    site.rotate_root()


def test_a_group_whose_key_was_stolen_and_replaced_is_not_published_to_the_old_key(site: Site) -> None:
    stolen = site.group.read_bytes()
    workers.rotate_worker(site.keystore, "web", site.place / "new.identity", bits=2048)
    site.group.write_bytes(stolen)
    with pytest.raises(StaleError):
        site.publish()
    assert site.keystore.accept_witness() == ("strongroom.workers/web",), "all of it takes in the groups"


def test_a_group_that_was_removed_does_not_come_back_and_one_of_its_name_counts_on(site: Site) -> None:
    removed = site.group.read_bytes()
    workers.remove_worker(site.keystore, "web")
    site.rotate_root()
    site.group.write_bytes(removed)
    workers_of = WorkerGroups(site.keystore.sealed, site.directory)
    assert workers_of.names() == ("web",)
    site.group.unlink()
    workers.create_worker(site.keystore, "web", site.place / "again.identity", bits=2048)
    assert workers_of.fresh("web").revision == 3
    again = site.group.read_bytes()
    workers.remove_worker(site.keystore, "web")
    site.group.write_bytes(again)
    with pytest.raises(StaleError, match="revision 3 is here, and revision 3 was removed"):
        site.publish()


@pytest.mark.parametrize("look", ["all", "one"])
def test_nor_does_one_that_somebody_else_removed(site: Site, look: str, caplog: pytest.LogCaptureFixture) -> None:
    """`git pull` takes the file away; from the next look on its old content is as good as removed here."""
    site.publish()
    pulled = site.group.read_bytes()
    site.group.unlink()
    if look == "all":
        assert workers.list_workers(site.keystore) == ()
    else:
        with pytest.raises(NotFoundError, match="there is no worker group 'web'"):
            workers.grant(site.keystore, "web", ["other"])
    assert "event=worker-group-gone" in caplog.text
    site.group.write_bytes(pulled)
    with pytest.raises(StaleError, match="revision 2 is here, and revision 2 was removed"):
        site.publish()
    with pytest.raises(StaleError):
        workers.grant(site.keystore, "web", ["other"])
    assert len(site.told()) == 1
    # a checkout of another branch is an honest reason
    assert site.keystore.accept_witness("strongroom.workers/web") == ("strongroom.workers/web",)
    site.publish()


def test_a_group_that_was_made_again_elsewhere_counts_where_it_counts_on(site: Site) -> None:
    site.publish()
    site.group.unlink()
    workers.create_worker(site.keystore, "web", site.place / "again.identity", bits=2048)
    assert WorkerGroups(site.keystore.sealed, site.directory).fresh("web").revision == 3


def test_nor_does_one_whose_file_was_damaged_before_it_was_removed(site: Site) -> None:
    whole = site.group.read_bytes()
    site.group.write_bytes(whole[:-2])
    workers.remove_worker(site.keystore, "web")
    assert not site.group.exists()
    site.group.write_bytes(whole)
    with pytest.raises(StaleError, match="revision 2 is here, and revision 2 was removed"):
        site.publish()


def test_an_older_group_that_changes_at_every_look_is_stale_all_the_same(site: Site) -> None:
    older = [site.group.read_bytes()]
    workers.revoke(site.keystore, "web", ["box"])
    older.append(site.group.read_bytes())
    workers.grant(site.keystore, "web", ["other"])

    class Restless(WorkerGroups):
        """Somebody exchanges the file for another older one as soon as it was read."""

        def raw(self, name: str) -> bytes:
            site.group.write_bytes(older[0])
            older.reverse()
            return super().raw(name)

    groups = Restless(site.keystore.sealed, site.directory)
    with pytest.raises(StaleError, match="revision 4 was seen"):
        groups.fresh("web")


def test_exposures_that_were_taken_away_or_turned_back_do_not_pass_for_none(site: Site) -> None:
    site.rotate_root(exposed="a laptop was stolen")
    record = site.directory / "keysets" / f"{EXPOSURES}.json"
    first = record.read_bytes()
    site.rotate_root(exposed="another one")
    newest = record.read_bytes()
    for damage in (record.unlink, lambda: record.write_bytes(first)):
        damage()
        before = site.files()
        for refused in (
            lambda: exposed(site.keystore),
            lambda: rotate_exposed(site.keystore),
            lambda: site.rotate_root(exposed="a third"),
            site.rotate_root,
        ):
            with pytest.raises((StaleError, IntegrityError), match=EXPOSURES):
                refused()
        assert site.files() == before, "nothing was written before it was refused"
    record.write_bytes(newest)
    assert [row.name for row in exposed(site.keystore)][:2] == ["box", "other"]


def test_a_keyset_that_vanished_is_told_and_keeps_the_root_as_it_is(site: Site) -> None:
    site.rotate_root()
    record = site.directory / "keysets" / "box.json"
    kept = record.read_bytes()
    record.unlink()
    before = site.files()
    for refused in (site.rotate_root, lambda: destroy_root(site.keystore, 1)):
        with pytest.raises(StaleError, match="'box' is stale: no record is here"):
            refused()
    assert site.files() == before
    assert any("'box'" in fact for fact in site.told())
    record.write_bytes(kept)
    destroy_root(site.keystore, 1)
    record.unlink()
    assert site.keystore.accept_witness("box") == ("box",)
    site.rotate_root()


def test_a_store_that_was_turned_back_to_a_replaced_root_opens_for_reading_where_the_pin_names_it(
    site: Site, tmp_path: Path
) -> None:
    environ = {**ENVIRON, "STRONGROOM_STATE": str(tmp_path / "state")}
    old, pin = site.files(), site.keystore.pin
    site.rotate_root()
    newest = site.files()
    site.keystore.close()
    for path, raw in old.items():
        path.write_bytes(raw)
    for strict in (False, True):
        with pytest.raises(ForeignStoreError, match="root 1 was replaced: root 2 was seen here"):
            open_store(site.directory, strict=strict, environ=environ)
    with open_store(site.directory, pin=pin, environ=environ) as keystore:
        assert "was replaced" in keystore.notices[0]
        assert "nothing is protected" in keystore.notices[1]
        keystore.list()
        for refused in (lambda: keystore.fernet("box").encrypt(b"x"), lambda: keystore.rotate("box")):
            with pytest.raises(StaleError, match="root 2 was seen"):
                refused()
    for path, raw in newest.items():
        path.write_bytes(raw)
    with open_store(site.directory, environ=environ) as keystore:
        assert keystore.fernet("box").encrypt(b"x")
