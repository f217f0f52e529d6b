"""What an encrypted PKCS#8 key asks of its passphrase's derivation, read before any of it is paid.

EncryptedPrivateKeyInfo (RFC 5958 section 3) says in the clear which derivation it wants and how many rounds: a file of
200 bytes may ask for minutes, or for all memory. Only the shape is read here; `cryptography` decrypts.
"""

from __future__ import annotations

from typing import Final

from strongroom.errors import FormatError, PolicyError
from strongroom.primitives.secret import SecretBytes

MAX_ITERATIONS: Final = 10_000_000
MAX_SCRYPT_BYTES: Final = 1 << 30
"""128 · N · r · p: the memory that scrypt would take, times its passes (RFC 7914 section 2)."""

_INTEGER: Final = 0x02
_OCTETS: Final = 0x04
_OID: Final = 0x06
_SEQUENCE: Final = 0x30

_PBES2: Final = bytes.fromhex("2a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("2a864886f70d01050c")
_SCRYPT: Final = bytes.fromhex("2b06010401da47040b")
_PBES1: Final = (bytes.fromhex("2a864886f70d0105"), bytes.fromhex("2a864886f70d010c01"))  # PKCS#5, PKCS#12


def check_cost(der: bytes) -> None:
    """Return if the passphrase's derivation is affordable.

    PolicyError where it is not, or is none that we know; FormatError where this is no EncryptedPrivateKeyInfo.
    """
    body, rest = _take(der, _SEQUENCE)
    algorithm, sealed = _take(body, _SEQUENCE)
    _, sealed_rest = _take(sealed, _OCTETS)
    if rest or sealed_rest:
        raise FormatError("bytes follow the encrypted key")
    scheme, parameters = _take(algorithm, _OID)
    parameters, _ = _take(parameters, _SEQUENCE)
    if scheme == _PBES2:
        derivation, _ = _take(parameters, _SEQUENCE)
        scheme, parameters = _take(derivation, _OID)
        parameters, _ = _take(parameters, _SEQUENCE)
        known = scheme in {_PBKDF2, _SCRYPT}
    else:
        known = scheme.startswith(_PBES1) and scheme != _PBKDF2
    if not known:
        raise PolicyError("the encrypted key names a scheme that we do not know", hint="openssl pkcs8 -topk8")
    _, costs = _take(parameters, _OCTETS)
    if scheme == _SCRYPT:
        _check_scrypt(costs)
    else:
        _check_iterations(costs)


def _check_iterations(costs: bytes) -> None:
    iterations, _ = _number(costs)
    if iterations > MAX_ITERATIONS:
        raise PolicyError(
            f"the encrypted key asks for {iterations} rounds for its passphrase; the limit is {MAX_ITERATIONS}",
            hint="openssl pkcs8 -topk8 -iter 600000",
        )


def _check_scrypt(costs: bytes) -> None:
    n, costs = _number(costs)
    r, costs = _number(costs)
    p, _ = _number(costs)
    if 128 * n * r * p > MAX_SCRYPT_BYTES:
        raise PolicyError(
            f"the encrypted key asks scrypt for N = {n}, r = {r}, p = {p}; the limit is {MAX_SCRYPT_BYTES} bytes",
            hint="openssl pkcs8 -topk8 -scrypt",
        )


def _number(raw: bytes) -> tuple[int, bytes]:
    content, rest = _take(raw, _INTEGER)
    if not 1 <= len(content) <= 8 or content[0] & 0x80:
        raise PolicyError("the encrypted key asks for a cost that is no small positive number")
    return int.from_bytes(content, "big"), rest


def _take(raw: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the first element, and what follows it. Nothing here is secret: the key itself is encrypted."""
    found = _span(raw)
    if found is None or raw[0] != tag:
        raise FormatError("not an encrypted PKCS#8 key in DER")
    start, end = found
    return raw[start:end], raw[end:]


def _span(raw: bytes) -> tuple[int, int] | None:
    """Where the content of the first DER element starts and ends; None where it is cut off or not DER."""
    if len(raw) < 2:
        return None
    length, start = raw[1], 2
    if length >= 0x80:
        start += length & 0x7F
        length = int.from_bytes(raw[2:start], "big")
        if length < 0x80 or raw[2] == 0:  # one spelling of a length, and never an indefinite one (X.690 section 10.1)
            return None
    return (start, start + length) if start + length <= len(raw) else None


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def is_private_key(raw: SecretBytes) -> bool:
    """Whether the bytes have the outline of a private key in DER: one SEQUENCE, all of them, that opens with a version.

    A random 32-byte key never has: the length would have to be right, and the next four bytes.
    """
    inner = _whole_sequence(raw.reveal())
    return inner[:2] == b"\x02\x01" and inner[2:3] < b"\x04"


def is_encrypted(raw: SecretBytes) -> bool:
    """Whether the bytes have the outline of an EncryptedPrivateKeyInfo: a SEQUENCE of an algorithm and octets."""
    inner = _whole_sequence(raw.reveal())
    span = _span(inner)
    if span is None or inner[0] != _SEQUENCE:
        return False
    return inner[span[0] : span[0] + 1] == bytes([_OID]) and inner[span[1] : span[1] + 1] == bytes([_OCTETS])


def _whole_sequence(raw: bytes) -> bytes:
    span = _span(raw)
    return raw[span[0] :] if span is not None and raw[0] == _SEQUENCE and span[1] == len(raw) else b""
