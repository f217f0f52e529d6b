"""What is true of each key type, against a table written here by hand."""

from __future__ import annotations

from itertools import product

import pytest

from strongroom.errors import PurposeError
from strongroom.model.types import TRAITS, KeyType, Prefix, Purpose, resolve_prefix, resolve_purpose

#  type              purposes       default   public  prefix for each purpose
TABLE = {
    "fernet": (["encrypt"], "encrypt", False, ["none"]),
    "aes256-gcm": (["encrypt"], "encrypt", False, ["tink"]),
    "xaes256-gcm": (["encrypt"], "encrypt", False, ["tink"]),
    "hmac-sha256": (["mac"], "mac", False, ["tink"]),
    "ed25519": (["sign"], "sign", True, ["tink"]),
    "ecdsa-p256": (["sign"], "sign", True, ["tink"]),
    "rsa-2048": (["encrypt", "sign"], None, True, ["none", "tink"]),
    "rsa-3072": (["encrypt", "sign"], None, True, ["none", "tink"]),
    "rsa-4096": (["encrypt", "sign"], None, True, ["none", "tink"]),
    "x25519": (["encrypt"], "encrypt", True, ["tink"]),
    "mlkem768-x25519": (["encrypt"], "encrypt", True, ["tink"]),
    "secret": (["secret"], "secret", False, ["none"]),
}


def test_every_type_has_its_row() -> None:
    assert [kind.value for kind in KeyType] == list(TABLE)
    assert set(TRAITS) == set(KeyType)


@pytest.mark.parametrize("kind", KeyType, ids=lambda kind: kind.value)
def test_a_type_is_what_the_table_says(kind: KeyType) -> None:
    purposes, default, public, prefixes = TABLE[kind.value]
    traits = TRAITS[kind]
    assert sorted(purpose.value for purpose in traits.purposes) == purposes
    assert (traits.default_purpose.value if traits.default_purpose else None) == default
    assert traits.asymmetric is traits.has_public is public
    assert [resolve_prefix(kind, Purpose(purpose)).value for purpose in purposes] == prefixes


@pytest.mark.parametrize(("kind", "purpose"), list(product(KeyType, Purpose)), ids=lambda each: each.value)
def test_a_purpose_is_taken_only_where_the_type_has_it(kind: KeyType, purpose: Purpose) -> None:
    if purpose.value in TABLE[kind.value][0]:
        assert resolve_purpose(kind, purpose) is purpose
    else:
        with pytest.raises(PurposeError):
            resolve_purpose(kind, purpose)
        with pytest.raises(PurposeError):
            resolve_prefix(kind, purpose)


@pytest.mark.parametrize("kind", KeyType, ids=lambda kind: kind.value)
def test_a_purpose_need_be_said_only_for_rsa(kind: KeyType) -> None:
    default = TABLE[kind.value][1]
    if default is not None:
        assert resolve_purpose(kind, None) is Purpose(default)
    else:
        with pytest.raises(PurposeError, match="encrypt or sign") as refusal:
            resolve_purpose(kind, None)
        assert "--purpose" in refusal.value.hint
        assert kind.value in refusal.value.hint


def test_rsa_sizes_are_in_the_name() -> None:
    assert [TRAITS[kind].bits for kind in (KeyType.RSA_2048, KeyType.RSA_3072, KeyType.RSA_4096)] == [2048, 3072, 4096]
    assert TRAITS[KeyType.SECRET].bits is None


@pytest.mark.parametrize("member", [*KeyType, *Purpose, *Prefix], ids=str)
def test_members_are_found_in_tables_whatever_way_they_were_reached(member: KeyType | Purpose | Prefix) -> None:
    assert {member: 1}[type(member)(member.value)] == 1
