"""Keys for JSON Web Tokens, bound to a keyset: the algorithm is the keyset's, and no token has a say in it (RFC 8725).

The tokens themselves are made and read by a JWT library; it is given the key, the one algorithm and the key's id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, TypedDict

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from strongroom._encoding import Timestamp, b64decode
from strongroom.errors import FormatError, IntegrityError, PurposeError, SignatureError
from strongroom.formats.jwk import Jwk, public_jwk, thumbprint
from strongroom.keystore.handles.base import Handle, Kit
from strongroom.keystore.handles.guarding import admit
from strongroom.keystore.handles.keys import private_key_of
from strongroom.keystore.handles.prefixed import wanted
from strongroom.keystore.live import LiveKeyset, Snapshot
from strongroom.model.keyset import Keyset
from strongroom.model.states import KeyState
from strongroom.model.types import KeyType, Purpose
from strongroom.model.version import Version
from strongroom.primitives import material

SigningKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey
VerifyingKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

# One key, one algorithm (RFC 8725 section 3.1). RSA keys can do two (RFC 7518 section 3.1): their caller says which.
_RSA = ("RS256", "PS256")
ALGORITHMS: Mapping[KeyType, tuple[str, ...]] = MappingProxyType(
    {
        KeyType.ED25519: ("EdDSA",),
        KeyType.ECDSA_P256: ("ES256",),
        KeyType.RSA_2048: _RSA,
        KeyType.RSA_3072: _RSA,
        KeyType.RSA_4096: _RSA,
    }
)
USUAL_TYPE: Mapping[str, KeyType] = MappingProxyType(
    {"ES256": KeyType.ECDSA_P256, "RS256": KeyType.RSA_2048, "PS256": KeyType.RSA_2048}
)
"""What a build makes up for an algorithm; everything else is Ed25519."""

MAX_HEADER = 4096
"""Characters of the longest token header that is looked at."""


class Signing(TypedDict):
    """`jwt.encode(claims, **keys.signing())`."""

    key: SigningKey
    algorithm: str
    headers: dict[str, str]


class Verifying(TypedDict):
    """`jwt.decode(token, **keys.verifying(token))`."""

    key: VerifyingKey
    algorithms: list[str]


class Shown(NamedTuple):
    """A key that is published: `begins` is when it began, or will begin, to sign, None where nobody knows yet; `ends`
    is when its last token ends, None while nothing has taken its place."""

    number: int
    kid: str
    jwk: Jwk
    begins: Timestamp | None
    ends: Timestamp | None


class _Public(NamedTuple):
    version: Version
    key: VerifyingKey
    jwk: Jwk


class _JwtKit(Kit):
    __slots__ = ("_confirmed", "_signing", "algorithm", "by_kid", "kids")

    def __init__(self, snapshot: Snapshot, algorithm: str, confirmed: set[bytes]) -> None:
        super().__init__(snapshot)
        self.algorithm = algorithm
        self._confirmed = confirmed
        self._signing: tuple[SigningKey, str] | None = None
        self.by_kid: dict[str, _Public] = {}
        self.kids: dict[int, str] = {}
        for version in snapshot.keyset.processing(snapshot.now):
            public = _public(snapshot, version)
            kid = thumbprint(public.jwk)
            self.by_kid[kid] = public
            self.kids[version.number] = kid

    def signing(self) -> tuple[SigningKey, str]:
        """The primary's private key and its kid: of one snapshot, so that no rotation comes between them."""
        held = self._signing
        if held is None:
            version = self.protecting
            key = private_key_of(self.snapshot, version.number, confirmed=self._confirmed)
            if not isinstance(key, SigningKey):
                raise IntegrityError(f"version {version.number} holds no signing key", hint="strongroom doctor")
            held = self._signing = key, self.kids[version.number]
        return held


class JwtKeys(Handle[_JwtKit]):
    """EdDSA for ed25519, ES256 for ecdsa-p256, RS256 or PS256 for RSA (RFC 7518 section 3.1, RFC 8037 section 3.1).

    A key's id, `kid`, is the thumbprint of its public half (RFC 7638). A worker that was granted the public halves only
    has everything but `signing`.
    """

    __slots__ = ("_confirmed", "algorithm")

    def __init__(self, live: LiveKeyset, algorithm: str | None, *, confirmed: set[bytes]) -> None:
        self._confirmed = confirmed
        self.algorithm = _algorithm(live.snapshot(), live.name, algorithm)
        """What signs, and the one thing that verifies."""
        super().__init__(live)

    def _make(self, snapshot: Snapshot) -> _JwtKit:
        return _JwtKit(snapshot, self.algorithm, self._confirmed)

    @property
    def kid(self) -> str:
        """The id of the key that signs now. Raises StateError where none does."""
        kit = self._current()
        return kit.kids[kit.protecting.number]

    def signing(self) -> Signing:
        """What PyJWT's `encode` wants beside the claims. The private key leaves here, as `private_key` lets it.

        Raises StateError where no version signs now, NotGrantedError where only public halves were granted.
        """
        key, kid = self._current().signing()
        return {"key": key, "algorithm": self.algorithm, "headers": {"kid": kid}}

    def verifying(self, token: str | bytes) -> Verifying:
        """What PyJWT's `decode` wants beside the token: the public key that the token's `kid` names, and the algorithm.

        Of the header only `kid` is used; a key that it brings or points to (jwk, jku, x5c, x5u) never is. A token with
        no `kid` was made before its key came here: the oldest version is its key. SignatureError where the algorithm is
        not the keyset's, where the kid is not one of its keys that may verify now, and for a `crit` (RFC 7515 4.1.11).
        """
        said = _header(token)
        if said is None or said.algorithm != self.algorithm or said.critical:
            raise SignatureError(_FAILED)
        return {"key": self.verifying_key(said.kid), "algorithms": [self.algorithm]}

    def verifying_key(self, kid: object = None) -> VerifyingKey:
        """The public key with this id; the oldest version's for None. SignatureError, as above; PolicyError where its
        time or the policy does not let it verify."""
        kit = self._current()
        found = kit.by_kid.get(kid) if isinstance(kid, str) else None
        if kid is None and kit.by_kid:
            found = min(kit.by_kid.values(), key=lambda public: public.version.number)
        if found is None:
            raise SignatureError(_FAILED)
        admit(kit.snapshot, found.version)
        return found.key

    def published(self, *, tokens_live: timedelta) -> tuple[Shown, ...]:
        """The keys that others should know, the one that signs first.

        Those are: the next ones, before they sign; the one that signs; and those that have stopped signing less than
        `tokens_live` ago, because tokens of theirs may still be about. Suspended, compromised and destroyed ones are
        left out at once.
        """
        kit = self._current()
        now = self._live.clock.now()
        lives_ms = round(tokens_live.total_seconds() * 1000)
        every = (
            _shown(kit.snapshot.keyset, public, kid, now=now, lives_ms=lives_ms) for kid, public in kit.by_kid.items()
        )
        return tuple(shown for shown in every if shown is not None)

    def jwks(self, *, tokens_live: timedelta) -> dict[str, list[dict[str, str]]]:
        """The published keys as a JWK Set (RFC 7517 section 5)."""
        shown = self.published(tokens_live=tokens_live)
        return {"keys": [{**key.jwk, "kid": key.kid, "alg": self.algorithm, "use": "sig"} for key in shown]}


_FAILED = "the token was not signed by a key of this keyset"


def _algorithm(snapshot: Snapshot, name: str, wanted_one: str | None) -> str:
    """The algorithm of the keyset's tokens. PurposeError where it is not to sign, or its keys do not do this one."""
    wanted(snapshot, name, ALGORITHMS, "keys for tokens")
    keyset = snapshot.keyset
    if keyset.purpose is not Purpose.SIGN:
        raise PurposeError(f"{name!r} was made to {keyset.purpose.value}, not to sign", hint=f"strongroom show {name}")
    lawful = ALGORITHMS[keyset.type]
    if wanted_one is None and len(lawful) == 1:
        return lawful[0]
    if wanted_one not in lawful:
        which = "say which" if wanted_one is None else f"not {wanted_one!r}"
        raise PurposeError(
            f"{name!r} is {keyset.type.value}, which signs tokens by {' or '.join(lawful)}: {which}",
            hint=f"write the algorithm as {lawful[0]!r}, or make a keyset of another type: strongroom create --help",
        )
    return wanted_one


def _public(snapshot: Snapshot, version: Version) -> _Public:
    if version.public is None or not snapshot.opened.verified:
        raise IntegrityError(f"the public half of version {version.number} is not verified")
    key = material.public_key(snapshot.keyset.type.value, version.public)
    if not isinstance(key, VerifyingKey):
        raise IntegrityError(f"the public half of version {version.number} verifies nothing", hint="strongroom doctor")
    return _Public(version, key, public_jwk(key))


def _shown(keyset: Keyset, public: _Public, kid: str, *, now: Timestamp, lives_ms: int) -> Shown | None:
    """The version as others should know it; None where they need not, or not any more."""
    version, state = public.version, public.version.state_at(now)
    stopped = _stopped(keyset, version, now)
    ends = None if stopped is None else Timestamp(stopped + lives_ms)
    if ends is not None and now >= ends:
        return None
    if stopped is None and state is KeyState.DEACTIVATED and version is not keyset.primary_at(now):
        return None  # it never signed, and never will
    return Shown(version.number, kid, public.jwk, begins=version.promote_at, ends=ends)


def _stopped(keyset: Keyset, version: Version, now: Timestamp) -> int | None:
    """When the version ceased to be primary; None for one that never was. Destroyed successors count: they were it."""
    if not version.in_force(now):
        return None
    rank = (version.promote_at or 0, version.number)
    later = [
        other.promote_at
        for other in keyset.versions
        if other.promote_at is not None and other.in_force(now) and (other.promote_at, other.number) > rank
    ]
    return min(later, default=None)


class _Header(NamedTuple):
    algorithm: object
    kid: object
    critical: bool


def _header(token: str | bytes) -> _Header | None:
    """The header of a compact JWS (RFC 7515 section 3.1), not yet authentic; None where there is none to read."""
    try:
        text = token.decode("ascii") if isinstance(token, bytes) else token
    except ValueError:
        return None
    first, dot, _ = text.partition(".")
    return _parsed(first) if dot and len(first) <= MAX_HEADER else None


@lru_cache(maxsize=64)  # the tokens of one key have one header; what somebody makes up only pushes others out
def _parsed(first: str) -> _Header | None:
    try:
        header = json.loads(b64decode(first), object_pairs_hook=_once)
    except (ValueError, RecursionError, FormatError):
        return None
    if not isinstance(header, dict):
        return None
    return _Header(header.get("alg"), header.get("kid"), "crit" in header)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):  # RFC 7515 section 4: two readers could each take another one
        raise ValueError("a name is given twice")
    return found
