"""Plain values as bytes, and back as the same types. It refuses what it cannot give back, and runs nothing it reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from http.cookies import SimpleCookie
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from django.http import HttpResponse
from django.utils.safestring import SafeString, mark_safe

from strongroom.errors import FormatError

_Ext = msgspec.msgpack.Ext
_TUPLE, _SET, _FROZENSET, _PAIRS, _INT, _TEXT, _SAFE, _BYTEARRAY = range(1, 9)
_DATETIME, _DATE, _TIME, _TIMEDELTA, _DECIMAL, _UUID, _RESPONSE = range(9, 16)
_KEYS: Final = frozenset({str, int, bool, float, bytes, type(None)})
_encode = msgspec.msgpack.Encoder().encode


class SafeSerializer:
    """msgpack with extensions: the default of EncryptedCache.

    It takes None, bool, int, float, str, bytes, bytearray, list, tuple, dict, set, frozenset, date, datetime, time
    (naive, at an offset, or in a zone of zoneinfo), timedelta, Decimal, UUID, Django's safe strings, and responses that
    are rendered and do not stream (which come back as HttpResponse). An instance of any other class, a subclass of
    these included, is a FormatError before anything is stored.
    """

    def dumps(self, value: object) -> bytes:
        """The bytes of a value. FormatError."""
        try:
            return _encode(_tagged(value))
        except RecursionError:
            pass
        raise FormatError("the value is nested too deeply, or holds itself")

    def loads(self, data: bytes) -> Any:
        """The value of `dumps`' bytes. FormatError for others, and for what a newer Strongroom wrote."""
        try:
            return _decode(data)
        except (ValueError, TypeError, LookupError, RecursionError, msgspec.MsgspecError):
            pass
        raise FormatError(f"{len(data)} bytes are not a value of the safe codec")


def _tagged(value: Any) -> Any:
    """The value with all that msgpack would confuse, or not take, put behind an extension code."""
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    tag = _TAGS.get(kind)
    if tag is not None:
        return tag(value)
    if isinstance(value, HttpResponse):  # a response's class says how it was made; what is cached is what it says
        return _of_response(value)
    raise FormatError(
        f"the safe codec does not write {kind.__module__}.{kind.__qualname__}",
        hint="cache plain values, or name a SERIALIZER that takes such objects in the OPTIONS of this cache",
    )


def _ext(code: int, plain: Any) -> msgspec.msgpack.Ext:
    return _Ext(code, _encode(plain))


def _of_text(value: str) -> Any:
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate: a file name, say
        return _Ext(_TEXT, value.encode("utf-8", "surrogatepass"))
    return value


def _of_dict(value: dict[Any, Any]) -> Any:
    if all(type(key) in _KEYS for key in value) and not any(isinstance(_tagged(key), _Ext) for key in value):
        return {key: _tagged(each) for key, each in value.items()}
    return _ext(_PAIRS, [[_tagged(key), _tagged(each)] for key, each in value.items()])


def _of_int(value: int) -> Any:
    return value if -(1 << 63) <= value < 1 << 64 else _Ext(_INT, b"%d" % value)


def _zone(value: datetime | time) -> float | str | None:
    """Seconds of a fixed offset, the key of a zone, or None for a naive one."""
    zone = value.tzinfo
    if zone is None:
        return None
    if type(zone) is timezone:
        return zone.utcoffset(None).total_seconds()
    if type(zone) is ZoneInfo and zone.key is not None:
        return zone.key
    raise FormatError(f"the safe codec does not write the time zone {type(zone).__name__}")


def _of_response(value: HttpResponse) -> msgspec.msgpack.Ext:
    if not getattr(value, "is_rendered", True):
        raise FormatError("a response is cached once it is rendered")
    cookies = [morsel.OutputString() for morsel in value.cookies.values()]
    return _ext(
        _RESPONSE,
        [value.status_code, value.reason_phrase, value.charset, list(value.headers.items()), cookies, value.content],
    )


_AS_IT_IS: Final = frozenset({type(None), bool, float, bytes})
_TAGS: Final[dict[type, Callable[[Any], Any]]] = {
    str: _of_text,
    int: _of_int,
    dict: _of_dict,
    list: lambda value: [_tagged(each) for each in value],
    tuple: lambda value: _ext(_TUPLE, [_tagged(each) for each in value]),
    set: lambda value: _ext(_SET, [_tagged(each) for each in value]),
    frozenset: lambda value: _ext(_FROZENSET, [_tagged(each) for each in value]),
    bytearray: lambda value: _Ext(_BYTEARRAY, bytes(value)),
    SafeString: lambda value: _Ext(_SAFE, value.encode("utf-8", "surrogatepass")),
    datetime: lambda value: _ext(_DATETIME, [value.replace(tzinfo=None).isoformat(), _zone(value), value.fold]),
    date: lambda value: _Ext(_DATE, value.isoformat().encode()),
    time: lambda value: _ext(_TIME, [value.replace(tzinfo=None).isoformat(), _zone(value), value.fold]),
    timedelta: lambda value: _ext(_TIMEDELTA, [value.days, value.seconds, value.microseconds]),
    Decimal: lambda value: _Ext(_DECIMAL, str(value).encode()),
    UUID: lambda value: _Ext(_UUID, value.bytes),
}


def _untagged(code: int, view: memoryview) -> Any:
    return _UNTAG[code](bytes(view))


_decode = msgspec.msgpack.Decoder(ext_hook=_untagged).decode


def _tz(zone: float | str | None) -> timezone | ZoneInfo | None:
    if zone is None:
        return None
    return ZoneInfo(zone) if isinstance(zone, str) else timezone(timedelta(seconds=zone))


def _to_datetime(data: bytes) -> datetime:
    text, zone, fold = _decode(data)
    return datetime.fromisoformat(text).replace(tzinfo=_tz(zone), fold=fold)


def _to_time(data: bytes) -> time:
    text, zone, fold = _decode(data)
    return time.fromisoformat(text).replace(tzinfo=_tz(zone), fold=fold)


def _to_response(data: bytes) -> HttpResponse:
    status, reason, charset, headers, cookies, content = _decode(data)
    response = HttpResponse(content, status=status, reason=reason, charset=charset, headers=dict(headers))
    response.cookies = SimpleCookie()
    for cookie in cookies:
        response.cookies.load(cookie)
    return response


_UNTAG: Final[dict[int, Callable[[bytes], Any]]] = {
    _TUPLE: lambda data: tuple(_decode(data)),
    _SET: lambda data: set(_decode(data)),
    _FROZENSET: lambda data: frozenset(_decode(data)),
    _PAIRS: lambda data: dict(_decode(data)),
    _INT: int,
    _TEXT: lambda data: data.decode("utf-8", "surrogatepass"),
    _SAFE: lambda data: mark_safe(data.decode("utf-8", "surrogatepass")),  # noqa: S308  it was safe when it went in
    _BYTEARRAY: bytearray,
    _DATETIME: _to_datetime,
    _DATE: lambda data: date.fromisoformat(data.decode()),
    _TIME: _to_time,
    _TIMEDELTA: lambda data: timedelta(*_decode(data)),
    _DECIMAL: lambda data: Decimal(data.decode()),
    _UUID: lambda data: UUID(bytes=data),
}
_UNTAG[_RESPONSE] = _to_response
