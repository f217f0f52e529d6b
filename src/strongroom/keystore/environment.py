"""Variables that may hold what opens a store, or what it holds: a frame of ours that is shown tells only how many."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Self


class Environment(dict[str, str]):
    """Environment variables. Debug pages and error reports show the locals of frames; of this they show a number."""

    @classmethod
    def of(cls, environ: Mapping[str, str] | None) -> Self:
        """A copy of these, or of the process's own for None."""
        return environ if isinstance(environ, cls) else cls(os.environ if environ is None else environ)

    def __repr__(self) -> str:
        return f"<environment of {len(self)} variables>"

    __sentry_repr__ = __repr__  # sentry_sdk looks into mappings, unless they say how they are shown
