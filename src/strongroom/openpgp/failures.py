"""Why gpg did not do it, as an error of ours: read from the status lines and from the home, never from stderr."""

from __future__ import annotations

from pathlib import Path

from strongroom.errors import (
    AgentError,
    CannotOpenError,
    NoSecretKeyError,
    OpenPGPError,
    PassphraseError,
    StrongroomError,
)
from strongroom.openpgp.homes import MAX_SOCKET_PATH
from strongroom.openpgp.process import Finished
from strongroom.openpgp.status import Status

# libgpg-error, gpg-error.h: the low 16 bits are the code, bits 24 to 30 the part that reports it.
_CODE, _SOURCE_SHIFT, _SOURCE, _PINENTRY = 0xFFFF, 24, 0x7F, 5
_WRONG_PASSPHRASE = frozenset({11, 31, 87, 177})  # BAD_PASSPHRASE, INV_PASSPHRASE, BAD_PIN, NO_PASSPHRASE
_NOBODY_TO_ASK = frozenset({85, 86})  # NO_PIN_ENTRY, PIN_ENTRY
_CANCELLED = frozenset({99, 198})  # CANCELED, FULLY_CANCELED
_TIMEOUT = frozenset({62})
_NO_AGENT = frozenset({77, 78})  # NO_AGENT, AGENT
_NO_SECKEY = frozenset({17})
_CARD = frozenset({108, 109, 111, 112, 113, 119, 120, 127, 130})  # CARD … NO_SCDAEMON, SCDAEMON, PIN_BLOCKED
_READ = ("ENC_TO", "NODATA", "UNEXPECTED", "BADARMOR")  # what gpg says once it has looked at the message
_EOF = frozenset({16383})
_SYSTEM_ERROR = 0x8000  # this bit: the low ones number an errno, as ENOMEM where the agent's locked memory is full
_ASSUAN = range(257, 282)  # ASS_GENERAL … ASS_UNKNOWN_INQUIRE: the talk with the agent broke


def hung(timeout: float) -> AgentError:
    """gpg was killed when its time was over. It waits for nothing that long but its agent."""
    return AgentError(
        f"gpg did not answer within {timeout:g} seconds; its agent may hang",
        hint="end the agent: pkill -KILL -u $USER -x gpg-agent",
    )


def not_opened(status: Status, finished: Finished, *, passphrase_given: bool, identity: bool) -> StrongroomError:
    """Why a message was not opened: a CannotOpenError if this process cannot, an OpenPGPError if nobody should.

    The latter never says what was wrong with the message; where it was gpg that failed, that is said. Which status
    lines came is logged for whoever debugs: their keywords alone, since the words may name files and people.
    """
    import logging  # what opens does without

    said = " ".join(line.keyword for line in status.lines)
    logging.getLogger("strongroom.openpgp").debug("gpg ended with %d, and said: %s", finished.returncode, said)
    if finished.returncode < 0:
        return OpenPGPError(
            f"gpg was ended by signal {-finished.returncode}", hint="dmesg says whether memory ran out; try it again"
        )
    if not any(status.of(word) for word in _READ):
        return OpenPGPError(f"gpg failed before it read the message: {finished.last_words}", hint="gpg --version")
    if not status.of("DECRYPTION_INFO"):  # gpg found no session key; what fails behind it is the message's fault
        for line in status.of("ERROR"):
            found = line.word(0) == "pkdecrypt_failed" and _unusable_key(
                line.word(1), passphrase_given=passphrase_given, identity=identity
            )
            if found:
                return found
        if status.of("NO_SECKEY"):
            return no_secret_key(status, identity=identity)
    return not_intact()


def not_intact() -> OpenPGPError:
    """The message's own fault; never what it is."""
    return OpenPGPError(
        "the message is not one whole and intact encrypted message", hint="git log -- FILE shows its older versions"
    )


def no_secret_key(status: Status, *, identity: bool) -> NoSecretKeyError:
    """None of the recipients' secret keys is here; the message names their key ids."""
    wanted = ", ".join(dict.fromkeys(line.word(0)[:40] for line in status.of("ENC_TO"))) or "its recipients"
    return NoSecretKeyError(
        f"the message is encrypted to {wanted}; {'the identity' if identity else 'gpg'} has none of these secret keys",
        hint="strongroom doctor" if identity else "gpg --list-secret-keys shows what is here",
    )


def path_too_long(home: Path, size: int) -> AgentError:
    """gpg says "no secret key" when the agent's socket has no place."""
    return AgentError(
        f"the path of the GnuPG home {str(home)!r} is too long: its agent's socket would have {size} bytes, "
        f"and the system takes {MAX_SOCKET_PATH}",
        hint="set GNUPGHOME to a shorter path",
    )


def agent_unreachable(home: Path) -> AgentError:
    """Secret keys lie in the home, but nothing serves them."""
    return AgentError(
        f"gpg-agent does not run for the GnuPG home {str(home)!r}, and could not be started",
        hint="gpgconf --launch gpg-agent says why",
    )


def _unusable_key(word: str, *, passphrase_given: bool, identity: bool) -> CannotOpenError | None:
    """The error for a code of `ERROR pkdecrypt_failed CODE`; None where the code blames the message."""
    digits = word.split("_", maxsplit=1)[0]
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 12 else 0
    code, source = number & _CODE, number >> _SOURCE_SHIFT & _SOURCE
    if code in _WRONG_PASSPHRASE:
        return PassphraseError(
            "the passphrase of the secret key is wrong",
            hint="strongroom doctor says where the passphrase was taken from" if passphrase_given else "try it again",
        )
    if code in _CANCELLED:
        return AgentError("the question for the passphrase was cancelled", hint="try it again")
    if code in _TIMEOUT:
        return AgentError("nobody answered the question for the passphrase in time", hint="try it again")
    if code in _NOBODY_TO_ASK or source == _PINENTRY:
        if identity:
            return PassphraseError(
                "the identity's secret key is protected by a passphrase, and none was given",
                hint="set STRONGROOM_PASSPHRASE_FILE",
            )
        return AgentError(
            "the secret key is protected by a passphrase, and pinentry cannot ask for it here",
            hint="run it at a terminal, install pinentry, or give a machine its own key: strongroom role create NAME",
        )
    if code in _NO_AGENT or code in _EOF:
        return AgentError("gpg-agent does not run", hint="gpgconf --launch gpg-agent")
    if code in _CARD:
        return AgentError("the secret key is on a card that does not answer", hint="gpg --card-status")
    if code & _SYSTEM_ERROR or code in _ASSUAN:
        return AgentError(f"gpg-agent failed (error {number})", hint="try it again; gpg-error says what a number means")
    if code in _NO_SECKEY:
        return NoSecretKeyError(
            "gpg has no secret key for the message", hint="gpg --list-secret-keys shows what is here"
        )
    return None
