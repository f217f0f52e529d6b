"""A Redis Cluster of three, and a master with a replica under one Sentinel: all on 127.0.0.1, each ended by its pid."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.redis_server import NoRedisServerError, RedisServer, find_redis_server

SERVICE = "keys"
_LIMIT_S = 60.0


@contextmanager
def cluster() -> Iterator[list[RedisServer]]:
    """Three masters that share the slots."""
    with ExitStack() as stack:
        nodes, buses = [], []
        for number in range(3):
            buses.append(free_port())  # the usual one, port + 10000, may not be a port at all
            options = ["--cluster-enabled", "yes", "--cluster-port", str(buses[-1]), "--cluster-node-timeout", "2000"]
            nodes.append(stack.enter_context(RedisServer([*options, "--cluster-config-file", f"nodes-{number}"])))
        ranges = [(0, 5460), (5461, 10922), (10923, 16383)]
        for node, (first, last) in zip(nodes, ranges, strict=True):
            assert node.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(last)).startswith(b"+OK")
        for node, bus in list(zip(nodes, buses, strict=True))[1:]:
            assert nodes[0].command("CLUSTER", "MEET", "127.0.0.1", str(node.port), str(bus)).startswith(b"+OK")
        for node in nodes:
            wait_for(lambda node=node: b"cluster_state:ok" in node.command("CLUSTER", "INFO"))  # type: ignore[misc]  # a loop
            wait_for(lambda node=node: b"cluster_known_nodes:3" in node.command("CLUSTER", "INFO"))  # type: ignore[misc]  # as above
        yield nodes


@dataclass
class Watched:
    """What a Sentinel watches, and the Sentinel's own port."""

    master: RedisServer
    replica: RedisServer
    port: int

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.port}/{SERVICE}"

    def master_port(self) -> int:
        """Where the Sentinel says that the master is."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30.0) as asked:
            asked.sendall(f"SENTINEL GET-MASTER-ADDR-BY-NAME {SERVICE}\r\n".encode())
            found = re.findall(rb"\r\n(\d+)\r\n", asked.recv(4096))
        return int(found[-1]) if found else 0


@contextmanager
def sentinel() -> Iterator[Watched]:
    """One master, one replica in step with it, and a Sentinel that alone decides on a failover."""
    home = Path(tempfile.mkdtemp(prefix="sr-sentinel-", dir="/tmp"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        master = stack.enter_context(RedisServer())
        replica = stack.enter_context(
            RedisServer(["--replicaof", "127.0.0.1", str(master.port), "--repl-diskless-sync-delay", "0"])
        )
        wait_for(lambda: b"master_link_status:up" in replica.command("INFO", "replication"))
        port = free_port()
        (home / "sentinel.conf").write_text(
            f"port {port}\nbind 127.0.0.1\ndir {home}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 500\nsentinel failover-timeout {SERVICE} 4000\n"
        )
        process = subprocess.Popen(
            [str(find_redis_server()), str(home / "sentinel.conf"), "--sentinel"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        stack.callback(process.wait, 10)
        stack.callback(process.terminate)
        watched = Watched(master, replica, port)
        wait_for(lambda: watched.master_port() == master.port)
        wait_for(lambda: b"num-slaves\r\n$1\r\n1" in _sentinel_master(port))
        yield watched


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: object) -> None:
    """Until it is so. NoRedisServerError after a minute."""
    assert callable(what)
    deadline = time.monotonic() + _LIMIT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if what():
                return
        time.sleep(0.05)
    raise NoRedisServerError("the servers did not find each other within a minute")


def _sentinel_master(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30.0) as asked:
        asked.sendall(f"SENTINEL MASTER {SERVICE}\r\n".encode())
        return asked.recv(65536)
