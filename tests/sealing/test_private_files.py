"""Files that hold a secret: who may have had a hand on them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.errors import ExistsError, IdentityError, NotFoundError, StoreError
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.private_files import MAX_PRIVATE_FILE, read_descriptor, read_private_file, write_private_file

CONTENT = b"a secret that is in no message"


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "identity.json"
    path.write_bytes(CONTENT)
    path.chmod(0o600)
    return path


class TestReading:
    @pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
    def test_the_owner_may_share_reading_with_one_group(self, secret_file: Path, mode: int) -> None:
        secret_file.chmod(mode)
        assert read_private_file(secret_file, what="identity file").reveal() == CONTENT

    @pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o666, 0o660, 0o620, 0o601, 0o777])
    def test_others_may_neither_read_nor_write_it(self, secret_file: Path, mode: int) -> None:
        secret_file.chmod(mode)
        with pytest.raises(IdentityError, match=f"{mode:04o}") as caught:
            read_private_file(secret_file, what="identity file")
        assert "chmod 0600" in caught.value.hint

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
    def test_it_belongs_to_us_or_to_root(self, secret_file: Path) -> None:
        os.chown(secret_file, 12345, 12345)
        with pytest.raises(IdentityError, match="12345"):
            read_private_file(secret_file, what="identity file")

    def test_a_link_is_followed_and_the_file_behind_it_judged(self, secret_file: Path, tmp_path: Path) -> None:
        link = tmp_path / "mounted"
        link.symlink_to(secret_file)
        assert read_private_file(link, what="identity file").reveal() == CONTENT
        secret_file.chmod(0o644)
        with pytest.raises(IdentityError):
            read_private_file(link, what="identity file")

    def test_a_pipe_is_read_to_its_end(self) -> None:
        reader, writer = os.pipe()
        os.write(writer, CONTENT)
        os.close(writer)
        assert read_private_file(Path(f"/dev/fd/{reader}"), what="identity file").reveal() == CONTENT
        os.close(reader)

    def test_what_a_shell_substitutes_is_read(self, tmp_path: Path) -> None:
        script = (
            "import sys, pathlib; from strongroom.sealing.private_files import read_private_file as r;"
            "sys.stdout.buffer.write(r(pathlib.Path(sys.argv[1]), what='x').reveal())"
        )
        done = subprocess.run(
            ["bash", "-c", f'{sys.executable} -c "$1" <(sleep 0.2; printf late)', "bash", script],
            capture_output=True,
            check=True,
        )
        assert done.stdout == b"late"

    def test_a_named_pipe_with_no_writer_does_not_hold_us_up(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo", 0o600)
        with pytest.raises(IdentityError, match="empty"):
            read_private_file(tmp_path / "fifo", what="identity file")

    def test_missing_empty_too_long_and_directories_are_told_apart(self, secret_file: Path, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError):
            read_private_file(tmp_path / "none", what="identity file")
        with pytest.raises(IdentityError, match="regular file"):
            read_private_file(tmp_path, what="identity file")
        secret_file.write_bytes(b"")
        with pytest.raises(IdentityError, match="empty"):
            read_private_file(secret_file, what="identity file")
        secret_file.write_bytes(b"x" * MAX_PRIVATE_FILE)
        assert len(read_private_file(secret_file, what="identity file")) == MAX_PRIVATE_FILE
        secret_file.write_bytes(b"x" * (MAX_PRIVATE_FILE + 1))
        with pytest.raises(IdentityError, match="65536"):
            read_private_file(secret_file, what="identity file")

    def test_a_name_that_no_file_can_have(self) -> None:
        with pytest.raises(IdentityError):
            read_private_file(Path("a\0b"), what="identity file")

    def test_an_endless_file_is_not_read_to_its_end(self) -> None:
        with pytest.raises(IdentityError):
            read_private_file(Path("/dev/zero"), what="identity file")


class TestDescriptors:
    @pytest.fixture
    def written(self) -> Iterator[int]:
        reader, writer = os.pipe()
        os.write(writer, CONTENT)
        os.close(writer)
        yield reader
        os.close(reader)

    def test_it_is_read_to_its_end_and_stays_open(self, written: int) -> None:
        assert read_descriptor(written, what="passphrase").reveal() == CONTENT
        os.fstat(written)

    @pytest.mark.parametrize("descriptor", [-1, 9999, 1 << 40])
    def test_one_that_is_not_open_is_an_error_of_ours(self, descriptor: int) -> None:
        with pytest.raises(IdentityError):
            read_descriptor(descriptor, what="passphrase")


class TestWriting:
    def test_it_is_the_owners_alone_whatever_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            write_private_file(tmp_path / "new", SecretBytes(CONTENT), what="identity file")
        finally:
            os.umask(before)
        assert (tmp_path / "new").read_bytes() == CONTENT
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600

    def test_nothing_is_overwritten_and_no_link_followed(self, secret_file: Path, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
        for taken in (secret_file, tmp_path / "link"):
            with pytest.raises(ExistsError):
                write_private_file(taken, SecretBytes(b"new"), what="identity file")
        assert secret_file.read_bytes() == CONTENT
        assert not (tmp_path / "elsewhere").exists()

    def test_a_place_that_is_not_there_is_an_error_of_ours(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError):
            write_private_file(tmp_path / "no" / "new", SecretBytes(CONTENT), what="identity file")

    def test_what_could_not_be_written_whole_is_removed(self, tmp_path: Path) -> None:
        script = (
            "import resource, signal, sys, pathlib; from strongroom.errors import StoreError;"
            "from strongroom.primitives.secret import SecretBytes;"
            "from strongroom.sealing.private_files import write_private_file as w;"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
            "try: w(pathlib.Path(sys.argv[1]), SecretBytes(b'x' * 100), what='identity file')\n"
            "except StoreError: sys.exit(7)"
        )
        done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "new")], check=False)
        assert done.returncode == 7
        assert not (tmp_path / "new").exists()


def test_no_message_quotes_the_content(secret_file: Path) -> None:
    secret_file.chmod(0o644)
    with pytest.raises(IdentityError) as caught:
        read_private_file(secret_file, what="identity file")
    assert CONTENT.decode() not in f"{caught.value!r} {caught.value} {caught.value.hint}"
