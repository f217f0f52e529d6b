"""The database's side of an encrypted field: a column of bytes, with which nothing is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from django.db import models
from django.utils.functional import cached_property

from strongroom.django.fields.blind_index import SUFFIX, IndexColumn, follow
from strongroom.django.fields.expressions import SealedCol
from strongroom.django.fields.lookups import lookup_of, refuse_lookup
from strongroom.django.fields.plaintext import SUFFIX as PLAINTEXT
from strongroom.django.fields.plaintext import PlainColumn
from strongroom.django.fields.reading import converter
from strongroom.django.fields.types import AnyField

if TYPE_CHECKING:
    _Base: TypeAlias = AnyField
else:
    _Base = object  # the inner field's class comes behind it

_COLUMN: AnyField = models.BinaryField()


class SealedColumn(_Base):
    """The same for every type of field, and whether its keyset's cells are tokens or not: so no migration has to know
    a keyset, and no store has to be open for one."""

    def get_internal_type(self) -> str:
        return "BinaryField"

    def db_type(self, connection: Any) -> Any:
        return _COLUMN.db_type(connection)

    def cast_db_type(self, connection: Any) -> Any:
        return _COLUMN.cast_db_type(connection)

    def db_parameters(self, connection: Any) -> Any:
        return _COLUMN.db_parameters(connection)

    def db_check(self, connection: Any) -> None:
        return None

    def get_db_converters(self, connection: Any) -> list[Any]:
        me: Any = self
        # of a subquery and the like; a column by itself is a SealedCol, which knows where its value goes
        return [converter(me, for_model=False)]

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> Any:  # Django 5.2 and 6.0
        if self.has_companions:
            self._take_along(compiler)
        return connection.ops.binary_placeholder_sql(value)

    def get_placeholder_sql(self, value: Any, compiler: Any, connection: Any) -> Any:  # from Django 6.1 on
        if self.has_companions:
            self._take_along(compiler)
        return connection.ops.binary_placeholder_sql(value, compiler)

    def _take_along(self, compiler: Any) -> None:
        if compiler is not None:
            me: Any = self
            for column in (self.index, self.plain_column):
                if column is not None:
                    follow(compiler.query, me, column)

    @cached_property
    def has_companions(self) -> bool:
        """Whether other columns are written with this one."""
        return self.index is not None or self.plain_column is not None

    @cached_property
    def index(self) -> IndexColumn | None:
        """The column of this field's blind index; None where it has none."""
        found: IndexColumn | None = self._beside(SUFFIX, IndexColumn)
        return found

    @cached_property
    def plain_column(self) -> PlainColumn | None:
        """The column of plaintext that this field takes the place of; None where EncryptColumn is not under way."""
        found: PlainColumn | None = self._beside(PLAINTEXT, PlainColumn)
        return found

    def _beside(self, suffix: str, kind: type[Any]) -> Any:
        # by its name: a migration's field does not say that it has one
        named = (field for field in self.model._meta.local_fields if field.name == self.name + suffix)
        return next((field for field in named if isinstance(field, kind)), None)

    def get_col(self, alias: str, output_field: Any = None) -> Any:
        return SealedCol(alias, self, output_field)

    @property
    def cached_col(self) -> Any:
        return SealedCol(self.model._meta.db_table, self)

    def get_lookup(self, lookup_name: str) -> Any:
        return lookup_of(self, lookup_name)

    def get_transform(self, lookup_name: str) -> Any:
        refuse_lookup(self, lookup_name)
