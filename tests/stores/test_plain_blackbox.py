"""The plain view: every registered file is an entry, unverified, and opened at its first use only."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from strongroom._clock import SYSTEM_CLOCK
from strongroom.blackbox.repository import Repository
from strongroom.errors import ClosedError, NotFoundError
from strongroom.model.states import KeyState
from strongroom.model.types import KeyType, Purpose
from strongroom.openpgp.engine import Engine
from strongroom.openpgp.gnupg import GnuPG
from strongroom.primitives import material
from strongroom.primitives.secret import SecretBytes
from strongroom.stores.plain_blackbox import PlainBlackBox
from tests.support.gpg import GpgHome

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
CURVE = ec.generate_private_key(ec.SECP384R1())


def pem(key: object, *, passphrase: bytes | None = None, style: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    locked = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, style, locked)  # type: ignore[attr-defined]  # any of the key classes


FILES = {
    "config/database.yml": b"password: hunter2\n",
    "Uploads/Key With Space.txt": b"any path\xff\n",
    "keys/jwt.pem": pem(RSA),
    "keys/jwt-old-style.pem": pem(RSA, style=PrivateFormat.TraditionalOpenSSL),
    "keys/ec.pem": pem(EC),
    "keys/ed.pem": pem(ED),
    "keys/p384.pem": pem(CURVE),
    "keys/locked.pem": pem(RSA, passphrase=b"a passphrase"),
    "keys/damaged.pem": pem(RSA).replace(b"\n", b"\nAAAA", 2),
}


@pytest.fixture(scope="module")
def engine(alice: GpgHome) -> Iterator[Engine]:
    engine = GnuPG(home=alice.home)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, engine: Engine, alice: GpgHome) -> Repository:
    root = tmp_path_factory.mktemp("plain").resolve()
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    key = engine.certificate(alice.fingerprint)
    repository = Repository.create(root, admin=key, label="alice@example.org", engine=engine, clock=SYSTEM_CLOCK)
    for name, content in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
        repository.register(name, approved=(alice.fingerprint,))
    return repository


@pytest.fixture
def view(repository: Repository) -> PlainBlackBox:
    return PlainBlackBox(repository)


@pytest.fixture
def unopenable(repository: Repository, tmp_path: Path) -> PlainBlackBox:
    """The same repository for somebody who has no gpg at all."""
    environ = {"PATH": str(tmp_path)}
    return PlainBlackBox(Repository.discover(repository.root, environ=environ, engine=None))


def test_the_names_are_the_registered_paths(view: PlainBlackBox) -> None:
    assert view.names() == tuple(sorted(FILES))
    assert view.location.startswith("blackbox:/")
    assert not view.writable
    assert not view.verified


def test_listing_opens_nothing_and_calls_everything_a_secret(unopenable: PlainBlackBox) -> None:
    listed = unopenable.load_all()
    assert [each.keyset.name for each in listed] == sorted(FILES)
    assert {each.keyset.type for each in listed} == {KeyType.SECRET}
    assert not any(each.verified for each in listed)


def test_a_file_is_a_secret_with_one_active_version(view: PlainBlackBox) -> None:
    for name in ("config/database.yml", "Uploads/Key With Space.txt"):
        entry = view.load(name)
        assert entry.keyset.type is KeyType.SECRET
        assert entry.material(1) == SecretBytes(FILES[name])
        now = SYSTEM_CLOCK.now()
        primary = entry.keyset.protecting(now)
        assert (primary.number, primary.state_at(now)) == (1, KeyState.ACTIVE)
        assert not entry.verified
        assert entry.hindrance is None


@pytest.mark.parametrize(
    ("name", "kind", "purpose", "key"),
    [
        ("keys/jwt.pem", KeyType.RSA_2048, Purpose.SIGN, RSA),
        ("keys/jwt-old-style.pem", KeyType.RSA_2048, Purpose.SIGN, RSA),
        ("keys/ec.pem", KeyType.ECDSA_P256, Purpose.SIGN, EC),
        ("keys/ed.pem", KeyType.ED25519, Purpose.SIGN, ED),
    ],
)
def test_a_file_with_one_private_key_is_that_key(
    view: PlainBlackBox, name: str, kind: KeyType, purpose: Purpose, key: rsa.RSAPrivateKey
) -> None:
    entry = view.load(name)
    assert (entry.keyset.type, entry.keyset.purpose) == (kind, purpose)
    assert entry.keyset.policy.exportable  # whoever opens the file has it
    loaded = material.private_key(kind.value, entry.material(1))
    assert loaded.public_key() == key.public_key()
    assert entry.keyset.version(1).public is not None
    assert entry.plaintext() == SecretBytes(FILES[name])


@pytest.mark.parametrize("name", ["keys/p384.pem", "keys/locked.pem", "keys/damaged.pem"])
def test_a_key_that_is_not_taken_stays_the_file_that_it_is(view: PlainBlackBox, name: str) -> None:
    entry = view.load(name)
    assert entry.keyset.type is KeyType.SECRET
    assert entry.material(1) == SecretBytes(FILES[name])


def test_the_list_knows_the_type_of_what_was_opened_until_the_file_changes(
    view: PlainBlackBox, repository: Repository, alice: GpgHome
) -> None:
    def listed() -> KeyType:
        return next(each for each in view.load_all() if each.keyset.name == "keys/ed.pem").keyset.type

    assert listed() is KeyType.SECRET
    stamp = view.stamp("keys/ed.pem")
    view.load("keys/ed.pem")
    assert listed() is KeyType.ED25519
    repository.write("keys/ed.pem", SecretBytes(b"a secret by now"), approved=(alice.fingerprint,))
    try:
        assert view.stamp("keys/ed.pem") != stamp
        assert listed() is KeyType.SECRET
        assert view.load("keys/ed.pem").keyset.type is KeyType.SECRET
    finally:
        repository.write("keys/ed.pem", SecretBytes(FILES["keys/ed.pem"]), approved=(alice.fingerprint,))


def test_what_was_listed_as_a_secret_is_given_as_the_whole_file(view: PlainBlackBox) -> None:
    entry = next(each for each in view.load_all() if each.keyset.name == "keys/ec.pem")
    assert entry.keyset.type is KeyType.SECRET
    assert entry.material(1) == SecretBytes(FILES["keys/ec.pem"])
    with pytest.raises(NotFoundError):
        entry.material(2)


def test_a_key_id_is_of_the_name_and_not_of_the_content(view: PlainBlackBox) -> None:
    ids = {each.keyset.name: each.keyset.version(1).key_id for each in view.load_all()}
    assert len(set(ids.values())) == len(ids)
    assert view.load("keys/jwt.pem").keyset.version(1).key_id == ids["keys/jwt.pem"]


@pytest.mark.parametrize("name", ["keys/none.pem", "../etc/passwd", "config/database.yml.gpg", "a\0b", ""])
def test_what_is_not_registered_is_not_found(view: PlainBlackBox, name: str) -> None:
    with pytest.raises(NotFoundError):
        view.load(name)
    with pytest.raises(NotFoundError):
        view.stamp(name)


def test_nothing_shows_the_plaintext(view: PlainBlackBox) -> None:
    entry = view.load("config/database.yml")
    assert "hunter2" not in repr(entry) + repr(entry.keyset) + repr(view) + repr(entry.material(1))


def test_after_close_nothing_is_given_and_what_was_started_is_ended_once(repository: Repository) -> None:
    ended: list[str] = []
    view = PlainBlackBox(repository, on_close=lambda: ended.append("engine"))
    view.close()
    view.close()
    assert ended == ["engine"]
    for question in (view.names, view.load_all, lambda: view.load("keys/ec.pem"), lambda: view.stamp("keys/ec.pem")):
        with pytest.raises(ClosedError):
            question()
