"""What an encrypted field is to those who read, mark, check and explain its cells: they know no more of it."""

from __future__ import annotations

from typing import Any, Protocol

from django.db import models

from strongroom.django.fields.binding import Context, Row
from strongroom.django.fields.boxes import Box
from strongroom.django.fields.values import Codec
from strongroom.model.names import KeyId


class Sealing(Protocol):
    """An encrypted field of a model (strongroom.django.fields.sealed_field)."""

    name: str
    attname: str
    model: type[models.Model]
    db_column: str | None
    choices: Any
    using: str
    keyset: Any
    context_names: tuple[str, ...] | None
    given_id: str | None
    given_options: dict[str, Any]
    blind_index: Any

    @property
    def field_id(self) -> str: ...

    @property
    def codec(self) -> Codec: ...

    @property
    def index(self) -> Any: ...

    @property
    def plain_column(self) -> Any: ...

    def context_of(self, row: Row) -> Context | None: ...

    def keyset_name(self, context: Context | None = None) -> str: ...

    def box(self, context: Context | None = None) -> Box: ...

    def open_cell(
        self, cell: Any, *, context: Context | None, connection: Any = None, compromised_too: bool = False
    ) -> Any: ...

    def cell_version(self, cell: Any, *, context: Context | None = None) -> KeyId | None: ...
