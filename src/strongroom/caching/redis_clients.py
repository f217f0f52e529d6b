"""Which Redis a URL means: one server, the master that Sentinels name, or a Cluster. Short waits, and no second try.

    redis://[USER:PASSWORD@]HOST:PORT/DB                           rediss:// with TLS, unix:///SOCKET
    redis+sentinel://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]/SERVICE[/DB]
    redis+cluster://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]         rediss+…:// with TLS

What follows `?` is as redis-py has it (`ssl_ca_certs=…`); `sentinel_username` and `sentinel_password` are for the
Sentinels. redis-py would try a hung server ten times by default: nine seconds for one look-up.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

from strongroom.errors import SettingsError, UnsupportedError

if TYPE_CHECKING:
    from redis import Redis
    from redis.cluster import RedisCluster

    Client: TypeAlias = Redis | RedisCluster

REDIS_SCHEMES: Final = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)

_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/@,\s]+)(?::(?P<port>[0-9]{1,5}))?")


def connect(url: str, timeout: float) -> Client:
    """A client for what the URL means. SettingsError for one that means nothing; whatever redis-py raises.

    A Cluster is looked at here already; the others connect when they are first asked.
    """
    try:
        # the core does without it: the extra `redis`
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError:
        raise UnsupportedError("redis-py is not installed", hint="pip install 'strongroom[redis]'") from None
    waits = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    scheme = url.partition(":")[0]
    try:
        if scheme.endswith("+sentinel"):
            return _master(url, {**waits, "retry": Retry(NoBackoff(), 0)})
        if scheme.endswith("+cluster"):
            return _cluster(url, waits, Retry(NoBackoff(), 0))
        return Redis.from_url(url, **waits, retry=Retry(NoBackoff(), 0), decode_responses=False)
    except (ValueError, TypeError) as error:
        raise _no_url(_told(url), error) from None


def shown(url: str) -> str:
    """A URL without user, password and query. SettingsError where it is none."""
    scheme = url.partition(":")[0]
    try:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            return f"unix://{parts.path}"
        if "+" not in scheme:
            return f"{parts.scheme}://{parts.hostname or 'localhost'}:{parts.port or _PORT}"
        usual = _SENTINEL_PORT if scheme.endswith("+sentinel") else _PORT
        hosts = ",".join(f"{host}:{port}" for host, port in _hosts(parts.netloc.rpartition("@")[2], usual))
    except ValueError as error:
        raise _no_url(scheme, error) from None
    return f"{scheme}://{hosts}{parts.path if scheme.endswith('+sentinel') else ''}"


def _master(url: str, options: dict[str, Any]) -> Redis:
    from redis.sentinel import Sentinel  # as above

    hosts, path, kwargs = _taken_apart(url, _SENTINEL_PORT)
    service, _, db = path.strip("/").partition("/")
    if not service:
        raise ValueError("it names no service")
    own = {key: kwargs.pop(f"sentinel_{key}", None) for key in ("username", "password")}
    theirs = {**options, **{key: each for key, each in own.items() if each}}
    sentinel: Any = Sentinel(hosts, sentinel_kwargs=theirs)  # type: ignore[no-untyped-call]  # redis-py's own
    master: Redis = sentinel.master_for(service, **options, **kwargs, db=int(db or 0), decode_responses=False)
    return master


def _cluster(url: str, waits: dict[str, Any], retry: Any) -> RedisCluster:
    from redis.cluster import ClusterNode, RedisCluster  # as above

    hosts, path, kwargs = _taken_apart(url, _PORT)
    if path.strip("/") not in {"", "0"}:
        raise ValueError("a Cluster has no other database than 0")
    nodes = [ClusterNode(host, port) for host, port in hosts]  # type: ignore[no-untyped-call]  # redis-py's own
    return RedisCluster(startup_nodes=nodes, retry=retry, **waits, **kwargs, decode_responses=False)


def _taken_apart(url: str, usual: int) -> tuple[list[tuple[str, int]], str, dict[str, Any]]:
    """Hosts, path, and what redis-py reads out of the rest."""
    from redis.connection import parse_url  # as above

    parts = urlsplit(url)
    login, mark, places = parts.netloc.rpartition("@")
    query = parse_qsl(parts.query, keep_blank_values=True)
    sentinels = {name: value for name, value in query if name.startswith("sentinel_")}
    rest = urlencode([(name, value) for name, value in query if name not in sentinels])
    plain: dict[str, Any] = parse_url(f"redis://{login}{mark}host?{rest}")  # type: ignore[no-untyped-call]  # as above
    for name in ("host", "port", "db", "connection_class"):
        plain.pop(name, None)
    if parts.scheme.startswith("rediss"):
        plain["ssl"] = True
    return _hosts(places, usual), parts.path, {**plain, **sentinels}


def _hosts(places: str, usual: int) -> list[tuple[str, int]]:
    found = []
    for place in places.split(","):
        match = _HOST.fullmatch(place)
        if match is None:
            raise ValueError("a host is missing, or is none")
        found.append((match["host"].strip("[]"), int(match["port"] or usual)))
    return found


def _told(url: str) -> str:
    """As `shown`, for a message about a URL that may be none."""
    try:
        return shown(url)
    except SettingsError:
        return url.partition(":")[0]


def _no_url(told: str, error: Exception) -> SettingsError:
    return SettingsError(
        f"{told!r} is no URL of a Redis: {type(error).__name__}", hint="write it like redis://HOST:6379/0"
    )
