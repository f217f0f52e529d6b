"""What the global options said, and the keystore that they lead to, opened when a command first needs it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from strongroom.cli import output
from strongroom.errors import PassphraseError, StaleError

if TYPE_CHECKING:  # importing the keystore costs some 80 ms; help and completion do without it
    from strongroom.keystore.credentials import Given
    from strongroom.keystore.facade import KeyStore


ASK = "-"
"""Instead of a passphrase file: ask me."""


@dataclass(slots=True)
class Session:
    """One run of the command line: what its global options said. Made empty, and filled as they are read."""

    store: str | None = None
    identity: str | None = None
    passphrase_file: str | None = None
    passphrase_fd: int | None = None
    pin: str | None = None
    as_json: bool = False

    def given(self) -> Given:
        """What the options give to open a store with. A person is asked where nothing else has a passphrase."""
        asked = self.passphrase_file == ASK
        elsewhere = self.passphrase_file or self.passphrase_fd is not None or _environment_has_passphrase()
        ask = ask_passphrase if asked or (not elsewhere and has_terminal()) else None
        return replace(self.without_asking(), ask=ask)

    def without_asking(self) -> Given:
        """What the options give, and nobody is asked."""
        from strongroom.keystore.credentials import Given

        if self.passphrase_fd is not None:
            with suppress(OSError):  # reading it tells
                os.set_inheritable(self.passphrase_fd, False)  # whatever `run` starts could read it once more
        path = self.passphrase_file
        return Given(
            identity=None if self.identity is None else Path(self.identity),
            passphrase_file=None if path is None or path == ASK else Path(path),
            passphrase_fd=self.passphrase_fd,
        )

    def open(self, given: Given | None = None) -> KeyStore:
        """The open keystore, closed at the end of the command; what a person should know goes to stderr.

        `given` is what the options give, where the command needs it once more.
        """
        from strongroom.cli.telling import Teller
        from strongroom.keystore.opening import open_store

        teller = Teller(as_json=self.as_json)
        click.get_current_context().call_on_close(teller.close)
        keystore = open_store(self.store, given=self.given() if given is None else given, pin=self.pin)
        click.get_current_context().call_on_close(keystore.close)
        for notice in keystore.notices:
            output.warn(notice, as_json=self.as_json)
        return keystore

    def warn_if_stale(self, keystore: KeyStore, *names: str) -> None:
        """Say that a keyset is older here than it was: it still decrypts, and may be what somebody turned back."""
        for name in dict.fromkeys(names):
            hindrance = keystore.source.load(name).hindrance  # the store's own keysets too, which nobody uses
            if isinstance(hindrance, StaleError) and not any(str(hindrance) in each for each in keystore.notices):
                output.warn_of(hindrance, as_json=self.as_json)


def _environment_has_passphrase() -> bool:
    return any(os.environ.get(name) for name in ("STRONGROOM_PASSPHRASE", "STRONGROOM_PASSPHRASE_FILE"))


def has_terminal() -> bool:
    """Whether there is a person who could be asked."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    os.close(descriptor)
    return True


def ask_passphrase(prompt: str = "Passphrase") -> str:
    """Ask the person at the terminal; nothing is echoed. PassphraseError where there is none."""
    import getpass  # only where a person is asked

    if has_terminal():  # without one, getpass would read stdin and echo it
        return getpass.getpass(f"{prompt}: ")
    raise PassphraseError(
        "there is no terminal to ask for a passphrase on",
        hint="strongroom --passphrase-file FILE, or --passphrase-fd N",
    )


def _set_json(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and isinstance(ctx.obj, Session):  # there is none while a shell asks for completions
        ctx.obj.as_json = True


json_option = click.option(
    "--json",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_set_json,
    help="Answer in JSON, for machines.",
)


def out_option(usual: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """--out of the verbs that write a new opening key."""
    return click.option(
        "--out",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"Where to write it ({usual} here, or beside the repository).",
    )


IGNORED = click.option("--ignored", is_flag=True, help="FILE may be in the repository, where git ignores it.")
"""Of the verbs that write a new opening key."""


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """What every command has: `--json`, and the session as its first argument."""

    @functools.wraps(function)
    @click.pass_obj
    def command(session: Session, /, *args: Any, **kwargs: Any) -> None:
        try:
            function(session, *args, **kwargs)
        except click.UsageError as error:
            error.ctx = error.ctx or click.get_current_context()  # so that its hint names this command
            raise

    return json_option(command)


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "Examples:\n" + "\n".join(f"  {line}" for line in lines)
