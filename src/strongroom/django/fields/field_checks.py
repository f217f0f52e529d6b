"""Checks of one encrypted field, told with Django's own about it. They read models and what a store's files say.

strongroom.E015  an encrypted field inside another one, such as PostgreSQL's arrays
strongroom.E020  a keyset, or the alias of a store, that cannot be
strongroom.E021  unique or db_index on cells, of which no two are equal
strongroom.E024  a context that a row does not have, or has too late
strongroom.E027  a blind index over values that are equal in several spellings
strongroom.E028  a context under a fernet keyset, which binds nothing
strongroom.E029  a keyset of a type that cannot do what it is named for
strongroom.W021  a fernet keyset: its tokens open in whatever field and row they are moved to
strongroom.W022  a blind index over few values, which shows all of them
strongroom.W023  a column of plaintext is being encrypted, and is still read
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core import checks
from django.core.exceptions import FieldDoesNotExist
from django.db import models

from strongroom.django import conf
from strongroom.django.fields.blind_index import MAX_BITS
from strongroom.django.fields.sealing import Sealing
from strongroom.errors import StrongroomError
from strongroom.keystore.inspecting import claimed_keyset, store_directory
from strongroom.model.names import parse_name
from strongroom.model.types import KeyType

Message = checks.CheckMessage
_BEHIND = ("DB_SET_NULL", "DB_SET_DEFAULT")  # from Django 6.1 on
_SEALING = (KeyType.AES256_GCM, KeyType.XAES256_GCM, KeyType.FERNET)


def check_field(field: Sealing) -> Iterator[Message]:
    """All that can be said of a field by itself."""
    if field.given_id is None:
        hint = "encrypt the whole: encrypted(ArrayField(…), keyset=…)"
        yield _error(field, "an encrypted field stands inside another one, and would have no column", hint, "E015")
        return
    yield from _names(field)
    yield from _uniqueness(field)
    yield from _context(field)
    yield from _index(field)
    yield from _types(field)


def _error(field: Sealing, what: str, hint: str, number: str) -> Message:
    return checks.Error(what, hint=hint, obj=field, id=f"strongroom.{number}")


def _names(field: Sealing) -> Iterator[Message]:
    names = [field.keyset] if isinstance(field.keyset, str) else []
    if not names and not callable(field.keyset):
        yield _error(field, f"keyset is {field.keyset!r}", 'write keyset="student-columns", or a function', "E020")
    if callable(field.keyset) and "." in getattr(field.keyset, "__qualname__", "."):
        yield _error(field, "keyset is no function at module level, so no migration can name it", "move it", "E020")
    if field.blind_index is not None:
        names.append(field.blind_index.keyset)
    for name in names:
        try:
            parse_name(name)
        except StrongroomError as error:
            yield _error(field, str(error), error.hint, "E020")
    try:
        known = conf.aliases()
    except StrongroomError:
        return  # E001 tells
    if known and field.using not in known:
        yield _error(field, f"STRONGROOM has no store {field.using!r}", f"it has {', '.join(known)}", "E020")


def _uniqueness(field: Sealing) -> Iterator[Message]:
    if field.plain_column is not None:
        yield checks.Warning(
            f"plaintext={field.plain_column.column!r} is read where there is no cell, for EncryptColumn is under way",
            hint="when no process of the former release is left: manage.py strongroom reencrypt; then DropPlaintext",
            obj=field,
            id="strongroom.W023",
        )
        return  # unique and db_index hold for the plaintext meanwhile
    if field.given_options["db_index"] and not isinstance(field, models.SlugField):  # which sets it unasked
        hint = "take db_index away; index=BlindIndex(…) makes the field searchable"
        yield _error(field, "db_index on cells finds nothing: no two are equal", hint, "E021")
    if field.given_options["_unique"] and field.index is None:
        hint = "add index=BlindIndex(…), whose column is then unique"
        yield _error(field, "unique on cells holds always: no two are equal", hint, "E021")
    if field.index is not None and field.index.unique_with and field.index.bits != MAX_BITS:
        hint = "leave bits out, or unique"
        yield _error(field, "unique over an index of few bits refuses values that are not there", hint, "E021")


def _context(field: Sealing) -> Iterator[Message]:
    for name in field.context_names or ():
        try:
            found: Any = field.model._meta.get_field(name)
        except FieldDoesNotExist:
            found = None
        if found is None or not found.concrete or found.many_to_many or found.model is not field.model:
            yield _error(field, f"context {name!r} is no column of {field.model._meta.label}", "name one", "E024")
        elif hasattr(found, "context_names"):
            yield _error(field, f"context {name!r} is encrypted itself", "name a plain column", "E024")
        elif isinstance(found, models.AutoField) or found.generated or found.has_db_default():
            hint = "use what is known before, such as a UUIDField with default=uuid.uuid4"
            yield _error(field, f"context {name!r} is made by the database, after the cell is sealed", hint, "E024")
        elif found.is_relation and getattr(found.remote_field.on_delete, "__name__", "") in _BEHIND:
            hint = "use models.SET_NULL, models.CASCADE or models.PROTECT, which Django carries out and we can see"
            yield _error(field, f"context {name!r} is changed by the database, and its cells are not", hint, "E024")


def _index(field: Sealing) -> Iterator[Message]:
    if field.index is None:
        return
    if isinstance(field, models.JSONField):
        hint = "index a field of its own for what is looked up"
        yield _error(field, "a blind index over JSON misses what is equal and spelled otherwise", hint, "E027")
    if isinstance(field, models.BooleanField) or field.choices:
        yield checks.Warning(
            "a blind index over few values shows all of them to whoever sees how often each occurs",
            hint="leave index out, and filter in Python; or bear it, and silence this check with the reason",
            obj=field,
            id="strongroom.W022",
        )


def _types(field: Sealing) -> Iterator[Message]:
    if isinstance(field.keyset, str) and (kind := _claimed_type(field, field.keyset)) is not None:
        if kind not in _SEALING:
            hint = f"strongroom show {field.keyset}"
            yield _error(field, f"keyset {field.keyset!r} is {kind.value}, which seals no cells", hint, "E029")
        elif kind is KeyType.FERNET and field.context_names is not None:
            hint = "use an aes256-gcm keyset, or leave context out"
            yield _error(field, f"keyset {field.keyset!r} is fernet, which binds nothing to a row", hint, "E028")
        elif kind is KeyType.FERNET:
            yield checks.Warning(
                f"keyset {field.keyset!r} is fernet: its tokens open in whatever column and row they are moved to",
                hint="strongroom create NAME --type aes256-gcm; fernet is for tokens that other software reads",
                obj=field,
                id="strongroom.W021",
            )
    kind = None if field.index is None else _claimed_type(field, field.index.keyset)
    if field.index is not None and kind not in (None, KeyType.HMAC_SHA256):
        what = f"keyset {field.index.keyset!r} is no hmac-sha256, and marks nothing"
        yield _error(field, what, "strongroom create NAME --type hmac-sha256", "E029")


def _claimed_type(field: Sealing, name: str) -> KeyType | None:
    """What the store's files say; None where there are none to read. Nothing is opened for it."""
    try:
        directory = store_directory(conf.effective_settings(field.using))
        claimed = None if directory is None else claimed_keyset(directory, name)
    except StrongroomError:
        return None
    return None if claimed is None or claimed.keyset is None else claimed.keyset.type
