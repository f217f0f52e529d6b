"""Material as Tink has it: protos in a keyset of one key, handed to real Tink as JSON in the clear."""

from __future__ import annotations

import json
from base64 import b64encode

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from tink import (
    KeysetHandle,
    aead,
    hybrid,
    json_proto_keyset_format,
    mac,
    secret_key_access,
    signature,
    streaming_aead,
)
from tink.proto import (
    aes_gcm_hkdf_streaming_pb2,
    aes_gcm_pb2,
    common_pb2,
    ecdsa_pb2,
    ed25519_pb2,
    hmac_pb2,
    hpke_pb2,
    rsa_ssa_pss_pb2,
    x_aes_gcm_pb2,
)

from strongroom.primitives import material
from strongroom.primitives.secret import SecretBytes

for _family in (aead, mac, signature, hybrid, streaming_aead):
    _family.register()

_TYPES = {
    "aes256-gcm": "AesGcmKey",
    "xaes256-gcm": "XAesGcmKey",
    "streams": "AesGcmHkdfStreamingKey",
    "hmac-sha256": "HmacKey",
    "ed25519": "Ed25519PrivateKey",
    "ecdsa-p256": "EcdsaPrivateKey",
    "rsa-3072": "RsaSsaPssPrivateKey",
    "rsa-4096": "RsaSsaPssPrivateKey",
    "x25519": "HpkePrivateKey",
    "mlkem768-x25519": "HpkePrivateKey",
}
_KEMS = {"x25519": hpke_pb2.DHKEM_X25519_HKDF_SHA256, "mlkem768-x25519": hpke_pb2.X_WING}


def handle(kind: str, secret: SecretBytes, *, key_id: int, prefix: bytes) -> KeysetHandle:
    """A Tink keyset whose one key is this material; its prefix is TINK or RAW, as ours is."""
    private = kind in {"ed25519", "ecdsa-p256", "x25519", "mlkem768-x25519"} or kind.startswith("rsa-")
    keyset = {
        "primaryKeyId": key_id,
        "key": [
            {
                "keyData": {
                    "typeUrl": f"type.googleapis.com/google.crypto.tink.{_TYPES[kind]}",
                    "value": b64encode(_proto(kind, secret)).decode(),
                    "keyMaterialType": "ASYMMETRIC_PRIVATE" if private else "SYMMETRIC",
                },
                "status": "ENABLED",
                "keyId": key_id,
                "outputPrefixType": "TINK" if prefix else "RAW",
            }
        ],
    }
    return json_proto_keyset_format.parse(json.dumps(keyset), secret_key_access.TOKEN)


def _number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _proto(kind: str, secret: SecretBytes) -> bytes:
    raw = secret.reveal()
    if kind == "aes256-gcm":
        return aes_gcm_pb2.AesGcmKey(key_value=raw).SerializeToString()
    if kind == "xaes256-gcm":
        salted = x_aes_gcm_pb2.XAesGcmParams(salt_size=12)  # with the IV's 12 bytes: C2SP's nonce of 24
        return x_aes_gcm_pb2.XAesGcmKey(params=salted, key_value=raw).SerializeToString()
    if kind == "streams":
        layout = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
            ciphertext_segment_size=65_536, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
        )
        return aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(params=layout, key_value=raw).SerializeToString()
    if kind == "hmac-sha256":
        parameters = hmac_pb2.HmacParams(hash=common_pb2.SHA256, tag_size=32)
        return hmac_pb2.HmacKey(params=parameters, key_value=raw).SerializeToString()
    if kind in _KEMS:
        public = hpke_pb2.HpkePublicKey(
            params=hpke_pb2.HpkeParams(kem=_KEMS[kind], kdf=hpke_pb2.HKDF_SHA256, aead=hpke_pb2.AES_256_GCM),
            public_key=material.public_of(kind, secret),
        )
        return hpke_pb2.HpkePrivateKey(public_key=public, private_key=raw).SerializeToString()
    return _signing_proto(material.private_key(kind, secret), raw)


def _signing_proto(key: object, raw: bytes) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        verifying = ed25519_pb2.Ed25519PublicKey(key_value=key.public_key().public_bytes_raw())
        return ed25519_pb2.Ed25519PrivateKey(key_value=raw, public_key=verifying).SerializeToString()
    if isinstance(key, EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        on_p256 = ecdsa_pb2.EcdsaParams(
            hash_type=common_pb2.SHA256, curve=common_pb2.NIST_P256, encoding=ecdsa_pb2.EcdsaSignatureEncoding.DER
        )
        where = ecdsa_pb2.EcdsaPublicKey(params=on_p256, x=_number(point.x), y=_number(point.y))
        return ecdsa_pb2.EcdsaPrivateKey(public_key=where, key_value=raw).SerializeToString()
    assert isinstance(key, RSAPrivateKey)
    numbers = key.private_numbers()
    with_sha256 = rsa_ssa_pss_pb2.RsaSsaPssParams(
        sig_hash=common_pb2.SHA256, mgf1_hash=common_pb2.SHA256, salt_length=32
    )
    modulus = rsa_ssa_pss_pb2.RsaSsaPssPublicKey(
        params=with_sha256, n=_number(numbers.public_numbers.n), e=_number(numbers.public_numbers.e)
    )
    return rsa_ssa_pss_pb2.RsaSsaPssPrivateKey(
        public_key=modulus,
        d=_number(numbers.d),
        p=_number(numbers.p),
        q=_number(numbers.q),
        dp=_number(numbers.dmp1),
        dq=_number(numbers.dmq1),
        crt=_number(numbers.iqmp),
    ).SerializeToString()
