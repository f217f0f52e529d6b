"""Real Tink reads what is written here, and the other way round, with its prefix and without."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tink import TinkError, aead, hybrid, mac, signature, streaming_aead

from strongroom.errors import DecryptionError, SignatureError
from strongroom.primitives.aead import AesGcmKey, XAesGcmKey
from strongroom.primitives.hpke import HpkePrivate, HpkePublic
from strongroom.primitives.mac import HmacSha256Key
from strongroom.primitives.signing import (
    EcdsaP256Private,
    EcdsaP256Public,
    Ed25519Private,
    Ed25519Public,
    RsaPssPrivate,
    RsaPssPublic,
)
from strongroom.primitives.streaming import FIRST, HEADER_LENGTH, OTHER, StreamKey
from tests.primitives.material_cases import made, public
from tests.primitives.tink_keysets import handle

KEY_ID = 0xFEDCBA98  # above 2^31: Tink's ids are unsigned
TINK = b"\x01\xfe\xdc\xba\x98"
messages = st.binary(max_size=300)
with_and_without = pytest.mark.parametrize("prefix", [TINK, b""], ids=["TINK", "RAW"])
few = settings(max_examples=20)


def flipped(raw: bytes, place: int) -> bytes:
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]


@with_and_without
@pytest.mark.parametrize("kind", ["aes256-gcm", "xaes256-gcm"])
@given(data=messages, associated=messages)
def test_aead(kind: str, prefix: bytes, data: bytes, associated: bytes) -> None:
    theirs = handle(kind, made(kind), key_id=KEY_ID, prefix=prefix).primitive(aead.Aead)
    ours = {"aes256-gcm": AesGcmKey, "xaes256-gcm": XAesGcmKey}[kind](made(kind), prefix)
    assert theirs.decrypt(ours.encrypt(data, associated), associated) == data
    ciphertext = theirs.encrypt(data, associated)
    assert ciphertext.startswith(prefix)
    assert ours.decrypt(ciphertext, associated) == data
    for place in (0, len(prefix), len(ciphertext) - 1):
        with pytest.raises(TinkError):
            theirs.decrypt(flipped(ciphertext, place), associated)
        with pytest.raises(DecryptionError):
            ours.decrypt(flipped(ciphertext, place), associated)


@with_and_without
@given(data=messages)
def test_mac(prefix: bytes, data: bytes) -> None:
    kind = "hmac-sha256"
    theirs = handle(kind, made(kind), key_id=KEY_ID, prefix=prefix).primitive(mac.Mac)
    ours = HmacSha256Key(made(kind), prefix)
    tag = ours.compute(data)
    assert tag == theirs.compute_mac(data)
    assert len(tag) == len(prefix) + 32
    ours.verify(tag, data)
    theirs.verify_mac(tag, data)
    with pytest.raises(TinkError):
        theirs.verify_mac(flipped(tag, len(tag) - 1), data)
    with pytest.raises(SignatureError):
        ours.verify(flipped(tag, len(tag) - 1), data)


SIGNATURES = {
    "ed25519": (Ed25519Private, Ed25519Public),
    "ecdsa-p256": (EcdsaP256Private, EcdsaP256Public),
    "rsa-3072": (RsaPssPrivate, RsaPssPublic),
    "rsa-4096": (RsaPssPrivate, RsaPssPublic),
}


@with_and_without
@pytest.mark.parametrize("kind", list(SIGNATURES))
def test_signatures(kind: str, prefix: bytes) -> None:
    tink_private = handle(kind, made(kind), key_id=KEY_ID, prefix=prefix)
    sign = tink_private.primitive(signature.PublicKeySign).sign
    verify = tink_private.public_keyset_handle().primitive(signature.PublicKeyVerify).verify
    our_private, our_public = SIGNATURES[kind]
    signer, verifier = our_private(made(kind), prefix), our_public(public(kind), prefix)
    for message in (b"", b"a message", bytes(1000)):
        ours, theirs = signer.sign(message), sign(message)
        assert theirs.startswith(prefix)
        verify(ours, message)
        verifier.verify(theirs, message)
        with pytest.raises(TinkError):
            verify(ours, message + b"!")
        with pytest.raises(SignatureError):
            verifier.verify(theirs, message + b"!")


@with_and_without
@pytest.mark.parametrize("kind", ["x25519", "mlkem768-x25519"])
@few
@given(data=messages, context=messages)
def test_hpke(kind: str, prefix: bytes, data: bytes, context: bytes) -> None:
    tink_private = handle(kind, made(kind), key_id=KEY_ID, prefix=prefix)
    encrypt = tink_private.public_keyset_handle().primitive(hybrid.HybridEncrypt).encrypt
    decrypt = tink_private.primitive(hybrid.HybridDecrypt).decrypt
    ours_in, ours_out = HpkePublic(kind, public(kind), prefix), HpkePrivate(kind, made(kind), prefix)
    ciphertext = ours_in.encrypt(data, context)
    assert decrypt(ciphertext, context) == data
    theirs = encrypt(data, context)
    assert len(theirs) == len(ciphertext)
    assert ours_out.decrypt(theirs, context) == data
    with pytest.raises(TinkError):
        decrypt(ciphertext, context + b"!")
    with pytest.raises(DecryptionError):
        ours_out.decrypt(theirs, context + b"!")


@pytest.mark.parametrize("size", [0, 1, FIRST - 1, FIRST, FIRST + 1, FIRST + OTHER, FIRST + 2 * OTHER + 17])
def test_streams(size: int) -> None:
    material, data = made("aes256-gcm"), bytes(range(256)) * (size // 256) + bytes(size % 256)
    theirs = handle("streams", material, key_id=KEY_ID, prefix=b"").primitive(streaming_aead.StreamingAead)
    sealer = StreamKey(material, b"").seal(b"about it")
    ours = sealer.header + sealer.update(data) + sealer.finish()
    with theirs.new_decrypting_stream(io.BytesIO(ours), b"about it") as stream:
        assert stream.read() == data

    class Kept(io.BytesIO):
        def close(self) -> None:
            self.kept = self.getvalue()
            super().close()

    place = Kept()
    with theirs.new_encrypting_stream(place, b"about it") as stream:
        stream.write(data)
    assert len(place.kept) == len(ours)
    opener = StreamKey(material, b"").open(place.kept[:HEADER_LENGTH], b"about it")
    starts = [HEADER_LENGTH, *range(65_536, len(place.kept), 65_536), len(place.kept)]
    parts = [place.kept[start:stop] for start, stop in pairwise(starts)]
    opened = [opener.segment(part, number=number, last=number == len(parts) - 1) for number, part in enumerate(parts)]
    assert b"".join(opened) == data
