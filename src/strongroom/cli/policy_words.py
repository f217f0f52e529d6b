"""The options for what a policy says, the same words in every command that takes them."""

from __future__ import annotations

from collections.abc import Callable

import click

_WORDS = (
    click.option("--worker-messages", metavar="N", help="How many of them each worker process may protect."),
    click.option("--max-messages", metavar="N", help="How many messages one version may protect."),
    click.option("--allow", metavar="WHAT", help="protect, process or protect,process: what the keyset may do at all."),
    click.option("--grace", metavar="TIME", help="How long a version still protects after that."),
    click.option("--recipient", metavar="TIME", help="How long what a version protected is read, from its promotion."),
    click.option("--originator", metavar="TIME", help="How long a version protects, from its promotion, like 730d."),
    click.option("--propagation", metavar="TIME", help="How long a new version travels before it protects."),
    click.option("--rotate-every", metavar="TIME", help="How often it should be rotated, like 90d."),
)


def words(function: Callable[..., None]) -> Callable[..., None]:
    """The options of a policy's words, by the names that the keystore has for them."""
    for option in _WORDS:
        function = option(function)
    return function


def labels(function: Callable[..., None]) -> Callable[..., None]:
    """--label KEY=TEXT, any number of them."""
    return click.option("--label", "labels", multiple=True, metavar="KEY=TEXT", help="Free text for people.")(function)


def split_labels(given: tuple[str, ...]) -> dict[str, str]:
    """KEY=TEXT pairs as a mapping."""
    pairs = [label.partition("=") for label in given]
    for key, equals, _ in pairs:
        if not equals or not key:
            raise click.UsageError(f"{key!r} is not a label; write it like owner=registrar")
    return {key: text for key, _, text in pairs}
