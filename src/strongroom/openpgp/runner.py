"""The one command line under every verb: the options that always stand, who may be asked, and how long it may take."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from strongroom.errors import OpenPGPError
from strongroom.openpgp import colons, failures, process, surroundings
from strongroom.openpgp.homes import MAX_SOCKET_PATH, Home, agent_answers
from strongroom.openpgp.process import Finished
from strongroom.primitives.secret import SecretBytes

TIME_LIMIT = 15.0
"""Seconds for one run of gpg on a small message, unless a person may be typing a passphrase."""

_BYTES_A_SECOND = 2 * 1024 * 1024  # what the slowest machine compresses; a large message has so much more time
_NOTHING = SecretBytes(b"")
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


class Runner:
    """gpg as one program with one environment. See GnuPG for what the arguments mean."""

    def __init__(
        self,
        program: Path,
        environ: Mapping[str, str],
        *,
        passphrase: SecretBytes | None,
        terminal: str | None,
        timeout: float,
    ) -> None:
        self._program = program
        self._environ = environ
        self._passphrase = passphrase
        self._terminal = terminal
        self._timeout = timeout

    def run(
        self,
        home: Home,
        arguments: Sequence[str],
        *,
        stdin: SecretBytes = _NOTHING,
        limit: int = colons.MAX_LISTING,
        passphrase: SecretBytes | None = None,
        inherited: Sequence[int] = (),
        more_time: float = 0.0,
    ) -> Finished:
        """One gpg in this home that asks nobody; AgentError when it hangs, OpenPGPError when its output has no end.

        `inherited` are descriptors for it; `more_time` is added to the limit, in seconds.
        """
        finished = self._run(
            home,
            arguments,
            stdin=stdin,
            limit=limit,
            passphrase=passphrase,
            terminal=None,
            inherited=inherited,
            more_time=more_time,
        )
        if finished.ended == "output":
            raise OpenPGPError(f"gpg wrote more than {limit} bytes")
        return finished

    def unlock(
        self,
        home: Home,
        arguments: Sequence[str],
        *,
        stdin: SecretBytes,
        limit: int,
        inherited: Sequence[int] = (),
        more_time: float = 0.0,
        asking: bool = True,
    ) -> Finished:
        """The same with the passphrase that was given, or, where there is none, by asking the person who is there.

        Without `asking` nobody is. Output beyond the limit is the caller's to judge.
        """
        terminal = None
        if self._passphrase is None and asking:
            terminal = surroundings.terminal_of_person() if self._terminal is None else self._terminal or None
        return self._run(
            home,
            arguments,
            stdin=stdin,
            limit=limit,
            passphrase=self._passphrase,
            terminal=terminal,
            inherited=inherited,
            more_time=more_time,
        )

    def check_agent(self, home: Home) -> None:
        """AgentError if secret keys lie in this home, but its agent cannot be reached: gpg calls that no secret key."""
        try:
            held = any(each.suffix == ".key" for each in (home.path / "private-keys-v1.d").iterdir())
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

    def _run(
        self,
        home: Home,
        arguments: Sequence[str],
        *,
        stdin: SecretBytes,
        limit: int,
        passphrase: SecretBytes | None,
        terminal: str | None,
        inherited: Sequence[int],
        more_time: float,
    ) -> Finished:
        mode = () if terminal else ("--pinentry-mode=error" if passphrase is None else "--pinentry-mode=loopback",)
        timeout = self._timeout + len(stdin) // _BYTES_A_SECOND + more_time
        finished = process.run(
            self._program,
            [*_ALWAYS, f"--homedir={home.path}", *mode, *arguments],
            env=surroundings.environment(self._program, home.path, self._environ, terminal=terminal),
            stdin=stdin,
            passphrase=passphrase,
            inherited=inherited,
            limit=limit,
            timeout=None if terminal else timeout,
        )
        if finished.ended == "time":
            raise failures.hung(timeout)
        return finished
