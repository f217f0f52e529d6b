"""The in-process cache: bounded, made once, empty in a forked child, closed for good."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading

import pytest

from strongroom.caching.forklock import ForkLock
from strongroom.caching.limits import Limits
from strongroom.caching.local import LocalCache
from strongroom.errors import ClosedError, NotFoundError, SettingsError


def test_a_missing_value_is_made_once_and_then_found() -> None:
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        return name.upper()

    cache = LocalCache(make, entries=10)
    assert [cache["a"], cache["a"], cache["b"]] == ["A", "A", "B"]
    assert made == ["a", "b"]


def test_the_value_made_first_leaves_when_the_cache_is_full() -> None:
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        return name

    cache = LocalCache(make, entries=2)
    for name in ("a", "b", "c", "b", "a"):
        assert cache[name] == name
        assert len(cache) <= 2
    assert made == ["a", "b", "c", "a"]


def test_what_could_not_be_made_is_not_kept() -> None:
    def make(name: str) -> str:
        raise NotFoundError(f"no {name!r}")

    cache = LocalCache(make, entries=2)
    for _ in range(3):
        with pytest.raises(NotFoundError):
            cache["a"]
    assert len(cache) == 0


def test_a_closed_cache_holds_nothing_and_makes_nothing() -> None:
    cache = LocalCache(str.upper, entries=2)
    assert cache["a"] == "A"
    cache.close()
    cache.close()
    assert len(cache) == 0
    with pytest.raises(ClosedError):
        cache["a"]


def test_many_threads_that_ask_at_once_get_one_value() -> None:
    made: list[str] = []
    gate = threading.Barrier(8)

    def make(name: str) -> object:
        made.append(name)
        return object()

    cache = LocalCache(make, entries=2)
    got: list[object] = []

    def ask() -> None:
        gate.wait()
        got.append(cache["a"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == ["a"]
    assert len({id(value) for value in got}) == 1


def test_the_repr_shows_no_values() -> None:
    cache = LocalCache(lambda name: "canary", entries=2)
    assert cache["a"] == "canary"
    assert "canary" not in repr(cache)
    assert "'a'" not in repr(cache)


def test_a_forked_child_starts_empty_and_is_not_blocked_by_a_lock_that_a_thread_of_the_parent_held() -> None:
    program = textwrap.dedent(
        """
        import os, threading, time
        from strongroom.caching.local import LocalCache

        held = threading.Event()

        def make(name):
            if name == "slow":
                held.set()
                time.sleep(30)
            return name + str(os.getpid())

        cache = LocalCache(make, entries=10)
        parents = cache["a"]
        threading.Thread(target=lambda: cache["slow"], daemon=True).start()
        held.wait()
        child = os.fork()
        if child == 0:
            empty = len(cache) == 0
            own = cache["a"] == "a" + str(os.getpid())
            os._exit(0 if empty and own else 1)
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) if cache["a"] == parents else 2)
        """
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], timeout=20, check=False, env={**os.environ})
    assert done.returncode == 0


def test_a_fork_lock_is_reentrant() -> None:
    lock = ForkLock()
    with lock, lock:
        pass


@pytest.mark.parametrize("wrong", [{"entries": 0}, {"max_age": -1}, {"recheck": float("nan")}, {"grace": -0.1}])
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        Limits(**wrong)  # type: ignore[arg-type]  # that is the point
