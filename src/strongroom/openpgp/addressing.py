"""To whom one message goes: subkeys by full fingerprint, out of certificates that can receive now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from strongroom._encoding import Timestamp
from strongroom.errors import FormatError, RecipientError
from strongroom.openpgp import packets
from strongroom.openpgp.engine import Certificate


def wanted_subkeys(to: Sequence[Certificate], at: Timestamp) -> dict[str, str]:
    """The key id of each subkey to encrypt to, by its fingerprint. RecipientError names who cannot receive, and why.

    gpg would refuse the whole message for one such recipient, and say so less well.
    """
    if not to:
        raise RecipientError("there is nobody to encrypt to", hint="strongroom admin list")
    for certificate in to:
        problem = certificate.problem(at)
        if problem is not None:
            raise RecipientError(
                f"{certificate.label} cannot receive: {problem}", hint=f"gpg --list-keys {certificate.fingerprint}"
            )
    return {subkey.fingerprint: subkey.key_id for each in to for subkey in each.usable_for_encryption(at)}


def public_key(certificate: Certificate) -> bytes:
    """The bytes of one certificate, whatever else its `transferable` may hold. RecipientError if it is not there."""
    try:
        found = packets.certificates_in(certificate.transferable).get(certificate.fingerprint)
    except FormatError as error:
        raise RecipientError(f"{certificate.label} has no usable public key: {error}") from None
    if found is None:
        raise RecipientError(f"{certificate.label} is not in the public key that came with it")
    return found


def label_of(recipient: str, *, among: Sequence[Certificate]) -> str:
    """The certificate that gpg means by a recipient of its command line."""
    for certificate in among:
        if any(subkey.fingerprint == recipient.rstrip("!") for subkey in certificate.encryption_subkeys):
            return certificate.label
    return repr(recipient[:80])


def only_to(wanted: Mapping[str, str], ciphertext: bytes, *, engine: str) -> bytes:
    """The same ciphertext, if it names these subkeys and nobody else. RecipientError."""
    reached = sorted(packets.recipients_of(ciphertext))
    if reached != sorted(wanted.values()):
        raise RecipientError(f"{engine} encrypted to {', '.join(reached)}, not to {', '.join(sorted(wanted.values()))}")
    return ciphertext


def gpg_options(wanted: Mapping[str, str]) -> tuple[str, ...]:
    """What has gpg seal to these subkeys and to nobody else, and choose the cipher itself, whatever a key prefers."""
    chosen = [word for fingerprint in wanted for word in ("--recipient", f"{fingerprint}!")]
    return ("--no-autostart", "--no-encrypt-to", "--no-throw-keyids", "--cipher-algo=AES256", *chosen)


def file_name_option(filename: str) -> tuple[str, ...]:
    """The option that puts a name into the message. One that gpg cannot carry is left out: nothing depends on it.

    `_CONSOLE` would mean "for your eyes only" (RFC 9580 section 5.9).
    """
    fits = filename.isprintable() and len(filename.encode("utf-8", "replace")) <= 255 and filename != "_CONSOLE"
    return (f"--set-filename={filename}",) if filename and fits else ()
