"""System checks of keys for tokens. They read settings, URLs and records that nobody vouched for; they open no store.

strongroom.E040  SIMPLE_JWT names a keyset beside an algorithm, or a second source of keys, that does not go with it
strongroom.E041  a keyset that signs tokens is missing, or is of a type that does not do the algorithm
strongroom.W040  a JWKS view drops a key before its last tokens expire
strongroom.W041  a keyset's new versions sign before verifiers have fetched them
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import checks
from django.urls import URLPattern, URLResolver, get_resolver

from strongroom._encoding import format_duration
from strongroom.django import conf
from strongroom.django.jwks import JwksView
from strongroom.django.lazy import AllauthKeys, LazyPem, SimpleJwtKeys
from strongroom.errors import StrongroomError
from strongroom.keystore.handles.jwt import ALGORITHMS
from strongroom.keystore.inspecting import Claimed, claimed_keyset, store_directory
from strongroom.keystore.jwks import MAX_AGE
from strongroom.keystore.settings import is_build
from strongroom.model.types import Purpose

Message = checks.CheckMessage

_EVERY = frozenset(algorithm for algorithms in ALGORITHMS.values() for algorithm in algorithms)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signs:
    """What signs tokens, or publishes keys for them, by which keyset; `max_age` is what a verifier may keep."""

    where: str
    name: str
    alias: str
    algorithm: str | None
    max_age: timedelta = MAX_AGE


def register() -> None:
    """Register all checks with Django."""
    checks.register(check_simplejwt, checks.Tags.security)
    checks.register(check_keysets, checks.Tags.security)
    checks.register(check_lives, checks.Tags.urls)


def check_simplejwt(app_configs: Any, **kwargs: Any) -> list[Message]:
    """E040."""
    said = _simple_jwt()
    if not isinstance(said.get("SIGNING_KEY"), SimpleJwtKeys):
        return []
    found: list[Message] = []
    algorithm = said.get("ALGORITHM", "HS256")
    if algorithm not in _EVERY:
        found.append(
            checks.Error(
                f"SIMPLE_JWT: {algorithm!r} does not sign with a keyset",
                hint=f'set "ALGORITHM" to what the keyset does: {", ".join(sorted(_EVERY))}',
                id="strongroom.E040",
            )
        )
    found += [
        checks.Error(
            f"SIMPLE_JWT: {other!r} is set beside a keyset, which alone says what verifies",
            hint=f"take {other!r} out",
            id="strongroom.E040",
        )
        for other in ("VERIFYING_KEY", "JWK_URL")
        if said.get(other)
    ]
    return found


def check_keysets(app_configs: Any, **kwargs: Any) -> list[Message]:
    """E041, W041."""
    found: list[Message] = []
    for signs in [*_consumers(), *(_of_view(view) for view in _views())]:
        claimed = _claimed(signs)
        if claimed is None:
            continue
        if claimed.keyset is None:
            missing = f"{signs.where}: there is no keyset {signs.name!r}"
            hint = f"strongroom create {signs.name} --type ed25519"
            found.append(checks.Error(missing, hint=hint, id="strongroom.E041"))
            continue
        keyset = claimed.keyset
        lawful = ALGORITHMS.get(keyset.type, ())
        fits = signs.algorithm in lawful or (signs.algorithm is None and len(lawful) == 1)
        if keyset.purpose is not Purpose.SIGN or not fits:
            found.append(
                checks.Error(
                    f"{signs.where}: {signs.name!r} is {keyset.type.value}, to {keyset.purpose.value}, which does not"
                    f" sign by {signs.algorithm or 'one algorithm alone'}",
                    hint=f"its tokens can have: {' or '.join(lawful) or 'none'}; strongroom show {signs.name}",
                    id="strongroom.E041",
                )
            )
        elif claimed.propagation < signs.max_age.total_seconds():
            found.append(
                checks.Warning(
                    f"{signs.where}: a new version of {signs.name!r} signs {format_duration(claimed.propagation)} after"
                    f" it was added; verifiers may keep the former keys for {int(signs.max_age.total_seconds())} s",
                    hint="make the propagation longer: in strongroom.toml, or strongroom create --propagation 24h",
                    id="strongroom.W041",
                )
            )
    return found


def check_lives(app_configs: Any, **kwargs: Any) -> list[Message]:
    """W040."""
    keys = _simple_jwt().get("SIGNING_KEY")
    if not isinstance(keys, SimpleJwtKeys):
        return []
    life = _simple_jwt().get("ACCESS_TOKEN_LIFETIME", timedelta(minutes=5))
    return [
        checks.Warning(
            f"the JWKS view of {view.keyset!r} drops a key {int(view.tokens_live.total_seconds())} s after it signed"
            f" last; an access token lives {int(life.total_seconds())} s",
            hint="set the view's tokens_live to SIMPLE_JWT['ACCESS_TOKEN_LIFETIME'] or more",
            id="strongroom.W040",
        )
        for view in _views()
        if (view.keyset, view.keystore) == (keys.name, keys.alias) and view.tokens_live < life
    ]


def _simple_jwt() -> dict[str, Any]:
    said = getattr(settings, "SIMPLE_JWT", None)
    return said if isinstance(said, dict) else {}


def _consumers() -> Iterator[_Signs]:
    """Who of the settings signs with a keyset."""
    keys = _simple_jwt().get("SIGNING_KEY")
    algorithm = _simple_jwt().get("ALGORITHM")
    if isinstance(keys, SimpleJwtKeys) and algorithm in _EVERY:  # another algorithm is E040's
        yield _Signs(where="SIMPLE_JWT", name=keys.name, alias=keys.alias, algorithm=algorithm)
    provider = getattr(settings, "OAUTH2_PROVIDER", None) or {}
    for where, value in (
        ("OAUTH2_PROVIDER", provider.get("OIDC_RSA_PRIVATE_KEY")),
        ("IDP_OIDC_PRIVATE_KEYS", getattr(settings, "IDP_OIDC_PRIVATE_KEYS", None)),
        ("HEADLESS_JWT_PRIVATE_KEY", getattr(settings, "HEADLESS_JWT_PRIVATE_KEY", None)),
    ):
        if isinstance(value, (LazyPem, AllauthKeys)):
            yield _Signs(where=where, name=value.name, alias=value.alias, algorithm="RS256")


def _of_view(view: JwksView) -> _Signs:
    return _Signs(
        where="the JWKS view", name=view.keyset, alias=view.keystore, algorithm=view.algorithm, max_age=view.max_age
    )


def _views() -> Iterator[JwksView]:
    """The JWKS views of the site's URLs."""
    if getattr(settings, "ROOT_URLCONF", None):
        yield from _below(get_resolver().url_patterns)


def _below(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[JwksView]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _below(pattern.url_patterns)
        elif isinstance(pattern.callback, JwksView):
            yield pattern.callback


def _claimed(signs: _Signs) -> Claimed | None:
    """What the store's files say of the keyset; None where there are none to read: a worker, a store in memory."""
    if is_build():
        return None
    try:
        directory = store_directory(conf.effective_settings(signs.alias))
    except StrongroomError:  # E001's
        return None
    return None if directory is None else claimed_keyset(directory, signs.name)
