"""Looking for plaintexts where there must be none: every file, every git object, the cache, in every usual spelling."""

from __future__ import annotations

import base64
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key

from strongroom.keystore.facade import KeyStore


class Plaintexts:
    """What must not be found. It is kept in this process only, and shown nowhere."""

    def __init__(self) -> None:
        self._spellings: list[tuple[str, bytes]] = []

    def add(self, name: str, raw: bytes) -> None:
        """One plaintext, in all its spellings; again for another way to write it."""
        self._spellings += [(name, spelling) for spelling in sorted(spellings(raw))]

    @property
    def names(self) -> list[str]:
        """What is looked for, in the order in which it was added."""
        return list(dict.fromkeys(name for name, _ in self._spellings))

    @property
    def count(self) -> int:
        """How many spellings are looked for."""
        return len(self._spellings)

    def found_in(self, haystack: bytes) -> set[str]:
        """The names of those that are there, line breaks in base64 and hex notwithstanding."""
        joined = haystack.replace(b"\r", b"").replace(b"\n", b"")
        return {name for name, spelling in self._spellings if spelling in haystack or spelling in joined}


def spellings(raw: bytes) -> set[bytes]:
    """Raw, hexadecimal, and base64 of either alphabet, wherever in a longer base64 text it begins."""
    found = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + raw)
        # the first and the last group also depend on the neighbours, so only what lies between is looked for
        middle = encoded[4 if shift else 0 : len(encoded) - (4 if (shift + len(raw)) % 3 else 0)]
        if len(middle) >= 12:
            found |= {middle, middle.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def add_keys(plaintexts: Plaintexts, keystore: KeyStore) -> None:
    """Every version of every keyset: its bytes, and of an RSA key its primes and its private exponent as well."""
    for keyset in keystore.list():
        opened = keystore.current(keyset.name).opened
        for version in keyset.versions:
            name = f"{keyset.name}, version {version.number}"
            raw = opened.material(version.number).reveal()
            if not keyset.type.value.startswith("rsa-"):
                plaintexts.add(name, raw)
                continue
            plaintexts.add(name, raw[1:])  # PKCS#8, after the byte that says that it was validated
            key = load_der_private_key(raw[1:], None)
            if not isinstance(key, RSAPrivateKey):
                raise TypeError(f"{name} is {keyset.type.value}, and holds another kind of key")
            numbers = key.private_numbers()
            for value in (numbers.p, numbers.q, numbers.d):
                plaintexts.add(name, value.to_bytes((value.bit_length() + 7) // 8, "big"))


@dataclass(frozen=True, slots=True)
class Found:
    """What a search looked through, and what it found where."""

    searched: tuple[str, ...]
    hits: Mapping[str, set[str]]


def look(plaintexts: Plaintexts, place: Path, environ: Mapping[str, str], others: Mapping[str, bytes]) -> Found:
    """Search every file and git object below a place, and other bytes by their names, for every plaintext."""
    count = size = 0
    hits: dict[str, set[str]] = {}
    for name, raw in files(place):
        count, size = count + 1, size + len(raw)
        hits[name] = plaintexts.found_in(raw)
    searched = [f"{count} files of {size // 1024} KiB (work trees, git, homes, database, logs, witnesses)"]
    for name, objects, raw in git_objects(place, environ):
        searched.append(f"{objects} git objects of {name}")
        hits[f"the git objects of {name}"] = plaintexts.found_in(raw)
    for name, raw in others.items():
        searched.append(f"{name} ({len(raw)} bytes)")
        hits[name] = plaintexts.found_in(raw)
    return Found(tuple(searched), {name: what for name, what in hits.items() if what})


def files(place: Path) -> Iterator[tuple[str, bytes]]:
    """Every regular file below a place, hidden ones and git's own included."""
    for path in sorted(place.rglob("*")):
        if stat.S_ISREG(path.lstat().st_mode):
            yield str(path.relative_to(place)), path.read_bytes()


def git_objects(place: Path, environ: Mapping[str, str]) -> Iterator[tuple[str, int, bytes]]:
    """For every git repository below a place: its name, how many objects it has, and all of them unpacked."""
    for objects in sorted(place.rglob("objects")):
        directory = objects.parent
        if not (directory / "HEAD").is_file():
            continue
        asking = ["git", "--git-dir", str(directory), "cat-file", "--batch-all-objects"]
        every, listed = (
            subprocess.run([*asking, how], capture_output=True, check=True, env=dict(environ), timeout=60).stdout
            for how in ("--batch", "--batch-check")
        )
        yield str(directory.relative_to(place)), listed.count(b"\n"), every
