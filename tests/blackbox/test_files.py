"""Files below a root: no link followed, no half-written file seen, a failed change taken back."""

from __future__ import annotations

import os
import resource
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from strongroom.blackbox.changes import Change
from strongroom.blackbox.files import Tree
from strongroom.errors import ConflictError, ExistsError, FormatError, NotFoundError, PathError, StoreError
from strongroom.primitives.secret import SecretBytes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "sub").mkdir(parents=True)
    return tmp_path / "root"


def _everything(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _write(root: Path, name: str, raw: bytes) -> None:
    with Change(Tree(root)) as change:
        change.write(name, raw)
        change.apply()


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The kernel refuses any byte of a file beyond `size`, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


class TestReading:
    def test_a_file_is_read_whole(self, root: Path) -> None:
        (root / "sub" / "f").write_bytes(b"x" * 100_000)
        assert Tree(root).read("sub/f", limit=100_000) == b"x" * 100_000

    def test_a_missing_file_or_directory_is_not_found(self, root: Path) -> None:
        for name in ("f", "sub/f", "nowhere/f"):
            assert not Tree(root).exists(name)
            with pytest.raises(NotFoundError):
                Tree(root).read(name, limit=10)

    def test_more_than_the_limit_is_refused(self, root: Path) -> None:
        (root / "f").write_bytes(b"12345")
        with pytest.raises(FormatError, match="'f' has 5 bytes; the limit is 4"):
            Tree(root).read("f", limit=4)

    def test_a_link_is_refused(self, root: Path) -> None:
        (root / "target").write_bytes(b"t")
        (root / "link").symlink_to("target")
        (root / "dangling").symlink_to("nothing")
        for name in ("link", "dangling"):
            with pytest.raises(PathError, match="symbolic link"):
                Tree(root).read(name, limit=10)
            with pytest.raises(PathError, match="symbolic link"):
                Tree(root).exists(name)

    def test_a_link_among_the_directories_is_refused(self, root: Path) -> None:
        (root / "away").symlink_to("/etc")
        (root / "file").write_bytes(b"")
        for name in ("away/passwd", "file/f"):
            with pytest.raises(PathError, match="a link or no directory"):
                Tree(root).read(name, limit=10_000)

    def test_a_pipe_is_refused_and_not_waited_for(self, root: Path) -> None:
        os.mkfifo(root / "pipe")
        with pytest.raises(PathError, match="not a regular file"):
            Tree(root).read("pipe", limit=10)
        with pytest.raises(PathError, match="not a regular file"):
            Tree(root).read("sub", limit=10)

    def test_a_plaintext_with_a_second_name_is_refused(self, root: Path) -> None:
        (root / "f").write_bytes(b"x")
        (root / "g").hardlink_to(root / "f")
        with pytest.raises(PathError, match="2 names"):
            Tree(root).read_secret("f", limit=10)


class TestWriting:
    def test_a_new_file_is_readable_by_the_team_whatever_the_umask(self, root: Path) -> None:
        with _umask(0o077):
            _write(root, "sub/new", b"content")
        assert (root / "sub" / "new").read_bytes() == b"content"
        assert stat.S_IMODE((root / "sub" / "new").stat().st_mode) == 0o644

    def test_an_existing_file_keeps_its_mode_and_is_replaced_not_rewritten(self, root: Path) -> None:
        (root / "f").write_bytes(b"old")
        (root / "f").chmod(0o640)
        with (root / "f").open("rb") as reader:
            _write(root, "f", b"new and longer")
            assert reader.read() == b"old", "who has it open sees the whole old one"
        assert (root / "f").read_bytes() == b"new and longer"
        assert stat.S_IMODE((root / "f").stat().st_mode) == 0o640

    def test_nothing_else_is_left_in_the_directory(self, root: Path) -> None:
        (root / "f").write_bytes(b"old")
        _write(root, "f", b"new")
        assert [path.name for path in root.iterdir() if path.is_file()] == ["f"]

    @pytest.mark.parametrize("plant", [Path.symlink_to, Path.hardlink_to])
    def test_a_planted_link_is_neither_followed_nor_replaced(
        self, root: Path, plant: Callable[[Path, Path], None]
    ) -> None:
        outside = root.parent / "authorized_keys"
        outside.write_bytes(b"keep me")
        plant(root / "f", outside)
        with pytest.raises(PathError):
            _write(root, "f", b"new")
        assert outside.read_bytes() == b"keep me"
        assert [path.name for path in root.iterdir() if path.name != "sub"] == ["f"]

    def test_a_step_that_fails_leaves_every_file_as_it_was(self, root: Path) -> None:
        (root / "f").write_bytes(b"old")
        number = (root / "f").stat().st_ino

        def step() -> None:
            with Change(Tree(root)) as change:
                change.write("f", b"new")
                change.write("sub/g", b"new")
                change.apply()
                assert (root / "f").read_bytes() == b"new"
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            step()
        assert _everything(root) == {"f": b"old"}
        assert (root / "f").stat().st_ino == number

    def test_a_file_that_appears_meanwhile_is_not_overwritten(self, root: Path) -> None:
        (root / "f").write_bytes(b"old")

        def step() -> None:
            with Change(Tree(root)) as change:
                change.write("f", b"new")
                change.write("sub/g", b"new")
                (root / "sub" / "g").write_bytes(b"theirs")
                change.apply()

        with pytest.raises(ConflictError, match="'sub/g' appeared"):
            step()
        assert _everything(root) == {"f": b"old", "sub/g": b"theirs"}

    def test_a_step_that_is_not_applied_changes_nothing(self, root: Path) -> None:
        with Change(Tree(root)) as change:
            change.write("f", b"new")
        assert _everything(root) == {}

    def test_a_disk_that_takes_half_of_it_leaves_the_old_state(self, root: Path) -> None:
        (root / "f").write_bytes(b"old")

        def step() -> None:
            with Change(Tree(root)) as change:
                change.write("f", b"new")
                change.write("sub/g", b"x" * 8192)
                change.apply()

        with largest_file(4096), pytest.raises(StoreError, match="cannot read or write 'sub/g'"):
            step()
        assert _everything(root) == {"f": b"old"}

    def test_what_a_killed_process_left_does_not_stand_in_the_way(self, root: Path) -> None:
        (root / "f").write_bytes(b"old")
        (root / ".strongroom-blackbox-0123456789abcdef.tmp").hardlink_to(root / "f")
        _write(root, "f", b"new")
        assert _everything(root) == {"f": b"new"}


class TestRemovingPlaintext:
    def test_it_is_gone_and_its_bytes_were_overwritten(self, root: Path) -> None:
        (root / "f").write_bytes(b"secret" * 1000)
        plaintext, mode, stamp = Tree(root).read_secret("f", limit=10_000)
        with (root / "f").open("rb") as held:
            with Change(Tree(root)) as change:
                change.apply()
                change.remove_plaintext("f", plaintext, mode, stamp=stamp)
            assert b"secret" not in held.read()
        assert not (root / "f").exists()

    def test_a_later_failure_puts_it_back(self, root: Path) -> None:
        (root / "f").write_bytes(b"secret")
        (root / "f").chmod(0o600)
        plaintext, mode, stamp = Tree(root).read_secret("f", limit=10)

        def step() -> None:
            with Change(Tree(root)) as change:
                change.write("f.gpg", b"sealed")
                change.apply()
                change.remove_plaintext("f", plaintext, mode, stamp=stamp)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            step()
        assert _everything(root) == {"f": b"secret"}
        assert stat.S_IMODE((root / "f").stat().st_mode) == 0o600

    def test_where_it_cannot_be_put_back_its_ciphertext_stays(self, root: Path) -> None:
        (root / "f").write_bytes(b"secret" * 2000)
        plaintext, mode, stamp = Tree(root).read_secret("f", limit=20_000)

        def step() -> None:
            with ExitStack() as limits, Change(Tree(root)) as change:
                change.write("f.gpg", b"sealed")
                change.apply()
                change.remove_plaintext("f", plaintext, mode, stamp=stamp)
                limits.enter_context(largest_file(4096))
                raise ZeroDivisionError

        with pytest.raises(StoreError, match=r"'f\.gpg' holds it"):
            step()
        assert _everything(root) == {"f.gpg": b"sealed"}

    def test_one_that_was_changed_meanwhile_is_not_removed(self, root: Path) -> None:
        (root / "f").write_bytes(b"secret")
        plaintext, mode, stamp = Tree(root).read_secret("f", limit=10)
        (root / "f").write_bytes(b"a newer secret")

        def step() -> None:
            with Change(Tree(root)) as change:
                change.write("f.gpg", b"sealed")
                change.apply()
                change.remove_plaintext("f", plaintext, mode, stamp=stamp)

        with pytest.raises(ConflictError, match="was changed"):
            step()
        assert _everything(root) == {"f": b"a newer secret"}

    def test_the_plaintext_shows_in_no_message(self, root: Path) -> None:
        (root / "f").write_bytes(b"my deep dark secret")
        plaintext, _, _ = Tree(root).read_secret("f", limit=100)
        assert isinstance(plaintext, SecretBytes)
        assert "deep" not in repr(plaintext)


def test_a_directory_is_made_once_and_taken_back(root: Path) -> None:
    tree = Tree(root)
    with _umask(0o077):
        tree.make_directory("made")
    assert stat.S_IMODE((root / "made").stat().st_mode) == 0o755
    with pytest.raises(ExistsError):
        tree.make_directory("made")
    (root / "made" / "lock").write_bytes(b"")
    tree.remove_directory("made", leftovers=("lock",))
    assert not (root / "made").exists()
