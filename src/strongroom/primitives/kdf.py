"""Keys from keys and from passphrases. What a derivation costs is checked before it is paid."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from strongroom.errors import FormatError, PolicyError, UnsupportedError
from strongroom.primitives.secret import SecretBytes

MAX_MEMORY_KIB = 1_048_576
MAX_ITERATIONS = 10
MAX_LANES = 16
MIN_SALT = 8


def hkdf_sha256(key: SecretBytes, *, salt: bytes, info: bytes, length: int) -> SecretBytes:
    """HKDF with SHA-256 (RFC 5869): `length` bytes, at most 255 x 32."""
    return SecretBytes(HKDF(SHA256(), length, salt, info).derive(key.reveal()))


def check_argon2id(*, memory_kib: int, iterations: int, lanes: int) -> None:
    """PolicyError for costs beyond 1 GiB, 10 passes or 16 lanes, or below what RFC 9106 section 3.1 allows."""
    if not (
        1 <= lanes <= MAX_LANES and 1 <= iterations <= MAX_ITERATIONS and 8 * lanes <= memory_kib <= MAX_MEMORY_KIB
    ):
        raise PolicyError(
            f"Argon2id with {memory_kib} KiB, {iterations} passes and {lanes} lanes is out of bounds:"
            f" at most {MAX_MEMORY_KIB} KiB, {MAX_ITERATIONS} passes and {MAX_LANES} lanes"
        )


def argon2id(
    passphrase: SecretBytes, *, salt: bytes, memory_kib: int, iterations: int, lanes: int, length: int = 32
) -> SecretBytes:
    """Argon2id (RFC 9106). Costs are checked first: PolicyError, before any memory is taken.

    FormatError for a salt below 8 bytes (RFC 9106 section 3.1); UnsupportedError where the memory is not there.
    """
    check_argon2id(memory_kib=memory_kib, iterations=iterations, lanes=lanes)
    if len(salt) < MIN_SALT:
        raise FormatError(f"an Argon2id salt has at least {MIN_SALT} bytes, not {len(salt)}")
    try:
        kdf = Argon2id(salt=salt, length=length, iterations=iterations, lanes=lanes, memory_cost=memory_kib)
    except UnsupportedAlgorithm:
        raise UnsupportedError(
            "the OpenSSL under 'cryptography' has no Argon2id", hint="install cryptography's own wheel"
        ) from None
    derived = _derived(kdf, passphrase)
    if derived is None:
        raise UnsupportedError(f"Argon2id wants {memory_kib} KiB of memory, which this process cannot have")
    return derived


# Plain bytes of a key live below this line only, in functions that do not raise (STYLE section 6).


def _derived(kdf: Argon2id, passphrase: SecretBytes) -> SecretBytes | None:
    try:
        return SecretBytes(kdf.derive(passphrase.reveal()))
    except MemoryError:
        return None
