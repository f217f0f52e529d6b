"""The user's editor, run on one private file. A signal that ends us ends it first, and nobody is left behind."""

from __future__ import annotations

import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from strongroom.errors import BlackBoxError, SettingsError

DEFAULT = "vi"
_PATIENCE = 5.0
_ENDING = (signal.SIGTERM, signal.SIGHUP)
# They open stores and machines; a program that we start has no use for them.
_KEPT_OUT = (
    "STRONGROOM_IDENTITY",
    "STRONGROOM_IDENTITY_FILE",
    "STRONGROOM_PASSPHRASE",
    "STRONGROOM_PASSPHRASE_FILE",
)


def words(environ: Mapping[str, str]) -> list[str]:
    """EDITOR (else vi), split into words as a shell splits them; no shell runs. SettingsError."""
    text = environ.get("EDITOR", "").strip() or DEFAULT
    try:
        return shlex.split(text)
    except ValueError as error:
        raise SettingsError(f"EDITOR is {text!r}: {error}", hint="EDITOR='vi -n'") from None


def run(path: Path, environ: Mapping[str, str]) -> None:
    """Run the editor on a file, until it ends. BlackBoxError for any other ending than 0.

    SIGINT belongs to the editor, as in git. SIGTERM and SIGHUP end it, and are a BlackBoxError too: the caller tidies
    up and says what became of the text, and then this process ends. The editor stands where the user stands.
    """
    command = [*words(environ), str(path)]
    environment = {name: value for name, value in environ.items() if name not in _KEPT_OUT}
    with _signals() as ended:
        try:
            process = subprocess.Popen(command, env=environment)
        except (OSError, ValueError) as error:
            raise SettingsError(f"cannot start the editor {command[0]!r}: {error}", hint="set EDITOR") from None
        ended.process = process
        try:
            if ended.by:  # between the two
                process.terminate()
            status = process.wait()
        finally:
            _end(process)
    if ended.by:
        raise BlackBoxError(f"ended by {signal.Signals(ended.by).name} while the editor ran")
    if status:
        how = f"ended with {status}" if status > 0 else f"was ended by signal {-status}"
        raise BlackBoxError(f"the editor {command[0]!r} {how}", hint="EDITOR names another")


class _Ended:
    """Which signal came, and whom it is passed on to."""

    def __init__(self) -> None:
        self.by = 0
        self.process: subprocess.Popen[bytes] | None = None

    def end(self, number: int, frame: FrameType | None) -> None:
        self.by = number
        if self.process is not None:
            self.process.terminate()


@contextmanager
def _signals() -> Iterator[_Ended]:
    """Our own handlers for the time of the editor. Outside the main thread Python has none to set."""
    ended = _Ended()
    if threading.current_thread() is not threading.main_thread():
        yield ended
        return
    # functions, not SIG_IGN: what is ignored stays ignored in the editor, and what is handled does not
    before = {number: signal.signal(number, ended.end) for number in _ENDING}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
