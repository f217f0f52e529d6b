"""Taking back what a failed act made. Nothing that was there before is touched, and nothing that counts is taken."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from strongroom.errors import StoreError, UnsyncedError


@contextmanager
def undone_on_failure(store: Path, *others: Path) -> Iterator[None]:
    """A failure in the block takes away what the block made of these: the store first, so that none is half there."""
    existed = os.path.lexists(store)
    before = {path: path.read_bytes() if path.is_file() else None for path in others if os.path.lexists(path)}
    try:
        yield
    except BaseException as error:
        for path in tuple(store.glob("*")) if existed else (store,):
            _remove(path)
        for path in others:
            if path not in before:
                _remove(path)
            elif (raw := before[path]) is not None:
                with suppress(OSError):
                    path.write_bytes(raw)
        if isinstance(error, UnsyncedError):
            raise StoreError(f"{error}; what was made was removed again", hint=error.hint) from None
        raise


@contextmanager
def kept_if_written(*paths: Path) -> Iterator[None]:
    """A failure in the block removes these new files, unless what they open was written: then each is the only copy."""
    try:
        yield
    except UnsyncedError:
        raise
    except BaseException:
        for path in paths:
            _remove(path)
        raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
