"""Audit packages keep what changed. Of an encrypted field they keep that it changed, and not the values.

django-auditlog and django-easy-audit read values from instances, in the clear, and save them as rows of their own.
Those rows are masked here, just before they are saved, by Django's own pre_save signal: nothing of either package is
replaced, and fixtures and other serializers are as they were. To keep the values of a field in the clear all the same:

    STRONGROOM_AUDIT_PLAINTEXT = ["school.Student.ssn"]     # strongroom.W030 reminds you

strongroom.W030  STRONGROOM_AUDIT_PLAINTEXT lets audit rows hold plaintext
strongroom.W031  easy-audit has a backend of its own, which saves no rows that could be masked
strongroom.E030  STRONGROOM_AUDIT_PLAINTEXT names what is no encrypted field
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core import checks
from django.db import models
from django.db.models.signals import pre_save

from strongroom.django.columns import all_columns
from strongroom.django.encrypted import is_encrypted

SETTING = "STRONGROOM_AUDIT_PLAINTEXT"
MASK = "********"
_EASY_BACKEND = "easyaudit.backends.ModelBackend"


def follow() -> None:
    """Mask the rows of those audit packages that are installed."""
    if apps.is_installed("auditlog"):
        entry = apps.get_model(getattr(settings, "AUDITLOG_LOGENTRY_MODEL", "auditlog.LogEntry"))
        pre_save.connect(_mask_auditlog, sender=entry, dispatch_uid="strongroom.auditlog")
    if apps.is_installed("easyaudit"):
        event = apps.get_model("easyaudit.CRUDEvent")
        pre_save.connect(_mask_easyaudit, sender=event, dispatch_uid="strongroom.easyaudit")
    checks.register(check_audits, checks.Tags.security)


def masked_names(model: type[models.Model] | None) -> frozenset[str]:
    """The encrypted fields of a model whose values stay out of audit rows."""
    if model is None:
        return frozenset()
    told = set(_told())
    return frozenset(
        field.name
        for field in model._meta.concrete_fields
        if is_encrypted(field) and f"{field.model._meta.label}.{field.name}" not in told
    )


def _told() -> list[str]:
    said = getattr(settings, SETTING, [])
    return [str(each) for each in said] if isinstance(said, (list, tuple, set, frozenset)) else []


def _mask_auditlog(instance: Any, **_: object) -> None:
    names = masked_names(instance.content_type.model_class())
    if not names:
        return
    if isinstance(instance.changes, Mapping):
        instance.changes = _changes(instance.changes, names)
    data = instance.serialized_data
    if isinstance(data, Mapping) and isinstance(data.get("fields"), Mapping):
        instance.serialized_data = {**data, "fields": _fields(data["fields"], names)}


def _mask_easyaudit(instance: Any, **_: object) -> None:
    names = masked_names(instance.content_type.model_class())
    if not names:
        return
    rows = _loaded(instance.object_json_repr)
    if isinstance(rows, list):
        rows = [{**row, "fields": _fields(row["fields"], names)} if _is_row(row) else row for row in rows]
        instance.object_json_repr = json.dumps(rows)
    changes = _loaded(instance.changed_fields)
    if isinstance(changes, Mapping):
        instance.changed_fields = json.dumps(_changes(changes, names))


def _is_row(row: object) -> bool:
    return isinstance(row, Mapping) and isinstance(row.get("fields"), Mapping)


def _loaded(text: object) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) and text else None
    except ValueError:
        return None


def _changes(changes: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """`{"ssn": ["…", "…"]}`: both are masked, and so is whatever else stands there."""
    return {
        name: ([_masked(each) for each in value] if isinstance(value, (list, tuple)) else _masked(value))
        if name in names
        else value
        for name, value in changes.items()
    }


def _fields(fields: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: _masked(value) if name in names else value for name, value in fields.items()}


def _masked(value: object) -> object:
    # NULL shows in the table itself; both packages write it as None or as its text
    return value if value is None or value == "None" else MASK


def check_audits(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """E030, W030, W031."""
    found: list[checks.CheckMessage] = []
    told = _told()
    known = {column.label for column in all_columns()}
    if unknown := sorted(set(told) - known) or ([SETTING] if getattr(settings, SETTING, None) and not told else []):
        found.append(
            checks.Error(
                f"{SETTING} names no encrypted field with {', '.join(unknown)}",
                hint=f"a list of app.Model.field, of {', '.join(sorted(known)) or 'which there are none'}",
                id="strongroom.E030",
            )
        )
    if told and not unknown:
        found.append(
            checks.Warning(
                f"{SETTING}: audit rows hold the values of {', '.join(told)} in the clear",
                hint="take them out of it; what is there by now stays until you delete it",
                id="strongroom.W030",
            )
        )
    backend = getattr(settings, "DJANGO_EASY_AUDIT_LOGGING_BACKEND", _EASY_BACKEND)
    if apps.is_installed("easyaudit") and known and backend != _EASY_BACKEND:
        found.append(
            checks.Warning(
                f"DJANGO_EASY_AUDIT_LOGGING_BACKEND is {backend!r}: what it does with the values of encrypted fields is"
                " its own affair, for only rows of easy-audit's table are masked",
                hint="have it leave out those of strongroom.django.auditing.masked_names(model)",
                id="strongroom.W031",
            )
        )
    return found
