"""The command starts quickly: at most 100 ms over Python itself, and it imports only what the verb needs."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cli.program import STRONGROOM
from tests.cli.tree import verbs

LIMIT_S = 0.100
ROUNDS = 9


def spent(argv: Sequence[str], cwd: Path, cache: Path) -> float:
    """The least processor time of several runs, in seconds: other processes of the machine do not count."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
    least = float("inf")
    for _ in range(ROUNDS + 1):  # the first one writes the bytecode
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, check=False, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        least = min(least, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return least


# what `strongroom blackbox cat` imports before it starts gpg, which takes its own time
BLACKBOX = "import strongroom.cli.main, strongroom.cli.commands.blackbox, strongroom.blackbox.reading as r; r.Reader"
ENGINE = "; import strongroom.openpgp.discovery"


@pytest.mark.slow
@pytest.mark.parametrize(
    "argv",
    [[STRONGROOM, "--help"], [STRONGROOM, "create", "--help"], [sys.executable, "-c", BLACKBOX + ENGINE]],
    ids=["--help", "create --help", "blackbox cat"],
)
def test_the_command_adds_at_most_100_ms_to_python(argv: list[str], place: Path, tmp_path: Path) -> None:
    bare = spent([sys.executable, "-c", "pass"], place, tmp_path)
    ours = spent(argv, place, tmp_path)
    print(f"python {bare * 1000:.0f} ms, {argv[1:]} {ours * 1000:.0f} ms: adds {(ours - bare) * 1000:.0f} ms")
    assert ours - bare <= LIMIT_S


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
