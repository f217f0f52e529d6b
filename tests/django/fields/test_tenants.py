"""One keyset a tenant, and ten thousand tenants: each cell opens under its own, and the process stays small."""

from __future__ import annotations

import tracemalloc

import pytest
from django.db import models

from strongroom.errors import StateError
from strongroom.keystore.facade import KeyStore
from tests.django.school.models import Grade, School

TENANTS = 10_000
MOST_BYTES = 400 * 2**20


@pytest.mark.slow
def test_ten_thousand_tenants(school: KeyStore) -> None:
    for number in range(3, TENANTS + 1):
        school.create(f"schools/{number}", "aes256-gcm")
    School.objects.bulk_create([School(id=n, name=str(n)) for n in range(1, TENANTS + 1)], batch_size=500)
    tracemalloc.start()
    try:
        Grade.objects.bulk_create([Grade(school_id=n, remark=f"of {n}") for n in range(1, TENANTS + 1)], batch_size=500)
        read = {row.school_id: row.remark for row in Grade.objects.iterator(chunk_size=500)}
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == {n: f"of {n}" for n in range(1, TENANTS + 1)}
    assert peak < MOST_BYTES
    school.compromise("schools/7777", 1, reason="the school has left")
    gone: models.QuerySet[Grade] = Grade.objects.filter(school_id=7777)
    with pytest.raises(StateError, match="'schools/7777', which is compromised"):
        gone.get().remark  # noqa: B018  it is read
    others = Grade.objects.filter(school_id__in=[7776, 7778]).order_by("pk")
    assert [row.remark for row in others] == ["of 7776", "of 7778"]
