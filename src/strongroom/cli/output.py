"""Data goes to stdout, talk to stderr; a terminal never obeys what a file or a name contains."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from strongroom.errors import PolicyError, StoreError, StrongroomError


def shown(text: object) -> str:
    """Text for a terminal: whatever is not printable (escape sequences, line breaks, bidi marks) is escaped."""
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in plain)


def prepare_streams() -> None:
    """Make every run start with three streams that are open, and that take any text.

    A program that was started with a standard stream closed would give its number to the next file that it opens, and
    then write there. What stands in for it fails when it is used.
    """
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)  # the lowest free number: this one
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - a descriptor, for the life of the process
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - as above
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - as above
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write_line(text: str) -> None:
    """One line on stdout; what a terminal would obey is escaped."""
    _write(shown(text) + "\n")


def write_lines(lines: Iterable[str]) -> None:
    """Lines on stdout, as `write_line`, in one write."""
    _write("".join(shown(line) + "\n" for line in lines))


def write_text(text: str) -> None:
    """Text of ours that may have line breaks on stdout, as it is."""
    _write(text)


def write_json(value: object) -> None:
    """One JSON document on stdout, in ASCII: RFC 8259 lets C1 controls and bidi marks stand as they are."""
    import json  # a person does without it

    _write(json.dumps(value, indent=2) + "\n")


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table that fits the terminal; on a pipe one line a row, tabs between and no head, so that cut and awk work."""
    held = [[shown("" if cell is None else cell) for cell in row] for row in rows]
    if not stdout_is_terminal():
        _write("".join("\t".join(row) + "\n" for row in held))
        return
    if not held:
        tell(empty)
        return
    from strongroom.cli.tables import draw  # rich costs 60 ms to import: only a person's terminal pays for it

    flush()
    with written():
        draw(columns, held)


def write_facts(facts: Mapping[str, object]) -> None:
    """`name  value` lines, aligned; on a pipe a tab between."""
    told = {name: shown(value) for name, value in facts.items() if value is not None}
    if not stdout_is_terminal():
        _write("".join(f"{name}\t{value}\n" for name, value in told.items()))
        return
    width = max((len(name) for name in told), default=0)
    _write("".join(f"{name:<{width}}  {value}\n" for name, value in told.items()))


def write_bytes(raw: bytes, *, redirect: str) -> None:
    """Exactly these bytes on stdout. `redirect` is a command that shows how to send them elsewhere.

    On a terminal, text gets a line end of its own, and bytes that a terminal might obey are a PolicyError.
    """
    if stdout_is_terminal():
        if not _harmless(raw):
            raise PolicyError("what would be written is not plain text, and a terminal might obey it", hint=redirect)
        raw = raw if raw.endswith(b"\n") else raw + b"\n"
    flush()
    with written():
        sys.stdout.buffer.write(raw)
        sys.stdout.buffer.flush()


def _harmless(raw: bytes) -> bool:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\n\t" for character in text)


def read_input() -> bytes:
    """All of standard input."""
    if sys.stdin.isatty():
        tell("strongroom: reading from this terminal; Ctrl-D on a line of its own ends it")
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise StoreError(f"standard input cannot be read: {error.strerror}") from None


def tell(text: str) -> None:
    """Talk: one line on stderr, after what was written so far; what a terminal would obey is escaped."""
    flush()
    _say(text)


def _say(text: str) -> None:
    sys.stderr.write(shown(text) + "\n")
    sys.stderr.flush()


def warn(text: str, *, as_json: bool) -> None:
    """A warning on stderr."""
    if as_json:
        tell(_json({"warning": text}))
    else:
        tell(f"strongroom: warning: {text}")


def warn_of(trouble: StrongroomError, *, as_json: bool) -> None:
    """A warning of what is no error here, with its hint."""
    warn(f"{trouble} ({trouble.hint})" if trouble.hint else str(trouble), as_json=as_json)


def tell_error(kind: str, message: str, hint: str, *, as_json: bool) -> None:
    """An error and its hint on stderr; as JSON, one line with `error`, `message` and `hint`."""
    with suppress(StoreError, BrokenPipeError):  # that stdout fails may be the error that is told
        flush()
    if as_json:
        _say(_json({"error": kind, "message": message, "hint": hint}))
        return
    _say(f"strongroom: error: {message}")
    if hint:
        _say(f"strongroom: hint: {hint}")


def _json(value: object) -> str:
    import json  # a person does without it

    return json.dumps(value)


def flush() -> None:
    """Hand over what stdout still holds. StoreError where it cannot be written."""
    with written():
        if sys.stdout is not None:  # as where it was closed before we began
            sys.stdout.flush()


def abandon() -> None:
    """Nobody reads stdout any more: what it still holds goes nowhere, and Python says nothing of it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def stdout_is_terminal() -> bool:
    """Whether what is printed would stay on somebody's screen."""
    return sys.stdout.isatty()


def _write(text: str) -> None:
    with written():
        sys.stdout.write(text)


@contextmanager
def written() -> Iterator[None]:
    """Around what writes on stdout: StoreError where that fails, and BrokenPipeError where nobody reads it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon()
        raise StoreError(f"standard output cannot be written: {error.strerror}") from None
