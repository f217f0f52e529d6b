"""Every command of BlackBox, by its old name and ours, on the repositories that the originals wrote."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from strongroom.cli import shims
from strongroom.cli.shims import OLD_NAMES
from tests.cli.program import Ran, on_terminal, program
from tests.support.blackbox_fixtures import (
    ADDRESSES,
    DATA,
    LEFT,
    REPOSITORIES,
    STAYED,
    clone,
    git,
    plaintext_hashes,
    secret_key,
    sha256,
)
from tests.support.gpg import GpgHome, GpgHomes

People = dict[str, GpgHome]
RELEASE = REPOSITORIES[0]


def as_user(home: GpgHome) -> dict[str, str]:
    return {"GNUPGHOME": str(home.home), "HOME": str(home.home), "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@x",
            "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@x"}  # fmt: skip


@pytest.fixture(scope="module")
def people(gpg_homes: GpgHomes) -> People:
    return {name: gpg_homes.of_key(secret_key(RELEASE, name)) for name in (*STAYED, LEFT)}


@pytest.fixture
def me(people: People) -> dict[str, str]:
    return as_user(people["alice"])


@pytest.fixture
def repo(place: Path) -> Path:
    return clone(RELEASE, place / "repo")


def bb(repo: Path, me: Mapping[str, str], *argv: str, status: int = 0) -> Ran:
    ran = program("blackbox", *argv, cwd=repo, env=me)
    assert ran.status == status, ran.stderr
    return ran


@pytest.fixture
def team(repo: Path, people: People, me: dict[str, str]) -> Path:
    bb(repo, me, "approve", *(people[name].fingerprint for name in STAYED))
    return repo


def plaintexts(repo: Path) -> dict[str, str]:
    names = plaintext_hashes(RELEASE)
    return {name: sha256((repo / name).read_bytes()) for name in names if (repo / name).exists()}


def subject(repo: Path) -> str:
    return git(repo, "log", "-1", "--format=%s").decode().strip()


def staged(repo: Path) -> bytes:
    return git(repo, "status", "--porcelain")


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_every_old_name_works_on_what_the_originals_left(repository: str, place: Path, gpg_homes: GpgHomes) -> None:
    root = clone(repository, place / "repo")
    homes = {name: gpg_homes.of_key(secret_key(repository, name)) for name in STAYED}
    me = as_user(homes["alice"]) | {"EDITOR": "sed -i s/one/two/", "PAGER": "cat"}
    assert program("blackbox", "install-shims", str(place / "bin"), cwd=place, env=me).status == 0
    bb(root, me, "approve", *(home.fingerprint for home in homes.values()))
    used = set()

    def old(name: str, *argv: str) -> bytes:
        used.add(name)
        done = subprocess.run(
            [place / "bin" / name, *argv], cwd=root, env={**os.environ, **me}, capture_output=True, check=False
        )
        assert done.returncode == 0, (name, done.stderr)
        return done.stdout

    hashes = plaintext_hashes(repository)
    assert [os.fsdecode(line) for line in old("blackbox_list_files").split(b"\n")[:-1]] == sorted(hashes)
    for admins in ("blackbox_list_admins", "blackbox_listadmins"):
        assert old(admins).decode().split() == [ADDRESSES[name] for name in STAYED]
    assert {name: sha256(old("blackbox_cat", name)) for name in hashes} == hashes
    old("blackbox_initialize", "yes")
    (root / "-new.txt").write_bytes(b"one\n")
    old("blackbox_register_new_file", "-new.txt")
    assert subject(root) == "registered in blackbox: -new.txt"
    old("blackbox_edit", "-new.txt")
    assert old("blackbox_cat", "-new.txt.gpg") == b"two\n"
    assert old("blackbox_view", "-new.txt") == b"two\n"
    old("blackbox_edit_start", "-new.txt")
    (root / "-new.txt").write_bytes(b"three\n")
    assert b"-two\n+three\n" in old("blackbox_diff")
    old("blackbox_edit_end", "-new.txt")
    git(root, "commit", "--quiet", "-am", "edited")
    assert b"-one\n+three\n" in old("blackbox_whatsnew", "-new.txt.gpg")
    old("blackbox_decrypt_file", "-new.txt")
    assert (root / "-new.txt").read_bytes() == b"three\n"
    old("blackbox_deregister_file", "-new.txt.gpg")
    (root / "-new.txt").unlink()
    for name in ("blackbox_postdeploy", "blackbox_decrypt_all_files"):
        old(name)
        assert {name: sha256((root / name).read_bytes()) for name in hashes} == hashes
        old("blackbox_shred_all_files")
        assert not any((root / name).exists() for name in hashes)
    old("blackbox_removeadmin", "bob@example.org")
    old("blackbox_update_all_files")
    assert subject(root) == "Re-encrypted keys"
    old("blackbox_addadmin", "alice@example.org")
    assert used == set(OLD_NAMES)
    assert (root / DATA[repository] / "blackbox-admins.txt").read_text().split() == [
        ADDRESSES[name] for name in ("alice", "deploy")
    ]


def test_nobody_receives_who_was_not_approved_and_a_machine_is_told_the_command(
    repo: Path, people: People, me: dict[str, str]
) -> None:
    (repo / "new").write_text("secret")
    refused = bb(repo, me, "register-new-file", "new", "--json", status=5)
    assert refused.error["hint"] == "strongroom blackbox approve FINGERPRINT"
    assert (repo / "new").read_text() == "secret"
    bb(repo, me, "approve", people["alice"].fingerprint)
    done = bb(repo, me, "register-new-file", "new", "--json")
    assert done.json["recipients"] == [people["alice"].fingerprint]
    assert len(done.json["left_out"]) == 2
    assert "is listed and not approved" in done.stderr


def test_a_person_is_asked_once_for_each_listed_admin(repo: Path, people: People, me: dict[str, str]) -> None:
    (repo / "new").write_text("secret")
    answers = [("May this one receive?", "y\n"), ("May this one receive?", "n\n"), ("May this one receive?", "y\n")]
    ran = on_terminal("blackbox", "register-new-file", "new", cwd=repo, env=me, answers=answers)
    assert ran.status == 0, ran.stderr
    rows = bb(repo, me, "expiry", "--json").json
    assert [row["approved"] for row in rows] == [True, False, True]
    assert people["alice"].fingerprint in ran.stderr


def test_only_a_listed_key_is_approved(repo: Path, people: People, me: dict[str, str]) -> None:
    refused = bb(repo, me, "approve", people[LEFT].fingerprint, status=1)
    assert "no listed admin has the fingerprint" in refused.stderr
    assert "full fingerprint" in bb(repo, me, "approve", "alice@example.org", status=2).stderr


@pytest.mark.parametrize(
    "argv",
    [
        ["register-new-file", "new"], ["deregister-file", "{first}"], ["edit-start", "{first}"],
        ["edit-end", "{first}"], ["postdeploy"], ["shred-all-files"], ["update-all-files", "--force"],
        ["removeadmin", "bob@example.org"], ["addadmin", "carol@example.org", "{carol}"], ["git-setup"],
    ],
    ids=lambda argv: argv[0],
)  # fmt: skip
def test_a_dry_run_writes_nothing(argv: list[str], team: Path, people: People, me: dict[str, str]) -> None:
    first = min(plaintext_hashes(RELEASE))
    (team / "new").write_text("secret")
    if argv[0] in {"edit-end", "shred-all-files"}:
        bb(team, me, "edit-start", "--", first)
        with (team / first).open("ab") as file:
            file.write(b"more")
    before = {
        path: path.read_bytes()
        for path in team.rglob("*")
        if path.is_file() and path.name != "strongroom-blackbox.lock"
    }
    words = [word.format(first=first, carol=people[LEFT].home) for word in argv]
    told = bb(team, me, words[0], "--dry-run", "--json", "--", *(w for w in words[1:] if w != "--force")).json
    assert told["dry_run"] is True
    assert {path: path.read_bytes() for path in before} == before
    assert {path for path in team.rglob("*") if path.is_file() and "lock" not in path.name} == {
        path for path in before if "lock" not in path.name
    }


def test_a_dry_run_of_an_edit_starts_no_editor(team: Path, people: People, me: dict[str, str]) -> None:
    first = min(plaintext_hashes(RELEASE))
    touched = team.parent / "touched"
    env = me | {"EDITOR": f"touch {touched}"}
    told = bb(team, env, "edit", "--dry-run", "--json", "--", first).json
    assert told["dry_run"] is True
    assert set(told["recipients"]) == {people[name].fingerprint for name in STAYED}
    assert not touched.exists()
    assert "not registered" in bb(team, env, "edit", "--dry-run", "new", status=1).stderr


def test_a_dry_run_of_approving_approves_nobody(repo: Path, people: People, me: dict[str, str]) -> None:
    alice = people["alice"].fingerprint
    assert f"would be approved: {alice}" in bb(repo, me, "approve", "--dry-run", alice).stderr
    (repo / "new").write_text("secret")
    assert "nobody has said yet" in bb(repo, me, "register-new-file", "new", status=5).stderr
    bb(repo, me, "approve", alice)
    assert "would be approved" not in bb(repo, me, "approve", "--withdraw", "--dry-run", alice).stderr
    assert bb(repo, me, "register-new-file", "new", "--json").json["recipients"] == [alice]


def test_dry_runs_of_what_makes_something_new_make_nothing(place: Path, me: dict[str, str]) -> None:
    git(place, "init", "--quiet")
    assert "would make '.blackbox'" in bb(place, me, "initialize", "--dry-run").stderr
    assert "would write 20 programs" in bb(place, me, "install-shims", "--dry-run", "bin").stderr
    assert [path.name for path in place.iterdir()] == [".git"]


def test_commits_carry_their_own_paths_and_can_be_turned_off(team: Path, me: dict[str, str]) -> None:
    head = git(team, "rev-parse", "HEAD")
    (team / "staged").write_text("mine")
    git(team, "add", "staged")
    (team / "one").write_text("1")
    assert "git add -A -- one.gpg" in bb(team, me, "register-new-file", "--no-commit", "one").stderr
    assert git(team, "rev-parse", "HEAD") == head
    (team / "two").write_text("2")
    bb(team, me, "register-new-file", "two")
    assert b"A  staged" in staged(team)
    assert b"two.gpg" not in staged(team)


def test_a_gpg_failure_is_a_failure(team: Path, people: People) -> None:
    stranger = as_user(people[LEFT])
    assert bb(team, stranger, "cat", "--", min(plaintext_hashes(RELEASE)), status=3).stdout == b""
    bb(team, stranger, "postdeploy", status=3)
    assert plaintexts(team) == {}


@pytest.mark.slow
def test_a_planted_store_gets_its_maker_nothing(team: Path, people: People, me: dict[str, str]) -> None:
    carol = people[LEFT]
    her = as_user(carol) | {"STRONGROOM_STATE": str(team.parent / "hers")}
    bb(team, her, "addadmin", carol.fingerprint, "--commit")
    for argv in (("init",), ("admin", "approve", people["alice"].fingerprint)):
        assert program(*argv, cwd=team, env=her).status == 0
    (team / "new").write_text("new")
    refused = bb(team, me, "register-new-file", "new", status=3)
    assert "the store in this repository would say who receives its files" in refused.stderr
    assert program("list", cwd=team, env=me).status == 0, "trusted at first sight, loudly"
    refused = bb(team, me, "register-new-file", "new", status=5)
    assert f"<carol@example.org>' ({carol.fingerprint}), whom nobody has approved" in refused.stderr
    assert bb(team, me, "update-all-files", "--force", status=5).stderr.count(carol.fingerprint) == 2
    assert (team / "new").read_text() == "new"
    bb(team, me, "approve", carol.fingerprint)
    bb(team, me, "register-new-file", "new")
    assert people["alice"].decrypt((team / "new.gpg").read_bytes()) == b"new"
    assert bb(team, me, "approve", carol.fingerprint, status=5).stderr.startswith("strongroom: error: this repository")


@pytest.mark.slow
def test_a_root_in_a_registered_files_place_is_given_to_nobody(team: Path, me: dict[str, str]) -> None:
    assert program("init", cwd=team, env=me).status == 0
    name = min(plaintext_hashes(RELEASE))
    root = (team / ".strongroom" / "root.1.gpg").read_bytes()
    for planted in (f"{name}.gpg", "fresh.gpg"):
        (team / planted).write_bytes(root)
    with (team / ".blackbox" / "blackbox-files.txt").open("a") as listed:
        listed.write("fresh\n")
    env = me | {"PAGER": "cat", "EDITOR": "true"}
    for target in (name, "fresh"):
        for argv in (
            ["cat", "--", target], ["--json", "cat", target], ["view", target], ["edit", target],
            ["edit-start", target], ["decrypt-file", target], ["postdeploy"], ["decrypt-all-files"],
            ["update-all-files", "--force"],
        ):  # fmt: skip
            options = [argv.pop(0)] if argv[0] == "--json" else []
            ran = program(*options, "blackbox", *argv, cwd=team, env=env)
            assert (ran.status, "the root of a store" in ran.stderr) == (5, True), (argv, ran.stderr)
            assert b"strongroom/1 root" not in ran.stdout + ran.stderr.encode()
    assert program("--store", f"blackbox:{team}", "reveal", "fresh", cwd=team, env=env).status == 5
    assert not [path for path in team.rglob("*") if path.is_file() and b"strongroom/1 root" in path.read_bytes()]
    (team / "clear").write_bytes(clear := b"strongroom/1 root AAAA 1 BBBB\n")
    assert "in the clear" in bb(team, me, "register-new-file", "clear", status=5).stderr
    assert (team / "clear").read_bytes() == clear


@pytest.mark.slow
def test_an_admin_who_was_removed_elsewhere_and_comes_back_gets_nothing(
    team: Path, people: People, me: dict[str, str]
) -> None:
    bob = people["bob"]
    bb(team, as_user(people["alice"]) | {"STRONGROOM_STATE": str(team.parent / "other")}, "removeadmin",
       "bob@example.org", "--commit")  # fmt: skip
    (team / "one").write_text("1")
    done = bb(team, me, "register-new-file", "one")
    assert "is not listed any more, and not approved any more" in done.stderr
    assert bob.fingerprint in done.stderr
    git(team, "revert", "--no-edit", "HEAD^")
    (team / "two").write_text("2")
    done = bb(team, me, "register-new-file", "two")
    assert "bob@example.org is listed and not approved, and received nothing" in done.stderr
    assert bob.run("--decrypt", stdin=(team / "two.gpg").read_bytes(), check=False).returncode


def test_printing_files_loads_no_parser_and_means_the_same(team: Path, people: People, me: dict[str, str]) -> None:
    name, expected = min(plaintext_hashes(RELEASE).items())
    environ = {**os.environ, **me}

    def loaded(*argv: str) -> tuple[bytes, bool]:
        line = [sys.executable, "-X", "importtime", shims.program(), "blackbox", "cat", *argv]
        done = subprocess.run(line, cwd=team, env=environ, capture_output=True, check=True)
        return done.stdout, b" click.core" in done.stderr

    assert [(sha256(found), parser) for found, parser in (loaded(name), loaded("--", name))] == [(expected, False)] * 2
    assert loaded("--json", name)[1]
    assert loaded("--help")[1]
    missing = program("blackbox", "cat", "--", "--help", cwd=team, env=me)
    assert (missing.status, "'--help' is not among" in missing.stderr) == (1, True)
    assert bb(team, me, "cat", status=2).stderr.startswith("strongroom: error: missing argument")
    stranger = as_user(people[LEFT])
    both = [program("blackbox", "cat", *argv, cwd=team, env=stranger) for argv in (["--json", name], [name])]
    assert both[0].status == both[1].status == 3
    closed = f"{shims.program()} blackbox cat {name} >&-"
    done = subprocess.run(["sh", "-c", closed], cwd=team, env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stderr.startswith(b"strongroom: error: ")) == (1, True)
    full = f"{shims.program()} blackbox cat {name} >/dev/full"
    done = subprocess.run(["sh", "-c", full], cwd=team, env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stderr.startswith(b"strongroom: error: ")) == (1, True)


def test_what_one_who_left_could_read_is_listed(team: Path, people: People, me: dict[str, str]) -> None:
    rows = bb(team, me, "exposed", f"{LEFT}@example.org", "--json").json
    assert bb(team, as_user(people[LEFT]), "exposed", people[LEFT].fingerprint, "--json").json == rows
    assert bb(team, me, "exposed", "zoe@example.org", status=1).stderr.startswith("strongroom: error: gpg knows no key")
    assert {row["file"] for row in rows} == set(plaintext_hashes(RELEASE))
    assert not any(row["now"] for row in rows)
    assert all(row["versions"] for row in rows)
    removed = bb(team, me, "removeadmin", "bob@example.org", "--json").json
    assert {row["file"] for row in removed["exposed"] if row["now"]} == set(plaintext_hashes(RELEASE))


def test_an_expiry_report_is_for_a_timer(team: Path, me: dict[str, str]) -> None:
    admins = team / ".blackbox/blackbox-admins.txt"
    admins.write_text(admins.read_text() + "nobody@example.org\n")
    rows = bb(team, me, "expiry", "--json", status=4).json
    assert [row["problem"] for row in rows] == [None, None, None, "has no key there"]


def test_how_files_stand(team: Path, me: dict[str, str]) -> None:
    first, second = sorted(plaintext_hashes(RELEASE))[:2]
    bb(team, me, "edit-start", "--", first, second)
    (team / second).write_bytes(b"changed by hand")
    states = {row["file"]: row["state"] for row in bb(team, me, "status", "--json").json}
    assert (states.pop(first), states.pop(second), set(states.values())) == ("decrypted", "changed", {"sealed"})


def test_shims_overwrite_nothing_that_is_not_theirs(place: Path, me: dict[str, str]) -> None:
    bb(place, me, "install-shims", "bin")
    bb(place, me, "install-shims", "bin")
    (place / "bin/blackbox_view").write_text("#!/bin/sh\n")
    before = {path: path.stat().st_mtime_ns for path in (place / "bin").iterdir()}
    assert "none of ours" in bb(place, me, "install-shims", "bin", status=1).stderr
    assert {path: path.stat().st_mtime_ns for path in (place / "bin").iterdir()} == before


def test_a_new_repository_approves_its_first_admin(place: Path, people: People, me: dict[str, str]) -> None:
    git(place, "init", "--quiet")
    bb(place, me, "initialize", "yes", "--commit")
    (place / "it").write_text("secret")
    done = bb(place, me, "register-new-file", "it", "--json").json
    assert done["recipients"] == [people["alice"].fingerprint]
    assert "nothing was done" in bb(place, me, "initialize").stderr


def test_a_team_has_its_own_list_admins_and_approvals(team: Path, people: People) -> None:
    bob = as_user(people["bob"])
    theirs = bob | {"BLACKBOXDATA": ".blackbox-web"}
    bb(team, theirs, "initialize", "--commit")
    (team / "web.key").write_text("secret")
    assert bb(team, theirs, "register-new-file", "web.key", "--json").json["recipients"] == [people["bob"].fingerprint]
    assert bb(team, theirs, "list-files").text == "web.key\n"
    assert "web.key" not in bb(team, bob, "list-files").stdout.decode().split("\n")
    assert [row["approved"] for row in bb(team, bob, "expiry", "--json").json] == [True, True, True]


class TestWithAStore:
    @pytest.fixture
    def store(self, repo: Path, me: dict[str, str]) -> Path:
        assert program("init", cwd=repo, env=me).status == 0
        return repo

    def test_its_header_is_the_list(self, store: Path, people: People, me: dict[str, str]) -> None:
        (store / "new").write_text("secret")
        done = bb(store, me, "register-new-file", "new", "--json").json
        assert done["recipients"] == [people["alice"].fingerprint]
        assert len(done["left_out"]) == 2
        assert "strongroom admin approve" in bb(store, me, "approve", people["bob"].fingerprint, status=5).stderr

    def test_a_planted_store_approves_nobody(
        self, place: Path, store: Path, people: People, me: dict[str, str]
    ) -> None:
        # Bob makes a store that opens for Alice too, and commits it into a repository that she knows without one.
        bob = as_user(people["bob"]) | {"STRONGROOM_STATE": str(place / "bobs")}
        other = clone(RELEASE, place / "planted")
        assert program("init", cwd=other, env=bob).status == 0
        assert program("admin", "approve", people["alice"].fingerprint, cwd=other, env=bob).status == 0
        (other / "new").write_text("secret")
        refused = program("blackbox", "register-new-file", "new", cwd=other, env=me)
        assert refused.status != 0
        assert "ForeignStore" in program("blackbox", "register-new-file", "new", "--json", cwd=other, env=me).stderr
        assert (other / "new").read_text() == "secret"

    def test_no_verb_writes_into_it(self, store: Path, me: dict[str, str]) -> None:
        (store / ".strongroom/new").write_text("secret")
        assert bb(store, me, "register-new-file", ".strongroom/new", status=1).stdout == b""
        assert not (store / ".strongroom/new.gpg").exists()


def test_an_admin_goes_by_the_address_that_came(team: Path, me: dict[str, str], gpg_homes: GpgHomes) -> None:
    bare = gpg_homes("zoe@example.org")  # a user id that is nothing but the address
    admins = team / ".blackbox/blackbox-admins.txt"
    before = admins.read_text()
    for listed_as, typed in (("zoe@example.org", "Zoe@example.org"), (bare.fingerprint, "zoe@example.org")):
        bb(team, me, "addadmin", "zoe@example.org", str(bare.home))
        assert "zoe@example.org" in admins.read_text().split()
        admins.write_text(admins.read_text().replace("zoe@example.org", listed_as))
        assert f"removed {listed_as}" in bb(team, me, "removeadmin", typed).stderr
        assert admins.read_text() == before


def test_a_script_commits_what_the_verbs_of_admins_staged(place: Path, people: People, me: dict[str, str]) -> None:
    git(place, "init", "--quiet")
    (place / "other").write_text("not staged")
    bb(place, me, "initialize", "yes")
    git(place, "commit", "--quiet", "-m", "INITIALIZE BLACKBOX", ".blackbox", ".gitignore")
    for verb in (("addadmin", "bob@example.org", str(people["bob"].home)), ("removeadmin", "bob@example.org")):
        bb(place, me, *verb)
        git(place, "commit", "--quiet", "-m", verb[0])
        assert staged(place) == b"?? other\n"
    (place / ".git/index.lock").touch()
    ran = bb(place, me, "addadmin", "bob@example.org", str(people["bob"].home))
    assert "done, and not staged" in ran.stderr


def test_a_shallow_clone_says_that_it_does_not_know_all(team: Path, me: dict[str, str]) -> None:
    git(team.parent, "clone", "--quiet", "--depth", "1", team.as_uri(), "shallow")
    for repo, warned in ((team, False), (team.parent / "shallow", True)):
        assert ("clone is shallow" in bb(repo, me, "exposed", "bob@example.org").stderr) is warned
        assert ("clone is shallow" in bb(repo, me, "removeadmin", "bob@example.org").stderr) is warned


@pytest.mark.parametrize("armor", [(), ("--armor",)])
@pytest.mark.parametrize("engine", ["gnupg", "sequoia"])
def test_a_machine_has_one_exported_key_and_nothing_else(
    repo: Path, people: People, engine: str, armor: tuple[str, ...]
) -> None:
    key = repo.parent / "deploy.key"
    key.write_bytes(people["deploy"].run(*armor, "--export-secret-keys").stdout)
    key.chmod(0o600)
    empty = repo.parent / "home"
    empty.mkdir(mode=0o700)
    machine = as_user(people["deploy"]) | {"GNUPGHOME": str(empty), "HOME": str(empty), "STRONGROOM_ENGINE": engine,
                                           "STRONGROOM_IDENTITY_FILE": str(key)}  # fmt: skip
    hashes = plaintext_hashes(RELEASE)
    bb(repo, machine, "postdeploy")
    assert plaintexts(repo) == hashes
    bb(repo, machine, "approve", people["alice"].fingerprint, people["deploy"].fingerprint)
    bb(repo, machine, "update-all-files")
    name = min(hashes)
    assert sha256(bb(repo, machine, "cat", "--", name).stdout) == hashes[name]
    assert subject(repo) == "Re-encrypted keys"
