"""The first tables. What the cells of each column are bound to, `id`, stays as it is here when a field is renamed."""

from typing import Any, ClassVar

from django.core.validators import RegexValidator
from django.db import migrations, models

import students.models
from strongroom.django.encrypted import IndexColumn, encrypted


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = []
    operations: ClassVar[list[Any]] = [
        migrations.CreateModel(
            name="Student",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100)),
                (
                    "ssn",
                    encrypted(
                        models.CharField(
                            max_length=11,
                            unique=True,
                            validators=[RegexValidator(r"^\d{3}-?\d{2}-?\d{4}$", "Nine digits, as in 987-65-4320.")],
                            verbose_name="social security number",
                        ),
                        id="students.Student.ssn",
                        keyset="student-records",
                    ),
                ),
                (
                    "note",
                    encrypted(
                        models.TextField(blank=True, verbose_name="counsellor's note"),
                        id="students.Student.note",
                        keyset="student-columns",
                    ),
                ),
                ("ssn_index", IndexColumn(keyset="student-index", normalize="digits", unique=True)),
            ],
        ),
        migrations.CreateModel(
            name="Document",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "student",
                    models.ForeignKey(on_delete=models.CASCADE, related_name="documents", to="students.student"),
                ),
                (
                    "title",
                    encrypted(
                        models.CharField(max_length=100),
                        context="student_id",
                        id="students.Document.title",
                        keyset="student-columns",
                    ),
                ),
                ("scan", models.FileField(storage=students.models.records, upload_to=students.models.place)),
            ],
        ),
    ]
