"""`init`, in every place where somebody may type it first: with real gpg and real git."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.program import on_terminal, program, within
from tests.support.blackbox_fixtures import clone, git, secret_key
from tests.support.gpg import GpgHome, GpgHomes

GOOD = "correct horse battery staple"


def as_user(home: GpgHome) -> Mapping[str, str]:
    return {"GNUPGHOME": str(home.home), "HOME": str(home.home)}


def test_with_no_git_and_no_blackbox_it_makes_both_ends_meet_and_says_so(place: Path, alice: GpgHome) -> None:
    ran = program("init", cwd=place, env=as_user(alice))
    assert ran.status == 0, ran.stderr
    assert ran.stdout == b""
    assert "this is no git repository" in ran.stderr
    assert "with you as its first admin" in ran.stderr
    assert (place / ".blackbox/blackbox-admins.txt").read_text() == "alice@example.org\n"
    assert len(ran.stderr.split("next:\n")[1].splitlines()) == 3
    made = program("create", "records", "--type", "fernet", cwd=place, env=as_user(alice))
    assert made.status == 0, made.stderr
    assert "git add" not in made.stderr
    assert program("list", cwd=place, env=as_user(alice)).text.startswith("records\t")


def test_in_a_git_repository_it_stands_at_the_top_and_commits_nothing(place: Path, alice: GpgHome) -> None:
    git(place, "init", "--quiet", ".")
    (place / "below").mkdir()
    ran = program("init", "--json", cwd=place / "below", env=as_user(alice))
    assert ran.status == 0, ran.stderr
    assert ran.json["store"] == str(place / ".strongroom")
    assert ran.json["git"] is True
    assert git(place, "log", "--all", "--oneline") == b""
    git(place, "add", *ran.json["add"])
    assert b".strongroom/store.json" in git(place, "ls-files")
    told = program("create", "records", "--type", "fernet", cwd=place / "below", env=as_user(alice)).stderr
    assert "git add ../.strongroom/keysets/records.json" in told


def test_in_a_blackbox_repository_it_is_sealed_to_me_alone_and_names_the_others(
    place: Path, gpg_homes: GpgHomes
) -> None:
    repository = "release-v1.20220610"
    work = clone(repository, place / "repo")
    home = gpg_homes.of_key(secret_key(repository, "alice"))
    ran = program("init", cwd=work, env=as_user(home))
    assert ran.status == 0, ran.stderr
    assert "sealed to" in ran.stderr
    left_out = [line for line in ran.stderr.splitlines() if line.startswith("left out")]
    assert any("bob" in line for line in left_out)
    assert all("strongroom admin approve" in line for line in left_out)
    others = gpg_homes.of_key(secret_key(repository, "bob"))
    refused = program("list", cwd=work, env=as_user(others))
    assert refused.status == 3


def test_several_secret_keys_are_listed_and_one_is_to_be_named(place: Path, gpg_homes: GpgHomes) -> None:
    home = gpg_homes("Dora <dora@example.org>")
    second = home.generate("Dora at work <dora@work.example>")
    ran = program("init", cwd=place, env=as_user(home))
    assert ran.status == 2
    assert home.fingerprint in ran.stderr
    assert second in ran.stderr
    assert "strongroom init --recipient" in ran.stderr
    assert list(place.iterdir()) == []
    done = program("init", "--recipient", second, "--json", cwd=place, env=as_user(home))
    assert done.status == 0, done.stderr
    assert second in done.json["approved"][0]


def test_a_recipient_that_is_none_of_mine_is_refused(place: Path, alice: GpgHome, bob: GpgHome) -> None:
    ran = program("init", "--recipient", bob.fingerprint, cwd=place, env=as_user(alice))
    assert ran.status == 3
    assert list(place.iterdir()) == []


def test_with_no_key_two_commands_that_help_are_named(place: Path, gpg_homes: GpgHomes) -> None:
    ran = program("init", cwd=place, env=as_user(gpg_homes()))
    assert ran.status == 3
    assert "strongroom init --passphrase" in ran.stderr
    assert "strongroom role create" in ran.stderr
    assert list(place.iterdir()) == []


def test_with_no_gpg_the_same_two_are_named(place: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    found = shutil.which("git")
    assert found is not None
    (tmp_path / "bin/git").symlink_to(found)
    ran = program("init", cwd=place, env={"PATH": str(tmp_path / "bin")})
    assert ran.status == 3
    assert "strongroom init --passphrase" in ran.stderr
    assert "strongroom role create" in ran.stderr
    assert list(place.iterdir()) == []


def test_a_store_that_exists_is_refused(store: Path, place: Path) -> None:
    before = (store / "store.json").read_bytes()
    ran = within("init", "--development")
    assert ran.status == 1
    assert "already" in ran.stderr
    assert (store / "store.json").read_bytes() == before


def test_a_directory_may_be_named_in_two_ways(place: Path) -> None:
    assert within("init", "here", "--development").status == 0
    assert within("--store", "there", "init", "--development").status == 0
    assert (place / "here/store.json").is_file()
    assert (place / "there/store.json").is_file()


def test_a_development_store_opens_only_where_that_is_said(
    store: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert within("list").status == 0
    monkeypatch.delenv("STRONGROOM_DEVELOPMENT")
    refused = within("list")
    assert refused.status == 3
    assert "STRONGROOM_DEVELOPMENT" in refused.stderr


def test_register_puts_the_root_file_on_blackbox_s_list(place: Path, alice: GpgHome) -> None:
    git(place, "init", "--quiet", ".")
    ran = program("init", "--register", cwd=place, env=as_user(alice))
    assert ran.status == 0, ran.stderr
    listed = program("blackbox", "list-files", cwd=place, env=as_user(alice))
    assert listed.text == ".strongroom/root.1\n"


def test_a_passphrase_comes_from_a_file(place: Path) -> None:
    (place / "pass").write_text(GOOD + "\n")
    (place / "pass").chmod(0o600)
    assert within("--passphrase-file", "pass", "init", "--passphrase").status == 0
    assert within("--passphrase-file", "pass", "create", "it", "--type", "fernet").status == 0
    (place / "wrong").write_text("wrong horse battery staple\n")
    (place / "wrong").chmod(0o600)
    assert within("--passphrase-file", "wrong", "list").status == 3
    (place / "pass").chmod(0o644)
    refused = within("--passphrase-file", "pass", "list")
    assert refused.status == 3
    assert "chmod" in refused.stderr


def test_a_passphrase_that_is_easily_guessed_is_refused(place: Path) -> None:
    (place / "pass").write_text("secret\n")
    (place / "pass").chmod(0o600)
    refused = within("--passphrase-file", "pass", "init", "--passphrase")
    assert refused.status == 3
    assert not (place / ".strongroom").exists()


def test_a_passphrase_is_typed_twice_and_then_asked_for(place: Path) -> None:
    made = on_terminal(
        "init", "--passphrase", cwd=place, answers=[("New passphrase", f"{GOOD}\n"), ("again", f"{GOOD}\n")]
    )
    assert made.status == 0, made.stderr
    assert GOOD not in made.stderr
    opened = on_terminal("pin", cwd=place, answers=[("Passphrase: ", f"{GOOD}\n")], keep_stdout=True)
    assert opened.status == 0, opened.stderr
    assert len(opened.text.strip()) == 45
    wrong = on_terminal("pin", cwd=place, answers=[("Passphrase: ", "nonsense\n")])
    assert wrong.status == 3
    stopped = on_terminal("pin", cwd=place, answers=[("Passphrase: ", "\x03")])
    assert stopped.status == 130
    assert "Traceback" not in stopped.stderr
    unasked = program("pin", cwd=place)
    assert unasked.status == 3
    assert "passphrase" in unasked.stderr


def test_two_passphrases_that_differ_make_no_store(place: Path) -> None:
    made = on_terminal(
        "init", "--passphrase", cwd=place, answers=[("New passphrase", f"{GOOD}\n"), ("again", "another\n")]
    )
    assert made.status == 3
    assert list(place.iterdir()) == []


def test_an_empty_answer_has_a_passphrase_made_which_opens(place: Path) -> None:
    made = on_terminal("init", "--passphrase", cwd=place, answers=[("New passphrase", "\n")])
    assert made.status == 0, made.stderr
    (line,) = [line for line in made.stderr.splitlines() if line.startswith("your passphrase")]
    (place / "pass").write_text(line.rpartition(" ")[2])
    (place / "pass").chmod(0o600)
    assert within("--passphrase-file", "pass", "list").status == 0


def test_without_a_terminal_no_passphrase_is_made_up(place: Path) -> None:
    ran = program("init", "--passphrase", cwd=place)
    assert ran.status == 3
    assert "--passphrase-file" in ran.stderr
    assert list(place.iterdir()) == []
