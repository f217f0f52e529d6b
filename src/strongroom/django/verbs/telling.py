"""What the verbs say of versions, and of what was moved between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from strongroom.django.reencryption import Moved, remaining
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


def facts(done: Moved, found: list[Tally]) -> dict[str, Any]:
    """What was moved and what is there now, for machines."""
    return {
        "moved": done.moved,
        "broken": done.broken,
        "examples": [[str(part) for part in key] for key in done.examples],
        "remaining": remaining(found),
        "versions": [
            {"keyset": each.keyset, "version": each.version, "primary": each.primary, "count": each.count}
            for each in found
        ],
    }


def sentences(
    place: str, done: Moved, found: list[Tally], options: dict[str, Any], *, what: str = "", first: str = ":"
) -> Iterator[str]:
    """The same for people. what: stands behind each number; first: leads to the keys of what is broken."""
    left = remaining(found)
    if options["report"]:
        yield from (f"{place}: {named(each)}: {each.count}{what}" for each in found)
        return
    if options["dry_run"]:
        there = sum(each.count for each in found) - left
        yield f"{place}: {left}{what} would be moved; {there} are under the primary"
        return
    yield f"{place}: {done.moved}{what} moved, {left} remain"
    if done.broken:
        keys = ", ".join("/".join(map(str, key)) for key in done.examples)
        yield f"{place}: {done.broken}{what} do not open{first} {keys}"
    if left:
        yield from (f"{place}: {named(each)}: {each.count}{what} remain" for each in found if not each.primary)
