"""What a shell completes. Nothing is opened for it, no gpg runs, and whatever is wrong completes to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from strongroom.errors import StrongroomError

if TYPE_CHECKING:  # only a shell's question needs it
    from click.shell_completion import CompletionItem


def keyset_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The names that the store's directory lists."""
    from click.shell_completion import CompletionItem

    from strongroom.keystore.inspecting import names_without_opening

    try:
        names = names_without_opening(ctx.find_root().params.get("store"))
    except StrongroomError:
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def key_types(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """The key types."""
    from click.shell_completion import CompletionItem

    from strongroom.model.types import KeyType

    return [CompletionItem(each.value) for each in KeyType if each.value.startswith(incomplete)]


existing_name = click.argument("name", shell_complete=keyset_names)
"""The NAME of a keyset that is there."""

optional_name = click.argument("name", required=False, shell_complete=keyset_names)
"""The NAME of a keyset that is there, for a verb that can also do without."""
