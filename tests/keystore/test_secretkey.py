"""Django's SECRET_KEY while settings.py loads: no Django is imported, and a rotation loses no session."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.keystore.scenes import Scene

from strongroom.errors import ForeignStoreError, InvalidNameError, NotFoundError, PurposeError
from strongroom.keystore.secretkey import django_secret_key


@pytest.fixture
def scene(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A development store, as settings.py finds it: by the environment of the process."""
    monkeypatch.setenv("STRONGROOM_DEVELOPMENT", "1")
    monkeypatch.setenv("STRONGROOM_STATE", str(scene.state))
    scene.more["STRONGROOM_DEVELOPMENT"] = "1"
    scene.found(development=True)
    with scene.open() as keystore:
        keystore.create("django-secret-key", "secret", propagation="1h")
        keystore.create("box", "fernet")
    return scene


def both(scene: Scene, store: str | Path | None = None) -> tuple[str, list[str]]:
    """The two, as they are now."""
    key, fallbacks = django_secret_key("django-secret-key", store=scene.directory if store is None else store)
    return str(key), [str(each) for each in fallbacks]


def test_the_primary_is_the_key_and_the_others_are_fallbacks(scene: Scene) -> None:
    first, fallbacks = both(scene)
    assert len(first) == 64
    assert fallbacks == []
    with scene.open() as keystore:
        keystore.rotate("django-secret-key", generate=True)
    now, fallbacks = both(scene, str(scene.directory))
    assert now == first
    assert len(fallbacks) == 1  # what other hosts will sign with, once they have changed over, verifies here already
    with scene.open() as keystore:
        keystore.promote("django-secret-key", 2)
    assert both(scene) == (fallbacks[0], [first])
    with scene.open() as keystore:
        keystore.compromise("django-secret-key", 1, reason="it was in settings.py")
    assert both(scene) == (fallbacks[0], [])


def test_what_is_missing_or_of_another_kind_is_told(scene: Scene) -> None:
    with pytest.raises(NotFoundError):
        django_secret_key("missing", store=scene.directory)
    with pytest.raises(PurposeError):
        django_secret_key("box", store=scene.directory)
    with pytest.raises(NotFoundError):
        django_secret_key("django-secret-key", store=scene.top / "nowhere")
    with pytest.raises(ForeignStoreError):
        django_secret_key("django-secret-key", store=scene.directory, pin=f"{'A' * 22}:{'A' * 22}")


def test_a_build_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRONGROOM_BUILD", "1")
    one, fallbacks = django_secret_key("django-secret-key", store=Path("/nonexistent"))
    two, _ = django_secret_key("django-secret-key", store=Path("/nonexistent"))
    assert one != two
    assert len(one) >= 50
    assert fallbacks == []
    with pytest.raises(InvalidNameError):
        django_secret_key("../x")


def test_neither_django_nor_a_cache_is_imported(scene: Scene) -> None:
    source = (
        "import sys, strongroom\n"
        f"key, others = strongroom.django_secret_key('django-secret-key', store={str(scene.directory)!r})\n"
        "print(len(key), sorted(name for name in sys.modules if name.split('.')[0] in {'django', 'redis'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout == "64 []\n"
