"""Student records. What may be read by nobody else stands in encrypted columns, and in encrypted files."""

from __future__ import annotations

import uuid
from pathlib import PurePath
from typing import TYPE_CHECKING

from django.core.files.storage import Storage, storages
from django.core.validators import RegexValidator
from django.db import models

from strongroom.django.encrypted import BlindIndex, encrypted

if TYPE_CHECKING:
    from django.db.models.fields.related_descriptors import RelatedManager

KEYSET = "student-records"


class Student(models.Model):
    """One student."""

    name = models.CharField(max_length=100)
    # Fernet tokens, which other software reads too. The index finds a number however it is written, and takes it once.
    ssn = encrypted(
        models.CharField(
            "social security number",
            max_length=11,
            unique=True,
            validators=[RegexValidator(r"^\d{3}-?\d{2}-?\d{4}$", "Nine digits, as in 987-65-4320.")],
        ),
        keyset=KEYSET,
        index=BlindIndex("student-index", normalize="digits"),
    )
    note = encrypted(models.TextField("counsellor's note", blank=True), keyset="student-columns")

    documents: RelatedManager[Document]

    def __str__(self) -> str:
        return self.name


def records() -> Storage:
    """Where documents lie: ciphertext in a directory."""
    return storages["records"]


def place(document: Document, name: str) -> str:
    """A name of chance: names of files are not encrypted, so the document's own stands in the row."""
    return f"documents/{uuid.uuid4()}{PurePath(name).suffix.lower()}"


class Document(models.Model):
    """A scan of a student's. Its title opens in this student's rows only."""

    student = models.ForeignKey(Student, models.CASCADE, related_name="documents")
    title = encrypted(models.CharField(max_length=100), keyset="student-columns", context="student_id")
    scan = models.FileField(upload_to=place, storage=records)

    def __str__(self) -> str:
        return f"a document of {self.student}"
