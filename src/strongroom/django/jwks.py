"""`/.well-known/jwks.json`: a view that shows public keys to everybody, and can show no others."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.utils.cache import get_conditional_response

from strongroom.django import conf
from strongroom.django.connections import keystores
from strongroom.errors import CannotOpenError, NotPublishedError, StoreError
from strongroom.keystore.jwks import MAX_AGE, MEDIA_TYPE, key_set

log = logging.getLogger("strongroom")

RETRY_AFTER = "30"
"""Seconds after which a verifier may ask again where the keys cannot be read now."""


class JwksView:
    """GET and HEAD, conditional requests, `Cache-Control`; no session, no cookie, no login."""

    login_required = False  # django.contrib.auth.middleware.LoginRequiredMiddleware lets everybody through

    def __init__(
        self, *, keyset: str, tokens_live: timedelta, algorithm: str | None, max_age: timedelta, keystore: str
    ) -> None:
        self.keyset = keyset
        self.tokens_live = tokens_live
        self.algorithm = algorithm
        self.max_age = max_age
        self.keystore = keystore

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["GET", "HEAD"])
        try:
            found = key_set(
                keystores[self.keystore],
                self.keyset,
                tokens_live=self.tokens_live,
                algorithm=self.algorithm,
                max_age=self.max_age,
            )
        except (CannotOpenError, NotPublishedError, StoreError) as error:
            # for a while, one hopes: a verifier keeps what it has, and asks again. A wrong keyset is a bug, and raises.
            log.error("keyset=%s event=jwks-unavailable error=%s", self.keyset, type(error).__name__)  # noqa: TRY400  where nothing opens, frames are not for a log
            return HttpResponse(status=503, headers={"Cache-Control": "no-store", "Retry-After": RETRY_AFTER})
        response = HttpResponse(found.body, content_type=MEDIA_TYPE)
        response["Cache-Control"] = f"public, max-age={found.max_age}"
        response["ETag"] = found.etag
        response["Access-Control-Allow-Origin"] = "*"  # a page may verify tokens, too; nothing here is secret
        response["X-Content-Type-Options"] = "nosniff"
        return get_conditional_response(request, etag=found.etag, response=response) or response

    def __repr__(self) -> str:
        return f"<JWKS view of {self.keyset!r}>"


def jwks_view(
    keyset: str,
    *,
    tokens_live: timedelta,
    algorithm: str | None = None,
    max_age: timedelta = MAX_AGE,
    keystore: str = conf.DEFAULT_ALIAS,
) -> JwksView:
    """The keys of one keyset, for `path(".well-known/jwks.json", jwks_view("api-tokens", tokens_live=…))`.

    tokens_live: the longest life of a token; a key that has stopped signing is shown for as long. algorithm: "RS256" or
    "PS256" for an RSA keyset. max_age: how long a verifier may keep the answer; never longer than a new key travels.
    """
    return JwksView(keyset=keyset, tokens_live=tokens_live, algorithm=algorithm, max_age=max_age, keystore=keystore)
