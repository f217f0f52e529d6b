"""Ways to open the root key. A slot seals to a public key only, so that a rotation needs no secret.

Here are the two that need no cipher of their own: the OpenPGP slot, which is a file beside the header, and the
development slot, which hides nothing. The others stand in passphrase.py, rsa.py and hpke.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Protocol, Self

from strongroom.errors import FormatError, SettingsError
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.root import MAX_LINE, Root, RootRef, matching

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_ROOT_FILE = re.compile(r"root\.([1-9][0-9]{0,8})\.gpg")


class Slot(Protocol):
    """One way to open the root key."""

    @property
    def kind(self) -> str:
        """`openpgp`, `passphrase`, `rsa`, `hpke` or `development`."""
        ...

    @property
    def label(self) -> str:
        """What tells it from the others of its kind; empty where there can be only one."""
        ...

    @property
    def wants(self) -> str:
        """What opens it, for people."""
        ...

    def reseal(self, root: Root) -> Self:
        """The same slot for another root. It needs no secret but the root."""
        ...


def check_label(label: str) -> str:
    """The label itself. SettingsError unless it is 1 to 64 lower-case letters, digits, dots, dashes, underscores."""
    if _LABEL.fullmatch(label) is None:
        raise SettingsError(
            f"{label[:80]!r} is not a slot label: 1 to 64 of a-z, 0-9, dot, dash and underscore",
            hint="call it after the one who holds the key, as 'strongroom doctor' shows",
        )
    return label


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPgpSlot:
    """The root line in a file of its own, as binary OpenPGP to the approved recipients: `gpg -d` opens it."""

    file: str

    def __post_init__(self) -> None:
        # The name goes to the file system, and comes from a header that is not yet authentic.
        if _ROOT_FILE.fullmatch(self.file) is None:
            raise FormatError(f"{self.file[:80]!r} is not the name of a root file like 'root.1.gpg'")

    @property
    def kind(self) -> str:
        return "openpgp"

    @property
    def label(self) -> str:
        return ""

    @property
    def wants(self) -> str:
        return f"gpg with the secret key of an approved recipient of {self.file}"

    @classmethod
    def of(cls, number: int) -> Self:
        """The slot of root `number`."""
        return cls(file=f"root.{number}.gpg")

    def reseal(self, root: Root) -> Self:
        """The slot of another root; its file is written by `strongroom.sealing.openpgp.seal`."""
        return type(self).of(root.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class DevelopmentSlot:
    """The root line in the clear, for stores that protect nothing. It opens only where the caller says so."""

    line: str = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.line) >= MAX_LINE or not self.line.isascii() or "\n" in self.line:
            raise FormatError(f"{len(self.line)} characters are not a root line")

    @property
    def kind(self) -> str:
        return "development"

    @property
    def label(self) -> str:
        return ""

    @property
    def wants(self) -> str:
        return "STRONGROOM_DEVELOPMENT=1, because everyone can read its root"

    @classmethod
    def create(cls, root: Root) -> Self:
        """The slot that publishes `root`."""
        return cls(line=root.line().reveal().decode("ascii").removesuffix("\n"))

    def open(self, wanted: RootRef) -> Root:
        """The root. Errors as `strongroom.sealing.root.matching`."""
        return matching(SecretBytes(self.line.encode("ascii") + b"\n"), wanted)

    def reseal(self, root: Root) -> Self:
        return type(self).create(root)


def _openpgp_conforms(slot: OpenPgpSlot) -> Slot:
    return slot


def _development_conforms(slot: DevelopmentSlot) -> Slot:
    return slot
