"""Publishing writes what has changed, and nothing older, stale or exposed."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom._encoding import b64encode
from strongroom.caching.publication import MAX_HEADER, MAX_KEYSETS, MAX_PUBLICATION, compose, joined, parse, signed
from strongroom.caching.publisher import LIFE, WATCH_LIFE
from strongroom.errors import (
    ClosedError,
    ExposedRootError,
    FormatError,
    NotFoundError,
    NotGrantedError,
    PolicyError,
    StaleError,
)
from strongroom.keystore import publishing, workers
from strongroom.keystore.facade import KeyStore
from strongroom.primitives.signing import Ed25519Private
from strongroom.sealing.identities import WorkerIdentity
from tests.workers.scenes import HandClock, Shelf, Site, source


def test_with_nothing_changed_and_over_half_of_its_life_left_it_is_the_same(
    site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    first = site.issue("web")
    clock.move(LIFE / 2 - 1)
    again = site.issue("web", first.raw)
    assert (again.fresh, again.raw) == (False, first.raw)
    clock.move(1)
    renewed = site.issue("web", first.raw)
    assert renewed.fresh
    assert renewed.serial > first.serial


def test_one_that_lives_longer_than_was_asked_for_is_replaced(site: Site, web: WorkerIdentity) -> None:
    first = site.issue("web", life=LIFE)
    assert site.issue("web", first.raw, life=WATCH_LIFE).fresh


@pytest.mark.parametrize(
    "change",
    [
        lambda site: site.keystore.rotate("box"),
        lambda site: site.keystore.suspend("box", 1, reason="x"),
        lambda site: workers.revoke(site.keystore, "web", ["box"]),
        lambda site: workers.grant(site.keystore, "web", ["sig"], public=True),
        lambda site: workers.grant(site.keystore, "web", ["sig"]),
    ],
    ids=["rotate", "suspend", "revoke", "grant --public", "grant"],
)
def test_every_change_is_published(site: Site, web: WorkerIdentity, change: object) -> None:
    site.keystore.create("sig", "ed25519")
    first = site.issue("web")
    assert callable(change)
    change(site)
    assert site.issue("web", first.raw).fresh


def test_the_serial_is_the_clock_or_one_more_than_the_last(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    clock.move(7_200)
    first = site.issue("web")
    assert first.serial == clock.now()
    clock.wall -= 3_600_000
    assert site.issue("web", first.raw, force=True).serial == first.serial + 1


def test_a_serial_that_nobody_signed_moves_nothing(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    planted = site.issue("web").raw.replace(b'"serial":1', b'"serial":9', 1)
    assert site.issue("web", planted, b"junk").serial == clock.now()


def test_an_older_record_than_the_published_one_is_refused(site: Site, web: WorkerIdentity) -> None:
    path = site.keystore.path_of("box")
    assert path is not None
    before = path.read_bytes()
    site.keystore.rotate("box")
    published = site.issue("web").raw
    path.write_bytes(before)  # a git checkout, say
    with pytest.raises(StaleError, match=r"box \(revision 2, here 1\)"):
        site.issue("web", published)
    assert site.issue("web", published, force=True).fresh


def test_an_older_grant_than_the_published_one_is_refused(site: Site, web: WorkerIdentity) -> None:
    path = site.directory / "workers" / "web.json"
    before = path.read_bytes()
    workers.revoke(site.keystore, "web", ["box"])
    published = site.issue("web").raw
    path.write_bytes(before)  # who writes to the repository would have the grant back
    with pytest.raises(StaleError, match="the group itself"):
        site.issue("web", published)


def test_an_exposed_root_publishes_nothing(site: Site, web: WorkerIdentity) -> None:
    (site.directory / "root.1").write_text("in the clear")
    with KeyStore(site.keystore.sealed, clock=site.clock, base=site.directory) as again:
        again.sealed.replace_header(again.sealed.header)
        with pytest.raises(ExposedRootError):
            site.issue("web")


def test_a_granted_keyset_that_is_gone_is_named(site: Site, web: WorkerIdentity) -> None:
    path = site.keystore.path_of("box")
    assert path is not None
    path.unlink()
    with pytest.raises(NotFoundError, match="'box' is granted and not there"):
        site.issue("web")


@pytest.mark.parametrize("life", [0, 9, 91 * 86_400])
def test_a_life_has_bounds(site: Site, web: WorkerIdentity, life: int) -> None:
    with pytest.raises(PolicyError):
        site.issue("web", life=life)


def test_a_publication_beyond_the_limits_is_not_made(site: Site, web: WorkerIdentity) -> None:
    with pytest.raises(PolicyError, match=f"the limit is {MAX_PUBLICATION}"):
        joined(b"header", bytes(64), [bytes(MAX_PUBLICATION)])
    true = parse(site.issue("web").raw)
    with pytest.raises(PolicyError, match="carries 10000"):
        compose(
            serial=1,
            store=true.store,
            group="web",
            key=true.key,
            issued=true.issued,
            expires=true.expires,
            wrapped=b"",
            ledger=b"",
            tokens=[b""] * (MAX_KEYSETS + 1),
        )


def test_a_publication_above_the_limits_is_not_read(site: Site, web: WorkerIdentity) -> None:
    raw = site.issue("web").raw
    many = raw.replace(b'"tokens":[', b'"tokens":[' + b'[0,0,""],' * (MAX_KEYSETS + 1), 1)
    for large in (raw + bytes(MAX_PUBLICATION), bytes(MAX_HEADER + 1) + raw, many):
        with pytest.raises(FormatError, match="the limit is"):
            parse(large)
    with pytest.raises(PolicyError, match="the header would have"):
        joined(bytes(MAX_HEADER + 1), bytes(64), [])


def test_the_public_halves_alone_verify_and_do_not_sign(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    site.keystore.create("sig", "ed25519")
    site.keystore.create("mac", "hmac-sha256")
    with pytest.raises(PolicyError, match="no public half"):
        workers.grant(site.keystore, "web", ["mac"], public=True)
    workers.grant(site.keystore, "web", ["sig"], public=True)
    signature = site.keystore.signer("sig").sign(b"message")
    with KeyStore(source(web, Shelf(site.issue("web").raw), clock=clock), clock=clock) as keystore:
        keystore.verifier("sig").verify(signature, b"message")
        for raw in (lambda: keystore.signer("sig"), lambda: keystore.private_key("sig")):
            with pytest.raises(NotGrantedError, match="only the public halves"):
                raw()


def test_a_watch_goes_on_after_a_trouble(site: Site, web: WorkerIdentity, place: Path) -> None:
    path = site.keystore.path_of("box")
    assert path is not None
    record = path.read_bytes()
    rounds = publishing.watch(site.keystore, to=[f"file:{place}/p"])
    first = next(rounds)
    assert isinstance(first, tuple)
    assert first[0].expires == site.clock.now() + WATCH_LIFE * 1000
    path.unlink()
    assert isinstance(next(rounds), NotFoundError)
    path.write_bytes(record)
    (place / "p").unlink()
    again = next(rounds)
    assert isinstance(again, tuple)
    assert again[0].written == (f"file:{place}/p",)
    idle = next(rounds)
    assert isinstance(idle, tuple)
    assert idle[0].written == ()
    site.keystore.close()
    with pytest.raises(ClosedError):
        next(rounds)


def test_what_was_published_under_another_root_may_be_newer(site: Site, web: WorkerIdentity) -> None:
    true = parse(site.issue("web").raw)
    seed = site.keystore.sealed.load("strongroom.issuer").material(1)
    header = true.header.replace(b64encode(true.ledger).encode(), b64encode(bytes(len(true.ledger))).encode())
    assert header != true.header
    other = joined(header, Ed25519Private(seed, b"").sign(signed(header)), true.tokens)
    with pytest.raises(StaleError, match="under another root"):
        site.issue("web", other)
    assert site.issue("web", other, force=True).serial > true.serial
