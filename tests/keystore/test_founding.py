"""`strongroom init`: what it makes, what it leaves alone, and that a failure leaves nothing. Real gpg and git."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.keystore.scenes import PASSPHRASE, Scene, files_below, standing_in
from tests.support.blackbox_fixtures import git, names_as_the_original_reads_them
from tests.support.gpg import GpgHome, GpgHomes

from strongroom.blackbox.repository import Repository
from strongroom.errors import (
    EngineMissingError,
    ExistsError,
    ExposedRootError,
    NoSecretKeyError,
    PassphraseError,
    RecipientError,
    SettingsError,
    StoreError,
    StrongroomError,
)
from strongroom.exitcodes import CANNOT_OPEN, USAGE, exit_code
from strongroom.keystore.admins import list_admins
from strongroom.keystore.doctor import examine
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store
from strongroom.openpgp.gnupg import GnuPG


def blackbox_of(scene: Scene, *people: GpgHome) -> Repository:
    """A BlackBox repository at the top, whose admins these people are."""
    made: Repository | None = None
    engine = GnuPG(environ=scene.environ)
    for person in people:
        [certificate] = engine.certificates(person.export(person.fingerprint))
        label = certificate.uids[0].partition("<")[2].rstrip(">")
        if made is None:
            made = Repository.create(
                scene.top, admin=certificate, label=label, commit=False, engine=engine, environ=scene.environ
            )
        else:
            made.add_admin(certificate, label=label, commit=False)
    assert made is not None
    return made


def test_init_makes_a_store_that_opens_and_a_blackbox_repository_where_there_was_none(scene: Scene) -> None:
    made = scene.found()
    assert made.directory == scene.directory
    assert made.made_blackbox
    assert made.in_git
    assert made.left_out == ()
    assert scene.user.fingerprint in made.approved[0]
    with scene.open() as keystore:
        assert keystore.pin == made.pin
        assert keystore.names() == ()
        assert keystore.notices == ()
        [row] = list_admins(keystore, environ=scene.environ)
    assert row.approved
    assert row.listed
    assert Repository.discover(scene.top).admins() == ("alice@example.org",)


def test_init_remembers_the_root_where_the_witness_is_kept(scene: Scene) -> None:
    environ = {**scene.environ, "STRONGROOM_WITNESS": str(scene.top.parent / "witnesses")}
    found(str(scene.directory), environ=environ)
    with open_store(scene.directory, strict=True, environ=environ) as keystore:
        assert keystore.notices == ()


def test_the_root_file_is_what_gpg_opens_and_no_root_is_on_the_disk(scene: Scene) -> None:
    scene.found()
    line = scene.user.decrypt((scene.directory / "root.1.gpg").read_bytes())
    assert line.startswith(b"strongroom/1 root ")
    assert line.endswith(b"\n")
    root = line.split()[-1]
    assert not any(root in raw for raw in scene.files().values())
    assert not (scene.directory / "root.1").exists()


def test_nothing_is_committed_and_what_is_to_add_is_told(scene: Scene) -> None:
    made = scene.found()
    assert git(scene.top, "log", "--all", "--oneline") == b""
    assert git(scene.top, "diff", "--cached", "--name-only") == b""
    told = "\n".join(made.told())
    assert f"git add {' '.join(made.to_add)}" in told
    git(scene.top, "add", "--", *made.to_add)
    assert b"??" not in git(scene.top, "status", "--porcelain", "--untracked-files=all")
    with scene.open() as keystore:
        keystore.create("box", "fernet")
    # the lock is ignored: what a write leaves for git is the record alone
    assert (
        git(scene.top, "status", "--porcelain", "-uall").decode().split("\n")[-2] == "?? .strongroom/keysets/box.json"
    )


def test_it_ends_with_the_next_three_commands(scene: Scene) -> None:
    lines = scene.found().told()
    after = lines[lines.index("next:") + 1 :]
    assert len(after) == 3
    assert all(line.split()[0] in {"strongroom", "git"} for line in after)


def test_without_git_it_works_and_says_so(tmp_path: Path, alice: GpgHome) -> None:
    place = tmp_path / "plain"
    place.mkdir()
    scene = Scene(top=place, state=tmp_path / "state", user=alice)
    made = scene.found()
    assert not made.in_git
    assert any("no git repository" in line for line in made.told())
    assert made.blackbox == place / ".blackbox"
    with scene.open() as keystore:
        keystore.create("box", "fernet")


def test_it_goes_to_the_top_of_the_work_tree(scene: Scene) -> None:
    below = scene.top / "app" / "deep"
    below.mkdir(parents=True)
    with standing_in(below):
        made = found(environ=scene.environ)
    assert made.directory == scene.top / ".strongroom"


def test_in_a_blackbox_repository_the_other_admins_are_left_out_and_named(
    scene: Scene, bob: GpgHome, carol: GpgHome
) -> None:
    blackbox_of(scene, scene.user, bob, carol)
    before = files_below(scene.top / ".blackbox")
    made = scene.found()
    assert not made.made_blackbox
    assert len(made.left_out) == 2
    told = "\n".join(made.told())
    for person in (bob, carol):
        assert person.fingerprint in told
        with pytest.raises(NoSecretKeyError):
            scene.open(environ=scene.environ_of(person))
    assert files_below(scene.top / ".blackbox") == before
    scene.open().close()


def test_of_several_secret_keys_one_must_be_named(scene: Scene, gpg_homes: GpgHomes) -> None:
    scene.user = gpg_homes("Grace <grace@example.org>")
    second = scene.user.generate("Grace at work <grace@work.example>")
    signing = scene.user.generate("Grace signs <grace@sign.example>", kind="sign-only")
    before = scene.files()
    with pytest.raises(SettingsError) as caught:
        scene.found()
    assert exit_code(caught.value) == USAGE
    assert "--recipient" in caught.value.hint
    for told in ("grace@example.org", "grace@work.example", second, scene.user.fingerprint):
        assert told in str(caught.value)
    assert "sign.example" not in str(caught.value)
    for refused in (signing, "grace@example.org", second[-16:], "0" * 40):
        with pytest.raises((RecipientError, NoSecretKeyError, SettingsError)):
            scene.found(recipient=refused)
    assert scene.files() == before
    made = scene.found(recipient=" ".join(second[at : at + 4] for at in range(0, 40, 4)).lower())
    assert second in made.approved[0]
    scene.open().close()


def test_of_several_secret_keys_the_one_that_blackbox_lists_is_meant(scene: Scene, gpg_homes: GpgHomes) -> None:
    scene.user = gpg_homes("Heidi <heidi@example.org>")
    scene.user.generate("Heidi at home <heidi@home.example>")
    engine = GnuPG(environ=scene.environ)
    certificate = engine.certificate(scene.user.fingerprint)
    Repository.create(
        scene.top, admin=certificate, label="heidi@example.org", commit=False, engine=engine, environ=scene.environ
    )
    assert scene.user.fingerprint in scene.found().approved[0]


def test_without_a_key_it_stops_with_two_commands_that_help(scene: Scene, gpg_homes: GpgHomes) -> None:
    nobody = gpg_homes()
    for environ in (scene.environ_of(nobody), scene.bare(HOME="/nonexistent"), scene.bare(GPG="/nonexistent/gpg")):
        with pytest.raises((NoSecretKeyError, EngineMissingError)) as caught:
            scene.found(environ=environ)
        assert exit_code(caught.value) == CANNOT_OPEN
        assert "init --passphrase" in caught.value.hint
        assert "role create" in caught.value.hint
    assert scene.files() == {}
    assert not list(nobody.home.glob("private-keys-v1.d/*"))  # no key was made unasked


def test_an_expired_key_is_no_key(scene: Scene, gpg_homes: GpgHomes) -> None:
    scene.user = gpg_homes()
    fingerprint = scene.user.generate("Ivan <ivan@example.org>", expires="1d", faked_time="20200101T000000")
    with pytest.raises(NoSecretKeyError) as caught:
        scene.found()
    assert "expired" in str(caught.value)
    with pytest.raises((RecipientError, NoSecretKeyError)) as caught:
        scene.found(recipient=fingerprint)
    assert "expired" in str(caught.value)
    assert scene.files() == {}


def test_a_store_that_is_there_is_refused(store: Scene) -> None:
    before = store.files()
    for options in ({}, {"passphrase": PASSPHRASE}, {"development": True}):
        with pytest.raises(ExistsError):
            store.found(**options)
    assert store.files() == before


def test_a_directory_with_something_in_it_is_refused(scene: Scene) -> None:
    scene.directory.mkdir()
    (scene.directory / "notes.txt").write_text("mine")
    with pytest.raises(ExistsError):
        scene.found()
    assert scene.files() == {".strongroom/notes.txt": b"mine"}


@pytest.mark.parametrize("place", ["missing/deep", "file/below", "file", "x" * 300, "a\0b", "/proc/strongroom"])
def test_a_place_that_cannot_be_is_told(scene: Scene, place: str) -> None:
    (scene.top / "file").write_text("in the way")
    with pytest.raises(StrongroomError):
        found(scene.top / place, environ=scene.environ)
    assert scene.files() == {"file": b"in the way"}


def test_an_empty_directory_may_be_a_link_to_a_place_outside(scene: Scene, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    scene.directory.symlink_to(outside)
    with pytest.raises(SettingsError):
        scene.found(register=True)
    assert list(outside.iterdir()) == []
    scene.found()
    scene.open().close()


# --- a passphrase, development


def test_a_passphrase_needs_no_gpg(scene: Scene) -> None:
    made = scene.found(passphrase=PASSPHRASE, environ=scene.bare(GPG="/nonexistent/gpg"))
    assert made.approved == ()
    assert made.blackbox is None
    assert not (scene.top / ".blackbox").exists()
    scene.open(passphrase=PASSPHRASE, environ=scene.bare(GPG="/nonexistent/gpg")).close()
    assert not any(PASSPHRASE.encode() in raw for raw in scene.files().values())


@pytest.mark.parametrize("weak", ["", "short", "aaaaaaaaaaaaaaaaaaaaaaaa", "x" * 2000])
def test_a_passphrase_that_can_be_guessed_is_refused(scene: Scene, weak: str) -> None:
    with pytest.raises(PassphraseError):
        scene.found(passphrase=weak)
    assert scene.files() == {}


def test_options_that_do_not_go_together_are_refused(scene: Scene) -> None:
    for options in (
        {"development": True, "passphrase": PASSPHRASE},
        {"development": True, "register": True},
        {"passphrase": PASSPHRASE, "register": True},
        {"passphrase": PASSPHRASE, "recipient": scene.user.fingerprint},
    ):
        with pytest.raises(SettingsError):
            scene.found(**options)
    assert scene.files() == {}


def test_a_development_store_says_what_it_is(scene: Scene) -> None:
    made = scene.found(development=True)
    assert made.development
    assert any("root is public" in line for line in made.told())
    with scene.open(environ=scene.bare(STRONGROOM_DEVELOPMENT="1")) as keystore:
        keystore.create("box", "fernet")


# --- failing midway


def test_when_encrypting_fails_nothing_is_there(scene: Scene, tmp_path: Path) -> None:
    """gpg that lists keys, and fails to encrypt."""
    fails = tmp_path / "gpg"
    fails.write_text(f'#!/bin/sh\ncase "$*" in *--encrypt*) exit 2;; esac\nexec {shutil.which("gpg")} "$@"\n')
    fails.chmod(0o755)
    with pytest.raises(StrongroomError):
        scene.found(environ={**scene.environ, "GPG": str(fails)})
    assert scene.files() == {}
    assert sorted(path.name for path in scene.top.iterdir()) == [".git"]
    scene.found()


def test_when_the_store_cannot_be_written_no_blackbox_repository_is_left(scene: Scene, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    scene.directory.symlink_to(gone)  # leads nowhere: it is neither there nor can it be made
    with pytest.raises(StrongroomError):
        scene.found()
    assert sorted(path.name for path in scene.top.iterdir()) == [".git", ".strongroom"]


def test_when_the_blackbox_repository_cannot_be_made_no_store_is_left(scene: Scene) -> None:
    (scene.top / ".gitignore").mkdir()
    with pytest.raises(StrongroomError):
        scene.found()
    assert sorted(path.name for path in scene.top.iterdir()) == [".git", ".gitignore"]


def test_when_registering_fails_neither_is_left(scene: Scene) -> None:
    blackbox_of(scene, scene.user)
    (scene.top / ".blackbox" / "blackbox-files.txt").write_bytes(b".strongroom/root.1\n")
    before = scene.files()
    with pytest.raises(StrongroomError):
        scene.found(register=True)
    assert scene.files() == before
    assert not scene.directory.exists()


@pytest.mark.machine
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_in_a_directory_without_permission_nothing_is_made(tmp_path: Path) -> None:
    place = tmp_path / "theirs"
    place.mkdir(mode=0o755)
    for above in (tmp_path, *tmp_path.parents):
        if above != Path("/"):
            above.chmod(above.stat().st_mode | 0o055)
    script = """
import sys
from strongroom.errors import StrongroomError
from strongroom.keystore.founding import found
try:
    found(sys.argv[1] + "/.strongroom", passphrase="violet anchor 42 drums", environ={})
except StrongroomError as error:
    print(type(error).__name__)
"""
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
         sys.executable, "-c", script, str(place)],
        capture_output=True, text=True, check=False, cwd="/", timeout=60,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, StoreError.__name__), done.stderr
    assert list(place.iterdir()) == []


# --- --register


def original_postdeploy(scene: Scene) -> list[Path]:
    """What blackbox_postdeploy does: each registered file is decrypted beside its .gpg."""
    written = []
    for name in names_as_the_original_reads_them(scene.top, ".blackbox"):
        plain = scene.top / name
        scene.user.run("--yes", "--output", str(plain), "--decrypt", str(scene.top / f"{name}.gpg"))
        written.append(plain)
    return written


def test_by_default_the_original_scripts_never_write_a_root(scene: Scene) -> None:
    scene.found()
    assert original_postdeploy(scene) == []


def test_register_puts_the_root_on_blackboxs_list_and_is_borne(scene: Scene) -> None:
    made = scene.found(register=True)
    assert Repository.discover(scene.top).files() == (".strongroom/root.1",)
    git(scene.top, "add", "--", *made.to_add)
    assert b"??" not in git(scene.top, "status", "--porcelain", "--untracked-files=all")
    [plain] = original_postdeploy(scene)
    assert plain.read_bytes().startswith(b"strongroom/1 root ")
    assert b"root.1\n" not in git(scene.top, "status", "--porcelain", "--untracked-files=all")  # git never takes it
    with scene.open() as keystore:  # the team asked for it: a warning
        keystore.create("box", "fernet")
        assert any("root.1" in notice or "in the clear" in notice for notice in keystore.notices)
    examination = examine(str(scene.directory), environ=scene.environ)
    assert any(found.level == "warning" and "in the clear" in found.fact for found in examination.findings)


def test_an_open_root_that_nobody_asked_for_stops_writing(scene: Scene) -> None:
    scene.found()
    with scene.open() as keystore:
        keystore.create("box", "fernet")
        token = keystore.fernet("box").encrypt(b"data")
    (scene.directory / "root.1").write_bytes(scene.user.decrypt((scene.directory / "root.1.gpg").read_bytes()))
    with open_store(scene.top, environ=scene.environ) as keystore:
        assert keystore.fernet("box").decrypt(token) == b"data"
        with pytest.raises(ExposedRootError):
            keystore.fernet("box").encrypt(b"data")
        with pytest.raises(ExposedRootError):
            keystore.rotate("box")
        with pytest.raises(ExposedRootError):
            keystore.create("other", "fernet")
