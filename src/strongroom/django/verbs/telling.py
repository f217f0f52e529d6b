"""What the verbs say of versions."""

from __future__ import annotations

from strongroom.django.tally import Tally


def named(each: Tally) -> str:
    """A version, as people read it."""
    if each.keyset is None:
        return (
            "under no version of this store"
            if each.sealed
            else "no cells of ours, perhaps plaintext (docs/how-to/encrypt-an-existing-column.md)"
        )
    return f"{each.keyset} version {each.version}{' (primary)' if each.primary else ''}"
