"""A second agent over the same secret keys, for whoever would wait while the first opens another thread's messages.

gpg-agent works on one core, whatever the machine has. Another one, in a private home of ours whose links name the
home's keys and keyring, can ask nobody anything, and need not where the keys lie on this disk with no passphrase, or
with the one that was given, as a machine's role key does: then two cores open twice as much. Where it opens nothing
(a passphrase in a head, a card, an agent elsewhere) it is given up at its first try, and one waits as ever.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from strongroom.errors import AgentError, StoreError
from strongroom.openpgp import batches
from strongroom.openpgp.homes import KEYRINGS, Home, PrivateHome
from strongroom.openpgp.runner import Runner
from strongroom.primitives.secret import SecretBytes

_KEYS = "private-keys-v1.d"


class Agents:
    """The agents of one home: its own, and as many of ours as there are threads that open at once.

    A list takes and gives one thing at a time, so there is no lock that a forked child could find held.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._free: list[PrivateHome | None] = [None]  # None is the home's own
        self._of_use = True

    def decrypt(self, gpg: Runner, home: Home, ciphertexts: Sequence[bytes]) -> list[SecretBytes]:
        """As `batches.decrypt`, with the secret keys of this home."""
        lent = self._lend(home.path) if self._of_use else None
        try:
            if lent is not None:
                with contextlib.suppress(AgentError):  # the home's own agent may do better
                    opened = batches.decrypt(gpg, lent, self._environ, ciphertexts, asking=False)
                    if opened:
                        return opened
                self._of_use = False
            return batches.decrypt(gpg, home, self._environ, ciphertexts)
        finally:
            self._free.append(lent)

    def close(self) -> None:
        """End the agents that are ours."""
        while self._free:
            if (ours := self._free.pop()) is not None:
                ours.close()

    def _lend(self, home: Path) -> PrivateHome | None:
        """Whichever is free, or a new one."""
        with contextlib.suppress(IndexError):
            lent = self._free.pop()
            if lent is None or lent.mine:
                return lent
        with contextlib.suppress(OSError, StoreError):
            return _beside(home, self._environ)
        return None


def _beside(home: Path, environ: Mapping[str, str]) -> PrivateHome | None:
    """A private home in which gpg finds this one's keys; nothing is copied. None where there are no keys to link."""
    if not (home / _KEYS).is_dir():
        return None
    made = PrivateHome(environ)
    for name in (_KEYS, *KEYRINGS):
        if (home / name).exists():
            (made.path / name).symlink_to(home / name)
    return made
