"""Periods: a stated one is kept to, a usual one only told; they count from the promotion, to the millisecond."""

from __future__ import annotations

import pytest

from strongroom._encoding import Timestamp
from strongroom.model.keyset import Keyset
from strongroom.model.periods import (
    UNBOUND,
    YEAR,
    Periods,
    next_end,
    originator_end,
    recipient_end,
    rights_at,
    usual,
)
from strongroom.model.policy import Policy
from strongroom.model.states import Operation
from strongroom.model.types import KeyType, Purpose
from tests.model.building import NOW, keyset, version

DAY = 86_400
STATED = Policy(originator=10 * DAY, grace=2 * DAY, recipient=30 * DAY)


def at(days: float, ms: int = 0) -> Timestamp:
    return Timestamp(NOW + round(days * DAY * 1000) + ms)


@pytest.mark.parametrize(
    ("kind", "purpose", "wanted"),
    [
        (KeyType.FERNET, Purpose.ENCRYPT, Periods(2 * YEAR, 5 * YEAR)),
        (KeyType.AES256_GCM, Purpose.ENCRYPT, Periods(2 * YEAR, 5 * YEAR)),
        (KeyType.X25519, Purpose.ENCRYPT, Periods(2 * YEAR, 5 * YEAR)),
        (KeyType.HMAC_SHA256, Purpose.MAC, Periods(2 * YEAR, 5 * YEAR)),
        (KeyType.ED25519, Purpose.SIGN, Periods(3 * YEAR, None)),
        (KeyType.SECRET, Purpose.SECRET, Periods(None, None)),
    ],
)
def test_what_is_usual_is_the_standards_table(kind: KeyType, purpose: Purpose, wanted: Periods) -> None:
    assert usual(keyset(type=kind, purpose=purpose)) == wanted


def test_a_keyset_with_defaults_never_stops_by_itself() -> None:
    held = keyset()
    assert rights_at(held, at(20_000)) == UNBOUND
    assert next_end(held, NOW) is None
    end = originator_end(held, held.versions[0])
    assert end is not None
    assert (end.at, end.stated) == (at(2 * 365), False)


def test_a_stated_period_ends_protection_after_its_grace_and_processing_later() -> None:
    held = keyset(policy=STATED)
    assert rights_at(held, at(12, -1)) == UNBOUND
    assert rights_at(held, at(12)).barred == "the originator-usage period of version 1 is over"
    assert rights_at(held, at(30, -1)).lapsed == frozenset()
    assert rights_at(held, at(30)).lapsed == {1}


def test_the_moments_at_which_rights_change_are_told_beforehand() -> None:
    held = keyset(policy=STATED).replacement(version(2), now=at(5))
    found, now = [], NOW
    while (end := next_end(held, now)) is not None:
        assert rights_at(held, Timestamp(end - 1)) == rights_at(held, now)
        found.append(end)
        now = end
    # version 1's originator-usage period still ends at 12 days, although it is the primary no more
    assert found == [at(12), at(17), at(30), at(35)]


def test_a_new_primary_begins_a_new_period() -> None:
    held = keyset(policy=STATED).replacement(version(2), now=at(11))
    assert rights_at(held, at(13)) == UNBOUND
    assert rights_at(held, at(31)).lapsed == {1}
    assert rights_at(held, at(23)).barred


def test_a_version_that_was_never_promoted_counts_from_its_making() -> None:
    held = keyset(policy=STATED).add(version(2, now=at(3)))
    end = recipient_end(held, held.versions[1])
    assert end is not None
    assert end.at == at(33)


@pytest.mark.parametrize("allowed", Operation)
def test_what_is_not_allowed_is_barred(allowed: Operation) -> None:
    rights = rights_at(keyset(policy=Policy(allow=frozenset({allowed}))), NOW)
    assert bool(rights.barred) is (allowed is Operation.PROCESS)


def test_an_end_beyond_the_years_that_can_be_written_is_the_last_of_them() -> None:
    held: Keyset = keyset(now=253_402_300_799_000, policy=STATED)
    assert rights_at(held, NOW).barred == ""
