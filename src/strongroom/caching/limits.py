"""How much, and how long, a process may keep in memory. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of an in-process cache.

    entries: how many things are kept; the longest-held leaves first.
    max_age: seconds after which a keyset is read and verified from its source again, changed or not.
    recheck: seconds between two cheap questions whether the source has changed; with it a change on this host is
        seen within that time.
    grace: seconds for which a source that cannot be asked (a checkout in progress, a disk that fails) is borne with
        what was last verified; after that the error is raised.
    """

    entries: int = 10_000
    max_age: float = 3600.0
    recheck: float = 1.0
    grace: float = 5.0

    def __post_init__(self) -> None:
        if self.entries < 1:
            raise SettingsError(f"a cache of {self.entries} entries holds nothing; 1 is the least")
        for name in ("max_age", "recheck", "grace"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"{name} must be 0 seconds or more, not {getattr(self, name)!r}")


DEFAULT_LIMITS = Limits()
