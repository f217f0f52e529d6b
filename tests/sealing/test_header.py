"""The header: what it allows, and what a change makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from strongroom.errors import ExistsError, FormatError, IntegrityError, NotFoundError, PolicyError, SettingsError
from strongroom.model.names import parse_name
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header import Header, Pending, Recipient
from strongroom.sealing.lineage import lineage
from strongroom.sealing.root import Root
from strongroom.sealing.slots import DevelopmentSlot, OpenPgpSlot
from tests.sealing.builders import (
    FORGED,
    KEY,
    NEXT,
    NOW,
    OTHER_STORE,
    PASSPHRASE,
    ROOT,
    STORE,
    header,
    hpke_slot,
    passphrase_slot,
    recipient,
    rsa_slot,
    same,
)


class TestItsLaws:
    def test_a_store_has_at_least_one_way_in(self) -> None:
        with pytest.raises(PolicyError, match="never be opened"):
            Header.create(ROOT, slots=(), now=NOW, propagation=0)

    def test_recipients_and_the_openpgp_slot_go_together(self) -> None:
        made = header(recipients=(recipient(),))
        assert made.openpgp == OpenPgpSlot(file="root.1.gpg")
        with pytest.raises(FormatError, match="go together"):
            replace(made, recipients=())

    def test_the_root_file_has_the_roots_number(self) -> None:
        made = header(recipients=(recipient(),))
        with pytest.raises(FormatError, match=r"root\.2\.gpg"):
            replace(made.newest, slots=(OpenPgpSlot(file="root.2.gpg"),))

    def test_labels_are_unique(self) -> None:
        slot = passphrase_slot()
        with pytest.raises(FormatError, match="repeat"):
            header(slot, slot)

    def test_a_public_root_stands_alone(self) -> None:
        with pytest.raises(FormatError, match="development"):
            header(DevelopmentSlot.create(ROOT), rsa_slot())
        with pytest.raises(PolicyError):
            header(DevelopmentSlot.create(ROOT)).with_slot(rsa_slot())

    @pytest.mark.parametrize(
        "fingerprint", ["", "A" * 39, "a" * 40, "A" * 16, "0x" + "A" * 38, "A" * 40 + "\n", "G" * 40]
    )
    def test_recipients_are_named_by_full_fingerprints(self, fingerprint: str) -> None:
        with pytest.raises(FormatError):
            replace(recipient(), fingerprint=fingerprint)
        with pytest.raises(FormatError):
            replace(recipient(), subkeys=(fingerprint,))

    def test_two_recipients_share_no_key(self) -> None:
        with pytest.raises(FormatError, match="share"):
            header(recipients=(recipient("A"), replace(recipient("B"), subkeys=recipient("A").subkeys)))

    @pytest.mark.parametrize("name", ["evil\x1b[2J", "\u202eecilA", "a\nb"])
    def test_a_recipients_name_steers_no_terminal(self, name: str) -> None:
        with pytest.raises(SettingsError):
            replace(recipient(), name=name)

    @pytest.mark.parametrize(
        "file", ["../root.1.gpg", "root.1.gpg/..", "root.01.gpg", "/root.1.gpg", "root.1.gpg\n", ""]
    )
    def test_the_name_of_the_root_file_leads_nowhere_else(self, file: str) -> None:
        with pytest.raises(FormatError):
            OpenPgpSlot(file=file)


class TestChanges:
    def test_each_is_one_revision_and_leaves_the_old_value(self) -> None:
        first = header()
        second = first.with_slot(rsa_slot())
        assert (first.revision, second.revision) == (1, 2)
        assert [slot.kind for slot in first.slots] == ["passphrase"]
        assert [slot.kind for slot in second.slots] == ["passphrase", "rsa"]

    def test_a_recipient_comes_and_goes(self) -> None:
        one = header().with_recipient(recipient("A"))
        two = one.with_recipient(recipient("B"))
        assert [each.fingerprint[0] for each in two.recipients] == ["A", "B"]
        assert one.openpgp is not None
        left = two.without_recipient("A" * 40).without_recipient("B" * 40)
        assert left.recipients == ()
        assert left.openpgp is None
        with pytest.raises(ExistsError):
            one.with_recipient(recipient("A"))
        with pytest.raises(NotFoundError):
            one.without_recipient("C" * 40)

    def test_the_last_way_in_stays(self) -> None:
        with pytest.raises(PolicyError, match="last slot"):
            header(recipients=(recipient(),)).without_recipient("A" * 40)
        with pytest.raises(PolicyError, match="last slot"):
            header().without_slot("office")

    def test_slots_go_by_label(self) -> None:
        made = header(passphrase_slot(), rsa_slot())
        assert [slot.kind for slot in made.without_slot("office").slots] == ["rsa"]
        for unknown in ("nobody", ""):
            with pytest.raises(NotFoundError):
                made.without_slot(unknown)
        with pytest.raises(ExistsError):
            made.with_slot(rsa_slot())

    def test_a_key_has_one_slot_and_goes_under_whatever_labels_it_has_some(self) -> None:
        """Whoever had a slot that was taken away must open nothing more: a merge can give his key two labels."""
        made, other = header(passphrase_slot(), rsa_slot()), replace(rsa_slot(), label="other")
        with pytest.raises(ExistsError, match="has this key already"):
            made.with_slot(other)
        twice = header(passphrase_slot(), rsa_slot(), other)
        for label in (rsa_slot().label, "other"):
            assert [slot.kind for slot in twice.without_slot(label).slots] == ["passphrase"]
        with pytest.raises(PolicyError, match="last slot"):
            header(rsa_slot(), other).without_slot("other")

    def test_subkeys_propagation_and_registration(self) -> None:
        made = header(recipients=(recipient("A"),))
        assert made.with_subkeys("A" * 40, ["C" * 40]).recipients[0].subkeys == ("C" * 40,)
        assert made.with_registered(True).registered
        assert made.with_propagation(0).propagation == 0
        with pytest.raises(SettingsError):
            made.with_propagation(-1)


class TestRotation:
    def rotated(self) -> Header:
        before = header(passphrase_slot(), rsa_slot(), hpke_slot(), recipients=(recipient(),))
        return before.rotated(
            ROOT,
            NEXT,
            pending=[Pending(name=parse_name("b"), mac=b"m" * 32), Pending(name=parse_name("a"), mac=b"n" * 32)],
        )

    def test_every_slot_opens_the_new_root_with_the_old_secret(self) -> None:
        made = self.rotated()
        assert made.ref == NEXT.ref
        assert [slot.kind for slot in made.slots] == ["openpgp", "passphrase", "rsa", "hpke"]
        opened = [slot.open(PASSPHRASE, NEXT.ref) for slot in made.slots if slot.kind == "passphrase"]  # type: ignore[union-attr]  # by its kind
        assert [same(root, NEXT) for root in opened] == [True]
        assert made.openpgp == OpenPgpSlot(file="root.2.gpg")

    def test_the_old_root_is_kept_under_the_new_one_and_vouches_for_it(self) -> None:
        made = self.rotated()
        assert made.roots[0].slots == ()
        (older,) = lineage(made, NEXT)
        assert same(older, ROOT)

    def test_a_lineage_of_three_is_followed_to_its_start(self) -> None:
        third = Root.generate(STORE, number=3)
        made = self.rotated().without_pending().rotated(NEXT, third, pending=[])
        assert [root.number for root in lineage(made, third)] == [2, 1]

    def test_a_root_that_nobody_vouched_for_is_not_followed(self) -> None:
        made = self.rotated()
        forged = replace(made, roots=(made.roots[0], replace(made.roots[1], link=FORGED.link(NEXT.id))))
        with pytest.raises(IntegrityError):
            lineage(forged, NEXT)

    def test_the_pending_records_are_sorted_and_then_gone(self) -> None:
        made = self.rotated()
        assert [each.name for each in made.pending] == ["a", "b"]
        assert made.without_pending().pending == ()

    def test_only_the_next_root_can_follow(self) -> None:
        before = header()
        for old, new in [
            (FORGED, NEXT),
            (ROOT, ROOT),
            (ROOT, Root(SecretBytes(KEY), store=STORE, number=3)),
            (ROOT, Root.generate(OTHER_STORE, number=2)),
        ]:
            with pytest.raises(PolicyError):
                before.rotated(old, new, pending=[])
        with pytest.raises(PolicyError, match="still under"):
            self.rotated().rotated(NEXT, Root.generate(STORE, number=3), pending=[])


def test_the_recipient_of_a_fingerprint_is_found() -> None:
    made = header(recipients=(recipient("A"), recipient("B")))
    found: Recipient = made.recipient("B" * 40)
    assert found.fingerprint == "B" * 40
    with pytest.raises(NotFoundError):
        made.recipient("C" * 40)
    with pytest.raises(NotFoundError):
        made.sealed_root(7)
