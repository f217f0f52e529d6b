"""The break-glass page's own program, on real stores, on a Python that has no package at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from strongroom.keystore.facade import KeyStore
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store
from tests.support.docs_runner import blocks
from tests.support.gpg import GpgHome

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "break-glass.md"
BARE = (sys.executable, "-I", "-S")
KINDS = ("fernet", "aes256-gcm", "xaes256-gcm", "hmac-sha256", "ed25519", "ecdsa-p256", "x25519", "mlkem768-x25519")


def program() -> str:
    [block] = [block for block in blocks("break-glass.md", PAGE.read_text()) if block.rest == "site/break_glass.py"]
    return block.text


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, alice: GpgHome) -> Path:
    """A store that is sealed to Alice, with a keyset of each type, a secret, and a rotated one."""
    place = tmp_path_factory.mktemp("glass")
    environ = environ_of(place, alice)
    found(place / ".strongroom", environ=environ)
    with open_store(place / ".strongroom", environ=environ) as keystore:
        for kind in KINDS:
            keystore.create(f"types/{kind}", kind)
        keystore.create("types/rsa-2048", "rsa-2048", purpose="sign")
        for length in (1, 63, 64, 65, 200):
            keystore.import_key(f"secrets/{length}", bytes(length - 1) + b"\x80", "secret")
        keystore.create("rotated", "fernet")
        keystore.rotate("rotated", now=True)
    return place


def environ_of(place: Path, alice: GpgHome) -> dict[str, str]:
    return {**alice.env, "STRONGROOM_STATE": str(place / "state")}


def broken(store: Path, alice: GpgHome, name: str, version: int) -> subprocess.CompletedProcess[bytes]:
    """What the program prints, with the root line that gpg prints on its standard input."""
    root = alice.decrypt((store / ".strongroom" / "root.1.gpg").read_bytes())
    (store / "break_glass.py").write_text(program())
    return subprocess.run(
        [*BARE, "break_glass.py", ".strongroom", name, str(version)],
        cwd=store,
        input=root,
        capture_output=True,
        check=False,
    )


def test_that_python_cannot_import_strongroom_or_cryptography(tmp_path: Path) -> None:
    for package in ("strongroom", "cryptography"):
        done = subprocess.run([*BARE, "-c", f"import {package}"], cwd=tmp_path, capture_output=True, check=False)
        assert b"ModuleNotFoundError" in done.stderr


def test_it_has_at_most_fifty_lines_and_the_page_counts_them() -> None:
    lines = program().splitlines()
    assert len(lines) <= 50
    assert f"{len(lines)} lines" in PAGE.read_text()


def test_every_version_of_every_type_comes_out_as_strongroom_has_it(store: Path, alice: GpgHome) -> None:
    with open_store(store / ".strongroom", environ=environ_of(store, alice)) as keystore:
        for name in keystore.names():
            for version in keystore.show(name).versions:
                done = broken(store, alice, name, version.number)
                assert done.stdout == material(keystore, name, version.number), (name, done.stderr)


def test_a_secret_and_a_key_come_out(store: Path, alice: GpgHome) -> None:
    with open_store(store / ".strongroom", environ=environ_of(store, alice)) as keystore:
        for name, version in (("secrets/64", 1), ("rotated", 2)):
            assert broken(store, alice, name, version).stdout == material(keystore, name, version)


def material(keystore: KeyStore, name: str, version: int) -> bytes:
    return keystore.source.load(name).material(version).reveal()


@pytest.mark.parametrize(
    ("old", "new"),
    [(b'"exportable": false', b'"exportable": true'), (b'"state": "active"', b'"state": "suspended"')],
)
def test_a_record_that_was_changed_gives_nothing(store: Path, alice: GpgHome, old: bytes, new: bytes) -> None:
    record = store / ".strongroom" / "keysets" / "types" / "fernet.json"
    raw = record.read_bytes()
    try:
        record.write_bytes(raw.replace(old, new))
        done = broken(store, alice, "types/fernet", 1)
    finally:
        record.write_bytes(raw)
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"not authentic" in done.stderr


def test_a_record_in_another_one_s_place_gives_nothing(store: Path, alice: GpgHome) -> None:
    keysets = store / ".strongroom" / "keysets"
    (keysets / "moved.json").write_bytes((keysets / "rotated.json").read_bytes())
    try:
        done = broken(store, alice, "moved", 1)
    finally:
        (keysets / "moved.json").unlink()
    assert (done.returncode, done.stdout) == (1, b"")
