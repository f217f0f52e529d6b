"""A SIGNING_BACKEND: Django's signed cookies under an hmac-sha256 keyset, whose signatures name the key that made them.

`STRONGROOM_SIGNING = {"KEYSET": "signing"}` in the settings; KEYSTORE ("default") is an alias of STRONGROOM, and
ACCEPT_SECRET_KEY (False) lets what SECRET_KEY signed before the change-over verify until it expires.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.core import signing

from strongroom._encoding import b64decode, b64encode, encode_fields
from strongroom.django.connections import keystores
from strongroom.errors import FormatError, SettingsError, SignatureError

SETTING: Final = "STRONGROOM_SIGNING"
_KNOWN: Final = ("KEYSET", "KEYSTORE", "ACCEPT_SECRET_KEY")


class _KeysetSigner(signing.Signer):
    def signature(self, value: str | bytes, key: str | bytes | None = None) -> str:
        """The signature under the keyset's primary; under a key that Django names, as Django makes it."""
        if key is not None:
            return super().signature(value, key)
        said = _said()
        return b64encode(keystores[said["KEYSTORE"]].mac(said["KEYSET"]).compute(self._bound(value)))

    def unsign(self, signed_value: str) -> str:
        """The value. BadSignature; StrongroomError where there is no key to verify with."""
        said = _said()
        value, found, given = signed_value.rpartition(self.sep)
        if not found:
            raise signing.BadSignature(f'No "{self.sep}" found in value')
        if self._verifies(value, given, said):
            return value
        if said["ACCEPT_SECRET_KEY"]:
            return super().unsign(signed_value)
        raise signing.BadSignature(f'Signature "{given}" does not match')

    def _verifies(self, value: str, given: str, said: Mapping[str, Any]) -> bool:
        mac = keystores[said["KEYSTORE"]].mac(said["KEYSET"])
        try:
            mac.verify(b64decode(given), self._bound(value))
        except (FormatError, SignatureError):
            return False
        return True

    def _bound(self, value: str | bytes) -> bytes:
        salt, raw = (
            each if isinstance(each, bytes) else each.encode("utf-8", "surrogatepass") for each in (self.salt, value)
        )
        return encode_fields(b"strongroom/1 signing", salt, raw)


class TimestampSigner(signing.TimestampSigner, _KeysetSigner):
    """`SIGNING_BACKEND = "strongroom.django.signing.TimestampSigner"`; it may be used by hand, too.

    The signature is base64url(HMAC-SHA-256 behind Tink's five-byte prefix) over purpose, salt and value, joined with
    their lengths. After a rotation the version is found by its key id; after a compromise its signatures are refused.
    The keys that Django hands over serve ACCEPT_SECRET_KEY only, and sign nothing.
    """


def _said() -> dict[str, Any]:
    given = getattr(settings, SETTING, None)
    if not isinstance(given, Mapping) or not isinstance(given.get("KEYSET"), str) or set(given) - set(_KNOWN):
        raise SettingsError(
            f"{SETTING} is a dict with KEYSET, and perhaps {' and '.join(_KNOWN[1:])}",
            hint=f'write {SETTING} = {{"KEYSET": "signing"}}, and strongroom create signing --type hmac-sha256',
        )
    return {"KEYSTORE": "default", "ACCEPT_SECRET_KEY": False, **given}
