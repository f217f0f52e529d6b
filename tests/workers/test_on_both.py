"""One suite for both: application code runs the same in a holder and in a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.errors import DecryptionError, PurposeError, SignatureError, StateError
from strongroom.keystore import workers
from strongroom.keystore.facade import KeyStore
from strongroom.model.types import KeyType, Purpose
from tests.workers.scenes import HandClock, Shelf, Site, source

KINDS = {
    "box": (KeyType.FERNET, None),
    "cells": (KeyType.AES256_GCM, None),
    "wide": (KeyType.XAES256_GCM, None),
    "tag": (KeyType.HMAC_SHA256, None),
    "sig": (KeyType.ED25519, None),
    "p256": (KeyType.ECDSA_P256, None),
    "rsa": (KeyType.RSA_2048, Purpose.ENCRYPT),
    "mail": (KeyType.X25519, None),
    "xwing": (KeyType.MLKEM768_X25519, None),
    "words": (KeyType.SECRET, None),
}


class Application:
    """A keystore as the application has it, and what its holder does elsewhere."""

    def __init__(self, site: Site, kind: str) -> None:
        self.site = site
        self.shelf: Shelf | None = None
        self.keystore = site.keystore
        if kind == "worker":
            identity = site.group("web")
            workers.grant(site.keystore, "web", list(KINDS))
            self.shelf = Shelf(site.issue("web").raw)
            self.keystore = KeyStore(source(identity, self.shelf, clock=site.clock), clock=site.clock)

    def changed(self) -> None:
        """The holder has changed something: it is published, and a second passes."""
        if self.shelf is not None:
            self.shelf.raw = self.site.issue("web", self.shelf.raw).raw
        assert isinstance(self.site.clock, HandClock)
        self.site.clock.move(1.5)


@pytest.fixture(params=["holder", "worker"])
def app(request: pytest.FixtureRequest, place: Path, clock: HandClock) -> Iterator[Application]:
    site = Site.make(place / ".strongroom", clock)
    for name, (kind, purpose) in KINDS.items():
        site.keystore.create(name, kind, purpose=purpose)
    made = Application(site, request.param)
    yield made
    made.keystore.close()
    site.keystore.close()


def test_every_handle_does_its_work(app: Application) -> None:
    ks = app.keystore
    assert ks.fernet("box").decrypt(ks.fernet("box").encrypt(b"x")) == b"x"
    for name in ("cells", "wide"):
        assert ks.aead(name).decrypt(ks.aead(name).encrypt(b"x", b"ad"), b"ad") == b"x"
    ks.mac("tag").verify(ks.mac("tag").compute(b"x"), b"x")
    for name in ("sig", "p256"):
        ks.verifier(name).verify(ks.signer(name).sign(b"x"), b"x")
        assert ks.public_key(name) == ks.private_key(name).public_key()  # type: ignore[union-attr]  # both have one
    for name in ("mail", "xwing"):
        assert ks.hybrid(name).decrypt(ks.hybrid(name).encrypt(b"x", b"context"), b"context") == b"x"
    assert ks.hybrid("rsa").decrypt(ks.hybrid("rsa").encrypt(b"x", None), None) == b"x"
    assert ks.private_key("rsa").public_key() == ks.public_key("rsa")  # type: ignore[union-attr]  # as above
    assert len(ks.secret("words").reveal()) == 64


def test_the_inventory_is_the_same(app: Application) -> None:
    assert set(KINDS) <= set(app.keystore.names())
    assert "box" in app.keystore
    assert app.keystore.show("box").type is KeyType.FERNET
    assert set(KINDS) <= {keyset.name for keyset in app.keystore.list()}


def test_a_holder_and_a_worker_read_each_other(app: Application) -> None:
    token = app.site.keystore.fernet("box").encrypt(b"from the holder")
    assert app.keystore.fernet("box").decrypt(token) == b"from the holder"
    sealed = app.keystore.aead("cells").encrypt(b"to the holder", b"")
    assert app.site.keystore.aead("cells").decrypt(sealed, b"") == b"to the holder"


def test_a_held_handle_follows_a_rotation(app: Application) -> None:
    box = app.keystore.fernet("box")
    old = box.encrypt(b"before")
    app.site.keystore.rotate("box")
    app.changed()
    assert box.version == 2
    assert box.decrypt(old) == b"before"
    assert app.site.keystore.fernet("box").decrypt(box.encrypt(b"after")) == b"after"


def test_a_planned_promotion_comes_by_itself(app: Application) -> None:
    app.site.keystore.create("slow", "fernet", propagation="60s")
    if app.shelf is not None:
        workers.grant(app.site.keystore, "web", ["slow"])
    app.changed()
    box = app.keystore.fernet("slow")
    app.site.keystore.rotate("slow")
    app.changed()
    assert box.version == 1
    assert isinstance(app.site.clock, HandClock)
    app.site.clock.move(60)  # nothing is published meanwhile
    assert box.version == 2


def test_a_suspended_version_does_nothing(app: Application) -> None:
    box = app.keystore.fernet("box")
    token = box.encrypt(b"x")
    app.site.keystore.suspend("box", 1, reason="a test")
    app.changed()
    with pytest.raises(StateError):
        box.encrypt(b"y")
    with pytest.raises(DecryptionError):
        box.decrypt(token)
    app.site.keystore.resume("box", 1)
    app.changed()
    assert box.decrypt(token) == b"x"


def test_a_compromised_version_opens_only_when_asked(app: Application) -> None:
    box = app.keystore.fernet("box")
    token = box.encrypt(b"x")
    app.site.keystore.compromise("box", 1, reason="a test")
    app.changed()
    with pytest.raises(DecryptionError):
        box.decrypt(token)
    assert box.decrypt(token, compromised_too=True) == b"x"
    assert box.version == 2


def test_a_handle_of_another_purpose_is_refused(app: Application) -> None:
    with pytest.raises(PurposeError):
        app.keystore.aead("box")
    with pytest.raises(SignatureError):
        app.keystore.verifier("sig").verify(bytes(69), b"x")


def test_an_output_of_a_version_that_is_news_opens_at_once(app: Application) -> None:
    """A rotation with no propagation reaches a reader before he would have asked again."""
    ks, holder = app.keystore, app.site.keystore
    handles = {
        "box": lambda at: at.fernet("box"),
        "cells": lambda at: at.aead("cells"),
        "tag": lambda at: at.mac("tag"),
        "mail": lambda at: at.hybrid("mail"),
        "rsa": lambda at: at.hybrid("rsa"),
    }
    for made in handles.values():
        assert made(ks).version == 1
    verifier = ks.verifier("sig")
    verifier.verify(holder.signer("sig").sign(b"x"), b"x")
    app.site.clock.move(1.5)  # type: ignore[attr-defined]  # it is a HandClock
    for made in handles.values():
        assert made(ks).version == 1
    verifier.verify(holder.signer("sig").sign(b"x"), b"x")
    for name in (*handles, "sig"):
        holder.rotate(name, now=True)
    if app.shelf is not None:
        app.shelf.raw = app.site.issue("web", app.shelf.raw).raw
    # no time has passed
    assert ks.fernet("box").decrypt(holder.fernet("box").encrypt(b"x")) == b"x"
    assert ks.aead("cells").decrypt(holder.aead("cells").encrypt(b"x", b"ad"), b"ad") == b"x"
    ks.mac("tag").verify(holder.mac("tag").compute(b"x"), b"x")
    assert ks.hybrid("mail").decrypt(holder.hybrid("mail").encrypt(b"x", b""), b"") == b"x"
    assert ks.hybrid("rsa").decrypt(holder.hybrid("rsa").encrypt(b"x", None), None) == b"x"
    verifier.verify(holder.signer("sig").sign(b"x"), b"x")


def test_what_opens_nowhere_asks_once_a_second_and_no_more(app: Application) -> None:
    box = app.keystore.fernet("box")
    app.site.keystore.create("other", "fernet")
    foreign = app.site.keystore.fernet("other").encrypt(b"x")
    before = 0 if app.shelf is None else app.shelf.heads
    for _ in range(200):
        with pytest.raises(DecryptionError):
            box.decrypt(foreign)
    if app.shelf is not None:
        assert app.shelf.heads <= before + 1


def test_a_destroyed_version_is_gone_everywhere(app: Application) -> None:
    holder = app.site.keystore
    box = app.keystore.fernet("box")
    old = box.encrypt(b"x")
    holder.rotate("box", now=True)
    holder._life.doom("box", 1, wait_s=7 * 86_400, reason="a test")
    app.changed()
    assert box.decrypt(old) == b"x"  # it may be spared until its time comes
    app.site.clock.move(8 * 86_400)  # type: ignore[attr-defined]  # it is a HandClock
    holder._life.destroy("box", [1])
    app.changed()
    with pytest.raises(DecryptionError):
        box.decrypt(old)
    assert box.decrypt(box.encrypt(b"y")) == b"y"
    assert app.keystore.show("box").versions[0].sealed is None
    with pytest.raises(StateError):
        app.keystore.source.load("box").material(1)
