"""A model field whose Python side is the inner field's and whose column holds cells. Nothing but cells reaches it.

`encrypted(models.CharField(…))` is the same object under a subclass of its class, made here: validation, forms,
choices, the admin and serializers meet a CharField. Values are sealed where they go to the database (get_db_prep_save)
and opened where they come from it (the column's converter), never in to_python: a form's input is not decrypted, and a
value that a user chose is never taken for a cell.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from django.core.exceptions import FieldError
from django.db import models
from django.db.models.expressions import Value
from django.db.models.query_utils import DeferredAttribute
from django.db.models.signals import post_init
from django.utils.functional import cached_property

from strongroom.django.fields.binding import Context, DefaultId, InRow, Row, associated_data, context_of, keyset_of
from strongroom.django.fields.blind_index import SUFFIX, BlindIndex, column_for
from strongroom.django.fields.bound_rows import check_together
from strongroom.django.fields.boxes import Box, box_of
from strongroom.django.fields.classes import class_of, empty
from strongroom.django.fields.column import SealedColumn
from strongroom.django.fields.expressions import check_saved
from strongroom.django.fields.failing import explain
from strongroom.django.fields.field_checks import check_field
from strongroom.django.fields.plaintext import SUFFIX as PLAINTEXT
from strongroom.django.fields.plaintext import plaintext_column
from strongroom.django.fields.possible import check_possible, check_replacing
from strongroom.django.fields.raw_cells import as_bytes
from strongroom.django.fields.reading import SealedAttribute, open_in_row
from strongroom.django.fields.refreshing import surround
from strongroom.django.fields.types import AnyField
from strongroom.django.fields.validating import UniqueInSerializer, ask_by_value
from strongroom.django.fields.values import Codec
from strongroom.errors import StrongroomError
from strongroom.model.names import KeyId

PATH = "strongroom.django.encrypted.encrypted"
KeysetName = str | Callable[[Context], str]
_MARKS = frozenset({b"\x01", b"g"})  # Tink's prefix; the first character of every Fernet token, base64 of 80


class SealedField(SealedColumn):
    """What `encrypted` adds to the class of a field. `encrypted` itself says what its arguments mean."""

    sealed_class: type[AnyField]
    keyset: KeysetName
    context_names: tuple[str, ...] | None
    using: str
    given_id: str | None
    blind_index: BlindIndex | None
    plaintext: str | None
    given_options: dict[str, Any]

    # --- what the migrations write down, and what is made of it again

    @property
    def plain(self) -> AnyField:
        """The inner field, as it would stand here without encryption."""
        made: AnyField = copy.copy(self)
        made.__class__ = self.sealed_class
        for name in _OURS:
            vars(made).pop(name, None)
        vars(made).update(self.given_options)
        return made

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        kwargs: dict[str, Any] = {"keyset": self.keyset}
        if self.context_names is not None:
            kwargs["context"] = self.context_names[0] if len(self.context_names) == 1 else self.context_names
        if self.using != "default":
            kwargs["using"] = self.using
        if self.given_id is not None:
            kwargs["id"] = self.given_id
        return self.name, PATH, [self.plain], kwargs

    def clone(self) -> Any:
        _, _, (plain,), kwargs = self.deconstruct()
        return seal(plain.clone(), **kwargs)

    def __reduce__(self) -> Any:
        if hasattr(self, "model"):
            return super().__reduce__()
        state = {name: value for name, value in vars(self).items() if name not in ("_get_default", *_CACHED)}
        return _empty, (self.sealed_class, self.context_names is not None), state

    def contribute_to_class(self, cls: type[models.Model], name: str, *args: Any, **kwargs: Any) -> None:
        if self.given_id is None and not cls._meta.abstract:
            self.given_id = DefaultId(f"{cls._meta.label}.{name}")
        elif self.given_id is not None and self._is_copy(cls):
            self.given_id = type(self.given_id)(f"{self.given_id} copy")
        for name_ in _CACHED:
            vars(self).pop(name_, None)
        super().contribute_to_class(cls, name, *args, **kwargs)  # a FileField's takes no third
        if cls._meta.abstract:
            return
        surround(cls)
        ask_by_value(cls)
        if self.context_names is not None:  # not `open_rows_of`: the parents are not known yet
            post_init.connect(open_in_row, sender=cls)
        if self.blind_index is not None:
            column = column_for(self.blind_index, self, unique=self.given_options["_unique"])
            if any(field.name == name + SUFFIX for field in cls._meta.local_fields):
                raise FieldError(f"{self}: its blind index wants the name {name + SUFFIX!r}, which another field has")
            cls.add_to_class(name + SUFFIX, column)
        if self.plaintext is not None:
            beside = plaintext_column(self.plain.clone())
            beside.db_column = self.plaintext
            cls.add_to_class(name + PLAINTEXT, beside)

    def _is_copy(self, model: type[models.Model]) -> bool:
        """Whether this is another model's field once more, as in a history of its rows: the cells are others."""
        before = vars(self).get("model")
        return before is not None and not before._meta.abstract and before._meta.label != model._meta.label

    def check(self, **kwargs: Any) -> list[Any]:
        # what Django says of a column is said of the inner field's, which would be another one
        return [*super().check(**kwargs), *check_field(self)]

    # --- validation, as the inner field has it

    @property
    def validators(self) -> list[Any]:
        # an integer's bounds hang on its column's type, which is the inner field's for them
        said = list(self.plain.validators)
        if self.blind_index is not None and self.given_options["_unique"]:
            said.append(UniqueInSerializer(self))
        return said

    # --- values on their way

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if type(value) is str and self.context_names is None:  # by far the most, and nothing special
            return self.seal_value(value, connection=connection, context=None)
        if not hasattr(value, "as_sql"):
            return self.get_db_prep_value(value, connection)
        if not isinstance(value, Value):
            check_saved(value, self)
            return value
        if value.value is None and isinstance(self, models.JSONField):
            # Django's way to say JSON's null, where None is SQL's NULL
            self._check_unbound()
            return self.seal_value(None, connection=connection, context=None)
        return self.get_db_prep_value(value.value, connection)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value is None:
            return None
        if type(value) is InRow:
            return self.seal_value(value.value, connection=connection, context=value.context)
        if type(value) is bytes and not value and not isinstance(self, models.BinaryField):
            value = ""  # a migration's default for a column of bytes that may be blank
        self._check_unbound()
        return self.seal_value(value, connection=connection, context=None)

    def _check_unbound(self) -> None:
        if self.context_names is not None:
            raise FieldError(
                f"{self} is bound to its row's {', '.join(self.context_names)}, which cannot be known here:"
                " save instances, one by one or with bulk_create"
            )

    # --- what else is built on: reencrypt, EncryptColumn, reports

    @property
    def field_id(self) -> str:
        """What cells of this field are bound to, whatever it is called by now."""
        if self.given_id is None:
            raise FieldError(f"{self} has no id yet: it belongs to no model")
        return str(self.given_id)

    def context_of(self, row: Row) -> Context | None:
        """What a row's cells are bound to beside the field id; None for a field that is bound to no row."""
        return None if self.context_names is None else context_of(self.context_names, row, field=self)

    def keyset_name(self, context: Context | None = None) -> str:
        """The name of the keyset of a row's cells. SettingsError where the field's function gives none."""
        return self.keyset if isinstance(self.keyset, str) else keyset_of(self.keyset, context or {}, field=self)

    def box(self, context: Context | None = None) -> Box:
        """What seals and opens the cells of a row. Raises what opening the store raises, and NotFoundError."""
        return box_of(self.using, self.keyset_name(context))

    def seal_value(self, value: Any, *, connection: Any, context: Context | None) -> Any:
        """A new cell for a Python value that is not None: bytes, in the coat that the database's driver wants."""
        data = self.codec.encode(value, connection)
        try:
            if context is None and type(self.keyset) is str:
                sealed = box_of(self.using, self.keyset).encrypt(data, self.bound_to_id)
            else:
                sealed = self.box(context).encrypt(data, associated_data(self.field_id, context))
        except StrongroomError as error:
            explain(error, self, None, context)
        return connection.Database.Binary(sealed)

    def open_cell(
        self, cell: Any, *, context: Context | None, connection: Any = None, compromised_too: bool = False
    ) -> Any:
        """The Python value of a cell. Raises DecryptionError, which does not say why, and FormatError."""
        raw = cell if type(cell) is bytes else as_bytes(cell)
        try:
            binding = self.bound_to_id if context is None else associated_data(self.field_id, context)
            return self.codec.decode(
                self.box(context).decrypt(raw, binding, compromised_too=compromised_too), connection
            )
        except StrongroomError as error:
            explain(error, self, raw, context)

    def cell_version(self, cell: Any, *, context: Context | None = None) -> KeyId | None:
        """The key id of the version that a cell is under; None where that cannot be told."""
        return self.box(context).key_id_of(as_bytes(cell))

    def looks_sealed(self, cell: Any) -> bool:
        """Whether a cell begins as ours do. It may be anyone's all the same: only opening it tells."""
        raw = as_bytes(cell)
        return len(raw) >= 33 and raw[:1] in _MARKS  # the shortest: prefix, IV, tag

    @cached_property
    def codec(self) -> Codec:
        """Between this field's Python values and the bytes in its cells."""
        return Codec(self.plain)

    @cached_property
    def bound_to_id(self) -> bytes:
        """What the cells of a field that is bound to no row are authenticated with."""
        return associated_data(self.field_id, None)


class RowBoundField(SealedField):
    """A field with a context: its value goes to the database together with its row's."""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = super().pre_save(model_instance, add)
        if value is None or hasattr(value, "as_sql"):
            return value
        return InRow(value, self.context_of(model_instance))

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> Any:
        check_together(compiler)
        return super().get_placeholder(value, compiler, connection)

    def get_placeholder_sql(self, value: Any, compiler: Any, connection: Any) -> Any:
        check_together(compiler)
        return super().get_placeholder_sql(value, compiler, connection)


_CACHED = ("codec", "bound_to_id", "index", "plain_column", "has_companions")
_OURS = (
    *("keyset", "context_names", "using", "given_id", "blind_index", "plaintext", "given_options"),
    *_CACHED,
)
_MOVED: dict[str, Any] = {"_unique": False, "db_index": False}
"""Options of the inner field that its index column has, or nobody: a column of cells has no use for them."""


def seal(
    field: AnyField,
    *,
    keyset: KeysetName,
    context: str | Sequence[str] | None = None,
    using: str = "default",
    id: str | None = None,  # noqa: A002  the word of the migrations
    index: BlindIndex | None = None,
    plaintext: str | None = None,
) -> Any:
    """The field, encrypted; see strongroom.django.encrypted."""
    check_possible(field)
    if plaintext is not None:
        check_replacing(field, plaintext, indexed=index is not None)
    made: Any = copy.copy(field)
    made.__class__ = _class_of(type(field), bound=context is not None)
    names = (context,) if isinstance(context, str) else context
    vars(made).update(
        keyset=keyset,
        context_names=None if names is None else tuple(names),
        using=using,
        given_id=id,
        blind_index=index,
        plaintext=plaintext,
        given_options={name: vars(field)[name] for name in _MOVED},
        **_MOVED,
    )
    vars(made).pop("unique", None)  # made of _unique when it is asked for
    return made


def _class_of(kind: type[AnyField], *, bound: bool) -> type[Any]:
    ours = RowBoundField if bound else SealedField
    return class_of(ours, kind, partial(_subclass, ours))


def _subclass(ours: type[SealedField], kind: type[AnyField]) -> type[Any]:
    attribute = kind.descriptor_class
    if attribute is DeferredAttribute:
        attribute = SealedAttribute
    else:  # a FileField's, say: it asks ours for what was not loaded
        attribute = type(f"Sealed{attribute.__name__}", (attribute, SealedAttribute), {})
    named = {"__module__": __name__, "sealed_class": kind, "descriptor_class": attribute}
    return type(f"Encrypted{kind.__name__}", (ours, kind), named)


def _empty(kind: type[AnyField], bound: bool) -> Any:
    return empty(_class_of(kind, bound=bound))
