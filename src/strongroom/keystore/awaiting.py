"""The same for asyncio: what may wait for a disk, gpg or a server waits in a thread, and the loop goes on.

A handle that is at hand is given at once. Its own methods compute, and take microseconds; where publications lie in
Redis, a thread of the worker's own does the asking. Changes (`rotate`, `create` …) have no twins: they are for
`asyncio.to_thread`, as everything else that is rare.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TypeVar

from strongroom.caching.local import LocalCache
from strongroom.keystore.handles.aead import Aead
from strongroom.keystore.handles.fernet import Fernet
from strongroom.keystore.handles.hybrid import Hybrid
from strongroom.keystore.handles.keys import PrivateKey, PublicKey
from strongroom.keystore.handles.mac import Mac
from strongroom.keystore.handles.secret import Secret
from strongroom.keystore.handles.signing import Signer, Verifier
from strongroom.model.keyset import Keyset

V = TypeVar("V")


class Awaiting(ABC):
    """What a KeyStore offers to coroutines: each is the method without its `a`, and raises what that raises."""

    _fernets: LocalCache[Fernet]
    _aeads: LocalCache[Aead]
    _macs: LocalCache[Mac]
    _signers: LocalCache[Signer]
    _verifiers: LocalCache[Verifier]
    _hybrids: LocalCache[Hybrid]
    _secrets: LocalCache[Secret]

    async def afernet(self, name: str) -> Fernet:
        """`fernet`, without blocking the loop."""
        return await _made(self._fernets, name)

    async def aaead(self, name: str) -> Aead:
        """`aead`, without blocking the loop."""
        return await _made(self._aeads, name)

    async def amac(self, name: str) -> Mac:
        """`mac`, without blocking the loop."""
        return await _made(self._macs, name)

    async def asigner(self, name: str) -> Signer:
        """`signer`, without blocking the loop."""
        return await _made(self._signers, name)

    async def averifier(self, name: str) -> Verifier:
        """`verifier`, without blocking the loop."""
        return await _made(self._verifiers, name)

    async def ahybrid(self, name: str) -> Hybrid:
        """`hybrid`, without blocking the loop."""
        return await _made(self._hybrids, name)

    async def asecret(self, name: str) -> Secret:
        """`secret`, without blocking the loop."""
        return await _made(self._secrets, name)

    async def aprivate_key(self, name: str, *, version: int | None = None) -> PrivateKey:
        """`private_key`, without blocking the loop: the pair is confirmed at its first use."""
        return await asyncio.to_thread(self.private_key, name, version=version)

    async def apublic_key(self, name: str, *, version: int | None = None) -> PublicKey:
        """`public_key`, without blocking the loop."""
        return await asyncio.to_thread(self.public_key, name, version=version)

    async def anames(self) -> tuple[str, ...]:
        """`names`, without blocking the loop."""
        return await asyncio.to_thread(self.names)

    async def ashow(self, name: str) -> Keyset:
        """`show`, without blocking the loop."""
        return await asyncio.to_thread(self.show, name)

    async def aclose(self) -> None:
        """`close`, without blocking the loop."""
        await asyncio.to_thread(self.close)

    @abstractmethod
    def private_key(self, name: str, *, version: int | None = None) -> PrivateKey:
        """The private key."""

    @abstractmethod
    def public_key(self, name: str, *, version: int | None = None) -> PublicKey:
        """The public key."""

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The names of all keysets."""

    @abstractmethod
    def show(self, name: str) -> Keyset:
        """One keyset."""

    @abstractmethod
    def close(self) -> None:
        """Forget what is in memory."""


async def _made(cache: LocalCache[V], name: str) -> V:
    held = cache.get(name)
    return held if held is not None else await asyncio.to_thread(cache.__getitem__, name)
