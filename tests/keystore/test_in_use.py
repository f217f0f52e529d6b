"""Whoever keeps data under a keyset says what still depends on it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from strongroom.errors import NotFoundError, PolicyError, SettingsError
from strongroom.keystore.compromising import compromise
from strongroom.keystore.destruction import schedule
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.in_use import Use
from strongroom.keystore.in_use_naming import register_named
from strongroom.keystore.opening import open_memory
from strongroom.model.keyset import Keyset


class Shelf:
    """Something that keeps one item under each version."""

    def uses(self, keyset: Keyset) -> Sequence[Use]:
        return [Use(place="shelf", version=version.number, count=1) for version in keyset.versions]


def test_every_report_is_asked_once() -> None:
    shelf, other = Shelf(), Shelf()
    with open_memory() as keystore:
        keystore.create("box", "fernet")
        assert keystore.uses("box") == ()
        for report in (shelf, other, shelf):
            keystore.register_use(report)
        assert keystore.uses("box") == (Use(place="shelf", version=1, count=1),) * 2
        with pytest.raises(NotFoundError):
            keystore.uses("none")


SCHOOL = """
from strongroom.keystore.in_use import Use

class Rows:
    def uses(self, keyset):
        return [Use(place="school.Student", version=1, count=12), Use(place="school.Student", version=2, count=1)]

class Broken:
    def uses(self, keyset):
        raise RuntimeError("SELECT ssn: 123-45-6789")

def refusing():
    raise RuntimeError("no database")
"""


@pytest.fixture
def school(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that is installed, and offers to tell what is in use."""
    info = tmp_path / "school_of_tests-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: school-of-tests\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[strongroom.in_use]\nrows = school_of_tests:Rows\nbroken = school_of_tests:Broken\n"
        "refusing = school_of_tests:refusing\ngone = school_of_tests:nowhere\nnothing = school_of_tests:int\n"
    )
    (tmp_path / "school_of_tests.py").write_text(SCHOOL.replace("def refusing", "int = dict\n\ndef refusing"))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("school_of_tests", None)


@pytest.fixture
def two() -> KeyStore:
    keystore = open_memory()
    keystore.create("box", "fernet")
    keystore.rotate("box", now=True)
    return keystore


@pytest.mark.usefixtures("school")
def test_only_who_is_named_is_asked_and_nothing_loads_for_being_installed(two: KeyStore) -> None:
    register_named(two, {})
    assert not two.has_reports
    assert "school_of_tests" not in sys.modules
    for _ in range(2):
        register_named(two, {"STRONGROOM_IN_USE": "rows rows"})
    assert [(use.place, use.version, use.count) for use in two.uses("box")] == [
        ("school.Student", 1, 12),
        ("school.Student", 2, 1),
    ]


@pytest.mark.usefixtures("school")
@pytest.mark.parametrize("name", ["refusing", "gone", "nothing", "absent"])
def test_a_name_that_cannot_be_asked_is_told(two: KeyStore, name: str) -> None:
    with pytest.raises(SettingsError, match=f"'{name}'") as caught:
        register_named(two, {"STRONGROOM_IN_USE": name})
    assert "no database" not in str(caught.value)


@pytest.mark.usefixtures("school")
def test_who_marks_a_version_compromised_learns_what_it_protected(two: KeyStore) -> None:
    done = compromise(two, "box", 1, reason="leaked", environ={"STRONGROOM_IN_USE": "rows"})
    assert done.facts() == {"protected": [{"place": "school.Student", "version": 1, "count": 12}], "problem": None}
    assert "school.Student: 12 under version 1 of box" in done.sentences()[0]


@pytest.mark.usefixtures("school")
@pytest.mark.parametrize("named", ["broken", "absent"])
def test_a_version_is_marked_whoever_cannot_be_asked(two: KeyStore, named: str) -> None:
    done = compromise(two, "box", 1, reason="leaked", environ={"STRONGROOM_IN_USE": named})
    assert two.show("box").version(1).state.value == "compromised"
    assert done.facts()["protected"] is None
    assert named in done.problem
    assert "123-45" not in done.problem


@pytest.mark.usefixtures("school")
def test_who_is_named_keeps_a_version_from_its_end(two: KeyStore) -> None:
    with pytest.raises(PolicyError, match=r"version 1 in school\.Student \(12\)"):
        schedule(two, "box", 1, reason="old", environ={"STRONGROOM_IN_USE": "rows"})


def test_where_nobody_is_asked_that_is_said(two: KeyStore) -> None:
    done = compromise(two, "box", 1, reason="leaked", environ={})
    assert "nobody was asked" in done.sentences()[0]
    assert done.facts()["protected"] is None
