"""New passphrases of people: typed twice, or made here and shown once. None comes from a line of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strongroom.cli import output
from strongroom.cli.context import ask_passphrase, has_terminal
from strongroom.errors import PassphraseError

if TYPE_CHECKING:  # help does without it
    from strongroom.primitives.secret import SecretBytes


def ask_new_passphrase(*, otherwise: str, retry: str) -> SecretBytes:
    """One that a person types twice, or has made. `otherwise` is the hint where there is no terminal, `retry` after a
    slip. PassphraseError."""
    from strongroom.sealing.passphrases import passphrase_from_bytes

    if not has_terminal():
        raise PassphraseError("there is neither a passphrase nor a terminal to ask for one on", hint=otherwise)
    first = _typed("New passphrase (empty: one is made for you)")
    if not len(first):
        return make_passphrase()
    if first != _typed("The same again"):
        raise PassphraseError("the two passphrases differ", hint=retry)
    return passphrase_from_bytes(first)


def make_passphrase() -> SecretBytes:
    """One of 80 random bits, which the person is shown now and never again."""
    from strongroom.sealing.passphrases import generate_passphrase

    made = generate_passphrase()
    output.tell(f"your passphrase, shown this once: {made.reveal().decode()}")
    return made


def _typed(prompt: str) -> SecretBytes:
    from strongroom.primitives.secret import SecretBytes

    return SecretBytes(ask_passphrase(prompt).encode("utf-8", "surrogatepass"))
