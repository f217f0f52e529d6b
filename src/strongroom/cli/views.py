"""How keysets are shown: the same facts as JSON, as a table's row and as lines. Never material."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from strongroom._encoding import Timestamp, b64encode, format_count, format_duration, format_time
from strongroom.cli import output
from strongroom.model.names import format_key_id, is_reserved
from strongroom.model.periods import usual
from strongroom.model.states import KeyState, Operation

if TYPE_CHECKING:
    from strongroom.cli.context import Session
    from strongroom.keystore.facade import KeyStore
    from strongroom.model.keyset import Keyset
    from strongroom.model.policy import Policy
    from strongroom.model.version import Version

OWN = "the store's own"
"""What is said of a reserved keyset, which the store keeps for itself."""

When = Callable[[Timestamp], str]
"""Writes a time."""


def keyset_json(keyset: Keyset, now: Timestamp) -> dict[str, object]:
    """A keyset for machines; states are those in force now."""
    primary = keyset.primary_at(now)
    following = keyset.next_change(now)
    return {
        "name": keyset.name,
        "type": keyset.type.value,
        "purpose": keyset.purpose.value,
        "own": is_reserved(keyset.name),
        "revision": keyset.revision,
        "primary": None if primary is None else primary.number,
        "next_change": None if following is None else format_time(following),
        "policy": policy_words(keyset.policy),
        "labels": dict(keyset.labels),
        "versions": [version_json(version, now) for version in keyset.versions],
    }


def version_json(version: Version, now: Timestamp) -> dict[str, object]:
    """A version for machines."""
    return {
        "version": version.number,
        "key_id": format_key_id(version.key_id),
        "state": version.state_at(now).value,
        "created": format_time(version.created),
        "primary_from": None if version.promote_at is None else format_time(version.promote_at),
        "changed": format_time(version.changed),
        "destroy_at": None if version.destroy_at is None else format_time(version.destroy_at),
        "reason": version.reason,
        "prefix": version.prefix.value,
        "public": None if version.public is None else b64encode(version.public),
    }


def policy_words(policy: Policy) -> dict[str, object]:
    """What a policy says, in the words by which it is set."""
    return {
        "rotate_every": _period(policy.rotate_every),
        "propagation": _period(policy.propagation),
        "originator": _period(policy.originator),
        "grace": _period(policy.grace or None),
        "recipient": _period(policy.recipient),
        "allow": ",".join(each.value for each in Operation if each in policy.allow),
        "max_messages": policy.max_messages,
        "worker_messages": policy.worker_messages,
        "exportable": policy.exportable,
    }


def _spoken(policy: Policy) -> dict[str, object]:
    """The same for people."""
    return {**policy_words(policy), "exportable": "yes" if policy.exportable else "no"}


def policy_json(keyset: Keyset) -> dict[str, object]:
    """A policy for machines, with what is usual where it says nothing."""
    return {
        "name": keyset.name,
        "policy": policy_words(keyset.policy),
        "usual": {"originator": _period(usual(keyset).originator), "recipient": _period(usual(keyset).recipient)},
        "labels": dict(keyset.labels),
    }


def policy_facts(keyset: Keyset, *, propagation: int | None) -> dict[str, object]:
    """What `policy` says: every word, and where it is not stated what is usual; `propagation` is the store's."""
    periods = usual(keyset)
    told = _spoken(keyset.policy)
    if told["propagation"] is None and propagation is not None:
        told["propagation"] = f"{_period(propagation)}, as the store says"
    for word, seconds in (("originator", periods.originator), ("recipient", periods.recipient)):
        if told[word] is None and seconds is not None:
            told[word] = f"usually {_period(seconds)}: warned about, not kept to"
    facts = {word.replace("_", " "): "none" if value is None else value for word, value in told.items()}
    return {"name": keyset.name, **facts, **{f"label {key}": text for key, text in keyset.labels.items()}}


def held(keysets: int, groups: int) -> str:
    """What a backup or a checkpoint holds."""
    return f"{format_count(keysets, 'keyset')}, {format_count(groups, 'worker group')}"


def _period(seconds: int | None) -> str | None:
    return None if seconds is None else format_duration(seconds)


_NO_MORE: Mapping[str, object] = MappingProxyType({})

KEYSET_COLUMNS = ("NAME", "TYPE", "PRIMARY", "STATE", "SINCE", "NEXT")


def keyset_row(keyset: Keyset, now: Timestamp, when: When) -> tuple[object, ...]:
    """One line of `list`: SINCE and NEXT are when versions became and become primary."""
    primary = keyset.primary_at(now)
    following = keyset.next_change(now)
    number = "-" if primary is None else str(primary.number)
    return (
        keyset.name,
        f"{keyset.type.value} (own)" if is_reserved(keyset.name) else keyset.type.value,
        f"{number} of {len(keyset.versions)}" if when is short_time else number,
        "no primary" if primary is None else primary.state_at(now).value,
        "-" if primary is None or primary.promote_at is None else when(primary.promote_at),
        "-" if following is None else when(following),
    )


VERSION_COLUMNS = ("VERSION", "KEY ID", "STATE", "CREATED", "PRIMARY FROM", "REASON")


def version_row(keyset: Keyset, version: Version, now: Timestamp, when: When) -> tuple[object, ...]:
    """One line of `show`: the primary is marked with a star."""
    star = "*" if version is keyset.primary_at(now) else ""
    return (
        f"{version.number}{star}",
        format_key_id(version.key_id),
        version.state_at(now).value,
        when(version.created),
        "-" if version.promote_at is None else when(version.promote_at),
        version.reason
        if version.destroy_at is None
        else f"to be destroyed {when(version.destroy_at)}: {version.reason}",
    )


def keyset_facts(keyset: Keyset) -> dict[str, object]:
    """What `show` says above the versions."""
    told = {word: value for word, value in _spoken(keyset.policy).items() if value and value != "no"}
    if keyset.policy.allow == frozenset(Operation):
        del told["allow"]
    return {
        "name": keyset.name,
        "type": f"{keyset.type.value} ({OWN})" if is_reserved(keyset.name) else keyset.type.value,
        "purpose": keyset.purpose.value,
        "revision": keyset.revision,
        **{word.replace("_", " "): value for word, value in told.items()},
        **{f"label {key}": text for key, text in keyset.labels.items()},
    }


def when() -> When:
    """How times are written: short for a person, in full for a pipe."""
    return short_time if output.stdout_is_terminal() else format_time


def short_time(at: Timestamp) -> str:
    """UTC to the minute."""
    return format_time(at)[:16].replace("T", " ") + "Z"


def moved(
    session: Session, keystore: KeyStore, keyset: Keyset, event: str, *, more: Mapping[str, object] = _NO_MORE
) -> None:
    """What a command says after it changed a keyset: the keyset as JSON, or a sentence and what to do next.

    more: what JSON says beside the keyset.
    """
    now = keystore.clock.now()
    if session.as_json:
        output.write_json({**keyset_json(keyset, now), **more})
        return
    primary = keyset.primary_at(now)
    at = "no version is primary" if primary is None else f"version {primary.number} is primary"
    output.tell(f"{event} {keyset.name} ({keyset.type.value}): {at}")
    state = None if primary is None else primary.state_at(now)
    if state not in {None, KeyState.ACTIVE}:
        output.tell(f"it is {state.value}, so nothing protects now: strongroom rotate {keyset.name} --now")
    following = keyset.next_change(now)
    if following is not None:
        after = keyset.primary_at(following)
        number = "?" if after is None else after.number
        output.tell(f"version {number} becomes primary at {short_time(following)}; deploy the store before that")
    path = keystore.path_of(keyset.name)
    if path is not None and any((above / ".git").exists() for above in path.absolute().parents):
        to_share((str(path),))


def to_share(paths: Iterable[str]) -> None:
    """The command that hands changed files to the others, as it can be typed here."""
    words = " ".join(shlex.quote(os.path.relpath(path) if Path(path).is_absolute() else path) for path in paths)
    if words:
        output.tell(f"to share it: git add {words} && git commit")
