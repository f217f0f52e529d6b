"""What no verb releases or seals, whatever file it stands in: the root of a sealed store.

A root lies beside the registered files, sealed to the same people. Whoever can write to the repository could copy it
over one of them, and the next deployment would write it in the clear, though none of those who run it meant to.
"""

from __future__ import annotations

import re

from strongroom.errors import ExposedRootError
from strongroom.primitives.secret import SecretBytes

# docs/format.md: the line that every slot seals. Of any version: a later one opens as much.
_ROOT = re.compile(rb"\s*strongroom/[0-9]{1,9} root ")


def released(plaintext: SecretBytes) -> SecretBytes:
    """The same plaintext; ExposedRootError for a root."""
    _check(plaintext, "it holds the root of a store, and is no secret of its own", "see who put it there: git log -p")
    return plaintext


def check_sealable(plain: str, plaintext: SecretBytes) -> None:
    """ExposedRootError for a root that lies in the clear."""
    _check(plaintext, f"{plain!r} holds the root of a store in the clear", "remove it; strongroom root rotate")


def _check(plaintext: SecretBytes, what: str, hint: str) -> None:
    if _ROOT.match(plaintext.reveal()):
        raise ExposedRootError(what, hint=hint)
