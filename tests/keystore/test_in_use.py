"""Whoever keeps data under a keyset says what still depends on it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from strongroom.errors import NotFoundError
from strongroom.keystore.in_use import Use
from strongroom.keystore.opening import open_memory
from strongroom.model.keyset import Keyset


class Shelf:
    """Something that keeps one item under each version."""

    def uses(self, keyset: Keyset) -> Sequence[Use]:
        return [Use(place="shelf", version=version.number, count=1) for version in keyset.versions]


def test_every_report_is_asked_once() -> None:
    shelf, other = Shelf(), Shelf()
    with open_memory() as keystore:
        keystore.create("box", "fernet")
        assert keystore.uses("box") == ()
        for report in (shelf, other, shelf):
            keystore.register_use(report)
        assert keystore.uses("box") == (Use(place="shelf", version=1, count=1),) * 2
        with pytest.raises(NotFoundError):
            keystore.uses("none")
