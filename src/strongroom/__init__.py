"""The front door. Nothing inside imports it, and it imports nothing until it is asked."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_ROOMS: dict[str, str] = {}


def __getattr__(name: str) -> Any:  # PEP 562: `import strongroom.blackbox` must not pay for the keystore
    room = _ROOMS.get(name)
    if room is None:
        raise AttributeError(f"module 'strongroom' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(room), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOMS])
