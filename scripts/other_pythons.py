"""The suite under the other Pythons that this machine has, each with another Django. One that is absent is said so.

Each gets its own virtual environment (.venv-3.12) from the same pyproject.toml.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Django 6 wants Python 3.12; the first environment has the long-term release.
DJANGO = {"3.12": "django>=6.0,<6.1", "3.13": "django>=6.1,<6.2"}
SELECTION = ["-m", "not slow and not machine"]
# each Django writes its SQL anew: encrypted columns are tried on PostgreSQL and MariaDB, too
DATABASES = "tests/django/fields/test_databases.py"
# its own cache tests are another text with each Django
UPSTREAM = "tests/django/test_upstream_cache.py"
# A working Python: pyenv leaves programs on PATH that only say which version is not chosen.
_PROBE = "import ensurepip, platform, sqlite3, ssl, venv; print(platform.python_version())"


def candidates(version: str) -> Iterator[Path]:
    """Where a Python of this version may be, best first."""
    homes = {os.environ.get("HOME") or "/nonexistent", pwd.getpwuid(os.geteuid()).pw_dir}
    roots = [Path(os.environ["PYENV_ROOT"])] if os.environ.get("PYENV_ROOT") else []
    for root in [*roots, *(Path(home) / ".pyenv" for home in sorted(homes))]:
        yield from sorted(root.glob(f"versions/{version}*/bin/python{version}"), reverse=True)
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield Path(on_path)


def find(version: str) -> tuple[Path, str] | None:
    """The first candidate that works, and its full version."""
    for program in candidates(version):
        shown = subprocess.run([str(program), "-c", _PROBE], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if shown.returncode == 0:
            return program, shown.stdout.strip()
    return None


def run(version: str) -> str:
    """Run the suite under one Python; a line that says what came of it."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return "ran already: the first environment"
    found = find(version)
    if found is None:
        return "not found, not run"
    program, full = found
    venv = ROOT / f".venv-{version}"
    made = subprocess.run([str(ROOT / "scripts" / "venv"), str(program), str(venv), DJANGO[version]], cwd=ROOT)
    if made.returncode != 0:
        return f"FAILED: no virtual environment for {full}"
    arguments = shlex.split(os.environ.get("PYTEST_ARGS", ""))
    pytest = [str(venv / "bin" / "python"), "-m", "pytest"]
    for selection in ([*SELECTION, *arguments], [DATABASES], [UPSTREAM]):
        tests = subprocess.run([*pytest, *selection], cwd=ROOT)
        if tests.returncode != 0:
            return f"FAILED ({full}): pytest {' '.join(selection)} exited {tests.returncode}"
    return f"passed ({full})"


def main() -> int:
    outcomes = {version: run(version) for version in DJANGO}
    for version, outcome in outcomes.items():
        print(f"python {version}: {outcome}")
    return int(any(outcome.startswith("FAILED") for outcome in outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
