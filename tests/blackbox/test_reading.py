"""Reading: only what is registered, only below the root, only into memory."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from strongroom.blackbox import Repository
from strongroom.errors import BlackBoxError, CannotOpenError, FormatError, NotFoundError, OpenPGPError, PathError
from strongroom.openpgp.engine import Engine
from tests.blackbox.conftest import snapshot
from tests.support.gpg import GpgHome


@pytest.fixture
def filled(repo: Repository, only_alice: tuple[str, ...]) -> Repository:
    (repo.root / "sub").mkdir()
    for name in ("one.txt", "sub/two.txt", "three.gpg.txt"):
        (repo.root / name).write_bytes(f"content of {name}".encode())
        repo.register(name, approved=only_alice)
    return repo


@pytest.mark.parametrize("typed", ["one.txt", "one.txt.gpg", "./one.txt", ".//one.txt"])
def test_a_file_is_named_with_or_without_its_ending(filled: Repository, typed: str) -> None:
    assert filled.read(typed).reveal() == b"content of one.txt"


def test_a_path_typed_in_a_subdirectory_is_read_by_its_name(filled: Repository) -> None:
    assert filled.read(filled.name_of("two.txt", start=filled.root / "sub")).reveal() == b"content of sub/two.txt"
    assert filled.read(filled.name_of("../one.txt", start=filled.root / "sub")).reveal() == b"content of one.txt"


def test_what_is_not_registered_is_not_found_and_the_nearest_names_are_told(filled: Repository) -> None:
    (filled.root / "stray.gpg").write_bytes((filled.root / "one.txt.gpg").read_bytes())
    with pytest.raises(
        NotFoundError, match=r"'one\.text' is not among the 3 registered files; the nearest: 'one\.txt'"
    ):
        filled.read("one.text")
    with pytest.raises(NotFoundError, match="'stray' is not among"):
        filled.read("stray")


def test_a_registered_file_whose_ciphertext_is_gone_is_not_found(filled: Repository) -> None:
    (filled.root / "one.txt.gpg").unlink()
    with pytest.raises(NotFoundError, match=r"'one\.txt\.gpg'"):
        filled.read("one.txt")


def test_a_plaintext_on_the_disk_is_not_taken_for_the_file(filled: Repository) -> None:
    (filled.root / "one.txt").write_bytes(b"planted")
    assert filled.read("one.txt").reveal() == b"content of one.txt"


@pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
def test_lists_of_every_kind_are_read(filled: Repository, ending: bytes) -> None:
    names = [b"sub/two.txt", b"three.gpg.txt", b"one.txt"]
    (filled.data / "blackbox-files.txt").write_bytes(b"\n" + ending.join(names))  # blank line, no newline at the end
    (filled.data / "blackbox-admins.txt").write_bytes(b"alice@example.org" + ending + ending)
    assert filled.files() == ("sub/two.txt", "three.gpg.txt", "one.txt")
    assert filled.admins() == ("alice@example.org",)
    assert filled.read("one.txt").reveal() == b"content of one.txt"
    assert len(filled.admin_certificates()) == 1


def test_a_list_with_conflict_markers_is_refused_by_name(filled: Repository) -> None:
    marked = b"<<<<<<< HEAD\none.txt\n=======\nsub/two.txt\n>>>>>>> other\n"
    (filled.data / "blackbox-files.txt").write_bytes(marked)
    with pytest.raises(BlackBoxError, match=r"'\.blackbox/blackbox-files\.txt' holds the conflict markers"):
        filled.read("one.txt")


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "sub/../../outside"])
def test_a_name_that_leaves_the_repository_is_not_read_even_when_listed(filled: Repository, name: str) -> None:
    shutil.copy(filled.root / "one.txt.gpg", filled.root.parent / "outside.gpg")
    (filled.data / "blackbox-files.txt").write_bytes(os.fsencode(name) + b"\n")
    assert filled.files() == (name,)
    with pytest.raises(PathError):
        filled.read(name)


def test_a_link_is_not_followed(filled: Repository) -> None:
    outside = filled.root.parent / "outside"
    outside.mkdir()
    shutil.copy(filled.root / "one.txt.gpg", outside / "one.txt.gpg")
    (filled.root / "one.txt.gpg").unlink()
    (filled.root / "one.txt.gpg").symlink_to(outside / "one.txt.gpg")
    with pytest.raises(PathError, match="symbolic link"):
        filled.read("one.txt")
    shutil.rmtree(filled.root / "sub")
    (filled.root / "sub").symlink_to(outside)
    with pytest.raises(PathError, match="goes through 'sub'"):
        filled.read("sub/two.txt")


def test_a_linked_data_directory_is_not_followed(filled: Repository, as_alice: Engine) -> None:
    filled.data.rename(filled.root.parent / "elsewhere")
    filled.data.symlink_to(filled.root.parent / "elsewhere")
    with pytest.raises(PathError, match="goes through"):
        Repository.discover(filled.root, engine=as_alice).files()


def test_a_ciphertext_that_was_tampered_with_gives_nothing(filled: Repository) -> None:
    path = filled.root / "one.txt.gpg"
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(raw)
    before = snapshot(filled.root)
    with pytest.raises((OpenPGPError, FormatError)):
        filled.read("one.txt")
    assert snapshot(filled.root) == before


@pytest.mark.parametrize("name", ["secret", "key", "e", "message.gpg.txt"])
def test_a_failure_names_the_file_even_where_its_name_is_a_word_of_the_message(
    filled: Repository, only_alice: tuple[str, ...], bob: GpgHome, name: str
) -> None:
    (filled.root / name).write_bytes(b"content")
    filled.register(name, approved=only_alice)
    (filled.root / f"{name}.gpg").write_bytes(bob.encrypt(b"for bob alone", bob.fingerprint))
    for read in (lambda: filled.read(name), filled.decrypt_all):
        with pytest.raises(CannotOpenError) as caught:
            read()
        assert str(caught.value).count(repr(name)) == 1


def test_a_planted_gpg_conf_is_not_obeyed(filled: Repository, tmp_path: Path, bob: GpgHome, alice: GpgHome) -> None:
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n", "utf-8")
    evil.chmod(0o755)
    conf = f"agent-program {evil}\nencrypt-to {bob.fingerprint}\n"
    (filled.data / "gpg.conf").write_text(conf, "utf-8")
    (filled.data / "gpg-agent.conf").write_text(f"pinentry-program {evil}\n", "utf-8")
    before = set(filled.data.iterdir())
    (filled.root / "new.txt").write_bytes(b"new")
    filled.register("new.txt", approved=(alice.fingerprint,))
    assert filled.read("new.txt").reveal() == b"new"
    assert len(filled.admin_certificates()) == 1
    assert not (tmp_path / "pwned").exists()
    assert bob.run("--decrypt", stdin=(filled.root / "new.txt.gpg").read_bytes(), check=False).returncode == 2
    assert set(filled.data.iterdir()) == before, "no agent's socket, no private directory, no backup"
