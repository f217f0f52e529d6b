"""The front door. Nothing inside imports it, and it imports nothing until it is asked."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_ROOMS: dict[str, str] = {
    "open": "strongroom.keystore.opening:open_store",
    "aopen": "strongroom.keystore.opening_async:aopen",
    "create_store": "strongroom.keystore.founding:found",
    "django_secret_key": "strongroom.keystore.secretkey:django_secret_key",
    "lazy_secret": "strongroom.django.lazy:lazy_secret",
    "lazy_pem": "strongroom.django.lazy:lazy_pem",
    "database": "strongroom.django.lazy:database",
    "simplejwt_keys": "strongroom.django.lazy:simplejwt_keys",
    "oauth2_provider": "strongroom.django.lazy:oauth2_provider",
    "allauth_private_keys": "strongroom.django.lazy:allauth_private_keys",
    "KeyStore": "strongroom.keystore.facade:KeyStore",
    "Limits": "strongroom.caching.limits:Limits",
    "SecretBytes": "strongroom.primitives.secret:SecretBytes",
    "StrongroomError": "strongroom.errors:StrongroomError",
}


def __getattr__(name: str) -> Any:  # PEP 562: `import strongroom.blackbox` must not pay for the keystore
    room = _ROOMS.get(name)
    if room is None:
        raise AttributeError(f"module 'strongroom' has no attribute {name!r}")
    from importlib import import_module

    module, _, attribute = room.partition(":")
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOMS])
