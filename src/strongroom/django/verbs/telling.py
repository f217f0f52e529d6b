"""What the verbs say of versions."""

from __future__ import annotations

from strongroom.django.tally import Tally


def named(each: Tally) -> str:
    """A version, as people read it."""
    if each.keyset is None:
        return "under no version of this store"
    return f"{each.keyset} version {each.version}{' (primary)' if each.primary else ''}"
