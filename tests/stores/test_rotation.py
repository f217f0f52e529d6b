"""A rotation of the root: before, in the midst of it and after it, whoever looks sees all of the store."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from strongroom.errors import (
    ConflictError,
    ExposedRootError,
    ForeignStoreError,
    IntegrityError,
    NotFoundError,
    PolicyError,
    SealError,
    StaleError,
)
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeysetName
from strongroom.model.states import KeyState
from strongroom.model.types import KeyType
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header import Header
from strongroom.sealing.header_codec import decode_header, encode_header
from strongroom.sealing.recipients import Audience
from strongroom.sealing.root import Root
from strongroom.sealing.unsealing import Unsealed
from strongroom.stores import rotation
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.following import Reopen
from strongroom.stores.pins import Pin, check_origin
from strongroom.stores.rotation import Note, begin, finish
from strongroom.stores.sealed import SealedStore
from strongroom.stores.seen import NoWitness
from tests.stores.builders import NOW, Checkout, added, header_of, new_keyset, new_root, record_under, version_of

NAMES = [KeysetName(f"keys-{number}") for number in range(5)]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path / ".strongroom")
    for number, name in enumerate(NAMES):
        made.put(new_keyset(made.root, name, kind=KeyType.SECRET, material=b"value %d" % number))
    return made


def started(store: SealedStore, *, base: Header | None = None, note: Note | None = None) -> Root:
    """The first half of a rotation."""
    new = new_root(store.header.root + 1, store=store.root.store)
    begin(store, None, new, seen=store.header, base=base or store.header, root_file=None, note=note)
    return new


def opened(checkout: Checkout, root: Root, *, reopen: Reopen | None = None) -> SealedStore:
    """The store as a process sees it that opens it now."""
    directory = DirectoryStore(checkout.place)
    header = decode_header(directory.header()).verify(root)
    return SealedStore(directory, root, header, witness=checkout.witness(), reopen=reopen)


def holding(checkout: Checkout, *roots: Root) -> Reopen:
    """Credentials that open these roots."""

    def reopen() -> Unsealed:
        unverified = decode_header(DirectoryStore(checkout.place).header())
        for root in roots:
            if root.ref == unverified.claims.ref:
                header = unverified.verify(root)
                raw = encode_header(header, root)
                return Unsealed(root=root, header=header, raw=raw, slot=header.slots[0], audience=Audience())
        raise SealError("no slot opens")

    return reopen


def everything(store: SealedStore) -> dict[str, SecretBytes]:
    return {each.keyset.name: each.material(1) for each in store.load_all()}


def grown(root: Root, keyset: Keyset) -> Keyset:
    """The next revision, with one more secret."""
    return keyset.add(version_of(root, keyset.name, 2, kind=KeyType.SECRET, material=b"more"))


VALUES = {name: SecretBytes(b"value %d" % number) for number, name in enumerate(NAMES)}


def test_after_a_rotation_every_record_is_under_the_new_root_and_says_the_same(checkout: Checkout) -> None:
    store = checkout.open()
    before = {each.keyset.name: each.keyset for each in store.load_all()}
    new = started(store)
    assert finish(store, None) == 5
    assert store.header.pending == ()
    assert store.header.root == 2
    fresh = opened(checkout, new)
    assert everything(fresh) == VALUES
    for each in fresh.load_all():
        assert each.root == new.id
        assert each.hindrance is None
        old = before[each.keyset.name]
        assert each.keyset.as_revision(old.revision).labels == old.labels
        assert [version.key_id for version in each.keyset.versions] == [version.key_id for version in old.versions]
        assert each.keyset.revision == old.revision + 1


def test_in_the_midst_of_it_all_is_there_whoever_opens_it(checkout: Checkout) -> None:
    store = checkout.open()
    new = started(store)
    assert [each.name for each in store.header.pending] == NAMES
    for moved in (0, 2, 4):
        store.rewrap(NAMES[:moved])
        assert everything(opened(checkout, new)) == VALUES
        assert everything(store) == VALUES
    assert finish(opened(checkout, new), None) == 1


def test_what_is_written_meanwhile_is_written_under_the_new_root(checkout: Checkout) -> None:
    new = started(checkout.open())
    store = opened(checkout, new)
    store.create(new_keyset(new, "born-meanwhile"))
    old = store.load(NAMES[0]).keyset
    store.replace(old.with_labels({"changed": "yes"}), replaces=old.revision)
    assert {store.load(name).root for name in ("born-meanwhile", NAMES[0])} == {new.id}
    assert store.load(NAMES[0]).material(1) == VALUES[NAMES[0]]
    assert finish(store, None) == 4


def test_a_process_with_the_old_root_in_memory_follows_with_its_credentials(checkout: Checkout) -> None:
    older = checkout.open()
    new = started(checkout.open())
    follower = SealedStore(
        DirectoryStore(checkout.place),
        checkout.root,
        checkout.header,
        witness=checkout.witness(),
        reopen=holding(checkout, new),
    )
    held = follower.load(NAMES[1])
    finish(opened(checkout, new), None)
    assert follower.load(NAMES[0]).material(1) == VALUES[NAMES[0]]
    assert follower.root == new
    assert held.material(1) == VALUES[NAMES[1]], "what was opened under the old root stays open"
    # and without credentials it says what to do
    with pytest.raises(StaleError, match="root 2"):
        older.load(NAMES[0])


def test_a_rotation_that_does_not_open_here_is_told_and_not_asked_for_at_every_look(checkout: Checkout) -> None:
    asked = []

    def reopen() -> Unsealed:
        asked.append(1)
        raise SealError("no slot opens", hint="strongroom doctor")

    follower = SealedStore(
        DirectoryStore(checkout.place), checkout.root, checkout.header, witness=checkout.witness(), reopen=reopen
    )
    started(checkout.open())
    for _ in range(5):
        with pytest.raises(StaleError, match="no slot opens") as caught:
            follower.load(NAMES[0])
        assert caught.value.hint == "strongroom doctor"
    assert len(asked) == 1


def test_a_root_that_no_link_leads_to_is_not_followed(checkout: Checkout) -> None:
    another = new_root(1, store=checkout.root.store)
    foreign = new_root(2, store=checkout.root.store)
    raw = encode_header(header_of(another).rotated(another, foreign, pending=()), foreign)
    follower = SealedStore(
        DirectoryStore(checkout.place), checkout.root, checkout.header, reopen=holding(checkout, foreign)
    )
    checkout.directory.write_header(raw, replaces=checkout.directory.header())
    with pytest.raises(ForeignStoreError, match="no link"):
        follower.load(NAMES[0])


def test_a_root_that_a_removed_admin_linked_is_not_followed_once_another_process_saw_the_true_one(
    checkout: Checkout,
) -> None:
    first = checkout.directory.header()
    forged = new_root(2, store=checkout.root.store)
    follower = SealedStore(
        DirectoryStore(checkout.place),
        checkout.root,
        checkout.header,
        witness=checkout.witness(),
        reopen=holding(checkout, forged),
    )
    started(checkout.open())
    raw = encode_header(checkout.header.rotated(checkout.root, forged, pending=()), forged)
    checkout.directory.write_header(raw, replaces=checkout.directory.header())
    with pytest.raises(ForeignStoreError, match="not the root 2 that was seen"):
        follower.load(NAMES[0])
    assert follower.root == checkout.root
    # nor does it protect anything under the root that was replaced, were the old header put back before it looked
    checkout.directory.write_header(first, replaces=raw)
    assert isinstance(follower.load(NAMES[0]).hindrance, StaleError)
    with pytest.raises(StaleError, match="root 2 was seen"):
        follower.create(new_keyset(checkout.root, "another"))


def test_another_root_of_the_number_that_was_seen_hinders_writing(checkout: Checkout) -> None:
    witness = checkout.witness()
    witness.learn_root(new_root(1, store=checkout.root.store))
    store = checkout.open()
    assert isinstance(store.load(NAMES[0]).hindrance, StaleError)
    with pytest.raises(StaleError, match="another root 1 was seen"):
        store.create(new_keyset(checkout.root, "another"))
    store.accept()
    assert witness.roots() == {checkout.root.id: 1}
    store.create(new_keyset(checkout.root, "another"))


def test_an_older_header_is_never_followed_back_and_hinders_writing(checkout: Checkout) -> None:
    first = checkout.directory.header()
    store = checkout.open()
    new = started(store)
    finish(store, None)
    second = checkout.directory.header()
    holder = opened(checkout, new, reopen=holding(checkout, checkout.root, new))
    checkout.directory.write_header(first, replaces=second)
    assert isinstance(holder.load(NAMES[0]).hindrance, StaleError)
    assert holder.load(NAMES[0]).material(1) == VALUES[NAMES[0]]
    with pytest.raises(StaleError):
        holder.create(new_keyset(new, "another"))
    checkout.directory.write_header(second, replaces=first)
    assert holder.load(NAMES[0]).hindrance is None


def test_a_write_that_a_rotation_overtook_writes_nothing_and_succeeds_the_next_time(checkout: Checkout) -> None:
    new_roots: list[Root] = []
    writer = SealedStore(
        DirectoryStore(checkout.place),
        checkout.root,
        checkout.header,
        witness=checkout.witness(),
        reopen=lambda: holding(checkout, *new_roots)(),
    )
    keyset = writer.load(NAMES[0]).keyset
    late = grown(writer.root, keyset)
    fresh = new_keyset(writer.root, "fresh")
    new_roots.append(started(checkout.open()))
    before = checkout.directory.read(NAMES[0])
    with pytest.raises(ConflictError, match="root 2"):
        writer.replace(late, replaces=keyset.revision)
    with pytest.raises(ConflictError, match="root 2"):
        writer.create(fresh)
    assert checkout.directory.read(NAMES[0]) == before
    again = writer.load(NAMES[0]).keyset
    writer.replace(grown(writer.root, again), replaces=again.revision)
    assert writer.load(NAMES[0]).material(1) == VALUES[NAMES[0]]
    finish(opened(checkout, new_roots[0]), None)


def test_two_who_rotate_at_once_make_one_rotation(checkout: Checkout) -> None:
    first, second = checkout.open(), checkout.open()
    won = started(first)
    with pytest.raises((ConflictError, StaleError)):
        started(second)
    assert opened(checkout, won).header.root == 2


def test_two_who_finish_at_once_lose_nothing(checkout: Checkout) -> None:
    new = started(checkout.open())
    both = [opened(checkout, new) for _ in range(2)]
    moved: list[int] = []
    threads = [threading.Thread(target=lambda store=store: moved.append(finish(store, None))) for store in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(moved) == 5
    store = opened(checkout, new)
    assert everything(store) == VALUES
    assert store.header.pending == ()


def test_a_record_that_is_damaged_or_stale_refuses_the_rotation_before_anything_is_written(checkout: Checkout) -> None:
    store = checkout.open()
    store.load_all()
    raw = checkout.directory.read(NAMES[0])
    header = checkout.directory.header()
    path = checkout.directory.path_of(NAMES[0])
    path.write_bytes(raw.replace(b'"revision": 1', b'"revision": 2'))
    with pytest.raises(IntegrityError):
        started(checkout.open())
    checkout.put(new_keyset(checkout.root, NAMES[0]))  # authentic, of the same revision, and not what was seen
    with pytest.raises(StaleError):
        started(checkout.open())
    assert checkout.directory.header() == header
    path.write_bytes(raw)
    started(checkout.open())


def test_a_record_that_was_spoiled_meanwhile_keeps_back_none_but_itself(checkout: Checkout) -> None:
    store = checkout.open()
    new = started(store)
    raw = checkout.directory.read(NAMES[2])
    path = checkout.directory.path_of(NAMES[2])
    path.write_bytes(raw.replace(b'"revision": 1', b'"revision": 2'))
    with pytest.raises(IntegrityError, match="keys-2"):
        finish(store, None)
    assert len(store.header.pending) == 5
    path.write_bytes(raw)
    assert finish(store, None) == 1
    assert everything(opened(checkout, new)) == VALUES


def test_after_it_a_record_from_before_counts_no_more(checkout: Checkout) -> None:
    before = checkout.directory.read(NAMES[0])
    store = checkout.open()
    new = started(store)
    finish(store, None)
    checkout.directory.path_of(NAMES[0]).write_bytes(before)
    with pytest.raises(IntegrityError, match="keys-0"):
        opened(checkout, new).load(NAMES[0])
    forged = record_under(checkout.root, new_keyset(checkout.root, "forged"))
    assert forged.root == checkout.root.id
    checkout.put(new_keyset(checkout.root, "forged"))
    with pytest.raises(IntegrityError, match="forged"):
        opened(checkout, new).load("forged")


def test_another_rotation_waits_for_the_end_of_the_one_before(checkout: Checkout) -> None:
    store = checkout.open()
    started(store)
    with pytest.raises(PolicyError, match="still under the root before"):
        started(store)
    finish(store, None)
    third = started(store)
    finish(store, None)
    assert store.header.root == 3
    assert everything(opened(checkout, third)) == VALUES


def test_the_exposed_root_is_replaced_all_the_same_and_then_it_is_over(checkout: Checkout) -> None:
    (checkout.place / "root.1").write_text("strongroom/1 root ...")
    store = checkout.open()
    assert isinstance(store.load(NAMES[0]).hindrance, ExposedRootError)
    note = new_keyset(store.root, "strongroom.exposures", kind=KeyType.SECRET, material=b"{}")
    started(store, note=lambda _: note)
    finish(store, None)
    assert store.load(NAMES[0]).hindrance is None
    assert store.load("strongroom.exposures").material(1) == SecretBytes(b"{}")
    store.create(new_keyset(store.root, "another"))


def test_what_the_witness_knows_to_be_compromised_stays_so(checkout: Checkout) -> None:
    keyset = added(checkout.root, new_keyset(checkout.root, "two"))
    checkout.put(keyset)
    store = checkout.open()
    bad = keyset.compromise(1, now=NOW, reason="lost")
    store.witness.check(record_under(checkout.root, bad))
    store.witness.accept(keyset.name, record_under(checkout.root, keyset))
    started(store)
    finish(store, None)
    assert store.load("two").keyset.version(1).state is KeyState.COMPROMISED


def test_a_pin_and_a_witness_of_the_old_root_lead_to_the_new_one(checkout: Checkout) -> None:
    pin = str(Pin.of(checkout.root))
    witness = checkout.witness()
    witness.learn_root(checkout.root)
    store = SealedStore(checkout.directory, checkout.root, checkout.header, witness=witness)
    new = started(store)
    finish(store, None)
    assert max(witness.roots().values()) == 2, "the witness knows the newest root"
    notices = check_origin(store.header, new, pin=pin, witness=NoWitness("none"), strict=True)
    assert str(Pin.of(new)) in notices[0]
    assert check_origin(store.header, new, pin=None, witness=witness, strict=True) == ()


def test_a_destroyed_root_is_gone_from_the_header_and_its_pin_leads_nowhere(checkout: Checkout) -> None:
    store = checkout.open()
    started(store)
    with pytest.raises(PolicyError, match="still under"):
        store.header.without_roots(1)
    finish(store, None)
    with pytest.raises(PolicyError, match="newest"):
        store.header.without_roots(2)
    with pytest.raises(NotFoundError, match="its newest is root 2") as unknown:
        store.header.without_roots(7)
    assert unknown.value.hint == "strongroom root list"
    store.replace_header(store.header.without_roots(1))
    fresh = opened(checkout, store.root)
    assert everything(fresh) == VALUES
    assert [root.number for root in fresh.header.roots] == [2]
    with pytest.raises(ForeignStoreError):
        check_origin(fresh.header, fresh.root, pin=str(Pin.of(checkout.root)), witness=NoWitness("none"))


def test_many_records_go_in_batches_and_progress_is_told(checkout: Checkout, tmp_path: Path) -> None:
    for number in range(rotation.BATCH + 5):
        checkout.put(new_keyset(checkout.root, f"many/keys-{number}"))
    store = checkout.open()
    new = started(store)
    told: list[tuple[int, int]] = []
    assert finish(store, None, progress=lambda done, total, name: told.append((done, total))) == rotation.BATCH + 10
    assert told == [(rotation.BATCH, rotation.BATCH + 10), (rotation.BATCH + 10, rotation.BATCH + 10)]
    assert len(opened(checkout, new).load_all()) == rotation.BATCH + 10


def test_a_rotation_is_refused_while_a_record_that_was_seen_is_gone(tmp_path: Path) -> None:
    """It would stay under the old root, and not open when a checkout brings it back."""
    checkout = Checkout(tmp_path / ".strongroom")
    for name in ("a", "b"):
        checkout.put(new_keyset(checkout.root, name))
    store = checkout.open()
    store.load_all()
    raw = checkout.directory.path_of(KeysetName("a")).read_bytes()
    checkout.directory.path_of(KeysetName("a")).unlink()
    second = new_root(2, store=checkout.root.store)
    with pytest.raises(StaleError, match="'a' is stale: no record is here"):
        begin(store, None, second, seen=store.header, base=store.header, root_file=b"\x84file")
    assert store.header.root == 1
    checkout.directory.path_of(KeysetName("a")).write_bytes(raw)
    begin(store, None, second, seen=store.header, base=store.header, root_file=b"\x84file")
    assert {each.name for each in store.header.pending} == {"a", "b"}
