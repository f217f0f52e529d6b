"""The ways to open the root: by the right secret, for the right root, of the right store, and by nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from strongroom.errors import (
    ForeignStoreError,
    FormatError,
    IdentityError,
    IntegrityError,
    PassphraseError,
    PolicyError,
    SettingsError,
)
from strongroom.primitives import hpke as hpke_primitive
from strongroom.primitives import rsa as rsa_primitive
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.hpke import HpkeSlot
from strongroom.sealing.passphrase import Cost, PassphraseSlot
from strongroom.sealing.root import Root, RootRef
from strongroom.sealing.rsa import RsaSlot
from strongroom.sealing.slots import DevelopmentSlot
from tests.sealing.builders import (
    CHEAP,
    FOREIGN,
    FORGED,
    KEY,
    NEXT,
    PASSPHRASE,
    ROOT,
    flipped,
    hpke_identity,
    hpke_slot,
    passphrase_slot,
    rsa_identity,
    rsa_slot,
    same,
)

Opening = Callable[[RootRef], Root]
OTHER_ROOTS = (NEXT, FORGED, FOREIGN)


def openings(slot: PassphraseSlot | RsaSlot | HpkeSlot) -> Opening:
    """Opens a slot with the secret that it was made for."""
    match slot:
        case PassphraseSlot():
            return lambda wanted: slot.open(PASSPHRASE, wanted)
        case RsaSlot():
            return lambda wanted: slot.open(rsa_identity().private, wanted)
        case HpkeSlot():
            return lambda wanted: slot.open(hpke_identity(slot.suite).private, wanted)


def slots() -> list[PassphraseSlot | RsaSlot | HpkeSlot]:
    return [passphrase_slot(), rsa_slot(), hpke_slot(), hpke_slot(suite="mlkem768-x25519")]


KINDS = ["passphrase", "rsa", "hpke", "hpke-post-quantum"]


@pytest.mark.parametrize("slot", slots(), ids=KINDS)
class TestEverySlot:
    def test_opens_with_its_own_secret(self, slot: PassphraseSlot | RsaSlot | HpkeSlot) -> None:
        assert same(openings(slot)(ROOT.ref), ROOT)

    def test_reseals_to_another_root_with_no_secret(self, slot: PassphraseSlot | RsaSlot | HpkeSlot) -> None:
        resealed = slot.reseal(NEXT)
        assert (resealed.kind, resealed.label, resealed.public) == (slot.kind, slot.label, slot.public)
        assert same(openings(resealed)(NEXT.ref), NEXT)
        with pytest.raises(IntegrityError):
            openings(resealed)(ROOT.ref)

    @pytest.mark.parametrize("other", OTHER_ROOTS, ids=["next", "forged", "foreign"])
    def test_what_was_sealed_for_another_root_does_not_open(
        self, slot: PassphraseSlot | RsaSlot | HpkeSlot, other: Root
    ) -> None:
        """An outsider seals his own root to our public key: secrecy is no origin."""
        with pytest.raises((IntegrityError, PassphraseError)):
            openings(slot.reseal(other))(ROOT.ref)

    def test_no_bit_of_the_sealed_root_may_change(self, slot: PassphraseSlot | RsaSlot | HpkeSlot) -> None:
        step = 1 if slot.kind == "hpke" and slot.label == "host-x25519" else 97
        for bit in range(0, len(slot.sealed) * 8, step):
            with pytest.raises(IntegrityError):
                openings(replace(slot, sealed=flipped(slot.sealed, bit)))(ROOT.ref)

    @pytest.mark.parametrize("length", [0, 1, 31, 32, 48, 95])
    def test_no_byte_may_be_missing(self, slot: PassphraseSlot | RsaSlot | HpkeSlot, length: int) -> None:
        with pytest.raises(IntegrityError):
            openings(replace(slot, sealed=slot.sealed[:length]))(ROOT.ref)

    def test_it_shows_no_secret_and_says_what_it_wants(self, slot: PassphraseSlot | RsaSlot | HpkeSlot) -> None:
        assert PASSPHRASE.reveal().decode() not in repr(slot)
        assert "bytes" not in repr(slot)
        assert slot.label in slot.wants

    @pytest.mark.parametrize("label", ["", "Office", "a b", "a/b", "-a", "a" * 65, "a\n", "\x1b"])
    def test_its_label_is_a_plain_word(self, slot: PassphraseSlot | RsaSlot | HpkeSlot, label: str) -> None:
        with pytest.raises(SettingsError):
            replace(slot, label=label)


class TestForgedRoots:
    """An outsider knows the public key, the store id, the number, and the binding. He does not know the root."""

    @pytest.mark.parametrize(
        ("other", "error"), [(FOREIGN, ForeignStoreError), (FORGED, IntegrityError), (NEXT, IntegrityError)]
    )
    def test_a_root_of_his_own_under_our_binding(self, other: Root, error: type[Exception]) -> None:
        binding = ROOT.ref.binding("rsa")
        sealed = rsa_primitive.oaep_wrap(rsa_identity().public, other.line(), label=binding)
        with pytest.raises(error):
            replace(rsa_slot(), sealed=sealed).open(rsa_identity().private, ROOT.ref)
        for kind, slot in (("hpke", hpke_slot()), ("passphrase", passphrase_slot())):
            sealed = hpke_primitive.hpke_encrypt("x25519", slot.public, other.line(), info=ROOT.ref.binding(kind))
            with pytest.raises(error):
                openings(replace(slot, sealed=sealed))(ROOT.ref)

    @pytest.mark.parametrize("line", [b"", b"strongroom/1 root", b"A" * 95])
    def test_what_is_no_root_line_at_all(self, line: bytes) -> None:
        slot = hpke_slot()
        sealed = hpke_primitive.hpke_encrypt("x25519", slot.public, SecretBytes(line), info=ROOT.ref.binding("hpke"))
        with pytest.raises(FormatError):
            openings(replace(slot, sealed=sealed))(ROOT.ref)

    def test_a_slot_of_one_kind_is_not_one_of_another(self) -> None:
        passphrase, private = passphrase_slot(), hpke_identity().private
        moved = HpkeSlot(label="x", suite="x25519", public=hpke_identity().public, sealed=passphrase.sealed)
        with pytest.raises(IntegrityError):
            moved.open(private, ROOT.ref)


class TestPassphraseSlot:
    def test_the_wrong_passphrase_says_so(self) -> None:
        for wrong in (b"correct horse battery stapler", b"", PASSPHRASE.reveal() + b"\n"):
            with pytest.raises(PassphraseError, match="office") as caught:
                passphrase_slot().open(SecretBytes(wrong), ROOT.ref)
            assert "horse" not in str(caught.value)

    def test_it_belongs_to_one_store(self) -> None:
        with pytest.raises(PassphraseError):
            passphrase_slot().open(PASSPHRASE, FOREIGN.ref)

    def test_another_public_key_is_not_taken(self) -> None:
        """It would receive the next root at a rotation."""
        with pytest.raises(PassphraseError):
            replace(passphrase_slot(), public=hpke_identity().public).open(PASSPHRASE, ROOT.ref)

    def test_a_weak_passphrase_is_refused(self) -> None:
        with pytest.raises(PassphraseError):
            PassphraseSlot.create(ROOT, SecretBytes(b"hunter2"), label="office", cost=CHEAP)

    def test_equal_passphrases_do_not_show(self) -> None:
        one, two = passphrase_slot(), passphrase_slot()
        assert {one.salt, one.public, one.private, one.sealed}.isdisjoint(
            {two.salt, two.public, two.private, two.sealed}
        )

    @pytest.mark.parametrize(
        ("memory_kib", "iterations", "lanes"),
        [
            (1_048_577, 3, 4),
            (131_072, 11, 4),
            (131_072, 3, 17),
            (7, 1, 1),
            (64, 0, 1),
            (64, 1, 0),
            (1 << 40, 1 << 40, 1),
        ],
    )
    def test_costs_out_of_bounds_are_refused(self, memory_kib: int, iterations: int, lanes: int) -> None:
        with pytest.raises(PolicyError, match="1048576"):
            Cost(memory_kib=memory_kib, iterations=iterations, lanes=lanes)

    def test_the_real_cost_is_128_mib_three_passes_four_lanes(self) -> None:
        assert Cost() == Cost(memory_kib=128 * 1024, iterations=3, lanes=4)
        slot = PassphraseSlot.create(ROOT, PASSPHRASE, label="office")
        assert slot.cost == Cost()
        assert same(slot.open(PASSPHRASE, ROOT.ref), ROOT)


class TestHpkeSlot:
    def test_another_ones_key_says_so(self) -> None:
        other = SecretBytes(b"k" * 32)
        with pytest.raises(IdentityError, match="host-x25519"):
            hpke_slot().open(other, ROOT.ref)

    def test_unknown_suites_and_bad_keys_are_refused(self) -> None:
        with pytest.raises(FormatError, match="suite"):
            HpkeSlot.create(ROOT, b"k" * 32, suite="x448", label="host")
        for public in (b"", b"k" * 31, b"k" * 33, bytes(32)):  # the last one is of small order
            with pytest.raises(FormatError):
                HpkeSlot.create(ROOT, public, suite="x25519", label="host")
        with pytest.raises(FormatError):
            replace(hpke_slot(), public=b"k" * 31)


class TestRsaSlot:
    @pytest.mark.parametrize("public", [b"", b"0" * 300, hpke_identity().public], ids=["empty", "zeros", "hpke"])
    def test_what_is_no_rsa_key_is_refused(self, public: bytes) -> None:
        with pytest.raises(FormatError):
            RsaSlot.create(ROOT, public, label="ci")

    def test_a_label_of_another_purpose_does_not_open(self) -> None:
        sealed = rsa_primitive.oaep_wrap(rsa_identity().public, ROOT.line(), label=b"")
        with pytest.raises(IntegrityError):
            replace(rsa_slot(), sealed=sealed).open(rsa_identity().private, ROOT.ref)


class TestDevelopmentSlot:
    def test_its_root_is_public_and_says_of_which_store(self) -> None:
        slot = DevelopmentSlot.create(ROOT)
        assert slot.line.encode() + b"\n" == ROOT.line().reveal()
        assert same(slot.open(ROOT.ref), ROOT)
        assert same(slot.reseal(NEXT).open(NEXT.ref), NEXT)
        with pytest.raises(ForeignStoreError):
            DevelopmentSlot.create(FOREIGN).open(ROOT.ref)
        with pytest.raises(IntegrityError):
            DevelopmentSlot.create(FORGED).open(ROOT.ref)

    def test_even_so_it_is_not_shown(self) -> None:
        assert "ICEiIyQ" not in repr(DevelopmentSlot.create(ROOT))
        assert KEY.hex() not in repr(DevelopmentSlot.create(ROOT))

    @pytest.mark.parametrize("line", ["a\nb", "é", "x" * 200])
    def test_what_is_no_line_is_refused(self, line: str) -> None:
        with pytest.raises(FormatError):
            DevelopmentSlot(line=line)
