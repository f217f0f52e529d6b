"""Policies at work: what a policy states is kept to by every handle, what is only usual is told, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.keystore.clocks import HandClock

from strongroom.errors import DecryptionError, PolicyError, SettingsError, SignatureError
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_memory
from strongroom.model.policy import Policy
from strongroom.model.states import Operation
from strongroom.primitives.fernet_key import PooledFernetKey as FernetKey

DAY = 86_400
KINDS = ("fernet", "aes256-gcm", "xaes256-gcm", "hmac-sha256", "ed25519", "x25519", "rsa-2048")

Protect = Callable[[], Any]
Process = Callable[..., object]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def ks(clock: HandClock) -> Iterator[KeyStore]:
    with open_memory(clock=clock) as keystore:
        yield keystore


def made(ks: KeyStore, kind: str, **words: Any) -> tuple[Protect, Process]:
    """A keyset `box` of this type: what protects a message with it, and what takes that back."""
    ks.create("box", kind, purpose="encrypt" if kind.startswith("rsa") else None, **words)
    if kind == "fernet":
        box = ks.fernet("box")
        return lambda: box.encrypt(b"data"), box.decrypt
    if kind.endswith("gcm"):
        aead = ks.aead("box")
        return lambda: aead.encrypt(b"data", b""), lambda made, **asked: aead.decrypt(made, b"", **asked)
    if kind == "hmac-sha256":
        mac = ks.mac("box")
        return lambda: mac.compute(b"data"), lambda made, **asked: mac.verify(made, b"data", **asked)
    if kind == "ed25519":
        signer, verifier = ks.signer("box"), ks.verifier("box")
        return lambda: signer.sign(b"data"), lambda made, **asked: verifier.verify(made, b"data", **asked)
    hybrid = ks.hybrid("box")
    context = None if kind.startswith("rsa") else b""
    return lambda: hybrid.encrypt(b"data", context), lambda made, **asked: hybrid.decrypt(made, context, **asked)


@pytest.mark.parametrize("kind", KINDS)
class TestEveryHandle:
    def test_protects_until_a_stated_period_and_its_grace_are_over(
        self, ks: KeyStore, clock: HandClock, kind: str
    ) -> None:
        protect, process = made(ks, kind, originator="10d", grace="2d")
        clock.pass_time(12 * DAY - 1)
        last = protect()
        clock.pass_time(1)
        with pytest.raises(PolicyError, match="originator-usage period of version 1 is over") as refusal:
            protect()
        assert refusal.value.hint == "strongroom rotate box --now"
        process(last)
        ks.rotate("box", now=True)
        process(protect())

    def test_reads_what_is_past_its_recipient_period_only_when_asked(
        self, ks: KeyStore, clock: HandClock, kind: str
    ) -> None:
        protect, process = made(ks, kind, recipient="30d")
        old = protect()
        ks.rotate("box", now=True)
        clock.pass_time(30 * DAY - 1)
        process(old)
        clock.pass_time(2)
        with pytest.raises(PolicyError, match="recipient-usage period of version 1"):
            process(old)
        process(old, compromised_too=True)
        with pytest.raises((DecryptionError, SignatureError)):
            process(old[:-2] + bytes([old[-2] ^ 1, old[-1]]))
        ks.set_policy("box", recipient="60d")
        process(old)

    def test_keeps_to_what_is_allowed(self, ks: KeyStore, kind: str) -> None:
        protect, process = made(ks, kind)
        token = protect()
        ks.set_policy("box", allow="process")
        with pytest.raises(PolicyError, match="does not allow to protect") as refusal:
            protect()
        assert refusal.value.hint == "strongroom policy box --allow protect,process"
        process(token)
        ks.set_policy("box", allow="protect")
        token = protect()
        for asked in (False, True):
            with pytest.raises(PolicyError, match="does not allow to process"):
                process(token, compromised_too=asked)
        ks.set_policy("box", allow="none")
        process(token)

    def test_protects_as_many_messages_as_the_limit_and_no_more(
        self, ks: KeyStore, clock: HandClock, kind: str
    ) -> None:
        protect, process = made(ks, kind, max_messages=3)
        last = [protect() for _ in range(3)][-1]
        for _ in range(2):
            with pytest.raises(PolicyError, match="has protected the 3 messages that its policy allows"):
                protect()
            clock.pass_time(120)
        process(last)
        ks.rotate("box", now=True)
        process(protect())

    def test_says_once_an_hour_that_a_doomed_version_is_still_used(
        self, ks: KeyStore, clock: HandClock, kind: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        protect, process = made(ks, kind)
        old = protect()
        ks.rotate("box", now=True)
        ks.sealed.replace(
            (held := ks.show("box")).with_versions(held.version(1).doomed(clock.now(), now=clock.now(), reason="over")),
            replaces=held.revision,
        )
        clock.pass_time(1)
        process(protect())
        assert "doomed" not in caplog.text
        for _ in range(3):
            process(old)
        assert [r.getMessage() for r in caplog.records if "event=doomed-version-used" in r.getMessage()] == [
            "keyset=box version=1 destroy_at=2026-11-23T12:00:00.000Z event=doomed-version-used"
        ]
        clock.pass_time(3600)
        process(old)
        assert caplog.text.count("event=doomed-version-used") == 2

    def test_a_keyset_with_no_policy_goes_on_for_ever(self, ks: KeyStore, clock: HandClock, kind: str) -> None:
        protect, process = made(ks, kind)
        old = protect()
        clock.pass_time(20 * 365 * DAY)
        process(old)
        process(protect())


class TestSecretsAndRawKeys:
    def test_a_secret_keeps_to_its_recipient_period(self, ks: KeyStore, clock: HandClock) -> None:
        ks.create("pw", "secret", recipient="30d")
        ks.secret("pw").reveal()
        clock.pass_time(30 * DAY)
        with pytest.raises(PolicyError, match="recipient-usage"):
            ks.secret("pw").reveal()

    def test_a_private_key_that_signs_is_for_protecting_and_one_that_decrypts_for_processing(
        self, ks: KeyStore
    ) -> None:
        ks.create("sig", "ed25519", allow="process")
        ks.create("dec", "x25519", allow="protect")
        for name in ("sig", "dec"):
            with pytest.raises(PolicyError, match="does not allow"):
                ks.private_key(name)
            ks.public_key(name)
            ks.set_policy(name, allow="none")
            ks.private_key(name)


class TestWarnings:
    def reminders(self, caplog: pytest.LogCaptureFixture, event: str) -> list[str]:
        return [r.getMessage() for r in caplog.records if f"event={event}" in r.getMessage()]

    def test_the_usual_period_is_warned_about_a_month_before_and_never_refused(
        self, ks: KeyStore, clock: HandClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        protect, _ = made(ks, "fernet")
        clock.pass_time((730 - 30) * DAY - 1)
        protect()
        assert self.reminders(caplog, "originator-period-ends") == []
        clock.pass_time(1)
        protect()
        (line,) = self.reminders(caplog, "originator-period-ends")
        assert line == "keyset=box version=1 at=2028-11-22T12:00:00.000Z period=usual event=originator-period-ends"
        clock.pass_time(3599)
        protect()
        assert len(self.reminders(caplog, "originator-period-ends")) == 1
        clock.pass_time(1)
        protect()
        assert len(self.reminders(caplog, "originator-period-ends")) == 2

    def test_a_rotation_that_is_under_way_ends_the_warning(
        self, ks: KeyStore, clock: HandClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        protect, _ = made(ks, "fernet", propagation="1d")
        clock.pass_time(720 * DAY)
        ks.rotate("box")
        protect()
        assert self.reminders(caplog, "originator-period-ends") == []

    def test_an_old_version_that_is_still_read_is_told(
        self, ks: KeyStore, clock: HandClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        protect, _ = made(ks, "hmac-sha256", recipient="100d", originator="50d")
        clock.pass_time(45 * DAY)
        ks.rotate("box", now=True)
        clock.pass_time(45 * DAY)
        protect()
        assert "version=1" in self.reminders(caplog, "recipient-period-ends")[0]
        assert "period=stated" in self.reminders(caplog, "recipient-period-ends")[0]

    def test_a_limit_is_told_at_three_quarters(
        self, ks: KeyStore, clock: HandClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        protect, _ = made(ks, "aes256-gcm", max_messages=8)
        for count in range(8):
            protect()
            clock.pass_time(1)
            assert bool(self.reminders(caplog, "message-limit-near")) is (count >= 6)  # looked at before each message

    def test_aes_gcm_is_counted_by_itself_and_xaes_is_not(self, ks: KeyStore) -> None:
        for kind, counted in (("aes256-gcm", True), ("xaes256-gcm", False), ("fernet", False)):
            ks.create(kind, kind)
            assert (ks.current(kind).tally is not None) is counted


class TestSettingIt:
    def test_what_is_not_named_stays_and_none_takes_back(self, ks: KeyStore) -> None:
        ks.create("box", "fernet", rotate_every="90d", originator="180d", grace="1d")
        ks.set_policy("box", recipient="730d", max_messages="5000", worker_messages=50)
        assert ks.show("box").policy == Policy(
            rotate_every=90 * DAY, originator=180 * DAY, grace=DAY, recipient=730 * DAY,
            max_messages=5000, worker_messages=50,
        )  # fmt: skip
        held = ks.set_policy(
            "box", originator="none", grace="none", max_messages="none", worker_messages="none", rotate_every="none",
            recipient="none",
        )  # fmt: skip
        assert held.policy == Policy()

    def test_the_same_policy_is_not_written_again(self, ks: KeyStore) -> None:
        ks.create("box", "fernet", rotate_every="90d")
        assert ks.set_policy("box", rotate_every="90d").revision == 1
        assert ks.set_labels("box", {"owner": None}).revision == 1

    def test_export_may_be_forbidden_and_not_allowed_again(self, ks: KeyStore) -> None:
        ks.create("box", "fernet", exportable=True)
        assert ks.set_policy("box", exportable=False).policy.exportable is False
        with pytest.raises(PolicyError, match="does not become so"):
            ks.set_policy("box", exportable=True)

    @pytest.mark.parametrize(
        "words",
        [{"allow": "encrypt"}, {"allow": ""}, {"max_messages": "many"}, {"originator": "soon"}, {"grace": "1d"},
         {"max_messages": 0}, {"exportable": "yes"}, {"colour": "red"}],
        ids=repr,
    )  # fmt: skip
    def test_words_that_mean_nothing_are_refused(self, ks: KeyStore, words: dict[str, Any]) -> None:
        ks.create("box", "fernet")
        with pytest.raises(SettingsError):
            ks.set_policy("box", **words)
        assert ks.show("box").revision == 1

    def test_labels_come_and_go_one_by_one(self, ks: KeyStore) -> None:
        ks.create("box", "fernet", labels={"owner": "registrar", "zone": "eu"})
        held = ks.set_labels("box", {"owner": "bursar", "zone": None, "tier": "1"})
        assert dict(held.labels) == {"owner": "bursar", "tier": "1"}

    def test_a_handle_that_is_held_follows(self, ks: KeyStore) -> None:
        ks.create("box", "fernet")
        held = ks.fernet("box")
        ks.set_policy("box", allow="process")
        with pytest.raises(PolicyError):
            held.encrypt(b"data")
        assert ks.show("box").policy.allow == frozenset({Operation.PROCESS})


def test_a_handles_protection_costs_nothing_where_nothing_is_set(ks: KeyStore) -> None:
    """The primitive itself protects: no wrapper counts or asks."""
    made(ks, "fernet")
    kit = ks.fernet("box")._current()
    assert isinstance(kit.protect, FernetKey)
    assert kit.ring is kit.rewriting
    assert kit.late == []
