"""Puts simplejwt's token backend in place, where SIMPLE_JWT names a keyset, and only then imports that package."""

from __future__ import annotations

from django.conf import settings

from strongroom.django.lazy import SimpleJwtKeys


def install_if_named() -> None:
    """To be called once, when all apps are loaded. Nothing is opened: the keyset is asked at each token."""
    said = getattr(settings, "SIMPLE_JWT", None)
    keys = said.get("SIGNING_KEY") if isinstance(said, dict) else None
    if isinstance(keys, SimpleJwtKeys):
        from strongroom.django.simplejwt import install  # an extra, which other sites do without

        install(keys)
