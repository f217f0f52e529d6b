"""Transcripts that the registrar signs: what was said, and the signature, as two words of base64url and a dot."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

from strongroom.django import keystores
from strongroom.errors import SignatureError

SIGNING = "jwt-signing"


def issue(claims: dict[str, object]) -> str:
    """A transcript: RSA-PSS under the primary version of the signing keyset."""
    said = json.dumps(claims, sort_keys=True, separators=(",", ":")).encode()
    signature = keystores["default"].signer(SIGNING).sign(said)
    return f"{_text(said)}.{_text(signature)}"


def verified(transcript: str) -> dict[str, object]:
    """What it says, if any version of the keyset signed it; else SignatureError, which does not say why."""
    said, _, signature = transcript.partition(".")
    try:
        claims, raw = _raw(said), _raw(signature)
    except ValueError:
        raise SignatureError("this is no transcript") from None
    keystores["default"].verifier(SIGNING).verify(raw, claims)
    held: dict[str, object] = json.loads(claims)
    return held


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _raw(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
