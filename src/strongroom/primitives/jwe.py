"""JWE compact serialization (RFC 7516) with RSA-OAEP-256 and A256GCM (RFC 7518): one shape, strictly parsed.

A JWE carries its key id in its own header, so it has no Tink prefix, and it has no place for associated data.
"""

from __future__ import annotations

import json
import os
import re
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from strongroom._encoding import b64decode, b64encode
from strongroom.errors import DecryptionError, FormatError, IntegrityError, PolicyError
from strongroom.primitives import rsa
from strongroom.primitives.opaque import Opaque
from strongroom.primitives.secret import SecretBytes

MAX_TOKEN: Final = 64 * 1024 * 1024
MAX_PLAINTEXT: Final = 32 * 1024 * 1024
MAX_HEADER: Final = 1024

_TOKEN = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{16})\.([A-Za-z0-9_-]*)\.([A-Za-z0-9_-]{22})")
_OAEP: Final = OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=None)
_FAILED: Final = "the JWE does not open under this keyset"


class JwePublic(Opaque):
    """The public half (SubjectPublicKeyInfo DER); `kid` is written into each header."""

    __slots__ = ("_header", "_key")

    def __init__(self, public: bytes, kid: str) -> None:
        self._key = rsa.load_public(public)
        header = json.dumps({"alg": "RSA-OAEP-256", "enc": "A256GCM", "kid": kid}, separators=(",", ":"))
        self._header = b64encode(header.encode()).encode()
        if len(self._header) > MAX_HEADER:
            raise FormatError(f"the JWE header would have {len(self._header)} characters; the limit is {MAX_HEADER}")

    def encrypt(self, plaintext: bytes, context: bytes = b"") -> bytes:
        """A compact JWE: five base64url parts. PolicyError over 32 MiB, and for a context: it has no place for one."""
        _check_no_context(context)
        if len(plaintext) > MAX_PLAINTEXT:
            raise PolicyError(f"{len(plaintext)} bytes are too long for one JWE; the limit is {MAX_PLAINTEXT}")
        content_key = SecretBytes(os.urandom(32))
        wrapped = self._key.encrypt(content_key.reveal(), _OAEP)
        iv = os.urandom(12)
        # RFC 7518 section 5.3: the additional data is the encoded header
        sealed = AESGCM(content_key.reveal()).encrypt(iv, plaintext, self._header)
        parts = (wrapped, iv, sealed[:-16], sealed[-16:])
        return b".".join((self._header, *(b64encode(part).encode() for part in parts)))


class JwePrivate(Opaque):
    """The private half, from material that the seal has vouched for; its pair is confirmed at the first use."""

    __slots__ = ("_confirmed", "_key")

    def __init__(self, material: SecretBytes) -> None:
        self._key = rsa.load_sealed(material)
        self._confirmed = False

    def decrypt(self, token: bytes, context: bytes = b"") -> bytes:
        """The plaintext. DecryptionError, which does not say why; PolicyError for a context, as `encrypt`."""
        _check_no_context(context)
        if not self._confirmed:
            self._confirm()
        plaintext = _decrypt(self, token)
        if plaintext is None:
            raise DecryptionError(_FAILED)
        return plaintext

    def _confirm(self) -> None:
        probe = os.urandom(16)
        try:
            same = self._key.decrypt(self._key.public_key().encrypt(probe, _OAEP), _OAEP) == probe
        except ValueError:
            same = False
        if not same:
            raise IntegrityError("the halves of the RSA key do not belong together", hint="strongroom doctor")
        self._confirmed = True


def key_id_of(token: bytes) -> str | None:
    """The `kid` of a JWE's header; None where it names none. DecryptionError for what is no JWE of ours."""
    parts = _parts(token)
    if parts is None:
        raise DecryptionError(_FAILED)
    kid = _header(parts[0])
    if kid is None:
        raise DecryptionError(_FAILED)
    return kid or None


def _check_no_context(context: bytes) -> None:
    if context != b"":
        raise PolicyError(
            "a compact JWE has no place for associated data (RFC 7516 section 7.1)",
            hint="strongroom create NAME --type x25519 makes a keyset that binds a context",
        )


def _parts(token: bytes) -> tuple[bytes, ...] | None:
    found = _TOKEN.fullmatch(token) if len(token) <= MAX_TOKEN else None
    return None if found is None or len(found[1]) > MAX_HEADER else found.groups()


def _header(encoded: bytes) -> str | None:
    """The kid, "" for none; None where the header is not exactly ours: no other algorithm (RFC 8725 section 3.1)."""
    try:
        # as text: json.loads would take bytes for UTF-16 or UTF-32 as well
        pairs = json.loads(b64decode(encoded.decode("ascii")).decode("utf-8"), object_pairs_hook=list)
    except (FormatError, ValueError, RecursionError):
        return None
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) for pair in pairs):
        return None
    members = dict(pairs)
    if len(members) != len(pairs) or set(members) - {"alg", "enc", "kid"}:
        return None
    if members.get("alg") != "RSA-OAEP-256" or members.get("enc") != "A256GCM":
        return None
    kid = members.get("kid", "")
    return kid if isinstance(kid, str) else None


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _decrypt(private: JwePrivate, token: bytes) -> bytes | None:
    parts = _parts(token)
    if parts is None or _header(parts[0]) is None:
        return None
    try:
        wrapped, iv, ciphertext, tag = (b64decode(part.decode("ascii")) for part in parts[1:])
        return AESGCM(_content_key(private._key, wrapped)).decrypt(iv, ciphertext + tag, parts[0])
    except (InvalidTag, FormatError):
        return None


def _content_key(key: RSAPrivateKey, wrapped: bytes) -> bytes:
    # RFC 7516 section 11.5: a wrapped key that is not one is replaced by chance, so that it fails where a wrong tag
    # does; an attacker who could tell the two apart would have an oracle for OAEP (Manger)
    try:
        content_key = key.decrypt(wrapped, _OAEP)
    except ValueError:
        return os.urandom(32)
    return content_key if len(content_key) == 32 else os.urandom(32)
