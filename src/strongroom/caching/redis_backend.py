"""A publication under one key of a Redis. No wait is long, nothing is tried twice, and no socket crosses a fork."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from strongroom._encoding import b64encode
from strongroom.caching.backends import TIMEOUT, Announcing, Backend, Subscription, too_large
from strongroom.caching.publication import HEAD, MAX_PUBLICATION, serial_in
from strongroom.caching.redis_clients import connect, shown
from strongroom.errors import FormatError, NotFoundError, StoreError
from strongroom.model.names import StoreId

if TYPE_CHECKING:
    from strongroom.caching.redis_clients import Client

T = TypeVar("T")


class RedisBackend:
    """One key of a Redis, a Sentinel's master or a Cluster. Never more than the size limit is fetched.

    Writers tell a channel of the key's own name the new serial, which is no secret: it stands in the value's head.
    """

    def __init__(self, url: str, *, store: StoreId, group: str, timeout: float = TIMEOUT) -> None:
        self._url = url
        self._timeout = timeout
        self._key = f"strongroom:{b64encode(store)}:{group}"
        self._location = shown(url)
        self._pid = 0
        self._made: Client | None = None

    def __repr__(self) -> str:
        return f"<{self._location}>"

    @property
    def location(self) -> str:
        """The URL without user, password and query."""
        return self._location

    @property
    def key(self) -> str:
        """The key under which the publication lies, and the channel: `strongroom:STORE:GROUP`."""
        return self._key

    def head(self) -> bytes:
        """The first bytes of the value, by GETRANGE."""
        return self._range(HEAD)

    def read(self) -> bytes:
        """The value, by one GETRANGE that asks for no more than a publication may have."""
        raw = self._range(MAX_PUBLICATION + 1)
        if len(raw) > MAX_PUBLICATION:
            raise too_large(self.location)
        return raw

    def write(self, raw: bytes, *, seconds: int) -> None:
        """Set the key, which goes by itself after `seconds`, and tell the channel."""
        self._asked(lambda client: client.set(self._key, raw, ex=seconds))
        with contextlib.suppress(StoreError):  # whoever hears nothing asks
            self._asked(lambda client: client.publish(self._key, serial_in(raw[:HEAD])))

    def subscribe(self) -> Subscription:
        """Hear the channel, over a connection of its own. StoreError."""
        client = self._connected()
        try:
            return _RedisSubscription(client, self._key, self)
        except BaseException:
            with contextlib.suppress(Exception):  # as in `close`
                client.close()
            raise

    def close(self) -> None:
        """Close the connections of this process."""
        made, self._made = self._made, None
        if made is not None and self._pid == os.getpid():
            with contextlib.suppress(Exception):  # what cannot be closed is gone already
                made.close()

    def _range(self, size: int) -> bytes:
        raw = self._asked(lambda client: client.getrange(self._key, 0, size - 1))
        if not isinstance(raw, bytes):
            raise FormatError(f"{self.location!r} answered with {type(raw).__name__} where bytes were wanted")
        if not raw:
            raise NotFoundError(f"nothing is published at {self.location!r}", hint="strongroom publish --to URL")
        return raw

    def _asked(self, ask: Callable[[Client], object]) -> object:
        # a socket that a parent made is never used by its child: their answers would mix
        if self._made is None or self._pid != os.getpid():
            self._made = self._connected()
            self._pid = os.getpid()
        client = self._made
        try:
            return self.translated(lambda: ask(client))
        except StoreError:
            self.close()  # the next question finds everything anew: a failover may have moved it
            raise

    def _connected(self) -> Client:
        return self.translated(lambda: connect(self._url, self._timeout))

    def translated(self, ask: Callable[[], T]) -> T:
        """What redis-py answers; FormatError for a value of another type, StoreError for every trouble with it."""
        try:
            from redis.exceptions import RedisClusterException, RedisError, ResponseError
        except ImportError:
            return ask()  # which says what to install
        try:
            return ask()
        except ResponseError as error:
            problem = _told(error)
            if problem.startswith("WRONGTYPE"):
                raise FormatError(f"{self.location!r} holds a value of another type under {self._key!r}") from None
        except (RedisError, RedisClusterException, OSError, ValueError) as error:
            problem = f"{type(error).__name__}: {_told(error)}"
        raise StoreError(f"{self.location!r} does not serve: {problem}", hint="redis-cli PING")


class _RedisSubscription:
    """One channel. Redis promises no delivery, and a connection may die in silence: who hears nothing asks anyway."""

    def __init__(self, client: Client, channel: str, backend: RedisBackend) -> None:
        self._client = client
        self._translated = backend.translated
        pubsub: Any = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis-py's own
        self._pubsub = pubsub
        self._translated(lambda: self._pubsub.subscribe(channel))

    def heard(self, seconds: float) -> bool:
        """Whether a message came within so many seconds."""
        # the answer to the subscription itself comes as None, too early: it is no message
        return self._translated(lambda: self._pubsub.get_message(timeout=seconds)) is not None

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(Exception):  # what cannot be closed is gone already
            self._pubsub.close()
        with contextlib.suppress(Exception):  # as above
            self._client.close()


def _told(error: Exception) -> str:
    return "".join(each if each.isprintable() else "?" for each in str(error)[:200])


def _conforms(backend: RedisBackend) -> tuple[Backend, Announcing]:
    return backend, backend


def _subscription_conforms(subscription: _RedisSubscription) -> Subscription:
    return subscription
