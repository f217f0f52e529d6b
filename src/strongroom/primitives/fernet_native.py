"""Which Fernet is fastest here: ours, or for short messages cryptography's own, where that is compiled."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Final

from cryptography.fernet import Fernet as LibraryFernet

from strongroom.primitives.fernet_key import PooledFernetKey
from strongroom.primitives.fernet_token import check_spelling
from strongroom.primitives.secret import SecretBytes

NATIVE_BELOW: Final = 1 << 16  # bytes


class NativeFernetKey(PooledFernetKey):
    """The same, with short messages left to a Fernet of cryptography's own that is native (expected in its release 51).

    Large ones stay with us, where the buffers and pybase64 win, and so does the strictness: the text is checked to be
    canonical before the library sees it.
    """

    __slots__ = ("_native",)

    def __init__(self, key: SecretBytes, *, native: type[LibraryFernet] = LibraryFernet) -> None:
        super().__init__(key)
        self._native = _library_key(key, native)

    def encrypt(self, data: bytes) -> bytes:
        """A token for data, made now."""
        if type(data) is not bytes or len(data) < NATIVE_BELOW:
            return self._native.encrypt(data)
        return super().encrypt(data)

    def decrypt(self, token: bytes | str, ttl: int | None = None) -> bytes:
        """The data. ttl: the greatest age; with it, a token from more than a minute ahead is refused too."""
        if (type(token) is bytes or type(token) is str) and len(token) < NATIVE_BELOW:
            check_spelling(token)
            return self._native.decrypt(token, ttl)
        return super().decrypt(token, ttl)


def choose(native: type[LibraryFernet]) -> type[PooledFernetKey]:
    """The class that is fastest beside this Fernet of cryptography's: ours steps aside where theirs is compiled."""
    return NativeFernetKey if "_rust" in native.__module__ else PooledFernetKey


if TYPE_CHECKING:
    FernetKey = PooledFernetKey
else:
    FernetKey = choose(LibraryFernet)


# a leaf function: see fernet_key
def _library_key(key: SecretBytes, native: type[LibraryFernet]) -> LibraryFernet:
    return native(urlsafe_b64encode(key.reveal()))
