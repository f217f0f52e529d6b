"""Sequoia as an engine: OpenPGP in this process, for hosts with one secret key and no gpg. It has no keyring.

What differs from GnuPG: a message may open to 25 MiB at most, one that was compressed with bzip2 or sealed in GnuPG's
OCB mode does not open, line ends of text mode stay as they were sent, no file name is stored inside, keys whose own
signatures are SHA-1 receive nothing; and nothing limits the time of a message that was made to take long. RSA is
RustCrypto's, whose time depends on the key (RUSTSEC-2023-0071): who can measure it should not choose the messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import pysequoia

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom.errors import ClosedError, EngineMissingError, NoSecretKeyError, OpenPGPError, RecipientError
from strongroom.openpgp import failures, judging, key_packets, packets
from strongroom.openpgp.addressing import only_to, public_key, wanted_subkeys
from strongroom.openpgp.engine import DEFAULT_LIMIT, Certificate, Engine, Opened
from strongroom.openpgp.identity_keys import Held, SecretKey, read_identity, secret_packets
from strongroom.openpgp.judging import Judged
from strongroom.openpgp.naming import as_gpg_reads_it, check_lifetime, check_uid, names
from strongroom.openpgp.native import CEILING, attempt, open_message
from strongroom.primitives.secret import SecretBytes

_MAX_HIDDEN = 32
_KEPT = 64
_OVERHEAD = 64 * 1024

Name = TypeVar("Name", str, bytes)
Value = TypeVar("Value")


class Sequoia:
    """pysequoia with one identity's secret keys, or with none: then it encrypts, judges and generates.

    `identity` is a transferable secret key; it is read at its first use, which raises IdentityError if it is none.
    `passphrase` unlocks it; the unlocked key stays in memory until `close`. Nothing is written anywhere.
    """

    name = "sequoia"

    def __init__(
        self,
        identity: SecretBytes | None = None,
        passphrase: SecretBytes | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._identity = identity
        self._passphrase = passphrase
        self._clock = clock
        self._held: Held | None = None
        self._unlocked: dict[str, pysequoia.PyDecryptor] = {}
        self._judged: dict[bytes, Judged] = {}
        self._carriers: dict[bytes, pysequoia.Cert] = {}
        self._closed = False

    def decrypt(self, ciphertext: bytes, *, limit: int = DEFAULT_LIMIT) -> Opened:
        """As Engine.decrypt: each of our keys is tried on the session keys that are addressed to it, and no other.

        More than 25 MiB are refused whatever the limit is. For a hidden recipient NoSecretKeyError may mean that the
        message is damaged: nothing tells the two apart.
        """
        self._check_open()
        recipients = packets.recipients_of(ciphertext)
        if len(ciphertext) > limit + limit // 64 + _OVERHEAD * (1 + len(recipients)):
            raise _too_large(limit)  # compressing makes nothing longer than that
        if packets.is_ocb(ciphertext):
            raise EngineMissingError(
                "the message is sealed in GnuPG's own OCB mode, which the sequoia engine does not read",
                hint="install GnuPG here (apt-get install gnupg), or seal it with gpg --rfc4880",
            )
        keys = self._keys().keys
        for key, message in _addressed(ciphertext, keys):
            opened = open_message(message, self._decryptor(key))
            if opened == "large" or (isinstance(opened, SecretBytes) and len(opened) > limit):
                raise _too_large(limit)
            if isinstance(opened, SecretBytes):
                return Opened(plaintext=opened, recipients=recipients)
        if any(key.key_id in recipients for key in keys):
            raise failures.not_intact()
        raise NoSecretKeyError(
            f"the message is encrypted to {', '.join(recipients)}; the identity has none of these secret keys",
            hint="strongroom doctor",
        )

    def encrypt(self, plaintext: SecretBytes, *, to: Sequence[Certificate], filename: str = "") -> bytes:
        """As Engine.encrypt. There is no way to store `filename` inside, and nothing depends on it."""
        self._check_open()
        wanted = wanted_subkeys(to, self._clock.now())
        reached: dict[str, pysequoia.Cert] = {}
        for certificate in to:
            judged = self._judgement(certificate)
            usable = {subkey.fingerprint for subkey in judged.certificate.usable_for_encryption(self._clock.now())}
            for subkey in certificate.encryption_subkeys:
                if subkey.fingerprint in wanted:
                    if subkey.fingerprint not in usable:
                        raise _not_accepted(certificate, subkey.fingerprint)
                    reached[subkey.fingerprint] = self._carrier(certificate, judged.bodies[subkey.fingerprint])
        ciphertext = attempt(
            lambda: pysequoia.encrypt(plaintext.reveal(), recipients=list(reached.values()), armor=False)
        )
        if ciphertext is None:
            raise OpenPGPError("sequoia did not encrypt", hint="STRONGROOM_ENGINE=gnupg, where gpg is installed")
        return only_to(wanted, ciphertext, engine=self.name)

    def decrypt_many(self, ciphertexts: Sequence[bytes]) -> list[Opened | None]:
        """As Engine.decrypt_many: nothing is started for a message, so nothing is saved."""
        return [None] * len(ciphertexts)

    def encrypt_many(
        self, messages: Sequence[tuple[str, SecretBytes]], *, to: Sequence[Certificate]
    ) -> list[bytes | None]:
        """As Engine.encrypt_many: nothing is saved here either."""
        return [None] * len(messages)

    def secret_keys(self) -> tuple[Certificate, ...]:
        """As Engine.secret_keys: the identity's, expired and revoked ones too; none without an identity."""
        return tuple(each.certificate for each in self._own() if each.certificate.has_secret)

    def certificate(self, selector: str) -> Certificate:
        """As Engine.certificate, among those of the identity: there is no other keyring."""
        wanted = as_gpg_reads_it(selector)
        found = [each.certificate for each in self._own() if names(wanted, each.fingerprints, each.certificate.uids)]
        if not found:
            raise RecipientError(
                f"the sequoia engine knows no key {selector[:200]!r}: it has the identity's own and no keyring",
                hint="run this where gpg and your keyring are",
            )
        if len(found) > 1:
            raise RecipientError(
                f"{len(found)} keys fit {selector[:200]!r}: {', '.join(each.label for each in found)}",
                hint="name it by its full fingerprint",
            )
        return found[0]

    def certificates(self, ring: bytes) -> tuple[Certificate, ...]:
        """As Engine.certificates."""
        self._check_open()
        return tuple(judged.certificate for judged in judging.judge_ring(ring))

    def generate(
        self, uid: str, *, expires_s: int | None, passphrase: SecretBytes | None = None
    ) -> tuple[SecretBytes, Certificate]:
        """As Engine.generate; there is a subkey for signatures, too."""
        self._check_open()
        check_uid(uid)
        check_lifetime(expires_s)
        secret = attempt(lambda: _generated(uid, expires_s, passphrase))
        if secret is None:
            raise OpenPGPError("sequoia made no key", hint="choose a nearer end of its life")
        judged = _own_of(read_identity(secret))
        if len(judged) != 1 or not judged[0].certificate.usable_for_encryption(self._clock.now()):
            raise OpenPGPError("sequoia made a key that cannot encrypt", hint="look at this machine's clock: date")
        return secret, judged[0].certificate

    def close(self) -> None:
        """Forget the keys; any later use is a ClosedError."""
        self._closed = True
        self._identity = self._passphrase = self._held = None
        self._unlocked.clear()
        self._judged.clear()
        self._carriers.clear()

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the OpenPGP engine is closed")

    def _keys(self) -> Held:
        held = self._held
        if held is None:
            if self._identity is None:
                raise NoSecretKeyError(
                    "the sequoia engine was given no identity, and so has no secret key",
                    hint="set STRONGROOM_IDENTITY_FILE to a role's identity: strongroom role create NAME",
                )
            held = self._held = read_identity(self._identity)
        return held

    def _own(self) -> tuple[Judged, ...]:
        self._check_open()
        return () if self._identity is None else _own_of(self._keys())

    def _decryptor(self, key: SecretKey) -> pysequoia.PyDecryptor:
        return _kept(self._unlocked, key.fingerprint, lambda: key.unlocked(self._passphrase))

    def _judgement(self, certificate: Certificate) -> Judged:
        block = public_key(certificate)

        def judge() -> Judged:
            judged = judging.judge_ring(block)
            if not judged:
                raise _not_accepted(certificate, certificate.fingerprint)
            return judged[0]

        return _kept(self._judged, block, judge)

    def _carrier(self, certificate: Certificate, body: bytes) -> pysequoia.Cert:
        def make() -> pysequoia.Cert:
            carried = key_packets.carrier(body, body, tag=key_packets.PUBLIC_SUBKEY)
            made = attempt(lambda: pysequoia.Cert.from_bytes(carried))
            if made is None:
                raise _not_accepted(certificate, certificate.fingerprint)
            return made

        return _kept(self._carriers, body, make)


def _kept(kept: dict[Name, Value], name: Name, make: Callable[[], Value]) -> Value:
    """Made once; admins rarely change."""
    found = kept.get(name)
    if found is None:
        found = make()
        if len(kept) >= _KEPT:
            kept.clear()
        kept[name] = found
    return found


def _addressed(message: bytes, keys: Sequence[SecretKey]) -> Iterator[tuple[SecretKey, bytes]]:
    """Which key may open it, and the message for that key alone; hidden recipients come last, and not without end."""
    for key in keys:
        for alone in packets.sealed_to(message, key.key_id):
            yield key, alone
    for alone in packets.sealed_to(message, packets.HIDDEN)[:_MAX_HIDDEN]:
        for key in keys:
            yield key, alone


def _own_of(held: Held) -> tuple[Judged, ...]:
    secrets = {key.fingerprint for key in held.keys}
    return tuple(judged.with_secrets(secrets) for judged in judging.judge_ring(held.ring))


def _generated(uid: str, expires_s: int | None, passphrase: SecretBytes | None) -> SecretBytes:
    made = SecretBytes(bytes(pysequoia.Tsk.generate(uid, validity_seconds=expires_s)))
    if passphrase is None or not len(passphrase):
        return made
    parts = [(tag, body.reveal(), public) for tag, body, public in secret_packets(made)]
    return SecretBytes(key_packets.protected(parts, passphrase))


def _too_large(limit: int) -> OpenPGPError:
    if limit > CEILING:
        return OpenPGPError(
            f"the message opens to more than {CEILING} bytes, all that the sequoia engine takes",
            hint="open it with gpg: STRONGROOM_ENGINE=gnupg",
        )
    return OpenPGPError(f"the message opens to more than {limit} bytes", hint="it is no key file; remove it")


def _not_accepted(certificate: Certificate, fingerprint: str) -> RecipientError:
    return RecipientError(
        f"{certificate.label} cannot receive: sequoia does not accept its key {fingerprint}",
        hint=f"gpg --list-keys {certificate.fingerprint}",
    )


def _conforms(engine: Sequoia) -> Engine:
    return engine
