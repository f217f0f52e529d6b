"""A WSGI application that opens its store as it is imported: under `gunicorn --preload` once, before the forks."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

import strongroom

keystore = strongroom.open()
box = keystore.fernet("box")
opened_in = os.getpid()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """GET: a new token. POST: what the posted token held."""
    said = {
        "pid": os.getpid(),
        "thread": threading.get_ident(),
        "opened_in": opened_in,
        "version": box.version,
        "names": list(keystore.names()),
    }
    if environ["REQUEST_METHOD"] == "POST":
        token = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        said["opened"] = box.decrypt(token).decode()
    else:
        said["token"] = box.encrypt(environ["QUERY_STRING"].encode()).decode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(said).encode()]
