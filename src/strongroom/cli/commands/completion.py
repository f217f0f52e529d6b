"""completion: the script that teaches a shell our verbs."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from strongroom.cli import COMPLETION, output
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand


@click.command(
    cls=VerbCommand,
    epilog=examples(
        'eval "$(strongroom completion bash)"         in ~/.bashrc',
        "strongroom completion zsh > ~/.zfunc/_strongroom",
        "strongroom completion fish > ~/.config/fish/completions/strongroom.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@verb
def completion(session: Session, shell: str) -> None:
    """Print the completion script for SHELL."""
    from strongroom.cli.main import PROGRAM, cli  # main imports this module by the table of verbs

    kinds = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
    script = kinds[shell](cli, {}, PROGRAM, COMPLETION).source()
    if session.as_json:
        output.write_json({"shell": shell, "script": script})
        return
    output.write_text(script)
