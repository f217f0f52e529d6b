"""BlackBox's files as bytes: read from every age of repository, written as the original writes them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.blackbox import layout
from strongroom.errors import BlackBoxError, FormatError, PathError
from tests.support.blackbox_fixtures import DATA, REPOSITORIES, clone

LINES = st.lists(st.binary(min_size=1, max_size=12).filter(lambda raw: not set(raw) & set(b"\n\r\0") and raw.strip()))


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (b"", ()),
        (b"a\nb\n", (b"a", b"b")),
        (b"b\na\n", (b"b", b"a")),
        (b"a\nb", (b"a", b"b")),
        (b"a\r\nb\r\n", (b"a", b"b")),
        (b"a\r\nb", (b"a", b"b")),
        (b"\na\n\n \nb\n\n", (b"a", b"b")),
        (b" a\n", (b" a",)),
        (b"a \n", (b"a ",)),
        (b"a\x0bb\x0cc\x1cd\xc2\x85e\xe2\x80\xa8f\n", (b"a\x0bb\x0cc\x1cd\xc2\x85e\xe2\x80\xa8f",)),
    ],
)
def test_lists_of_every_age_are_read(raw: bytes, lines: tuple[bytes, ...]) -> None:
    assert layout.parse_lines(raw, what="list") == lines


def test_an_unfinished_merge_is_refused_by_name() -> None:
    raw = b"a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> other\n"
    with pytest.raises(BlackBoxError, match="'the-list' holds the conflict markers"):
        layout.parse_lines(raw, what="the-list")


def test_a_list_of_absurd_size_is_refused() -> None:
    with pytest.raises(FormatError, match="the limit is"):
        layout.parse_lines(b"a" * (layout.MAX_LIST + 1), what="list")


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_the_originals_own_lists_are_written_byte_for_byte(repository: str, tmp_path: Path) -> None:
    data = clone(repository, tmp_path / "r") / DATA[repository]
    for name, write in ((layout.FILES, layout.format_files), (layout.ADMINS, layout.format_admins)):
        raw = (data / name).read_bytes()
        first, *others = layout.parse_lines(raw, what=name)
        assert write(tuple(reversed(others)), first) == raw


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_the_originals_own_ignore_lines_are_written_byte_for_byte(repository: str, tmp_path: Path) -> None:
    root = clone(repository, tmp_path / "r")
    wanted = (root / ".gitignore").read_bytes().split(b"\n")[:-1]
    files = layout.parse_lines((root / DATA[repository] / layout.FILES).read_bytes(), what="files")
    ours = [*layout.data_ignore_lines(DATA[repository]), *(layout.ignore_line(os.fsdecode(name)) for name in files)]
    assert sorted(ours) == sorted(wanted)
    assert (root / DATA[repository] / ".gitattributes").read_bytes() == layout.with_lines(b"", *layout.ATTRIBUTE_LINES)


@given(LINES, st.binary(min_size=1, max_size=12).filter(lambda raw: not set(raw) & set(b"\n\r\0") and raw.strip()))
def test_files_are_ordered_as_sort_orders_them(lines: list[bytes], added: bytes) -> None:
    assert layout.format_files(tuple(lines), added) == _sort("-u", [*lines, added])


@given(LINES, st.binary(min_size=1, max_size=12).filter(lambda raw: not set(raw) & set(b"\n\r\0") and raw.strip()))
def test_admins_are_ordered_as_sort_orders_them_and_none_is_dropped(lines: list[bytes], added: bytes) -> None:
    distinct = list(dict.fromkeys([*lines, added]))
    assert layout.format_admins(tuple(lines), added) == _sort("-fd", distinct)


def test_admins_whom_the_original_takes_for_one_all_stay() -> None:
    lines = (b"al.ice@x", b"A@x", b"b-1@x", b"b1@x")
    raw = layout.format_admins((*lines, b"alice@x"), b"a@x")
    assert set(raw.split(b"\n")[:-1]) == {*lines, b"alice@x", b"a@x"}
    assert len(_sort("-fdu", raw.split(b"\n")[:-1]).split(b"\n")[:-1]) == 3, "the original's own rule drops three"


def _sort(how: str, lines: list[bytes]) -> bytes:
    raw = b"".join(line + b"\n" for line in lines)
    return subprocess.run(["sort", how], input=raw, env={"LC_ALL": "C"}, capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("plain.txt", b"/plain.txt"),
        ("!bang", b"/!bang"),
        ("#hash", b"/#hash"),
        ("st*r?", b"/st\\*r\\?"),
        ("back\\slash", b"/back\\\\slash"),
        ("[ab].txt", b"/\\[ab].txt"),
        ("trail  ", b"/trail\\ \\ "),
        ("x$/y.txt", b"/x$/y.txt"),
        (" in ner", b"/ in ner"),
        ("schl\u00fcssel", "/schl\u00fcssel".encode()),
        ("\udcff", b"/\xff"),
    ],
)
def test_ignore_lines_take_every_name_literally(name: str, line: bytes) -> None:
    assert layout.ignore_line(name) == line


def test_lines_are_added_once_and_never_glued_to_the_last_one() -> None:
    assert layout.with_lines(b"*.pyc", b"/a", b"/b") == b"*.pyc\n/a\n/b\n"
    assert layout.with_lines(b"/a\r\n*.pyc\r\n", b"/a", b"/b") == b"/a\r\n*.pyc\r\n/b\n"
    assert layout.with_lines(b"/a\n", b"/a") == b"/a\n"


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("a", "a"),
        ("./a", "a"),
        ("a//b", "a/b"),
        ("a/./b", "a/b"),
        ("-dash", "-dash"),
        ("..a/b..", "..a/b.."),
        ("tab\there", "tab\there"),
        (" ", " "),
    ],
)
def test_names_are_relative_and_literal(typed: str, name: str) -> None:
    assert layout.parse_name(typed) == name


@pytest.mark.parametrize(
    "typed",
    [
        *("", ".", "./", "a/", "a/.", "/etc/passwd", "..", "../a", "a/../b", "a/..", "a\0b", "a\nb", "a\r"),
        *(".git/config", "sub/.GIT/hooks/post-commit"),
    ],
)
def test_names_that_leave_the_root_or_cannot_be_listed_are_refused(typed: str) -> None:
    with pytest.raises(PathError):
        layout.parse_name(typed)
