"""What an OpenPGP engine is: values and a Protocol. It opens, seals and looks up; it never decides who may receive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol, Self

from strongroom._encoding import Timestamp
from strongroom.primitives.secret import SecretBytes

DEFAULT_LIMIT = 64 * 1024 * 1024
"""The most plaintext bytes that one message may open to, unless the caller says otherwise."""

_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Subkey:
    """One key that can encrypt: a subkey, or a primary key that may. Times in seconds since the epoch, UTC."""

    fingerprint: str
    key_id: str
    created: int
    expires: int | None
    revoked: bool
    algorithm: str
    bits: int

    def usable(self, at: Timestamp) -> bool:
        """Neither revoked nor expired, and already made, at this moment."""
        return not self.revoked and not _past(self.expires, at) and self.created * 1000 <= at


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A transferable public key (RFC 9580 section 10.1), as the engine judged its signatures.

    `encryption_subkeys` holds those that cannot be used now, too; `transferable` is binary; `has_secret` says that
    the secret half of at least one of the encryption subkeys is at hand.
    """

    fingerprint: str
    uids: tuple[str, ...]
    created: int
    expires: int | None
    revoked: bool
    disabled: bool
    encryption_subkeys: tuple[Subkey, ...]
    transferable: bytes = field(repr=False)
    has_secret: bool

    @property
    def label(self) -> str:
        """How messages name it: first user id, quoted so that no terminal obeys it, and full fingerprint."""
        return f"{self.uids[0]!r} ({self.fingerprint})" if self.uids else self.fingerprint

    def usable_for_encryption(self, at: Timestamp) -> tuple[Subkey, ...]:
        """The subkeys to which one may encrypt at this moment: all of them, not only the newest."""
        if self.revoked or self.disabled or _past(self.expires, at):
            return ()
        return tuple(subkey for subkey in self.encryption_subkeys if subkey.usable(at))

    def problem(self, at: Timestamp) -> str | None:
        """Why one cannot encrypt to it at this moment, as words that follow its name; None where one can."""
        if self.revoked:
            return "revoked"
        if self.disabled:
            return "disabled in this keyring"
        if self.expires is not None and _past(self.expires, at):
            return _expired(self.expires, at)
        if not self.encryption_subkeys:
            return "has no encryption subkey"
        if self.usable_for_encryption(at):
            return None
        ends = [
            subkey.expires for subkey in self.encryption_subkeys if subkey.expires is not None and not subkey.revoked
        ]
        lapsed = [end for end in ends if _past(end, at)]
        if lapsed:
            return f"its encryption subkey {_expired(max(lapsed), at)}"
        if all(subkey.revoked for subkey in self.encryption_subkeys):
            return "its encryption subkey is revoked"
        return "its encryption subkey is dated in the future"

    def narrowed(self, fingerprints: Sequence[str]) -> Self:
        """The same certificate with only these of its encryption subkeys: what an approval allows."""
        kept = tuple(subkey for subkey in self.encryption_subkeys if subkey.fingerprint in fingerprints)
        return replace(self, encryption_subkeys=kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A message that opened whole: its plaintext, and to whom it was sealed.

    `recipients` are key ids of 16 digits, in the message's order; sixteen zeros stand for a hidden one.
    """

    plaintext: SecretBytes
    recipients: tuple[str, ...]


class Engine(Protocol):
    """One OpenPGP implementation with one set of secret keys. Usable from several threads."""

    @property
    def name(self) -> str:
        """`gnupg` or another word for messages."""
        ...

    def decrypt(self, ciphertext: bytes, *, limit: int = DEFAULT_LIMIT) -> Opened:
        """Open one binary message whole, or raise.

        FormatError before any key is touched; NoSecretKeyError, PassphraseError, AgentError, EngineMissingError where
        this process cannot open it; OpenPGPError where the message is not intact or opens to more than `limit` bytes.
        """
        ...

    def encrypt(self, plaintext: SecretBytes, *, to: Sequence[Certificate], filename: str = "") -> bytes:
        """One binary message to every usable encryption subkey of these certificates and to nobody else.

        RecipientError, before a byte is encrypted, names the certificate that cannot receive.
        """
        ...

    def decrypt_many(self, ciphertexts: Sequence[bytes]) -> list[Opened | None]:
        """As many of them as can be opened for less than one by one; None for each that `decrypt` is to be asked for.

        It raises for no message, as one could not tell which: only what makes the engine unusable is raised here.
        """
        ...

    def encrypt_many(
        self, messages: Sequence[tuple[str, SecretBytes]], *, to: Sequence[Certificate]
    ) -> list[bytes | None]:
        """The same for pairs of a file name and a plaintext: None for each that `encrypt` is to be asked for.

        RecipientError as `encrypt`, which is about no single message.
        """
        ...

    def secret_keys(self) -> tuple[Certificate, ...]:
        """The certificates whose secret encryption key is at hand."""
        ...

    def certificate(self, selector: str) -> Certificate:
        """The one certificate of the user's ring that a fingerprint, key id, mail address or part of a user id means.

        RecipientError where there is none, or more than one.
        """
        ...

    def certificates(self, ring: bytes) -> tuple[Certificate, ...]:
        """The certificates of a keyring's bytes (binary transferable keys), and no others.

        What the user's own ring knows of the same keys counts too: a revocation, another expiry, a new subkey.
        """
        ...

    def generate(
        self, uid: str, *, expires_s: int | None, passphrase: SecretBytes | None = None
    ) -> tuple[SecretBytes, Certificate]:
        """A new key pair (ed25519, cv25519), kept nowhere: the binary transferable secret key, and its certificate."""
        ...

    def close(self) -> None:
        """Forget what was made for this engine. It cannot be used afterwards."""
        ...


def _past(expires: int | None, at: Timestamp) -> bool:
    return expires is not None and expires * 1000 <= at


def _expired(expires: int, at: Timestamp) -> str:
    days = (at // 1000 - expires) // _DAY
    ago = "today" if days == 0 else f"{days} day{'s' if days > 1 else ''} ago"
    return f"expired on {datetime.fromtimestamp(expires, UTC):%Y-%m-%d}, {ago}"
