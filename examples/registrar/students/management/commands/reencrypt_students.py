"""Move every student's token to the primary version, and say how many were moved."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from strongroom.django import keystores
from students.models import KEYSET, Student


class Command(BaseCommand):
    help = "Encrypt every SSN again under the primary version."

    def handle(self, *args: Any, **options: Any) -> None:
        box = keystores["default"].fernet(KEYSET)
        moved = 0
        for student in Student.objects.all():
            old = bytes(student.ssn_token)
            new = box.rotate(old)
            # compare and swap: a record that somebody changed in between keeps his value
            moved += Student.objects.filter(pk=student.pk, ssn_token=old).update(ssn_token=new)
        self.stdout.write(f"{moved} tokens are now under version {box.version}")
