"""The issuer is replaced while workers run: they follow its word for the next one, once, and believe it no more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from strongroom._encoding import b64encode
from strongroom.caching.issuer_links import Issuer, Signer, linked, make_link
from strongroom.caching.observing import LoggingObserver
from strongroom.caching.publication import compose, joined, parse, signed
from strongroom.caching.worker import WorkerSource
from strongroom.errors import FormatError, NotPublishedError, PolicyError, StaleError, StoreError
from strongroom.keystore import workers
from strongroom.keystore.issuer import issuer_now
from strongroom.primitives import rsa
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.signing import Ed25519Private, Ed25519Public
from strongroom.sealing.identities import WorkerIdentity, identity_from_file
from strongroom.stores.base import Opened
from tests.blackbox.test_files import largest_file
from tests.workers.scenes import HandClock, Shelf, Site, private_key, source

ISSUER = "strongroom.issuer"
EVIL = SecretBytes(b"evil" * 8)


def public_of(seed: SecretBytes) -> bytes:
    from strongroom.primitives import material

    found = material.public_of("ed25519", seed)
    assert found is not None
    return found


def refusals(worker: WorkerSource) -> dict[str, int]:
    assert isinstance(worker.observer, LoggingObserver)
    return {key[8:]: count for key, count in worker.observer.counts.items() if key.startswith("refused.")}


def forged(raw: bytes, *, link_from: SecretBytes, store: bytes | None = None, ahead: int = 1000) -> bytes:
    """A copy of a publication under a later serial, signed by EVIL, with a link that another issuer made for it."""
    true = parse(raw)
    old = public_of(link_from)
    link = make_link(Ed25519Private(link_from, b""), public=old, new=public_of(EVIL), store=store or true.store)  # type: ignore[arg-type]  # a foreign store's id
    header = compose(
        serial=true.serial + ahead,
        store=true.store,
        group=true.group,
        key=true.key,
        issued=true.issued,
        expires=true.expires,
        wrapped=true.wrapped,
        ledger=true.ledger,
        tokens=true.tokens,
        signer=Signer(public=public_of(EVIL), links=(link,)),
    )
    return joined(header, Ed25519Private(EVIL, b"").sign(signed(header)), true.tokens)


def seeds(site: Site) -> list[SecretBytes]:
    opened: Opened = site.keystore.sealed.load(ISSUER)
    return [opened.material(version.number) for version in opened.keyset.versions]


def test_a_running_worker_follows_the_word_of_the_issuer_that_was_replaced(
    site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    shelf = Shelf(site.issue("web").raw)
    worker = source(web, shelf, clock=clock)
    worker.load("box")
    assert not worker.standing().moved_on
    site.keystore.rotate(ISSUER, now=True)
    clock.move(2)
    issue = site.issue("web", shelf.raw)
    assert issue.fresh, "another issuer is a change, although no key is"
    shelf.raw = issue.raw
    clock.move(2)
    assert worker.load("box").material(1) == site.keystore.sealed.load("box").material(1)
    assert worker.serial == issue.serial
    assert worker.standing().moved_on
    assert refusals(worker) == {}
    assert not site.issue("web", shelf.raw).fresh


def test_a_worker_that_starts_after_two_replacements_follows_one_link(
    site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    running = source(web, shelf := Shelf(site.issue("web").raw), clock=clock)
    running.load("box")
    for _ in range(2):
        clock.move(2)
        site.keystore.rotate(ISSUER, now=True)
        shelf.raw = site.issue("web", shelf.raw).raw
        clock.move(2)
        running.load("box")
    assert refusals(running) == {}
    found = parse(shelf.raw).signer
    assert found is not None
    assert [each.old for each in found.links] == [public_of(each) for each in seeds(site)[:2]]
    assert source(web, shelf, clock=clock).names() == ("box",)


def test_what_the_issuer_before_signed_is_refused_once_a_worker_has_moved_on(
    site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    before = site.issue("web").raw
    site.keystore.rotate(ISSUER, now=True)
    clock.move(1)
    shelf = Shelf(site.issue("web", before).raw)
    worker = source(web, shelf, clock=clock)
    worker.load("box")
    true = parse(before)
    header = true.header.replace(b'"serial":%d' % true.serial, b'"serial":%d' % (true.serial + 5000))
    shelf.raw = joined(header, Ed25519Private(seeds(site)[0], b"").sign(signed(header)), true.tokens)
    clock.move(2)
    worker.load("box")
    assert refusals(worker) == {"signature": 1}
    shelf.raw = forged(before, link_from=seeds(site)[0], ahead=6000)
    clock.move(2)
    worker.load("box")
    assert refusals(worker) == {"signature": 1, "link": 1}


def test_a_link_that_no_issuer_of_ours_made_is_refused(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    raw = site.issue("web").raw
    seed = seeds(site)[0]
    for made in (
        forged(raw, link_from=SecretBytes(b"outsider" * 4)),
        forged(raw, link_from=seed, store=bytes(16)),
    ):
        worker = source(web, Shelf(made), clock=clock)
        with pytest.raises(NotPublishedError):
            worker.load("box")
        assert refusals(worker) == {"link": 1}
        assert not worker.standing().moved_on


def test_a_true_link_in_another_place_leads_nowhere(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    """The link is true, and he who took it out of a true publication cannot sign with the key to which it leads."""
    raw = site.issue("web").raw
    site.keystore.rotate(ISSUER, now=True)
    clock.move(1)
    found = parse(site.issue("web", raw).raw).signer
    assert found is not None
    true = parse(raw)
    spelled = json.loads(true.header)
    spelled = {**{key: spelled[key] for key in list(spelled)[:9]}, "issuer": found.spelled[0],
               "links": found.spelled[1], "tokens": spelled["tokens"]}  # fmt: skip
    spelled["format"] = "strongroom/3 publication"
    header = json.dumps(spelled, separators=(",", ":")).encode()
    worker = source(
        web, Shelf(joined(header, Ed25519Private(EVIL, b"").sign(signed(header)), true.tokens)), clock=clock
    )
    with pytest.raises(NotPublishedError):
        worker.load("box")
    assert refusals(worker) == {"signature": 1}


def test_what_a_worker_has_moved_on_to_is_remembered_where_there_is_a_place(
    site: Site, web: WorkerIdentity, clock: HandClock, place: Path
) -> None:
    before = site.issue("web").raw
    site.keystore.rotate(ISSUER, now=True)
    clock.move(1)
    after = site.issue("web", before).raw
    memory = place / "state" / "witness"
    source(web, Shelf(after), clock=clock, memory=memory).load("box")
    (file,) = memory.iterdir()
    assert file.name.startswith(f"worker-{web.store.hex()}-")
    for raw, reason in ((before, "signature"), (forged(before, link_from=seeds(site)[0]), "link")):
        again = source(web, Shelf(raw), clock=clock, memory=memory)
        with pytest.raises(NotPublishedError):
            again.load("box")
        assert refusals(again) == {reason: 1}
    assert source(web, Shelf(before), clock=clock).names() == ("box",), "with no memory it begins anew"
    file.chmod(0o666)
    with pytest.raises(StoreError, match="others can write"):
        source(web, Shelf(after), clock=clock, memory=memory)
    file.chmod(0o600)
    file.write_bytes(b"{}")
    with pytest.raises(FormatError, match="does not say"):
        source(web, Shelf(after), clock=clock, memory=memory)


def test_processes_with_one_identity_move_on_together(
    site: Site, web: WorkerIdentity, clock: HandClock, place: Path
) -> None:
    before = site.issue("web").raw
    slow = source(web, shelf := Shelf(before), clock=clock, memory=place / "state")
    slow.load("box")
    site.keystore.rotate(ISSUER, now=True)
    clock.move(1)
    quick = source(web, Shelf(site.issue("web", before).raw), clock=clock, memory=place / "state")
    quick.load("box")
    assert not slow.standing().moved_on
    true = parse(before)
    header = true.header.replace(b'"serial":%d' % true.serial, b'"serial":%d' % (true.serial + 5000))
    shelf.raw = joined(header, Ed25519Private(seeds(site)[0], b"").sign(signed(header)), true.tokens)
    clock.move(2)
    slow.load("box")
    assert refusals(slow) == {"signature": 1}
    assert slow.serial == true.serial


def test_a_place_that_cannot_be_written_keeps_no_worker_from_moving_on(
    site: Site, web: WorkerIdentity, clock: HandClock, place: Path
) -> None:
    site.keystore.rotate(ISSUER, now=True)
    (place / "file").write_text("no directory")
    worker = source(web, Shelf(site.issue("web").raw), clock=clock, memory=place / "file")
    assert worker.names() == ("box",)
    assert worker.standing().moved_on


def test_a_step_that_the_disk_does_not_keep_is_not_taken_back(
    site: Site, web: WorkerIdentity, clock: HandClock, place: Path
) -> None:
    """The memory still names the issuer before, whom the worker is not to believe again for that."""
    worker = source(web, shelf := Shelf(site.issue("web").raw), clock=clock, memory=place / "state")
    for room in (4096, 0):
        site.keystore.rotate(ISSUER, now=True)
        clock.move(2)
        shelf.raw = site.issue("web", shelf.raw).raw
        with largest_file(room):
            worker.load("box")
    serial, true = worker.serial, parse(shelf.raw)
    header = true.header.replace(b'"serial":%d' % serial, b'"serial":%d' % (serial + 5000))
    for raw in (
        joined(header, Ed25519Private(seeds(site)[1], b"").sign(signed(header)), true.tokens),
        forged(shelf.raw, link_from=seeds(site)[1]),
    ):
        shelf.raw = raw
        clock.move(2)
        worker.load("box")
        assert worker.serial == serial
    assert refusals(worker) == {"signature": 1, "link": 1}
    (file,) = (place / "state").iterdir()
    assert b64encode(public_of(seeds(site)[1])) in file.read_text(), "the disk kept nothing of the second step"


def test_a_new_identity_needs_no_link_and_believes_nothing_before_it(
    site: Site, web: WorkerIdentity, clock: HandClock, place: Path
) -> None:
    before = site.issue("web").raw
    site.keystore.rotate(ISSUER, now=True)
    clock.move(1)
    known = issuer_now(site.keystore)
    assert known is not None
    assert (known.version, known.outdated) == (2, ("web",))
    assert [row.outdated for row in workers.list_workers(site.keystore)] == [True]
    workers.rotate_worker(site.keystore, "web", place / "new.identity", bits=2048)
    assert [row.outdated for row in workers.list_workers(site.keystore)] == [False]
    issue = site.issue("web", before)
    assert parse(issue.raw).signer is None
    renewed = identity_from_file(place / "new.identity")
    assert isinstance(renewed, WorkerIdentity)
    assert renewed.issuer == known.public
    worker = source(renewed, Shelf(issue.raw), clock=clock)
    assert worker.names() == ("box",)
    assert not worker.standing().moved_on


def test_a_key_of_ones_own_stays_and_gets_the_new_issuer(site: Site, clock: HandClock) -> None:
    private = private_key(3)
    public = rsa.public_der(rsa.load_sealed(SecretBytes(rsa.VALIDATED + private.reveal())))
    workers.create_worker(site.keystore, "own", public=public)
    with pytest.raises(PolicyError, match="that is the key"):
        workers.rotate_worker(site.keystore, "own", public=public)
    site.keystore.rotate(ISSUER, now=True)
    clock.move(1)
    made = workers.rotate_worker(site.keystore, "own", public=public)
    assert made.identity is None
    assert made.issuer == public_of(seeds(site)[1])
    assert [row.outdated for row in workers.list_workers(site.keystore)] == [False]


def test_an_issuer_that_is_compromised_vouches_for_nobody(site: Site, web: WorkerIdentity, clock: HandClock) -> None:
    before = site.issue("web").raw
    site.keystore.compromise(ISSUER, 1, reason="he left in anger")
    clock.move(1)
    issue = site.issue("web", before)
    assert parse(issue.raw).signer is None
    worker = source(web, Shelf(issue.raw), clock=clock)
    with pytest.raises(NotPublishedError):
        worker.load("box")
    assert refusals(worker) == {"signature": 1}


def test_a_checkout_from_before_does_not_publish_over_a_successor(
    site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    old = (site.directory / "keysets" / f"{ISSUER}.json").read_bytes()
    site.keystore.rotate(ISSUER, now=True)
    clock.move(1)
    after = site.issue("web").raw
    (site.directory / "keysets" / f"{ISSUER}.json").write_bytes(old)
    with pytest.raises(StaleError, match="an issuer who follows"):
        site.issue("web", after)
    assert site.issue("web", after, force=True).fresh


def test_a_former_issuers_serial_beyond_all_clocks_stops_no_publisher(
    site: Site, web: WorkerIdentity, clock: HandClock
) -> None:
    true = parse(site.issue("web").raw)
    header = true.header.replace(b'"serial":%d' % true.serial, b'"serial":%d' % ((1 << 53) - 1))
    planted = joined(header, Ed25519Private(seeds(site)[0], b"").sign(signed(header)), true.tokens)
    site.keystore.rotate(ISSUER, now=True)
    clock.move(1)
    assert site.issue("web", planted).serial == clock.wall


def test_links_have_one_spelling(site: Site, web: WorkerIdentity) -> None:
    site.keystore.rotate(ISSUER, now=True)
    raw = site.issue("web").raw
    found = parse(raw)
    assert found.format == 3
    assert found.signer is not None
    public, ((old, word),) = found.signer.spelled
    for other in (
        raw.replace(b"strongroom/3", b"strongroom/1", 1),
        raw.replace(f'"issuer":"{public}",'.encode(), b"", 1),
        raw.replace(f'[["{old}","{word}"]]'.encode(), b"[]", 1),
        raw.replace(old.encode(), public.encode(), 1),
        raw.replace(word.encode(), word[:-2].encode(), 1),
        raw.replace(f'["{old}","{word}"]'.encode(), f'["{old}","{word}"],["{old}","{word}"]'.encode(), 1),
    ):
        assert other != raw
        with pytest.raises(FormatError):
            parse(other)


def test_a_link_says_which_store_and_which_two_keys(site: Site, web: WorkerIdentity) -> None:
    old, store = seeds(site)[0], site.keystore.sealed.header.store
    link = make_link(Ed25519Private(old, b""), public=web.issuer, new=public_of(EVIL), store=store)
    message = b"".join(
        len(part).to_bytes(4, "big") + part
        for part in (b"strongroom/1 issuer link", store, web.issuer, public_of(EVIL))
    )
    assert message == linked(store, web.issuer, public_of(EVIL))
    Ed25519Public(web.issuer, b"").verify(link.signature, message)
    signer = Signer(public=public_of(EVIL), links=(link,))
    assert Issuer(web.issuer).successor(signer, store=store) == Issuer(public_of(EVIL))
