"""An EncryptedCache that hands on what Django's tests reach for inside a backend: only so can those tests be run."""

from __future__ import annotations

from typing import Any

from django.core.cache import caches

from strongroom.django.cache import EncryptedCache

SHARED = {"_cache", "_expire_info"}
"""What the tests of locmem put into its siblings, so that they share their values."""


class ReachThrough(EncryptedCache):
    """Attributes that are not ours are the inner backend's."""

    def __getattr__(self, name: str) -> Any:
        if name == "_given":
            raise AttributeError(name)
        return getattr(caches[self._given["CACHE"]], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in SHARED:
            setattr(caches[self._given["CACHE"]], name, value)
        else:
            super().__setattr__(name, value)
