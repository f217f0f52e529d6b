"""Models of a school, with every type of field twice: as Django has it, and encrypted."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models

from strongroom.django.encrypted import BlindIndex, encrypted
from tests.django.school.tenants import (
    Encoder,
    LevelField,
    PointField,
    ReversedField,
    Standing,
    keyset_of_school,
    last_four,
)


def every_type() -> dict[str, models.Field[Any, Any]]:
    """A new field of each kind, by its name. All may be NULL."""
    return {
        "char": models.CharField(max_length=40, null=True),
        "text": models.TextField(null=True),
        "slug": models.SlugField(null=True),
        "email": models.EmailField(null=True),
        "url": models.URLField(null=True),
        "file_path": models.FilePathField(path="/srv", null=True),
        "file": models.FileField(null=True),
        "image_name": models.CharField(max_length=20, choices=Standing, null=True),
        "integer": models.IntegerField(null=True),
        "small": models.SmallIntegerField(null=True),
        "big": models.BigIntegerField(null=True),
        "positive": models.PositiveIntegerField(null=True),
        "positive_small": models.PositiveSmallIntegerField(null=True),
        "positive_big": models.PositiveBigIntegerField(null=True),
        "boolean": models.BooleanField(null=True),
        "floating": models.FloatField(null=True),
        "decimal": models.DecimalField(max_digits=8, decimal_places=2, null=True),
        "date": models.DateField(null=True),
        "time": models.TimeField(null=True),
        "moment": models.DateTimeField(null=True),
        "duration": models.DurationField(null=True),
        "uuid": models.UUIDField(null=True),
        "binary": models.BinaryField(null=True, editable=True),
        "json": models.JSONField(null=True, encoder=Encoder),
        "address": models.GenericIPAddressField(null=True),
        "level": LevelField(null=True),
        "reversed": ReversedField(null=True),
        "point": PointField(null=True),
    }


def _model(name: str, fields: dict[str, Any]) -> type[models.Model]:
    return type(name, (models.Model,), {"__module__": __name__, **fields})


def _encrypted(keyset: str) -> dict[str, Any]:
    return {name: encrypted(field, keyset=keyset) for name, field in every_type().items()}


Plain = _model("Plain", every_type())
Sealed = _model("Sealed", _encrypted("columns"))
SealedLonger = _model("SealedLonger", _encrypted("columns-x"))
Tokens = _model("Tokens", _encrypted("tokens"))


class School(models.Model):
    """What students and grades belong to."""

    name = models.CharField(max_length=40)


class Student(models.Model):
    """One that can be found by several fields."""

    name = models.CharField(max_length=40)
    note = models.TextField(blank=True)
    school = models.ForeignKey(School, null=True, on_delete=models.CASCADE, related_name="students")
    ssn = encrypted(
        models.CharField(max_length=11, null=True, unique=True),
        keyset="columns",
        index=BlindIndex("index", normalize="digits"),
    )
    nickname = encrypted(
        models.CharField(max_length=20, blank=True),
        keyset="columns",
        index=BlindIndex("index", normalize=("strip", "casefold")),
    )
    born = encrypted(models.DateField(null=True), keyset="tokens", index=BlindIndex("index"))
    phone = encrypted(
        models.CharField(max_length=20, null=True),
        keyset="columns",
        index=BlindIndex("index", normalize=last_four, bits=20),
    )
    remarks = encrypted(models.JSONField(default=dict), keyset="columns")


class Pupil(Student):
    """A student with a table of its own beside."""

    desk = encrypted(models.IntegerField(null=True), keyset="columns", index=BlindIndex("index"))


class Enrolled(Student):
    """The same table under another name."""

    class Meta:
        proxy = True


class Grade(models.Model):
    """Bound to its school: what one school wrote does not open in another."""

    school = models.ForeignKey(School, on_delete=models.CASCADE)
    points = encrypted(models.IntegerField(null=True), keyset="columns", context="school_id")
    remark = encrypted(models.TextField(blank=True), keyset=keyset_of_school, context="school_id")


class Letter(models.Model):
    """Bound to its own primary key, which is made before it is saved."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    text = encrypted(models.TextField(), keyset="columns", context="id")


class Dated(models.Model):
    """An abstract model: each that derives from it has a field of its own."""

    secret = encrypted(models.CharField(max_length=10, blank=True), keyset="columns", index=BlindIndex("index"))

    class Meta:
        abstract = True


class Visit(Dated):
    """One."""


class Call(Dated):
    """Another."""
