"""Where the witness of a store is kept: outside the repository, one for each store and checkout.

In the directory that WITNESS (STRONGROOM_WITNESS) names, else in `witness` below STRONGROOM_STATE, else below
`$XDG_STATE_HOME/strongroom`, else below `~/.local/state/strongroom`. The file's name is the store id and a hash of the
checkout's path, so that two checkouts at different commits do not call one another stale.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from strongroom.errors import StoreError
from strongroom.model.names import StoreId
from strongroom.stores.seen import NoWitness, Witness
from strongroom.stores.witness_file import FileWitness

_BELOW: Final = "witness"
_WHERE: Final = "set STRONGROOM_STATE to a directory of this account"


def open_witness(
    store: StoreId,
    checkout: Path,
    *,
    setting: Path | None = None,
    searched: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Witness:
    """The witness of the store in the directory `checkout`; a NoWitness, which says why, where there is no place.

    What was seen where the directory leads, if there is a link, and under its very spelling, counts against another
    store here; and, if it was `searched` upwards and is the nearest, what was seen in those of this name further up.

    `setting` is a directory, made if it is missing. One that was asked for and cannot be used is a StoreError: whoever
    names a place relies on it. Nothing is written before something is learned.
    """
    environ = os.environ if environ is None else environ
    place = _place(setting, environ)
    problem = f"there is no home directory for it: {_WHERE}" if place is None else _made(place)
    if place is None or problem:
        if setting is not None:
            raise StoreError(
                f"the witness cannot be kept in {str(setting)!r}: {problem}",
                hint="let WITNESS (STRONGROOM_WITNESS) name a directory that this account alone can write",
            )
        return NoWitness(problem)
    here = _where(checkout)

    def others() -> list[str]:
        """Asked for only at a first opening."""
        # a directory above may have become a link since, so that the path as it is spelled was another place then
        places = [Path(os.path.realpath(checkout)), checkout.absolute()]
        if searched:
            places += [above / here.name for above in here.parent.parents]
        return [_mark(each) for each in places]

    return FileWitness(place / f"{store.hex()}-{_mark(here)}.sqlite", store=store, others=others)


def _where(checkout: Path) -> Path:
    """The path that stands for a checkout: without links above it, but not through a link that it is itself.

    A committed link could lead to another store than the directory that was there before.
    """
    plain = checkout.absolute()
    if plain.name in {"", ".."}:
        return Path(os.path.realpath(plain))
    return Path(os.path.realpath(plain.parent)) / plain.name


def _mark(place: Path) -> str:
    return hashlib.sha256(os.fsencode(place)).hexdigest()[:16]


def witness_directory(*, setting: Path | None = None, environ: Mapping[str, str] | None = None) -> Path | None:
    """The directory of the witnesses, whether it is made already or not; None where there can be none."""
    place = _place(setting, os.environ if environ is None else environ)
    if place is None:
        return None
    nearest = place
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    usable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    return place if usable and not (place.exists() and _problem(place)) else None


def memory_directory(*, setting: Path | None = None, environ: Mapping[str, str] | None = None) -> Path | None:
    """The same for what a worker remembers; StoreError for one that was asked for and cannot be used."""
    found = witness_directory(setting=setting, environ=environ)
    if found is None and setting is not None:
        raise StoreError(
            f"nothing can be remembered in {str(setting)!r}",
            hint="let WITNESS (STRONGROOM_WITNESS) name a directory that this account alone can write",
        )
    return found


def _place(setting: Path | None, environ: Mapping[str, str]) -> Path | None:
    if setting is not None:
        return setting.absolute()
    if state := environ.get("STRONGROOM_STATE"):
        return Path(state).absolute() / _BELOW
    # a relative path in it is invalid and ignored (XDG Base Directory Specification)
    state = environ.get("XDG_STATE_HOME", "")
    if state.startswith("/"):
        return Path(state) / "strongroom" / _BELOW
    home = environ.get("HOME", "")
    return Path(home) / ".local" / "state" / "strongroom" / _BELOW if home.startswith("/") else None


def _made(place: Path) -> str:
    """Make the directory; why it cannot be used, or nothing."""
    try:
        if not place.is_dir():
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.mkdir(mode=0o700, exist_ok=True)
        return _problem(place)
    except (OSError, ValueError) as error:
        return f"{str(place)!r} cannot be made: {getattr(error, 'strerror', None) or error}"


def _problem(place: Path) -> str:
    found = place.stat()
    if found.st_uid not in {os.geteuid(), 0}:
        return f"{str(place)!r} belongs to another account"
    if found.st_mode & 0o002:
        # whoever can put a file there decides what was seen
        return f"everyone may write to {str(place)!r}"
    if not os.access(place, os.W_OK | os.X_OK):
        return f"{str(place)!r} cannot be written"
    return ""
