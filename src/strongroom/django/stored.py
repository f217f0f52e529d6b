"""How many encrypted files each version still protects: the first bytes of each file tell it."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence

from strongroom.django.storage import EncryptedStorage, encrypted_storages
from strongroom.errors import StoreError
from strongroom.keystore.handles.streams import STREAM_START, stream_version
from strongroom.keystore.in_use import InUse, Use
from strongroom.model.keyset import Keyset


class InFiles:
    """What the encrypted storages of STORAGES still hold under a keyset of the store with this alias.

    Every file is opened for its first bytes: on a large storage, and a remote one, that takes its time.
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InFiles) and other._alias == self._alias

    def __hash__(self) -> int:
        return hash((InFiles, self._alias))

    def uses(self, keyset: Keyset) -> Sequence[Use]:
        """Every storage and version with at least one file. StoreError where a storage cannot be listed or read."""
        starts = {b"\x01" + version.key_id.to_bytes(4, "big"): version.number for version in keyset.versions}
        found: list[Use] = []
        for name, storage in encrypted_storages().items():
            if (storage.keystore, storage.keyset) != (self._alias, keyset.name):
                continue
            counted = Counter(starts.get(start) for start in _starts(name, storage))
            found += [
                Use(place=f"the files of STORAGES[{name!r}]", version=version, count=count)
                for version, count in sorted(counted.items(), key=lambda each: each[0] or 0)
                if version is not None
            ]
        return found


def _starts(alias: str, storage: EncryptedStorage) -> Iterator[bytes]:
    inner = storage.inner
    waiting = [""]
    try:
        while waiting:
            place = waiting.pop()
            directories, files = inner.listdir(place)
            waiting += [posixpath.join(place, name) for name in directories]
            for name in files:
                with inner.open(posixpath.join(place, name), "rb") as file:
                    start = stream_version(file.read(STREAM_START))
                if start is not None:
                    yield start
    except FileNotFoundError:
        return  # nothing was ever saved, or it was deleted meanwhile
    except (OSError, NotImplementedError) as error:
        raise StoreError(
            f"the files of STORAGES[{alias!r}] cannot be gone through: {type(error).__name__}",
            hint="manage.py check; then try again",
        ) from None


def _conforms(files: InFiles) -> InUse:
    return files
