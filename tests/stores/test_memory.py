"""The store in memory keeps the contract."""

from __future__ import annotations

from strongroom.stores.base import Store
from strongroom.stores.memory import MemoryStore
from strongroom.testing.contracts import StoreContract


class TestMemoryStore(StoreContract):
    def make_store(self) -> Store:
        return MemoryStore()
