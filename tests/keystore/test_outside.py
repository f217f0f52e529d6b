"""New opening keys stay out of the repository: whoever has that would have the key to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.keystore.scenes import Scene
from tests.support.blackbox_fixtures import git

from strongroom.errors import PolicyError
from strongroom.keystore import slots, workers
from strongroom.keystore.admins import create_role
from strongroom.keystore.facade import KeyStore

Make = Callable[[KeyStore, Path, bool, dict[str, str]], object]

MAKERS: dict[str, Make] = {
    "slot": lambda ks, out, ignored, _: slots.create_hpke_slot(ks, "new", out, suite="x25519", ignored=ignored),
    "role": lambda ks, out, ignored, environ: create_role(ks, "new", out, ignored=ignored, environ=environ),
    "worker": lambda ks, out, ignored, _: workers.create_worker(ks, "new", out, bits=2048, ignored=ignored),
    "worker's next": lambda ks, out, ignored, _: workers.rotate_worker(ks, "web", out, bits=2048, ignored=ignored),
}


@pytest.fixture
def store(scene: Scene) -> Scene:
    scene.found()
    return scene


@pytest.mark.parametrize("what", MAKERS)
def test_a_file_in_the_repository_is_refused_unless_git_ignores_it_and_somebody_says_so(
    store: Scene, tmp_path: Path, what: str
) -> None:
    make = MAKERS[what]
    with store.open() as keystore:
        workers.create_worker(keystore, "web", tmp_path / "web.identity", bits=2048)
        store.commit()
        before = store.files()
        tracked, kept = store.top / "kept.identity", store.top / "secrets" / "x"
        for path, ignored in (
            (store.top / "x.identity", False),
            (store.top / "x.identity", True),
            (store.directory / "x.identity", True),
        ):
            with pytest.raises(PolicyError, match=r"in the (repository|store)") as caught:
                make(keystore, path, ignored, store.environ)
            assert "--ignored" in caught.value.hint
        assert store.files() == before
        link = tmp_path / "elsewhere"
        link.symlink_to(store.top)
        with pytest.raises(PolicyError, match="in the repository"):
            make(keystore, link / "x.identity", False, store.environ)
        with (store.top / ".gitignore").open("a") as file:
            file.write("/secrets/\n/*.identity\n")
        kept.parent.mkdir()
        with pytest.raises(PolicyError, match="in the repository"):
            make(keystore, kept, False, store.environ)
        git(
            store.top,
            "update-index",
            "--add",
            "--cacheinfo",
            "100644",
            git(store.top, "hash-object", "-w", ".gitignore").strip(),
            tracked.name,
        )
        with pytest.raises(PolicyError, match="does not ignore"):
            make(keystore, tracked, True, store.environ)
        make(keystore, kept, True, store.environ)
        assert kept.exists()
