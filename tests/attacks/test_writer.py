"""Whoever can write to the repository may stop us; he cannot have his bytes taken for ours, nor run a line of his."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.attacks.conftest import CANARY, KINDS, Made
from tests.keystore.scenes import Scene, repository
from tests.support.blackbox_fixtures import git
from tests.support.gpg import GpgHome

from strongroom.errors import (
    CannotOpenError,
    ForeignStoreError,
    FormatError,
    IntegrityError,
    NewerFormatError,
    NotFoundError,
    StaleError,
    StoreError,
    StrongroomError,
)
from strongroom.keystore.admins import list_admins
from strongroom.keystore.doctor import examine
from strongroom.keystore.facade import KeyStore
from strongroom.openpgp.packets import recipients_of


def record(scene: Scene, name: str) -> Path:
    return scene.directory / "keysets" / f"{name}.json"


def use_all(keystore: KeyStore, outputs: dict[str, bytes], password: bytes) -> None:
    """Everything opens to what it was, or this fails as an assertion; errors of ours pass through."""
    assert keystore.fernet("box").decrypt(outputs["box"]) == b"data"
    assert keystore.fernet("other-box").decrypt(outputs["other-box"]) == b"data"
    assert keystore.aead("columns").decrypt(outputs["columns"], b"ad") == b"data"
    keystore.mac("mac").verify(outputs["mac"], b"data")
    keystore.verifier("sign").verify(outputs["sign"], b"data")
    assert keystore.secret("password").reveal() == CANARY.encode()
    assert keystore.secret("django").reveal() == password


def refused(
    scene: Scene, made: Made, *, kinds: tuple[type[StrongroomError], ...] = (StrongroomError,)
) -> StrongroomError:
    """The store no longer opens whole, and what is raised is ours."""
    with pytest.raises(kinds) as caught, scene.open() as keystore:
        use_all(keystore, made.outputs, made.password)
    return caught.value


def offsets(length: int, *, samples: int) -> Iterator[int]:
    """The first bytes, the last ones, and some between."""
    yield from range(min(8, length))
    yield from range(8, length - 8, max(1, length // samples))
    yield from range(max(8, length - 8), length)


@pytest.mark.parametrize("name", [*KINDS, "password"])
def test_a_flipped_bit_in_a_record_is_never_another_key(attacked: Scene, made: Made, name: str) -> None:
    path = record(attacked, name)
    raw = path.read_bytes()
    with attacked.open() as keystore:
        for at in offsets(len(raw), samples=60):
            for bit in (0x01, 0x80) if at % 2 else (0x10, 0x02):
                path.write_bytes(raw[:at] + bytes([raw[at] ^ bit]) + raw[at + 1 :])
                with pytest.raises((FormatError, IntegrityError)) as caught:
                    keystore.sealed.load(name)
                assert name in str(caught.value), at
        path.write_bytes(raw)
        use_all(keystore, made.outputs, made.password)


def test_a_flipped_bit_in_the_header_opens_no_store(attacked: Scene, made: Made) -> None:
    path = attacked.directory / "store.json"
    raw = path.read_bytes()
    for at in offsets(len(raw), samples=50):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x01]) + raw[at + 1 :])
        refused(attacked, made, kinds=(FormatError, IntegrityError, ForeignStoreError, CannotOpenError, NotFoundError))
    path.write_bytes(raw)
    with attacked.open() as keystore:
        use_all(keystore, made.outputs, made.password)


def test_a_flipped_bit_in_the_root_file_never_opens_to_another_root(attacked: Scene, made: Made) -> None:
    path = attacked.directory / "root.1.gpg"
    raw = path.read_bytes()
    opened = 0
    for at in offsets(len(raw), samples=30):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 0x01]) + raw[at + 1 :])
        try:
            with attacked.open() as keystore:
                # gpg may find the key by another name, and then the message is whole: but it is still our root
                use_all(keystore, made.outputs, made.password)
                opened += 1
        except StrongroomError:
            continue
    assert opened < 20
    path.write_bytes(raw)
    with attacked.open() as keystore:
        use_all(keystore, made.outputs, made.password)


@pytest.mark.parametrize("cut", [0, 1, 0.5, 0.99])
@pytest.mark.parametrize("name", ["store.json", "root.1.gpg", "keysets/box.json"])
def test_what_is_cut_short_is_refused(attacked: Scene, made: Made, name: str, cut: float) -> None:
    path = attacked.directory / name
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * cut) if cut < 1 else 1])
    refused(attacked, made)
    path.write_bytes(raw + b"\n")
    if name != "root.1.gpg":
        refused(attacked, made, kinds=(FormatError, IntegrityError))


# --- moved about


def test_records_under_one_anothers_names_are_refused(attacked: Scene, made: Made) -> None:
    one, other = record(attacked, "box"), record(attacked, "other-box")
    raw, their = one.read_bytes(), other.read_bytes()
    one.write_bytes(their)
    other.write_bytes(raw)
    with attacked.open() as keystore:
        for name in ("box", "other-box"):
            with pytest.raises((FormatError, IntegrityError)):
                keystore.fernet(name)
    # with the name put right inside, the MAC is not
    one.write_bytes(their.replace(b'"other-box"', b'"box"'))
    with attacked.open() as keystore, pytest.raises(IntegrityError):
        keystore.fernet("box")


def test_a_record_under_a_new_name_is_refused(attacked: Scene) -> None:
    shutil.copy(record(attacked, "box"), record(attacked, "admin-box"))
    raw = record(attacked, "box").read_bytes().replace(b'"box"', b'"forged"')
    record(attacked, "forged").write_bytes(raw)
    with attacked.open() as keystore:
        for name in ("admin-box", "forged"):
            with pytest.raises((FormatError, IntegrityError)):
                keystore.fernet(name)
        with pytest.raises((FormatError, IntegrityError)):
            keystore.list()


def test_versions_that_change_places_are_refused(attacked: Scene) -> None:
    import json

    path = record(attacked, "other-box")
    document = json.loads(path.read_bytes())
    one, two = document["versions"]
    one["sealed"], two["sealed"] = two["sealed"], one["sealed"]
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    with attacked.open() as keystore, pytest.raises((IntegrityError, FormatError)):
        keystore.fernet("other-box")


EDITS: dict[str, Callable[[bytes], bytes]] = {
    "a state": lambda raw: raw.replace(b'"state": "active"', b'"state": "deactivated"', 1),
    "an unknown field": lambda raw: raw.replace(b'"name":', b'"extra": 1,\n  "name":', 1),
    "a field twice": lambda raw: raw.replace(b'"name":', b'"name": "x",\n  "name":', 1),
    "CRLF": lambda raw: raw.replace(b"\n", b"\r\n"),
    "tabs": lambda raw: raw.replace(b"  ", b"\t"),
    "no last line feed": lambda raw: raw.rstrip(b"\n"),
    "a space more": lambda raw: raw.replace(b": ", b":  ", 1),
    "a mark at its start": lambda raw: b"\xef\xbb\xbf" + raw,
    "conflict markers": lambda raw: b"<<<<<<< HEAD\n" + raw + b"=======\n" + raw + b">>>>>>> theirs\n",
    "another format": lambda raw: raw.replace(b"strongroom/1", b"strongroom/9", 1),
    "the next format, without its fields": lambda raw: raw.replace(b"strongroom/1", b"strongroom/2", 1),
    "no JSON": lambda raw: b"\x00" * 64,
    "nothing": lambda raw: b"",
    "deep nesting": lambda raw: b"[" * 100_000,
    "a huge number": lambda raw: raw.replace(b'"revision": 1', b'"revision": ' + b"9" * 5000, 1),
    "not UTF-8": lambda raw: raw.replace(b"box", b"b\xffx", 1),
    "oversize": lambda raw: raw + b" " * (2 << 20),
    "exportable": lambda raw: raw.replace(b'"exportable": false', b'"exportable": true', 1),
}


OF_RECORDS = (
    "the next format, without its fields",
    "a state",
    "not UTF-8",
    "exportable",
)  # a header has nothing to edit so


@pytest.mark.parametrize(
    ("name", "edit"),
    [("keysets/box.json", edit) for edit in EDITS] + [("store.json", edit) for edit in EDITS if edit not in OF_RECORDS],
)
def test_an_edited_file_is_refused(attacked: Scene, made: Made, name: str, edit: str) -> None:
    path = attacked.directory / name
    raw = path.read_bytes()
    edited = EDITS[edit](raw)
    assert edited != raw
    path.write_bytes(edited)
    error = refused(attacked, made, kinds=(FormatError, IntegrityError))
    if edit == "another format":
        assert isinstance(error, NewerFormatError)
        assert "format 9" in str(error)
    if edit == "conflict markers":
        assert "conflict" in f"{error} {error.hint}"


# --- rolled back


def test_an_older_record_reads_and_protects_nothing_until_it_is_accepted(attacked: Scene) -> None:
    path = record(attacked, "box")
    older = path.read_bytes()
    with attacked.open() as keystore:
        keystore.rotate("box", now=True)
        token = keystore.fernet("box").encrypt(b"old")
        newer = path.read_bytes()
        path.write_bytes(older)
    with attacked.open() as keystore:
        box = keystore.fernet("box")
        with pytest.raises(StaleError) as caught:
            box.encrypt(b"data")
        assert "witness accept box" in caught.value.hint
        for write in (lambda: keystore.rotate("box"), lambda: keystore.suspend("box", 1, reason="x")):
            with pytest.raises(StaleError):
                write()
        assert [row.name for row in keystore.witnessed().rows if row.differences] == ["box"]
        assert keystore.accept_witness("box") == ("box",)
        box.encrypt(b"data")
    with attacked.open() as keystore:
        keystore.fernet("box").encrypt(b"data")
    path.write_bytes(newer)
    with attacked.open() as keystore:
        assert keystore.fernet("box").decrypt(token) == b"old"


def test_a_rollback_does_not_bring_a_compromised_version_back(attacked: Scene, made: Made) -> None:
    path = record(attacked, "box")
    older = path.read_bytes()
    with attacked.open() as keystore:
        keystore.compromise("box", 1, reason="it was on a laptop")
    path.write_bytes(older)
    for _ in range(2):
        with attacked.open() as keystore:
            with pytest.raises(StrongroomError):
                keystore.fernet("box").decrypt(made.outputs["box"])
            with pytest.raises(StrongroomError):
                keystore.fernet("box").encrypt(b"data")
            assert keystore.fernet("box").decrypt(made.outputs["box"], compromised_too=True) == b"data"
            keystore.accept_witness()  # accepting lifts the staleness, and never this


def test_a_removed_record_is_not_created_anew_unnoticed(attacked: Scene) -> None:
    record(attacked, "box").unlink()
    with attacked.open() as keystore:
        with pytest.raises(NotFoundError) as caught:
            keystore.fernet("box")
        assert "was seen" in str(caught.value)
        with pytest.raises(StaleError):
            keystore.create("box", "fernet")
        assert keystore.accept_witness("box") == ("box",)
        keystore.create("box", "fernet")


# --- a root of his own


def test_a_foreign_root_sealed_to_an_admin_is_not_taken(
    attacked: Scene, made: Made, bob: GpgHome, tmp_path: Path
) -> None:
    """Mallory needs nobody's secret to encrypt to Alice."""
    evil = Scene(top=repository(tmp_path / "evil"), state=tmp_path / "evil-state", user=bob)
    evil.found()
    with evil.open() as keystore:
        keystore.create("box", "fernet")
    line = bob.decrypt((evil.directory / "root.1.gpg").read_bytes())
    mallory = attacked.user.encrypt(line, attacked.user.fingerprint)
    (attacked.directory / "root.1.gpg").write_bytes(mallory)
    refused(attacked, made, kinds=(ForeignStoreError, IntegrityError))
    shutil.copy(record(evil, "box"), record(attacked, "box"))
    refused(attacked, made, kinds=(ForeignStoreError, IntegrityError))


def test_a_record_of_another_store_is_not_taken(attacked: Scene, bob: GpgHome, tmp_path: Path) -> None:
    evil = Scene(top=repository(tmp_path / "evil"), state=tmp_path / "evil-state", user=bob)
    evil.found()
    with evil.open() as keystore:
        keystore.create("box", "fernet")
        keystore.create("new", "fernet")
    for name in ("box", "new"):
        shutil.copy(record(evil, name), record(attacked, name))
    with attacked.open() as keystore:
        for name in ("box", "new"):
            with pytest.raises(IntegrityError):
                keystore.fernet(name)


# --- hostile names and links


HOSTILE = (
    "..json", "-rf.json", "a b.json", "A.json", "con.json", "x.gpg.json", "x.lock.json", "\x1b[2J.json", "a\nb.json",
    "é.json", ".hidden.json", "x.json.json", "strongroom.issuer.json", "\udcff.json", "x" * 240 + ".json", "noending",
)  # fmt: skip


def test_hostile_names_among_the_records_are_seen_and_not_opened(attacked: Scene, made: Made) -> None:
    keysets = attacked.directory / "keysets"
    for name in HOSTILE:
        (keysets / name).write_bytes(b"{}")
    (keysets / "pipe.json").unlink(missing_ok=True)
    os.mkfifo(keysets / "pipe.json")
    (keysets / "directory.json").mkdir()
    (keysets / "deep").mkdir()
    (keysets / "deep" / "link").symlink_to("/etc")
    (keysets / "link.json").symlink_to("/etc/passwd")
    (keysets / "outside").symlink_to(attacked.top.parent, target_is_directory=True)
    with attacked.open() as keystore:
        names = keystore.names()
        use_all(keystore, made.outputs, made.password)
        assert set(names) >= set(KINDS)
        for odd in ("link", "outside/state", "../store", "/etc/passwd", "deep/link/passwd", "pipe", "directory"):
            with pytest.raises(StrongroomError):
                keystore.show(odd)
        keystore.create("new", "fernet")
    examination = examine(str(attacked.directory), environ=attacked.environ)
    shown = "\n".join(found.fact + found.hint + found.about for found in examination.findings)
    assert "\x1b" not in shown
    assert "\ndeep" not in shown


@pytest.mark.parametrize("name", ["store.json", "root.1.gpg", "keysets/box.json", "keysets"])
def test_a_link_in_the_store_is_not_followed(attacked: Scene, made: Made, tmp_path: Path, name: str) -> None:
    path = attacked.directory / name
    outside = tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    refused(attacked, made)


def test_a_write_through_a_link_touches_nothing_outside(attacked: Scene, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (attacked.directory / ".lock").unlink(missing_ok=True)
    (attacked.directory / ".lock").symlink_to(victim)
    (attacked.directory / "keysets" / "new.json").symlink_to(victim)
    (attacked.directory / "keysets" / "below").symlink_to(tmp_path, target_is_directory=True)
    with attacked.open() as keystore:
        for name in ("new", "below/new", "box2"):
            try:
                keystore.create(name, "fernet")
            except StrongroomError:
                continue
    assert victim.read_bytes() == b"precious"
    assert not list(tmp_path.glob("new.json"))


def test_a_fifo_in_place_of_a_file_does_not_hang(attacked: Scene, made: Made) -> None:
    for name in ("keysets/box.json", "root.1.gpg", "store.json"):
        path = attacked.directory / name
        path.unlink()
        os.mkfifo(path)
        refused(attacked, made)


def test_a_device_and_a_huge_file_are_refused_unread(attacked: Scene, made: Made) -> None:
    for name in ("keysets/box.json", "root.1.gpg", "store.json"):
        path = attacked.directory / name
        raw = path.read_bytes()
        with path.open("r+b") as file:
            file.truncate(8 << 30)  # a hole: it takes no room
        refused(attacked, made, kinds=(FormatError, StoreError, CannotOpenError))
        path.write_bytes(raw)


# --- code of his


def test_nothing_that_lies_in_the_repository_is_run(attacked: Scene, tmp_path: Path, bob: GpgHome) -> None:
    """gpg.conf, agent and pinentry programs, hooks, fsmonitor, filters, a bare repository: each would leave a mark."""
    marks = tmp_path / "marks"
    marks.mkdir()
    program = attacked.top / "evil"
    program.write_text(f'#!/bin/sh\ntouch "{marks}/$(basename "$0")-$$"\nexit 1\n')
    program.chmod(0o755)
    conf = (
        f"agent-program {program}\npinentry-program {program}\nencrypt-to {bob.fingerprint}\nphoto-viewer {program}\n"
    )
    for directory in (attacked.top, attacked.directory, attacked.top / ".blackbox", attacked.directory / "keysets"):
        for name in ("gpg.conf", "gpg-agent.conf", "common.conf", "scdaemon.conf"):
            (directory / name).write_text(conf)
        (directory / ".gnupg").mkdir()
        (directory / ".gnupg" / "gpg.conf").write_text(conf)
    for name in ("gpg", "gpg2", "git", "gpg-agent", "gpgconf", "sh"):
        shutil.copy(program, attacked.top / name)
    hooks = attacked.top / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("pre-commit", "post-checkout", "post-index-change", "fsmonitor-watchman", "reference-transaction"):
        shutil.copy(program, hooks / hook)
    git(attacked.top, "config", "core.fsmonitor", str(program))
    git(attacked.top, "config", "gpg.program", str(program))
    git(attacked.top, "config", "filter.evil.clean", str(program))
    git(attacked.top, "config", "filter.evil.smudge", str(program))
    git(attacked.top, "config", "diff.external", str(program))
    (attacked.top / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    bare = attacked.directory / "keysets" / "bare"
    bare.mkdir()
    (bare / "HEAD").write_text("ref: refs/heads/main\n")
    (bare / "config").write_text(f"[core]\nbare = false\nworktree = ..\nfsmonitor = {program}\n")
    for name in ("objects", "refs"):
        (bare / name).mkdir()
    (attacked.top / "sitecustomize.py").write_text(f"open({str(marks / 'python')!r}, 'w')\n")
    (attacked.top / "strongroom.toml").write_text('[keysets.declared]\ntype = "fernet"\n')
    for mark in marks.iterdir():  # the setting up itself ran git
        mark.unlink()
    before = Path.cwd()
    os.chdir(attacked.top)
    try:
        environ = {**attacked.environ, "PATH": f".:{attacked.environ['PATH']}:"}
        with attacked.open(environ=environ) as keystore:
            keystore.ensure()
            keystore.rotate("box", now=True)
            keystore.list()
            list_admins(keystore, environ=environ)
            keystore.create("deep/in/bare", "fernet")
        examine(environ=environ)
        refounded = Scene(top=attacked.top / "sub", state=attacked.state, user=attacked.user)
        refounded.top.mkdir()
        from strongroom.keystore.founding import found

        with pytest.raises(StrongroomError):
            found(environ=environ)
        from strongroom.blackbox.repository import Repository

        repository_here = Repository.discover(environ=environ)
        (attacked.top / "plain.txt").write_text("plaintext")
        repository_here.register("plain.txt", approved=[attacked.user.fingerprint], commit=False)
    finally:
        os.chdir(before)
    assert [mark.name for mark in marks.iterdir()] == []
    sealed = (attacked.top / "plain.txt.gpg").read_bytes()
    assert recipients_of(sealed) == (attacked.user.encryption_subkeys(attacked.user.fingerprint)[0][-16:],)
