"""What every OpenPGP engine must do. A test class inherits it and gives the engine."""

from __future__ import annotations

import pytest
from tests.support.gpg import GpgHome

from strongroom._clock import SYSTEM_CLOCK
from strongroom.errors import ClosedError, FormatError, NoSecretKeyError, OpenPGPError, RecipientError
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.openpgp.packets import recipients_of
from strongroom.primitives.secret import SecretBytes

PLAINTEXT = b"the sealed line\n\x00\xff"


class EngineContract:
    """`engine` has Alice's secret key and no other; `alice` and `bob` are homes of real gpg."""

    @pytest.fixture
    def alices(self, engine: Engine, alice: GpgHome) -> Certificate:
        return engine.certificates(alice.export())[0]

    @pytest.fixture
    def bobs(self, engine: Engine, bob: GpgHome) -> Certificate:
        return engine.certificates(bob.export())[0]

    def test_a_message_comes_back_whole_with_its_recipients(
        self, engine: Engine, alices: Certificate, bobs: Certificate
    ) -> None:
        opened = engine.decrypt(engine.encrypt(SecretBytes(PLAINTEXT), to=[alices, bobs]))
        assert opened.plaintext.reveal() == PLAINTEXT
        assert opened.recipients == (alices.encryption_subkeys[0].key_id, bobs.encryption_subkeys[0].key_id)

    def test_real_gpg_opens_what_it_seals_and_the_other_way_round(
        self, engine: Engine, alice: GpgHome, bob: GpgHome, bobs: Certificate
    ) -> None:
        assert bob.decrypt(engine.encrypt(SecretBytes(PLAINTEXT), to=[bobs], filename="database.yml")) == PLAINTEXT
        assert engine.decrypt(alice.encrypt(PLAINTEXT, alice.fingerprint)).plaintext.reveal() == PLAINTEXT

    def test_a_message_for_another_has_no_secret_key_here(self, engine: Engine, bobs: Certificate) -> None:
        sealed = engine.encrypt(SecretBytes(PLAINTEXT), to=[bobs])
        with pytest.raises(NoSecretKeyError, match=bobs.encryption_subkeys[0].key_id):
            engine.decrypt(sealed)

    def test_a_message_that_opens_to_too_much_is_refused_and_one_of_just_the_limit_is_not(
        self, engine: Engine, alices: Certificate
    ) -> None:
        sealed = engine.encrypt(SecretBytes(bytes(1000)), to=[alices])
        assert len(engine.decrypt(sealed, limit=1000).plaintext) == 1000
        with pytest.raises(OpenPGPError, match="more than 999 bytes"):
            engine.decrypt(sealed, limit=999)

    def test_nobody_is_no_recipient(self, engine: Engine) -> None:
        with pytest.raises(RecipientError, match="nobody"):
            engine.encrypt(SecretBytes(PLAINTEXT), to=[])

    def test_one_named_twice_receives_once(self, engine: Engine, alices: Certificate) -> None:
        sealed = engine.encrypt(SecretBytes(PLAINTEXT), to=[alices, alices])
        assert recipients_of(sealed) == (alices.encryption_subkeys[0].key_id,)

    def test_what_is_no_message_is_told_before_a_key_is_touched(self, engine: Engine) -> None:
        with pytest.raises(FormatError):
            engine.decrypt(b"-----BEGIN PGP MESSAGE-----\n")

    def test_the_secret_keys_are_those_that_open(self, engine: Engine, alice: GpgHome) -> None:
        (mine,) = engine.secret_keys()
        assert (mine.fingerprint, mine.has_secret) == (alice.fingerprint, True)

    def test_a_ring_is_listed_in_its_own_order(self, engine: Engine, alice: GpgHome, bob: GpgHome) -> None:
        ring = bob.export() + alice.export()
        assert [each.fingerprint for each in engine.certificates(ring)] == [bob.fingerprint, alice.fingerprint]
        assert [each.has_secret for each in engine.certificates(ring)] == [False, False]
        assert engine.certificates(b"") == ()

    def test_a_certificate_travels_by_its_bytes(self, engine: Engine, alices: Certificate) -> None:
        assert engine.certificates(alices.transferable) == (alices,)

    def test_a_generated_key_opens_what_is_sealed_to_it(self, engine: Engine) -> None:
        secret, certificate = engine.generate("Web deploy <deploy@example.org>", expires_s=86_400)
        assert certificate.uids == ("Web deploy <deploy@example.org>",)
        assert certificate.problem(SYSTEM_CLOCK.now()) is None
        assert certificate.expires is not None
        assert abs(certificate.expires - certificate.created - 86_400) <= 1
        home = GpgHome.of_key(secret.reveal())
        try:
            assert home.decrypt(engine.encrypt(SecretBytes(PLAINTEXT), to=[certificate])) == PLAINTEXT
        finally:
            home.close()

    def test_a_generated_key_is_kept_nowhere(self, engine: Engine) -> None:
        before = engine.secret_keys()
        engine.generate("Elsewhere <e@example.org>", expires_s=None)
        assert engine.secret_keys() == before

    def test_a_closed_engine_says_so(self, engine: Engine, alice: GpgHome, alices: Certificate) -> None:
        sealed = engine.encrypt(SecretBytes(PLAINTEXT), to=[alices])
        engine.close()
        engine.close()
        for use in (
            lambda: engine.decrypt(sealed),
            lambda: engine.encrypt(SecretBytes(PLAINTEXT), to=[alices]),
            engine.secret_keys,
            lambda: engine.certificate(alice.fingerprint),
            lambda: engine.certificates(alice.export()),
            lambda: engine.generate("Late <late@example.org>", expires_s=None),
        ):
            with pytest.raises(ClosedError):
                use()
