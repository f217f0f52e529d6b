"""A public half is of its keyset's type, or it is refused."""

from __future__ import annotations

from itertools import permutations

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from strongroom.errors import FormatError, PolicyError
from strongroom.primitives import material
from tests.primitives.material_cases import RSA, SHORT_PRIVATE, SYMMETRIC, made, public

ASYMMETRIC = [*SHORT_PRIVATE, *RSA[:2]]


@pytest.mark.parametrize("kind", ASYMMETRIC)
def test_it_is_the_private_keys_other_half(kind: str) -> None:
    ours = material.public_key(kind, public(kind))
    theirs = material.private_key(kind, made(kind)).public_key()
    # the library's X-Wing keys compare as objects; that its halves belong together is test_hpke's
    assert type(ours) is type(theirs)
    assert kind == "mlkem768-x25519" or ours == theirs


@pytest.mark.parametrize(("kind", "other"), list(permutations(ASYMMETRIC, 2)))
def test_another_types_is_refused(kind: str, other: str) -> None:
    with pytest.raises(FormatError):
        material.public_key(kind, public(other))


def test_another_curve_is_refused() -> None:
    p384 = generate_private_key(SECP384R1()).public_key()
    with pytest.raises(FormatError):
        material.public_key("ecdsa-p256", p384.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@pytest.mark.parametrize("kind", [*SYMMETRIC, "secret", "rsa-1024", ""])
def test_other_types_have_none(kind: str) -> None:
    with pytest.raises(PolicyError):
        material.public_key(kind, public("ed25519"))


def test_an_rsa_private_key_has_the_size_of_its_type() -> None:
    with pytest.raises(FormatError, match="2048 bits"):
        material.private_key("rsa-3072", made("rsa-2048"))
