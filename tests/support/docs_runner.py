"""Runs the fenced blocks of a Markdown page as a reader would type them. A block that is not marked is an error.

Every ```console and ```python block stands under one HTML comment:

    <!-- run -->                  it runs; every command must exit 0
    <!-- run: exit 3 -->          it runs; its last command must exit 3
    <!-- not run: REASON -->      it does not, and says why
    <!-- file: PATH -->           the block (of any language) is written to PATH, for the blocks below to use

The blocks of one page share one bash: its directory, its exports, its home with a GnuPG user in it. In a console block
`$ ` begins a command and `> ` continues it; the lines below are what a terminal shows. With no line, anything may be
shown; `...` alone on a line stands for any lines, within a line for any characters. A Python block is one program.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

MARKED_LANGUAGES = frozenset({"console", "python"})
USER = "Alice Example <alice@example.org>"
_FENCE = re.compile(r"(?P<indent> *)(?P<fence>```+|~~~+)(?P<language>[\w-]*)\s*")
_MARK = re.compile(r"\s*<!-- (?P<verb>not run|run|file)(?:: (?P<rest>\S.*))? -->\s*")
_EXIT = re.compile(r"exit ([0-9]{1,3})")


class DocumentError(AssertionError):
    """A page that is not what it promises; the message names page and line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block; `line` is that of its fence, counted from 1."""

    page: str
    line: int
    language: str
    text: str
    verb: str  # "run", "not run", "file", or "" where nothing is said
    rest: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def exit_status(self) -> int:
        match = _EXIT.fullmatch(self.rest)
        return int(match[1]) if match else 0


@dataclass(frozen=True, slots=True)
class Command:
    """What is typed, and what the page says is shown; None where it shows nothing."""

    typed: str
    shown: tuple[str, ...] | None


def blocks(page: str, text: str) -> tuple[Block, ...]:
    """All fenced blocks of a page, in order."""
    return tuple(_blocks(page, text.splitlines()))


def _blocks(page: str, lines: list[str]) -> Iterator[Block]:
    mark: re.Match[str] | None = None
    number = 0
    while number < len(lines):
        line = lines[number]
        opening = _FENCE.fullmatch(line)
        if opening is None:
            mark = _MARK.fullmatch(line) or (mark if not line.strip() else None)
            number += 1
            continue
        fence, start = opening["indent"] + opening["fence"], number
        number += 1
        body = []
        while number < len(lines) and lines[number].rstrip() != fence:
            body.append(lines[number].removeprefix(opening["indent"]))
            number += 1
        if number == len(lines):
            raise DocumentError(f"{page}:{start + 1}: the block has no end")
        number += 1
        verb, rest = (mark["verb"], mark["rest"] or "") if mark else ("", "")
        text = "".join(line + "\n" for line in body)
        yield Block(page=page, line=start + 1, language=opening["language"], text=text, verb=verb, rest=rest)
        mark = None


def faults(block: Block) -> str:
    """What is wrong with a block's mark; empty if nothing is."""
    if block.verb == "":
        if block.language in MARKED_LANGUAGES:
            return f"{block.place}: a {block.language} block with no mark: say <!-- run --> or <!-- not run: REASON -->"
    elif block.verb == "run":
        if block.language not in MARKED_LANGUAGES:
            return f"{block.place}: only console and python blocks run"
        if block.rest and not _EXIT.fullmatch(block.rest):
            return f"{block.place}: {block.rest!r} is not 'exit N'"
    elif not block.rest:
        return f"{block.place}: <!-- {block.verb}: --> wants a {'path' if block.verb == 'file' else 'reason'}"
    return ""


def commands(block: Block) -> tuple[Command, ...]:
    """The commands of a console block."""
    found: list[tuple[list[str], list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(([line[2:]], []))
        elif not found:
            raise DocumentError(f"{block.place}: a console block begins with '$ '")
        elif line.startswith("> ") and not found[-1][1]:
            found[-1][0].append(line[2:])
        else:
            found[-1][1].append(line)
    return tuple(Command("\n".join(typed), tuple(shown) if any(shown) else None) for typed, shown in found)


def agrees(shown: tuple[str, ...], printed: str) -> bool:
    """Whether the printed text is what the page shows, spaces at line ends and empty lines around it aside."""
    pattern = ""
    for line in "\n".join(shown).strip("\n").splitlines():
        if line.strip() == "...":
            pattern += r"(?:[^\n]*\n)*"
        else:
            pattern += r"[^\n]*".join(re.escape(part) for part in line.rstrip().split("...")) + r"\n"
    lines = [line.rstrip() for line in printed.strip("\n").splitlines()]
    return re.fullmatch(pattern, "".join(line + "\n" for line in lines)) is not None


class Shell:
    """One bash in a temporary place of its own, with a GnuPG user, and this Python's programs first on PATH."""

    def __init__(self, *, limit_s: float = 60.0) -> None:
        self._limit_s = limit_s
        self._base = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
        self.directory = self._base / "work"
        self._gnupg = self._base / "home" / ".gnupg"

    def __enter__(self) -> Self:
        self.directory.mkdir()
        self._gnupg.mkdir(parents=True, mode=0o700)
        binaries = str(Path(sys.executable).parent)
        self._environment = os.environ | {
            "HOME": str(self._base / "home"),
            "GNUPGHOME": str(self._gnupg),
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "120",
            "TERM": "dumb",
            "PS1": "",
        }
        generate = [
            "gpg",
            "--batch",
            "--quiet",
            "--passphrase",
            "",
            "--quick-gen-key",
            USER,
            "future-default",
            "default",
            "0",
        ]
        subprocess.run(generate, env=self._environment, check=True, capture_output=True, timeout=self._limit_s)
        self._log = (self._base / "log").open("w+b")
        self._reader, writer = os.pipe()
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            pass_fds=[writer],
        )
        os.close(writer)
        self._status = writer  # its number in the shell
        return self

    def __exit__(self, *_: object) -> None:
        self._bash.kill()
        self._bash.communicate()
        os.close(self._reader)
        self._log.close()
        ending = ["gpgconf", "--homedir", str(self._gnupg), "--kill", "all"]
        subprocess.run(ending, env=self._environment, check=False, capture_output=True, timeout=self._limit_s)
        shutil.rmtree(self._base, ignore_errors=True)

    def run(self, typed: str) -> tuple[int, str]:
        """Type one command; its exit status and all that it printed, both streams as a terminal mixes them."""
        script = self._base / "typed"
        script.write_text(typed + "\n")
        before = self._log.seek(0, os.SEEK_END)
        # The program has no input, and does not hold the pipe of statuses: a shell that ends is seen at once.
        line = f"source {script} </dev/null {self._status}>&-; echo $? >&{self._status}\n"
        self._bash.stdin.write(line.encode())  # type: ignore[union-attr]  # stdin=PIPE
        self._bash.stdin.flush()  # type: ignore[union-attr]  # as above
        status = self._read_status(typed)
        self._log.seek(before)
        return status, self._log.read().decode(errors="replace")

    def python(self, program: str) -> tuple[int, str]:
        """Run one Python program in the shell's directory and environment."""
        (self._base / "program.py").write_text(program)
        return self.run(f"PYTHONPATH=. python {self._base / 'program.py'}")

    def _read_status(self, typed: str) -> int:
        ready, _, _ = select.select([self._reader], [], [], self._limit_s)
        if not ready:
            raise DocumentError(f"{typed!r} took more than {self._limit_s:g} s")
        answer = os.read(self._reader, 16)
        if not answer:
            raise DocumentError(f"{typed!r} ended the shell")
        return int(answer)


def run_page(page: str, text: str) -> int:
    """Run the page's marked blocks in order in one fresh place; how many ran. DocumentError at the first untruth."""
    found = blocks(page, text)
    complaints = [fault for fault in map(faults, found) if fault]
    if complaints:
        raise DocumentError("\n".join(complaints))
    if not any(block.verb == "run" for block in found):
        return 0
    with Shell() as shell:
        for block in found:
            if block.verb == "file":
                target = shell.directory / block.rest
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(block.text)
            elif block.verb == "run":
                _run_block(shell, block)
    return sum(block.verb == "run" for block in found)


def _run_block(shell: Shell, block: Block) -> None:
    if block.language == "python":
        status, printed = shell.python(block.text)
        _expect(block, "the program", status, printed, wanted=block.exit_status)
        return
    typed = commands(block)
    for number, command in enumerate(typed, start=1):
        status, printed = shell.run(command.typed)
        wanted = block.exit_status if number == len(typed) else 0
        _expect(block, f"$ {command.typed}", status, printed, wanted=wanted)
        if command.shown is not None and not agrees(command.shown, printed):
            shown = "\n".join(command.shown)
            raise DocumentError(f"{block.place}: $ {command.typed}\nthe page shows:\n{shown}\nit printed:\n{printed}")


def _expect(block: Block, what: str, status: int, printed: str, *, wanted: int) -> None:
    if status != wanted:
        raise DocumentError(f"{block.place}: {what}\nexited {status}, not {wanted}; it printed:\n{printed}")
