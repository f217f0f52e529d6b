"""Keys for tokens: one algorithm a keyset, the next key is shown before it signs, the last one until its tokens end."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import pickle
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.keystore.clocks import HandClock
from tests.workers.scenes import HandClock as SiteClock
from tests.workers.scenes import Shelf, Site, source

from strongroom.errors import NotGrantedError, PurposeError, SignatureError, StateError
from strongroom.formats.jwk import public_jwk, thumbprint
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.handles.jwt import JwtKeys
from strongroom.keystore.opening import open_memory, open_store
from strongroom.keystore.workers import grant

HOUR = timedelta(hours=1)


@pytest.fixture
def keystore(hand_clock: HandClock) -> Iterator[KeyStore]:
    with open_memory("?seed=tokens", clock=hand_clock) as opened:
        opened.create("tokens", "ed25519", propagation="2h")
        opened.create("p256", "ecdsa-p256")
        yield opened


@pytest.fixture(scope="module")
def with_rsa() -> Iterator[KeyStore]:
    with open_memory() as opened:
        opened.create("oidc", "rsa-2048", purpose="sign")
        opened.create("letters", "rsa-2048", purpose="encrypt")
        yield opened


def kids(keys: JwtKeys, tokens_live: timedelta = HOUR) -> list[str]:
    return [key["kid"] for key in keys.jwks(tokens_live=tokens_live)["keys"]]


def kid_of(keystore: KeyStore, name: str, version: int) -> str:
    return thumbprint(public_jwk(keystore.public_key(name, version=version)))


# --- PyJWT's tokens, and how they survive a rotation


@pytest.mark.parametrize(("name", "algorithm"), [("tokens", "EdDSA"), ("p256", "ES256")])
def test_pyjwt_makes_and_reads_tokens_with_them(keystore: KeyStore, name: str, algorithm: str) -> None:
    keys = keystore.jwt(name)
    token = jwt.encode({"sub": "42"}, **keys.signing())
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "kid": keys.kid, "typ": "JWT"}
    assert jwt.decode(token, **keys.verifying(token)) == {"sub": "42"}
    assert jwt.decode(token, **keys.verifying(token.encode())) == {"sub": "42"}


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_an_rsa_keyset_does_either_algorithm_and_its_caller_says_which(with_rsa: KeyStore, algorithm: str) -> None:
    keys = with_rsa.jwt("oidc", algorithm=algorithm)
    token = jwt.encode({"sub": "42"}, **keys.signing())
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    assert jwt.decode(token, **keys.verifying(token)) == {"sub": "42"}
    [shown] = keys.jwks(tokens_live=HOUR)["keys"]
    assert (shown["alg"], shown["use"], shown["kty"]) == (algorithm, "sig", "RSA")
    other = with_rsa.jwt("oidc", algorithm="PS256" if algorithm == "RS256" else "RS256")
    with pytest.raises(SignatureError):
        other.verifying(token)


def test_a_token_from_before_a_rotation_stays_good_and_new_ones_have_the_new_key(keystore: KeyStore) -> None:
    keys = keystore.jwt("tokens")
    old = jwt.encode({"sub": "42"}, **keys.signing())
    first = keys.kid
    keystore.rotate("tokens", now=True)
    new = jwt.encode({"sub": "42"}, **keys.signing())
    assert keys.kid != first
    assert jwt.get_unverified_header(new)["kid"] == keys.kid
    for token in (old, new):
        assert jwt.decode(token, **keys.verifying(token)) == {"sub": "42"}


def test_the_next_key_takes_over_at_its_promotion_with_no_call_in_between(
    keystore: KeyStore, hand_clock: HandClock
) -> None:
    keys = keystore.jwt("tokens")
    keystore.rotate("tokens")
    assert keys.kid == kid_of(keystore, "tokens", 1)
    hand_clock.pass_time(2 * 3600)
    assert keys.kid == kid_of(keystore, "tokens", 2)
    assert jwt.get_unverified_header(jwt.encode({}, **keys.signing()))["kid"] == keys.kid


def test_a_compromised_key_verifies_nothing_from_then_on(keystore: KeyStore) -> None:
    keys = keystore.jwt("tokens")
    token = jwt.encode({"sub": "42"}, **keys.signing())
    keystore.compromise("tokens", 1, reason="a test")
    with pytest.raises(SignatureError):
        keys.verifying(token)
    assert kids(keys) == [kid_of(keystore, "tokens", 2)]


def test_a_suspended_primary_signs_nothing_and_is_not_shown(keystore: KeyStore) -> None:
    keys = keystore.jwt("tokens")
    keystore.suspend("tokens", 1, reason="a test")
    with pytest.raises(StateError):
        keys.signing()
    with pytest.raises(StateError):
        _ = keys.kid
    assert kids(keys) == []


# --- what is published, and when


def test_the_next_key_is_shown_before_it_signs_and_the_last_one_until_its_tokens_have_expired(
    keystore: KeyStore, hand_clock: HandClock
) -> None:
    keys = keystore.jwt("tokens")
    one = kid_of(keystore, "tokens", 1)
    assert kids(keys) == [one]
    keystore.rotate("tokens")
    two = kid_of(keystore, "tokens", 2)
    assert kids(keys) == [one, two]
    hand_clock.pass_time(2 * 3600)
    assert kids(keys) == [two, one]
    hand_clock.pass_time(3599)
    assert kids(keys) == [two, one]
    hand_clock.pass_time(1)
    assert kids(keys) == [two]
    old = jwt.encode({"sub": "42"}, keystore.private_key("tokens", version=1), "EdDSA", headers={"kid": one})
    assert jwt.decode(old, **keys.verifying(old))  # in the site itself the keyset's states decide


def test_an_added_key_is_shown_though_nobody_knows_yet_when_it_will_sign(keystore: KeyStore) -> None:
    keystore.add("tokens")
    assert kids(keystore.jwt("tokens")) == [kid_of(keystore, "tokens", 1), kid_of(keystore, "tokens", 2)]


def test_of_three_keys_each_is_shown_from_the_end_of_its_own_time(keystore: KeyStore, hand_clock: HandClock) -> None:
    keys = keystore.jwt("tokens")
    keystore.rotate("tokens", now=True)
    hand_clock.pass_time(1800)
    keystore.rotate("tokens", now=True)
    one, two, three = (kid_of(keystore, "tokens", number) for number in (1, 2, 3))
    assert kids(keys) == [three, two, one]
    hand_clock.pass_time(1800)
    assert kids(keys) == [three, two]
    hand_clock.pass_time(1800)
    assert kids(keys) == [three]


def test_a_deactivated_key_is_shown_as_long_as_its_tokens_live(keystore: KeyStore, hand_clock: HandClock) -> None:
    keys = keystore.jwt("tokens")
    keystore.rotate("tokens", now=True)
    keystore.deactivate("tokens", 1, reason="a test")
    assert len(kids(keys)) == 2
    hand_clock.pass_time(3600)
    assert kids(keys) == [kid_of(keystore, "tokens", 2)]


def test_a_key_that_was_taken_back_into_use_is_shown_as_the_primary(keystore: KeyStore, hand_clock: HandClock) -> None:
    keys = keystore.jwt("tokens")
    keystore.rotate("tokens", now=True)
    hand_clock.pass_time(7200)
    keystore.promote("tokens", 1)
    one, two = (kid_of(keystore, "tokens", number) for number in (1, 2))
    assert kids(keys) == [one, two]
    hand_clock.pass_time(3600)
    assert kids(keys) == [one]


@pytest.mark.parametrize("name", ["tokens", "p256"])
def test_no_private_member_is_published(keystore: KeyStore, name: str) -> None:
    keystore.rotate(name)
    allowed = {"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use"}
    shown = keystore.jwt(name).jwks(tokens_live=HOUR)
    assert all(set(key) <= allowed for key in shown["keys"])
    for number in (1, 2):
        raw = keystore.current(name).opened.material(number).reveal()
        assert base64.urlsafe_b64encode(raw).rstrip(b"=").decode() not in json.dumps(shown)
    jwt.PyJWKSet.from_dict(shown)


def test_a_worker_with_public_halves_verifies_and_publishes_but_does_not_sign(tmp_path: Any) -> None:
    clock = SiteClock()
    site = Site.make(tmp_path / ".strongroom", clock)
    with site.keystore as holder:
        holder.create("tokens", "ed25519")
        token = jwt.encode({"sub": "42"}, **holder.jwt("tokens").signing())
        identity = site.group("web")
        grant(holder, "web", ["tokens"], public=True)
        shown = holder.jwt("tokens").jwks(tokens_live=HOUR)
        with KeyStore(source(identity, Shelf(site.issue("web").raw), clock=clock), clock=clock) as worker:
            keys = worker.jwt("tokens")
            assert jwt.decode(token, **keys.verifying(token)) == {"sub": "42"}
            assert keys.jwks(tokens_live=HOUR) == shown
            with pytest.raises(NotGrantedError):
                keys.signing()


# --- what is refused: RFC 8725


def segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(header: dict[str, Any], key: bytes = b"") -> str:
    """A token that somebody made who has no private key of ours; `key` is the HMAC key that he used."""
    text = f"{segment(header)}.{segment({'sub': 'mallory'})}"
    return f"{text}.{segment(hmac.digest(key, text.encode(), hashlib.sha256) if key else b'')}"


def test_a_token_with_no_algorithm_is_refused(keystore: KeyStore) -> None:
    keys = keystore.jwt("tokens")
    for none in ("none", "None", "nOnE", "", None):
        with pytest.raises(SignatureError):
            keys.verifying(forged({"alg": none, "kid": keys.kid}))
    with pytest.raises(SignatureError):
        keys.verifying(forged({"kid": keys.kid}))


def test_a_public_key_is_no_hmac_key(keystore: KeyStore) -> None:
    keys, public = keystore.jwt("tokens"), keystore.public_key("tokens")
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    body = b"".join(pem.splitlines()[1:-1])  # what some libraries take for a secret
    for secret in (pem, body, base64.b64decode(body)):
        token = forged({"alg": "HS256", "kid": keys.kid}, secret)
        with pytest.raises(SignatureError):
            keys.verifying(token)
        with pytest.raises(jwt.InvalidTokenError):  # and who forgets to ask us: the algorithm is pinned
            jwt.decode(token, keys.verifying_key(keys.kid), algorithms=[keys.algorithm])


def test_a_key_that_the_token_brings_or_points_to_is_never_used(keystore: KeyStore) -> None:
    keys, mallory = keystore.jwt("tokens"), Ed25519PrivateKey.generate()
    brought = {**public_jwk(mallory.public_key()), "kid": "mine"}
    for header in (
        {"jwk": brought, "kid": keys.kid},
        {"jku": "https://mallory.example/jwks.json", "kid": keys.kid},
        {"x5u": "https://mallory.example/cert.pem", "kid": keys.kid},
        {"jwk": brought, "kid": None},
        {"jwk": brought},
    ):
        token = jwt.encode({"sub": "mallory"}, mallory, "EdDSA", headers={k: v for k, v in header.items() if v})
        with pytest.raises(jwt.InvalidSignatureError):
            jwt.decode(token, **keys.verifying(token))
    token = jwt.encode({"sub": "mallory"}, mallory, "EdDSA", headers={"jwk": brought, "kid": "mine"})
    with pytest.raises(SignatureError):
        keys.verifying(token)


@pytest.mark.parametrize("kid", ["", "unknown", "../../etc/passwd", "' OR 1=1", 1, ["x"], {"a": 1}, True])
def test_an_unknown_kid_is_refused(keystore: KeyStore, kid: object) -> None:
    keys = keystore.jwt("tokens")
    with pytest.raises(SignatureError):
        keys.verifying(forged({"alg": "EdDSA", "kid": kid}))


def test_the_kid_of_another_keyset_is_refused(keystore: KeyStore) -> None:
    keystore.create("others", "ed25519")
    token = jwt.encode({}, **keystore.jwt("others").signing())
    with pytest.raises(SignatureError):
        keystore.jwt("tokens").verifying(token)


def test_a_critical_header_that_nobody_here_understands_is_refused(keystore: KeyStore) -> None:
    keys = keystore.jwt("tokens")
    token = jwt.encode({}, keystore.private_key("tokens"), "EdDSA", headers={"kid": keys.kid, "crit": ["x"], "x": 1})
    with pytest.raises(SignatureError):
        keys.verifying(token)


def test_a_header_that_two_readers_could_read_in_two_ways_is_refused(keystore: KeyStore) -> None:
    keys = keystore.jwt("tokens")
    claims = f"{segment({'sub': 'mallory'})}.AAAA"
    once = f'{{"alg":"EdDSA","kid":"{keys.kid}"}}'
    assert keys.verifying(f"{segment(once.encode())}.{claims}")["algorithms"] == ["EdDSA"]
    for twice in (
        once.replace("{", '{"alg":"none",'),
        once.replace("{", '{"kid":"x",'),
        once.replace("}", ',"kid":"x"}'),
    ):
        with pytest.raises(SignatureError):
            keys.verifying(f"{segment(twice.encode())}.{claims}")


@pytest.mark.parametrize(
    "token",
    [
        "", ".", "..", "a.b.c", "e30.e30", b"\xff.x.y", "é.x.y", "[].x.y", "bnVsbA.x.y", "W10.x.y", "e30=.e30.x",
        segment(b'{"alg":"EdDSA","alg":"none"}') + ".e30.x",
        segment(b"[" * 2000) + ".e30.x",
        segment({"alg": "EdDSA", "pad": "x" * 4000}) + ".e30.x",
    ],
)  # fmt: skip
def test_what_is_no_token_is_refused(keystore: KeyStore, token: str | bytes) -> None:
    with pytest.raises(SignatureError):
        keystore.jwt("tokens").verifying(token)


def test_a_token_with_no_kid_is_from_before_its_key_came_here(keystore: KeyStore) -> None:
    keys = keystore.jwt("tokens")
    old = jwt.encode({"sub": "42"}, keystore.private_key("tokens"), "EdDSA")
    keystore.rotate("tokens", now=True)
    assert jwt.decode(old, **keys.verifying(old)) == {"sub": "42"}
    keystore.compromise("tokens", 1, reason="a test")
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(old, **keys.verifying(old))


# --- keysets that are not for this


def test_a_keyset_that_is_not_to_sign_is_refused_and_the_hint_tells_how_to_look(
    keystore: KeyStore, with_rsa: KeyStore
) -> None:
    for kind in ("fernet", "hmac-sha256", "x25519"):
        keystore.create(f"a-{kind}", kind)
        with pytest.raises(PurposeError) as caught:
            keystore.jwt(f"a-{kind}")
        assert "strongroom show" in caught.value.hint
    keystore.import_key("password", b"hunter2", "secret")
    for name, opened in (("password", keystore), ("letters", with_rsa)):
        with pytest.raises(PurposeError):
            opened.jwt(name, algorithm="RS256")


def test_an_algorithm_that_the_key_does_not_do_is_refused(keystore: KeyStore, with_rsa: KeyStore) -> None:
    for name, algorithm in (("tokens", "ES256"), ("tokens", "HS256"), ("tokens", "none"), ("p256", "EdDSA")):
        with pytest.raises(PurposeError, match=f"not '{algorithm}'"):
            keystore.jwt(name, algorithm=algorithm)
    for algorithm in ("RS512", "HS256", "EdDSA"):
        with pytest.raises(PurposeError):
            with_rsa.jwt("oidc", algorithm=algorithm)
    with pytest.raises(PurposeError, match="RS256 or PS256: say which"):
        with_rsa.jwt("oidc")


def test_the_keys_do_not_show_pickle_or_copy_themselves(keystore: KeyStore) -> None:
    keys = keystore.jwt("tokens")
    keys.signing()
    raw = keystore.current("tokens").opened.material(1).reveal()
    assert repr(raw)[2:-1] not in repr(keys) + repr(keys.signing()) + repr(keys.jwks(tokens_live=HOUR))
    assert "version 1" in repr(keys)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(keys)


@pytest.mark.parametrize(("algorithm", "kind"), [("RS256", "rsa-2048"), ("ES256", "ecdsa-p256"), (None, "ed25519")])
def test_a_build_makes_up_keys_of_the_right_type(tmp_path: Any, algorithm: str | None, kind: str) -> None:
    with open_store(tmp_path / "no store", environ={"STRONGROOM_BUILD": "1"}) as opened:
        assert opened.jwt("tokens", algorithm=algorithm).kid
        assert opened.show("tokens").type.value == kind
