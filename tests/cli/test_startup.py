"""The command starts quickly because it imports only what the verb needs; benchmarks/startup.py has the figures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.tree import verbs


def imported(code: str, cwd: Path) -> set[str]:
    """The modules that are there after this code, as dotted names."""
    text = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", text], cwd=cwd, capture_output=True, check=True, timeout=60)
    return set(done.stdout.decode().split("\n")[-2].split())


def heavy(modules: set[str]) -> set[str]:
    tops = {"cryptography", "rich", "msgspec", "sqlite3", "django", "asyncio"}
    return {name for name in modules if name in tops or name.startswith("strongroom.keystore")}


RUN = "from strongroom.cli.main import run\nrun({argv!r})"


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["bogus"], ["blackbox", "--help"], ["--json", "bogus"]])
def test_help_and_mistakes_import_nothing_heavy(argv: list[str], place: Path) -> None:
    assert heavy(imported(RUN.format(argv=argv), place)) == set()


@pytest.mark.parametrize("path", [ctx.command_path for ctx, _ in verbs()])
def test_the_help_of_a_verb_imports_nothing_heavy(path: str, place: Path) -> None:
    assert heavy(imported(RUN.format(argv=[*path.split()[1:], "--help"]), place)) == set()


@pytest.mark.parametrize("argv", [["blackbox", "cat", "x"], ["blackbox", "list-files"]])
def test_blackbox_imports_no_keystore(argv: list[str], place: Path) -> None:
    modules = imported(RUN.format(argv=argv), place)
    assert "strongroom.blackbox.reading" in modules
    assert heavy(modules) == set()


def test_a_list_on_a_pipe_imports_no_rich(store: Path) -> None:
    modules = imported(RUN.format(argv=["list"]), store.parent)
    assert "strongroom.keystore.facade" in modules
    assert "rich" not in modules
