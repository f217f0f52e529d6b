"""How gpg is run, seen from inside: a stand-in program writes down what it was given, or misbehaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.gpg import GpgHome
from tests.support.waiting import until_it_waits

from strongroom.errors import EngineMissingError
from strongroom.openpgp import process
from strongroom.openpgp.gnupg import GnuPG
from strongroom.openpgp.process import Finished
from strongroom.openpgp.surroundings import environment, terminal_of_person, users_home
from strongroom.primitives.secret import SecretBytes

WITNESS = """
import json, os, sys
fds = {}
for fd in os.listdir("/proc/self/fd"):
    try:
        fds[fd] = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        pass
open(os.path.join(os.environ["GNUPGHOME"], "seen.json"), "w").write(json.dumps({
    "argv": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd(), "group": os.getpgrp() == os.getpid(),
    "fds": fds,
}))
"""


def program(tmp_path: Path, body: str) -> Path:
    made = tmp_path / "gpg"
    made.write_text(f"#!{sys.executable} -I\n{body}")
    made.chmod(0o700)
    return made


def run(tmp_path: Path, body: str, *, limit: int = 1000, timeout: float = 10, stdin: bytes = b"") -> Finished:
    return process.run(program(tmp_path, body), [], env={}, stdin=SecretBytes(stdin), limit=limit, timeout=timeout)


def test_gpg_learns_nothing_of_us(tmp_path: Path, alice: GpgHome, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "STRONGROOM_PASSPHRASE": "canary",
        "STRONGROOM_IDENTITY": "canary",
        "LD_PRELOAD": "canary.so",
        "http_proxy": "http://canary",
        "DISPLAY": ":canary",
        "LANG": "tr_TR.UTF-8",
        "GNUPGHOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    inherited = os.open(tmp_path / "inherited", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(inherited, True)
    engine = GnuPG(program=program(tmp_path, WITNESS), passphrase=SecretBytes(b"canary phrase"), terminal="")
    with pytest.raises(Exception, match="before it read"):
        engine.decrypt(alice.encrypt(b"the canary sings\n", alice.fingerprint))
    os.close(inherited)
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert set(seen["env"]) <= {"PATH", "LC_ALL", "HOME", "GNUPGHOME", "LC_CTYPE"}  # LC_CTYPE: Python's own
    assert seen["env"]["LC_ALL"] == "C"
    assert all(part.startswith("/") for part in seen["env"]["PATH"].split(":"))
    assert "canary" not in json.dumps(seen)
    assert (seen["cwd"], seen["group"]) == ("/", True)
    assert str(tmp_path / "inherited") not in seen["fds"].values()
    argv = seen["argv"]
    for option in (
        "--no-options",
        "--batch",
        "--no-tty",
        "--no-auto-key-locate",
        "--no-auto-key-retrieve",
        "--disable-dirmngr",
        "--trust-model=always",
        "--pinentry-mode=loopback",
        f"--homedir={tmp_path}",
        "--decrypt",
    ):
        assert option in argv
    assert argv[argv.index("--status-fd") + 1] in seen["fds"]
    assert argv[argv.index("--passphrase-fd") + 1] in seen["fds"]


def test_only_a_persons_pinentry_learns_where_the_person_is(tmp_path: Path) -> None:
    environ = {"DISPLAY": ":7", "STRONGROOM_PASSPHRASE": "canary", "GPG_TTY": "/dev/pts/9", "HOME": "/home/p"}
    alone = environment(Path("/opt/g/gpg"), tmp_path, environ, terminal=None)
    assert set(alone) == {"PATH", "LC_ALL", "HOME", "GNUPGHOME"}
    assert alone["PATH"].endswith(":/opt/g")
    asked = environment(Path("/opt/g/gpg"), tmp_path, environ, terminal="/dev/pts/3")
    assert set(asked) == {*alone, "DISPLAY", "GPG_TTY"}
    assert asked["GPG_TTY"] == "/dev/pts/3"


def test_where_the_users_keys_are() -> None:
    assert users_home({"GNUPGHOME": "/g", "HOME": "/h"}) == Path("/g")
    assert users_home({"HOME": "/h", "GNUPGHOME": ""}) == Path("/h/.gnupg")
    found = users_home({})
    assert found is None or found.name == ".gnupg"


def test_a_test_run_has_no_person() -> None:
    assert terminal_of_person() is None or os.isatty(0) or os.isatty(1) or os.isatty(2)


def test_output_beyond_the_limit_ends_it(tmp_path: Path) -> None:
    endless = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
    done = run(tmp_path, endless)
    assert (done.ended, done.returncode) == ("output", -9)
    assert len(done.stdout) <= 1000


def test_status_without_end_ends_it(tmp_path: Path) -> None:
    endless = "import os, sys\nwhile True: os.write(int(sys.argv[2]), b'[GNUPG:] X\\n' * 1000)"
    assert run(tmp_path, endless).ended == "output"


def test_stderr_without_end_is_dropped(tmp_path: Path) -> None:
    done = run(tmp_path, "import sys\nsys.stderr.write('noise\\x1b[2J\\n' * 100000)\nprint('ok')")
    assert (done.ended, done.returncode, done.stdout.reveal()) == ("itself", 0, b"ok\n")
    assert len(done.stderr) <= process.MAX_STDERR
    assert done.last_words.isprintable()


def test_the_time_limit_ends_it_and_its_children(tmp_path: Path) -> None:
    stubborn = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    done = run(tmp_path, stubborn, timeout=3)
    assert done.ended == "time"
    pid = int((tmp_path / "pid").read_text())
    for _ in range(1000):
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            break
        time.sleep(0.02)
    else:
        pytest.fail("the child of the killed program still runs")


def test_one_that_closes_its_output_and_stays_is_ended(tmp_path: Path) -> None:
    silent = "import os, sys, time\nfor fd in (0, 1, 2, int(sys.argv[2])): os.close(fd)\ntime.sleep(60)"
    assert run(tmp_path, silent, timeout=1).ended == "time"


def test_one_that_does_not_read_its_input_is_no_harm(tmp_path: Path) -> None:
    done = run(tmp_path, "print('ok')", stdin=bytes(10_000_000))
    assert (done.ended, done.stdout.reveal()) == ("itself", b"ok\n")


def test_input_and_output_flow_at_once(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    done = run(
        tmp_path,
        "import shutil, sys\nshutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)",
        limit=len(data),
        stdin=data,
    )
    assert done.stdout.reveal() == data


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    run(tmp_path, "print('ok')")
    before = count()
    for body in ("print('ok')", "import time; time.sleep(60)", "import sys\nwhile True: print('x' * 9999)"):
        run(tmp_path, body, timeout=0.5)
    with pytest.raises(EngineMissingError):
        process.run(tmp_path / "none", [], env={}, passphrase=SecretBytes(b"x"), limit=1, timeout=1)
    assert count() == before


def test_nothing_that_passes_through_shows_in_a_traceback(tmp_path: Path) -> None:
    """Every frame's locals, as a debug page prints them."""
    broken = tmp_path / "broken"
    broken.write_text("no program")
    broken.chmod(0o700)
    try:
        process.run(
            broken,
            [],
            env={},
            stdin=SecretBytes(b"CANARY one"),
            passphrase=SecretBytes(b"CANARY two"),
            limit=1,
            timeout=1,
        )
    except EngineMissingError as error:
        at = error.__traceback__
        assert at is not None
        at = at.tb_next  # the first frame is this test's
        seen = 0
        while at is not None:
            assert "CANARY" not in repr(at.tb_frame.f_locals)
            seen += 1
            at = at.tb_next
        assert seen
    else:
        pytest.fail("it was started")
    assert "CANARY" not in repr(run(tmp_path, "print('CANARY')"))


def test_an_interrupt_ends_gpg_too(tmp_path: Path) -> None:
    """Ctrl-C reaches us alone: gpg has a process group of its own."""
    stubborn = program(
        tmp_path,
        f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n",
    )
    ours = (
        "import sys\n"
        "from pathlib import Path\n"
        "from strongroom.openpgp import process\n"
        "process.run(Path(sys.argv[1]), [], env={}, limit=1, timeout=None)\n"
    )
    with subprocess.Popen([sys.executable, "-c", ours, str(stubborn)], stderr=subprocess.PIPE) as running:
        written = tmp_path / "pid"
        for _ in range(200):
            if written.exists() and written.read_text():
                break
            time.sleep(0.05)
        until_it_waits(running.pid)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=30)
    assert b"KeyboardInterrupt" in said
    assert not Path(f"/proc/{written.read_text()}").exists()
