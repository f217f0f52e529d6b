"""The README and the docs tell the truth: their blocks run, or say why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import docs_runner
from tests.support.docs_runner import DocumentError

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *(pytest.param(page, marks=pytest.mark.page) for page in sorted((ROOT / "docs").rglob("*.md"))),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_the_page_runs_as_it_says(page: Path) -> None:
    docs_runner.run_page(str(page.relative_to(ROOT)), page.read_text())


def run(*lines: str) -> int:
    return docs_runner.run_page("page.md", "\n".join(lines) + "\n")


def test_the_blocks_of_a_page_share_one_shell_with_a_gnupg_user() -> None:
    assert (
        run(
            "<!-- run -->", "```console", "$ mkdir here && cd here", "$ export COLOUR=blue", "```",
            "<!-- file: here/shades.py -->", "```python", "SHADE = 'dark'", "```",
            "<!-- run -->", "```python", "import os, shades", "assert os.environ['COLOUR'] == 'blue'", "```",
            "<!-- run -->", "", "```console",
            "$ echo $SHADE $COLOUR", "blue",
            "$ printf 'one\\ntwo\\nthree\\n'", "one", "...",
            "$ gpg --list-secret-keys --with-colons | cut -d: -f10", "...", "Alice ...", "...", "```",
        )
        == 3
    )  # fmt: skip


@pytest.mark.parametrize("language", ["console", "python"])
def test_a_block_with_no_mark_is_an_error(language: str) -> None:
    with pytest.raises(DocumentError, match=r"page\.md:3: .* with no mark"):
        run("text", "", f"```{language}", "$ true", "```")


@pytest.mark.parametrize("mark", ["<!-- not run -->", "<!-- file -->", "<!-- run: twice -->"])
def test_a_mark_that_says_too_little_is_an_error(mark: str) -> None:
    with pytest.raises(DocumentError, match=r"page\.md:2: "):
        run(mark, "```console", "$ true", "```")


def test_a_mark_binds_only_the_block_right_under_it() -> None:
    with pytest.raises(DocumentError, match="with no mark"):
        run("<!-- run -->", "a word between", "```console", "$ true", "```")


def test_a_command_that_fails_is_an_error() -> None:
    with pytest.raises(DocumentError, match="exited 7, not 0"):
        run("<!-- run -->", "```console", "$ (exit 7)", "```")


def test_a_failure_that_the_page_announces_must_happen() -> None:
    assert run("<!-- run: exit 3 -->", "```console", "$ true", "$ (exit 3)", "```") == 1
    with pytest.raises(DocumentError, match="exited 0, not 3"):
        run("<!-- run: exit 3 -->", "```console", "$ true", "```")


def test_a_python_program_that_fails_is_an_error() -> None:
    with pytest.raises(DocumentError, match="AssertionError"):
        run("<!-- run -->", "```python", "assert 1 == 2", "```")


def test_output_that_differs_from_the_page_is_an_error() -> None:
    with pytest.raises(DocumentError, match="it printed:\ntwo"):
        run("<!-- run -->", "```console", "$ echo two", "one", "```")


def test_a_command_that_ends_the_shell_is_an_error() -> None:
    with pytest.raises(DocumentError, match="ended the shell"):
        run("<!-- run -->", "```console", "$ exit 0", "```")


def test_a_block_with_no_end_is_an_error() -> None:
    with pytest.raises(DocumentError, match="no end"):
        run("<!-- run -->", "```console", "$ true")


def test_dots_stand_for_lines_and_for_characters() -> None:
    assert docs_runner.agrees(("a...z", "...", "end"), "a to z\nx\ny\nend\n")
    assert docs_runner.agrees(("...",), "")
    assert not docs_runner.agrees(("a...z",), "a\nz\n")
    assert not docs_runner.agrees(("one",), "one\ntwo\n")
    assert not docs_runner.agrees(("1.5",), "1x5\n")
