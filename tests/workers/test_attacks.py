"""Who writes to the cache, holds a public key, or is a worker himself: nothing of his is taken for a publication."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strongroom._encoding import Timestamp, b64encode
from strongroom.caching.observing import LoggingObserver
from strongroom.caching.publication import HEAD, SKEW, compose, joined, key_hash, label, parse, signed
from strongroom.caching.publication_tokens import open_tokens
from strongroom.caching.worker import WorkerSource
from strongroom.errors import FormatError, NewerFormatError, NotPublishedError, PublicationError
from strongroom.keystore import workers
from strongroom.primitives.rsa import OaepPrivate, oaep_wrap
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.signing import Ed25519Private
from strongroom.sealing.identities import WorkerIdentity
from tests.workers.scenes import HandClock, Shelf, Site, source


def refusal(worker: WorkerSource) -> str:
    """The one reason for which a worker that has nothing refuses what lies there."""
    with pytest.raises(NotPublishedError):
        worker.load("box")
    assert isinstance(worker.observer, LoggingObserver)
    reasons = [event.removeprefix("refused.") for event in worker.observer.counts if event.startswith("refused.")]
    assert len(reasons) == 1
    assert worker.observer.counts["loaded"] == 0
    return reasons[0]


def test_what_was_published_opens_with_the_identity_alone(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    worker = source(web, Shelf(site.issue("web").raw), clock=clock)
    assert worker.names() == ("box",)
    opened = worker.load("box")
    assert opened.material(1) == site.keystore.sealed.load("box").material(1)
    assert opened.keyset.versions[0].key_id == site.keystore.show("box").versions[0].key_id


def test_a_publication_shows_no_name_and_no_material(site: Site, web: WorkerIdentity) -> None:
    raw = site.issue("web").raw
    material = site.keystore.sealed.load("box").material(1)
    assert b"box" not in raw.partition(b"\n")[0]
    assert b64encode(material.reveal()).encode() not in raw
    assert raw.isascii()


def test_swapped_tokens_are_refused(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    site.keystore.create("bot", "fernet")
    workers.grant(site.keystore, "web", ["bot"])
    raw = site.issue("web").raw
    publication = parse(raw)
    assert len(publication.tokens[0]) == len(publication.tokens[1])
    header, signature, body = raw.split(b"\n")
    swapped = b"\n".join((header, signature, publication.tokens[1] + publication.tokens[0]))
    assert len(body) == len(publication.tokens[0]) * 2
    assert refusal(source(web, Shelf(swapped), clock=clock)) == "hash"


def test_a_token_of_an_earlier_publication_is_refused(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    old = parse(site.issue("web").raw)
    clock.move(1)
    new = site.issue("web").raw
    header, signature, _ = new.split(b"\n")
    assert refusal(source(web, Shelf(b"\n".join((header, signature, old.tokens[0]))), clock=clock)) == "hash"


def test_a_replayed_older_publication_is_refused(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    old = site.issue("web").raw
    clock.move(5)
    shelf = Shelf(site.issue("web", force=True).raw)
    worker = source(web, shelf, clock=clock)
    worker.load("box")
    serial = worker.serial
    shelf.raw = old
    clock.move(5)
    worker.load("box")
    assert worker.serial == serial
    assert isinstance(worker.observer, LoggingObserver)
    assert worker.observer.counts["refused.serial"] == 1


def test_an_older_publication_in_the_head_of_a_newer_one_is_refused(
    site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    old = site.issue("web").raw
    clock.move(5)
    shelf = Shelf(site.issue("web").raw)
    worker = source(web, shelf, clock=clock)
    worker.load("box")
    shelf.raw = old.replace(b'"serial":1', b'"serial":9', 1)
    clock.move(5)
    worker.load("box")
    assert isinstance(worker.observer, LoggingObserver)
    assert worker.observer.counts["refused.signature"] == 1


def test_the_floor_that_a_setting_raises_holds_at_boot(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    issue = site.issue("web")
    assert refusal(source(web, Shelf(issue.raw), clock=clock, min_serial=issue.serial + 1)) == "serial"
    assert source(web, Shelf(issue.raw), clock=clock, min_serial=issue.serial).names() == ("box",)


def test_a_stretched_expiry_is_refused(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    raw = site.issue("web").raw
    document = json.loads(raw.partition(b"\n")[0])
    stretched = raw.replace(document["expires"].encode(), b"2099" + document["expires"].encode()[4:], 1)
    assert stretched != raw
    assert refusal(source(web, Shelf(stretched), clock=clock)) == "signature"


def test_an_expired_one_is_refused_and_the_skew_is_borne(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    issue = site.issue("web", life=60)
    clock.wall = issue.expires + SKEW - 1
    assert source(web, Shelf(issue.raw), clock=clock).names() == ("box",)
    clock.wall = issue.expires + SKEW
    assert refusal(source(web, Shelf(issue.raw), clock=clock)) == "expired"


def test_one_from_the_future_is_refused_and_the_skew_is_borne(
    site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    issued = clock.wall
    issue = site.issue("web")
    clock.wall = issued - SKEW
    assert source(web, Shelf(issue.raw), clock=clock).names() == ("box",)
    clock.wall = issued - SKEW - 1
    assert refusal(source(web, Shelf(issue.raw), clock=clock)) == "future"


def test_another_groups_publication_is_refused(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    site.group("batch", key=0)  # even under the same key pair
    workers.grant(site.keystore, "batch", ["box"])
    assert refusal(source(web, Shelf(site.issue("batch").raw), clock=clock)) == "group"


def test_another_stores_publication_is_refused(site: Site, web: WorkerIdentity, clock: HandClock, place: Path) -> None:
    other = Site.make(place / "other", clock)
    other.group("web", key=0)
    other.keystore.create("box", "fernet")
    workers.grant(other.keystore, "web", ["box"])
    assert refusal(source(web, Shelf(other.issue("web").raw), clock=clock)) == "signature"
    other.keystore.close()


def test_another_key_of_the_group_is_told_apart_before_it_is_tried(
    site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    workers.remove_worker(site.keystore, "web")
    site.group("web", key=1)
    workers.grant(site.keystore, "web", ["box"])
    assert refusal(source(web, Shelf(site.issue("web").raw), clock=clock)) == "key-hash"


def forged(web: WorkerIdentity, seed: SecretBytes, raw: bytes, *, store: bytes | None = None) -> bytes:
    """A publication that somebody made for the right public key, and signed with a key of his own."""
    true = parse(raw)
    header = compose(
        serial=true.serial + 1,
        store=true.store,
        group=true.group,
        key=key_hash(web.public),
        issued=true.issued,
        expires=Timestamp(true.expires + 86_400_000),
        wrapped=oaep_wrap(web.public, SecretBytes(bytes(32)), label=label(true.store, true.group, true.serial + 1)),
        ledger=true.ledger,
        tokens=true.tokens,
    )
    return joined(header, Ed25519Private(seed, b"").sign(signed(header)), true.tokens)


def test_an_outsiders_publication_for_the_right_public_key_is_refused(
    site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    made = forged(web, SecretBytes(b"outsider" * 4), site.issue("web").raw)
    assert refusal(source(web, Shelf(made), clock=clock)) == "signature"


def test_a_worker_of_the_group_cannot_publish_to_it(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    true = site.issue("web").raw
    publication = parse(true)
    key = publication.key_for(OaepPrivate(web.private))  # a worker has it, and what it opens
    assert set(open_tokens(publication, key)) == {"box"}
    made = forged(web, key, true)  # but signs with no key that the issuer has
    assert refusal(source(web, Shelf(made), clock=clock)) == "signature"


def test_what_the_issuer_signed_for_another_place_is_refused_by_its_token(
    site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    """Even a holder's mistake, a token under the right key from another publication, is found."""
    true = parse(site.issue("web").raw)
    key = true.key_for(OaepPrivate(web.private))
    seed = site.keystore.sealed.load("strongroom.issuer").material(1)
    serial = true.serial + 1
    header = compose(
        serial=serial,
        store=true.store,
        group=true.group,
        key=true.key,
        issued=true.issued,
        expires=true.expires,
        wrapped=oaep_wrap(web.public, key, label=label(true.store, true.group, serial)),
        ledger=true.ledger,
        tokens=true.tokens,
    )
    raw = joined(header, Ed25519Private(seed, b"").sign(signed(header)), true.tokens)
    assert refusal(source(web, Shelf(raw), clock=clock)) == "contents"
    wrong = header.replace(b64encode(true.store).encode(), b64encode(bytes(16)).encode())
    raw = joined(wrong, Ed25519Private(seed, b"").sign(signed(wrong)), true.tokens)
    assert refusal(source(web, Shelf(raw), clock=clock)) == "store"


def test_a_key_that_was_wrapped_for_another_serial_does_not_open(
    site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    true = parse(site.issue("web").raw)
    seed = site.keystore.sealed.load("strongroom.issuer").material(1)
    header = true.header.replace(b'"serial":%d' % true.serial, b'"serial":%d' % (true.serial + 1))
    raw = joined(header, Ed25519Private(seed, b"").sign(signed(header)), true.tokens)
    assert refusal(source(web, Shelf(raw), clock=clock)) == "key"


@pytest.mark.parametrize(
    "raw",
    [
        b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94\x8c\x06system\x94\x93.",
        b"{}",
        b'{"format":"strongroom/1 publication"}',
        b"\n\n\n",
        b"[" * 100_000,
    ],
    ids=["pickle", "object", "fields missing", "empty lines", "deep"],
)
def test_what_is_no_publication_is_refused_as_such(web: WorkerIdentity, clock: HandClock, raw: bytes) -> None:
    assert refusal(source(web, Shelf(raw), clock=clock)) == "format"


def test_a_newer_format_is_named(site: Site, web: WorkerIdentity) -> None:
    raw = site.issue("web").raw.replace(b"strongroom/1", b"strongroom/4", 1)
    with pytest.raises(NewerFormatError, match="format 4"):
        parse(raw)


def test_a_publication_has_one_spelling(site: Site, web: WorkerIdentity) -> None:
    raw = site.issue("web").raw
    for other in (
        raw + b"A",
        raw[:-1],
        raw.replace(b"\n", b"\r\n", 1),
        raw.replace(b'","', b'", "', 1),
        raw.replace(b'"serial":', b'"serial":0', 1),
        raw.replace(b'"tokens":[[0,', b'"tokens":[[1,', 1),
    ):
        assert other != raw
        with pytest.raises(FormatError):
            parse(other)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_bit_of_a_publication_can_be_flipped(
    site: Site, web: WorkerIdentity, clock: HandClock, data: st.DataObject
) -> None:
    raw = bytearray(site.issue("web").raw)
    at = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[at // 8] ^= 1 << (at % 8)
    with pytest.raises(NotPublishedError):
        source(web, Shelf(bytes(raw)), clock=clock).load("box")


def test_the_head_that_is_compared_holds_the_serial(site: Site, web: WorkerIdentity) -> None:
    first, second = site.issue("web"), site.issue("web", site.issue("web").raw, force=True)
    assert second.serial == first.serial + 1
    assert first.raw[:HEAD] != second.raw[:HEAD]


def test_a_refusal_names_its_reason(site: Site, web: WorkerIdentity) -> None:
    publication = parse(site.issue("web").raw)
    with pytest.raises(PublicationError) as caught:
        publication.key_for(OaepPrivate(SecretBytes(_other_key())))
    assert caught.value.reason == "key"


def _other_key() -> bytes:
    from tests.workers.scenes import private_key

    return private_key(7).reveal()
