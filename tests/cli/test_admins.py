"""Admins, role accounts and BlackBox's own files, by the command line and with real gpg."""

from __future__ import annotations

import os
import stat
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.program import Ran, on_terminal, program
from tests.support.blackbox_fixtures import clone, git, secret_key
from tests.support.gpg import GpgHome, GpgHomes

REPOSITORY = "release-v1.20220610"


def as_user(home: GpgHome) -> Mapping[str, str]:
    return {"GNUPGHOME": str(home.home), "HOME": str(home.home)}


@pytest.fixture(scope="module")
def admins(gpg_homes: GpgHomes) -> dict[str, GpgHome]:
    """Two admins of the repository."""
    return {name: gpg_homes.of_key(secret_key(REPOSITORY, name)) for name in ("alice", "bob")}


@pytest.fixture
def team(place: Path, admins: dict[str, GpgHome]) -> Path:
    """A BlackBox repository with a store that Alice made."""
    work = clone(REPOSITORY, place / "repo")
    made = program("init", cwd=work, env=as_user(admins["alice"]))
    assert made.status == 0, made.stderr
    return work


def done(*argv: str, cwd: Path, env: Mapping[str, str], stdin: bytes = b"") -> Ran:
    ran = program(*argv, cwd=cwd, env=env, stdin=stdin)
    assert ran.status == 0, ran.stderr
    return ran


def test_a_listed_admin_is_approved_and_then_opens_the_store(team: Path, admins: dict[str, GpgHome]) -> None:
    alice, bob = as_user(admins["alice"]), as_user(admins["bob"])
    rows = done("admin", "list", "--json", cwd=team, env=alice).json
    (row,) = [row for row in rows if row["fingerprint"] == admins["bob"].fingerprint]
    assert (row["approved"], row["listed"]) == (False, True)
    assert program("list", cwd=team, env=bob).status == 3
    told = done("admin", "approve", admins["bob"].fingerprint, cwd=team, env=alice).stderr
    assert "the root is sealed to 2 admins" in told
    assert "git add" in told
    done("create", "it", "--type", "fernet", cwd=team, env=bob)
    lines = done("admin", "list", cwd=team, env=bob).text.splitlines()
    assert [line.split("\t")[2] for line in lines].count("yes") == 2


def test_a_fingerprint_that_nobody_has_is_refused(team: Path, admins: dict[str, GpgHome]) -> None:
    alice = as_user(admins["alice"])
    refused = program("admin", "approve", "A" * 40, cwd=team, env=alice)
    assert refused.status == 1
    assert "strongroom admin add" in refused.stderr
    short = program("admin", "approve", "DEADBEEF", cwd=team, env=alice)
    assert short.status == 2


def test_one_from_my_keyring_is_added_and_opens_the_store(
    team: Path, admins: dict[str, GpgHome], gpg_homes: GpgHomes
) -> None:
    alice = admins["alice"]
    dan = gpg_homes("Dan <dan@example.org>")
    alice.import_keys(dan.export())
    done("admin", "add", dan.fingerprint, cwd=team, env=as_user(alice))
    assert "dan@example.org" in done("blackbox", "list-admins", cwd=team, env=as_user(alice)).text.split()
    done("list", cwd=team, env=as_user(dan))
    again = program("admin", "add", dan.fingerprint, cwd=team, env=as_user(alice))
    assert again.status == 1


def test_a_role_opens_the_store_and_the_files_with_one_file_and_no_gpg_home(
    team: Path, place: Path, admins: dict[str, GpgHome], tmp_path: Path
) -> None:
    alice = as_user(admins["alice"])
    identity = place / "web.identity"
    made = done("role", "create", "web-deploy", "--out", str(identity), "--json", cwd=team, env=alice).json
    assert made["identity"] == str(identity)
    assert stat.S_IMODE(identity.stat().st_mode) == 0o600
    done("import", "url", "--type", "secret", cwd=team, env=alice, stdin=b"postgres://x")
    machine = {"HOME": "/nonexistent", "GNUPGHOME": "/nonexistent", "STRONGROOM_IDENTITY_FILE": str(identity)}
    assert done("reveal", "url", cwd=team, env=machine).stdout == b"postgres://x"
    by_option = {"HOME": "/nonexistent", "GNUPGHOME": "/nonexistent"}
    assert done("--identity", str(identity), "reveal", "url", cwd=team, env=by_option).stdout == b"postgres://x"
    by_text = {**by_option, "STRONGROOM_IDENTITY": identity.read_text()}
    assert done("reveal", "url", cwd=team, env=by_text).stdout == b"postgres://x"
    shown = done("run", "--env", "URL=url", "--", "env", cwd=team, env={**by_text, **machine}).text
    assert "URL=postgres://x" in shown.splitlines()
    assert "STRONGROOM_IDENTITY" not in shown
    assert done("doctor", "--ready", cwd=team, env=machine).stdout == b""
    again = program("role", "create", "web-deploy", "--out", str(tmp_path / "other"), cwd=team, env=alice)
    assert again.status == 1
    assert not (tmp_path / "other").exists()


def test_a_slot_s_label_is_checked_before_a_passphrase_is_made(team: Path, admins: dict[str, GpgHome]) -> None:
    alice = as_user(admins["alice"])
    done("slot", "add", "office", "--generate", cwd=team, env=alice)
    for label, status in (("A B", 2), ("office", 1)):
        refused = program("slot", "add", label, "--generate", cwd=team, env=alice)
        assert refused.status == status
        assert "passphrase, shown" not in refused.stderr


def test_new_keys_are_not_written_into_the_repository(team: Path, admins: dict[str, GpgHome]) -> None:
    alice = as_user(admins["alice"])
    before = sorted(team.iterdir())
    for argv in (
        ["slot", "add", "x", "--new", "x.identity"],
        ["role", "create", "x", "--out", "x.identity"],
        ["worker", "create", "x", "--bits", "2048", "--out", "x.identity", "--ignored"],
    ):
        refused = program(*argv, cwd=team, env=alice)
        assert refused.status == 5, refused.stderr
        assert "in the repository" in refused.stderr
    assert sorted(team.iterdir()) == before
    for argv in (["role", "create", "web"], ["worker", "create", "jobs", "--bits", "2048"]):
        done(*argv, cwd=team, env=alice)
        assert (team.parent / f"{argv[2]}.identity").exists(), "where nobody says where: beside the repository"


def test_a_role_s_file_is_not_written_into_the_store(team: Path, admins: dict[str, GpgHome]) -> None:
    refused = program("role", "create", "ci", "--out", ".strongroom/ci", cwd=team, env=as_user(admins["alice"]))
    assert refused.status == 5
    assert not (team / ".strongroom/ci").exists()


def test_blackbox_files_are_listed_and_printed(team: Path, admins: dict[str, GpgHome]) -> None:
    alice = as_user(admins["alice"])
    names = done("blackbox", "list-files", cwd=team, env=alice).stdout.splitlines()
    assert names
    assert done("blackbox", "list-files", "--json", cwd=team, env=alice).json == [os.fsdecode(name) for name in names]
    first = os.fsdecode(names[0])
    plain = done("blackbox", "cat", first, cwd=team, env=alice).stdout
    assert admins["alice"].decrypt((team / f"{first}.gpg").read_bytes()) == plain
    (answer,) = done("blackbox", "cat", f"{first}.gpg", "--json", cwd=team, env=alice).json
    assert b64decode(answer["base64"]) == plain
    missing = program("blackbox", "cat", "nothing.here", cwd=team, env=alice)
    assert missing.status == 1


def test_a_hostile_file_name_is_bytes_on_a_pipe_and_escaped_on_a_terminal(
    team: Path, admins: dict[str, GpgHome]
) -> None:
    alice = as_user(admins["alice"])
    listed = team / ".blackbox/blackbox-files.txt"
    listed.write_bytes(listed.read_bytes() + b"\x1b]0;owned\x07\xff\n")
    assert b"\x1b]0;owned\x07\xff\n" in done("blackbox", "list-files", cwd=team, env=alice).stdout
    shown = on_terminal("blackbox", "list-files", cwd=team, env=alice).stderr
    assert "\\x1b]0;owned\\x07" in shown
    assert "\x1b" not in shown
    assert b"\x1b" not in done("blackbox", "list-files", "--json", cwd=team, env=alice).stdout
    refused = program("blackbox", "cat", "\x1b]0;owned\x07", cwd=team, env=alice)
    assert "\x1b" not in refused.stderr


def test_an_admin_leaves_and_what_he_knew_is_walked_until_nothing_is_left(
    team: Path, admins: dict[str, GpgHome]
) -> None:
    alice, bob = as_user(admins["alice"]), as_user(admins["bob"])
    done("admin", "approve", admins["bob"].fingerprint, cwd=team, env=alice)
    done("create", "it", "--type", "fernet", cwd=team, env=alice)
    identity = str(team.parent / "web.identity")
    done("worker", "create", "web", "--bits", "2048", "--out", identity, cwd=team, env=alice)
    left = done("admin", "remove", admins["bob"].fingerprint, "--json", cwd=team, env=alice).json
    assert left["root"] == 2
    assert [row["name"] for row in left["exposed"]] == ["it", "strongroom.issuer"]
    assert (left["issuer"]["version"], left["issuer"]["outdated"]) == (2, ["web"])
    assert len(left["issuer"]["public"]) == 59
    assert left["pin"] == done("pin", cwd=team, env=alice).text.strip()
    assert program("list", cwd=team, env=bob).status == 3
    assert program("exposed", cwd=team, env=alice).status == 4
    done("rotate", "--exposed", cwd=team, env=alice)
    coming = program("exposed", "--json", cwd=team, env=alice)
    assert (coming.status, coming.json["keysets"][0]["replaced"]) == (4, True)
    assert coming.json["keysets"][0]["protects_until"]
    done("promote", "it", "2", cwd=team, env=alice)
    assert not done("exposed", "--json", cwd=team, env=alice).json["keysets"][0]["protects_until"]
    assert program("rotate", cwd=team, env=alice).status == 2
    git(team, "checkout", "--", ".blackbox")  # he is listed again
    done("admin", "approve", admins["bob"].fingerprint, cwd=team, env=alice)
    told = done("admin", "remove", admins["bob"].fingerprint, cwd=team, env=alice).stderr
    assert "publications are signed by version 3 of strongroom.issuer" in told
    assert "strongroom worker rotate web" in told
    assert [row["outdated"] for row in done("worker", "list", "--json", cwd=team, env=alice).json] == [True]


def test_slots_are_added_tried_and_taken_away_by_the_command_line(team: Path, admins: dict[str, GpgHome]) -> None:
    alice = as_user(admins["alice"])
    told = done("slot", "add", "office", "--generate", cwd=team, env=alice).stderr
    passphrase = told.split("shown this once: ")[1].split()[0]
    done("slot", "add", "backup", "--new", str(team.parent / "backup.identity"), cwd=team, env=alice)
    tried = done("slot", "test", "--json", cwd=team, env={**alice, "STRONGROOM_PASSPHRASE": passphrase}).json
    assert {row["label"]: row["opens"] for row in tried} == {"": True, "office": True, "backup": False}
    lines = done("slot", "test", cwd=team, env={**alice, "STRONGROOM_PASSPHRASE": "another long one"}).text.splitlines()
    (note,) = [line.split("\t")[3] for line in lines if line.startswith("office\t")]
    assert "does not open" in note  # and not the name of what was tried
    assert program("slot", "add", "more", cwd=team, env=alice).status == 2
    for option, wrong, way in (("--hpke", "no key!", "--new FILE"), ("--rsa", "absent.pem", "--rsa FILE")):
        refused = program("slot", "add", "more", option, wrong, "--json", cwd=team, env=alice)
        assert (refused.status, way in refused.error["hint"]) == (1, True), refused.stderr
    assert done("slot", "remove", "office", "--json", cwd=team, env=alice).json["removed"] == ["office"]
    assert [row["label"] for row in done("slot", "list", "--json", cwd=team, env=alice).json] == ["", "backup"]
