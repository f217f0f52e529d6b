"""Who may receive, where no store's header says it: remembered outside the repository, by full fingerprint.

A committed key, or a line in the list of admins, gets nothing until somebody here has approved it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import msgspec

from strongroom._encoding import Timestamp
from strongroom.blackbox import state
from strongroom.blackbox.admins import candidates_of, resolve
from strongroom.blackbox.site import Site
from strongroom.errors import FormatError, NotFoundError, PolicyError, RecipientError
from strongroom.openpgp.engine import Certificate

_FORMAT = "strongroom/1 approvals"
_FINGERPRINT = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")

Ask = Callable[[Sequence[Certificate]], Collection[str]]
"""Shows certificates to a person, and gives the full fingerprints of those that were approved."""


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fingerprint: str
    name: str
    approved: int


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    format: str
    root: str
    data: str
    admins: tuple[_Row, ...]
    yielded_to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One approved admin: the name is what the certificate said then, for people; `at` in milliseconds, UTC."""

    fingerprint: str
    name: str
    at: Timestamp

    def __post_init__(self) -> None:
        if not _FINGERPRINT.fullmatch(self.fingerprint):
            raise RecipientError(f"{self.fingerprint[:80]!r} is no full fingerprint", hint="gpg --list-keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """The approvals for one checkout and environment. A change is a new value, and is on the disk when it is made."""

    site: Site
    path: Path
    begun: bool
    """Somebody was asked before; where not, nobody is approved yet."""
    admins: tuple[Approval, ...]
    yielded_to: str = ""
    """Whose list was taken in place of this one (`yield_to`); empty while this one decides."""
    lapsed: tuple[Approval, ...] = ()
    """Whom `settled` took off this list just now."""

    @classmethod
    def load(cls, site: Site) -> Self:
        """What is remembered. SettingsError if there is no place; StoreError, FormatError if it cannot be believed."""
        path = state.path_of(site.environ, site.root, site.place.data, "approvals")
        raw = state.read(path)
        if raw is None:
            return cls(site=site, path=path, begun=False, admins=())
        found, yielded_to = _parse(raw, path)
        return cls(site=site, path=path, begun=True, admins=found, yielded_to=yielded_to)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """For `approved=` of the verbs that write."""
        return tuple(admin.fingerprint for admin in self.admins)

    def unapproved(self) -> tuple[Certificate, ...]:
        """Certificates that a listed admin has, and that nobody has approved: in doubt, all that fit the name."""
        return tuple(key for key in candidates(self.site) if key.fingerprint not in self.fingerprints)

    def approve(self, *certificates: Certificate, dry_run: bool = False) -> Self:
        """These may receive from now on, unless it is a dry run. Files are sealed to them by the next `update_all`."""
        at = self.site.clock.now()
        new = tuple(
            Approval(fingerprint=key.fingerprint, name=key.uids[0] if key.uids else "", at=at)
            for key in certificates
            if key.fingerprint not in self.fingerprints
        )
        return self._kept(self.admins + new, dry_run=dry_run)

    def withdraw(self, fingerprint: str, *, dry_run: bool = False) -> Self:
        """This one receives nothing more. NotFoundError."""
        left = tuple(admin for admin in self.admins if admin.fingerprint != fingerprint.upper())
        if len(left) == len(self.admins):
            raise NotFoundError(f"{fingerprint!r} is not approved", hint="strongroom blackbox list-admins")
        return self._kept(left, dry_run=dry_run)

    def settled(self, ask: Ask | None, *, dry_run: bool = False) -> Self:
        """Approvals to write with. The first use asks about every listed admin; without `ask` it is a PolicyError.

        Whoever is not listed any more loses the approval, and is `lapsed`: a line and a key that come back, by a revert
        or from an old branch, are approved again by a person, or get nothing. A dry run remembers none of it.
        """
        if self.begun:
            listed_now = {key.fingerprint for key in candidates(self.site)}
            gone = tuple(admin for admin in self.admins if admin.fingerprint not in listed_now)
            if not gone:
                return self
            left = tuple(admin for admin in self.admins if admin not in gone)
            return replace(self._kept(left, dry_run=dry_run), lapsed=gone)
        listed = resolve(self.site.listed(), self.site.ring())  # two keys for one name are no question to be asked
        if ask is None:
            raise PolicyError(
                f"nobody has said yet which of the {len(listed)} listed admins of {str(self.site.root)!r} may receive",
                hint="strongroom blackbox approve FINGERPRINT",
            )
        said = {fingerprint.upper() for fingerprint in ask(listed)}
        return self.approve(*(key for key in listed if key.fingerprint in said), dry_run=dry_run)

    def yield_to(self, authority: str, fingerprints: Collection[str], *, dry_run: bool = False) -> Self:
        """From now on the list of this authority, a store's id, decides here. PolicyError if it adds anybody.

        Whoever can write to the repository can bring such an authority, too. So where somebody here has approved
        admins, it may say who receives from the moment on when it names no listed admin besides them.
        """
        if not self.begun or self.yielded_to == authority:
            return self
        strangers = [key for key in self.unapproved() if key.fingerprint in fingerprints]
        if strangers:
            raise PolicyError(
                f"the store in this repository approves {', '.join(key.label for key in strangers)}, "
                "whom nobody has approved in this checkout",
                hint=f"strongroom blackbox approve {strangers[0].fingerprint}",
            )
        return replace(self, yielded_to=authority)._kept(self.admins, dry_run=dry_run)

    def _kept(self, admins: tuple[Approval, ...], *, dry_run: bool) -> Self:
        if dry_run:
            return replace(self, admins=admins)
        rows = tuple(_Row(fingerprint=each.fingerprint, name=each.name, approved=each.at) for each in admins)
        where = [str(path).encode("utf-8", "backslashreplace").decode() for path in (self.site.root, self.site.data)]
        # root and data are for who looks at the file
        file = _File(format=_FORMAT, root=where[0], data=where[1], admins=rows, yielded_to=self.yielded_to)
        state.write(self.path, msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n")
        return replace(self, begun=True, admins=admins)


def candidates(site: Site) -> tuple[Certificate, ...]:
    """Every certificate of the tracked keyring that a listed name may mean; a name without a key has none."""
    ring = site.ring()
    found = {key.fingerprint: key for name in site.listed() for key in candidates_of(name, ring)}
    return tuple(found.values())


def _parse(raw: bytes, path: Path) -> tuple[tuple[Approval, ...], str]:
    try:
        file = msgspec.json.decode(raw, type=_File)
        if file.format == _FORMAT:
            admins = tuple(
                Approval(fingerprint=row.fingerprint, name=row.name, at=Timestamp(row.approved)) for row in file.admins
            )
            return admins, file.yielded_to
    except (msgspec.MsgspecError, RecipientError):
        pass
    raise FormatError(f"{str(path)!r} is no list of approvals", hint=f"look at it, then: rm -- {str(path)!r}")
