"""Fixed values for the tests of sealing. Costs of Argon2id are small here; one test pays the real ones."""

from __future__ import annotations

from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from strongroom._encoding import Timestamp
from strongroom.errors import NotFoundError
from strongroom.model.names import KeyId, StoreId, parse_name
from strongroom.model.types import KeyType, Purpose
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header import AnySlot, Header, Recipient
from strongroom.sealing.hpke import HpkeSlot
from strongroom.sealing.identities import HpkeIdentity, Identity, RsaIdentity, parse_identity
from strongroom.sealing.passphrase import Cost, PassphraseSlot
from strongroom.sealing.root import Root
from strongroom.sealing.rsa import RsaSlot

STORE = StoreId(bytes(range(16)))
OTHER_STORE = StoreId(bytes(range(16, 32)))
KEY = bytes(range(32, 64))
ROOT = Root(SecretBytes(KEY), store=STORE, number=1)
NEXT = Root(SecretBytes(bytes(range(64, 96))), store=STORE, number=2)
FORGED = Root(SecretBytes(b"f" * 32), store=STORE, number=1)
FOREIGN = Root(SecretBytes(KEY), store=OTHER_STORE, number=1)
NOW = Timestamp(1_795_466_592_123)
CHEAP = Cost(memory_kib=64, iterations=1, lanes=1)
PASSPHRASE = SecretBytes(b"correct horse battery staple")
PLACE = {
    "name": parse_name("student-records"),
    "key_id": KeyId(0x1A2B3C4D),
    "type": KeyType.FERNET,
    "purpose": Purpose.ENCRYPT,
}
MATERIAL = SecretBytes(b"\x07" * 32)


@cache
def pem() -> bytes:
    """One RSA key for the run, unprotected."""
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@cache
def rsa_identity() -> RsaIdentity:
    found: Identity = parse_identity(SecretBytes(pem()), source="a test's key")
    assert isinstance(found, RsaIdentity)
    return found


def hpke_identity(suite: str = "x25519") -> HpkeIdentity:
    """One HPKE identity of each suite for the run."""
    return _hpke_identity(suite)


@cache
def _hpke_identity(suite: str) -> HpkeIdentity:
    return HpkeIdentity.generate(suite, name=f"host-{suite}")


def passphrase_slot(root: Root = ROOT, passphrase: SecretBytes = PASSPHRASE, label: str = "office") -> PassphraseSlot:
    return PassphraseSlot.create(root, passphrase, label=label, cost=CHEAP)


def rsa_slot(root: Root = ROOT) -> RsaSlot:
    return RsaSlot.create(root, rsa_identity().public, label="ci")


def hpke_slot(root: Root = ROOT, suite: str = "x25519") -> HpkeSlot:
    return HpkeSlot.create(root, hpke_identity(suite).public, suite=suite, label=f"host-{suite}")


def recipient(digit: str = "A", name: str = "Alice <alice@example.org>") -> Recipient:
    return Recipient(fingerprint=digit * 40, subkeys=(digit * 39 + "0",), name=name, role=False, added=NOW)


def header(*slots: AnySlot, root: Root = ROOT, recipients: tuple[Recipient, ...] = ()) -> Header:
    ways = slots if slots or recipients else (passphrase_slot(root),)
    return Header.create(root, slots=ways, recipients=recipients, now=NOW, propagation=86_400)


def nothing(name: str) -> bytes:
    """The attachments of a store that has none."""
    raise NotFoundError(f"there is no {name!r}")


def flipped(raw: bytes, bit: int) -> bytes:
    """The bytes with one bit changed."""
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def same(root: Root, other: Root) -> bool:
    """Whether two roots hold one key."""
    return root.line() == other.line()
