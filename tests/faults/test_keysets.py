"""Acts on keysets, worker groups, the witness and policies, at whose n-th step the disk fails or the process dies."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path

import pytest

from strongroom._clock import SYSTEM_CLOCK
from strongroom._encoding import Timestamp
from strongroom.errors import StoreError
from strongroom.keystore import workers
from strongroom.keystore.destruction import destroy_due
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_store
from strongroom.keystore.publishing import publish
from tests.faults.enduring import WHOLE, Endured, Standing, files
from tests.merging.scenes import Clone

pytestmark = [pytest.mark.machine, pytest.mark.slow]

Act = Callable[[KeyStore], object]
DAY = 86_400


class Ahead:
    """The system's clock, some days later."""

    def __init__(self, days: int) -> None:
        self._ahead = days * DAY * 1000

    def now(self) -> Timestamp:
        return Timestamp(SYSTEM_CLOCK.now() + self._ahead)

    def monotonic(self) -> float:
        return SYSTEM_CLOCK.monotonic()


def two_versions(keystore: KeyStore) -> None:
    keystore.rotate("box", now=True)


def doomed(keystore: KeyStore) -> None:
    two_versions(keystore)
    keystore.doom("box", 1, wait_s=7 * DAY, reason="old")


def suspended(keystore: KeyStore) -> None:
    keystore.suspend("box", 1, reason="a doubt")


def nothing(_: KeyStore) -> None:
    pass


ACTS: dict[str, tuple[Act, Act]] = {
    "create": (nothing, lambda ks: ks.create("deep/new", "fernet", labels={"owner": "me"})),
    "import": (nothing, lambda ks: ks.import_key("password", b"hunter2", "secret")),
    "rotate": (nothing, lambda ks: ks.rotate("box")),
    "add": (nothing, lambda ks: ks.add("box")),
    "promote": (lambda ks: ks.add("box"), lambda ks: ks.promote("box", 2)),
    "suspend": (nothing, lambda ks: ks.suspend("box", 1, reason="a doubt")),
    "resume": (suspended, lambda ks: ks.resume("box", 1)),
    "deactivate": (two_versions, lambda ks: ks.deactivate("box", 1, reason="old")),
    "compromise": (nothing, lambda ks: ks.compromise("box", 1, reason="leaked")),
    "policy": (nothing, lambda ks: ks.set_policy("box", originator="700d", max_messages=1000)),
    "labels": (nothing, lambda ks: ks.set_labels("box", {"owner": "registrar"})),
    "doom": (two_versions, lambda ks: ks.doom("box", 1, wait_s=7 * DAY, reason="old")),
    "doom-all": (two_versions, lambda ks: ks.doom("box", None, wait_s=7 * DAY, reason="old")),
    "spare": (doomed, lambda ks: ks.spare("box", 1)),
    "destroy": (doomed, destroy_due),
}


def enduring(here: Clone, tmp_path: Path, before: Act, act: Act, *, days: int = 0, **more: object) -> Endured:
    """An act in a freshly opened store; the state before it is made first."""

    def opened() -> KeyStore:
        return open_store(here.directory, environ=here.environ, clock=Ahead(days))

    def done() -> None:
        with opened() as keystore:
            result = act(keystore)
            for each in result if isinstance(result, tuple) else ():
                if getattr(each, "problem", ""):
                    raise StoreError(each.problem)

    standing = Standing()

    def state() -> Hashable:
        with opened() as keystore:
            return standing.of(keystore)

    with open_store(here.directory, environ=here.environ) as keystore:
        before(keystore)
    work = tmp_path / "work"
    work.mkdir()
    places = (here.directory, here.state, tmp_path / "out")
    return Endured(act=done, state=state, places=places, work=work, **more)  # type: ignore[arg-type]  # as it says


USUAL = ("create", "rotate", "compromise", "destroy")  # all of them go through one door


@pytest.mark.parametrize("name", ACTS if WHOLE else USUAL)
def test_an_act_on_a_keyset(here: Clone, tmp_path: Path, name: str) -> None:
    before, act = ACTS[name]
    enduring(here, tmp_path, before, act, days=8 if name == "destroy" else 0, every=3).endure()


def granted(keystore: KeyStore, out: Path) -> None:
    workers.create_worker(keystore, "web", out / "web.identity", bits=2048)
    workers.grant(keystore, "web", ["box"])


GROUP_ACTS: dict[str, Callable[[KeyStore, Path], object]] = {
    "create": lambda ks, out: workers.create_worker(ks, "mail", out / "mail.identity", bits=2048),
    "grant": lambda ks, _: workers.grant(ks, "web", ["columns"]),
    "revoke": lambda ks, _: workers.revoke(ks, "web", ["box"]),
    "rotate": lambda ks, out: workers.rotate_worker(ks, "web", out / "web.2.identity", bits=2048),
    "remove": lambda ks, _: workers.remove_worker(ks, "web"),
    "publish": lambda ks, out: publish(ks, ["web"], out=out / "web.publication", force=True),
}


@pytest.mark.parametrize("name", GROUP_ACTS)
def test_an_act_on_a_worker_group(here: Clone, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    act = GROUP_ACTS[name]
    made = enduring(here, tmp_path, lambda ks: granted(ks, out), lambda ks: act(ks, out))
    inner = made.state

    def state() -> Hashable:
        """The store, the identity files, and which of them are those of the groups."""
        return inner(), files(out)

    def tidy() -> None:
        for each in ("mail.identity", "web.2.identity"):
            (out / each).unlink(missing_ok=True)

    made.state, made.tidy, made.halves = state, tidy, True
    made.every = 4 if name in {"create", "rotate"} else 2  # each of the two draws an RSA key
    made.endure()
