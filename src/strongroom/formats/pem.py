"""PEM text (RFC 7468) as blocks. What stands around a block is ignored; what stands within is read strictly."""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import Final

from strongroom.errors import FormatError
from strongroom.primitives.secret import SecretBytes

_BEGIN: Final = b"-----BEGIN "
_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z0-9][A-Z0-9 ]{0,39})-----[ \t]*\r?\n(.*?)-----END \1-----", re.DOTALL)
_BLANK: Final = b" \t\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block. `der` is what its base64 holds; None for one with headers (RFC 1421), which `text` holds whole."""

    label: str
    der: SecretBytes | None
    text: SecretBytes


def is_pem(given: SecretBytes) -> bool:
    """Whether a PEM block begins somewhere in the bytes."""
    return _begins(given) > 0


def blocks(given: SecretBytes) -> tuple[Block, ...]:
    """All blocks, in order. FormatError where one does not end, or holds what is no base64."""
    found = _blocks(given)
    if found is None or len(found) != _begins(given):
        raise FormatError(f"{len(given)} bytes are not PEM: a block does not end, or holds something else than base64")
    return found


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _begins(given: SecretBytes) -> int:
    return given.reveal().count(_BEGIN)


def _blocks(given: SecretBytes) -> tuple[Block, ...] | None:
    made = []
    for found in _BLOCK.finditer(given.reveal()):
        der = None
        if b":" not in found[2]:  # a header line has one, and base64 has not
            try:
                der = SecretBytes(binascii.a2b_base64(found[2].translate(None, _BLANK), strict_mode=True))
            except ValueError:
                return None
        text = SecretBytes(found[0] + b"\n")
        made.append(Block(label=found[1].decode("ascii"), der=der, text=text))
    return tuple(made)
