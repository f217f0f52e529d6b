"""A header that was turned back is noticed as a record is: what is under it is read, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from strongroom.errors import StaleError, StrongroomError
from strongroom.model.names import KeysetName
from strongroom.sealing.header_codec import decode_header, encode_header
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.rotation import begin
from strongroom.stores.sealed import SealedStore
from strongroom.stores.seen import HEADER
from tests.stores.builders import Checkout, new_keyset, new_root

NAME = KeysetName("student-records")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / ".strongroom")


def hindrance(store: SealedStore) -> StrongroomError | None:
    return store.load(NAME).hindrance


def reopened(checkout: Checkout) -> SealedStore:
    """The store as a process sees it that opens it now."""
    header = decode_header(checkout.directory.header()).verify(checkout.root)
    return SealedStore(DirectoryStore(checkout.place), checkout.root, header, witness=checkout.witness())


@pytest.mark.parametrize("same_revision", [False, True])
def test_an_older_header_of_the_same_root_hinders_everything_until_it_is_accepted(
    checkout: Checkout, same_revision: bool
) -> None:
    store = checkout.open()
    store.create(new_keyset(checkout.root))
    old = checkout.header.with_propagation(60) if same_revision else checkout.header
    store.replace_header(checkout.header.with_propagation(3600))
    checkout.directory.write_header(encode_header(old, checkout.root), replaces=checkout.directory.header())
    again = reopened(checkout)
    told = "another revision 2" if same_revision else "revision 1 is here, and revision 2"
    for each in (again, store):
        assert told in str(hindrance(each))
        assert len(each.load(NAME).material(1)) == 32
        for write in (
            lambda s: s.create(new_keyset(checkout.root, "another")),
            lambda s: s.check_writable(),
            lambda s: s.replace_header(s.header.with_propagation(7)),
            lambda s: begin(
                s, None, new_root(2, store=checkout.root.store), seen=s.header, base=s.header, root_file=None
            ),
        ):
            with pytest.raises(StaleError, match=told):
                write(each)
    assert [(row.name, bool(row.differences)) for row in again.witnessed().rows] == [(HEADER, True), (NAME, False)]
    assert again.accept() == (HEADER,)
    assert hindrance(again) is None
    assert hindrance(store) is None, "a process that runs on asks again"
    again.replace_header(again.header.with_propagation(7))
    assert [row.name for row in again.witnessed().rows] == [NAME]


def test_the_header_alone_is_accepted_by_its_name(checkout: Checkout) -> None:
    store = checkout.open()
    store.replace_header(checkout.header.with_propagation(3600))
    checkout.directory.write_header(encode_header(checkout.header, checkout.root), replaces=checkout.directory.header())
    store = reopened(checkout)
    assert store.accept(HEADER) == (HEADER,)
    assert store.accept(HEADER) == ()
    store.check_writable()


def test_a_header_that_another_process_wrote_and_told_meanwhile_hinders_nobody(checkout: Checkout) -> None:
    class Overtaken(DirectoryStore):
        """Another process replaces the header as soon as this one has looked."""

        def header_stamp(self) -> object:
            found = super().header_stamp()
            if looked and not overtaken:
                overtaken.append(checkout.open())
                overtaken[0].replace_header(checkout.header.with_propagation(3600))
            return found

    looked: list[bool] = []
    overtaken: list[SealedStore] = []
    checkout.put(new_keyset(checkout.root))
    store = SealedStore(Overtaken(checkout.place), checkout.root, checkout.header, witness=checkout.witness())
    store.follow()
    looked.append(True)
    assert hindrance(store) is None
    assert overtaken
    assert store.propagation == 3600
