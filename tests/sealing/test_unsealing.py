"""From a header that nobody vouches for to the root that does, and what is said when there is no way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from strongroom.errors import (
    EngineMissingError,
    ForeignStoreError,
    IntegrityError,
    NotFoundError,
    PassphraseError,
    SealError,
    StrongroomError,
)
from strongroom.openpgp.engine import Engine
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.credentials import Credential, WithDevelopment, WithEngine, WithIdentity, WithPassphrase
from strongroom.sealing.header import Header
from strongroom.sealing.header_codec import UnverifiedHeader, decode_header, encode_header
from strongroom.sealing.root import Root
from strongroom.sealing.slots import DevelopmentSlot
from strongroom.sealing.unsealing import explain, unseal
from tests.sealing.builders import (
    FORGED,
    NEXT,
    PASSPHRASE,
    ROOT,
    header,
    hpke_identity,
    hpke_slot,
    nothing,
    passphrase_slot,
    recipient,
    rsa_identity,
    rsa_slot,
    same,
)


def read(made: Header, root: Root = ROOT) -> UnverifiedHeader:
    return decode_header(encode_header(made, root))


def known(passphrase: SecretBytes = PASSPHRASE) -> WithPassphrase:
    return WithPassphrase(lambda: passphrase)


def no_gpg() -> Engine:
    raise EngineMissingError("there is no gpg here", hint="apt-get install gnupg")


WRONG = SecretBytes(b"wrong horse battery staple")


def full() -> Header:
    return header(passphrase_slot(), rsa_slot(), hpke_slot(), recipients=(recipient(),))


class TestWhatOpens:
    @pytest.mark.parametrize(
        ("credential", "how"),
        [
            (known(), "passphrase 'office'"),
            (WithIdentity(rsa_identity()), "rsa 'ci'"),
            (WithIdentity(hpke_identity()), "hpke 'host-x25519'"),
        ],
        ids=["passphrase", "rsa", "hpke"],
    )
    def test_each_credential_finds_its_slot(self, credential: Credential, how: str) -> None:
        opened = unseal(read(full()), nothing, [credential])
        assert same(opened.root, ROOT)
        assert opened.how == how
        assert opened.header == full().with_registered(False) or opened.header.ref == ROOT.ref

    def test_the_first_that_opens_is_taken_and_nobody_else_is_asked(self) -> None:
        def never() -> SecretBytes:
            raise AssertionError

        opened = unseal(read(full()), nothing, [WithIdentity(hpke_identity()), WithPassphrase(never)])
        assert opened.slot.kind == "hpke"

    def test_a_wrong_one_does_not_stand_in_the_way_of_a_right_one(self) -> None:
        assert unseal(read(full()), nothing, [known(WRONG), WithIdentity(rsa_identity())]).slot.kind == "rsa"

    def test_a_person_is_asked_once_for_two_slots_and_never_for_none(self) -> None:
        asked: list[int] = []

        def ask() -> SecretBytes:
            asked.append(1)
            return PASSPHRASE

        other = passphrase_slot(passphrase=WRONG, label="home")
        assert (
            unseal(read(header(other, passphrase_slot())), nothing, [WithPassphrase(ask)]).how == "passphrase 'office'"
        )
        assert len(asked) == 1
        with pytest.raises(SealError):
            unseal(read(header(rsa_slot())), nothing, [WithPassphrase(ask)])
        assert len(asked) == 1

    def test_a_development_store_opens_only_on_the_callers_word(self) -> None:
        public = read(header(DevelopmentSlot.create(ROOT)))
        assert same(unseal(public, nothing, [WithDevelopment()]).root, ROOT)
        with pytest.raises(SealError, match="STRONGROOM_DEVELOPMENT"):
            unseal(public, nothing, [known(), WithIdentity(hpke_identity())])

    def test_a_missing_root_file_leaves_its_recipients_out(self) -> None:
        audience = unseal(read(full()), nothing, [known()]).audience
        assert not audience.exposed
        assert audience.missing == full().recipients

    @pytest.mark.parametrize("raw", [b"", b"-----BEGIN PGP MESSAGE-----\n", b"\xff" * 100])
    def test_a_root_file_that_cannot_be_judged_counts_as_exposed(self, raw: bytes) -> None:
        audience = unseal(read(full()), lambda name: raw, [known()]).audience
        assert audience.exposed
        assert "strongroom admin approve" in audience.error().hint


class TestWhatIsSaid:
    def test_with_nothing_to_show_each_slot_says_what_it_wants(self) -> None:
        with pytest.raises(SealError) as caught:
            unseal(read(full()), nothing, [])
        for part in ("4 slots", "root.1.gpg", "passphrase 'office'", "rsa 'ci'", "hpke 'host-x25519'"):
            assert part in str(caught.value)
        assert caught.value.hint == "strongroom doctor"

    def test_one_credential_that_fails_says_why(self) -> None:
        with pytest.raises(PassphraseError):
            unseal(read(full()), nothing, [known(WRONG)])
        with pytest.raises(EngineMissingError):
            unseal(read(full()), lambda name: b"x", [WithEngine(no_gpg)])
        with pytest.raises(NotFoundError, match=r"root\.1\.gpg"):
            unseal(read(full()), nothing, [WithEngine(no_gpg)])

    def test_several_that_fail_are_listed(self) -> None:
        with pytest.raises(SealError, match="there is no gpg here") as caught:
            unseal(read(full()), lambda name: b"x", [known(WRONG), WithEngine(no_gpg)])
        assert "passphrase 'office'" in str(caught.value)
        assert "horse" not in str(caught.value)

    def test_an_identity_of_somebody_else_fits_no_slot(self) -> None:
        stranger = type(hpke_identity()).generate(name="stranger")
        with pytest.raises(SealError):
            unseal(read(full()), nothing, [WithIdentity(stranger)])

    def test_a_swapped_slot_is_worse_news_than_a_wrong_passphrase(self) -> None:
        forged = replace(
            full().newest, slots=(passphrase_slot(), replace(hpke_slot(), sealed=hpke_slot(FORGED).sealed))
        )
        made = replace(full(), recipients=(), roots=(forged,))
        with pytest.raises(IntegrityError):
            unseal(read(made), nothing, [WithIdentity(hpke_identity()), known(WRONG)])

    def test_a_header_that_the_root_does_not_vouch_for_is_refused(self) -> None:
        raw = encode_header(full(), ROOT).replace(b'"registered": false', b'"registered": true')
        with pytest.raises(IntegrityError):
            unseal(decode_header(raw), nothing, [known()])

    def test_a_whole_header_of_another_root_does_not_pass_for_ours(self) -> None:
        """An outsider seals a root of his own to our public keys and signs a header with it: that is for the pin."""
        theirs = header(rsa_slot(FORGED), root=FORGED)
        opened = unseal(read(theirs, FORGED), nothing, [WithIdentity(rsa_identity())])
        with pytest.raises(ForeignStoreError):
            read(full()).verify(opened.root)


class TestExplaining:
    def test_each_slot_has_one_row_in_order(self) -> None:
        rows = explain(read(full()), nothing, [known(WRONG), WithIdentity(hpke_identity()), WithEngine(no_gpg)])
        assert [(row.slot.kind, row.opens) for row in rows] == [
            ("openpgp", False),
            ("passphrase", False),
            ("rsa", False),
            ("hpke", True),
        ]
        assert "root.1.gpg" in rows[0].problem
        assert "does not open" in rows[1].problem
        assert "STRONGROOM_IDENTITY_FILE" in rows[2].hint
        assert rows[3].problem == ""
        assert all(row.wants for row in rows)

    def test_a_right_credential_after_a_wrong_one_counts(self) -> None:
        rows = explain(read(header()), nothing, [known(WRONG), known()])
        assert [row.opens for row in rows] == [True]

    def test_a_root_under_a_changed_header_does_not_count_as_open(self) -> None:
        raw = encode_header(full(), ROOT).replace(b'"registered": false', b'"registered": true')
        (row,) = (row for row in explain(decode_header(raw), nothing, [known()]) if row.slot.kind == "passphrase")
        assert not row.opens
        assert "not authentic" in row.problem


def test_nothing_that_opens_shows_its_secret() -> None:
    opened = unseal(read(full()), nothing, [known()])
    shown = f"{opened!r} {opened.root!r} {known()!r} {WithIdentity(hpke_identity())!r}"
    for secret in (ROOT.line().reveal().decode().split()[-1], PASSPHRASE.reveal().decode()):
        assert secret not in shown


def test_every_failure_is_an_error_of_ours() -> None:
    rotated = full().rotated(ROOT, NEXT, pending=[])
    for credential in (known(WRONG), WithEngine(no_gpg), WithDevelopment()):
        with pytest.raises(StrongroomError):
            unseal(read(rotated, NEXT), nothing, [credential])
