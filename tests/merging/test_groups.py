"""Two branches that changed one worker group: what either granted or revoked since they parted counts."""

from __future__ import annotations

import pytest

from tests.merging.scenes import Clone

pytestmark = pytest.mark.slow  # each group makes an RSA key


def granted(here: Clone, *argv: str) -> None:
    ran = here.run("worker", *argv)
    assert ran.status == 0, ran.stderr


def grants(here: Clone) -> list[str]:
    from strongroom.stores.workers_records import WorkerGroups

    with here.open() as keystore:
        return [each.keyset for each in WorkerGroups(keystore.sealed, here.directory).read("web").grants]


def test_a_grant_of_one_branch_and_a_revocation_of_the_other_both_count(here: Clone) -> None:
    with here.open() as keystore:
        keystore.create("api", "fernet")
    granted(here, "create", "web", "--out", str(here.state.parent / "web.identity"))
    granted(here, "grant", "web", "box")
    here.commit("a group")
    here.branch("side")
    granted(here, "grant", "web", "columns")
    here.commit("side")
    here.switch("main")
    granted(here, "revoke", "web", "box")
    granted(here, "grant", "web", "api")
    here.commit("main")
    told = here.git("merge", "--no-edit", "side")
    assert grants(here) == ["api", "columns"]
    assert "'columns' is granted to 'web' by the other branch" in told


def test_a_group_that_both_branches_made_is_a_conflict(here: Clone) -> None:
    here.branch("side")
    granted(here, "create", "web", "--out", str(here.state.parent / "side.identity"))
    here.commit("side")
    here.switch("main")
    with here.open() as keystore:
        keystore.accept_witness()
    granted(here, "create", "web", "--out", str(here.state.parent / "main.identity"))
    here.commit("main")
    told = here.git("merge", "--no-edit", "side", fails=True)
    assert "both branches changed the public key of worker group 'web'" in told


def test_after_a_rotation_of_the_root_the_newest_root_s_branch_stands(here: Clone) -> None:
    from strongroom.keystore.opening import open_store
    from strongroom.stores.workers_codec import decode_group, encode_group_body, join_group

    granted(here, "create", "web", "--out", str(here.state.parent / "web.identity"))
    here.commit("a group")
    here.branch("side")
    granted(here, "grant", "web", "box")
    here.commit("side")
    here.switch("main")
    path = here.directory / "workers" / "web.json"
    group = decode_group(path.read_bytes(), name="web").group
    here.rotate_root()
    with open_store(here.directory, environ=here.environ) as keystore:
        body = encode_group_body(group, keystore.sealed.root.id)
        path.write_bytes(join_group(body, keystore.sealed.root.record_mac(body)))
    here.commit("rotated the root")
    told = here.git("merge", "--no-edit", "side")
    assert "stays as the branch with the newest root has it" in told
    assert grants(here) == []


def test_a_group_that_only_the_old_branch_has_counts_once_it_is_named(here: Clone) -> None:
    from strongroom.keystore.opening import open_store

    brought_in(here)
    ran = here.run("publish", "--out", str(here.state.parent / "publication"), "web")
    assert (ran.status, "strongroom adopt strongroom.workers/web" in ran.stderr) == (1, True), ran.stderr
    assert here.run("adopt").text == "strongroom.workers/web\n"
    ran = here.run("adopt", "strongroom.workers/mine")
    assert (ran.status, "is not under an older root" in ran.stderr) == (1, True)
    ran = here.run("adopt", "strongroom.workers/web")
    assert "git add .strongroom/workers/web.json" in ran.stderr
    assert grants(here) == ["box"]
    assert here.run("publish", "--out", str(here.state.parent / "publication"), "web").status == 0
    raw = (here.state.parent / "publication").read_bytes()
    assert raw.startswith(b'{"format":"strongroom/3 publication"'), "each branch made an issuer, and one signs"
    url = f"file:{here.state.parent / 'publication'}?group=web"
    with open_store(url, identity=here.state.parent / "web.identity", environ=here.environ) as worker:
        assert worker.names() == ("box",)
    assert here.run("--json", "adopt").json == {"waiting": []}


def test_or_it_is_forgotten(here: Clone) -> None:
    brought_in(here)
    assert here.run("worker", "remove", "web").status == 0
    assert here.run("--json", "adopt").json == {"waiting": []}
    assert here.run("publish", "--out", str(here.state.parent / "publication"), "mine").status == 0
    granted(here, "create", "web", "--out", str(here.state.parent / "another.identity"))


def brought_in(here: Clone) -> None:
    """The group `web`, and that alone, comes in by a branch from before a rotation of the root."""
    from strongroom.keystore import workers

    here.branch("side")
    granted(here, "create", "web", "--out", str(here.state.parent / "web.identity"))
    granted(here, "grant", "web", "box")
    here.commit("side")
    here.switch("main")
    with here.open() as keystore:
        keystore.accept_witness()
        workers.create_worker(keystore, "mine", here.state.parent / "mine.identity", bits=2048)
    here.rotate_root()
    here.commit("rotated the root")
    here.git("merge", "--no-edit", "side")
