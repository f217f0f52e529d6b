"""Help is whole: every verb is listed, explains itself, and its examples are commands that this program understands."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from strongroom.cli.main import cli
from strongroom.cli.verbs import SECTIONS
from strongroom.exitcodes import MEANINGS
from strongroom.model.types import KeyType
from tests.cli.program import program, within
from tests.cli.tree import commands, verbs

ROOT = Path(__file__).parents[2]
VERBS = [
    "init", "create", "ensure", "import", "list", "show", "rotate", "add", "promote", "suspend", "resume", "compromise",
    "deactivate", "policy", "due", "destroy",
    "pin", "encrypt", "decrypt", "reveal", "jwks", "run", "doctor", "completion", "witness show", "witness accept",
    "admin list", "admin add", "admin approve", "role create", "publish",
    "root list", "root rotate", "root destroy", "exposed", "admin remove",
    "slot list", "slot add", "slot remove", "slot test",
    "git-setup", "git-merge", "adopt",
    "recovery create", "recovery drill", "recovery restore", "recovery list", "recovery policy",
    "backup create", "backup verify", "backup restore", "checkpoint create", "checkpoint verify",
    "worker create", "worker grant", "worker revoke", "worker list", "worker remove",
    "worker rotate", "worker identity",
    "blackbox cat", "blackbox view", "blackbox edit", "blackbox edit-start", "blackbox edit-end", "blackbox diff",
    "blackbox decrypt-file", "blackbox whatsnew", "blackbox register-new-file", "blackbox deregister-file",
    "blackbox list-files", "blackbox status", "blackbox postdeploy", "blackbox decrypt-all-files",
    "blackbox shred-all-files", "blackbox update-all-files", "blackbox initialize", "blackbox list-admins",
    "blackbox addadmin", "blackbox removeadmin", "blackbox approve", "blackbox expiry", "blackbox exposed",
    "blackbox git-setup", "blackbox git-textconv", "blackbox git-merge", "blackbox install-shims",
]  # fmt: skip
every_command = pytest.mark.parametrize(
    ("ctx", "command"), list(commands()), ids=[ctx.command_path for ctx, _ in commands()]
)


def test_the_verbs_are_those_of_the_design() -> None:
    assert sorted(ctx.command_path.removeprefix("strongroom ") for ctx, _ in verbs()) == sorted(VERBS)


def test_the_first_help_lists_every_section_every_verb_and_every_exit_status() -> None:
    text = within("--help").text
    for title, listed in SECTIONS.items():
        assert f"\n{title}:\n" in text
        for verb in listed:
            assert re.search(rf"^  {verb.name} +{re.escape(verb.help.split()[0])}", text, re.MULTILINE)
    for code, meaning in MEANINGS.items():
        assert re.search(rf"^  {code} +{re.escape(meaning)}$", text, re.MULTILINE)


def test_help_may_be_asked_for_in_short() -> None:
    assert within("-h") == within("--help")
    assert within("create", "-h") == within("create", "--help")


@every_command
def test_a_command_explains_itself_within_eighty_columns(ctx: click.Context, command: click.Command) -> None:
    words = ctx.command_path.split()[1:]
    ran = within(*words, "--help")
    assert ran.status == 0
    assert ran.stderr == ""
    assert ran.text.startswith(f"Usage: {ctx.command_path} ")
    assert "Examples:\n" in ran.text
    assert [line for line in ran.text.splitlines() if len(line) > 80] == []


@every_command
def test_a_command_takes_json(ctx: click.Context, command: click.Command) -> None:
    if ctx.parent is None or not isinstance(command, click.Group):
        assert "--json" in {option for parameter in command.params for option in parameter.opts}


@every_command
def test_an_option_says_what_it_is_for(ctx: click.Context, command: click.Command) -> None:
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not (option.help or "").endswith(".")] == []


@every_command
def test_an_example_is_a_command_that_is_understood(ctx: click.Context, command: click.Command) -> None:
    for line in (command.epilog or "").splitlines()[1:]:
        typed = re.split(r"   +| \| | [<>] ", line.strip())[0]
        typed = re.sub(r'^eval "\$\((.*)\)"$', r"\1", typed)
        words = shlex.split(typed)
        if words[0] == "export":
            continue
        assert words[0] == "strongroom", line
        _parse(words[1:])


def _parse(words: list[str]) -> None:
    """Go through the groups to the verb, as a run would, and start nothing."""
    ctx: click.Context = cli.make_context("strongroom", words)
    while isinstance(ctx.command, click.Group):
        rest = [*ctx._protected_args, *ctx.args]
        if not rest:
            return
        name, found, rest = ctx.command.resolve_command(ctx, rest)
        assert found is not None
        if not rest and isinstance(found, click.Group):
            return
        ctx = found.make_context(name, rest, parent=ctx)


NAMED = re.compile(
    r"(?<![\w./:@'-])(?<!manage\.py )(?<!django-admin )strongroom ([a-z][a-z-]+)(?: ([a-z][a-z-]+))?(?![\w.:/-])"
)
"""A command as hints, sentences and pages name it; what follows as a sentence is no command."""


def _named(path: Path) -> Iterator[tuple[str, str]]:
    text = path.read_text()
    if path.suffix == ".py":
        spoken = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
        text = "\n".join(each for each in spoken if isinstance(each, str) and "\n" not in each)  # no docstrings
    yield from NAMED.findall(text)


def test_a_command_that_a_hint_or_a_page_names_exists() -> None:
    ctx = click.Context(cli)
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    unknown = set()
    for path in (*ROOT.glob("src/strongroom/**/*.py"), *pages):
        for first, second in _named(path):
            found = cli.get_command(ctx, first)
            inner = found.get_command(ctx, second) if isinstance(found, click.Group) and second else found
            if inner is None:
                unknown.add((path.relative_to(ROOT).as_posix(), f"strongroom {first} {second}"))
    assert unknown == {("src/strongroom/django/testing.py", "strongroom tests ")}, "all but a seed"


def test_create_and_import_name_every_key_type() -> None:
    for verb in ("create", "import"):
        text = re.sub(r"-\n +", "-", within(verb, "--help").text)  # the help breaks lines at hyphens
        assert [each.value for each in KeyType if each.value not in text] == []


def test_no_option_takes_a_secret_from_the_command_line() -> None:
    # argv is for everybody to read, in ps and in /proc: values come from files, descriptors and prompts
    for ctx, command in commands():
        for parameter in command.params:
            takes_text = isinstance(parameter, click.Option) and not parameter.is_flag
            names = " ".join(parameter.opts)
            if takes_text and re.search(r"passphrase|password|secret|value|key\b", names):
                assert re.search(r"-(file|fd)$", names), f"{ctx.command_path} {names}"


def test_the_version_is_the_installed_one(tmp_path: Path) -> None:
    ran = program("--version", cwd=tmp_path)
    assert (ran.status, ran.text) == (0, f"strongroom {version('strongroom')}\n")
