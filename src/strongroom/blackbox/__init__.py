"""A BlackBox repository: files, admins, reading, registering. It knows nothing of keystores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strongroom.blackbox.repository import Repository as Repository
    from strongroom.blackbox.repository import Written as Written

__all__ = ["Repository", "Written"]


def __getattr__(name: str) -> Any:  # PEP 562: a module of this floor does not pay for the others
    if name not in __all__:
        raise AttributeError(f"module 'strongroom.blackbox' has no attribute {name!r}")
    from strongroom.blackbox import repository

    return getattr(repository, name)
