"""What a store and a source are. A store holds records at rest and never sees a key; a source opens them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from strongroom.errors import StrongroomError
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeysetName, Revision
from strongroom.primitives.secret import SecretBytes

WAIT = 30.0
"""Seconds that a writer waits for another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """Something that lies among the records and is none. It was not opened."""

    place: str
    """Its path below the directory of the records, as it is; anyone chose it, so it is shown with `!r`."""
    problem: str
    """What is wrong with it, as words that follow the place."""


class Change(NamedTuple):
    """A record to be written in place of its revision `replaces`."""

    name: KeysetName
    raw: bytes
    replaces: Revision


class Store(Protocol):
    """Records at rest, by name: bytes. It compares revisions and nothing else; what is authentic is decided above.

    Every method may raise StoreError: the medium failed, and the old state stands.
    """

    @property
    def location(self) -> str:
        """Where it is, for people."""
        ...

    @property
    def travels_by_git(self) -> bool:
        """Whether a change reaches other hosts by a deployment, and not at once."""
        ...

    def header(self) -> bytes:
        """The header's bytes. NotFoundError where there is no store; FormatError when there are too many of them."""
        ...

    def write_header(self, raw: bytes, *, replaces: bytes | None) -> None:
        """Put a header in place of the one with these very bytes; None: there must be none (ExistsError).

        ConflictError when another writer was first.
        """
        ...

    def header_stamp(self) -> object:
        """A cheap token that is equal while the header is the same, another one after a change; None without one."""
        ...

    def attachment(self, name: str) -> bytes:
        """The file `root.N.gpg` beside the header. NotFoundError."""
        ...

    def write_attachment(self, name: str, raw: bytes) -> None:
        """Put a file `root.N.gpg` in place, whether there is one or not."""
        ...

    def remove_attachment(self, name: str) -> None:
        """Take a file `root.N.gpg` away; there may be none."""
        ...

    def lies_open(self, number: int) -> bool:
        """Whether a plaintext of root `number` lies beside its sealed file: the original scripts put it there."""
        ...

    def names(self) -> tuple[KeysetName, ...]:
        """The names of all records, sorted. What is no record is left out: see `oddities`."""
        ...

    def oddities(self) -> tuple[Oddity, ...]:
        """What lies among the records and is none."""
        ...

    def read(self, name: KeysetName) -> bytes:
        """The bytes of a record. NotFoundError; FormatError when there are too many of them."""
        ...

    def read_many(self, names: Sequence[KeysetName]) -> list[bytes | None]:
        """The bytes of many records, in the same order; None for one that is gone meanwhile."""
        ...

    def stamp(self, name: KeysetName) -> object:
        """A cheap token that is equal while a record is the same, and another one after a change. NotFoundError."""
        ...

    def write(self, name: KeysetName, raw: bytes, *, replaces: Revision | None) -> None:
        """Put a record in place of the one with this revision, whole or not at all; None: there must be none.

        ExistsError; ConflictError when another revision, or none, is there; FormatError when what is there cannot be
        read.
        """
        ...

    def write_many(self, records: Sequence[Change]) -> None:
        """`write` many records, each of them whole or not at all, at the price of one look at the disk for all.

        An error may leave some of them written. Errors as `write`.
        """
        ...

    def lock(self, *, wait: float = WAIT) -> AbstractContextManager[None]:
        """Be the only writer for a block; a thread may nest it. LockError after `wait` seconds."""
        ...

    def path_of(self, name: KeysetName) -> Path | None:
        """The file to `git add` for a keyset; None where there are no files."""
        ...

    def close(self) -> None:
        """Give up what is held. Closing twice is harmless."""
        ...


class Opened(Protocol):
    """One keyset as a source gives it out."""

    @property
    def keyset(self) -> Keyset:
        """The keyset, with the states that count: a witness may know sterner ones than the record."""
        ...

    @property
    def verified(self) -> bool:
        """Whether its origin is proven; False for a plain BlackBox file."""
        ...

    @property
    def hindrance(self) -> StrongroomError | None:
        """Why nothing may be protected, published or written with it now (StaleError, ExposedRootError); or None."""
        ...

    def material(self, number: int) -> SecretBytes:
        """The material of a version, opened at each call. NotFoundError; StateError for a destroyed version."""
        ...


@runtime_checkable
class Refreshed(Protocol):
    """A source that asks elsewhere only now and then, and can be made to ask now."""

    def refresh(self) -> None:
        """Ask now. What fails is not told: what is held serves."""
        ...


class Source(Protocol):
    """What a keystore draws from: a sealed store, the view of a BlackBox repository, later a publication.

    Names are as callers have them; each source holds its own law of names against them.
    """

    @property
    def location(self) -> str:
        """Where it is, for people."""
        ...

    @property
    def writable(self) -> bool:
        """Whether it can hold new keysets and changes."""
        ...

    @property
    def verified(self) -> bool:
        """Whether what it gives is proven to come from holders of its root."""
        ...

    def names(self) -> tuple[str, ...]:
        """All names, sorted; nothing is opened for it."""
        ...

    def load(self, name: str) -> Opened:
        """One keyset, verified now. NotFoundError, InvalidNameError, FormatError, IntegrityError, StoreError."""
        ...

    def load_all(self) -> Sequence[Opened]:
        """Every keyset, in the order of their names. The first one that cannot be loaded is the error."""
        ...

    def stamp(self, name: str) -> object:
        """A cheap token that is equal while `load` would give the same. NotFoundError, StoreError."""
        ...

    def close(self) -> None:
        """Forget keys and give up what is held; later calls raise ClosedError. Closing twice is harmless."""
        ...
