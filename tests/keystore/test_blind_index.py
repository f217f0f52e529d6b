"""A blind index marks equal data alike within one scope, under the primary, and looks for every version's marks."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from strongroom.errors import PurposeError, StateError
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_memory

SCOPE = b"school.Student.ssn"


@pytest.fixture
def ks() -> Iterator[KeyStore]:
    with open_memory() as keystore:
        keystore.create("index", "hmac-sha256")
        yield keystore


def test_a_mark_is_hmac_under_a_key_derived_for_the_scope(ks: KeyStore) -> None:
    material = ks.current("index").opened.material(1).reveal()
    label = b"strongroom/1 blind index"
    info = len(label).to_bytes(4, "big") + label + len(SCOPE).to_bytes(4, "big") + SCOPE
    key = HKDF(SHA256(), 32, b"", info).derive(material)
    assert ks.blind_index("index", SCOPE).mark(b"078051120") == hmac.digest(key, b"078051120", hashlib.sha256)


def test_equal_data_equal_marks_and_another_scope_others(ks: KeyStore) -> None:
    one, other = ks.blind_index("index", SCOPE), ks.blind_index("index", b"school.Student.phone")
    assert one.mark(b"7") == one.mark(b"7") == ks.blind_index("index", SCOPE).mark(b"7")
    assert one.mark(b"7") != one.mark(b"8")
    assert one.mark(b"7") != other.mark(b"7")


def test_every_version_that_may_process_is_looked_for_the_primary_first(ks: KeyStore) -> None:
    index = ks.blind_index("index", SCOPE)
    old = index.mark(b"7")
    ks.add("index")
    assert index.mark(b"7") == old
    assert index.marks(b"7")[0] == old
    assert len(index.marks(b"7")) == 2
    assert index.active_versions == 1
    ks.promote("index", 2)
    new = index.mark(b"7")
    assert new != old
    assert index.marks(b"7") == [new, old]
    assert index.active_versions == 2
    ks.compromise("index", 1, reason="known")
    assert index.marks(b"7") == [new, old]
    assert index.active_versions == 1


def test_a_suspended_version_stops_look_ups(ks: KeyStore) -> None:
    index = ks.blind_index("index", SCOPE)
    ks.suspend("index", 1, reason="a look")
    with pytest.raises(StateError, match="suspended") as caught:
        index.marks(b"7")
    assert caught.value.hint == "strongroom resume index 1"
    with pytest.raises(StateError):
        index.mark(b"7")


def test_it_takes_an_hmac_keyset(ks: KeyStore) -> None:
    ks.create("columns", "aes256-gcm")
    with pytest.raises(PurposeError, match="gives no blind index"):
        ks.blind_index("columns", SCOPE)


def test_a_cell_tells_its_key_id_by_its_prefix_and_a_token_by_trial(ks: KeyStore) -> None:
    ks.create("columns", "aes256-gcm")
    ks.create("tokens", "fernet")
    cell, token = ks.aead("columns").encrypt(b"x", b""), ks.fernet("tokens").encrypt(b"x")
    for name in ("columns", "tokens"):
        ks.rotate(name, now=True)
    assert ks.aead("columns").key_id_of(cell) == ks.show("columns").version(1).key_id
    assert ks.fernet("tokens").key_id_of(token) == ks.show("tokens").version(1).key_id
    newer = ks.fernet("tokens").encrypt(b"x")
    assert ks.fernet("tokens").key_id_of(newer) == ks.show("tokens").version(2).key_id
    ks.suspend("columns", 1, reason="a look")
    assert ks.aead("columns").key_id_of(cell) == ks.show("columns").version(1).key_id
    assert ks.aead("columns").key_id_of(b"\x01\x00\x00\x00\x00" + cell[5:]) is None
    assert ks.fernet("tokens").key_id_of(b"gAAAAAB") is None
