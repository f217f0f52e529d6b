"""A store that each release wrote, as it wrote it. What was once written opens for ever, to the same bytes."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from strongroom.errors import DecryptionError, SignatureError, StateError
from strongroom.keystore.credentials import Given
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_store
from strongroom.model.states import KeyState
from strongroom.openpgp.gnupg import GnuPG
from strongroom.primitives.secret import SecretBytes
from tests.support.gpg import GpgHomes

VECTORS = Path(__file__).parent / "vectors"
DEPLOY = Path(__file__).parent / "fixtures/blackbox/release-v1.20220610/deploy.testkey.gpg"
RELEASES = sorted(VECTORS.glob("store-*"))


@pytest.fixture(params=RELEASES, ids=lambda path: path.name)
def release(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A copy of the store, and what must come out of it."""
    source: Path = request.param
    shutil.copytree(source / "store", tmp_path / "store")
    return tmp_path / "store", json.loads((source / "expected.json").read_text())


def test_there_is_a_store_of_a_release() -> None:
    assert [path.name for path in RELEASES][:1] == ["store-0.1"]


def test_it_opens_with_its_passphrase_to_the_same_bytes(release: tuple[Path, dict[str, Any]]) -> None:
    place, expected = release
    with open_store(place, passphrase=expected["passphrase"], pin=expected["pin"], strict=True) as ks:
        assert ks.notices == ()
        _agrees(ks, expected)


def test_it_opens_with_its_openpgp_key_to_the_same_bytes(
    release: tuple[Path, dict[str, Any]], gpg_homes: GpgHomes
) -> None:
    place, expected = release
    home = gpg_homes.of_key(DEPLOY)
    engine = GnuPG(home=home.home, environ=home.env)
    with open_store(place, given=Given(engine=engine), pin=expected["pin"]) as ks:
        _agrees(ks, expected)
    engine.close()


def test_it_opens_with_an_identity_alone(release: tuple[Path, dict[str, Any]]) -> None:
    place, expected = release
    engine = GnuPG.from_identity(SecretBytes(DEPLOY.read_bytes()))
    with open_store(place, given=Given(engine=engine), pin=expected["pin"]) as ks:
        assert ks.secret("vectors/secret").reveal_text() == expected["reveals"]["2"]
    engine.close()


def _agrees(ks: KeyStore, expected: dict[str, Any]) -> None:
    assert len(ks.list()) == 12
    for case in expected["opens"]:
        bound = None if case["associated_data"] is None else case["associated_data"].encode()
        output = base64.b64decode(case["output"])
        assert ks.decrypt(case["keyset"], output, associated_data=bound) == case["plaintext"].encode()
        with pytest.raises(DecryptionError):
            ks.decrypt(case["keyset"], output[:-1], associated_data=bound)
    for case in expected["verifies"]:
        name, message = case["keyset"], case["message"].encode()
        verifier = ks.mac(name) if name.endswith("mac") else ks.verifier(name)
        verifier.verify(base64.b64decode(case["signature"]), message)
        with pytest.raises(SignatureError):
            verifier.verify(base64.b64decode(case["signature"]), message + b"!")
    for number, text in expected["reveals"].items():
        assert ks.secret("vectors/secret").reveal_text(int(number)) == text
    assert ks.show("vectors/secret").labels == {"owner": "registrar"}
    _remembers(ks, expected["compromised"])


def _remembers(ks: KeyStore, case: dict[str, Any]) -> None:
    box = ks.fernet(case["keyset"])
    token = base64.b64decode(case["output"])
    with pytest.raises(DecryptionError):
        box.decrypt(token)
    assert box.decrypt(token, compromised_too=True) == case["plaintext"].encode()
    with pytest.raises(StateError):
        box.encrypt(b"the primary is suspended")
    states = [version.state for version in ks.show(case["keyset"]).versions]
    assert states == [KeyState.COMPROMISED, KeyState.SUSPENDED, KeyState.PRE_ACTIVATION]
