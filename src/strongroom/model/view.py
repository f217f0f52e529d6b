"""A keyset as it stands at one moment: what the clock makes of the record. Nothing here is written down."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from strongroom._encoding import Timestamp
from strongroom.model.states import KeyState
from strongroom.model.version import Version


class KeysetView(msgspec.Struct, frozen=True, kw_only=True):
    """What `Keyset.at` gives: true from the moment asked for `until` the next promotion comes by itself.

    `until` is None where only somebody's change can end it. `states` holds the effective state by version number.
    """

    primary: Version | None
    states: Mapping[int, KeyState]
    until: Timestamp | None
