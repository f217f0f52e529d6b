"""A column beside an encrypted one that makes it searchable: a mark of each value, equal for equal values.

`index=BlindIndex(…)` adds the column, `<field>_index`, to the model. It is filled wherever the encrypted column is: by
save, bulk_create, bulk_update, update and fixtures. Nobody else writes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import FieldError
from django.db import models
from django.db.models.expressions import Case, Value
from django.db.models.functions import Cast
from django.db.models.sql.subqueries import InsertQuery, UpdateQuery
from django.utils.functional import cached_property

from strongroom.django.fields.binding import InRow
from strongroom.django.fields.boxes import marker_of
from strongroom.django.fields.normalizing import Normalize, normalizer, rule_names
from strongroom.django.fields.sealing import Sealing
from strongroom.django.fields.types import BinaryColumn
from strongroom.django.fields.uniqueness import check_older, unique_with
from strongroom.errors import SettingsError, StateError
from strongroom.keystore.handles.blind_index import MARK_LENGTH
from strongroom.keystore.handles.blind_index import BlindIndex as Marker

SUFFIX = "_index"
MAX_BITS = MARK_LENGTH * 8


@dataclass(frozen=True, slots=True)
class BlindIndex:
    """How a column is made searchable: `index=BlindIndex("student-index", normalize="digits")`.

    keyset: an hmac-sha256 keyset, used for nothing else. normalize: what counts as equal: "digits", "casefold",
    "strip", "nfkc", a function or its dotted path, or several of them in order.
    bits: how much of each mark is kept. With all 256 the index shows which rows are equal, to whoever reads the
    database. With fewer, different values share marks, so that it shows less; then only `candidates` can be asked, and
    the answer holds rows of other values, too.
    """

    keyset: str
    normalize: Normalize = None
    bits: int = MAX_BITS

    def __post_init__(self) -> None:
        if not 8 <= self.bits <= MAX_BITS:
            raise SettingsError(f"a blind index keeps 8 to {MAX_BITS} bits, not {self.bits}")
        rule_names(self.normalize)


class ToMark:
    """A value on its way into an index; its row and the mark that it has now, where they are known."""

    __slots__ = ("kept", "row", "value")

    def __init__(self, value: Any, kept: bytes | None = None, row: models.Model | None = None) -> None:
        self.value = value
        self.kept = kept
        self.row = row


class Kept:
    """A mark that stays as it is: its value was not loaded."""

    __slots__ = ("mark",)

    def __init__(self, mark: bytes | None) -> None:
        self.mark = mark


class IndexColumn(BinaryColumn):
    """The column of a blind index, as migrations write it down. `index=BlindIndex(…)` makes it."""

    def __init__(
        self,
        *,
        keyset: str,
        normalize: Normalize = None,
        bits: int = MAX_BITS,
        using: str = "default",
        **options: Any,
    ) -> None:
        self.keyset = keyset
        self.rules = rule_names(normalize)
        self.bits = bits
        self.using = using
        options.update(null=True, blank=True, editable=False, serialize=False)
        options.setdefault("db_index", not options.get("unique"))
        super().__init__(**options)

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, _, args, kwargs = super().deconstruct()
        for option in ("null", "blank", "editable", "serialize", "db_index"):
            kwargs.pop(option, None)
        kwargs["keyset"] = self.keyset
        if self.rules:
            kwargs["normalize"] = self.rules[0] if len(self.rules) == 1 else self.rules
        if self.bits != MAX_BITS:
            kwargs["bits"] = self.bits
        if self.using != "default":
            kwargs["using"] = self.using
        return name, "strongroom.django.encrypted.IndexColumn", args, kwargs

    def contribute_to_class(self, cls: type[models.Model], name: str, private_only: bool = False) -> None:
        # one that a migration names stands in place of the one that its encrypted field has just brought
        for other in [each for each in cls._meta.local_fields if each.name == name and isinstance(each, IndexColumn)]:
            cls._meta.local_fields.remove(other)
        super().contribute_to_class(cls, name, private_only)

    @property
    def source(self) -> Sealing:
        """The encrypted field whose values this column marks."""
        found: Any = self.model._meta.get_field(self.name.removesuffix(SUFFIX))
        return found  # type: ignore[no-any-return]  # an encrypted field brought this column

    def db_type(self, connection: Any) -> str | None:
        # MySQL and MariaDB index no blob
        if connection.vendor == "mysql":
            return f"varbinary({(self.bits + 7) // 8})"
        return super().db_type(connection)

    # --- marks

    def marks_of(self, value: Any, connection: Any) -> list[bytes]:
        """Every mark that a row with this value may have, the newest first. StateError while one cannot be told."""
        return self.remarks(self.source.codec.encode(value, connection))

    @cached_property
    def unique_with(self) -> tuple[tuple[str, ...], ...]:
        """The other fields of each rule that makes this index unique (strongroom.django.fields.uniqueness)."""
        return unique_with(self)

    def remark(self, data: bytes) -> bytes:
        """The mark under the primary for what is in a cell, decrypted: for those who move rows to it."""
        return self._cut(self._marker().mark(self._normalized(data)))

    def remarks(self, data: bytes) -> list[bytes]:
        """Every mark of what is in a cell, in the order in which the keyset's versions process."""
        return [self._cut(mark) for mark in self._marker().marks(self._normalized(data))]

    def _normalized(self, data: bytes) -> bytes:
        if not self.rules:
            return data
        text = data.decode("utf-8")
        normal = normalizer(self.rules)(text)
        if normal or not text.strip():
            return normal.encode("utf-8")
        # "unknown" under "digits": with nothing left, all such values would be one, and the same as no value
        return b"\0" + data

    def _marker(self) -> Marker:
        return marker_of(self.using, self.keyset, self.source.field_id)

    def _cut(self, mark: bytes) -> bytes:
        if self.bits == MAX_BITS:
            return mark
        size = (self.bits + 7) // 8
        return (int.from_bytes(mark[:size], "big") >> size * 8 - self.bits << size * 8 - self.bits).to_bytes(
            size, "big"
        )

    # --- on their way into the column

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        held = vars(model_instance)
        source = self.source
        kept = held.get(self.attname)
        if source.attname not in held and self.attname in held:
            return Kept(kept)
        return ToMark(getattr(model_instance, source.attname), kept, model_instance)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if type(value) is Kept:
            return None if value.mark is None else connection.Database.Binary(value.mark)
        if type(value) is ToMark:
            return self._prepared(value, connection)
        if value is None:
            return None
        if isinstance(value, (Case, Cast)):  # of `follow`, or refused for its placeholder
            return value
        raise FieldError(f"{self} is filled by {self.source} alone: write that")

    def _prepared(self, wanted: ToMark, connection: Any) -> Any:
        value = wanted.value.value if isinstance(wanted.value, (Value, InRow)) else wanted.value
        if value is None:
            return None
        data = self.source.codec.encode(value, connection)
        if self.unique_with:
            return connection.Database.Binary(self._unique_mark(data, wanted, connection))
        return connection.Database.Binary(self.remark(data))

    def _unique_mark(self, data: bytes, wanted: ToMark, connection: Any) -> bytes:
        """The mark of a value that no other row has. StateError while two versions are active, or one is suspended:
        two rows of one value could then have two marks."""
        marks = self.remarks(data)
        if self._marker().active_versions > 1:
            if wanted.kept in marks:
                return wanted.kept or b""  # the value is what it was: no new one comes in
            raise StateError(
                f"{self.source}: a unique index takes no new value while two versions of {self.keyset!r} are active",
                hint=f"manage.py strongroom reencrypt {self.source}; then deactivate the older version",
            )
        mark = self.remark(data)
        check_older(self, [each for each in marks if each != mark], wanted.row, connection)
        return mark

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, str):  # in a look-up, as the admin's addresses may have one
            raise FieldError(f"{self} holds marks, which no text is equal to: look {self.source.name!r} up")
        return super().get_prep_value(value)

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> Any:
        self._check_with_source(compiler)
        return connection.ops.binary_placeholder_sql(value)

    def get_placeholder_sql(self, value: Any, compiler: Any, connection: Any) -> Any:
        self._check_with_source(compiler)
        return connection.ops.binary_placeholder_sql(value, compiler)

    def _check_with_source(self, compiler: Any) -> None:
        """FieldError for a statement that would write marks, or none, beside cells that are of other values."""
        query = None if compiler is None else compiler.query
        if isinstance(query, UpdateQuery):
            values: list[tuple[Any, Any, Any]] = vars(query)["values"]
            (mine, *_) = (value for field, _, value in values if field is self)
            if any(field is self.source for field, _, _ in values):
                wrong = not (isinstance(mine, (ToMark, Kept)) or hasattr(mine, "marks"))
            else:
                wrong = type(mine) is not Kept and not self._stays(mine, compiler.connection)
        else:
            updated = [] if query is None else vars(query).get("update_fields") or []
            wrong = self in updated and self.source not in updated
        if wrong:
            raise FieldError(f"{self} is filled by {self.source} alone: write that")

    def _stays(self, wanted: Any, connection: Any) -> bool:
        """Whether a mark is that of the row already: update_or_create names each column that fills itself."""
        if type(wanted) is not ToMark or wanted.row is None:
            return False
        held = getattr(wanted.row, self.attname)
        return held is None if wanted.value is None else held in self.marks_of(wanted.value, connection)


def column_for(index: BlindIndex, field: Sealing, *, unique: bool) -> IndexColumn:
    """The column that an encrypted field brings into its model."""
    options: dict[str, Any] = {"unique": True} if unique else {}
    if field.db_column:
        options["db_column"] = f"{field.db_column}{SUFFIX}"
    return IndexColumn(
        keyset=index.keyset,
        normalize=index.normalize,
        bits=index.bits,
        using=field.using,
        **options,
    )


def follow(query: Any, field: Sealing, column: Any) -> None:
    """Bring the index column, or one of plaintext, into a statement that writes the encrypted one and does not name it.

    A compiler asks a field for its placeholder while it goes through the values that it writes; what is added then to
    their end is met in its turn. That is where update(), bulk_update(), save(update_fields=…) and upserts can be seen.
    """
    if isinstance(query, UpdateQuery):
        values: list[tuple[Any, Any, Any]] = vars(query)["values"]
        if all(each is not column for each, _, _ in values):
            written = [(model, value) for each, model, value in values if each is field]
            values.extend((column, model, _marked(value, column)) for model, value in written[:1])
    elif isinstance(query, InsertQuery) and vars(query)["on_conflict"] is not None:
        update, unique = vars(query)["update_fields"], vars(query)["unique_fields"]
        if field in update and column not in update:
            update.append(column)
        if field in unique and isinstance(column, IndexColumn):
            unique[unique.index(field)] = column


def _marked(expression: Any, column: Any) -> Any:
    """The same expression, with marks in place of values. What is not of this shape was refused before."""
    if isinstance(expression, Case):
        made: Any = expression.copy()
        made.marks = True
        made.output_field = column
        made.cases = [case.copy() for case in expression.cases]
        for case in made.cases:
            case.result = _marked_value(case.result, column)
        made.default = _marked_value(expression.default, column)
        return made
    if isinstance(expression, Cast):
        cast: Any = Cast(_marked(expression.get_source_expressions()[0], column), output_field=column)
        cast.marks = True
        return cast
    return ToMark(getattr(expression, "value", expression) if isinstance(expression, Value) else expression)


def _marked_value(expression: Any, column: Any) -> Any:
    if not isinstance(expression, Value):
        return _marked(expression, column)
    if expression.value is None:
        return expression
    made = Value(ToMark(expression.value), output_field=column)
    made.for_save = True
    return made
