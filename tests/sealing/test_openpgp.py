"""The root file with real gpg: for the approved and nobody else, and what shows when somebody else got in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from strongroom._clock import SYSTEM_CLOCK
from strongroom._encoding import Timestamp
from strongroom.errors import (
    ForeignStoreError,
    IntegrityError,
    NoSecretKeyError,
    OpenPGPError,
    RecipientError,
    StrongroomError,
)
from strongroom.openpgp.engine import Certificate
from strongroom.openpgp.gnupg import GnuPG
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.credentials import WithEngine, WithPassphrase
from strongroom.sealing.header import Header
from strongroom.sealing.header_codec import decode_header, encode_header
from strongroom.sealing.identities import OpenPgpIdentity, format_identity, parse_identity
from strongroom.sealing.openpgp import MAX_PLAINTEXT, open_root_file, seal_root_file
from strongroom.sealing.recipients import audience_of_file, recipient_of
from strongroom.sealing.root import Root
from strongroom.sealing.unsealing import unseal
from tests.sealing.builders import FOREIGN, FORGED, NEXT, PASSPHRASE, ROOT, flipped, header, passphrase_slot, same
from tests.support.gpg import GpgHome, GpgHomes

NOW = Timestamp(SYSTEM_CLOCK.now() + 600_000)  # after the keys that the fixtures are going to make


@pytest.fixture(scope="module")
def team(gpg_homes: GpgHomes, alice: GpgHome, bob: GpgHome) -> GpgHome:
    """Alice's home with Bob's and Mallory's public keys in it; Mallory's fingerprint is the second key's."""
    home = gpg_homes.of_key(alice.export_secret())
    home.import_keys(bob.export())
    return home


@pytest.fixture(scope="module")
def mallory(gpg_homes: GpgHomes, team: GpgHome) -> GpgHome:
    home = gpg_homes("Alice <alice@example.org>")  # with Alice's own user id
    team.import_keys(home.export())
    return home


@pytest.fixture
def engine(team: GpgHome) -> Iterator[GnuPG]:
    made = GnuPG(home=team.home)
    yield made
    made.close()


@pytest.fixture
def certificates(engine: GnuPG, alice: GpgHome, bob: GpgHome) -> list[Certificate]:
    return [engine.certificate(alice.fingerprint), engine.certificate(bob.fingerprint)]


@pytest.fixture
def approved(certificates: list[Certificate]) -> Header:
    return header(recipients=tuple(recipient_of(each, role=False, now=NOW) for each in certificates))


@pytest.fixture
def root_file(approved: Header, certificates: list[Certificate], engine: GnuPG) -> bytes:
    return seal_root_file(ROOT, approved, certificates, engine=engine, now=NOW)


class TestTheRootFile:
    def test_it_is_for_the_approved_and_gpg_opens_it(self, root_file: bytes, approved: Header, bob: GpgHome) -> None:
        assert bob.decrypt(root_file) == ROOT.line().reveal()
        assert root_file[0] & 0x80  # binary
        found = audience_of_file(approved, root_file)
        assert (found.extra, found.hidden, found.missing, found.problem) == ((), 0, (), "")

    def test_the_store_opens_through_it(self, root_file: bytes, approved: Header, engine: GnuPG) -> None:
        unverified = decode_header(encode_header(approved, ROOT))
        opened = unseal(unverified, lambda name: {"root.1.gpg": root_file}[name], [WithEngine(lambda: engine)])
        assert same(opened.root, ROOT)
        assert opened.how == "openpgp"
        assert not opened.audience.exposed

    def test_a_stranger_has_no_secret_key_for_it(self, root_file: bytes, carol: GpgHome) -> None:
        stranger = GnuPG(home=carol.home)
        with pytest.raises(NoSecretKeyError):
            open_root_file(root_file, ROOT.ref, engine=stranger)
        stranger.close()

    def test_an_identity_alone_opens_it(self, root_file: bytes, bob: GpgHome) -> None:
        held = OpenPgpIdentity(name="web", fingerprint=bob.fingerprint, private=SecretBytes(bob.export_secret()))
        identity = parse_identity(format_identity(held), source="a file")
        machine = GnuPG.from_identity(identity.private, None)
        try:
            assert same(open_root_file(root_file, ROOT.ref, engine=machine), ROOT)
        finally:
            machine.close()


class TestBeforeAByteIsEncrypted:
    def test_one_who_was_not_approved_is_refused(
        self, approved: Header, certificates: list[Certificate], engine: GnuPG, mallory: GpgHome
    ) -> None:
        stranger = engine.certificate(mallory.fingerprint)
        with pytest.raises(RecipientError, match=mallory.fingerprint):
            seal_root_file(ROOT, approved, [*certificates, stranger], engine=engine, now=NOW)

    def test_an_approved_one_may_not_be_missing(
        self, approved: Header, certificates: list[Certificate], engine: GnuPG, bob: GpgHome
    ) -> None:
        with pytest.raises(RecipientError, match=bob.fingerprint):
            seal_root_file(ROOT, approved, certificates[:1], engine=engine, now=NOW)

    def test_one_whose_key_expired_is_named(
        self, approved: Header, certificates: list[Certificate], engine: GnuPG
    ) -> None:
        expired = replace(certificates[1], expires=NOW // 1000 - 10)
        with pytest.raises(RecipientError, match=r"Bob.*expired"):
            seal_root_file(ROOT, approved, [certificates[0], expired], engine=engine, now=NOW)

    def test_a_subkey_that_was_not_approved_is_not_used(
        self, approved: Header, certificates: list[Certificate], engine: GnuPG
    ) -> None:
        known = approved.recipient(certificates[1].fingerprint)
        other = approved.with_subkeys(known.fingerprint, ["F" * 40])
        with pytest.raises(RecipientError):
            seal_root_file(ROOT, other, certificates, engine=engine, now=NOW)

    def test_a_certificate_that_cannot_encrypt_cannot_be_approved(self, gpg_homes: GpgHomes) -> None:
        signer = gpg_homes("Sig <sig@example.org>", kind="sign-only")
        engine = GnuPG(home=signer.home)
        with pytest.raises(RecipientError, match="no encryption subkey"):
            recipient_of(engine.certificate(signer.fingerprint), role=False, now=NOW)
        engine.close()


class TestExposure:
    def test_an_injected_recipient_shows(
        self, approved: Header, team: GpgHome, mallory: GpgHome, alice: GpgHome, bob: GpgHome
    ) -> None:
        """An honest admin ran the old scripts over an injected list."""
        injected = team.encrypt(ROOT.line().reveal(), alice.fingerprint, bob.fingerprint, mallory.fingerprint)
        found = audience_of_file(approved, injected)
        assert found.exposed
        assert found.extra == (mallory.encryption_subkeys()[0][-16:],)
        assert found.missing == ()
        assert found.extra[0] in str(found.error())
        assert "strongroom admin approve" in found.error().hint

    def test_reading_goes_on_under_it(
        self, approved: Header, team: GpgHome, mallory: GpgHome, alice: GpgHome, engine: GnuPG
    ) -> None:
        injected = team.encrypt(ROOT.line().reveal(), alice.fingerprint, mallory.fingerprint)
        opened = unseal(
            decode_header(encode_header(approved, ROOT)), lambda name: injected, [WithEngine(lambda: engine)]
        )
        assert same(opened.root, ROOT)
        assert opened.audience.exposed

    def test_it_shows_whichever_slot_opened(self, approved: Header, team: GpgHome, mallory: GpgHome) -> None:
        made = approved.with_slot(passphrase_slot())
        injected = team.encrypt(ROOT.line().reveal(), mallory.fingerprint)
        opened = unseal(
            decode_header(encode_header(made, ROOT)), lambda name: injected, [WithPassphrase(lambda: PASSPHRASE)]
        )
        assert opened.audience.exposed

    def test_a_hidden_recipient_shows(
        self, approved: Header, team: GpgHome, alice: GpgHome, bob: GpgHome, mallory: GpgHome
    ) -> None:
        hidden = team.encrypt(
            ROOT.line().reveal(),
            alice.fingerprint,
            bob.fingerprint,
            options=("--hidden-recipient", mallory.fingerprint),
        )
        found = audience_of_file(approved, hidden)
        assert (found.hidden, found.extra) == (1, ())
        assert found.exposed

    def test_one_who_is_missing_is_named_and_nothing_is_exposed(
        self, approved: Header, team: GpgHome, alice: GpgHome, bob: GpgHome
    ) -> None:
        found = audience_of_file(approved, team.encrypt(ROOT.line().reveal(), alice.fingerprint))
        assert [each.fingerprint for each in found.missing] == [bob.fingerprint]
        assert not found.exposed


class TestForgedFiles:
    """Whoever has the public keys, which are in the repository, can make a file that opens."""

    @pytest.mark.parametrize(
        ("root", "error"), [(FOREIGN, ForeignStoreError), (FORGED, IntegrityError), (NEXT, IntegrityError)]
    )
    def test_a_root_of_somebody_elses(
        self, root: Root, error: type[Exception], team: GpgHome, alice: GpgHome, engine: GnuPG
    ) -> None:
        with pytest.raises(error):
            open_root_file(team.encrypt(root.line().reveal(), alice.fingerprint), ROOT.ref, engine=engine)

    @pytest.mark.parametrize("line", [b"x", b"strongroom/1 root AAAA 1 AAAA\n", b"x" * MAX_PLAINTEXT])
    def test_no_root_at_all(self, line: bytes, team: GpgHome, alice: GpgHome, engine: GnuPG) -> None:
        with pytest.raises(StrongroomError):
            open_root_file(team.encrypt(line, alice.fingerprint), ROOT.ref, engine=engine)

    def test_a_bomb_is_cut_short(self, team: GpgHome, alice: GpgHome, engine: GnuPG) -> None:
        bomb = team.encrypt(bytes(50_000_000), alice.fingerprint)
        assert len(bomb) < 1_000_000
        with pytest.raises(OpenPGPError):
            open_root_file(bomb, ROOT.ref, engine=engine)

    def test_a_flipped_bit_of_what_is_encrypted(self, root_file: bytes, engine: GnuPG) -> None:
        for bit in range(len(root_file) * 8 - 1200, len(root_file) * 8, 149):
            with pytest.raises(StrongroomError):
                open_root_file(flipped(root_file, bit), ROOT.ref, engine=engine)


def test_a_user_id_that_would_steer_a_terminal_is_tamed(certificates: list[Certificate]) -> None:
    hostile = replace(certificates[0], uids=("\x1b[2J\u202eecilA" + "x" * 500,))
    name = recipient_of(hostile, role=True, now=NOW).name
    assert name.startswith("?[2J?ecilA")
    assert len(name) <= 256
