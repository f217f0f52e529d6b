"""refresh_from_db: what does not open is unloaded, and never the value that the instance had before."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, models
from django.test.utils import isolate_apps

from strongroom.django.encrypted import encrypted
from strongroom.errors import DecryptionError, StateError
from strongroom.keystore.facade import KeyStore
from tests.django.fields.test_binding import cell_of, put
from tests.django.school.models import Enrolled, Letter, Pupil, Student


def broken(row: Any, name: str, cell: bytes) -> None:
    field = row._meta.get_field(name)
    key = field.model._meta.pk
    put(field.model._meta.db_table, name, key.get_db_prep_value(row.pk, connection), cell)


@pytest.mark.parametrize("model", [Student, Pupil, Enrolled])
def test_a_cell_that_broke_meanwhile_leaves_no_older_value(school: KeyStore, model: Any) -> None:
    made = model.objects.create(name="Ada", nickname="countess", ssn="078-05-1120")
    cell = cell_of(made, "nickname")
    other = cell[:-1] + bytes([cell[-1] ^ 1])
    broken(made, "nickname", other)
    Student.objects.filter(pk=made.pk).update(name="Ada Lovelace")
    made.refresh_from_db()
    assert (made.name, made.ssn) == ("Ada Lovelace", "078-05-1120")
    assert "nickname" in made.get_deferred_fields()
    with pytest.raises(DecryptionError, match=r"school\.Student\.nickname"):
        made.nickname  # noqa: B018  reading it is what raises
    made.name = "Countess"
    made.save()  # which leaves the cell alone
    assert cell_of(made, "nickname") == other


def test_only_what_was_asked_for_is_looked_at(school: KeyStore) -> None:
    made = Student.objects.create(name="Ada", nickname="countess")
    broken(made, "nickname", b"\x01broken" + bytes(40))
    made.refresh_from_db(fields=(name for name in ["name"]))
    assert made.nickname == "countess"
    made.refresh_from_db(fields=["nickname"])
    with pytest.raises(DecryptionError):
        made.nickname  # noqa: B018  as above


def test_a_bound_cell_and_a_failure_of_the_database(school: KeyStore) -> None:
    made = Letter.objects.create(text="dear")
    broken(made, "text", b"\x01broken" + bytes(40))
    made.refresh_from_db()
    with pytest.raises(DecryptionError):
        made.text  # noqa: B018  as above
    other = Letter.objects.create(text="dear")
    Letter.objects.all().delete()
    with pytest.raises(Letter.DoesNotExist):
        other.refresh_from_db()
    assert other.text == "dear"  # nothing is known of its row


def test_what_heals_is_read_again(school: KeyStore) -> None:
    made = Student.objects.create(name="Ada", nickname="countess")
    school.suspend("columns", 1, reason="a look")
    made.refresh_from_db()
    with pytest.raises(StateError):
        made.nickname  # noqa: B018  as above
    school.resume("columns", 1)
    assert made.nickname == "countess"


def test_a_models_own_method_is_called(school: KeyStore) -> None:
    with isolate_apps():

        class Own(models.Model):
            secret = encrypted(models.CharField(max_length=10), keyset="columns")

            class Meta:
                app_label = "school"

            def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
                self.called = (args, kwargs)

    made = Own(secret="kept")
    made.refresh_from_db(using="other")
    assert made.called == (("other", None), {})
