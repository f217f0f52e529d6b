"""A serializer for Django's Redis cache backends that never unpickles: bytes in, the same bytes out."""

from __future__ import annotations

from strongroom.errors import FormatError


class BytesSerializer:
    """For an alias that carries publications, or tokens and nothing else.

    With Django's RedisCache: `"OPTIONS": {"serializer": "strongroom.django.serializers.BytesSerializer"}`; with
    django-redis the option is `"SERIALIZER"`. Whoever can write to Redis can make a pickling cache run code before a
    signature is looked at; with this one the worst he can place there is bytes.
    """

    def __init__(self, *args: object, **options: object) -> None:
        # Django's RedisCache passes nothing or a protocol, django-redis its options: neither means anything here
        del args, options

    def dumps(self, obj: object) -> bytes:
        """The bytes themselves. Raises FormatError for anything else."""
        if isinstance(obj, (bytes, bytearray, memoryview)):
            return bytes(obj)
        raise FormatError(f"this cache carries bytes only, not {type(obj).__name__}")

    def loads(self, data: object) -> bytes:
        """The bytes as Redis holds them. Raises FormatError for anything else."""
        # never bytes(data) of what is no bytes: bytes(9999999999) asks for 10 GB
        if isinstance(data, (bytes, bytearray, memoryview)):
            return bytes(data)
        raise FormatError(f"this cache carries bytes only, not {type(data).__name__}")
