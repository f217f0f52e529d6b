"""git on a repository that others write to: nothing of theirs runs, nothing of the user's is swept along."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from strongroom.blackbox import git as git_module
from strongroom.blackbox import layout
from strongroom.blackbox.git import Git
from strongroom.blackbox.vcs import NoControl, OtherControl, find_version_control
from strongroom.errors import GitError, UnsupportedError
from tests.support.blackbox_fixtures import git

ODD = (
    *("-dash", "--output=x", "with space", " lead", "trail ", "[ab]", "ab", "x$/y", "quo\"te'", "$(touch pwned)"),
    *("tab\there", "schl\u00fcssel", "\udcff\udcfe", "*", "?!#\\", ":(exclude)*", "back\\slash", "\u2028", "\x1b[2J"),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = (tmp_path / "repo").resolve()
    root.mkdir()
    git(root, "init", "--quiet")
    return root


def _git(root: Path, **more: str) -> Git:
    return Git(root=root, top=root, environ={**os.environ, **more})


def _in_head(root: Path) -> set[str]:
    listed = git(root, "ls-tree", "-r", "-z", "--name-only", "HEAD").split(b"\0")[:-1]
    return {os.fsdecode(name) for name in listed}


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_itself_and_nothing_else(root: Path, name: str) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    for other in (name, "other"):
        (root / other).write_bytes(b"x")
    control = _git(root)
    assert not control.tracked([name])
    assert control.commit([name], f"add {name}")
    assert control.tracked([name])
    assert not control.tracked(["other"])
    assert _in_head(root) == {name}
    assert not (root / "pwned").exists()


def test_a_commit_takes_its_own_paths_and_leaves_the_rest_staged(root: Path) -> None:
    for name in ("ours", "theirs", "gone"):
        (root / name).write_bytes(b"1")
    git(root, "add", "gone")
    git(root, "commit", "--quiet", "-m", "first")
    git(root, "add", "theirs")
    (root / "gone").unlink()
    assert _git(root).commit(["ours", "gone"], "second")
    assert _in_head(root) == {"ours"}
    assert git(root, "status", "--porcelain") == b"A  theirs\n"


def test_a_failed_commit_leaves_the_index_as_it_was(root: Path) -> None:
    (root / "f").write_bytes(b"1")
    nobody = {name: "" for name in os.environ if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))}
    for _ in range(2):  # before the first commit, and after it
        with pytest.raises(GitError, match="git commit ended with 128"):
            _git(root, **nobody).commit(["f"], "no author")
        assert git(root, "status", "--porcelain") == b"?? f\n"
        git(root, "commit", "--quiet", "--allow-empty", "-m", "x")


def test_a_locked_index_is_said_before_anything_is_done(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / ".git" / "index.lock").write_bytes(b"")
    monkeypatch.setattr(git_module, "_PATIENCE", 2)
    with pytest.raises(GitError, match=r"index\.lock' exists") as caught:
        _git(root).check_ready()
    assert "remove that file" in caught.value.hint


def test_an_unfinished_merge_is_said_before_anything_is_done(root: Path) -> None:
    (root / ".git" / "MERGE_HEAD").write_bytes(b"0" * 40 + b"\n")
    with pytest.raises(GitError, match="MERGE_HEAD exists"):
        _git(root).check_ready()


def test_hooks_and_fsmonitor_do_not_run(root: Path) -> None:
    program = root / "evil"
    program.write_text(f"#!/bin/sh\ntouch {root}/pwned\n", "utf-8")
    program.chmod(0o755)
    (root / ".git" / "hooks").mkdir(exist_ok=True)
    for hook in ("pre-commit", "commit-msg", "post-commit", "prepare-commit-msg", "reference-transaction"):
        (root / ".git" / "hooks" / hook).symlink_to(program)
    git(root, "config", "core.fsmonitor", str(program))
    git(root, "config", "core.editor", str(program))
    (root / "f").write_bytes(b"x")
    assert _git(root).commit(["f"], "message")
    assert _git(root).tracked(["f"])
    assert not (root / "pwned").exists()


def test_a_planted_bare_repository_is_not_git(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    git(tmp_path, "init", "--quiet", "--bare", str(planted))
    git(planted, "config", "core.fsmonitor", f"touch {tmp_path}/pwned")
    assert find_version_control(planted, planted, environ=os.environ).kind == "none"
    with pytest.raises(GitError):
        Git(root=planted, top=planted, environ=os.environ).tracked(["f"])
    assert not (tmp_path / "pwned").exists()


def test_a_bare_repository_in_a_directory_of_the_work_tree_is_not_obeyed(root: Path) -> None:
    planted = root / "data"
    git(root, "init", "--quiet", "--bare", str(planted))
    git(planted, "config", "core.fsmonitor", f"touch {root}/pwned")
    git(planted, "config", "core.worktree", "..")
    control = Git(root=planted, top=root, environ=os.environ)
    with pytest.raises(GitError, match="cannot use bare repository"):
        control.tracked(["f"])
    assert not (root / "pwned").exists()


def test_a_broken_git_directory_does_not_lead_into_the_repository_around_it(root: Path) -> None:
    inner = root / "inner"
    (inner / ".git").mkdir(parents=True)
    (inner / ".git" / "HEAD").write_bytes(b"nonsense")
    (inner / "f").write_bytes(b"x")
    with pytest.raises(GitError, match="not a git repository"):
        Git(root=inner, top=inner, environ=os.environ).commit(["f"], "x")
    assert git(root, "ls-files") == b""


def test_variables_that_turn_git_elsewhere_stay_outside(root: Path, tmp_path: Path) -> None:
    (root / "f").write_bytes(b"x")
    control = _git(
        root, GIT_DIR=str(tmp_path / "no"), GIT_INDEX_FILE=str(tmp_path / "i"), GIT_WORK_TREE="/", PATH=":.:"
    )
    with pytest.raises(GitError, match="there is no git on PATH"):
        control.tracked(["f"])
    control = _git(root, GIT_DIR=str(tmp_path / "no"), GIT_INDEX_FILE=str(tmp_path / "i"), GIT_WORK_TREE="/")
    assert control.commit(["f"], "x")
    assert _in_head(root) == {"f"}


def test_git_that_hangs_is_ended(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "bin" / "git"
    slow.write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {tmp_path}/child\nwait\n", "utf-8")
    slow.chmod(0o755)
    monkeypatch.setattr(git_module, "TIME_LIMIT", 3.0)
    with pytest.raises(GitError, match="did not end within"):
        _git(root, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}").tracked(["f"])
    child = int((tmp_path / "child").read_text("utf-8"))
    deadline = time.monotonic() + 60
    while _is_running(child):
        assert time.monotonic() < deadline, "what git started outlives it"
        time.sleep(0.01)


def _is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_what_git_ignores(root: Path) -> None:
    (root / ".gitignore").write_bytes(b"/f\n/back\n!/back\n")
    assert _git(root).ignored(["f"])
    assert not _git(root).ignored(["g"])
    assert not _git(root).ignored(["back"])


@pytest.mark.parametrize("name", ODD)
def test_the_ignore_line_of_a_name_hides_it_and_nothing_else(root: Path, name: str) -> None:
    (root / name).parent.mkdir(exist_ok=True)
    others = {"a", "stray", f"{name}x", f"x{name}".replace("/", "_")}
    for other in (name, *others):
        (root / other).write_bytes(b"x")
    (root / ".gitignore").write_bytes(layout.with_lines(b"", layout.ignore_line(name)))
    assert _git(root).ignored([name])
    seen = {os.fsdecode(raw[3:]) for raw in git(root, "status", "--porcelain", "-z", "-uall").split(b"\0")[:-1]}
    assert seen == {*others, ".gitignore"}


def test_the_lock_lies_where_git_does_not_look(root: Path) -> None:
    git(root, "commit", "--quiet", "--allow-empty", "-m", "x")
    git(root, "worktree", "add", "--quiet", "../linked")
    linked = root.parent / "linked"
    assert _git(root).lock_directory == root / ".git"
    assert Git(root=linked, top=linked, environ={}).lock_directory == root / ".git" / "worktrees" / "linked"


def test_without_version_control_nothing_is_committed(tmp_path: Path) -> None:
    control = find_version_control(tmp_path, tmp_path / "data", environ=os.environ)
    assert isinstance(control, NoControl)
    control.check_ready()
    assert (control.tracked(["f"]), control.ignored(["f"]), control.commit(["f"], "x")) == (frozenset(), {"f"}, False)


_HOSTILE = b"\x00\xff\r\nx\r\n$Id$"


@pytest.mark.parametrize(
    "said",
    ["* text", "* text eol=lf", "* eol=crlf", "* crlf", "*.gpg ident", "*.gpg working-tree-encoding=UTF-16", "* -text",
     "* text=auto eol=lf", "*.gpg binary", "* crlf=auto", "* text\n*.gpg -text", ""],
)  # fmt: skip
def test_what_git_would_convert_is_named_and_nothing_else(root: Path, said: str) -> None:
    (root / ".gitattributes").write_text(f"{said}\n")
    (root / "deep").mkdir()
    (root / "deep" / "a b.gpg").write_bytes(_HOSTILE)
    converted = False
    try:
        git(root, "add", "--all")
        converted = git(root, "cat-file", "blob", ":deep/a b.gpg") != _HOSTILE
    except AssertionError:  # git itself refuses what is no UTF-16
        converted = True
    control = _git(root)
    control.check_kept(["deep/a b", ".gitignore"])  # texts may be converted
    if converted or "ident" in said:  # which converts when git writes the file
        with pytest.raises(GitError, match="byte for byte") as caught:
            control.check_kept(["deep/a b", "deep/a b.gpg"])
        assert "-text" in caught.value.hint
    else:
        control.check_kept(["deep/a b", "deep/a b.gpg"])


def test_where_git_cannot_be_asked_nothing_is_said_about_conversion(root: Path) -> None:
    (root / ".gitattributes").write_text("* text\n")
    _git(root, PATH="/nowhere").check_kept(["f.gpg"])
    with pytest.raises(GitError, match="no git"):
        _git(root, PATH="/nowhere").stage(["f.gpg"])


@pytest.mark.parametrize("kind", ["hg", "svn"])
def test_hg_and_svn_are_read_only(tmp_path: Path, kind: str) -> None:
    (tmp_path / f".{kind}").mkdir()
    control = find_version_control(tmp_path, tmp_path / "data", environ=os.environ)
    assert isinstance(control, OtherControl)
    for attempt in (lambda: control.lock_directory, control.check_ready, lambda: control.tracked(["f"])):
        with pytest.raises(UnsupportedError, match=f"is kept in {kind}"):
            attempt()
