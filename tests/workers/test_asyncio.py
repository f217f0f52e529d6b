"""In asyncio what waits, waits in a thread: the loop goes on, and a handle that is at hand is given at once."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

import strongroom
from strongroom._clock import SYSTEM_CLOCK
from strongroom.errors import ClosedError, NotGrantedError, NotPublishedError, PurposeError, StrongroomError
from strongroom.keystore import publishing, workers
from strongroom.keystore.facade import KeyStore
from strongroom.sealing.identities import WorkerIdentity, write_identity
from tests.workers.scenes import HandClock, Shelf, Site, source
from tests.workers.test_on_both import KINDS


def run(what: Coroutine[Any, Any, None]) -> None:
    asyncio.run(what)


@pytest.fixture
def place_of_all(place: Path) -> Path:
    """A site whose worker has every kind of keyset, published into a file."""
    site = Site.make(place / ".strongroom", SYSTEM_CLOCK)
    for name, (kind, purpose) in KINDS.items():
        site.keystore.create(name, kind, purpose=purpose)
    write_identity(place / "web.identity", site.group("web"))
    workers.grant(site.keystore, "web", list(KINDS))
    publishing.publish(site.keystore, out=place / "p")
    site.keystore.close()
    return place


def test_every_handle_has_a_twin(place_of_all: Path) -> None:
    async def app() -> None:
        opening = strongroom.aopen(f"file:{place_of_all}/p", identity=place_of_all / "web.identity", environ={})
        async with opening as ks:
            box = await ks.afernet("box")
            assert box is ks.fernet("box")
            assert box.decrypt(box.encrypt(b"x")) == b"x"
            assert await ks.aaead("cells") is ks.aead("cells")
            assert await ks.amac("tag") is ks.mac("tag")
            assert await ks.asigner("sig") is ks.signer("sig")
            assert await ks.averifier("sig") is ks.verifier("sig")
            assert await ks.ahybrid("mail") is ks.hybrid("mail")
            assert await ks.asecret("words") is ks.secret("words")
            private, public = await ks.aprivate_key("sig"), await ks.apublic_key("sig")
            assert private.public_key() == public  # type: ignore[union-attr]  # an Ed25519 pair
            assert set(await ks.anames()) == set(KINDS)
            assert (await ks.ashow("box")).name == "box"
            with pytest.raises(NotGrantedError):
                await ks.afernet("payroll")
            with pytest.raises(PurposeError):
                await ks.aaead("box")
        assert ks.closed
        with pytest.raises(ClosedError):
            await ks.afernet("box")

    run(app())


def test_an_opening_may_be_awaited(place_of_all: Path) -> None:
    async def app() -> None:
        ks = await strongroom.aopen("memory:")
        assert isinstance(ks, KeyStore)
        await asyncio.to_thread(ks.create, "box", "fernet")
        assert (await ks.afernet("box")).version == 1
        await ks.aclose()
        await ks.aclose()

    run(app())


def test_the_loop_goes_on_while_an_opening_waits(place_of_all: Path) -> None:
    async def app() -> None:
        waiting = asyncio.ensure_future(nothing_published())
        beats = 0
        while not waiting.done():
            await asyncio.sleep(0.01)
            beats += 1
        with pytest.raises(NotPublishedError):
            await waiting
        assert beats > 5

    async def nothing_published() -> None:
        identity = place_of_all / "web.identity"
        await strongroom.aopen(f"file:{place_of_all}/none", identity=identity, environ={"STRONGROOM_TIMEOUT": "1s"})

    run(app())


def test_the_loop_goes_on_while_a_place_is_slow(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    class Slow(Shelf):
        def head(self) -> bytes:
            import time

            time.sleep(0.5)
            return super().head()

    async def app() -> None:
        shelf = Slow(site.issue("web").raw)
        with KeyStore(source(web, shelf, clock=clock), clock=clock) as ks:
            asking = asyncio.ensure_future(ks.afernet("box"))
            beats = 0
            while not asking.done():
                await asyncio.sleep(0.005)
                beats += 1
            assert (await asking).version == 1
            assert beats > 3
            assert shelf.heads == 1
            assert await ks.afernet("box") is await asking
            assert shelf.heads == 1

    run(app())


def test_many_coroutines_make_one_handle(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    async def app() -> None:
        shelf = Shelf(site.issue("web").raw)
        with KeyStore(source(web, shelf, clock=clock), clock=clock) as ks:
            made = await asyncio.gather(*(ks.afernet("box") for _ in range(50)))
            assert len(set(map(id, made))) == 1
            assert shelf.reads == 1

    run(app())


def test_a_passphrase_is_in_no_frame_that_is_shown(place_of_all: Path) -> None:
    async def app() -> None:
        with pytest.raises(StrongroomError) as caught:
            await strongroom.aopen(place_of_all / ".strongroom", passphrase="violet anchor 42 drums", environ={})
        told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        frames = [frame for frame in told.stack if __file__ not in frame.filename]
        assert frames
        assert "violet" not in repr([frame.locals for frame in frames])

    run(app())
    assert "violet" not in repr(strongroom.aopen(passphrase="violet anchor 42 drums"))
