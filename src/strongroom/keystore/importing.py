"""What people bring: read with a limit, and made material of a type. Nobody guesses which type raw bytes are of."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from strongroom.errors import FormatError, NotFoundError, PassphraseError, SettingsError, StoreError
from strongroom.model.types import KeyType
from strongroom.primitives.importing import MAX_INPUT, check_import, looks_like_private_key, recognise
from strongroom.primitives.secret import SecretBytes

MAX_SOURCE: Final = MAX_INPUT
"""Bytes of a file, or of standard input, that are read: a secret has at most as many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was given, as the material of a version of this type."""

    kind: KeyType
    material: SecretBytes


def checked(given: SecretBytes, kind: KeyType | None, *, passphrase: SecretBytes | None = None) -> Checked:
    """The given bytes as the material of a version, and of which type it is.

    For `secret`, the bytes as they are. For RSA, P-256, Ed25519 and X25519, PEM or DER: PKCS#8, encrypted PKCS#8, or
    the traditional forms; `kind` may then be None, because they say what they are. For every type but RSA, a raw key
    of 32 bytes, or its base64 or base64url text. For `hmac-sha256` other lengths too, from 16 to 128 bytes, taken raw.

    Raises FormatError (not a key of that type, or not sound), PolicyError (a key that is not taken: a weak one, another
    type or curve, a passphrase that costs too much), PassphraseError (one is missing, wrong, or needless),
    SettingsError (the bytes do not say their type, and nobody else did).
    """
    if kind is KeyType.SECRET and passphrase is not None:
        raise PassphraseError("a secret is taken as it is: it is not opened with a passphrase")
    if kind is not None:
        return Checked(kind=kind, material=check_import(kind.value, given, passphrase=passphrase))
    if not 1 <= len(given) <= MAX_SOURCE:
        raise FormatError(f"a key or secret has 1 to {MAX_SOURCE} bytes, not {len(given)}")
    if not looks_like_private_key(given):
        raise SettingsError(
            f"{len(given)} bytes do not say what kind of key they are",
            hint="strongroom import NAME FILE --type fernet (or aes256-gcm, hmac-sha256, secret, …)",
        )
    found = recognise(given, passphrase=passphrase)
    return Checked(kind=KeyType(found.kind), material=found.material)


def read_source(path: Path | None, stream: BinaryIO) -> SecretBytes:
    """What a file holds, or the stream where `path` is None: 1 to 65,536 bytes.

    A path may be a regular file or a pipe (<(command) in a shell), and links are followed: the user names it himself.
    Raises NotFoundError, StoreError (it cannot be read, or is a directory or device), FormatError (empty or too long).
    """
    subject = "standard input" if path is None else repr(str(path))
    content = _read_stream(stream) if path is None else _read_file(path)
    if isinstance(content, FileNotFoundError):
        raise NotFoundError(f"there is no file {subject}", hint="strongroom import NAME reads standard input")
    if isinstance(content, Exception):
        raise StoreError(f"{subject} cannot be read: {_reason(content)}")
    if not 1 <= len(content) <= MAX_SOURCE:
        size = f"more than {MAX_SOURCE} bytes" if len(content) else "nothing"
        raise FormatError(f"{subject} holds {size}, where a key or a secret is wanted")
    return content


def _reason(problem: Exception) -> str:
    return (problem.strerror or "it fails") if isinstance(problem, OSError) else "it is closed, or is no such thing"


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _read_stream(stream: BinaryIO) -> SecretBytes | Exception:
    chunks, size = [], 0
    try:
        while size <= MAX_SOURCE and (chunk := stream.read(MAX_SOURCE + 1 - size)):  # an unbuffered one reads less
            chunks.append(chunk)
            size += len(chunk)
    except (OSError, ValueError) as problem:  # ValueError: it is closed
        return problem.with_traceback(None)  # the frame holds what was read so far
    return SecretBytes(b"".join(chunks))


def _read_file(path: Path) -> SecretBytes | Exception:
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            return OSError(0, "it is neither a file nor a pipe")
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY), "rb") as source:
            return _read_stream(source)
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name
        return problem.with_traceback(None)
