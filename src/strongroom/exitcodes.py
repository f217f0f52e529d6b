"""What the exit status of a command means. The table is the whole truth: neither the CLI nor Django picks a number."""

from __future__ import annotations

from strongroom import errors

DONE = 0
FAILED = 1
USAGE = 2
CANNOT_OPEN = 3
WORK_REMAINS = 4
REFUSED = 5
STALE = 6
NOT_PUBLISHED = 69
INTERRUPTED = 130
READER_GONE = 141

MEANINGS = {
    DONE: "done",
    FAILED: "failed",
    USAGE: "the command was not understood",
    CANNOT_OPEN: "this process cannot open the store: no key, no slot, no gpg",
    WORK_REMAINS: "work remains",
    REFUSED: "refused by a policy or a state",
    STALE: "stale, or another writer was first",
    NOT_PUBLISHED: "nothing is published for this worker",
    INTERRUPTED: "stopped by Ctrl-C",  # 128 + SIGINT, as shells count
    READER_GONE: "nobody reads the output any more",  # 128 + SIGPIPE: `strongroom list | head -1`
}

_BY_ERROR: tuple[tuple[type[errors.StrongroomError], int], ...] = (
    (errors.SettingsError, USAGE),
    (errors.CannotOpenError, CANNOT_OPEN),
    (errors.NotPublishedError, NOT_PUBLISHED),
    (errors.StaleError, STALE),
    (errors.ConflictError, STALE),
    (errors.StateError, REFUSED),
    (errors.PurposeError, REFUSED),
    (errors.PolicyError, REFUSED),
    (errors.ExposedRootError, REFUSED),
    (errors.NotGrantedError, REFUSED),
)


def exit_code(error: errors.StrongroomError) -> int:
    """The exit status for an error; 1 where no other fits."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), FAILED)
