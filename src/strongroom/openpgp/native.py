"""Calls into pysequoia. Nothing that it raises leaves here: errors quote what was read, panics are no Exception."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeVar

import pysequoia

from strongroom.errors import EngineMissingError
from strongroom.primitives.secret import SecretBytes

Result = TypeVar("Result")

CEILING = 25 * 1024 * 1024
"""Bytes of plaintext that sequoia-openpgp holds back until it has seen the message's end. Beyond them it streams."""


def attempt(call: Callable[[], Result]) -> Result | None:
    """What the call gives; None where it raises, a Rust panic included, which derives from BaseException alone."""
    try:
        return call()
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException:  # noqa: BLE001  the first line says why
        return None


def open_message(message: bytes, decryptor: pysequoia.PyDecryptor) -> SecretBytes | Literal["closed", "large"]:
    """The plaintext of a message that is whole and intact; "large" for one that opens to more than `CEILING`.

    `pysequoia.decrypt` collects whatever a message opens to, and 400 MB come out of a few hundred bytes. So it is
    opened twice: first into a file that cannot grow, which shows whether any plaintext leaves the library's buffer.
    The memory that one call takes is bounded by that. Its time is not: nothing interrupts a call into the library.
    """
    with _memory_file(message) as source, _memory_file(b"?") as sink:
        fcntl.fcntl(sink, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
        places = f"/proc/self/fd/{source}", f"/proc/self/fd/{sink}"
        _must_open(*places)
        # A store of no certificates lets no message pass, so nothing is written before the end has been seen.
        attempt(lambda: pysequoia.decrypt_file(*places, decryptor=decryptor, store=_nobody))
        if os.fstat(sink).st_size == 0:  # opened for writing, and so emptied
            return "large"
    opened = attempt(lambda: SecretBytes(pysequoia.decrypt(message, decryptor=decryptor).bytes or b""))
    return "closed" if opened is None or len(opened) == 0 else opened


def _nobody(ids: Any) -> list[pysequoia.Cert]:
    return []


@contextlib.contextmanager
def _memory_file(content: bytes) -> Iterator[int]:
    try:
        fd = os.memfd_create("strongroom", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except (AttributeError, OSError) as error:
        raise _unsuitable(str(error)) from None
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(fd, left) :]
        yield fd
    finally:
        os.close(fd)


def _must_open(*places: str) -> None:
    """Both at once, as the call will: where it cannot open them, it proves nothing about the message."""
    with contextlib.ExitStack() as opened:
        for place in places:
            try:
                opened.callback(os.close, os.open(place, os.O_RDWR | os.O_CLOEXEC))
            except OSError as error:
                raise _unsuitable(f"{place}: {error.strerror}") from None


def _unsuitable(why: str) -> EngineMissingError:
    return EngineMissingError(
        f"the sequoia engine needs Linux's memory files and /proc: {why}", hint="install GnuPG: apt-get install gnupg"
    )
