"""A site as a page of the docs writes it: its files, its store, and a Python of its own with that Django in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import django
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store
from tests.support import docs_runner

ROOT = Path(__file__).parents[3]
SITES = Path(__file__).parent


def make(page: str, directory: Path, **secrets: bytes) -> None:
    """The page's files in an empty directory, and the development store that its strongroom.toml declares.

    secrets: values of `secret` keysets, by their names with "_" for "-"; the others are generated.
    """
    source = ROOT / "docs" / "how-to" / page
    for block in docs_runner.blocks(page, source.read_text()):
        if block.verb == "file":
            target = directory / block.rest
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text)
    mail = directory / ("mail_6_1.py" if django.VERSION >= (6, 1) else "mail_5_2.py")
    if mail.exists():  # a page that has settings for this Django and for that
        with (directory / "settings.py").open("a") as settings:
            settings.write(mail.read_text())
    found(directory / ".strongroom", development=True)
    with open_store(directory / ".strongroom", environ={**os.environ, "STRONGROOM_DEVELOPMENT": "1"}) as keystore:
        keystore.ensure()
        for name, value in secrets.items():
            keystore.rotate(name.replace("_", "-"), now=True, value=value)


def environment(directory: Path, **more: str) -> dict[str, str]:
    """Of a process whose working directory is the site's."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT / "src", ROOT, directory))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "STRONGROOM_DEVELOPMENT": "1",
        **more,
    }


def run(tests: str, directory: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a site, in a file of this folder, in a process whose settings are the page's."""
    plugins = ("no:cacheprovider", "no:xdist", "tests.django.sites.configured")
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", *(word for plugin in plugins for word in ("-p", plugin))),
            *("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "--confcutdir", str(SITES)),
            str(SITES / tests),
        ],
        cwd=directory,
        env=environment(directory, DJANGO_SETTINGS_MODULE="settings", **environ),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
        check=False,
    )


def until(holds: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait until it holds: another process's change is seen within a second, on a machine that is not busy."""
    import time

    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)
