"""Workers as sites run them: a change on its way to other processes, look-ups by threads, and a day's encryptions.

python -m benchmarks.worker_sites
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from base64 import urlsafe_b64encode
from pathlib import Path

from cryptography.fernet import Fernet
from tests.support.redis_server import RedisServer
from tests.workers.scenes import Site

from benchmarks._timing import Row, Timing, main, measure
from strongroom._clock import SYSTEM_CLOCK
from strongroom.keystore.opening import open_store
from strongroom.keystore.publishing import publish
from strongroom.keystore.workers import grant
from strongroom.sealing.identities import write_identity

DATA = b"the data of one form field, say."
CHANGES = 100
MANY = 100_000
PROCESSES, THREADS, SECONDS = 2, 4, 2.0

# says when it sees each version; the monotonic clock is one for all processes of a host
SEES = """
import sys, time, strongroom
with strongroom.open() as ks:
    box, seen = ks.fernet("box"), 1
    print("ready", flush=True)
    while seen < int(sys.argv[1]):
        if box.version > seen:
            seen = box.version
            print(seen, time.monotonic(), flush=True)
        time.sleep(0.0002)
"""
LOOKS_UP = """
import sys, threading, time
threads, seconds, what, url = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4]
if what == "ours":
    import strongroom
    ks = strongroom.open()
    ks.fernet("box")
    look = lambda: ks.fernet("box")
else:
    import redis
    client = redis.Redis.from_url(url)
    look = lambda: client.get("eight")
look()
counts, end = [], time.monotonic() + seconds
def work():
    count = 0
    while time.monotonic() < end:
        for _ in range(50):
            look()
        count += 50
    counts.append(count)
running = [threading.Thread(target=work) for _ in range(threads)]
for each in running: each.start()
for each in running: each.join()
print(sum(counts))
"""


def rows() -> list[Row]:
    """The rest of issue 4's figures."""
    place = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
    site = Site.make(place / "store", SYSTEM_CLOCK)
    site.keystore.create("box", "fernet")
    write_identity(place / "web.identity", site.group("web"))
    grant(site.keystore, "web", ["box"])
    try:
        with RedisServer() as server:
            publish(site.keystore, to=[server.url])
            environ = {
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(sys.path),
                "STRONGROOM_STORE": f"{server.url}?group=web",
                "STRONGROOM_IDENTITY_FILE": str(place / "web.identity"),
            }
            return [
                _many(environ),
                _looked_up(server, environ),
                _propagated(site, server, environ),
            ]
    finally:
        site.keystore.close()
        shutil.rmtree(place)


def _many(environ: dict[str, str]) -> Row:
    with open_store(environ=environ) as keystore:
        box = keystore.fernet("box")
        theirs = Fernet(urlsafe_b64encode(keystore.source.load("box").material(1).reveal()))
        taken = measure([lambda: box.encrypt(DATA), lambda: theirs.encrypt(DATA)], number=MANY, rounds=3)
    ours, plain = (Timing(each.least * MANY, each.median * MANY) for each in taken)
    return Row(f"{MANY:,} encryptions", "cryptography, key from the environment", ours, plain, goal=2.0)


def _looked_up(server: RedisServer, environ: dict[str, str]) -> Row:
    server.command("SET", "eight", "12345678")
    each = {what: Timing(*[1 / _rate(what, server.url, environ)] * 2) for what in ("ours", "theirs")}
    name = f"a look-up, {PROCESSES} processes x {THREADS} threads ({1 / each['ours'].least / 1e6:.1f} M/s)"
    return Row(name, "redis-py GET, as many", each["ours"], each["theirs"], goal=180)


def _rate(what: str, url: str, environ: dict[str, str]) -> float:
    """Look-ups a second, of all processes together."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", LOOKS_UP, str(THREADS), str(SECONDS), what, url],
            env=environ,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    return sum(int(process.communicate(timeout=60)[0]) for process in running) / SECONDS


def _propagated(site: Site, server: RedisServer, environ: dict[str, str]) -> Row:
    """From before the publishing begins to a held handle that uses the new version in another process."""
    taken = []
    with subprocess.Popen(
        [sys.executable, "-c", SEES, str(CHANGES + 1)], env=environ, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(3)  # by then it listens
        for number in range(2, CHANGES + 2):
            site.keystore.rotate("box", now=True)
            begun = time.monotonic()
            publish(site.keystore, to=[server.url])
            seen, when = process.stdout.readline().split()
            assert int(seen) == number
            taken.append(float(when) - begun)
            time.sleep(0.11)
    taken.sort()
    ours = Timing(statistics.median(taken), taken[len(taken) * 99 // 100])
    return Row("a change seen in another process: median (p99)", "5 s", ours, Timing(5.0, 5.0), goal=1.0, at_most=True)


if __name__ == "__main__":
    main(rows)
