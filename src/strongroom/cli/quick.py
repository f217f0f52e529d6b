"""`strongroom blackbox cat FILES`, the one verb that is run in loops, answered without the command line's parser.

It is what the old name `blackbox_cat` starts. The parser and what it stands on take as long to load as gpg takes to
open a small file. Any other line, and a machine with an identity, is the whole command line's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from strongroom.cli import COMPLETION, output

if TYPE_CHECKING:
    from strongroom.blackbox.reading import Reader

_VERB = ["blackbox", "cat"]


def answers(argv: Sequence[str]) -> bool:
    """Whether this line can be answered here: files, no option, no identity, and no shell that completes it."""
    return bool(_files(argv)) and not environment_has_identity() and not os.environ.get(COMPLETION)


def answer(argv: Sequence[str]) -> int:
    """Print the files; the exit status. What goes wrong ends as every run does."""
    output.prepare_streams()
    try:
        from strongroom.blackbox.reading import Reader

        print_plaintexts(Reader.discover(), _files(argv))
        output.flush()
    except BaseException as error:  # noqa: BLE001 - the ending tells; SystemExit goes on
        from strongroom.cli.context import Session
        from strongroom.cli.ending import ended

        return ended(error, Session(), argv)
    return 0


def print_plaintexts(repository: Reader, names: Sequence[str]) -> None:
    """The bytes of each file, as they are, as soon as they are open."""
    for name in names:
        plaintext = repository.read(repository.name_of(name))
        output.write_bytes(plaintext.reveal(), redirect="strongroom blackbox cat FILE > OUTPUT")


def environment_has_identity() -> bool:
    """Whether this machine opens with an identity of its own, and not with a user's keyring."""
    return any(os.environ.get(name) for name in ("STRONGROOM_IDENTITY", "STRONGROOM_IDENTITY_FILE"))


def _files(argv: Sequence[str]) -> list[str]:
    """The files of such a line; none if it is another, or has options."""
    rest = list(argv[2:]) if list(argv[:2]) == _VERB else []
    if rest[:1] == ["--"]:
        return rest[1:]
    return [] if any(word.startswith("-") for word in rest) else rest
