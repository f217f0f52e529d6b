"""What a web process does with Celery's tasks. `python -m tests.workers.served.celery_client`; it tells JSON."""

from __future__ import annotations

import json
from typing import Any

from kombu.exceptions import EncodeError
from kombu.serialization import enable_insecure_serializers

import strongroom
from tests.workers.served import celery_app as tasks

LIMIT_S = 60


def refused(send: Any) -> str:
    """The kind of error that sending raises; empty if it was sent."""
    try:
        send()
    except (EncodeError, TypeError) as error:
        return type(error).__name__
    return ""


def main() -> None:
    said: dict[str, Any] = {"opened": [], "pids": [], "opened_in": [], "versions": []}
    sealed = [(str(number), tasks.seal.delay("box", str(number))) for number in range(40)]
    tokens = []
    for text, result in sealed:
        made = result.get(timeout=LIMIT_S)
        tokens.append((text, made["token"]))
        said["pids"].append(made["pid"])
        said["opened_in"].append(made["opened_in"])
        said["versions"].append(made["version"])
    for text, result in [(text, tasks.unseal.delay("box", token)) for text, token in tokens]:
        said["opened"].append(result.get(timeout=LIMIT_S)["opened"] == text)
    with strongroom.open() as keystore:
        box = keystore.fernet("box")
        said["read here"] = [box.decrypt(token.encode()).decode() == text for text, token in tokens]
        enable_insecure_serializers(["pickle"])
        said["json argument"] = refused(lambda: tasks.unseal.delay("box", box))
        said["pickle argument"] = refused(lambda: tasks.unseal.apply_async(("box", box), serializer="pickle"))
        said["keystore argument"] = refused(lambda: tasks.unseal.apply_async((keystore,), serializer="pickle"))
    result = tasks.leak.delay()
    said["result"] = repr(result.get(timeout=LIMIT_S, propagate=False))
    said["result state"] = result.state
    print(json.dumps(said))


if __name__ == "__main__":
    main()
