"""The keystore over a store in memory: handles, moves, and what they refuse."""

from __future__ import annotations

import copy
import pickle

import pytest
from cryptography.fernet import Fernet as TheirFernet
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from tests.keystore.clocks import HandClock
from tests.primitives.material_cases import crossed

from strongroom.errors import (
    ClosedError,
    DecryptionError,
    ExistsError,
    IntegrityError,
    InvalidNameError,
    NotFoundError,
    PolicyError,
    PurposeError,
    SettingsError,
    SignatureError,
    StateError,
    StrongroomError,
)
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_memory, open_store
from strongroom.keystore.running import environment_for
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId, parse_name
from strongroom.model.version import Version

ALL_TYPES = [
    ("fernet", None),
    ("aes256-gcm", None),
    ("xaes256-gcm", None),
    ("hmac-sha256", None),
    ("ed25519", None),
    ("ecdsa-p256", None),
    ("rsa-2048", "sign"),
    ("rsa-2048", "encrypt"),
    ("x25519", None),
    ("mlkem768-x25519", None),
    ("secret", None),
]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def ks(clock: HandClock) -> KeyStore:
    return open_memory(clock=clock)


def test_a_token_is_a_plain_fernet_token(ks: KeyStore) -> None:
    ks.create("student-records", "fernet")
    box = ks.fernet("student-records")
    token = box.encrypt(b"my deep dark secret")
    assert box.decrypt(token) == b"my deep dark secret"
    assert box.decrypt(token.decode()) == b"my deep dark secret"
    [version] = ks.show("student-records").versions
    raw = ks.source.load("student-records").material(version.number).reveal()
    import base64

    assert TheirFernet(base64.urlsafe_b64encode(raw)).decrypt(token) == b"my deep dark secret"


@pytest.mark.parametrize("kind", ["aes256-gcm", "xaes256-gcm"])
def test_associated_data_is_bound(ks: KeyStore, kind: str) -> None:
    ks.create("columns", kind)
    box = ks.aead("columns")
    sealed = box.encrypt(b"123-45-6789", b"student/42")
    assert box.decrypt(sealed, b"student/42") == b"123-45-6789"
    with pytest.raises(DecryptionError):
        box.decrypt(sealed, b"student/43")


def test_macs_and_signatures_verify_and_refuse(ks: KeyStore) -> None:
    ks.create("mac", "hmac-sha256")
    tag = ks.mac("mac").compute(b"data")
    ks.mac("mac").verify(tag, b"data")
    with pytest.raises(SignatureError):
        ks.mac("mac").verify(tag, b"datA")
    for kind, purpose in (("ed25519", None), ("ecdsa-p256", None), ("rsa-2048", "sign")):
        ks.create(f"sign-{kind}", kind, purpose=purpose)
        signature = ks.signer(f"sign-{kind}").sign(b"message")
        ks.verifier(f"sign-{kind}").verify(signature, b"message")
        with pytest.raises(SignatureError):
            ks.verifier(f"sign-{kind}").verify(signature, b"messagE")
        with pytest.raises(SignatureError):
            ks.verifier(f"sign-{kind}").verify(b"", b"message")


def test_hybrid_encryption_opens_with_its_context_only(ks: KeyStore) -> None:
    for kind in ("x25519", "mlkem768-x25519"):
        ks.create(f"box-{kind}", kind)
        sealed = ks.hybrid(f"box-{kind}").encrypt(b"data", b"context")
        assert ks.hybrid(f"box-{kind}").decrypt(sealed, b"context") == b"data"
        with pytest.raises(DecryptionError):
            ks.hybrid(f"box-{kind}").decrypt(sealed, b"another")
        with pytest.raises(PolicyError):
            ks.hybrid(f"box-{kind}").encrypt(b"data", None)
    ks.create("jwe", "rsa-2048", purpose="encrypt")
    token = ks.hybrid("jwe").encrypt(b"data", None)
    assert token.count(b".") == 4
    assert ks.hybrid("jwe").decrypt(token, None) == b"data"
    with pytest.raises(PolicyError):
        ks.hybrid("jwe").encrypt(b"data", b"context")


def test_a_secret_is_revealed_by_one_word(ks: KeyStore) -> None:
    ks.import_key("smtp-password", b"hunter2\n", "secret")
    assert ks.secret("smtp-password").reveal() == b"hunter2\n"
    ks.create("generated", "secret")
    assert len(ks.secret("generated").reveal_text()) == 64


def test_a_private_key_is_a_cryptography_object(ks: KeyStore) -> None:
    ks.create("jwt-signing", "rsa-2048", purpose="sign")
    key = ks.private_key("jwt-signing")
    assert isinstance(key, RSAPrivateKey)
    assert key.key_size == 2048
    assert key.public_key().public_numbers() == ks.public_key("jwt-signing").public_numbers()  # type: ignore[union-attr]  # it is RSA
    with pytest.raises(PurposeError):
        ks.create("box", "fernet") and ks.private_key("box")


def test_a_missing_name_is_an_error_and_nothing_is_created_on_use(ks: KeyStore) -> None:
    for look in (ks.fernet, ks.aead, ks.mac, ks.signer, ks.verifier, ks.hybrid, ks.secret, ks.private_key, ks.show):
        for _ in range(2):
            with pytest.raises(NotFoundError) as caught:
                look("missing")
            assert "missing" in str(caught.value)
    assert ks.names() == ()
    assert "missing" not in ks


def test_a_keyset_gives_the_handles_of_its_type_and_no_others(ks: KeyStore) -> None:
    fits = {
        "fernet": {"fernet"},
        "aes256-gcm": {"aead"},
        "xaes256-gcm": {"aead"},
        "hmac-sha256": {"mac"},
        "ed25519": {"signer", "verifier"},
        "ecdsa-p256": {"signer", "verifier"},
        "rsa-2048 sign": {"signer", "verifier"},
        "rsa-2048 encrypt": {"hybrid"},
        "x25519": {"hybrid"},
        "mlkem768-x25519": {"hybrid"},
        "secret": {"secret"},
    }
    for kind, purpose in ALL_TYPES:
        name = f"{kind} {purpose}" if purpose else kind
        keyset = name.replace(" ", "-")
        ks.create(keyset, kind, purpose=purpose)
        for handle in ("fernet", "aead", "mac", "signer", "verifier", "hybrid", "secret"):
            if handle in fits[name]:
                assert getattr(ks, handle)(keyset).name == keyset
            else:
                with pytest.raises(PurposeError):
                    getattr(ks, handle)(keyset)


def test_an_rsa_keyset_must_say_what_it_is_for(ks: KeyStore) -> None:
    with pytest.raises(PurposeError) as caught:
        ks.create("jwt", "rsa-2048")
    assert "--purpose" in caught.value.hint


def test_a_name_is_made_once(ks: KeyStore) -> None:
    ks.create("a", "fernet")
    with pytest.raises(ExistsError):
        ks.create("a", "fernet")
    for bad in ("A", "../a", "a.gpg", "strongroom.issuer", "a/", ""):
        with pytest.raises(InvalidNameError):
            ks.create(bad, "fernet")
    with pytest.raises(SettingsError) as caught:
        ks.create("b", "fernett")
    assert "fernet" in caught.value.hint


def test_a_rotation_with_propagation_changes_over_at_its_moment(ks: KeyStore, clock: HandClock) -> None:
    ks.create("box", "fernet", propagation="1h")
    box = ks.fernet("box")
    old = box.encrypt(b"old")
    keyset = ks.rotate("box")
    assert box.version == 1
    assert keyset.next_change(clock.now()) == clock.now() + 3_600_000
    clock.pass_time(3599.9)
    assert box.version == 1
    clock.pass_time(0.1)
    assert box.version == 2
    assert box.decrypt(old) == b"old"
    assert box.decrypt(box.encrypt(b"new")) == b"new"


def test_rotate_now_takes_effect_in_a_held_handle(ks: KeyStore) -> None:
    ks.create("columns", "aes256-gcm")
    box = ks.aead("columns")
    first = box.encrypt(b"1", b"")
    ks.rotate("columns", now=True)
    second = box.encrypt(b"2", b"")
    assert first[:5] != second[:5]
    assert (box.decrypt(first, b""), box.decrypt(second, b"")) == (b"1", b"2")


def test_a_suspended_version_does_nothing_until_it_is_resumed(ks: KeyStore) -> None:
    ks.create("box", "fernet")
    box = ks.fernet("box")
    token = box.encrypt(b"data")
    ks.suspend("box", 1, reason="under investigation")
    with pytest.raises(DecryptionError):
        box.decrypt(token)
    with pytest.raises(StateError) as caught:
        box.encrypt(b"data")
    assert "suspended" in str(caught.value)
    ks.resume("box", 1)
    assert box.decrypt(token) == b"data"


def test_a_compromised_version_reads_only_when_asked_and_is_replaced(ks: KeyStore) -> None:
    ks.create("box", "fernet")
    box = ks.fernet("box")
    token = box.encrypt(b"data")
    keyset = ks.compromise("box", 1, reason="laptop stolen")
    assert [version.number for version in keyset.versions] == [1, 2]
    assert box.version == 2
    with pytest.raises(DecryptionError):
        box.decrypt(token)
    assert box.decrypt(token, compromised_too=True) == b"data"
    assert keyset.versions[0].reason == "laptop stolen"


def test_rotating_a_secret_takes_a_value_or_an_explicit_word(ks: KeyStore) -> None:
    ks.import_key("database-url", b"postgres://old", "secret")
    with pytest.raises(PolicyError):
        ks.rotate("database-url", now=True)
    ks.rotate("database-url", now=True, value=b"postgres://new")
    assert ks.secret("database-url").reveal() == b"postgres://new"
    assert ks.secret("database-url").reveal(1) == b"postgres://old"
    ks.rotate("database-url", now=True, generate=True)
    assert len(ks.secret("database-url").reveal()) == 64


def test_add_then_promote(ks: KeyStore) -> None:
    ks.create("mac", "hmac-sha256")
    before = ks.mac("mac").compute(b"data")
    ks.add("mac")
    assert ks.mac("mac").compute(b"data") == before
    ks.promote("mac", 2)
    assert ks.mac("mac").compute(b"data") != before
    ks.mac("mac").verify(before, b"data")
    with pytest.raises(NotFoundError):
        ks.promote("mac", 3)


def test_rotate_tokens_keeps_their_time(ks: KeyStore, clock: HandClock) -> None:
    ks.create("box", "fernet")
    box = ks.fernet("box")
    tokens = [box.encrypt(str(n).encode()) for n in range(50)]
    ks.rotate("box", now=True)
    moved = box.rotate_many(tokens)
    assert [box.extract_timestamp(token) for token in moved] == [box.extract_timestamp(token) for token in tokens]
    ks.suspend("box", 1, reason="not needed any more")
    assert [box.decrypt(token) for token in moved] == [str(n).encode() for n in range(50)]
    with pytest.raises(DecryptionError):
        box.decrypt(tokens[0])


def test_handles_do_not_leak_or_travel(ks: KeyStore) -> None:
    ks.import_key("password", b"canary-canary", "secret")
    ks.create("box", "fernet")
    for handle in (ks.secret("password"), ks.fernet("box"), ks):
        assert "canary" not in repr(handle)
        for smuggle in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                smuggle(handle)
    assert "key id" in repr(ks.fernet("box"))


def test_a_closed_keystore_gives_nothing_any_more(ks: KeyStore, clock: HandClock) -> None:
    ks.create("box", "fernet")
    box = ks.fernet("box")
    with ks:
        box.encrypt(b"data")
    clock.pass_time(10)
    for use in (lambda: ks.fernet("box"), lambda: ks.names(), lambda: box.encrypt(b"x"), ks.list):
        with pytest.raises(ClosedError):
            use()
    ks.close()


def test_equal_seeds_give_equal_keys() -> None:
    one, two, other = (open_memory(f"?seed={seed}") for seed in ("tests", "tests", "others"))
    for keystore in (one, two, other):
        for kind, purpose in ALL_TYPES:
            if not kind.startswith("rsa"):
                keystore.create(f"k-{kind}", kind, purpose=purpose)
    assert two.fernet("k-fernet").decrypt(one.fernet("k-fernet").encrypt(b"x")) == b"x"
    assert two.aead("k-aes256-gcm").decrypt(one.aead("k-aes256-gcm").encrypt(b"x", b""), b"") == b"x"
    two.verifier("k-ecdsa-p256").verify(one.signer("k-ecdsa-p256").sign(b"x"), b"x")
    assert one.secret("k-secret").reveal() == two.secret("k-secret").reveal()
    with pytest.raises(DecryptionError):
        other.fernet("k-fernet").decrypt(one.fernet("k-fernet").encrypt(b"x"))
    with pytest.raises(StrongroomError):
        one.create("rsa", "rsa-2048", purpose="sign")
    with pytest.raises(SettingsError):
        open_memory("?sed=1")


def test_the_inventory_shows_every_keyset_and_no_material(ks: KeyStore) -> None:
    ks.create("b", "fernet", labels={"owner": "registrar"}, rotate_every="90d")
    ks.import_key("a", b"canary-canary", "secret")
    listed = ks.list()
    assert [keyset.name for keyset in listed] == ["a", "b"]
    assert listed[1].labels == {"owner": "registrar"}
    assert listed[1].policy.rotate_every == 90 * 86_400
    assert "canary" not in repr(listed)


def test_an_rsa_pair_is_confirmed_before_the_key_is_handed_out(ks: KeyStore) -> None:
    sound = ks.create("sound", "rsa-2048", purpose="sign")
    assert ks.private_key("sound") is not ks.private_key("sound")
    # halves of two keys under a good seal: no command of ours lets them in, so this goes below the commands
    store = ks.sealed
    name = parse_name("crossed")
    sealed = store.seal(crossed("rsa-2048"), name=name, key_id=KeyId(7), type=sound.type, purpose=sound.purpose)
    now = ks.clock.now()
    version = Version.added(
        1, KeyId(7), sealed=sealed, public=sound.versions[0].public, prefix=sound.versions[0].prefix, now=now
    )
    store.create(Keyset.created(name, version, type=sound.type, purpose=sound.purpose, policy=sound.policy, now=now))
    for _ in range(2):
        with pytest.raises(IntegrityError):
            ks.private_key("crossed")


def test_a_build_makes_up_whatever_is_asked_for() -> None:
    with open_store(environ={"STRONGROOM_BUILD": "1"}) as build:
        token = build.encrypt("student-records", b"data")
        assert build.decrypt("student-records", token) == b"data"
        assert environment_for(build, {"DATABASE_URL": "database-url"}, {})["DATABASE_URL"]


def test_a_refusal_that_is_raised_often_does_not_grow(ks: KeyStore) -> None:
    ks.create("box", "fernet")
    box = ks.fernet("box")
    ks.suspend("box", 1, reason="a test")
    depths = []
    for _ in range(3):
        with pytest.raises(StateError) as caught:
            box.encrypt(b"data")
        depths.append(len(caught.traceback))
    assert len(set(depths)) == 1
