"""Whom a worker believes: the issuer that its identity names, or the one to whom links have led. There is no way back.

What it moved on to is remembered in a file outside the process, where there is a place: else whoever knew the key of an
issuer that was replaced could, after every start, lead the worker on to a key of his own.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
from pathlib import Path
from typing import Final, Literal

import msgspec

from strongroom._closing import let_go
from strongroom._encoding import b64decode, b64encode, encode_fields
from strongroom.caching.issuer_links import Issuer
from strongroom.errors import FormatError, StoreError, StrongroomError
from strongroom.sealing.identities import WorkerIdentity
from strongroom.stores.placing import DIRECTORY, place, read_file

log = logging.getLogger("strongroom")

_LIMIT: Final = 4096


class _Memory(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    format: Literal["strongroom/1 worker memory"]
    issuer: str


class Belief:
    """The issuer that is believed, and who it was at first."""

    __slots__ = ("_first", "_noted", "_path", "issuer")

    def __init__(self, identity: WorkerIdentity, memory: Path | None = None) -> None:
        """`memory`: the directory in which it is remembered; None where there is no place. FormatError; StoreError."""
        self._first = Issuer(identity.issuer)
        # of another identity nothing is remembered: a new one is how a person puts right what was believed wrongly
        whose = encode_fields(identity.store, identity.group.encode(), identity.issuer, identity.public)
        name = f"worker-{identity.store.hex()}-{hashlib.sha256(whose).hexdigest()[:16]}.json"
        self._path = None if memory is None else memory / name
        self._noted: Issuer | None = None
        self.issuer = self._first
        self.look_again()

    @property
    def moved(self) -> bool:
        """Whether a link was followed, so that the identity names an issuer that was replaced."""
        return self.issuer != self._first

    def look_again(self) -> Issuer:
        """Who is believed, after a look at what another process with this identity may have remembered meanwhile.

        FormatError for a memory that is spoiled; StoreError.
        """
        found = self._remembered()
        if found is not None and found != self._noted:  # else it may be of before a step that could not be written
            self._noted = self.issuer = found
        return self.issuer

    def follow(self, signer: Issuer) -> None:
        """Believe whoever signed a publication that was taken, from now on and, where there is a place, for good."""
        if signer == self.issuer:
            return
        self.issuer = signer
        kept = False
        try:
            kept = self._remember(signer)
            self._noted = signer
        except StrongroomError as problem:
            log.warning("problem=%r event=issuer-not-remembered", str(problem))
        mark = hashlib.sha256(signer.public).hexdigest()[:16]
        log.warning("issuer=%s remembered=%s event=issuer-followed", mark, "yes" if kept else "no")

    def _remembered(self) -> Issuer | None:
        path = self._path
        if path is None:
            return None
        try:
            raw = _read(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"cannot read {str(path)!r}: {error.strerror}", hint="'ls -l' tells why") from None
        with contextlib.suppress(msgspec.MsgspecError, ValueError, FormatError):
            return Issuer(b64decode(_DECODER.decode(raw).issuer))
        raise FormatError(
            f"{str(path)!r} does not say which issuer the worker has moved on to", hint=f"rm -- {str(path)!r}"
        )

    def _remember(self, issuer: Issuer) -> bool:
        if self._path is None:
            return False
        raw = msgspec.json.encode(_Memory(format="strongroom/1 worker memory", issuer=b64encode(issuer.public)))
        above, shown = self._path.parent, repr(str(self._path))
        try:
            above.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory = os.open(above, DIRECTORY & ~os.O_NOFOLLOW)
        except OSError as error:
            raise StoreError(f"cannot write {shown}: {error.strerror}") from None
        try:
            place(raw + b"\n", self._path.name, directory=directory, top=directory, shown=shown)
        finally:
            let_go(directory)
        return True


_DECODER = msgspec.json.Decoder(_Memory)


def _read(path: Path) -> bytes:
    directory = os.open(path.parent, DIRECTORY & ~os.O_NOFOLLOW)
    try:
        found = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
        if found.st_uid not in {os.geteuid(), 0} or stat.S_IMODE(found.st_mode) & 0o022:
            # whoever can put a file there would decide whom the worker believes
            raise StoreError(
                f"others can write {str(path)!r}", hint=f"chown and chmod go-w {str(path)!r}, or remove it"
            )
        return read_file(path.name, directory=directory, limit=_LIMIT)
    finally:
        let_go(directory)
