"""An ASGI application: it opens its store in its lifespan, and awaits whatever may wait."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import strongroom
from strongroom.keystore.facade import KeyStore

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
held: list[KeyStore] = []


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """As the WSGI one. `/slow` is a request that only waits, for the loop must go on meanwhile."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(0.2)
    (keystore,) = held
    box = await keystore.afernet("box")
    said: dict[str, Any] = {
        "pid": os.getpid(),
        "thread": threading.get_ident(),
        "opened_in": os.getpid(),
        "version": box.version,
        "names": list(await keystore.anames()),
    }
    if scope["method"] == "POST":
        said["opened"] = box.decrypt((await receive())["body"]).decode()
    else:
        said["token"] = box.encrypt(scope["query_string"]).decode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})


async def lifespan(receive: Receive, send: Send) -> None:
    """Open at the start, close at the end."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            held.append(await strongroom.aopen())
            await send({"type": "lifespan.startup.complete"})
        else:
            await held.pop().aclose()
            await send({"type": "lifespan.shutdown.complete"})
            return
