"""A version becomes known to somebody: it is marked, replaced, and what it protected is told by whoever keeps data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from strongroom.errors import StrongroomError
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.in_use import NOBODY_NAMED, Use
from strongroom.keystore.in_use_naming import register_named
from strongroom.model.keyset import Keyset
from strongroom.primitives.secret import SecretBytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Compromised:
    """What became of the keyset, and the data that whoever has the version can read.

    asked: whether anybody was there who could tell. problem: why that could not be told to its end; empty where it was.
    """

    keyset: Keyset
    version: int
    protected: tuple[Use, ...]
    asked: bool
    problem: str

    def facts(self) -> dict[str, object]:
        """For machines: what is told beside the keyset. `protected` is null where nobody could tell."""
        known = self.asked and not self.problem
        return {
            "protected": [use.facts() for use in self.protected] if known else None,
            "problem": self.problem or None,
        }

    def sentences(self) -> tuple[str, ...]:
        """For people."""
        whose = f"version {self.version} of {self.keyset.name}"
        told = [f"{use.place}: {use.count} under {whose}, to be encrypted again" for use in self.protected]
        if self.problem:
            told.append(f"not all that {whose} protected could be told: {self.problem}")
        elif not self.asked:
            told.append(f"nobody was asked what {whose} protected: {NOBODY_NAMED}")
        elif not told:
            told.append(f"no data is known to be under {whose}")
        if self.protected:
            told.append("manage.py strongroom reencrypt moves a site's data to the new version")
        return tuple(told)


def compromise(
    keystore: KeyStore,
    name: str,
    number: int,
    *,
    reason: str,
    value: SecretBytes | None = None,
    generate: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Compromised:
    """`KeyStore.compromise`, and then the question who kept data under the version: marking it waits for nobody.

    Whoever is registered with the keystore is asked, and whom STRONGROOM_IN_USE names.
    """
    keyset = keystore.compromise(name, number, reason=reason, value=value, generate=generate)
    uses: tuple[Use, ...] = ()
    problem = ""
    try:
        register_named(keystore, environ)
        uses = tuple(use for use in keystore.uses(name) if use.version == number and use.count)
    except StrongroomError as trouble:
        problem = str(trouble)
    return Compromised(keyset=keyset, version=number, protected=uses, asked=keystore.has_reports, problem=problem)
