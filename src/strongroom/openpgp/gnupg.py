"""GnuPG as an engine: one fixed command line a verb, and nothing released before gpg's whole answer is judged.

A user's home is asked for secret keys and look-ups only. Certificates of others are judged, and encrypted to, in
private homes that hold them alone, so that no keyring, option or trust file of anybody adds a recipient.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom._encoding import Timestamp
from strongroom.errors import (
    ClosedError,
    FormatError,
    IdentityError,
    NoSecretKeyError,
    OpenPGPError,
    RecipientError,
    SettingsError,
)
from strongroom.openpgp import colons, failures, packets, process, surroundings
from strongroom.openpgp.engine import DEFAULT_LIMIT, Certificate, Engine, Opened
from strongroom.openpgp.homes import MAX_SOCKET_PATH, Home, PrivateHome, UsersHome, agent_answers
from strongroom.openpgp.naming import as_gpg_reads_it
from strongroom.openpgp.process import Finished
from strongroom.openpgp.status import Status
from strongroom.primitives.secret import SecretBytes

TIME_LIMIT = 15.0
"""Seconds for one run of gpg, unless a person may be typing a passphrase."""

_ALWAYS = (
    "--no-options",  # no gpg.conf, which could name programs to run and recipients to add
    "--batch",
    "--no-tty",
    "--utf8-strings",
    "--exit-on-status-write-error",
    "--no-auto-key-locate",
    "--no-auto-key-retrieve",
    "--disable-dirmngr",
    # who may receive is decided above, by full fingerprint; gpg's web of trust would only add questions
    "--trust-model=always",
)
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
        self._program = program or surroundings.find_program(self._environ)
        self._users_home = home.absolute() if home is not None else surroundings.users_home(self._environ)
        self._passphrase = passphrase
        self._terminal = terminal
        self._timeout = timeout
        self._clock = clock
        self._identity: SecretBytes | None = None
        self._identity_home: PrivateHome | None = None
        self._rings: dict[tuple[bytes, ...], PrivateHome] = {}
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
        finished = self._run(
            home,
            # gpg drops the block that goes beyond its limit; ours is met first, and can be told from other failures
            [f"--max-output={limit + _SMALL}", "--decrypt"],
            stdin=SecretBytes(ciphertext),
            limit=limit,
            unlocks=True,
        )
        if finished.ended == "output":
            raise OpenPGPError(f"the message opens to more than {limit} bytes", hint="it is no key file; remove it")
        status = Status.parse(finished.status)
        if status.accepts_decryption(returncode=finished.returncode, length=len(finished.stdout)):
            return Opened(plaintext=finished.stdout, recipients=recipients)
        problem = failures.not_opened(
            status, passphrase_given=self._passphrase is not None, identity=self._identity is not None
        )
        if isinstance(problem, NoSecretKeyError):
            self._check_agent(home)
        raise problem

    def encrypt(self, plaintext: SecretBytes, *, to: Sequence[Certificate], filename: str = "") -> bytes:
        """As Engine.encrypt. `filename` is stored inside the message, as BlackBox's files have it."""
        wanted = _wanted(to, self._clock.now())
        chosen = [word for fingerprint in wanted for word in ("--recipient", f"{fingerprint}!")]
        finished = self._run(
            self._ring(to),
            [
                "--no-autostart",
                "--no-encrypt-to",
                "--no-throw-keyids",
                "--cipher-algo=AES256",  # whatever a recipient's key says it prefers
                *_file_name(filename),
                *chosen,
                "--encrypt",
            ],
            stdin=plaintext,
            limit=2 * len(plaintext) + _SMALL + 8192 * len(wanted),
        )
        status = Status.parse(finished.status)
        for line in status.of("INV_RECP"):
            raise RecipientError(
                f"gpg refuses to encrypt to {_named(to, line.word(1))}", hint="strongroom admin list shows every key"
            )
        if finished.returncode or finished.ended != "itself" or not status.of("END_ENCRYPTION"):
            raise OpenPGPError(f"gpg did not encrypt: {finished.last_words}", hint="gpg --version")
        ciphertext = finished.stdout.reveal()
        reached = sorted(packets.recipients_of(ciphertext))
        if reached != sorted(wanted.values()):
            raise RecipientError(f"gpg encrypted to {', '.join(reached)}, not to {', '.join(sorted(wanted.values()))}")
        return ciphertext

    def secret_keys(self) -> tuple[Certificate, ...]:
        """As Engine.secret_keys, from the user's home, or the identity's."""
        if self._identity is None and (self._users_home is None or not self._users_home.is_dir()):
            return ()
        home = self._secret_home()
        listed = self._certificates_of(home, ["--with-secret", "--list-secret-keys"])
        if not listed:
            self._check_agent(home)
        return tuple(certificate for certificate in listed if certificate.has_secret)

    def certificate(self, selector: str) -> Certificate:
        """As Engine.certificate. Expired and revoked ones count, too: which of two is meant is not ours to guess."""
        wanted = as_gpg_reads_it(selector)
        found: tuple[Certificate, ...] = ()
        if self._identity is not None or (self._users_home is not None and self._users_home.is_dir()):
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
        home = self._imported(b"".join(blocks.values()))
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
        _check_uid(uid)
        expires = "never" if expires_s is None else f"seconds={expires_s}"
        secret = passphrase or SecretBytes(b"")
        home = PrivateHome(self._environ)
        try:
            made = self._run(
                home, ["--quick-generate-key", "--", uid, "ed25519", "cert,sign", expires], passphrase=secret
            )
            created = Status.parse(made.status).of("KEY_CREATED")
            if made.returncode or len(created) != 1:
                raise OpenPGPError(f"gpg made no key: {made.last_words}", hint="gpg --version")
            fingerprint = created[0].word(1)
            added = self._run(
                home, ["--quick-add-key", "--", fingerprint, "cv25519", "encr", expires], passphrase=secret
            )
            exported = self._run(home, ["--export-secret-keys", "--", fingerprint], passphrase=secret)
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
        while self._rings:
            self._rings.popitem()[1].close()

    def _run(
        self,
        home: Home,
        arguments: Sequence[str],
        *,
        stdin: SecretBytes | None = None,
        limit: int = colons.MAX_LISTING,
        unlocks: bool = False,
        passphrase: SecretBytes | None = None,
    ) -> Finished:
        """One gpg in this home. `unlocks`: with the engine's passphrase, or by asking the person who is there."""
        if self._closed:
            raise ClosedError("the OpenPGP engine is closed")
        terminal = None
        if unlocks:
            passphrase = self._passphrase
            if passphrase is None:
                terminal = surroundings.terminal_of_person() if self._terminal is None else self._terminal or None
        mode = () if terminal else ("--pinentry-mode=error" if passphrase is None else "--pinentry-mode=loopback",)
        timeout = None if terminal else self._timeout
        finished = process.run(
            self._program,
            [*_ALWAYS, f"--homedir={home.path}", *mode, *arguments],
            env=surroundings.environment(self._program, home.path, self._environ, terminal=terminal),
            stdin=SecretBytes(b"") if stdin is None else stdin,
            passphrase=passphrase,
            limit=limit,
            timeout=timeout,
        )
        if finished.ended == "time":
            raise failures.hung(self._timeout)
        return finished

    def _secret_home(self) -> Home:
        """The home that has our secret keys: the user's, or the identity's, made and filled now if need be."""
        if self._closed:
            raise ClosedError("the OpenPGP engine is closed")
        if self._identity is None:
            if self._users_home is None or not self._users_home.is_dir():
                raise NoSecretKeyError(
                    f"there is no GnuPG home {str(self._users_home or '~/.gnupg')!r}, and so no secret key",
                    hint="set GNUPGHOME, or give this machine an identity: strongroom role create NAME",
                )
            return UsersHome(self._users_home)
        home = self._identity_home
        if home is None or not home.mine:
            home = PrivateHome(self._environ)
            done = self._run(home, ["--import"], stdin=self._identity)
            if not any(int(line.word(0) or "0") & 16 for line in Status.parse(done.status).of("IMPORT_OK")):
                home.close()
                raise IdentityError("the identity holds no OpenPGP secret key", hint="strongroom role create NAME")
            self._identity_home = home
        return home

    def _imported(self, keys: bytes) -> PrivateHome:
        """A new private home with these public keys and nothing else."""
        home = PrivateHome(self._environ)
        done = self._run(home, ["--no-autostart", "--import"], stdin=SecretBytes(keys))
        if done.ended != "itself":
            raise OpenPGPError("gpg did not take the public keys")
        return home

    def _ring(self, to: Sequence[Certificate]) -> PrivateHome:
        """The private home that holds exactly these certificates: made once, as admins rarely change."""
        if self._closed:
            raise ClosedError("the OpenPGP engine is closed")
        key = tuple(sorted({certificate.transferable for certificate in to}))
        home = self._rings.get(key)
        if home is None or not home.mine:
            home = self._imported(b"".join(_public_key(certificate) for certificate in to))
            while len(self._rings) >= _RINGS_KEPT:
                self._rings.pop(next(iter(self._rings)))  # removed when the last thread that uses it lets it go
            self._rings[key] = home
        return home

    def _certificates_of(self, home: Home, listing: Sequence[str]) -> tuple[Certificate, ...]:
        listed = self._run(home, [*_LISTING, *listing])
        found = colons.parse(listed.stdout.reveal(), transferable={})
        if not found:
            return ()
        exported = self._run(
            home, ["--no-autostart", *_EXPORT, "--", *(certificate.fingerprint for certificate in found)]
        )
        return colons.parse(listed.stdout.reveal(), transferable=packets.certificates_in(exported.stdout.reveal()))

    def _check_agent(self, home: Home) -> None:
        """AgentError if secret keys lie in this home, but its agent cannot be reached: gpg calls that no secret key."""
        keys = home.path / "private-keys-v1.d"
        try:
            held = any(each.suffix == ".key" for each in keys.iterdir())
        except OSError:
            return
        if not held:
            return
        env = surroundings.environment(self._program, home.path, self._environ, terminal=None)
        socket_path = surroundings.agent_socket(self._program, home.path, env)
        size = len(os.fsencode(socket_path))
        if size > MAX_SOCKET_PATH:
            raise failures.path_too_long(home.path, size)
        if not agent_answers(socket_path):
            raise failures.agent_unreachable(home.path)


def _wanted(to: Sequence[Certificate], at: Timestamp) -> dict[str, str]:
    """The key id of each subkey to encrypt to, by its fingerprint. RecipientError names who cannot receive."""
    if not to:
        raise RecipientError("there is nobody to encrypt to", hint="strongroom admin list")
    for certificate in to:
        problem = certificate.problem(at)
        if problem is not None:
            raise RecipientError(
                f"{certificate.label} cannot receive: {problem}", hint=f"gpg --list-keys {certificate.fingerprint}"
            )
    return {subkey.fingerprint: subkey.key_id for each in to for subkey in each.usable_for_encryption(at)}


def _public_key(certificate: Certificate) -> bytes:
    """The bytes of this one certificate, whatever else its `transferable` may hold."""
    try:
        found = packets.certificates_in(certificate.transferable).get(certificate.fingerprint)
    except FormatError as error:
        raise RecipientError(f"{certificate.label} has no usable public key: {error}") from None
    if found is None:
        raise RecipientError(f"{certificate.label} is not in the public key that came with it")
    return found


def _named(to: Sequence[Certificate], recipient: str) -> str:
    """The label of the certificate that gpg's INV_RECP means."""
    for certificate in to:
        if any(subkey.fingerprint == recipient.rstrip("!") for subkey in certificate.encryption_subkeys):
            return certificate.label
    return repr(recipient[:80])


def _file_name(filename: str) -> tuple[str, ...]:
    if not all(character.isprintable() for character in filename) or len(filename.encode()) > 255:
        raise SettingsError(f"{filename[:80]!r} is not a file name that a message can carry")
    return (f"--set-filename={filename}",) if filename else ()


def _check_uid(uid: str) -> None:
    if not uid.strip() or not uid.isprintable() or len(uid.encode("utf-8", "replace")) > 255:
        raise SettingsError(
            f"{uid[:80]!r} is not a user id: one line of printable text, at most 255 bytes",
            hint="write it like: Web deploy <deploy@example.org>",
        )


def _conforms(engine: GnuPG) -> Engine:
    return engine
