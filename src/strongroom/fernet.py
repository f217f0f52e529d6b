"""Fernet and MultiFernet as cryptography has them: change the import and nothing else. The keys never show themselves.

Constructors, methods, argument types and exceptions are those of `cryptography.fernet`, and so are the tokens. It is
faster, and differs in four ways that are meant:

* a token has one spelling: what is not canonical url-safe base64 (white space, '+' and '/', anything after the padding,
  stray bits) is InvalidToken, and so is a str that is not ASCII;
* objects refuse pickle and copy, have no `__dict__`, and do not show their key;
* MultiFernet takes this module's Fernet objects only, since the key of another's could be had only through what its
  library keeps private. It tries the key that opened the last token first; that changes only how soon a token opens;
* `MultiFernet.rotate_many` is new: `rotate` for many tokens, several times faster.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterable

from strongroom.primitives.fernet import FernetKey, FernetRing, InvalidToken
from strongroom.primitives.secret import SecretBytes

__all__ = ["Fernet", "InvalidToken", "MultiFernet"]


class Fernet(FernetKey):
    """One key, 32 bytes as url-safe base64. `backend` is accepted and ignored, as in cryptography.

    Raises ValueError for a key that is not that. Safe to share between threads, and after a fork.
    """

    __slots__ = ()

    def __init__(self, key: bytes | str, backend: object = None) -> None:
        secret = _decoded(key)
        if secret is None:
            raise ValueError("Fernet key must be 32 url-safe base64-encoded bytes.")
        super().__init__(secret)

    @classmethod
    def generate_key(cls) -> bytes:
        """A new key, as the constructor takes it. Keep it secret, and in a keystore."""
        return urlsafe_b64encode(os.urandom(32))


class MultiFernet(FernetRing):
    """Several keys: the first encrypts, each decrypts. Raises ValueError where there is none."""

    __slots__ = ()

    def __init__(self, fernets: Iterable[Fernet]) -> None:
        fernets = list(fernets)
        if not fernets:
            raise ValueError("MultiFernet requires at least one Fernet instance")
        for fernet in fernets:
            if not isinstance(fernet, Fernet):
                raise TypeError(f"MultiFernet takes strongroom.fernet.Fernet objects, not {type(fernet).__name__}")
        self.adopt(fernets, [0] * len(fernets))


def _decoded(key: bytes | str) -> SecretBytes | None:
    # raises nothing itself (but for a key that is no text at all), so that no traceback's locals hold the bytes
    try:
        raw = urlsafe_b64decode(key)
    except Base64Error:
        return None
    return SecretBytes(raw) if len(raw) == 32 else None
