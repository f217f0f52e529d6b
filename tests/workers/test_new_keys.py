"""A group's key is rotated, or is the worker's own: one identity opens what is published, and the old one does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.errors import ExistsError, NotPublishedError, PolicyError
from strongroom.keystore import workers
from strongroom.keystore.facade import KeyStore
from strongroom.primitives import rsa
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.identities import RsaIdentity, WorkerIdentity, identity_from_file
from tests.workers.scenes import HandClock, Shelf, Site, private_key, source


def test_a_rotated_group_has_a_new_identity_and_keeps_its_grants(
    site: Site,
    web: WorkerIdentity,
    place: Path,
    clock: HandClock,
) -> None:
    shelf = Shelf(site.issue("web").raw)
    running = source(web, shelf, clock=clock)
    running.load("box")
    made = workers.rotate_worker(site.keystore, "web", place / "new.identity", bits=2048)
    assert made.identity == place / "new.identity"
    renewed = identity_from_file(place / "new.identity")
    assert isinstance(renewed, WorkerIdentity)
    assert renewed.public != web.public
    assert (renewed.store, renewed.issuer, renewed.group) == (web.store, web.issuer, "web")
    clock.move(2)
    shelf.raw = site.issue("web", shelf.raw).raw  # a new key is a change: it is published
    clock.move(2)
    assert running.load("box").material(1)  # what it has it keeps
    with pytest.raises(NotPublishedError, match="made for another key of the group"):
        source(web, shelf, clock=clock).load("box")
    with KeyStore(source(renewed, shelf, clock=clock), clock=clock) as keystore:
        assert keystore.fernet("box").decrypt(site.keystore.fernet("box").encrypt(b"x")) == b"x"


def test_a_rotation_that_fails_leaves_the_group_and_no_file(site: Site, web: WorkerIdentity, place: Path) -> None:
    before = site.read("web")
    (place / "there").write_text("something")
    with pytest.raises(ExistsError):
        workers.rotate_worker(site.keystore, "web", place / "there", bits=2048)
    with pytest.raises(PolicyError, match="whoever has the repository"):
        workers.rotate_worker(site.keystore, "web", site.directory / "x.identity", bits=2048)
    with pytest.raises(PolicyError, match="that is the key"):
        workers.rotate_worker(site.keystore, "web", public=web.public)
    assert site.read("web") == before
    assert (place / "there").read_text() == "something"


def test_a_key_of_ones_own_leaves_its_private_half_where_it_is(site: Site, place: Path, clock: HandClock) -> None:
    private = private_key(3)
    public = rsa.public_der(rsa.load_sealed(SecretBytes(rsa.VALIDATED + private.reveal())))
    made = workers.create_worker(site.keystore, "own", public=public)
    assert made.identity is None
    assert list(place.glob("*.identity")) == []
    pair = RsaIdentity(name="pem", public=public, private=private)
    workers.join(pair, place / "own.identity", group="own", store=made.store, issuer=made.issuer)
    identity = identity_from_file(place / "own.identity")
    assert isinstance(identity, WorkerIdentity)
    assert source(identity, Shelf(site.issue("own").raw), clock=clock).names() == ()
