"""A Celery application whose module opens the store before the pool forks. Keys travel by name, never as themselves."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

import strongroom

app = Celery("served", broker=os.environ["SERVED_BROKER"], backend=os.environ["SERVED_BROKER"])
app.conf.update(worker_send_task_events=False, broker_connection_retry_on_startup=True, result_expires=60)
if os.environ.get("SERVED_OPENS"):
    keystore = strongroom.open()
    box = keystore.fernet("box")
    opened_in = os.getpid()


@app.task
def seal(name: str, text: str) -> dict[str, Any]:
    """Encrypt under the keyset of this name."""
    made = keystore.fernet(name).encrypt(text.encode()).decode()
    return {"pid": os.getpid(), "opened_in": opened_in, "version": box.version, "token": made}


@app.task
def unseal(name: str, token: str) -> dict[str, Any]:
    """The inverse."""
    return {"pid": os.getpid(), "opened": keystore.fernet(name).decrypt(token.encode()).decode()}


@app.task
def leak() -> object:
    """Give the handle itself as the result: it must not get out."""
    return box
