"""The end of versions: scheduled, spared, carried out. Nobody's data becomes unreadable without his being asked.

No process destroys by itself: between the day that was set and `destroy --due` a version goes on processing, and each
use of it is said in the log, so that whoever still needs it is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from strongroom._encoding import format_time
from strongroom.errors import ClosedError, PolicyError, StrongroomError
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.in_use import NOBODY_NAMED, Use
from strongroom.keystore.in_use_naming import register_named
from strongroom.model.dooming import LONGEST_WAIT, expired
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeysetName

Confirm = Callable[[str, Sequence[Use]], bool]
"""Shows a person which keyset's data becomes unreadable, and where, if that is known; whether that is meant."""


NOBODY_ASKED = f"nobody was asked what data is still protected: {NOBODY_NAMED}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroyed:
    """What `destroy_due` did to one keyset. `problem` says why nothing was done, empty where it was."""

    keyset: KeysetName
    versions: tuple[int, ...]
    uses: tuple[Use, ...]
    problem: str

    def facts(self) -> dict[str, object]:
        """For machines."""
        return {
            "keyset": self.keyset,
            "versions": list(self.versions),
            "unreadable": [use.facts() for use in self.uses] if not self.problem else [],
            "problem": self.problem or None,
        }

    def sentence(self) -> str:
        """For people."""
        numbers = ", ".join(map(str, self.versions))
        which = f"version{'s' if len(self.versions) > 1 else ''} {numbers} of {self.keyset}"
        return f"{which}: not destroyed: {self.problem}" if self.problem else f"destroyed {which}"


def schedule(
    keystore: KeyStore,
    name: str,
    number: int | None,
    *,
    reason: str,
    after_s: int = LONGEST_WAIT,
    shred: Confirm | None = None,
    environ: Mapping[str, str] | None = None,
) -> Keyset:
    """Set the day on which a version may be destroyed; None: every version, which stops the keyset from protecting now.

    after_s: 7 to 30 days, in seconds. Data that a version still protects is a PolicyError that tells where it is,
    unless `shred` agrees that it becomes unreadable; it is asked, too, where nobody could tell what is under it.
    StateError for the primary alone, and for what is destroyed.
    """
    register_named(keystore, environ)
    _check_use(keystore, name, _wanted(keystore.show(name), number), shred, said="--all" if number is None else number)
    return keystore.doom(name, number, wait_s=after_s, reason=reason)


def destroy_due(
    keystore: KeyStore,
    *,
    only: str | None = None,
    shred: Confirm | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[Destroyed, ...]:
    """Destroy every version whose day has come (of one keyset, where `only` names it). Data in use keeps its version.

    Its material leaves the store and this process; its number, key id, dates and public half stay. Every other process
    follows within its recheck time, workers with the next publication.
    """
    register_named(keystore, environ)
    now = keystore.clock.now()
    done: list[Destroyed] = []
    keysets = keystore.list() if only is None else (keystore.show(only),)
    for keyset in keysets:
        numbers = expired(keyset, now)
        if not numbers:
            continue
        uses: tuple[Use, ...] = ()
        problem = ""
        try:
            uses = _check_use(keystore, keyset.name, numbers, shred, said="--due")
            keystore.destroy(keyset.name, numbers)
        except ClosedError:
            raise
        except StrongroomError as trouble:
            problem = str(trouble)
        done.append(Destroyed(keyset=keyset.name, versions=numbers, uses=uses, problem=problem))
    return tuple(done)


def aftermath(keystore: KeyStore) -> tuple[str, ...]:
    """What a destruction does not reach, in sentences for whoever ordered it."""
    root = keystore.sealed.root.number
    held = f"older commits and backups still hold the material, sealed under root {root} or one before it"
    told = [
        f"{held}: whoever can open that root can read it there, and no copy can be called back",
        f"strongroom root rotate, then strongroom root destroy {root}, ends that for all who keep no copy of the root",
        "processes that use the store follow within seconds; worker groups with the next publication",
    ]
    if not keystore.has_reports:
        told.append(NOBODY_ASKED)
    return tuple(told)


def unreadable(uses: Sequence[Use]) -> tuple[str, ...]:
    """What a person is shown before he agrees: each place, and how much is lost there; or that nobody can tell."""
    if not uses:
        return (f"{NOBODY_ASKED}; whatever is under it becomes unreadable",)
    return tuple(f"{use.place}: {use.count} under version {use.version} become unreadable" for use in uses)


def scheduled(keyset: Keyset, number: int | None) -> str:
    """What was set, for people."""
    days = {format_time(v.destroy_at)[:10] for v in keyset.alive if v.destroy_at and number in {None, v.number}}
    what = f"every version of {keyset.name}" if number is None else f"version {number} of {keyset.name}"
    return f"{what} may be destroyed from {min(days)} on: strongroom destroy --due; until then it stays what it is"


def _wanted(keyset: Keyset, number: int | None) -> tuple[int, ...]:
    return tuple(version.number for version in keyset.alive) if number is None else (keyset.version(number).number,)


def _check_use(
    keystore: KeyStore, name: str, numbers: Sequence[int], shred: Confirm | None, *, said: str | int
) -> tuple[Use, ...]:
    """PolicyError for versions in use, unless that is meant. `said`: which they are, in the words of the command."""
    uses = tuple(use for use in keystore.uses(name) if use.version in numbers and use.count)
    if shred is not None and not uses and not keystore.has_reports and not shred(name, uses):
        raise PolicyError(
            f"{name!r} is not shredded: nobody was asked what data is under it, and its name was not typed",
            hint="say --shred at a terminal, where you are asked, or --shred --yes",
        )
    if uses and (shred is None or not shred(name, uses)):
        told = ", ".join(f"version {use.version} in {use.place} ({use.count})" for use in uses[:5])
        more = f" and {len(uses) - 5} more places" if len(uses) > 5 else ""
        raise PolicyError(
            f"{name!r} still protects data: {told}{more}",
            hint="encrypt it again first: manage.py strongroom reencrypt; or have it unreadable for good:"
            f" manage.py strongroom destroy {name} {said} --shred, which asks",
        )
    return uses
