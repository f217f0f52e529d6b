"""`strongroom doctor`: each bad situation is a finding with a way on, and the examination changes nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from tests.keystore.scenes import PASSPHRASE, Scene, standing_in
from tests.keystore.test_opening import with_passphrase
from tests.support.gpg import GpgHome, GpgHomes

from strongroom.cli.front import main
from strongroom.keystore.credentials import Given
from strongroom.keystore.doctor import Examination, Finding, examine
from strongroom.keystore.founding import found


def shown(examination: Examination) -> str:
    return "\n".join(f"{each.level} {each.about}: {each.fact} -> {each.hint}" for each in examination.findings)


def problems(examination: Examination) -> list[Finding]:
    return [each for each in examination.findings if each.level == "problem"]


def commands() -> set[str]:
    """Every verb of the command line, like `admin approve`."""
    from strongroom.cli import main as module

    [group] = [each for each in vars(module).values() if isinstance(each, click.Group)][:1]
    context = click.Context(group)
    known = set()
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        known.add(name)
        if isinstance(command, click.Group):
            known |= {f"{name} {below}" for below in command.list_commands(context)}
    return known


def test_hints_name_commands_that_exist(store: Scene, bob: GpgHome) -> None:
    assert main is not None
    known = commands()
    situations = [
        examine(str(store.directory), environ=store.environ),
        examine(str(store.directory), environ=store.environ_of(bob)),
        examine(str(store.top / "nowhere"), environ=store.environ),
        examine(str(store.directory), environ=store.bare(GPG="/nonexistent", HOME="/nonexistent")),
        examine(str(store.directory), pin="x", environ=store.environ),
    ]
    for examination in situations:
        for finding in examination.findings:
            for word in re.findall(r"strongroom ([a-z][a-z-]+)", finding.hint):
                assert word in known, finding


def test_a_store_that_opens_is_healthy_and_unchanged(store: Scene) -> None:
    before = store.files()
    examination = examine(str(store.directory), environ=store.environ)
    assert examination.opens
    assert examination.healthy
    assert problems(examination) == []
    assert store.files() == before
    assert examine(str(store.top), environ=store.environ).findings[1].about == "openpgp"  # the directory above, too
    with standing_in(store.top):
        assert examine(environ=store.environ).healthy


def spoil_record(store: Scene) -> None:
    with store.open() as keystore:
        keystore.create("box", "fernet")
    path = store.directory / "keysets" / "box.json"
    path.write_bytes(path.read_bytes().replace(b"active", b"passive", 1))


def roll_back(store: Scene) -> None:
    with store.open() as keystore:
        keystore.create("box", "fernet")
        older = (store.directory / "keysets" / "box.json").read_bytes()
        keystore.rotate("box", now=True)
    (store.directory / "keysets" / "box.json").write_bytes(older)


def expose(store: Scene) -> None:
    with store.open() as keystore:
        keystore.create("box", "fernet")
    (store.directory / "root.1").write_bytes(b"strongroom/1 root")


@pytest.mark.parametrize(
    ("spoil", "opens", "wanted"),
    [
        (spoil_record, True, "box"),
        (roll_back, True, "witness accept box"),
        (expose, True, "in the clear"),
        (lambda store: (store.directory / "store.json").unlink(), False, "no store"),
        (lambda store: (store.directory / "store.json").write_bytes(b"<<<<<<< HEAD\n"), False, "header"),
        (lambda store: (store.directory / "root.1.gpg").unlink(), False, "root.1.gpg"),
        (lambda store: (store.directory / "root.1.gpg").write_bytes(b"\0" * 400), False, "openpgp"),
    ],
    ids=["a spoilt record", "a rollback", "an open root", "no header", "a conflict", "no root file", "a spoilt one"],
)
def test_what_is_wrong_is_found(store: Scene, spoil: Callable[[Scene], object], opens: bool, wanted: str) -> None:
    spoil(store)
    examination = examine(str(store.directory), environ=store.environ)
    assert examination.opens is opens, shown(examination)
    assert not examination.healthy
    assert problems(examination)
    assert wanted in shown(examination)


def test_who_cannot_open_learns_what_each_slot_wants(store: Scene, bob: GpgHome) -> None:
    examination = examine(str(store.directory), environ=store.environ_of(bob))
    assert not examination.opens
    assert any(each.about == "openpgp" and each.level == "note" and each.hint for each in examination.findings)
    nothing = examine(str(store.directory), environ=store.bare(GPG="/nonexistent", HOME="/nonexistent"))
    assert not nothing.opens
    assert "gpg" in shown(nothing)


def test_a_hung_agent_is_told(scene: Scene, gpg_homes: GpgHomes) -> None:
    scene.user = gpg_homes("Mallet <mallet@example.org>")
    scene.found()
    from strongroom.openpgp.gnupg import GnuPG

    with scene.user.hung_agent():
        given = Given(engine=GnuPG(environ=scene.environ, timeout=1))
        examination = examine(str(scene.directory), given=given, environ=scene.bare(HOME="/nonexistent"))
    assert not examination.opens
    assert "agent" in shown(examination)


def test_a_descriptor_is_read_once_and_a_person_asked_once(store: Scene) -> None:
    with_passphrase(store)
    environ = store.bare(GPG="/nonexistent", HOME="/nonexistent")
    place = str(store.directory)
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE.encode())
    os.close(writing)
    examination = examine(place, given=Given(passphrase_fd=reading), environ=environ)
    os.close(reading)
    assert examination.opens, shown(examination)
    asked: list[str] = []

    def ask() -> str:
        asked.append("asked")
        return PASSPHRASE

    assert examine(place, given=Given(ask=ask), environ=environ).healthy  # and no gpg is no problem
    assert asked == ["asked"]
    wrong = examine(place, given=Given(ask=lambda: "not the right words"), environ=environ)
    assert not wrong.opens
    assert "passphrase" in shown(wrong)


def test_a_development_store_and_a_first_opening_are_warnings(store: Scene, tmp_path: Path) -> None:
    elsewhere = {**store.environ, "STRONGROOM_STATE": str(tmp_path / "elsewhere")}
    examination = examine(str(store.directory), environ=elsewhere)
    assert any(each.level == "warning" and each.about == "trust" for each in examination.findings)
    place = tmp_path / "development"
    found(place, development=True, environ=store.bare())
    examination = examine(str(place), environ=store.bare(STRONGROOM_DEVELOPMENT="1"))
    assert examination.opens
    assert any(each.level == "warning" and "root" in each.fact for each in examination.findings)


@pytest.mark.parametrize("location", ["memory:", "nonsense:x", "a\0b", "x" * 300, "/dev/null", "memory:?x"])
def test_any_location_is_answered_with_findings(location: str, tmp_path: Path) -> None:
    examination = examine(location, environ={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert examination.opens is (location == "memory:")
    assert examination.findings


def test_where_the_working_directory_is_gone_it_says_so(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with standing_in(gone):
        gone.rmdir()
        examination = examine(environ={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert not examination.opens
    assert problems(examination)


def test_a_bad_passphrase_file_or_identity_is_a_finding(store: Scene, tmp_path: Path) -> None:
    for given in (Given(identity=tmp_path / "none"), Given(passphrase_fd=9999), Given(identity_text="{}")):
        examination = examine(str(store.directory), given=given, environ=store.bare())
        assert not examination.opens
        assert problems(examination)


def test_what_hinders_every_keyset_is_told_once(scene: Scene) -> None:
    scene.found()
    with scene.open() as keystore:
        for name in ("one", "two", "three"):
            keystore.create(name, "fernet")
    (scene.directory / "root.1").write_bytes(scene.user.decrypt((scene.directory / "root.1.gpg").read_bytes()))
    told = problems(examine(str(scene.directory), environ=scene.environ))
    assert len({each.fact for each in told}) == len(told)
    assert [each.about for each in told if each.about.endswith("keysets")] == ["3 keysets"]
