"""The keysets that the store keeps for itself: no verb of a person changes or uses them, but those meant to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.keystore.scenes import PASSPHRASE
from tests.stores.builders import version_of

from strongroom.errors import InvalidNameError, PolicyError
from strongroom.keystore import destruction, workers
from strongroom.keystore.examining_keys import look_at_keys
from strongroom.keystore.exposures import EXPOSURES, exposed, exposures, strangers
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store
from strongroom.keystore.rooting import rotate_root
from strongroom.model.types import KeyType

ENVIRON = {"PATH": "/nonexistent"}
ISSUER = "strongroom.issuer"
MATERIAL = bytes(range(32))
WEEK = 7 * 86_400

CHANGES: dict[str, Callable[[KeyStore, str], object]] = {
    "rotate": lambda keystore, name: keystore.rotate(name, now=True, generate=True),
    "add": lambda keystore, name: keystore.add(name, value=MATERIAL),
    "import --add": lambda keystore, name: keystore.import_key(name, MATERIAL, add=True),
    "promote": lambda keystore, name: keystore.promote(name, 1),
    "suspend": lambda keystore, name: keystore.suspend(name, 1, reason="x"),
    "resume": lambda keystore, name: keystore.resume(name, 1),
    "deactivate": lambda keystore, name: keystore.deactivate(name, 1, reason="x"),
    "compromise": lambda keystore, name: keystore.compromise(name, 1, reason="x", generate=True),
    "destroy": lambda keystore, name: destruction.schedule(keystore, name, 1, reason="x", after_s=WEEK),
    "destroy --all": lambda keystore, name: destruction.schedule(keystore, name, None, reason="x", after_s=WEEK),
    "destroy --due": lambda keystore, name: keystore.destroy(name, [1]),
    "policy": lambda keystore, name: keystore.set_policy(name, rotate_every="90d"),
    "policy that says the same": lambda keystore, name: keystore.set_policy(name),
    "labels": lambda keystore, name: keystore.set_labels(name, {"owner": "x"}),
    "create": lambda keystore, name: keystore.create(name, "secret"),
}
USES: dict[str, Callable[[KeyStore, str], object]] = {
    "reveal": lambda keystore, name: keystore.secret(name).reveal(),
    "encrypt": lambda keystore, name: keystore.encrypt(name, b"x"),
    "sign": lambda keystore, name: keystore.signer(name).sign(b"x"),
    "private key": lambda keystore, name: keystore.private_key(name),
    "jwt": lambda keystore, name: keystore.jwt(name),
}


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyStore]:
    """A store with an exposure and an issuer."""
    place = tmp_path_factory.mktemp("own")
    environ = {**ENVIRON, "STRONGROOM_STATE": str(place / "state")}
    found(place / "s", passphrase=PASSPHRASE, environ=environ)
    with open_store(place / "s", passphrase=PASSPHRASE, environ=environ) as made:
        made.create("box", "fernet")
        workers.create_worker(made, "web", place / "web.identity", bits=2048)
        rotate_root(made, exposed="a laptop was stolen", environ=environ)
        yield made


@pytest.mark.parametrize("verb", [*CHANGES, *USES])
@pytest.mark.parametrize("name", [EXPOSURES, ISSUER])
def test_a_verb_on_the_stores_own_keyset_is_refused_and_changes_nothing(
    keystore: KeyStore, name: str, verb: str
) -> None:
    if name == ISSUER and verb in {"rotate", "compromise"}:
        return  # what a person does where the issuer is known to somebody: the last test
    before, noted = keystore.show(name), exposures(keystore.sealed)
    with pytest.raises((PolicyError, InvalidNameError)) as caught:
        {**CHANGES, **USES}[verb](keystore, name)
    if isinstance(caught.value, PolicyError):
        assert "the store's own" in str(caught.value)
    assert keystore.show(name) == before
    assert exposures(keystore.sealed) == noted


def test_a_version_that_notes_no_exposure_is_told_and_keeps_nothing_from_being_done(
    keystore: KeyStore,
) -> None:
    sealed = keystore.sealed
    noted = exposures(sealed)
    old = sealed.load(EXPOSURES).keyset
    odd = version_of(sealed.root, EXPOSURES, old.next_number, kind=KeyType.SECRET, material=b"x" * 40)
    sealed.replace(old.add(odd), replaces=old.revision)
    assert exposures(sealed) == noted
    assert strangers(sealed) == (odd.number,)
    assert [row.name for row in exposed(keystore)][-1] == ISSUER
    told = [each for each in look_at_keys(keystore, ENVIRON) if each.about == EXPOSURES]
    assert f"versions {odd.number} note no exposure" in told[0].fact
    rotate_root(keystore, exposed="another laptop", environ=ENVIRON)
    assert [each.reason for each in exposures(sealed)] == [*(each.reason for each in noted), "another laptop"]


def test_the_issuer_is_rotated_and_called_compromised_as_any_key(keystore: KeyStore) -> None:
    rotated = keystore.rotate(ISSUER, now=True)
    assert keystore.compromise(ISSUER, 1, reason="known to somebody").revision == rotated.revision + 1
