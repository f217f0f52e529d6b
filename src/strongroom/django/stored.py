"""How many encrypted files each version still protects: the first bytes of each file tell it."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from strongroom.django.file_columns import FileColumn, all_file_columns
from strongroom.django.file_moving import FileVersions, count_files
from strongroom.django.storage import EncryptedStorage, encrypted_storages
from strongroom.django.switching import is_unfinished
from strongroom.django.tally import Tally, answering, uses_at
from strongroom.errors import StoreError
from strongroom.keystore.in_use import InUse, Use
from strongroom.model.keyset import Keyset


class InFiles:
    """What encrypted storages still hold under a keyset of the store with this alias: those of STORAGES, file by file,
    and those that only a FileField knows, by its rows.

    Every file is opened for its first bytes: on a large storage, and a remote one, that takes its time.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InFiles) and other._alias == self._alias

    def __hash__(self) -> int:
        return hash((InFiles, self._alias))

    def uses(self, keyset: Keyset) -> Sequence[Use]:
        """Every place and version with at least one file. StoreError where a storage cannot be listed or read."""
        found: list[Use] = []
        for alias, storage in listed_storages(self._alias).items():
            if storage.keyset == keyset.name:
                found += uses_at(place_of(alias), count_listed(alias, storage))
        for column in all_file_columns():
            if column.store == self._alias and column.storage.keyset == keyset.name and not is_listed(column):
                for using in column.databases():
                    with answering(column.label, using):
                        found += uses_at(f"the files of {column.place(using)}", count_files(column, using))
        return found


def listed_storages(store: str) -> dict[str, EncryptedStorage]:
    """The encrypted storages of STORAGES whose keysets are in this store, by their aliases."""
    return {alias: storage for alias, storage in encrypted_storages().items() if storage.keystore == store}


def place_of(alias: str) -> str:
    """What people call a storage."""
    return f"the files of STORAGES[{alias!r}]"


def is_listed(column: FileColumn) -> bool:
    """Whether the files of a column lie in a storage of STORAGES, where they are counted already."""
    mine = column.storage  # it may be a lazy stand-in for the default one
    return any(
        (mine.inner is other.inner and mine.keyset == other.keyset and mine.keystore == other.keystore)
        for other in encrypted_storages().values()
    )


def count_listed(alias: str, storage: EncryptedStorage) -> list[Tally]:
    """What protects the files that a storage lists, counted. What no version of its keyset made is not."""
    versions = FileVersions(storage)
    counted: Counter[int | None] = Counter()
    for name in listed_files(alias, storage):
        with _readable(alias):
            try:
                start = storage.start_of(name)
            except FileNotFoundError:
                continue  # it was deleted meanwhile
        made = versions.made(start)
        if made is not None:
            counted[made] += 1
    return versions.tallies(counted)


def listed_files(alias: str, storage: EncryptedStorage) -> Iterator[str]:
    """The names of all files of a storage. StoreError where it cannot be listed."""
    waiting = [""]
    while waiting:
        place = waiting.pop()
        with _readable(alias):
            try:
                directories, files = storage.listdir(place)
            except FileNotFoundError:
                continue  # nothing was ever saved, or it was deleted meanwhile
        waiting += [posixpath.join(place, name) for name in directories]
        yield from (posixpath.join(place, name) for name in files if not is_unfinished(name))


@contextmanager
def _readable(alias: str) -> Iterator[None]:
    try:
        yield
    except (OSError, NotImplementedError) as error:
        raise StoreError(
            f"the files of STORAGES[{alias!r}] cannot be gone through: {type(error).__name__}",
            hint="manage.py check; then try again",
        ) from None


def _conforms(files: InFiles) -> InUse:
    return files
