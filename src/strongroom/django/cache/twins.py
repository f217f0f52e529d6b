"""The `a*` half of a Django cache: each is one step into the thread for synchronous code, so the loop never waits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

P = ParamSpec("P")
R = TypeVar("R")


class AsyncTwins(BaseCache):
    """Django's own, up to 6.0, take many values apart and forget the expiry; no inner cache has better ones."""

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return await _there(self.get, key, default, version)

    async def aset(
        self, key: Any, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        await _there(self.set, key, value, timeout, version)

    async def aadd(
        self, key: Any, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        return await _there(self.add, key, value, timeout, version)

    async def atouch(self, key: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return await _there(self.touch, key, timeout, version)

    async def adelete(self, key: Any, version: int | None = None) -> bool:
        return await _there(self.delete, key, version)

    async def ahas_key(self, key: Any, version: int | None = None) -> bool:
        return await _there(self.has_key, key, version)

    async def aget_or_set(
        self, key: Any, default: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        # the default is made where it is asked for, as Django does: it may belong to the loop
        value = await self.aget(key, self._missing_key, version=version)
        if value is not self._missing_key:
            return value
        made = default() if callable(default) else default
        await self.aadd(key, made, timeout=timeout, version=version)
        return await self.aget(key, made, version=version)

    async def aincr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        return await _there(self.incr, key, delta, version)

    async def adecr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        return await _there(self.decr, key, delta, version)

    async def aincr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        return await _there(self.incr_version, key, delta, version)

    async def adecr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        return await _there(self.decr_version, key, delta, version)

    async def aget_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        return await _there(self.get_many, list(keys), version)

    async def aset_many(
        self, data: dict[Any, Any], timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        return await _there(self.set_many, data, timeout, version)

    async def adelete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        await _there(self.delete_many, list(keys), version)

    async def aclear(self) -> None:
        await _there(self.clear)

    async def aclose(self, **kwargs: Any) -> None:
        await _there(self.close, **kwargs)


async def _there(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    return await sync_to_async(call, thread_sensitive=True)(*args, **kwargs)
