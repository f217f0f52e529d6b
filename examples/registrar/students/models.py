"""Student records. The column `ssn_token` holds Fernet tokens; the number itself is never in the database."""

from __future__ import annotations

from django.db import models

from strongroom.django import keystores

KEYSET = "student-records"


class Student(models.Model):
    """One student. `ssn` encrypts and decrypts by hand, with a handle."""

    name = models.CharField(max_length=100)
    ssn_token = models.BinaryField()

    def __str__(self) -> str:
        return self.name

    @property
    def ssn(self) -> str:
        """The social security number, decrypted now."""
        return keystores["default"].fernet(KEYSET).decrypt(bytes(self.ssn_token)).decode()

    @ssn.setter
    def ssn(self, number: str) -> None:
        self.ssn_token = keystores["default"].fernet(KEYSET).encrypt(number.encode())
