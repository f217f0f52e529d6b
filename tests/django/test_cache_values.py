"""The safe codec gives back what went in, as the same types; what it cannot give back it refuses. It runs nothing."""

from __future__ import annotations

import contextlib
import enum
import math
from collections import OrderedDict, namedtuple
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import RequestFactory, override_settings
from django.utils.safestring import SafeString, mark_safe
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.django.cache.values import SafeSerializer
from strongroom.errors import FormatError

codec = SafeSerializer()

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(1 << 200), max_value=1 << 200),
    st.floats(allow_nan=False),
    st.text(),
    st.text(alphabet=st.characters(categories=["Cs", "Lu"])),
    st.text().map(mark_safe),
    st.binary(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.dates(),
    st.datetimes(
        timezones=st.sampled_from([None, UTC, timezone(timedelta(hours=-5, seconds=7)), ZoneInfo("Asia/Tokyo")])
    ),
    st.times(),
    st.timedeltas(),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(scalars, max_size=4),
        st.frozensets(scalars, max_size=4),
        st.dictionaries(scalars | st.tuples(scalars, scalars), inner, max_size=4),
    ),
    max_leaves=12,
)


def alike(one: Any, two: Any) -> bool:
    """Equal, and of the same types all the way down."""
    if type(one) is not type(two) or one != two:
        return False
    if isinstance(one, dict):
        return all(alike(a, b) for a, b in zip(one.items(), two.items(), strict=True))
    if isinstance(one, (list, tuple)):
        return all(alike(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, (set, frozenset)):
        return {(type(each), each) for each in one} == {(type(each), each) for each in two}
    return True


@given(values)
@settings(max_examples=300)
def test_what_goes_in_comes_out_as_the_same_types(value: object) -> None:
    assert alike(codec.loads(codec.dumps(value)), value)


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_other_bytes_are_a_format_error_or_plain_values(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        codec.dumps(codec.loads(data))


def test_what_is_no_number_and_a_fold_survive() -> None:
    assert math.isnan(codec.loads(codec.dumps(math.nan)))
    assert codec.loads(codec.dumps(Decimal("NaN"))).is_nan()
    twice = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Vienna"))
    back = codec.loads(codec.dumps(twice))
    assert (back, back.fold, back.tzinfo.key, back.utcoffset()) == (twice, 1, "Europe/Vienna", timedelta(hours=1))
    at = time(2, 30, 1, 5, tzinfo=timezone(timedelta(hours=2)))
    assert codec.loads(codec.dumps(at)) == at
    assert isinstance(codec.loads(codec.dumps(bytearray(b"x"))), bytearray)
    assert isinstance(codec.loads(codec.dumps({"a": mark_safe("<b>")}))["a"], SafeString)


class Colour(enum.StrEnum):
    RED = "red"


class Zone(tzinfo):
    pass


Point = namedtuple("Point", "x y")
itself: list[object] = []
itself.append(itself)
REFUSED = [
    object(), Colour.RED, Point(1, 2), OrderedDict(a=1), len, Point, RequestFactory, iter([]), 1j, range(3), itself,
    datetime(2026, 1, 1, tzinfo=Zone()), [{"deep": object()}], {Point(1, 2): 1}, type("Text", (str,), {})("x"),
]  # fmt: skip


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
def test_what_it_could_not_give_back_is_refused(value: object) -> None:
    with pytest.raises(FormatError) as told:
        codec.dumps(value)
    assert "x" * 3 not in str(told.value)


def test_a_response_comes_back_with_all_that_it_says() -> None:
    response = HttpResponse("<p>grüß</p>", status=203, reason="Odd", charset="latin-1", headers={"Vary": "Cookie"})
    response.set_cookie("a", "1; x", max_age=60, httponly=True, secure=True, samesite="Lax", path="/p")
    response.set_signed_cookie("b", "2")
    back = codec.loads(codec.dumps(response))
    assert type(back) is HttpResponse
    assert back.content == response.content
    assert (back.status_code, back.reason_phrase, back.charset) == (203, "Odd", "latin-1")
    assert dict(back.headers) == dict(response.headers)
    assert back.cookies.output() == response.cookies.output()
    assert codec.loads(codec.dumps(JsonResponse({"a": 1}))).headers["Content-Type"] == "application/json"


def test_a_template_response_is_taken_once_it_is_rendered_and_a_stream_never() -> None:
    backend = {"BACKEND": "django.template.backends.django.DjangoTemplates"}
    with override_settings(TEMPLATES=[backend]):
        template = engines["django"].from_string("{{ a }}")
        response = TemplateResponse(RequestFactory().get("/"), template, {"a": "<"})
        with pytest.raises(FormatError, match="rendered"):
            codec.dumps(response)
        assert codec.loads(codec.dumps(response.render())).content == b"&lt;"
    with pytest.raises(FormatError, match="StreamingHttpResponse"):
        codec.dumps(StreamingHttpResponse([b"x"]))


def test_what_a_session_holds_goes_through() -> None:
    session = {
        "_auth_user_id": "7",
        "_auth_user_hash": "ab" * 32,
        "cart": [{"id": UUID(int=1), "day": date(2026, 1, 1)}],
    }
    assert alike(codec.loads(codec.dumps(session)), session)
