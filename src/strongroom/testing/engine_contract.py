"""What every OpenPGP engine must do. Inherit it in your tests, say which engine, and who stands on the other side.

The other side is real gpg, or another implementation: what an engine writes is worth nothing unless others open it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from strongroom._clock import SYSTEM_CLOCK
from strongroom.errors import ClosedError, FormatError, NoSecretKeyError, OpenPGPError, RecipientError, StrongroomError
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.openpgp.packets import recipients_of
from strongroom.primitives.secret import SecretBytes

PLAINTEXT = b"the sealed line\n\x00\xff"


class Peer(Protocol):
    """A person with one key pair and another implementation of OpenPGP."""

    fingerprint: str

    def export(self) -> bytes:
        """The public key, binary."""
        ...

    def encrypt(self, plaintext: bytes, *recipients: str) -> bytes:
        """A binary message to these fingerprints, whose keys the peer has."""
        ...

    def decrypt(self, ciphertext: bytes) -> bytes:
        """The plaintext; raises where the peer cannot open it."""
        ...


class EngineContract(ABC):
    """The promises of `strongroom.openpgp.engine.Engine`, for an engine that has Alice's secret key and no other."""

    alice: Peer
    bob: Peer

    @abstractmethod
    def make_engine(self) -> Engine:
        """A new engine with Alice's secret key."""

    @abstractmethod
    def peer_with(self, secret_key: bytes) -> AbstractContextManager[Peer]:
        """A peer who has this transferable secret key."""

    def test_a_message_comes_back_whole_with_its_recipients(self) -> None:
        with self._engine() as engine:
            alices, bobs = self._both(engine)
            opened = engine.decrypt(engine.encrypt(SecretBytes(PLAINTEXT), to=[alices, bobs]))
            assert opened.plaintext.reveal() == PLAINTEXT
            assert opened.recipients == (alices.encryption_subkeys[0].key_id, bobs.encryption_subkeys[0].key_id)

    def test_others_open_what_it_seals_and_the_other_way_round(self) -> None:
        with self._engine() as engine:
            _, bobs = self._both(engine)
            sealed = engine.encrypt(SecretBytes(PLAINTEXT), to=[bobs], filename="database.yml")
            assert self.bob.decrypt(sealed) == PLAINTEXT
            theirs = self.alice.encrypt(PLAINTEXT, self.alice.fingerprint)
            assert engine.decrypt(theirs).plaintext.reveal() == PLAINTEXT

    def test_a_message_for_another_has_no_secret_key_here(self) -> None:
        with self._engine() as engine:
            _, bobs = self._both(engine)
            sealed = engine.encrypt(SecretBytes(PLAINTEXT), to=[bobs])
            with _raises(NoSecretKeyError, saying=bobs.encryption_subkeys[0].key_id):
                engine.decrypt(sealed)

    def test_a_message_that_opens_to_too_much_is_refused_and_one_of_just_the_limit_is_not(self) -> None:
        with self._engine() as engine:
            alices, _ = self._both(engine)
            sealed = engine.encrypt(SecretBytes(bytes(1000)), to=[alices])
            assert len(engine.decrypt(sealed, limit=1000).plaintext) == 1000
            with _raises(OpenPGPError, saying="more than 999 bytes"):
                engine.decrypt(sealed, limit=999)

    def test_a_damaged_message_does_not_open_wherever_the_damage_is(self) -> None:
        with self._engine() as engine:
            alices, _ = self._both(engine)
            sealed = engine.encrypt(SecretBytes(PLAINTEXT), to=[alices])
            for at in range(0, len(sealed), 7):
                damaged = sealed[:at] + bytes([sealed[at] ^ 0x10]) + sealed[at + 1 :]
                with _raises(StrongroomError):
                    engine.decrypt(damaged)
            for length in range(0, len(sealed), 7):
                with _raises(FormatError):
                    engine.decrypt(sealed[:length])

    def test_many_messages_open_to_their_own_plaintexts_or_are_left_to_be_opened_alone(self) -> None:
        with self._engine() as engine:
            alices, bobs = self._both(engine)
            sealed = [
                engine.encrypt(SecretBytes(b"%d" % number), to=[alices, bobs][: 1 + number % 2]) for number in range(5)
            ]
            expected = [engine.decrypt(message) for message in sealed]
            assert all(found in (None, each) for found, each in zip(engine.decrypt_many(sealed), expected, strict=True))
            strange = [b"", sealed[2][:-1] + bytes([sealed[2][-1] ^ 1]), engine.encrypt(SecretBytes(b"2"), to=[bobs])]
            for bad in strange:
                found = engine.decrypt_many([sealed[0], bad, sealed[4]])
                assert found[1] is None
                assert found[0] in (None, expected[0])
                assert found[2] in (None, expected[4])
            assert engine.decrypt_many([]) == []

    def test_many_messages_are_sealed_each_to_the_same_recipients_or_left_to_be_sealed_alone(self) -> None:
        with self._engine() as engine:
            alices, bobs = self._both(engine)
            messages = [(f"f{number}", SecretBytes(b"secret %d" % number)) for number in range(5)]
            for (_, plaintext), sealed in zip(messages, engine.encrypt_many(messages, to=[alices, bobs]), strict=True):
                if sealed is not None:
                    assert self.bob.decrypt(sealed) == plaintext.reveal()
                    assert recipients_of(sealed) == recipients_of(engine.encrypt(plaintext, to=[alices, bobs]))
            assert engine.encrypt_many([], to=[alices]) == []

    def test_nothing_sealed_is_no_message(self) -> None:
        with self._engine() as engine:
            alices, _ = self._both(engine)
            with _raises(OpenPGPError):
                engine.decrypt(engine.encrypt(SecretBytes(b""), to=[alices]))

    def test_nobody_is_no_recipient(self) -> None:
        with self._engine() as engine, _raises(RecipientError, saying="nobody"):
            engine.encrypt(SecretBytes(PLAINTEXT), to=[])

    def test_one_named_twice_receives_once(self) -> None:
        with self._engine() as engine:
            alices, _ = self._both(engine)
            sealed = engine.encrypt(SecretBytes(PLAINTEXT), to=[alices, alices])
            assert recipients_of(sealed) == (alices.encryption_subkeys[0].key_id,)

    def test_what_is_no_message_is_told_before_a_key_is_touched(self) -> None:
        with self._engine() as engine, _raises(FormatError):
            engine.decrypt(b"-----BEGIN PGP MESSAGE-----\n")

    def test_the_secret_keys_are_those_that_open(self) -> None:
        with self._engine() as engine:
            (mine,) = engine.secret_keys()
            assert (mine.fingerprint, mine.has_secret) == (self.alice.fingerprint, True)

    def test_a_ring_is_listed_in_its_own_order(self) -> None:
        ring = self.bob.export() + self.alice.export()
        with self._engine() as engine:
            listed = engine.certificates(ring)
            assert [each.fingerprint for each in listed] == [self.bob.fingerprint, self.alice.fingerprint]
            assert [each.has_secret for each in listed] == [False, False]
            assert engine.certificates(b"") == ()

    def test_a_certificate_travels_by_its_bytes(self) -> None:
        with self._engine() as engine:
            alices, _ = self._both(engine)
            assert engine.certificates(alices.transferable) == (alices,)

    def test_a_generated_key_opens_what_is_sealed_to_it(self) -> None:
        with self._engine() as engine:
            secret, certificate = engine.generate("Web deploy <deploy@example.org>", expires_s=86_400)
            assert certificate.uids == ("Web deploy <deploy@example.org>",)
            assert certificate.has_secret
            assert certificate.problem(SYSTEM_CLOCK.now()) is None
            assert certificate.expires is not None
            assert abs(certificate.expires - certificate.created - 86_400) <= 1
            with self.peer_with(secret.reveal()) as deploy:
                assert deploy.decrypt(engine.encrypt(SecretBytes(PLAINTEXT), to=[certificate])) == PLAINTEXT

    def test_a_generated_key_is_kept_nowhere(self) -> None:
        with self._engine() as engine:
            before = engine.secret_keys()
            engine.generate("Elsewhere <e@example.org>", expires_s=None)
            assert engine.secret_keys() == before

    def test_a_closed_engine_says_so(self) -> None:
        engine = self.make_engine()
        alices, _ = self._both(engine)
        sealed = engine.encrypt(SecretBytes(PLAINTEXT), to=[alices])
        engine.close()
        engine.close()
        uses: tuple[Callable[[], object], ...] = (
            lambda: engine.decrypt(sealed),
            lambda: engine.encrypt(SecretBytes(PLAINTEXT), to=[alices]),
            engine.secret_keys,
            lambda: engine.certificate(self.alice.fingerprint),
            lambda: engine.certificates(self.alice.export()),
            lambda: engine.generate("Late <late@example.org>", expires_s=None),
        )
        for use in uses:
            with _raises(ClosedError):
                use()

    @contextmanager
    def _engine(self) -> Iterator[Engine]:
        engine = self.make_engine()
        try:
            yield engine
        finally:
            engine.close()

    def _both(self, engine: Engine) -> tuple[Certificate, Certificate]:
        """Alice's and Bob's certificates, as this engine judges them."""
        alices, bobs = engine.certificates(self.alice.export() + self.bob.export())
        return alices, bobs


@contextmanager
def _raises(kind: type[StrongroomError], *, saying: str = "") -> Iterator[None]:
    said = None
    try:
        yield
    except kind as error:
        said = str(error)
    assert said is not None, f"no {kind.__name__}"
    assert saying in said, f"{said} does not say {saying!r}"
