"""Floor 7: Django. It translates words and decides nothing. Importing it opens no store and touches no cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strongroom.django.connections import keystores

__all__ = ["keystores"]


def __getattr__(name: str) -> Any:  # PEP 562: settings.py takes lazy values from here, and no Django is imported then
    if name != "keystores":
        raise AttributeError(f"module 'strongroom.django' has no attribute {name!r}")
    from strongroom.django.connections import keystores

    globals()[name] = keystores
    return keystores
