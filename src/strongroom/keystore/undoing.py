"""Taking back what a failed founding made. Nothing that was there before is touched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def undone_on_failure(store: Path, *others: Path) -> Iterator[None]:
    """A failure in the block takes away what the block made of these: the store first, so that none is half there."""
    existed = os.path.lexists(store)
    before = {path: path.read_bytes() if path.is_file() else None for path in others if os.path.lexists(path)}
    try:
        yield
    except BaseException:
        for path in tuple(store.glob("*")) if existed else (store,):
            _remove(path)
        for path in others:
            if path not in before:
                _remove(path)
            elif (raw := before[path]) is not None:
                path.write_bytes(raw)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
