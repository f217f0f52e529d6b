"""A worker: loading a publication, asking whether it changed, and using a key, against bare redis-py and cryptography.

python -m benchmarks.worker
"""

from __future__ import annotations

import shutil
import tempfile
from base64 import urlsafe_b64encode
from pathlib import Path

from tests.support.redis_server import RedisServer
from tests.workers.scenes import Site

from benchmarks._timing import Row, main, measure
from strongroom._clock import SYSTEM_CLOCK
from strongroom.caching.publication import label, parse
from strongroom.caching.redis_backend import RedisBackend
from strongroom.caching.worker import WorkerSource
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.publishing import publish
from strongroom.keystore.workers import grant
from strongroom.primitives.rsa import OaepPrivate
from strongroom.primitives.signing import Ed25519Public
from strongroom.sealing.identities import WorkerIdentity

DATA = b"the data of one form field, say."


def rows() -> list[Row]:
    """The worker rows of DESIGN section 9, over TCP and over a Unix socket."""
    place = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
    socket = place / "redis.sock"
    site = Site.make(place / "store", SYSTEM_CLOCK)
    names = [f"keyset-{number}" for number in range(100)]
    for name in names:
        site.keystore.create(name, "fernet")
    one, hundred = site.group("one"), site.group("hundred")
    grant(site.keystore, "one", names[:1])
    grant(site.keystore, "hundred", names)
    found: list[Row] = []
    try:
        with RedisServer(["--unixsocket", str(socket)]) as server:
            for way, url in (("TCP", server.url), ("unix socket", f"unix://{socket}")):
                publish(site.keystore, to=[url])
                found += _loading(way, url, one, 1)
                found += _loading(way, url, hundred, 100)
                found += _asking(way, url, one)
            found += _using(server.url, one, names[0])
    finally:
        site.keystore.close()
        shutil.rmtree(place)
    return found


def _loading(way: str, url: str, identity: WorkerIdentity, keysets: int) -> list[Row]:
    import redis

    backend = RedisBackend(url, store=identity.store, group=identity.group, timeout=5)
    client = redis.Redis.from_url(url)
    publication = parse(backend.read())
    issuer, private = Ed25519Public(identity.issuer, b""), OaepPrivate(identity.private)
    bound = label(publication.store, publication.group, publication.serial)
    worker = WorkerSource(identity, [backend], clock=SYSTEM_CLOCK)

    def load() -> None:
        worker._held = None
        worker._take(0, 0)

    def least() -> None:
        """Two round trips, and what it costs to know whose it is: more than that a load should not take."""
        client.get(backend.key)
        client.get(backend.key)
        publication.check_signature(issuer)
        private.unwrap(publication.wrapped, label=bound)

    ours, theirs = measure([load, least])
    client.close()
    backend.close()
    against = "two GETs of as many bytes, an Ed25519 and an RSA operation"
    return [Row(f"load {keysets} keysets, {way}", against, ours, theirs, goal=1.0, at_most=True)]


def _asking(way: str, url: str, identity: WorkerIdentity) -> list[Row]:
    import redis

    backend = RedisBackend(url, store=identity.store, group=identity.group, timeout=5)
    client = redis.Redis.from_url(url)
    client.set("eight", b"12345678")
    ours, plain = measure([backend.head, lambda: client.get("eight")])
    client.close()
    backend.close()
    return [Row(f"ask whether it changed, {way}", "redis-py GET of 8 bytes", ours, plain, goal=1.25, at_most=True)]


def _using(url: str, identity: WorkerIdentity, name: str) -> list[Row]:
    from cryptography.fernet import Fernet

    backend = RedisBackend(url, store=identity.store, group=identity.group, timeout=5)
    with KeyStore(WorkerSource(identity, [backend], clock=SYSTEM_CLOCK)) as keystore:
        box = keystore.fernet(name)
        theirs = Fernet(urlsafe_b64encode(keystore.source.load(name).material(1).reveal()))
        bare = {name: box}
        sealing, their_sealing, looking, plain = measure(
            [
                lambda: box.encrypt(DATA),
                lambda: theirs.encrypt(DATA),
                lambda: keystore.fernet(name),
                lambda: bare[name],
            ]
        )
    return [
        Row("worker, encrypt 32 B", "cryptography, key from the environment", sealing, their_sealing, goal=2.0),
        Row("worker, look-up, warm", "a bare dict look-up", looking, plain, goal=3.5, at_most=True),
    ]


if __name__ == "__main__":
    main(rows)
