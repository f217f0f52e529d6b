"""What DER says it holds, and what its passphrase would cost. Nothing is derived and nothing decrypted here.

PKCS#8 (RFC 5958) and its neighbours, told apart by the tags of their outermost members alone.
"""

from __future__ import annotations

import enum
from typing import Final

from strongroom.errors import FormatError, PolicyError
from strongroom.primitives.secret import SecretBytes

MAX_ITERATIONS: Final = 10_000_000
MAX_SCRYPT_MEMORY: Final = 1 << 30
MAX_SCRYPT_PASSES: Final = 16

_INTEGER, _BITS, _OCTETS, _OID, _SEQUENCE = 0x02, 0x03, 0x04, 0x06, 0x30

_PBES2: Final = bytes.fromhex("2a864886f70d01050d")  # RFC 8018 appendix A.4
_PBKDF2: Final = bytes.fromhex("2a864886f70d01050c")
_SCRYPT: Final = bytes.fromhex("2b06010401da47040b")  # RFC 7914 section 7
_PBES1: Final = (bytes.fromhex("2a864886f70d0105"), bytes.fromhex("2a864886f70d010c01"))  # RFC 8018, RFC 7292: + 1 byte


class Holds(enum.Enum):
    """What a DER value is."""

    PRIVATE = "a private key"
    ENCRYPTED = "an encrypted private key"
    PUBLIC = "a public key"
    CERTIFICATE = "a certificate, or a request for one"
    PKCS12 = "a PKCS#12 file"
    UNKNOWN = "something else"


def is_der(given: SecretBytes) -> bool:
    """Whether the bytes are one DER sequence and nothing behind it."""
    return _tags(given) is not None


def holds(der: SecretBytes) -> Holds:
    """What the outermost members say that this is. Whether it is sound is for the loader to find."""
    tags = _tags(der) or ()
    if tags[:2] == (_SEQUENCE, _OCTETS):
        return Holds.ENCRYPTED  # EncryptedPrivateKeyInfo
    if tags in {(_SEQUENCE, _BITS), (_INTEGER, _INTEGER)}:
        return Holds.PUBLIC  # SubjectPublicKeyInfo, RSAPublicKey
    if tags == (_SEQUENCE, _SEQUENCE, _BITS):
        return Holds.CERTIFICATE
    if tags in {(_INTEGER, _SEQUENCE), (_INTEGER, _SEQUENCE, _SEQUENCE)}:
        return Holds.PKCS12
    if tags[:3] == (_INTEGER, _SEQUENCE, _OCTETS) or tags[:2] == (_INTEGER, _OCTETS) or tags[:6] == (_INTEGER,) * 6:
        return Holds.PRIVATE  # PrivateKeyInfo, ECPrivateKey (RFC 5915), RSAPrivateKey (RFC 8017) or DSA's
    return Holds.UNKNOWN


def check_cost(der: SecretBytes) -> None:
    """Return if an encrypted private key may be tried: its parameters are its writer's, and could ask for hours.

    PolicyError beyond 10,000,000 iterations, or 1 GiB or 16 passes of scrypt; FormatError for what is encrypted in a
    way that is not known here.
    """
    # what is read here is the algorithm's parameters: they are in the clear, and not secret
    algorithm = _members(_algorithm(der))
    if algorithm is None or len(algorithm) != 2 or algorithm[0][0] != _OID or algorithm[1][0] != _SEQUENCE:
        raise FormatError("the private key is encrypted in a way that is not known here")
    oid, parameters = algorithm[0][1], _members(algorithm[1][1])
    if oid == _PBES2 and parameters:
        derivation = _members(parameters[0][1])
        if derivation is not None and len(derivation) == 2 and derivation[0][0] == _OID:
            return _check_derivation(derivation[0][1], _members(derivation[1][1]))
    elif oid[:-1] in _PBES1 and parameters is not None:
        return _check_iterations(_number(parameters, 1))
    raise FormatError("the private key is encrypted in a way that is not known here")


def _check_derivation(oid: bytes, parameters: list[tuple[int, bytes]] | None) -> None:
    if oid == _PBKDF2 and parameters is not None:
        return _check_iterations(_number(parameters, 1))
    if oid == _SCRYPT and parameters is not None:
        cost, block, passes = (_number(parameters, at) for at in (1, 2, 3))
        if 128 * cost * block > MAX_SCRYPT_MEMORY or passes > MAX_SCRYPT_PASSES:
            raise PolicyError(
                f"the private key's passphrase costs scrypt N={cost}, r={block}, p={passes}:"
                f" at most {MAX_SCRYPT_MEMORY >> 20} MiB and {MAX_SCRYPT_PASSES} passes are tried"
            )
        return None
    raise FormatError("the private key's passphrase is used in a way that is not known here")


def _check_iterations(count: int) -> None:
    if count > MAX_ITERATIONS:
        raise PolicyError(
            f"the private key's passphrase costs {count} iterations: at most {MAX_ITERATIONS} are tried",
            hint="openssl pkcs8 -topk8 -in FILE -iter 1000000 writes it anew",
        )


def _number(parameters: list[tuple[int, bytes]], at: int) -> int:
    tag, content = parameters[at] if at < len(parameters) else (0, b"")
    if tag != _INTEGER or not 1 <= len(content) <= 9 or content[0] > 0x7F or not any(content):
        raise FormatError("the private key's encryption has parameters that are not numbers")
    return int.from_bytes(content, "big")


def _members(sequence: bytes | None) -> list[tuple[int, bytes]] | None:
    """The members of a sequence's content: tag and content; None where it is not DER."""
    if sequence is None:
        return None
    found, at = [], 0
    while at < len(sequence):
        member = _element(sequence, at)
        if member is None:
            return None
        tag, start, at = member
        found.append((tag, sequence[start:at]))
    return found


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _element(raw: bytes, at: int) -> tuple[int, int, int] | None:
    """Tag, start and end of the content of the value at `at`; None where it is not DER (X.690 section 10.1)."""
    head = raw[at : at + 6]
    if len(head) < 2 or head[0] & 0x1F == 0x1F:
        return None
    length, start = head[1], at + 2
    if length > 0x7F:
        width = length & 0x7F
        length = int.from_bytes(head[2 : 2 + width], "big")
        start += width
        if not 1 <= width <= 4 or len(head) < 2 + width or length < max(0x80, 1 << 8 * (width - 1)):
            return None  # indefinite, cut off, or longer than need be: a second spelling
    return (head[0], start, start + length) if start + length <= len(raw) else None


def _tags(der: SecretBytes) -> tuple[int, ...] | None:
    raw = der.reveal()
    outer = _element(raw, 0)
    if outer is None or outer[0] != _SEQUENCE or outer[2] != len(raw):
        return None
    at, tags = outer[1], []
    while at < len(raw):
        member = _element(raw, at)
        if member is None:
            return None
        tags.append(member[0])
        at = member[2]
    return tuple(tags)


def _algorithm(der: SecretBytes) -> bytes | None:
    raw = der.reveal()
    outer = _element(raw, 0)
    first = None if outer is None else _element(raw, outer[1])
    return None if first is None or first[0] != _SEQUENCE else raw[first[1] : first[2]]
