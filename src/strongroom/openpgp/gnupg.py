"""GnuPG as an engine: one fixed command line a verb, and nothing released before gpg's whole answer is judged.

A user's home is asked for secret keys and look-ups only. Certificates of others are judged, and encrypted to, in
private homes that hold them alone, so that no keyring, option or trust file of anybody adds a recipient.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom.errors import (
    ClosedError,
    FormatError,
    IdentityError,
    NoSecretKeyError,
    OpenPGPError,
    RecipientError,
)
from strongroom.openpgp import colons, failures, packets, surroundings
from strongroom.openpgp.addressing import file_name_option, gpg_options, label_of, only_to, public_key, wanted_subkeys
from strongroom.openpgp.engine import DEFAULT_LIMIT, Certificate, Engine, Opened
from strongroom.openpgp.homes import Home, PrivateHome, UsersHome, has_keyring, is_directory
from strongroom.openpgp.naming import as_gpg_reads_it, check_lifetime, check_uid
from strongroom.openpgp.runner import TIME_LIMIT, Runner
from strongroom.openpgp.status import Status
from strongroom.primitives.secret import SecretBytes

if TYPE_CHECKING:
    from strongroom.openpgp.agents import Agents

_LISTING = ("--with-colons", "--fixed-list-mode", "--with-subkey-fingerprint")
_EXPORT = ("--export-options=export-minimal,no-export-attributes", "--export")
_RINGS_KEPT = 4
_SMALL = 1024 * 1024


class GnuPG:
    """gpg with a user's keyring, or with one identity (`from_identity`) and nothing else.

    `home` and `program` default to what the environment says; `passphrase` unlocks the secret key with no question;
    `terminal` is where a person can be asked (None: found out; empty: nobody is asked); `timeout` in seconds.
    Nothing secret is cached; public keys that were encrypted to stay in a private home until `close`.
    """

    name = "gnupg"

    def __init__(
        self,
        *,
        program: Path | None = None,
        home: Path | None = None,
        passphrase: SecretBytes | None = None,
        terminal: str | None = None,
        timeout: float = TIME_LIMIT,
        environ: Mapping[str, str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._environ = dict(os.environ if environ is None else environ)
        self._runner = Runner(
            program or surroundings.find_program(self._environ),
            self._environ,
            passphrase=passphrase,
            terminal=terminal,
            timeout=timeout,
        )
        self._users_home = home.absolute() if home is not None else surroundings.users_home(self._environ)
        self._passphrase_given = passphrase is not None
        self._clock = clock
        self._identity: SecretBytes | None = None
        self._identity_home: PrivateHome | None = None
        self._rings: dict[tuple[bytes, ...], PrivateHome] = {}
        self._agents: Agents | None = None
        self._closed = False

    @classmethod
    def from_identity(
        cls,
        secret_key: SecretBytes,
        passphrase: SecretBytes | None = None,
        *,
        program: Path | None = None,
        timeout: float = TIME_LIMIT,
        environ: Mapping[str, str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Self:
        """An engine whose only secret key is this transferable one; nobody is ever asked for a passphrase.

        The key is imported into a private home at its first use, which raises IdentityError if it is none.
        """
        made = cls(program=program, passphrase=passphrase, terminal="", timeout=timeout, environ=environ, clock=clock)
        made._identity = secret_key
        return made

    def decrypt(self, ciphertext: bytes, *, limit: int = DEFAULT_LIMIT) -> Opened:
        """As Engine.decrypt: gpg is started once, for a message whose packets are already known to be in order."""
        recipients = packets.recipients_of(ciphertext)
        home = self._secret_home()
        finished = self._gpg.unlock(
            home,
            # gpg drops the block that goes beyond its limit; ours is met first, and can be told from other failures
            [f"--max-output={limit + _SMALL}", "--decrypt"],
            stdin=SecretBytes(ciphertext),
            limit=limit,
        )
        if finished.ended == "output":
            raise OpenPGPError(f"the message opens to more than {limit} bytes", hint="it is no key file; remove it")
        status = Status.parse(finished.status)
        if status.accepts_decryption(returncode=finished.returncode, length=len(finished.stdout)):
            return Opened(plaintext=finished.stdout, recipients=recipients)
        problem = failures.not_opened(
            status, finished, passphrase_given=self._passphrase_given, identity=self._identity is not None
        )
        if isinstance(problem, NoSecretKeyError):
            self._gpg.check_agent(home)
        raise problem

    def encrypt(self, plaintext: SecretBytes, *, to: Sequence[Certificate], filename: str = "") -> bytes:
        """As Engine.encrypt. `filename` is stored inside the message, as BlackBox's files have it."""
        wanted = wanted_subkeys(to, self._clock.now())
        finished = self._gpg.run(
            self._ring(to),
            [*file_name_option(filename), *gpg_options(wanted), "--encrypt"],
            stdin=plaintext,
            limit=2 * len(plaintext) + _SMALL + 8192 * len(wanted),
        )
        status = Status.parse(finished.status)
        for line in status.of("INV_RECP"):
            raise RecipientError(
                f"gpg refuses to encrypt to {label_of(line.word(1), among=to)}",
                hint="strongroom admin list shows every key",
            )
        if finished.returncode or not status.of("END_ENCRYPTION"):
            raise OpenPGPError(f"gpg did not encrypt: {finished.last_words}", hint="gpg --version")
        return only_to(wanted, finished.stdout.reveal(), engine=self.name)

    def decrypt_many(self, ciphertexts: Sequence[bytes]) -> list[Opened | None]:
        """As Engine.decrypt_many: one start of gpg for several small messages; where one does not open, for none."""
        from strongroom.openpgp import agents, batches  # one message, which `cat` opens, does without

        self._agents = self._agents or agents.Agents(self._environ)
        opened: list[Opened | None] = [None] * len(ciphertexts)
        small = [place for place, raw in enumerate(ciphertexts) if batches.openable(raw)]
        for chosen in batches.split(small):
            try:
                recipients = [packets.recipients_of(ciphertexts[place]) for place in chosen]
            except FormatError:  # said again, and about which, where the message is opened alone
                continue
            sealed = [ciphertexts[place] for place in chosen]
            plaintexts = self._agents.decrypt(self._gpg, self._secret_home(), sealed)
            for place, plaintext, to in zip(chosen, plaintexts, recipients, strict=False):  # all, or none
                opened[place] = Opened(plaintext=plaintext, recipients=to)
        return opened

    def encrypt_many(
        self, messages: Sequence[tuple[str, SecretBytes]], *, to: Sequence[Certificate]
    ) -> list[bytes | None]:
        """As Engine.encrypt_many: one start of gpg for several small messages; where one is not made, for none."""
        from strongroom.openpgp import batches  # one message, which `cat` opens, does without

        wanted = wanted_subkeys(to, self._clock.now())
        sealed: list[bytes | None] = [None] * len(messages)
        small = [place for place, (name, plaintext) in enumerate(messages) if batches.sealable(plaintext, name)]
        for chosen in batches.split(small):
            these = [messages[place] for place in chosen]
            made = batches.encrypt(self._gpg, self._ring(to), self._environ, gpg_options(wanted), these)
            for place, raw in zip(chosen, made, strict=False):  # all, or none
                sealed[place] = only_to(wanted, raw, engine=self.name)
        return sealed

    def secret_keys(self) -> tuple[Certificate, ...]:
        """As Engine.secret_keys, from the user's home, or the identity's."""
        if not self._has_home():
            return ()
        home = self._secret_home()
        listed = self._certificates_of(home, ["--with-secret", "--list-secret-keys"])
        if not listed:
            self._gpg.check_agent(home)
        return tuple(certificate for certificate in listed if certificate.has_secret)

    def certificate(self, selector: str) -> Certificate:
        """As Engine.certificate. Expired and revoked ones count, too: which of two is meant is not ours to guess."""
        wanted = as_gpg_reads_it(selector)
        found: tuple[Certificate, ...] = ()
        if self._has_home():
            found = self._certificates_of(self._secret_home(), ["--with-secret", "--list-keys", "--", wanted])
        if not found:
            raise RecipientError(
                f"gpg knows no key {selector[:200]!r}", hint="gpg --list-keys shows what is here; gpg --import adds one"
            )
        if len(found) > 1:
            raise RecipientError(
                f"{len(found)} keys fit {selector[:200]!r}: {', '.join(each.label for each in found[:5])}",
                hint="name one by its full fingerprint",
            )
        return found[0]

    def certificates(self, ring: bytes) -> tuple[Certificate, ...]:
        """As Engine.certificates: the ring is split without gpg, then judged by gpg in a private home."""
        blocks = packets.certificates_in(ring)
        if not blocks:
            return ()
        home = self._imported(b"".join([*blocks.values(), *self._own_copies(blocks)]))
        try:
            listed = self._certificates_of(home, ["--no-autostart", "--list-keys"])
        finally:
            home.close()
        order = {fingerprint: place for place, fingerprint in enumerate(blocks)}
        return tuple(sorted(listed, key=lambda each: order.get(each.fingerprint, len(order))))

    def generate(
        self, uid: str, *, expires_s: int | None, passphrase: SecretBytes | None = None
    ) -> tuple[SecretBytes, Certificate]:
        """As Engine.generate: made in a private home, which is gone before this returns."""
        check_uid(uid)
        check_lifetime(expires_s)
        expires = "never" if expires_s is None else f"seconds={expires_s}"
        secret = passphrase or SecretBytes(b"")
        home = PrivateHome(self._environ)
        try:
            made = self._gpg.run(
                home, ["--quick-generate-key", "--", uid, "ed25519", "cert,sign", expires], passphrase=secret
            )
            created = Status.parse(made.status).of("KEY_CREATED")
            if made.returncode or len(created) != 1:
                raise OpenPGPError(f"gpg made no key: {made.last_words}", hint="gpg --version")
            fingerprint = created[0].word(1)
            added = self._gpg.run(
                home, ["--quick-add-key", "--", fingerprint, "cv25519", "encr", expires], passphrase=secret
            )
            exported = self._gpg.run(home, ["--export-secret-keys", "--", fingerprint], passphrase=secret)
            if added.returncode or exported.returncode or not len(exported.stdout):
                raise OpenPGPError(f"gpg made no whole key: {added.last_words}", hint="gpg --version")
            listed = self._certificates_of(home, ["--with-secret", "--list-keys"])
        finally:
            home.close()
        if len(listed) != 1 or not listed[0].usable_for_encryption(self._clock.now()):
            raise OpenPGPError("gpg made a key that cannot encrypt", hint="gpg --version")
        return exported.stdout, listed[0]

    def close(self) -> None:
        """Remove the private homes and end their agents; any later use is a ClosedError."""
        self._closed = True
        if self._identity_home is not None:
            self._identity_home.close()
        if self._agents is not None:
            self._agents.close()
        while self._rings:
            self._rings.popitem()[1].close()

    @property
    def _gpg(self) -> Runner:
        if self._closed:
            raise ClosedError("the OpenPGP engine is closed")
        return self._runner

    def _has_home(self) -> bool:
        return self._identity is not None or is_directory(self._users_home)

    def _secret_home(self) -> Home:
        """The home that has our secret keys: the user's, or the identity's, made and filled now if need be."""
        if self._identity is None:
            if not is_directory(self._users_home):
                raise NoSecretKeyError(
                    f"there is no GnuPG home {str(self._users_home or '~/.gnupg')!r}, and so no secret key",
                    hint="set GNUPGHOME, or give this machine an identity: strongroom role create NAME",
                )
            return UsersHome(self._users_home)
        home = self._identity_home
        if home is None or not home.mine:
            gpg, home = self._gpg, PrivateHome(self._environ)
            done = gpg.run(home, ["--import"], stdin=self._identity)
            if not any(int(line.word(0) or "0") & 16 for line in Status.parse(done.status).of("IMPORT_OK")):
                home.close()
                raise IdentityError("the identity holds no OpenPGP secret key", hint="strongroom role create NAME")
            self._identity_home = home
        return home

    def _imported(self, keys: bytes) -> PrivateHome:
        """A new private home with these public keys and nothing else."""
        home = PrivateHome(self._environ)
        self._gpg.run(home, ["--no-autostart", "--import"], stdin=SecretBytes(keys))  # what it refused is not listed
        return home

    def _own_copies(self, fingerprints: Collection[str]) -> list[bytes]:
        """The user's copies of these public keys, which may have a revocation or a new expiry that others lack."""
        home = self._users_home
        if self._identity is not None or not has_keyring(home):
            return []
        named = [f"0x{fingerprint}" for fingerprint in fingerprints]
        copies = self._gpg.run(UsersHome(home), ["--no-autostart", *_EXPORT, "--", *named]).stdout.reveal()
        found = packets.certificates_in(copies) if copies else {}
        return [block for fingerprint, block in found.items() if fingerprint in fingerprints]

    def _ring(self, to: Sequence[Certificate]) -> PrivateHome:
        """The private home that holds exactly these certificates: made once, as admins rarely change."""
        key = tuple(sorted({certificate.transferable for certificate in to}))
        home = self._rings.get(key)
        if home is None or not home.mine:
            home = self._imported(b"".join(public_key(certificate) for certificate in to))
            while len(self._rings) >= _RINGS_KEPT:
                self._rings.pop(next(iter(self._rings)))  # removed when the last thread that uses it lets it go
            self._rings[key] = home
        return home

    def _certificates_of(self, home: Home, listing: Sequence[str]) -> tuple[Certificate, ...]:
        listed = self._gpg.run(home, [*_LISTING, *listing])
        found = colons.parse(listed.stdout.reveal(), transferable={})
        if not found:
            return ()
        exported = self._gpg.run(
            home, ["--no-autostart", *_EXPORT, "--", *(certificate.fingerprint for certificate in found)]
        )
        return colons.parse(listed.stdout.reveal(), transferable=packets.certificates_in(exported.stdout.reveal()))


def _conforms(engine: GnuPG) -> Engine:
    return engine
