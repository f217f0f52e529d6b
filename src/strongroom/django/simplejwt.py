"""djangorestframework-simplejwt over a keyset: its tokens carry a kid, and are verified with what the kid names."""

from __future__ import annotations

from typing import Any

import jwt
from django.utils.translation import gettext_lazy
from rest_framework_simplejwt import state
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError
from rest_framework_simplejwt.settings import api_settings

from strongroom.django.lazy import SimpleJwtKeys, opened
from strongroom.errors import SignatureError
from strongroom.keystore.handles.jwt import JwtKeys


class KeysetBackend(TokenBackend):
    """SIMPLE_JWT's ALGORITHM, AUDIENCE, ISSUER, LEEWAY and JSON_ENCODER, with the keys of a keyset.

    The keyset is asked at each token: a rotation needs no restart, and tokens of the former key stay valid.
    """

    def __init__(self, keys: SimpleJwtKeys) -> None:
        super().__init__(
            api_settings.ALGORITHM,
            audience=api_settings.AUDIENCE,
            issuer=api_settings.ISSUER,
            leeway=api_settings.LEEWAY,
            json_encoder=api_settings.JSON_ENCODER,
        )
        self._named = keys

    @property
    def keys(self) -> JwtKeys:
        """The keyset's keys. PurposeError where SIMPLE_JWT["ALGORITHM"] is not theirs."""
        return opened(self._named.alias).jwt(self._named.name, algorithm=self.algorithm)

    def encode(self, payload: dict[str, Any]) -> str:
        """A token of these claims, signed by the primary. Raises StateError where nothing signs now."""
        claims = {**payload}
        if self.audience is not None:
            claims["aud"] = self.audience
        if self.issuer is not None:
            claims["iss"] = self.issuer
        return jwt.encode(claims, **self.keys.signing(), json_encoder=self.json_encoder)

    def get_verifying_key(self, token: Any) -> Any:
        """The public key that the token's kid names; TokenBackendError for a token of another algorithm or key."""
        try:
            return self.keys.verifying(token)["key"]
        except SignatureError:
            pass
        raise TokenBackendError(gettext_lazy("Token is invalid"))


def install(keys: SimpleJwtKeys) -> None:
    """Let every token class use the keyset: they look the backend up by this name, once each token object."""
    state.token_backend = KeysetBackend(keys)
