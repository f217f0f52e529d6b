"""The one place through which every act on a keystore passes: it is logged as an event, never with a value."""

from __future__ import annotations

import logging

log = logging.getLogger("strongroom")


def record(event: str, **facts: object) -> None:
    """Log one act: its event id and its facts (names, numbers, states; never material)."""
    if log.isEnabledFor(logging.INFO):
        told = " ".join(f"{name}={_shown(value)}" for name, value in facts.items())
        log.info("%s event=%s", told, event)


def warn(event: str, **facts: object) -> None:
    """Log what a person should look at."""
    told = " ".join(f"{name}={_shown(value)}" for name, value in facts.items())
    log.warning("%s event=%s", told, event)


def _shown(value: object) -> str:
    # a line break or an escape sequence in a fact must not forge a second log line (ASVS 5.0, 16.4.1)
    text = str(value)
    return text if text.isprintable() and " " not in text else ascii(text)
