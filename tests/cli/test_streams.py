"""Pipes, full disks, closed descriptors, Ctrl-C: each ends a run in one known way, without a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import STRONGROOM, on_terminal, program, within
from tests.support.waiting import until_it_waits


@pytest.fixture
def filled(store: Path) -> Path:
    """A directory whose store has a few keysets."""
    for name in ("alpha", "beta", "gamma"):
        assert within("create", name, "--type", "fernet").status == 0
    return store.parent


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PATH": f"{Path(STRONGROOM).parent}:{os.environ['PATH']}"}
    return subprocess.run(["bash", "-c", line], cwd=cwd, env=environment, capture_output=True, check=False, timeout=60)


def test_list_into_head_is_quiet(filled: Path) -> None:
    done = shell("strongroom list | head -1", filled)
    assert done.stdout.startswith(b"alpha\t")
    assert (done.returncode, done.stderr) == (0, b"")


def test_what_is_written_and_what_is_told_come_in_their_order_in_one_pipe(tmp_path: Path) -> None:
    says = "from strongroom.cli import output as o; o.write_facts({'a': 1}); o.tell('b'); o.write_facts({'c': 2})"
    done = shell(f'env -u PYTHONUNBUFFERED {sys.executable} -c "{says}" 2>&1', tmp_path)
    assert done.stdout == b"a\t1\nb\nc\t2\n"


def test_nobody_reading_is_its_own_status(filled: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [STRONGROOM, "list"], cwd=filled, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("argv", ["list", "--help", "--version", "encrypt alpha", "completion bash", "list -h"])
def test_a_full_disk_is_an_error(filled: Path, argv: str) -> None:
    done = shell(f"echo x | strongroom {argv} > /dev/full", filled)
    assert done.returncode == 1
    assert done.stderr == b"strongroom: error: standard output cannot be written: No space left on device\n"


def test_a_closed_stdout_is_an_error_and_no_other_file_gets_its_number(filled: Path) -> None:
    done = shell("strongroom list >&-", filled)
    assert done.returncode == 1
    assert b"standard output cannot be written" in done.stderr


def test_a_closed_stderr_hinders_nothing(filled: Path) -> None:
    assert shell("strongroom list 2>&-", filled).stdout.startswith(b"alpha\t")
    assert shell("strongroom show nothing 2>&-", filled).returncode == 1


def test_a_closed_stdin_is_an_error_where_it_is_needed(filled: Path) -> None:
    done = shell("strongroom encrypt alpha <&-", filled)
    assert done.returncode == 1
    assert b"standard input cannot be read" in done.stderr
    assert shell("strongroom list <&-", filled).returncode == 0


def test_ctrl_c_stops_without_a_traceback(filled: Path) -> None:
    running = subprocess.Popen(
        [STRONGROOM, "--json", "encrypt", "alpha"],
        cwd=filled,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "STRONGROOM_STATE": str(filled / "other-state")},
    )
    with running:
        assert running.stderr is not None
        assert b"warning" in running.stderr.readline()  # told when the store is open: what comes is its input
        until_it_waits(running.pid)
        running.send_signal(signal.SIGINT)
        told = running.stderr.read()
        assert running.wait(60) == 130
    assert told == b"strongroom: stopped\n"


def test_a_locale_that_cannot_write_a_label_escapes_it(filled: Path) -> None:
    within("create", "it", "--type", "fernet", "--label", "owner=Zoë")
    ran = program("show", "it", cwd=filled, env={"PYTHONIOENCODING": "ascii"})
    assert ran.status == 0
    assert b"Zo\\xeb" in ran.stdout


def test_a_table_fits_eighty_columns_on_a_terminal(store: Path) -> None:
    name = "a-keyset-with-a-name-of-sixty-characters-that-must-be-folded/it"
    within("create", name, "--type", "mlkem768-x25519")
    within("create", "short", "--type", "fernet")
    within("rotate", name)
    within("suspend", "short", "1", "--reason", "a reason that is so long that no terminal has it on one line " * 3)
    listed = on_terminal("list", cwd=store.parent).plain
    lines = listed.splitlines()
    assert lines[0].split() == ["NAME", "TYPE", "PRIMARY", "STATE", "SINCE", "NEXT"]
    assert max(map(len, lines)) <= 80
    assert "mlkem768-x25519" in listed
    assert "1 of 2" in listed
    assert "suspended" in listed
    shown = on_terminal("show", "short", cwd=store.parent).plain
    assert max(map(len, shown.splitlines())) <= 80
    assert "VERSION" in shown


def test_an_empty_list_says_on_a_terminal_what_to_type(store: Path) -> None:
    assert "strongroom create" in on_terminal("list", cwd=store.parent).stderr
    assert within("list").stdout == b""


def test_a_terminal_gets_text_with_a_line_end_and_no_binary(filled: Path) -> None:
    within("create", "binary", "--type", "aes256-gcm")
    within("import", "evil", "--type", "secret", stdin=b"\x1b]0;owned\x07")
    refused = on_terminal("encrypt", "binary", cwd=filled, answers=[("Ctrl-D", "x\n\x04")])
    assert refused.status == 5
    assert "strongroom encrypt binary > FILE" in refused.stderr
    assert on_terminal("encrypt", "alpha", cwd=filled, answers=[("Ctrl-D", "x\n\x04")]).status == 0
    refused = on_terminal("reveal", "evil", "--terminal", cwd=filled)
    assert refused.status == 5
    assert "owned" not in refused.stderr


def test_the_process_is_python_started_without_our_secrets_in_argv(filled: Path) -> None:
    within("import", "url", "--type", "secret", stdin=b"postgres://hunter2")
    program_text = "import sys; print(open('/proc/self/cmdline').read())"
    ran = program("run", "--env", "URL=url", "--", sys.executable, "-c", program_text, cwd=filled)
    assert ran.status == 0
    assert "hunter2" not in ran.text


def test_a_table_has_no_escape_sequences_where_nobody_wants_them_and_keeps_its_names(filled: Path) -> None:
    bold = on_terminal("list", cwd=filled, env={"NO_COLOR": ""}).stderr
    assert "\x1b[1m" in bold
    for columns in (80, 60):
        plain = on_terminal("list", cwd=filled, env={"NO_COLOR": "1"}, columns=columns).stderr
        assert "\x1b" not in plain
        assert "NAME" in plain
        assert "alpha" in plain


def test_no_option_that_does_harm_is_guessed(store: Path) -> None:
    refused = program("publish", "--from", "blackbox:.", cwd=store.parent)
    assert refused.status == 2
    assert "--force" not in refused.stderr
