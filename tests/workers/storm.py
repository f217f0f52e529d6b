"""One process of the rotation storm: it encrypts, and opens what all the others encrypted. `python storm.py …`."""

from __future__ import annotations

import json
import sys
import time

import redis

from strongroom.errors import StrongroomError
from strongroom.keystore.opening import open_store

LIST = "storm-tokens"


def main(url: str, me: str, seconds: float) -> None:
    client = redis.Redis.from_url(url)
    made = opened = 0
    failed: list[str] = []
    versions: set[int] = set()
    with open_store() as keystore:
        box = keystore.fernet("box")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            made += 1
            said = f"{me} {made}".encode()
            client.lpush(LIST, said + b"|" + box.encrypt(said))
            versions.add(box.version)
            for each in client.lrange(LIST, 0, 40):
                wanted, _, token = each.partition(b"|")
                try:
                    if box.decrypt(token) != wanted:
                        failed.append("another plaintext")
                    opened += 1
                except StrongroomError as error:
                    failed.append(f"{type(error).__name__}: {error}")
            client.ltrim(LIST, 0, 400)
            time.sleep(0.01)
    client.close()
    print(json.dumps({"made": made, "opened": opened, "failed": failed[:5], "versions": len(versions)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
