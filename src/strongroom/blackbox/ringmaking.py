"""The tracked keyring, rebuilt by gpg in a private home, because the keybox is gpg's own format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from strongroom.blackbox import keybox, layout
from strongroom.errors import OpenPGPError, StoreError
from strongroom.openpgp.engine import Certificate
from strongroom.openpgp.homes import PrivateHome
from strongroom.openpgp.process import run
from strongroom.openpgp.surroundings import environment, find_program
from strongroom.primitives.secret import SecretBytes

_TIME_LIMIT = 15.0


@dataclass(frozen=True, slots=True)
class Rings:
    """The contents of the keyring files, and of the trust file that gpg makes beside them."""

    rings: Mapping[str, bytes]
    trust: bytes


def with_certificate(rings: Mapping[str, bytes], certificate: Certificate, *, environ: Mapping[str, str]) -> Rings:
    """The keyring files with one more certificate, each in its own format; a keybox where there is none yet.

    gpg itself writes them: the keybox is its own format, and an older copy of the certificate is merged with this one.
    """

    def add(home: Path) -> None:
        _gpg(home, "--import", stdin=certificate.transferable, environ=environ)

    return _remade(rings or {layout.KEYBOX: b""}, add, environ=environ)


def without_certificates(
    rings: Mapping[str, bytes], fingerprints: Sequence[str], *, environ: Mapping[str, str]
) -> Rings:
    """The keyring files without these certificates; one that a file does not have is no error."""

    def drop(home: Path) -> None:
        for fingerprint in fingerprints:
            if fingerprint.encode() in _gpg(home, "--with-colons", "--list-keys", environ=environ):
                _gpg(home, "--yes", "--delete-keys", fingerprint, environ=environ)

    return _remade(rings, drop, environ=environ)


def _remade(rings: Mapping[str, bytes], change: Callable[[Path], None], *, environ: Mapping[str, str]) -> Rings:
    made: dict[str, bytes] = {}
    trust = b""
    for name, raw in rings.items():
        with closing(PrivateHome(environ)) as home:
            boxed = not raw or keybox.is_keybox(raw)
            if boxed and raw:
                _keep(home.path / layout.KEYBOX, raw)
            elif raw:
                _gpg(home.path, "--import", stdin=raw, environ=environ)
            change(home.path)
            made[name] = _kept(home.path / layout.KEYBOX) if boxed else _gpg(home.path, "--export", environ=environ)
            _gpg(home.path, "--check-trustdb", environ=environ)  # an import that changes nothing makes no trust file
            trust = _kept(home.path / layout.TRUST)
    return Rings(rings=made, trust=trust)


def _gpg(home: Path, *words: str, environ: Mapping[str, str], stdin: bytes = b"") -> bytes:
    """One call on public keys: no options file, no agent, no network, a time limit."""
    program = find_program(environ)
    done = run(
        program,
        [
            "--no-options",
            "--batch",
            "--no-tty",
            "--no-autostart",
            "--disable-dirmngr",
            "--no-auto-key-retrieve",
            *words,
        ],
        env=environment(program, home, environ, terminal=None),
        stdin=SecretBytes(stdin),
        limit=keybox.MAX_RING,
        timeout=_TIME_LIMIT,
    )
    if done.returncode or done.ended != "itself":
        ended = f"ended with {done.returncode}" if done.ended == "itself" else f"was stopped for the {done.ended}"
        raise OpenPGPError(f"gpg {' '.join(words)} {ended}: {done.last_words}")
    return done.stdout.reveal()


def _keep(path: Path, raw: bytes) -> None:
    try:
        path.write_bytes(raw)
    except OSError as error:
        raise StoreError(f"cannot write into a temporary home: {error.strerror}", hint="set TMPDIR") from None


def _kept(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OpenPGPError(f"gpg left no {path.name!r}: {error.strerror}") from None
