"""Editing: no plaintext is left anywhere, whatever the editor does, and what was typed is never lost."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from strongroom.blackbox import Repository
from strongroom.blackbox.private import PrivateDirectory
from strongroom.errors import (
    BlackBoxError,
    ConflictError,
    NotFoundError,
    PathError,
    RecipientError,
    SettingsError,
    StoreError,
)
from strongroom.openpgp.engine import Engine
from strongroom.primitives.secret import SecretBytes
from tests.blackbox.teams import fill, nothing_changes, plain, status, subjects
from tests.support.gpg import GpgHome

Approved = tuple[str, ...]
NAME = "config/data base.yml"


@pytest.fixture
def filled(repo: Repository, only_alice: Approved) -> Repository:
    fill(repo, [NAME], only_alice)
    return repo


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """Where the private directory will lie, seen by nobody else's tests."""
    place = Path("/tmp") / f"sr-mem-{os.getpid()}-{tmp_path.name[-8:]}"
    place.mkdir(mode=0o700)
    yield place
    left = [str(path) for path in place.rglob("*")]
    assert left == [], "something was left behind"
    place.rmdir()


@pytest.fixture
def environ(memory: Path, tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "XDG_RUNTIME_DIR": str(memory), "STRONGROOM_STATE": str(tmp_path / "state")}


def editor(tmp_path: Path, script: str) -> str:
    """An EDITOR with an argument of two words, which notes what it saw."""
    program = tmp_path / "my editor"
    program.write_text(f"#!{sys.executable}\nimport os, sys, time\nname = sys.argv[-1]\n{script}\n")
    program.chmod(0o755)
    return f"'{program}' --title 'two words'"


def as_with(repo: Repository, engine: Engine, environ: Mapping[str, str], command: str) -> Repository:
    return Repository.discover(repo.root, engine=engine, environ={**environ, "EDITOR": command})


def rescued(tmp_path: Path, alice: GpgHome) -> bytes:
    (kept,) = (tmp_path / "state" / "blackbox").glob("edited-*.gpg")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    return alice.decrypt(kept.read_bytes())


def test_the_editor_works_in_a_private_directory_and_the_result_is_sealed(
    filled: Repository, as_alice: Engine, environ: dict[str, str], tmp_path: Path, only_alice: Approved
) -> None:
    script = """
assert sys.argv[1:3] == ["--title", "two words"]
assert open(name).read() == "content of config/data base.yml"
with open(sys.argv[0] + ".seen", "w") as seen:
    print(name, oct(os.stat(name).st_mode), oct(os.stat(os.path.dirname(name)).st_mode), file=seen)
    print(sorted(key for key in os.environ if "STRONGROOM_" in key), os.getcwd(), file=seen)
open(name + "~", "w").write("an editor's own copy")
open(name, "w").write("edited")
"""
    repo = as_with(filled, as_alice, {**environ, "STRONGROOM_PASSPHRASE": "x"}, editor(tmp_path, script))
    done = repo.edit(NAME, approved=only_alice)
    assert repo.read(NAME).reveal() == b"edited"
    assert (done.changed, done.committed) == ((f"{NAME}.gpg",), False)
    assert status(filled.root) == f" M {NAME}.gpg\0".encode()
    seen = (tmp_path / "my editor.seen").read_text().split("\n")
    assert seen[0].startswith(environ["XDG_RUNTIME_DIR"])
    assert seen[0].endswith("/data base.yml 0o100600 0o40700")
    assert seen[1] == f"['STRONGROOM_STATE'] {Path.cwd()}"
    assert not (filled.root / NAME).exists()


def test_an_unchanged_content_is_not_sealed_again(
    filled: Repository, as_alice: Engine, environ: dict[str, str], only_alice: Approved
) -> None:
    with nothing_changes(filled.root):
        done = as_with(filled, as_alice, environ, "true").edit(NAME, approved=only_alice, commit=True)
    assert (done.changed, done.unchanged) == ((), (NAME,))


def test_a_commit_is_made_where_it_is_asked_for(
    filled: Repository, as_alice: Engine, environ: dict[str, str], tmp_path: Path, only_alice: Approved
) -> None:
    repo = as_with(filled, as_alice, environ, editor(tmp_path, "open(name, 'w').write('edited')"))
    assert repo.edit(NAME, approved=only_alice, commit=True).committed
    assert subjects(filled.root)[0] == f"{NAME}.gpg updated"
    assert status(filled.root) == b""


class TestWhatGoesWrong:
    def test_q12_a_failing_editor_leaves_nothing_and_loses_nothing(
        self, filled: Repository, alice: GpgHome, as_alice: Engine, environ: dict[str, str], tmp_path: Path,
        only_alice: Approved,
    ) -> None:  # fmt: skip
        repo = as_with(filled, as_alice, environ, editor(tmp_path, "open(name, 'w').write('half done'); sys.exit(3)"))
        with (
            nothing_changes(filled.root),
            pytest.raises(BlackBoxError, match="ended with 3; what was edited") as caught,
        ):
            repo.edit(NAME, approved=only_alice)
        assert caught.value.hint.startswith("gpg --decrypt")
        assert rescued(tmp_path, alice) == b"half done"

    @pytest.mark.parametrize("command", ["false", "sh -c 'kill -9 $$'"])
    def test_an_editor_that_fails_before_anything_was_typed(
        self, filled: Repository, as_alice: Engine, environ: dict[str, str], tmp_path: Path, only_alice: Approved,
        command: str,
    ) -> None:  # fmt: skip
        with nothing_changes(filled.root), pytest.raises(BlackBoxError, match="the editor"):
            as_with(filled, as_alice, environ, command).edit(NAME, approved=only_alice)
        assert not (tmp_path / "state").exists()

    @pytest.mark.parametrize("command", ["/no/such/editor", "'unfinished"])
    def test_no_editor(
        self, filled: Repository, as_alice: Engine, environ: dict[str, str], only_alice: Approved, command: str
    ) -> None:
        with nothing_changes(filled.root), pytest.raises(SettingsError, match=r"EDITOR|editor"):
            as_with(filled, as_alice, environ, command).edit(NAME, approved=only_alice)

    @pytest.mark.parametrize(
        "script",
        [
            "os.unlink(name)",
            *(
                f"os.unlink(name); {made}"
                for made in ("os.symlink('/etc/passwd', name)", "os.mkdir(name)", "os.mkfifo(name)")
            ),
        ],
    )
    def test_an_editor_that_leaves_no_file(
        self, filled: Repository, as_alice: Engine, environ: dict[str, str], tmp_path: Path, only_alice: Approved,
        script: str,
    ) -> None:  # fmt: skip
        with (
            nothing_changes(filled.root),
            pytest.raises(BlackBoxError, match=r"left (no file|something that is no file)"),
        ):
            as_with(filled, as_alice, environ, editor(tmp_path, script)).edit(NAME, approved=only_alice)

    def test_an_emptied_file_is_refused(
        self, filled: Repository, as_alice: Engine, environ: dict[str, str], tmp_path: Path, only_alice: Approved
    ) -> None:
        repo = as_with(filled, as_alice, environ, editor(tmp_path, "open(name, 'w').close()"))
        with nothing_changes(filled.root), pytest.raises(BlackBoxError, match="is empty"):
            repo.edit(NAME, approved=only_alice)

    def test_who_cannot_receive_is_known_before_the_editor_starts(
        self, filled: Repository, as_alice: Engine, environ: dict[str, str], tmp_path: Path
    ) -> None:
        repo = as_with(filled, as_alice, environ, editor(tmp_path, "open(sys.argv[0] + '.ran', 'w')"))
        with pytest.raises(RecipientError):
            repo.edit(NAME, approved=())
        with pytest.raises(NotFoundError):
            repo.edit("other", approved=())
        with pytest.raises(PathError):
            repo.edit(NAME, approved=(), protected=[Path(NAME)])
        assert not (tmp_path / "my editor.ran").exists()

    def test_two_who_edit_at_once_lose_nothing(
        self, filled: Repository, alice: GpgHome, as_alice: Engine, environ: dict[str, str], tmp_path: Path,
        only_alice: Approved,
    ) -> None:  # fmt: skip
        script = f"open(name, 'w').write('mine'); open({str(filled.root / NAME)!r} + '.gpg', 'wb').write(b'theirs')"
        repo = as_with(filled, as_alice, environ, editor(tmp_path, script))
        with pytest.raises(ConflictError, match="while it was being edited; what was edited"):
            repo.edit(NAME, approved=only_alice)
        assert (filled.root / f"{NAME}.gpg").read_bytes() == b"theirs"
        assert rescued(tmp_path, alice) == b"mine"

    def test_a_plaintext_that_says_something_else(
        self, filled: Repository, as_alice: Engine, environ: dict[str, str], only_alice: Approved
    ) -> None:
        path = plain(filled, NAME, b"somebody's work")
        with pytest.raises(ConflictError, match="says something else"):
            as_with(filled, as_alice, environ, "true").edit(NAME, approved=only_alice)
        assert path.read_bytes() == b"somebody's work"
        path.write_bytes(f"content of {NAME}".encode())
        assert as_with(filled, as_alice, environ, "true").edit(NAME, approved=only_alice).unchanged

    def test_where_nothing_can_be_sealed_the_text_is_kept_in_a_private_directory(
        self, filled: Repository, as_alice: Engine, environ: dict[str, str], memory: Path, tmp_path: Path,
        only_alice: Approved,
    ) -> None:  # fmt: skip
        (tmp_path / "state").write_bytes(b"no directory")
        repo = as_with(filled, as_alice, environ, editor(tmp_path, "open(name, 'w').write('half'); sys.exit(1)"))
        with pytest.raises(BlackBoxError, match="what was edited") as caught:
            repo.edit(NAME, approved=only_alice)
        (kept,) = memory.glob("edited-*/*")
        assert str(kept) in str(caught.value)
        assert "in the clear" in caught.value.hint
        assert kept.read_bytes() == b"half"
        assert (stat.S_IMODE(kept.stat().st_mode), stat.S_IMODE(kept.parent.stat().st_mode)) == (0o600, 0o700)
        kept.unlink()
        kept.parent.rmdir()


EDITS = """
import sys
from pathlib import Path
from strongroom.blackbox import Repository
from strongroom.errors import StrongroomError
from strongroom.openpgp.gnupg import GnuPG
engine = GnuPG(home=Path(sys.argv[2]))
try:
    Repository.discover(Path(sys.argv[1]), engine=engine).edit(sys.argv[3], approved=(sys.argv[4],))
except StrongroomError as error:
    print(error, file=sys.stderr)
    sys.exit(9)
finally:
    engine.close()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_q12_a_signal_while_the_editor_runs(
    filled: Repository, alice: GpgHome, environ: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    script = "open(name, 'w').write('half done'); open(sys.argv[0] + '.ran', 'w').close(); time.sleep(30)"
    command = [sys.executable, "-c", EDITS, str(filled.root), str(alice.home), NAME, alice.fingerprint]
    with nothing_changes(filled.root):
        process = subprocess.Popen(
            command,
            env={**environ, "EDITOR": editor(tmp_path, script), "PYTHONPATH": os.pathsep.join(sys.path)},
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        end = time.monotonic() + 30
        while not (tmp_path / "my editor.ran").exists() and time.monotonic() < end:
            time.sleep(0.02)
        if number is signal.SIGINT:  # a terminal gives it to the whole group
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 9, said
    assert b"what was edited" in said
    assert rescued(tmp_path, alice) == b"half done"


def test_a_step_that_fails_at_its_end_loses_nothing(
    filled: Repository, alice: GpgHome, as_alice: Engine, environ: dict[str, str], tmp_path: Path,
    only_alice: Approved,
) -> None:  # fmt: skip
    (filled.root / ".git" / "strongroom-blackbox.journal").mkdir()  # makes the last step fail
    repo = as_with(filled, as_alice, environ, editor(tmp_path, "open(name, 'w').write('typed')"))
    with pytest.raises(StoreError, match="what was edited"):
        repo.edit(NAME, approved=only_alice)
    assert rescued(tmp_path, alice) == b"typed"


def test_the_private_directory_is_overwritten_and_gone(environ: dict[str, str], memory: Path) -> None:
    with PrivateDirectory(environ) as private:
        path = private.put("name", SecretBytes(b"deep dark secret"))
        assert memory in path.parents
        (path.parent / "below").mkdir()
        other = path.parent / "below" / "copy"
        other.write_bytes(b"deep dark secret")
        with path.open("rb") as first, other.open("rb") as second:
            private.__exit__(None, None, None)
            assert b"deep" not in first.read()
            assert b"deep" not in second.read()
