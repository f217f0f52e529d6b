"""Text that is read where it is used: every method of str, and nothing but a placeholder anywhere else."""

from __future__ import annotations

import copy
import functools
import json
import pickle
from typing import Any

import pytest

from strongroom.keystore.livetext import LiveText, PlainLookups

SHELF = {"text": "correct horse"}


class Text(LiveText):
    def read(self) -> str:
        return SHELF["text"]

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return Text, ("<placeholder>",)


@pytest.fixture
def text() -> Text:
    SHELF["text"] = "correct horse"
    return Text("<placeholder>")


# For every method one call; what str's own gives is the law.
CALLS: dict[str, tuple[Any, ...]] = {
    "__add__": ("!",), "__contains__": ("horse",), "__eq__": ("correct horse",), "__format__": (">20",),
    "__ge__": ("b",), "__getitem__": (0,), "__gt__": ("b",), "__hash__": (), "__iter__": (), "__le__": ("b",),
    "__len__": (), "__lt__": ("b",), "__mod__": ((),), "__mul__": (2,), "__ne__": ("x",), "__rmod__": ("x",),
    "__rmul__": (2,), "__str__": (), "capitalize": (), "casefold": (), "center": (20,), "count": ("r",),
    "encode": ("ascii",), "endswith": ("horse",), "expandtabs": (), "find": ("h",), "format": (), "format_map": ({},),
    "index": ("h",), "isalnum": (), "isalpha": (), "isascii": (), "isdecimal": (), "isdigit": (), "isidentifier": (),
    "islower": (), "isnumeric": (), "isprintable": (), "isspace": (), "istitle": (), "isupper": (),
    "join": (["a", "b"],), "ljust": (20,), "lower": (), "lstrip": ("c",), "partition": (" ",),
    "removeprefix": ("correct ",), "removesuffix": (" horse",), "replace": ("horse", "mule"), "rfind": ("r",),
    "rindex": ("r",), "rjust": (20,), "rpartition": (" ",), "rsplit": (), "rstrip": ("e",), "split": (),
    "splitlines": (), "startswith": ("correct",), "strip": ("ce",), "swapcase": (), "title": (),
    "translate": ({ord("c"): "k"},), "upper": (), "zfill": (20,),
}  # fmt: skip


def test_no_method_of_str_is_forgotten() -> None:
    objects = set(dir(object)) - set(CALLS)
    assert set(dir(str)) - objects - {"maketrans", "__getnewargs__"} == set(CALLS)


@pytest.mark.parametrize(("name", "arguments"), CALLS.items(), ids=list(CALLS))
def test_each_method_reads_the_text_as_it_is_then(text: Text, name: str, arguments: tuple[Any, ...]) -> None:
    for now in ("correct horse", "battery staple"):
        SHELF["text"] = now
        answers = []
        for asked in (text, now):
            try:
                answer = getattr(asked, name)(*arguments)
                answers.append(list(answer) if name == "__iter__" else answer)
            except (ValueError, TypeError) as error:
                answers.append(type(error))
        assert answers[0] == answers[1]


def test_it_is_text_wherever_python_asks_for_it(text: Text) -> None:
    assert isinstance(text, str)
    assert f"{text}" == "%s" % text == str(text) == "" + text == text + "" == "correct horse"  # noqa: UP031  as smtplib does
    assert text == Text("<another placeholder>")
    assert "correct" in text
    assert {text: 1}["correct horse"] == 1
    assert text != "wrong horse"
    assert (text == 5) is False


def test_whether_there_is_a_text_is_known_without_reading_it() -> None:
    class Unread(Text):
        def read(self) -> str:
            raise AssertionError("read")

    assert Unread("<placeholder>")
    assert repr(Unread("<placeholder>")) == "<placeholder>"


def test_a_function_that_remembers_its_answers_works_anew_after_a_change(text: Text) -> None:
    @functools.lru_cache
    def parsed(key: str) -> bytes:  # as django-oauth-toolkit and django-allauth parse a PEM
        return key.encode()

    assert (parsed(text), parsed(text)) == (b"correct horse",) * 2
    SHELF["text"] = "battery staple"
    assert parsed(text) == b"battery staple"
    assert parsed.cache_info().misses == 2


def test_what_shows_or_stores_it_gets_the_placeholder(text: Text) -> None:
    shown = [repr(text), repr({"PASSWORD": text}), json.dumps([text]), "".join([text]), repr(copy.deepcopy([text]))]
    assert all("<placeholder>" in each and "horse" not in each for each in shown)
    assert b"horse" not in pickle.dumps(text)
    assert pickle.loads(pickle.dumps(text)) == "correct horse"  # noqa: S301  our own
    assert copy.copy(text) is text


def test_a_dict_gives_plain_text_at_each_look_up(text: Text) -> None:
    settings = PlainLookups({"NAME": "db", "PASSWORD": text, "OPTIONS": {}})
    assert type(settings["PASSWORD"]) is type(settings.get("PASSWORD")) is str
    assert settings["PASSWORD"] == "correct horse"
    SHELF["text"] = "battery staple"
    assert settings["PASSWORD"] == settings.copy()["PASSWORD"] == copy.deepcopy(settings)["PASSWORD"]
    assert settings["PASSWORD"] == copy.copy(settings)["PASSWORD"] == "battery staple"
    assert settings.get("PORT", 5432) == 5432
    assert "staple" not in repr(settings)
    assert {**settings}["PASSWORD"] is text
