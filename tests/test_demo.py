"""The demonstration is true, and leaves nothing behind: not when it ends, not when it fails, not when it is stopped."""

from __future__ import annotations

import base64
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from examples.demo.search import Plaintexts

ROOT = Path(__file__).parent.parent
STEPS = 12


def start(*arguments: str, largest_file: int | None = None) -> subprocess.Popen[str]:
    """The demonstration in a process group of its own, as a terminal would start it."""

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    return subprocess.Popen(
        [sys.executable, "-m", "examples.demo", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=limit,
    )


def run(*arguments: str, largest_file: int | None = None) -> tuple[int, str, str]:
    process = start(*arguments, largest_file=largest_file)
    out, err = process.communicate(timeout=180)
    return process.returncode, out, err


def place_of(out: str) -> Path:
    match = re.match(r"Strongroom's main job, in (/tmp/sr-\w+);", out)
    assert match is not None, out
    return Path(match[1])


def processes_in(place: Path) -> Iterator[str]:
    """The processes that have the place in their arguments or environment."""
    wanted = os.fsencode(place)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(wanted in (process / name).read_bytes() for name in ("cmdline", "environ")):
                yield f"{process.name}: {(process / 'cmdline').read_bytes()!r}"
        except OSError:  # it has ended, or belongs to another user
            continue


def assert_nothing_is_left(out: str) -> None:
    place = place_of(out)
    assert not place.exists()
    assert list(processes_in(place)) == []


def assert_true(status: int, out: str, err: str) -> None:
    assert status == 0, f"{out}\n{err}"
    assert [int(number) for number in re.findall(r"^ ?(\d+)\. ", out, re.MULTILINE)] == list(range(1, STEPS + 1))
    assert "NOT SO" not in out
    assert out.count("found ") == 1 + out.count("nothing is found")
    assert "found the database password in alice/registrar/config/database.yml" in out
    took = re.search(r"^Every step was true\. It took (\d+) s", out, re.MULTILINE)
    assert took is not None
    assert_nothing_is_left(out)


def test_every_step_is_true_with_a_real_redis_and_nothing_is_left() -> None:
    status, out, err = run()
    assert_true(status, out, err)
    assert "its cache is a real Redis" in out
    assert "Redis (" in out


@pytest.mark.slow
def test_every_step_is_true_on_a_machine_without_redis() -> None:
    status, out, err = run("--no-redis")
    assert_true(status, out, err)
    assert "its cache is in its own memory" in out


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_stopped_while_the_site_runs_it_leaves_nothing(number: signal.Signals, status: int) -> None:
    process = start()
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(" 7."):
            break
    if number is signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: the whole group
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, f"{''.join(lines)}{out}\n{err}"
    assert "demo: stopped" in err
    assert_nothing_is_left("".join(lines))


def test_a_step_that_fails_is_told_in_one_line_and_leaves_nothing() -> None:
    # no file may be larger than this: keyrings and records fit, the site's database does not
    status, out, err = run(largest_file=64 * 1024)
    assert status == 1, f"{out}\n{err}"
    assert "\ndemo: FAILED: " in err
    assert 'Traceback (most recent call last):\n  File "<frozen runpy>"' not in err
    assert_nothing_is_left(out)


@pytest.mark.parametrize("raw", [b"078-05-1120", bytes(range(32)), b"\xff\xfe" * 20, b"\xfb" * 31])
def test_the_search_finds_every_spelling(raw: bytes) -> None:
    looking = Plaintexts()
    looking.add("it", raw)
    for around in (b"", b"x", b"xy", b"xyz"):
        whole = around + raw + around
        for text in (
            whole,
            whole.hex().encode(),
            whole.hex().upper().encode(),
            base64.b64encode(whole),
            base64.urlsafe_b64encode(whole),
            base64.encodebytes(whole * 3),
        ):
            assert looking.found_in(b"before " + text + b" after") == {"it"}
    assert looking.found_in(b"something else") == set()
