"""Django's dumpdata, which must be told before it writes encrypted columns: fixtures hold values in the clear."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management import CommandError, CommandParser
from django.core.management.commands import dumpdata

from strongroom.django.encrypted import encrypted_fields


class Command(dumpdata.Command):
    """`dumpdata --decrypt`; without it, no model with an encrypted field is written."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Django's, and ours."""
        super().add_arguments(parser)
        parser.add_argument(
            "--decrypt", action="store_true", help="Write the values of encrypted columns, in the clear."
        )

    def handle(self, *app_labels: str, **options: Any) -> Any:
        """Refuse, or go on as Django does."""
        if not options.pop("decrypt", False):
            met = [str(field) for field in _met(app_labels, options["exclude"] or [])]
            if met:
                raise CommandError(
                    f"dumpdata would write {', '.join(met)} in the clear\n"
                    "strongroom: hint: --decrypt does that; --exclude leaves models out; a copy of the database itself"
                    " holds cells"
                )
        return super().handle(*app_labels, **options)


def _met(labels: tuple[str, ...], excluded: list[str]) -> Iterator[Any]:
    """The encrypted fields of the models that would be written."""
    for model in apps.get_models():
        names = {model._meta.app_label, model._meta.label.lower()}
        if labels and not names & {_name(label) for label in labels}:
            continue
        if not names & {_name(label) for label in excluded}:
            yield from encrypted_fields(model)


def _name(label: str) -> str:
    return label.lower() if "." in label else label
