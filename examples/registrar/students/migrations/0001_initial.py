"""The first table."""

from typing import Any, ClassVar

from django.db import migrations, models

from strongroom.django.encrypted import encrypted


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
                    encrypted(models.CharField(max_length=11), keyset="student-records", id="students.Student.ssn"),
                ),
            ],
        ),
    ]
