"""The laws of the house that a program can hold: about every tracked file, and about the source."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import strongroom
from strongroom import errors

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LONGEST = 330
UNTRACKED = {".git", "build", "dist", "__pycache__"}


def tracked() -> list[Path]:
    """The files of the project: git's list, or all of them in an unpacked archive."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
        paths = [ROOT / name for name in listed.decode().split("\0") if name]
        return [path for path in paths if path.is_file()]
    found = (path for path in ROOT.rglob("*") if path.is_file())
    return [path for path in found if not any(part in UNTRACKED or part.startswith(".venv") for part in path.parts)]


FILES = tracked()
SOURCE = [path for path in FILES if path.suffix == ".py" and path.is_relative_to(ROOT / "src")]
PYTHON = [path for path in FILES if path.suffix == ".py" and path.stat().st_size]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


every_source = pytest.mark.parametrize("path", SOURCE, ids=name)
every_python = pytest.mark.parametrize("path", PYTHON, ids=name)


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(), filename=name(path)))


def imported(path: Path) -> Iterator[str]:
    """The full names of what a file imports: modules, and names taken from modules."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# Joined here, so that this file does not hold what it forbids.
def joined(*parts: tuple[str, str]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(left + right) for left, right in parts))


# An absolute path of somebody's own machine.
BUILDERS_PATHS = joined(("/ro", "ot/.py"), ("/Us", "ers/"))
REGISTRIES = joined(
    ("pypi", ".org"), ("python", "hosted.org"), ("registry", ".npmjs"), ("npmjs", ".com"), ("deb", ".debian.org"),
    ("security", ".debian.org"), ("crates", ".io"), ("rubygems", ".org"), ("proxy", ".golang.org"),
)  # fmt: skip


def test_no_tracked_file_names_a_place_of_its_builders_or_a_package_registry() -> None:
    found = [
        f"{name(path)}: {match[0]!r}"
        for path in FILES
        for pattern in (BUILDERS_PATHS, REGISTRIES)
        for match in pattern.finditer(path.read_bytes().decode(errors="replace"))
    ]
    assert found == []


@every_python
def test_a_file_says_which_room_it_is_on_its_first_line(path: Path) -> None:
    lines = path.read_text().splitlines() or [""]
    first = lines[1] if lines[0].startswith("#!") else lines[0]
    assert re.fullmatch(r'r?"""[^\s"].{10,}', first), f"{name(path)} begins with {first!r}"


@every_source
def test_a_source_file_holds_one_idea(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST, f"{name(path)} has {lines} lines: two ideas that want two names?"


FORBIDDEN_IMPORTS = {
    "random": "is no source of keys: secrets or os.urandom",
    "uuid.uuid1": "tells the machine and the time",
    "pickle": "runs what it reads",
    "marshal": "runs what it reads",
    "shelve": "runs what it reads",
    "os.system": "starts a shell",
    "os.popen": "starts a shell",
    "unittest.mock": "belongs in no shipped code",
}
FORBIDDEN_CALLS = {"eval", "exec", "os.system", "os.popen", "uuid.uuid1", "subprocess.getoutput"}


@every_source
def test_the_source_imports_nothing_that_guesses_or_runs_what_it_reads(path: Path) -> None:
    assert [f"{module}: {FORBIDDEN_IMPORTS[module]}" for module in imported(path) if module in FORBIDDEN_IMPORTS] == []


@every_source
def test_the_source_starts_no_shell_and_evaluates_no_text(path: Path) -> None:
    for node in nodes(path):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in FORBIDDEN_CALLS, f"{name(path)}:{node.lineno}: {called}"
            shell = [word for word in node.keywords if word.arg == "shell"]
            assert not shell, f"{name(path)}:{node.lineno}: a call with shell="


@every_source
def test_the_source_raises_no_nameless_error(path: Path) -> None:
    nameless = {"Exception", "BaseException", "RuntimeError", "NotImplementedError", "SystemError"}
    for node in nodes(path):
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
            assert raised not in nameless, f"{name(path)}:{node.lineno}: raises {raised}"


def distribution_names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9_.-]", requirement)[0].lower() for requirement in requirements}


# Modules that are not called as what they come in, or come with.
DISTRIBUTIONS = {
    "asgiref": "django",
    "environ": "django-environ",
    "jwt": "pyjwt",
    "pydantic": "pydantic-settings",
    "pydantic_settings": "pydantic-settings",
    "rest_framework_simplejwt": "djangorestframework-simplejwt",
}


@every_source
def test_the_source_imports_only_what_the_project_declares(path: Path) -> None:
    project = PROJECT["project"]
    declared = distribution_names(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        declared |= distribution_names(extra)
    tops = {DISTRIBUTIONS.get(top, top) for top in (module.split(".")[0] for module in imported(path))}
    assert tops - set(sys.stdlib_module_names) - declared - {"strongroom"} == set()


EXCUSE = re.compile(
    r"#\s*(?:noqa|type:\s*ignore)(?P<code>\s*:\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*|\[[\w, -]+\])?(?P<why>.*)"
)


@every_python
def test_a_silenced_check_says_which_and_why(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        match = EXCUSE.search(line)
        if match is not None and path != Path(__file__):
            assert match["code"], f"{name(path)}:{number}: silences every check"
            assert re.search(r"\w{2}", match["why"]), f"{name(path)}:{number}: gives no reason"


@every_python
def test_nothing_is_left_for_later(path: Path) -> None:
    later = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
    assert later.findall(path.read_text()) == []


@pytest.mark.parametrize("path", [path for path in PYTHON if path.is_relative_to(ROOT / "tests")], ids=name)
def test_no_test_mocks(path: Path) -> None:
    mocks = {"mock", "unittest.mock", "pytest_mock"}
    assert mocks.isdisjoint(imported(path))


def test_the_tree_of_errors_is_the_one_that_its_page_draws() -> None:
    drawn = re.findall(r"^(?P<stem>[│├└─ ]*)(?P<name>\w+Error)\b", errors.__doc__ or "", re.MULTILINE)
    parents: dict[str, str] = {}
    line: list[str] = []
    for stem, error in drawn:
        depth = len(stem) // 4
        line[depth:] = [error]
        if depth:
            parents[error] = line[depth - 1]
    classes = {value for value in vars(errors).values() if isinstance(value, type)}
    assert {cls.__name__: cls.__bases__[0].__name__ for cls in classes if cls is not errors.StrongroomError} == parents


def test_the_version_is_one() -> None:
    version = PROJECT["project"]["version"]
    assert strongroom.__version__ == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_commands_that_the_pages_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    pages = [path for path in FILES if path.suffix == ".md"]
    mention = re.compile(r"(?:`|\$ )make ([a-z][a-z-]*)|^make ([a-z][a-z-]*)  ", re.MULTILINE)
    named = {match[1] or match[2] for page in pages for match in mention.finditer(page.read_text())}
    assert {"demo", "test", "check", "bench", "test-all"} <= named
    assert named <= targets


CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)(?P<target>[^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", [path for path in FILES if path.suffix == ".md"], ids=name)
def test_a_link_leads_somewhere(page: Path) -> None:
    targets = [match["target"] for match in LINK.finditer(CODE.sub("", page.read_text()))]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_of_the_docs_is_reached_from_their_index() -> None:
    pages = {path.resolve() for path in FILES if path.suffix == ".md" and path.is_relative_to(ROOT / "docs")}
    reached: set[Path] = set()
    waiting = [ROOT / "docs" / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in pages and page not in reached:
            reached.add(page)
            waiting += [page.parent / match["target"] for match in LINK.finditer(CODE.sub("", page.read_text()))]
    assert pages - reached == set()


SHELL = [path for path in FILES if path.parent in {ROOT / "scripts", ROOT / ".ci"} and path.suffix == ""]


@pytest.mark.parametrize("path", SHELL, ids=name)
def test_a_shell_script_is_strict_and_sound(path: Path) -> None:
    assert path.stat().st_mode & 0o100
    assert "set -euo pipefail" in path.read_text()
    subprocess.run(["bash", "-n", str(path)], check=True, timeout=10)
