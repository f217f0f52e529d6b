"""Passphrases: where they come from, and which are good enough. They never come from argv.

A passphrase is text in Unicode normalization form C (RFC 8265 section 4.2.2, rule 4), as UTF-8: the same keys pressed
on two machines give the same bytes.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Final

from strongroom.errors import PassphraseError
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.private_files import read_descriptor, read_private_file

MIN_CHARACTERS: Final = 15
"""NIST SP 800-63B-4 section 3.1.1.2: at least 15 characters where the passphrase is the only factor."""
MIN_DIFFERENT: Final = 6
MAX_BYTES: Final = 1024
_ELSE: Final = "strongroom --passphrase-file FILE names another, and --passphrase-fd N reads a descriptor"

# Crockford's base 32 without 'i', 'l', 'o' and 'u': no two characters look alike, and 32 of them are 5 bits each.
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_GROUPS: Final = 4
_GROUP: Final = 4


def generate_passphrase() -> SecretBytes:
    """A passphrase of 80 random bits, like `k3vq-9m0t-x2sd-7hpa`."""
    groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return SecretBytes("-".join(groups).encode("ascii"))


def check_strength(passphrase: SecretBytes) -> None:
    """PassphraseError for a passphrase that is too easy to guess to seal with. Opening takes any."""
    characters, different = _measured(passphrase)
    if characters < MIN_CHARACTERS or different < MIN_DIFFERENT:
        raise PassphraseError(
            f"the passphrase has {characters} characters, {different} of them different; "
            f"it takes {MIN_CHARACTERS} and {MIN_DIFFERENT}: who has the repository can guess at leisure",
            hint="let 'strongroom init --passphrase' make one",
        )


def passphrase_from_text(text: str) -> SecretBytes:
    """The passphrase of a prompt or a variable. One line feed at its end is dropped. PassphraseError otherwise."""
    given = SecretBytes(text.encode("utf-8", "surrogatepass"))
    del text  # this frame may be shown when it is refused
    return _normal(given)


def passphrase_from_bytes(given: SecretBytes) -> SecretBytes:
    """The passphrase that was given as UTF-8. One line feed at its end is dropped. PassphraseError otherwise."""
    return _normal(given)


def passphrase_from_file(path: Path) -> SecretBytes:
    """The passphrase in a private file. One line feed at its end is dropped. Errors as `read_private_file`."""
    return _normal(read_private_file(path, what="passphrase file", hint=_ELSE))


def passphrase_from_descriptor(descriptor: int) -> SecretBytes:
    """The passphrase that an open descriptor gives until its end. One line feed at its end is dropped."""
    return _normal(read_descriptor(descriptor, what="passphrase"))


def passphrase_from_prompt(ask: Callable[[], str]) -> SecretBytes:
    """The passphrase that a person types. PassphraseError when there is nobody to ask."""
    try:
        answer = SecretBytes(ask().encode("utf-8", "surrogatepass"))
    except (EOFError, OSError):
        raise PassphraseError(
            "no passphrase was given", hint="set STRONGROOM_PASSPHRASE_FILE, or type it at the prompt"
        ) from None
    return _normal(answer)


def _normal(given: SecretBytes) -> SecretBytes:
    if len(given) > MAX_BYTES:
        raise PassphraseError(f"the passphrase has {len(given)} bytes; the limit is {MAX_BYTES}")
    normal = _normalized(given)
    if normal is None:
        raise PassphraseError("the passphrase is not UTF-8 text on one line, or holds control characters")
    if not len(normal):
        raise PassphraseError("the passphrase is empty")
    return normal


# Plain text of a passphrase lives below this line only, in functions that do not raise (STYLE section 6).


def _normalized(given: SecretBytes) -> SecretBytes | None:
    try:
        text = given.reveal().decode("utf-8")
    except UnicodeDecodeError:
        return None
    text = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in text):
        return None
    return SecretBytes(unicodedata.normalize("NFC", text).encode("utf-8"))


def _measured(passphrase: SecretBytes) -> tuple[int, int]:
    text = passphrase.reveal().decode("utf-8", "replace")
    return len(text), len(set(text))
