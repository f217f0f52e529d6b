"""Where publications lie: a file or Redis. Whoever can write there is believed in nothing; every wait has a limit."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from strongroom._clock import Clock
from strongroom._encoding import b64encode
from strongroom.caching.publication import HEAD, MAX_PUBLICATION
from strongroom.errors import FormatError, NotFoundError, SettingsError, StoreError, UnsupportedError
from strongroom.model.names import StoreId
from strongroom.stores.placing import DIRECTORY, place

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis import Redis

TIMEOUT: Final = 0.2
"""Seconds for one step with Redis, connecting or answering."""
REDIS_SCHEMES: Final = ("redis", "rediss", "unix")

T = TypeVar("T")


class Backend(Protocol):
    """A place for one group's publication. StoreError: it does not answer, or refuses."""

    @property
    def location(self) -> str:
        """Where it is, for people; no password is in it."""
        ...

    def head(self) -> bytes:
        """The first bytes of what is there, at most HEAD: the cheap question. NotFoundError; FormatError."""
        ...

    def read(self) -> bytes:
        """What is there, in one read. NotFoundError; FormatError above the size limit or for another kind of value."""
        ...

    def write(self, raw: bytes, *, seconds: int) -> None:
        """Put it there whole; after `seconds` it may go by itself."""
        ...

    def close(self) -> None:
        """Give up what is held."""
        ...


class FileBackend:
    """A file, replaced atomically. It may be a link, as secrets of Kubernetes are; what is in it is sealed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __repr__(self) -> str:
        return f"<{self.location}>"

    @property
    def location(self) -> str:
        """`file:PATH`"""
        return f"file:{self._path}"

    def head(self) -> bytes:
        """The first bytes of the file."""
        return self._read(HEAD)

    def read(self) -> bytes:
        """The file."""
        raw = self._read(MAX_PUBLICATION + 1)
        if len(raw) > MAX_PUBLICATION:
            raise _too_large(self.location)
        return raw

    def write(self, raw: bytes, *, seconds: int) -> None:
        """Put it in the file's place in one step. Files do not go by themselves."""
        try:
            directory = os.open(self._path.parent, DIRECTORY & ~os.O_NOFOLLOW)
        except OSError as error:
            raise StoreError(f"cannot write {self.location!r}: {error.strerror}", hint="'ls -ld' tells why") from None
        try:
            place(raw, self._path.name, directory=directory, top=directory, shown=self.location)
        finally:
            os.close(directory)

    def close(self) -> None:
        """Nothing is held."""

    def _read(self, limit: int) -> bytes:
        try:
            # O_NONBLOCK: a FIFO in its place must not hold us up
            file = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFoundError(f"there is no {self.location!r}", hint="strongroom publish --out FILE") from None
        except OSError as error:
            raise StoreError(f"cannot read {self.location!r}: {error.strerror}", hint="'ls -l' tells why") from None
        try:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise FormatError(f"{self.location!r} is not a regular file")
            with os.fdopen(file, "rb", closefd=False, buffering=0) as opened:
                parts: list[bytes] = []
                size = 0
                while size < limit and (part := opened.read(limit - size)):
                    parts.append(part)
                    size += len(part)
                return b"".join(parts)
        except OSError as error:
            raise StoreError(f"cannot read {self.location!r}: {error.strerror}", hint="'ls -l' tells why") from None
        finally:
            os.close(file)


class RedisBackend:
    """One key of a Redis. Short time limits, no second try, never more than the size limit, no socket across a fork."""

    def __init__(self, url: str, *, store: StoreId, group: str, timeout: float = TIMEOUT) -> None:
        self._url = url
        self._timeout = timeout
        self._key = f"strongroom:{b64encode(store)}:{group}"
        self._location = _shown(url)
        self._pid = 0
        self._made: Redis | None = None

    def __repr__(self) -> str:
        return f"<{self._location}>"

    @property
    def location(self) -> str:
        """The URL without user, password and query."""
        return self._location

    @property
    def key(self) -> str:
        """The key under which the publication lies: `strongroom:STORE:GROUP`."""
        return self._key

    def head(self) -> bytes:
        """The first bytes of the value, by GETRANGE."""
        return self._range(HEAD)

    def read(self) -> bytes:
        """The value, by one GETRANGE that asks for no more than a publication may have."""
        raw = self._range(MAX_PUBLICATION + 1)
        if len(raw) > MAX_PUBLICATION:
            raise _too_large(self.location)
        return raw

    def write(self, raw: bytes, *, seconds: int) -> None:
        """Set the key; it goes by itself after `seconds`."""
        self._asked(lambda client: client.set(self._key, raw, ex=seconds))

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

    def _asked(self, ask: Callable[[Redis], object]) -> object:
        client = self._client()
        from redis.exceptions import RedisError, ResponseError  # after the client, which says what to install

        try:
            return ask(client)
        except ResponseError as error:
            problem = _told(error)
            if problem.startswith("WRONGTYPE"):
                raise FormatError(f"{self.location!r} holds a value of another type under {self._key!r}") from None
        except (RedisError, OSError, ValueError) as error:
            problem = f"{type(error).__name__}: {_told(error)}"
        raise StoreError(f"{self.location!r} does not serve: {problem}", hint="redis-cli PING")

    def _client(self) -> Redis:
        # a socket that a parent made is never used by its child: their answers would mix
        if self._made is None or self._pid != os.getpid():
            self._made = _redis(self._url, self._timeout)
            self._pid = os.getpid()
        return self._made


class Guarded:
    """A backend behind a circuit breaker.

    After `FAILURES` in a row it is left alone for `PAUSE` seconds, then asked once; each further failure doubles the
    pause, up to `LONGEST` seconds. So of a thousand look-ups in a hundred seconds nine wait for a server that hangs.
    """

    FAILURES: Final = 3
    PAUSE: Final = 5.0
    LONGEST: Final = 20.0

    def __init__(self, backend: Backend, *, clock: Clock) -> None:
        self.backend = backend
        self._clock = clock
        self._failed = 0
        self._until = 0.0
        self._why = ""

    @property
    def location(self) -> str:
        """The backend's."""
        return self.backend.location

    @property
    def is_open(self) -> bool:
        """Whether it is left alone now."""
        return self._failed >= self.FAILURES and self._clock.monotonic() < self._until

    def head(self) -> bytes:
        """As the backend; StoreError at once while it is left alone."""
        return self._guarded(self.backend.head)

    def read(self) -> bytes:
        """As the backend; StoreError at once while it is left alone."""
        return self._guarded(self.backend.read)

    def close(self) -> None:
        """Close the backend."""
        self.backend.close()

    def _guarded(self, ask: Callable[[], T]) -> T:
        if self.is_open:
            raise StoreError(f"{self._why} (left alone for a while after {self._failed} failures)")
        try:
            answer = ask()
        except StoreError as error:
            self._failed += 1
            pause = self.PAUSE * 2 ** min(max(self._failed - self.FAILURES, 0), 8)
            self._until = self._clock.monotonic() + min(pause, self.LONGEST)
            self._why = str(error)
            raise
        except (NotFoundError, FormatError):
            self._failed = 0  # it answered
            raise
        self._failed = 0
        return answer


def split_group(url: str) -> tuple[str, str | None]:
    """A URL without its `group=…`, and that group; the rest of the query stays. SettingsError where it comes twice."""
    base, mark, query = url.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True) if mark else []
    groups = [value for name, value in pairs if name == "group"]
    if len(groups) > 1:
        raise SettingsError(f"{base!r} names more than one group", hint="write it like redis://HOST?group=web")
    rest = [(name, value) for name, value in pairs if name != "group"]
    return (f"{base}?{urlencode(rest)}" if rest else base), (groups[0] if groups else None)


def backend_of(url: str, *, store: StoreId, group: str, timeout: float = TIMEOUT) -> Backend:
    """The backend that a URL without `group` means. SettingsError for another scheme."""
    scheme, _, rest = url.partition(":")
    if scheme == "file" and rest:
        return FileBackend(Path(rest.removeprefix("//")) if rest.startswith("///") else Path(rest))
    if scheme in REDIS_SCHEMES:
        return RedisBackend(url, store=store, group=group, timeout=timeout)
    raise SettingsError(
        f"{scheme!r} is no place for publications", hint="redis://HOST:PORT/DB, unix:///SOCKET, or file:PATH"
    )


def _redis(url: str, timeout: float) -> Redis:
    try:
        # the core does without it: the extra `redis`
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise UnsupportedError("redis-py is not installed", hint="pip install 'strongroom[redis]'") from None
    try:
        return Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
        )
    except (ValueError, TypeError) as error:
        raise _no_url(_shown(url), error) from None


def _shown(url: str) -> str:
    """A URL without user, password and query. SettingsError where it is none."""
    try:
        parts = urlsplit(url)
        place = parts.path if parts.scheme == "unix" else f"{parts.hostname or 'localhost'}:{parts.port or 6379}"
    except ValueError as error:
        raise _no_url(url.partition(":")[0], error) from None
    return f"{parts.scheme}://{place}"


def _no_url(shown: str, error: Exception) -> SettingsError:
    return SettingsError(
        f"{shown!r} is no URL of a Redis: {type(error).__name__}", hint="write it like redis://HOST:6379/0"
    )


def _told(error: Exception) -> str:
    return "".join(each if each.isprintable() else "?" for each in str(error)[:200])


def _too_large(location: str) -> FormatError:
    return FormatError(f"{location!r} holds more than {MAX_PUBLICATION} bytes, which is the limit of a publication")


def _file_conforms(backend: FileBackend) -> Backend:
    return backend


def _redis_conforms(backend: RedisBackend) -> Backend:
    return backend
