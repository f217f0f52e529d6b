"""Who else is asked about the use of versions: by exact name, from the environment. Nothing loads for being installed.

The names stand in STRONGROOM_IN_USE and not in strongroom.toml: that file is in the repository, and whoever can write
to it must not choose what code runs (DESIGN section 7).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from strongroom.errors import SettingsError, StoreError, StrongroomError
from strongroom.keystore.environment import Environment
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.in_use import InUse, Use
from strongroom.model.keyset import Keyset

VARIABLE: Final = "STRONGROOM_IN_USE"
GROUP: Final = "strongroom.in_use"


def register_named(keystore: KeyStore, environ: Mapping[str, str] | None) -> None:
    """Register everyone whom STRONGROOM_IN_USE names, blanks between. SettingsError for a name that nobody here has."""
    for name in Environment.of(environ).get(VARIABLE, "").split():
        keystore.register_use(_Named(name, _report(name)))


def _report(name: str) -> InUse:
    for point in entry_points(group=GROUP, name=name):
        try:
            made = _loaded(point)()
        except StrongroomError:
            raise
        except Exception as error:  # noqa: BLE001  code of others, which may raise anything
            raise SettingsError(
                f"{VARIABLE} names {name!r}, which cannot be asked: {type(error).__name__}",
                hint=f"python -c 'import {point.module}'",
            ) from None
        if callable(getattr(made, "uses", None)):
            return cast("InUse", made)  # what it answers is looked at
        raise SettingsError(f"{VARIABLE} names {name!r}, whose entry point {point.value!r} makes nothing with `uses`")
    known = sorted({point.name for point in entry_points(group=GROUP)})
    raise SettingsError(
        f"{VARIABLE} names {name!r}, and nothing that is installed here has that name",
        hint=f"installed: {', '.join(known)}" if known else f"a package offers one as entry point of {GROUP!r}",
    )


def _loaded(point: EntryPoint) -> Callable[[], object]:
    loaded: Callable[[], object] = point.load()
    return loaded


@dataclass(frozen=True, slots=True, eq=False)
class _Named:
    """One whom the environment names: what goes wrong in his code is an error of ours, which says whose it is."""

    name: str
    report: InUse

    def __eq__(self, other: object) -> bool:
        """Whom the environment names twice, or at two commands of one process, is asked once."""
        return isinstance(other, _Named) and other.name == self.name

    __hash__ = None  # type: ignore[assignment]  # it stands in a list

    def uses(self, keyset: Keyset) -> Sequence[Use]:
        """What he answers."""
        try:
            found = tuple(self.report.uses(keyset))
        except StrongroomError:
            raise
        except Exception as error:  # noqa: BLE001  as above; its message may quote a row
            raise StoreError(f"{self.name!r} could not tell what is in use: {type(error).__name__}") from None
        if not all(isinstance(use, Use) for use in found):
            raise StoreError(f"{self.name!r} answered with something that is no Use")
        return found


def _conforms(report: _Named) -> InUse:
    return report
