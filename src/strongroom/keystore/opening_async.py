"""Opening for asyncio, in a thread: gpg, a disk and Redis may take their time. What is open then is in `awaiting`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from dataclasses import replace
from types import TracebackType
from typing import Any, TypedDict, Unpack

from strongroom._clock import Clock
from strongroom.caching.limits import Limits
from strongroom.caching.observing import Observer
from strongroom.keystore.credentials import Given
from strongroom.keystore.environment import Environment
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_store
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.passphrases import passphrase_from_bytes


class HowToOpen(TypedDict, total=False):
    """What `strongroom.open` takes by name."""

    identity: str | os.PathLike[str] | None
    passphrase: str | None
    pin: str | None
    witness: str | os.PathLike[str] | None
    strict: bool | None
    given: Given | None
    limits: Limits
    clock: Clock
    environ: Any
    observer: Observer | None


class Opening:
    """A store that is being opened: `ks = await strongroom.aopen(…)`, or `async with strongroom.aopen(…) as ks:`."""

    __slots__ = ("_how", "_location", "_opened")

    def __init__(self, location: str | os.PathLike[str] | None, how: HowToOpen) -> None:
        self._location = location
        self._how = how
        self._opened: KeyStore | None = None

    def __repr__(self) -> str:
        return "<a store to be opened>"  # how: a passphrase may be in it

    def __await__(self) -> Generator[Any, None, KeyStore]:
        return self._open().__await__()

    async def __aenter__(self) -> KeyStore:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.aclose()

    async def _open(self) -> KeyStore:
        return await asyncio.to_thread(open_store, self._location, **self._how)


def aopen(location: str | os.PathLike[str] | None = None, **how: Unpack[HowToOpen]) -> Opening:
    """`strongroom.open`, in a thread: gpg, a disk and Redis may take their time, and the loop goes on."""
    how["environ"] = Environment.of(how.get("environ"))  # as it is now, and shown by no frame
    passphrase = how.pop("passphrase", None)
    held = None if passphrase is None else SecretBytes(passphrase.encode("utf-8", "surrogatepass"))
    passphrase = None  # the frames of a thread that fails are shown, too
    if held is not None:
        how["given"] = replace(how.get("given") or Given(), passphrase_secret=passphrase_from_bytes(held))
    return Opening(location, how)
