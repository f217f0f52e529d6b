"""The two verbs that let secrets out: to whom, and to nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import STRONGROOM, on_terminal, program, within

VALUE = b"postgres://hunter2"


@pytest.fixture
def filled(store: Path) -> Path:
    """A directory whose store has a secret."""
    assert within("import", "url", "--type", "secret", stdin=VALUE).status == 0
    return store.parent


def test_reveal_writes_exactly_the_bytes_on_a_pipe(filled: Path) -> None:
    assert program("reveal", "url", cwd=filled).stdout == VALUE


def test_reveal_refuses_a_terminal_unless_asked_twice(filled: Path) -> None:
    refused = on_terminal("reveal", "url", cwd=filled)
    assert refused.status == 5
    assert "hunter2" not in refused.stderr
    assert "strongroom reveal url --terminal" in refused.stderr
    refused = on_terminal("reveal", "url", "--json", cwd=filled)
    assert refused.status == 5
    shown = on_terminal("reveal", "url", "--terminal", cwd=filled)
    assert (shown.status, shown.stderr) == (0, VALUE.decode() + "\n")
    piped = on_terminal("reveal", "url", cwd=filled, keep_stdout=True)
    assert (piped.status, piped.stdout) == (0, VALUE)


def test_reveal_of_what_is_no_secret_is_refused(filled: Path) -> None:
    within("create", "it", "--type", "fernet")
    assert within("reveal", "it").status == 5
    assert within("reveal", "url", "--version", "7").status == 1


def test_run_exports_what_is_named_and_nothing_that_opens_the_store(filled: Path) -> None:
    within("import", "other", "--type", "secret", stdin=b"not named")
    openers = {"STRONGROOM_PASSPHRASE": "x", "STRONGROOM_PASSPHRASE_FILE": "/x", "KEPT": "yes"}
    ran = program("run", "--env", "URL=url", "--", "env", "-0", cwd=filled, env=openers)
    assert ran.status == 0, ran.stderr
    seen = dict(pair.split("=", 1) for pair in ran.text.split("\0") if pair)
    assert seen["URL"] == VALUE.decode()
    assert seen["KEPT"] == "yes"
    assert not any(name.startswith(("STRONGROOM_PASSPHRASE", "STRONGROOM_IDENTITY")) for name in seen)
    assert "not named" not in ran.text


def test_run_exports_keys_as_text_that_libraries_read(filled: Path) -> None:
    within("create", "tokens", "--type", "fernet", "--exportable")
    within("create", "signing", "--type", "ed25519", "--exportable")
    token = within("encrypt", "tokens", stdin=b"data").text
    reader = (
        "import os; from cryptography.fernet import Fernet;"
        "from cryptography.hazmat.primitives.serialization import load_pem_private_key;"
        f"print(Fernet(os.environ['KEY']).decrypt({token!r}));"
        "load_pem_private_key(os.environ['PEM'].encode(), None)"
    )
    argv = ["run", "--env", "KEY=tokens", "--env", "PEM=signing", "--", sys.executable, "-c", reader]
    ran = program(*argv, cwd=filled)
    assert (ran.status, ran.text) == (0, "b'data'\n")


def test_run_exports_no_key_that_is_not_exportable(filled: Path) -> None:
    within("create", "tokens", "--type", "fernet", "--exportable")
    within("policy", "tokens", "--no-export")
    within("create", "signing", "--type", "ed25519")
    for name in ("tokens", "signing"):
        ran = program("run", "--env", "URL=url", "--env", f"KEY={name}", "--", "env", cwd=filled)
        assert (ran.status, ran.stdout) == (5, b"")
        assert "not exportable" in ran.stderr


def test_the_exit_status_and_the_streams_are_the_program_s(filled: Path) -> None:
    ran = program("run", "--env", "URL=url", "--", "sh", "-c", "cat; echo no >&2; exit 42", cwd=filled, stdin=b"in")
    assert (ran.status, ran.stdout, ran.stderr) == (42, b"in", "no\n")


def test_options_after_the_program_are_its_own(filled: Path) -> None:
    ran = program("run", "--env", "URL=url", "echo", "--json", "-h", "--env", cwd=filled)
    assert (ran.status, ran.text) == (0, "--json -h --env\n")


def test_a_signal_reaches_the_program_which_is_this_very_process(filled: Path) -> None:
    line = "trap 'exit 7' TERM; echo $$; while :; do sleep 0.05; done"
    running = subprocess.Popen(
        [STRONGROOM, "run", "--env", "URL=url", "--", "sh", "-c", line], cwd=filled, stdout=subprocess.PIPE
    )
    with running:
        assert running.stdout is not None
        assert int(running.stdout.readline()) == running.pid
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 7


def test_a_program_that_dies_of_a_signal_does_so_here(filled: Path) -> None:
    assert program("run", "--env", "URL=url", "--", "sh", "-c", "kill -KILL $$", cwd=filled).status == -9


def test_the_program_s_pipes_break_as_they_do_without_us(filled: Path) -> None:
    # Python ignores SIGPIPE, and a program that is started must not inherit that
    ran = program("run", "--env", "URL=url", "--", "cat", "/proc/self/status", cwd=filled)
    (ignored,) = [line for line in ran.text.splitlines() if line.startswith("SigIgn:")]
    assert not int(ignored.split()[1], 16) & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1))


def test_the_passphrase_s_descriptor_does_not_reach_the_program(place: Path) -> None:
    (place / "pass").write_text("correct horse battery staple")
    (place / "pass").chmod(0o600)
    assert within("--passphrase-file", "pass", "init", "--passphrase").status == 0
    assert within("--passphrase-file", "pass", "import", "url", "--type", "secret", stdin=VALUE).status == 0
    with (place / "pass").open("rb") as opened:
        number = opened.fileno()
        argv = ["--passphrase-fd", str(number), "run", "--env", "URL=url", "--", "ls", "/proc/self/fd"]
        ran = program(*argv, cwd=place, pass_fds=[number])
    assert ran.status == 0, ran.stderr
    assert str(number) not in ran.text.split()


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (["--env", "URL=nothing", "--", "true"], 1),
        (["--env", "1URL=url", "--", "true"], 2),
        (["--env", "STRONGROOM_PASSPHRASE=url", "--", "true"], 2),
        (["--env", "URL=url", "--env", "URL=url", "--", "true"], 2),
        (["--env", "URL=url", "--", "no-such-program-here"], 1),
        (["--env", "URL=url", "--", "/etc/passwd"], 2),
        (["--env", "URL=url"], 2),
        (["--", "true"], 2),
        (["--bogus", "--", "true"], 2),
    ],
)
def test_what_cannot_be_run_is_told(filled: Path, argv: list[str], status: int) -> None:
    ran = program("run", *argv, cwd=filled)
    assert (ran.status, ran.stdout) == (status, b"")
    assert ran.stderr.startswith("strongroom: error: ")
    assert "hunter2" not in ran.stderr


def test_no_secret_is_in_the_argv_of_any_process(filled: Path) -> None:
    text = "print(open('/proc/self/cmdline').read(), open(f'/proc/{__import__(\"os\").getppid()}/cmdline').read())"
    ran = program("run", "--env", "URL=url", "--", sys.executable, "-c", text, cwd=filled)
    assert ran.status == 0
    assert "hunter2" not in ran.text
    assert os.environ.get("URL") is None
