"""When gpg cannot get at a secret key: each reason is told apart, within the time limit, with a way on."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.gpg import GpgHome, GpgHomes

from strongroom.errors import AgentError, NoSecretKeyError, OpenPGPError, PassphraseError, StrongroomError
from strongroom.openpgp.gnupg import GnuPG
from strongroom.primitives.secret import SecretBytes

PLAINTEXT = b"the sealed line\n"


@pytest.fixture(scope="module")
def peter(gpg_homes: GpgHomes) -> GpgHome:
    """Peter's key is protected by the passphrase `correct horse`."""
    return gpg_homes("Peter <peter@example.org>", passphrase="correct horse")


@pytest.fixture
def sealed(peter: GpgHome) -> Iterator[bytes]:
    """A message for Peter, whose agent has forgotten his passphrase."""
    made = peter.encrypt(PLAINTEXT, peter.fingerprint)
    peter.end_agent()
    yield made
    peter.end_agent()


def _problem(engine: GnuPG, message: bytes) -> StrongroomError:
    with pytest.raises(StrongroomError) as caught:
        engine.decrypt(message)
    assert caught.value.hint
    return caught.value


def test_a_protected_key_with_nobody_there_fails(peter: GpgHome, sealed: bytes) -> None:
    problem = _problem(GnuPG(environ=peter.env, terminal=""), sealed)
    assert isinstance(problem, AgentError)
    assert "pinentry cannot ask" in str(problem)
    assert "role create" in problem.hint


def test_with_no_terminal_nobody_is_asked(peter: GpgHome, sealed: bytes) -> None:
    """Found out by itself, in a process that has no terminal; the bait would be noticed."""
    program = (
        "import os, sys\n"
        "from strongroom.openpgp.gnupg import GnuPG\n"
        "try:\n"
        "    GnuPG().decrypt(sys.stdin.buffer.read())\n"
        "except Exception as problem:\n"
        "    print(type(problem).__name__)\n"
    )
    environ = {**peter.env, "DISPLAY": ":99", "GPG_TTY": "/dev/tty"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=sealed,
        capture_output=True,
        env=environ,
        check=True,
        timeout=60,
        start_new_session=True,
    )
    assert done.stdout == b"AgentError\n"


def test_a_passphrase_that_was_given_opens(peter: GpgHome, sealed: bytes) -> None:
    engine = GnuPG(environ=peter.env, passphrase=SecretBytes(b"correct horse"))
    assert engine.decrypt(sealed).plaintext.reveal() == PLAINTEXT


def test_a_wrong_passphrase_is_told_and_not_shown(peter: GpgHome, sealed: bytes) -> None:
    problem = _problem(GnuPG(environ=peter.env, passphrase=SecretBytes(b"wrong donkey")), sealed)
    assert isinstance(problem, PassphraseError)
    assert "donkey" not in str(problem) + problem.hint


def test_a_key_that_is_locked_does_not_hide_one_that_is_not(peter: GpgHome, sealed: bytes, alice: GpgHome) -> None:
    """gpg reports the first key's failure, and opens with the second: that is no flaw of the message."""
    home = GpgHome.make()
    try:
        home.import_keys(peter.export_secret(passphrase="correct horse"))
        home.import_keys(alice.export_secret())
        both = home.encrypt(PLAINTEXT, peter.fingerprint, alice.fingerprint)
        home.end_agent()
        assert GnuPG(environ=home.env, terminal="").decrypt(both).plaintext.reveal() == PLAINTEXT
    finally:
        home.close()


def _pinentry(home: GpgHome, script: str) -> None:
    program = home.home / "pinentry"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    (home.home / "gpg-agent.conf").write_text(f"pinentry-program {program}\n")
    home.end_agent()


PINENTRY = """
echo "$GPG_TTY $DISPLAY $STRONGROOM_PASSPHRASE" > "$(dirname "$0")/asked"
echo OK ready
while read -r word rest; do
  case $word in
    GETPIN) {getpin};;
    GETINFO) echo "D 1"; echo OK;;
    BYE) echo OK; exit 0;;
    *) echo OK;;
  esac
done
"""


def test_a_person_is_asked_for_as_long_as_it_takes(peter: GpgHome, sealed: bytes, terminal: str) -> None:
    _pinentry(peter, PINENTRY.format(getpin='sleep 1.5; echo "D correct horse"; echo OK'))
    environ = {**peter.env, "DISPLAY": ":7", "STRONGROOM_PASSPHRASE": "must not leave", "GPG_TTY": terminal}
    engine = GnuPG(environ=environ, terminal=terminal, timeout=0.5)
    assert engine.decrypt(sealed).plaintext.reveal() == PLAINTEXT
    assert "must not leave" not in (peter.home / "asked").read_text()
    (peter.home / "gpg-agent.conf").unlink()


@pytest.mark.parametrize(
    ("getpin", "kind", "words"),
    [
        ('echo "ERR 83886179 Operation cancelled"', AgentError, "cancelled"),
        ('echo "ERR 83886142 Timeout"', AgentError, "in time"),
        ('echo "ERR 83918950 Inappropriate ioctl for device"', AgentError, "pinentry cannot ask"),
        ('echo "D wrong"; echo OK', PassphraseError, "wrong"),
        ("exit 1", AgentError, ""),
    ],
)
def test_what_the_person_does_is_told(
    peter: GpgHome, sealed: bytes, terminal: str, getpin: str, kind: type[StrongroomError], words: str
) -> None:
    _pinentry(peter, PINENTRY.format(getpin=getpin))
    problem = _problem(GnuPG(environ=peter.env, terminal=terminal), sealed)
    (peter.home / "gpg-agent.conf").unlink()
    assert isinstance(problem, kind)
    assert words in str(problem)


def test_a_missing_pinentry_is_told(peter: GpgHome, sealed: bytes, terminal: str) -> None:
    (peter.home / "gpg-agent.conf").write_text("pinentry-program /nonexistent/pinentry\n")
    peter.end_agent()
    problem = _problem(GnuPG(environ=peter.env, terminal=terminal), sealed)
    (peter.home / "gpg-agent.conf").unlink()
    assert isinstance(problem, AgentError)


def test_a_hung_agent_costs_the_time_limit(gpg_homes: GpgHomes) -> None:
    home = gpg_homes("Hannah <hannah@example.org>")
    sealed = home.encrypt(PLAINTEXT, home.fingerprint)
    with home.hung_agent():
        engine = GnuPG(environ=home.env, terminal="", timeout=3.0)
        for use in (lambda: engine.decrypt(sealed), engine.secret_keys):
            with pytest.raises(AgentError, match="within 3 seconds") as caught:
                use()
            assert "pkill" in caught.value.hint
    assert engine.decrypt(sealed).plaintext.reveal() == PLAINTEXT


def test_a_hung_agent_of_an_identity_is_ended_with_its_home(alice: GpgHome) -> None:
    engine = GnuPG.from_identity(SecretBytes(alice.export_secret()), environ={}, timeout=3.0)
    sealed = alice.encrypt(PLAINTEXT, alice.fingerprint)
    engine.decrypt(sealed)
    assert engine._identity_home is not None
    home = engine._identity_home.path
    there = GpgHome(home)
    with there.hung_agent() as agent:
        with pytest.raises(AgentError):
            engine.decrypt(sealed)
        engine.close()
        assert not home.exists()
    for _ in range(1000):
        if not _runs(agent):
            break
        time.sleep(0.05)
    assert not _runs(agent)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_missing_home_is_no_secret_key_and_is_not_made(tmp_path: Path, alice: GpgHome) -> None:
    sealed = alice.encrypt(PLAINTEXT, alice.fingerprint)
    for environ in (
        {**alice.env, "GNUPGHOME": str(tmp_path / "none")},
        {"HOME": str(tmp_path / "nobody")},
    ):
        engine = GnuPG(environ=environ)
        problem = _problem(engine, sealed)
        assert isinstance(problem, NoSecretKeyError)
        assert str(tmp_path) in str(problem)
        assert engine.secret_keys() == ()
    assert list(tmp_path.iterdir()) == []


def test_a_home_whose_path_is_too_long_is_told_apart_from_no_key(tmp_path: Path, alice: GpgHome) -> None:
    sealed = alice.encrypt(PLAINTEXT, alice.fingerprint)
    home = tmp_path / ("h" * 110)
    shutil.copytree(alice.home, home, ignore=lambda _, names: [name for name in names if name.startswith("S.")])
    home.chmod(0o700)
    engine = GnuPG(environ={"GNUPGHOME": str(home)}, terminal="")
    problem = _problem(engine, sealed)
    assert isinstance(problem, AgentError)
    assert "too long" in str(problem)
    with pytest.raises(AgentError, match="too long"):
        engine.secret_keys()


def test_an_agent_that_cannot_start_is_told_apart_from_no_key(gpg_homes: GpgHomes) -> None:
    home = gpg_homes("Ada <ada@example.org>")
    sealed = home.encrypt(PLAINTEXT, home.fingerprint)
    home.end_agent()
    (home.home / "S.gpg-agent" / "in the way").mkdir(parents=True)  # where its socket must go
    problem = _problem(GnuPG(environ=home.env, terminal=""), sealed)
    assert isinstance(problem, AgentError)
    assert "could not be started" in str(problem)


def test_a_message_for_somebody_else_is_no_secret_key(alice: GpgHome, bob: GpgHome) -> None:
    problem = _problem(GnuPG(environ=alice.env, terminal=""), bob.encrypt(PLAINTEXT, bob.fingerprint))
    assert isinstance(problem, NoSecretKeyError)
    assert bob.encryption_subkeys()[0][-16:] in str(problem)


@pytest.mark.parametrize(
    ("says", "ends", "kind", "words"),
    [
        ("", "kill -9 $$", OpenPGPError, "ended by signal 9"),
        ("", "echo gpg: the trouble >&2; exit 2", OpenPGPError, "before it read the message: 'the trouble'"),
        ("ENC_TO 0 18 0\\nERROR pkdecrypt_failed 67141718", "exit 2", AgentError, "error 67141718"),  # ENOMEM
        ("ENC_TO 0 18 0\\nERROR pkdecrypt_failed 67109135", "exit 2", AgentError, "error 67109135"),  # Assuan
        ("ENC_TO 0 18 0\\nERROR pkdecrypt_failed 67108903", "exit 2", OpenPGPError, "not one whole"),  # BAD_DATA
    ],
)
def test_a_gpg_that_fails_is_not_the_messages_fault(
    alice: GpgHome,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    says: str,
    ends: str,
    kind: type[StrongroomError],
    words: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    program = tmp_path / "gpg"
    lines = "".join(f"[GNUPG:] {line}\n" for line in says.split("\\n") if line)
    program.write_text(f"#!/bin/sh\ncat >{tmp_path}/in; printf '{lines}' >/proc/self/fd/$2\n{ends}\n")
    program.chmod(0o755)
    problem = _problem(
        GnuPG(environ=alice.env, program=program, terminal=""), alice.encrypt(PLAINTEXT, alice.fingerprint)
    )
    assert type(problem) is kind
    assert words in str(problem)
    (told,) = caplog.messages
    assert told.startswith("gpg ended with ")
    assert told.endswith("said: ENC_TO ERROR" if says else "said: ")
