"""Which ciphertext each plaintext in the work tree came from: hashes of ciphertexts only, outside the repository."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

import msgspec

from strongroom.blackbox import state
from strongroom.blackbox.site import Site
from strongroom.errors import SettingsError, StrongroomError

_FORMAT = "strongroom/1 deployed"


class _Row(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """SHA-256 of the ciphertext, and how the plaintext looked when it was written (inode, size, change in ns)."""

    ciphertext: str
    inode: int
    size: int
    changed: int


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    files: dict[str, _Row]


class Deployed:
    """A memory that may be lost: then everything is decrypted once more. It is never believed about a plaintext that
    does not look, to the nanosecond, as it did."""

    def __init__(self, path: Path | None, rows: dict[str, _Row]) -> None:
        self._path = path
        self._rows = rows
        self._dirty = False

    @classmethod
    def load(cls, site: Site) -> Deployed:
        """What is known; nothing where there is no place, or where the file cannot be believed."""
        try:
            path = state.path_of(site.environ, site.root, site.place.data, "deployed")
        except SettingsError:
            return cls(None, {})
        try:
            raw = state.read(path)
            file = _File(format="", files={}) if raw is None else msgspec.json.decode(raw, type=_File)
        except (StrongroomError, msgspec.MsgspecError):
            return cls(path, {})
        return cls(path, dict(file.files) if file.format == _FORMAT else {})

    def is_current(self, plain: str, ciphertext: str, status: os.stat_result | None) -> bool:
        """Whether the plaintext there is, untouched, the one that came from this ciphertext."""
        row = self._rows.get(_key(plain))
        return row is not None and status is not None and row == _row(ciphertext, status)

    def came_from(self, plain: str, ciphertext: bytes, status: os.stat_result) -> bool:
        """As `is_current`, of the ciphertext itself."""
        return self.is_current(plain, hashlib.sha256(ciphertext).hexdigest(), status)

    def remember(self, plain: str, ciphertext: str, status: os.stat_result) -> None:
        """The plaintext with this look came from this ciphertext."""
        self._rows[_key(plain)] = _row(ciphertext, status)
        self._dirty = True

    def forget_all_but(self, plains: Collection[str]) -> None:
        """Forget files that are no longer registered."""
        wanted = {_key(plain) for plain in plains}
        for key in self._rows.keys() - wanted:
            del self._rows[key]
            self._dirty = True

    def save(self) -> None:
        """Write it down if there is anything new. A memory that cannot be kept only costs time, so no error."""
        if self._path is not None and self._dirty:
            try:
                state.write(self._path, msgspec.json.encode(_File(format=_FORMAT, files=self._rows)))
            except StrongroomError:
                return
            self._dirty = False


def _key(plain: str) -> str:
    return os.fsencode(plain).decode("latin-1")  # any bytes, and JSON takes it


def _row(ciphertext: str, status: os.stat_result) -> _Row:
    return _Row(ciphertext=ciphertext, inode=status.st_ino, size=status.st_size, changed=status.st_mtime_ns)
