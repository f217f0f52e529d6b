"""Warnings that the library logs are told by us: Python itself would write them on stderr as they are."""

from __future__ import annotations

import logging

from strongroom.cli import output

_LOGGER = logging.getLogger("strongroom")


class Teller(logging.Handler):
    """Tells warnings on stderr, from its making until it is closed."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__(logging.WARNING)
        self.as_json = as_json
        _LOGGER.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """One warning."""
        output.warn(record.getMessage(), as_json=self.as_json)

    def close(self) -> None:
        """Tell no more."""
        _LOGGER.removeHandler(self)
        super().close()
