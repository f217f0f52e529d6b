"""Floor 7: Django. It translates words and decides nothing. Importing it opens no store and touches no cache."""

from __future__ import annotations

from strongroom.django.connections import keystores

__all__ = ["keystores"]
