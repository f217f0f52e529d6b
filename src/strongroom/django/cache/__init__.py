"""`strongroom.django.cache.EncryptedCache`: a CACHES entry that seals the values, and hides the keys, of another."""

from __future__ import annotations

from strongroom.django.cache.backend import EncryptedCache
from strongroom.django.cache.refusals import refusals

__all__ = ["EncryptedCache", "refusals"]
