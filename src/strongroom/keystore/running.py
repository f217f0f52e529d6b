"""Starting a program with named secrets in its environment. What opens the store is never among them."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from strongroom.errors import FormatError, NotFoundError, SettingsError
from strongroom.keystore import acts
from strongroom.keystore.environment import Environment
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.handles.keys import text_of

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OPENERS = ("STRONGROOM_IDENTITY", "STRONGROOM_IDENTITY_FILE", "STRONGROOM_PASSPHRASE", "STRONGROOM_PASSPHRASE_FILE")
"""The variables that open a store; no program that we start gets them."""


def environment_for(
    keystore: KeyStore, wanted: Mapping[str, str], environ: Mapping[str, str] | None = None
) -> Environment:
    """The environment, less what opens the store, with each wanted variable set to its keyset's value.

    wanted: variable name → keyset name. A `secret` gives its text, a symmetric key its base64url, a private key its
    PKCS#8 PEM. Raises SettingsError for a name that is no variable, PolicyError for a key that is not exportable,
    StaleError for one whose record is stale, FormatError for a value that cannot be a variable's.
    """
    result = Environment(Environment.of(environ))
    for name in OPENERS:
        result.pop(name, None)
    for variable, name in wanted.items():
        if _VARIABLE.fullmatch(variable) is None or variable in OPENERS:
            raise SettingsError(
                f"{variable!r} is not a name for an environment variable", hint="write it like DATABASE_URL"
            )
        result[variable] = text_of(keystore.current(name))  # into no local of this frame, which may be shown
        if "\0" in result[variable]:
            raise FormatError(f"the value of {name!r} holds a NUL byte, which no environment can carry")
        acts.record("exported", keyset=name, variable=variable)
    return result


def execute(command: Sequence[str], environment: Environment) -> NoReturn:
    """Replace this process by the command. Raises NotFoundError where there is no such program."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores these two; a program that inherits that never learns that its pipe has no reader
    before = {ignored: signal.signal(ignored, signal.SIG_DFL) for ignored in (signal.SIGPIPE, signal.SIGXFSZ)}
    try:
        os.execvpe(command[0], list(command), dict(environment))  # noqa: S606 - this is the very job of `run`
    except FileNotFoundError:
        pass
    except OSError as error:
        raise SettingsError(f"{command[0]!r} cannot be started: {error.strerror}") from None
    finally:
        # still here: the caller's next write to a closed pipe must be an error, not the end of his process
        for ignored, handler in before.items():
            signal.signal(ignored, handler)
    raise NotFoundError(f"there is no program {command[0]!r}", hint="give its path, or see PATH")
