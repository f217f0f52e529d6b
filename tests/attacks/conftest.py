"""A store with keysets of several kinds that Alice made, committed; made once and copied for each attack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.keystore.scenes import Scene, copied, repository
from tests.support.gpg import GpgHome

CANARY = "canary-7f3a9c51-do-not-show-me"
KINDS = {
    "box": "fernet",
    "columns": "aes256-gcm",
    "mac": "hmac-sha256",
    "sign": "ed25519",
    "other-box": "fernet",
}


@dataclass(frozen=True)
class Made:
    """The scene, and what its keysets made before anybody attacked it."""

    scene: Scene
    outputs: dict[str, bytes]
    password: bytes


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, alice: GpgHome) -> Made:
    place = tmp_path_factory.mktemp("attacked")
    scene = Scene(top=repository(place / "repo"), state=place / "state", user=alice)
    scene.found()
    with scene.open() as keystore:
        for name, kind in KINDS.items():
            keystore.create(name, kind)
        keystore.import_key("password", CANARY.encode(), "secret")
        keystore.create("django", "secret")
        keystore.rotate("other-box", now=True)
        outputs = {
            "box": keystore.fernet("box").encrypt(b"data"),
            "other-box": keystore.fernet("other-box").encrypt(b"data"),
            "columns": keystore.aead("columns").encrypt(b"data", b"ad"),
            "mac": keystore.mac("mac").compute(b"data"),
            "sign": keystore.signer("sign").sign(b"data"),
        }
        generated = keystore.secret("django").reveal()
    scene.commit("a store")
    return Made(scene=scene, outputs=outputs, password=generated)


@pytest.fixture
def attacked(made: Made, tmp_path: Path) -> Scene:
    """A copy of the store, with a witness that has seen it, for an attacker to write to."""
    scene = copied(made.scene, tmp_path)
    with scene.open() as keystore:
        keystore.list()
    return scene
