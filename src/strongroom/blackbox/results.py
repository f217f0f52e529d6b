"""What a verb did, as values: names and fingerprints, never contents."""

from __future__ import annotations

from dataclasses import dataclass

from strongroom.blackbox.admins import Recipients


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a verb did, or with `dry_run` would do. `changed` are the names to `git add` where nothing was committed."""

    changed: tuple[str, ...]
    recipients: tuple[str, ...] = ()
    """Full fingerprints, in the order of the list of admins."""
    left_out: tuple[str, ...] = ()
    """Listed admins who were not approved and got nothing."""
    committed: bool
    was_tracked: bool = False
    """git tracked the plaintext: it is gone from the next commit, and what was committed or staged still holds it."""
    ignored: bool = True
    """git would not pick up the plaintext; False where a later rule of the user's own brings it back."""
    files: tuple[str, ...] = ()
    """The registered names that it is about."""
    unchanged: tuple[str, ...] = ()
    """Those among the files that are as they should be, and were neither encrypted nor written."""
    exposed: tuple[str, ...] = ()
    """Plaintexts that git tracked: as `was_tracked`, name by name."""
    not_ignored: tuple[str, ...] = ()
    """Plaintexts that git would pick up: as `ignored`, name by name."""


def written(
    changed: tuple[str, ...], to: Recipients | None = None, *, committed: bool, **facts: tuple[str, ...]
) -> Written:
    """The result of a verb that sealed to these recipients, if to any. `facts` are the fields of names."""
    return Written(
        changed=changed,
        recipients=() if to is None else tuple(key.fingerprint for key in to.certificates),
        left_out=() if to is None else to.left_out,
        committed=committed,
        was_tracked=bool(facts.get("exposed")),
        ignored=not facts.get("not_ignored"),
        **facts,
    )
