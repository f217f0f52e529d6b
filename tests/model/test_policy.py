"""Periods, labels and free text: only what can be kept and shown is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom._encoding import format_duration, parse_duration
from strongroom.errors import PolicyError, SettingsError
from strongroom.model.policy import MAX_LABELS, MAX_PERIOD, Policy, check_labels
from strongroom.model.states import Operation
from strongroom.model.text import MAX_TEXT, check_text
from tests.model.building import printable

DAY = 86_400


def test_a_policy_asks_for_nothing_by_itself() -> None:
    assert Policy() == Policy(rotate_every=None, propagation=None, exportable=False)


@pytest.mark.parametrize("seconds", [0, -1, MAX_PERIOD + 1])
def test_a_rotation_period_out_of_range_is_refused(seconds: int) -> None:
    with pytest.raises(SettingsError):
        Policy(rotate_every=seconds)


@pytest.mark.parametrize("seconds", [-1, MAX_PERIOD + 1])
def test_a_propagation_out_of_range_is_refused(seconds: int) -> None:
    with pytest.raises(SettingsError):
        Policy(propagation=seconds)


def test_no_propagation_at_all_is_lawful() -> None:
    assert Policy(propagation=0).propagation == 0


@pytest.mark.parametrize("propagation", [DAY, DAY + 1])
def test_a_propagation_that_outlasts_the_period_would_queue_for_ever(propagation: int) -> None:
    with pytest.raises(SettingsError, match="not shorter"):
        Policy(rotate_every=DAY, propagation=propagation)
    Policy(rotate_every=DAY, propagation=DAY - 1)


def test_a_policy_cannot_be_changed() -> None:
    policy = Policy(rotate_every=DAY)
    with pytest.raises(AttributeError):
        policy.rotate_every = 5  # type: ignore[misc]  # that it fails is the point
    assert policy.rotate_every == DAY


@pytest.mark.parametrize(
    "wrong",
    [
        {"originator": 0},
        {"recipient": MAX_PERIOD + 1},
        {"grace": DAY},  # after which period?
        {"originator": DAY, "grace": -1},
        {"originator": 2 * DAY, "recipient": DAY},
        {"originator": DAY, "grace": DAY, "recipient": 2 * DAY - 1},
        {"originator": DAY, "rotate_every": DAY + 1},
        {"allow": frozenset()},
        {"max_messages": 0},
        {"max_messages": 1 << 53},
        {"worker_messages": 1},
        {"max_messages": 10, "worker_messages": 11},
    ],
    ids=repr,
)
def test_an_extension_that_contradicts_itself_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError) as refusal:
        Policy(**wrong)  # type: ignore[arg-type]  # each field by its name
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    "field",
    [
        {"originator": DAY},
        {"recipient": DAY},
        {"originator": DAY, "grace": DAY},
        {"allow": frozenset({Operation.PROCESS})},
        {"max_messages": 5},
        {"max_messages": 5, "worker_messages": 5},
    ],
    ids=repr,
)
def test_what_the_first_format_cannot_say_is_an_extension(field: dict[str, object]) -> None:
    assert Policy(**field).extended  # type: ignore[arg-type]  # as above
    assert not Policy(rotate_every=DAY, propagation=0, exportable=True).extended


def test_what_may_not_leave_never_may_again() -> None:
    assert Policy(exportable=True).followed_by(Policy()) == Policy()
    with pytest.raises(PolicyError, match="does not become so"):
        Policy().followed_by(Policy(exportable=True))


@given(st.integers(0, MAX_PERIOD))
def test_every_lawful_period_has_a_text_that_reads_back(seconds: int) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


def test_labels_are_sorted_copied_and_read_only() -> None:
    given_labels = {"zone": "eu", "owner": "registrar"}
    labels = check_labels(given_labels)
    given_labels["owner"] = "mallory"
    assert list(labels.items()) == [("owner", "registrar"), ("zone", "eu")]
    with pytest.raises(TypeError):
        labels["owner"] = "mallory"  # type: ignore[index]  # that it fails is the point


@pytest.mark.parametrize("key", ["", "A", "1a", "-a", "a b", "a.b", "a\n", "ä", "a" * 33, "owner="], ids=ascii)
def test_a_label_key_has_few_letters(key: str) -> None:
    with pytest.raises(SettingsError):
        check_labels({key: "x"})


@pytest.mark.parametrize("key", ["a", "owner", "cost-center_2", "a" * 32])
def test_an_ordinary_label_key_is_taken(key: str) -> None:
    assert check_labels({key: "x"}) == {key: "x"}


def test_labels_are_not_a_database() -> None:
    check_labels({f"k{n}": "" for n in range(MAX_LABELS)})
    with pytest.raises(SettingsError):
        check_labels({f"k{n}": "" for n in range(MAX_LABELS + 1)})


@pytest.mark.parametrize(
    "text",
    ["a\n", "\r", "\x1b[31m", "\x00", "\x7f", "\x9b", "a\u202eb", "a\u2066b", "\u200e", "a\u200bb", "\ufeff", "\u2028",
     "\u2029", "\ud800", "\ue000", "\U000e0041", "\xad", "x" * (MAX_TEXT + 1)],
    ids=ascii,
)  # fmt: skip
def test_text_that_steers_a_terminal_or_hides_is_refused(text: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        check_text(text, "reason")
    assert str(refusal.value).isprintable()
    with pytest.raises(SettingsError):
        check_labels({"a": text})


@pytest.mark.parametrize(
    "text", ["", " ", "Registrar's office", "Zürich, 東京", "👩 ok", "\xa0", "x" * MAX_TEXT, "\u0378"]
)
def test_people_write_in_their_own_script(text: str) -> None:
    assert check_text(text, "reason") == text


@given(st.text(printable, max_size=MAX_TEXT))
def test_the_text_law_is_the_one_of_the_categories(text: str) -> None:
    assert check_text(text, "label") == text
