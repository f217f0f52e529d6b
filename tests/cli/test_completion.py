"""A shell completes verbs, options, types and the names of keysets, and nothing is opened for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.program import STRONGROOM, program, within


def complete(line: str, cwd: Path, **env: str) -> list[str]:
    """What the command offers for the last word of a line, as bash asks it."""
    words = line.split(" ")
    asked = {"_STRONGROOM_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    ran = program(cwd=cwd, env={**asked, **env})
    assert (ran.status, ran.stderr) == (0, "")
    return [row.split(",", 1)[1] for row in ran.text.splitlines() if row]


@pytest.fixture
def filled(store: Path) -> Path:
    """A directory whose store has keysets, and cannot be opened any more: its header is no longer authentic."""
    for name in ("student-records", "student-columns", "deploy/url"):
        assert within("create", name, "--type", "fernet").status == 0
    header = store / "store.json"
    header.write_bytes(header.read_bytes().replace(b'"mac": "', b'"mac": "A'))
    assert within("list").status == 1
    return store.parent


def test_verbs_and_their_verbs_are_completed(place: Path) -> None:
    assert complete("strongroom re", place) == ["resume", "reveal", "recovery"]
    assert complete("strongroom blackbox list-", place) == ["list-files", "list-admins"]
    assert complete("strongroom admin ", place) == ["add", "approve", "list", "remove"]
    assert "--label" in complete("strongroom create it --l", place)


def test_types_are_completed(place: Path) -> None:
    assert complete("strongroom create it --type rsa-", place) == ["rsa-2048", "rsa-3072", "rsa-4096"]


def test_names_are_completed_from_a_store_that_does_not_open(filled: Path) -> None:
    assert complete("strongroom show stu", filled) == ["student-columns", "student-records"]
    assert complete("strongroom encrypt deploy/", filled) == ["deploy/url"]
    assert complete(f"strongroom --store {filled} rotate d", Path("/")) == ["deploy/url"]
    assert complete("strongroom rotate d", Path("/"), STRONGROOM_STORE=str(filled)) == ["deploy/url"]


def test_where_there_is_no_store_nothing_is_completed_and_nothing_is_said(place: Path) -> None:
    assert complete("strongroom show s", place) == []
    assert complete("strongroom show s", place, STRONGROOM_STORE="memory:") == []


def test_no_gpg_is_started_to_complete(filled: Path, tmp_path: Path) -> None:
    # a PATH with a gpg that tells of itself
    spy = tmp_path / "bin/gpg"
    spy.parent.mkdir()
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    spy.chmod(0o755)
    path = f"{spy.parent}:{os.environ['PATH']}"
    assert complete("strongroom show stu", filled, PATH=path) == ["student-columns", "student-records"]
    assert not (tmp_path / "started").exists()


def test_the_script_works_in_bash(filled: Path) -> None:
    line = (
        'eval "$(strongroom completion bash)"; COMP_WORDS=(strongroom show student-r); COMP_CWORD=2;'
        ' _strongroom_completion strongroom; echo "${COMPREPLY[@]}"'
    )
    path = f"{Path(STRONGROOM).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", line],
        cwd=filled,
        env={**os.environ, "PATH": path},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == (b"student-records\n", b"")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(place: Path, shell: str) -> None:
    ran = within("completion", shell)
    assert ran.status == 0
    assert "_STRONGROOM_COMPLETE=" in ran.text
    assert within("completion", shell, "--json").json == {"shell": shell, "script": ran.text}
    if shutil.which(shell) is not None:
        checked = subprocess.run([shell, "-n"], input=ran.stdout, capture_output=True, check=False, timeout=60)
        assert checked.returncode == 0, checked.stderr


def test_another_shell_is_refused_by_name(place: Path) -> None:
    ran = within("completion", "tcsh")
    assert ran.status == 2
    assert "bash" in ran.stderr
