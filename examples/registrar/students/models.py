"""Student records. The column `ssn` holds Fernet tokens, which other software reads; the number is never in it."""

from __future__ import annotations

from django.db import models

from strongroom.django.encrypted import encrypted

KEYSET = "student-records"


class Student(models.Model):
    """One student."""

    name = models.CharField(max_length=100)
    ssn = encrypted(models.CharField(max_length=11), keyset=KEYSET)

    def __str__(self) -> str:
        return self.name
