"""A second reader of stores, which follows docs/format.md. It imports nothing of Strongroom's, and never should.

`Store.open(Path(".strongroom"), "passphrase", b"...")`, or "rsa" and a PEM file, "hpke" and the raw private key, "line"
and a root line, e.g. out of `gpg -d root.1.gpg`. Then `.material(name)` by version number, `.primary(name, now)`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, padding, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

FORMATS = ("strongroom/1 record", "strongroom/2 record")
NEW = ("originator", "recipient", "grace", "allow", "max_messages", "worker_messages")


def fields(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def un64(text: str) -> bytes:
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text, "base64url has one spelling"
    return raw


def hkdf(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(key)


def unwrap(key: bytes, sealed: bytes, context: bytes) -> bytes:
    one_time = hkdf(key, sealed[:32], context, 64)
    assert hmac.compare_digest(one_time[32:], sealed[32:64]), "commitment"
    return AESGCM(one_time[:32]).decrypt(bytes(12), sealed[64:], context)


def unpad(padded: bytes) -> bytes:
    material = padded.rstrip(b"\0")
    assert (len(padded) % 64, material[-1:], len(padded) - len(material) < 64) == (0, b"\x80", True), "padding"
    return material[:-1]


def parse(raw: bytes, *forms: str) -> tuple[dict[str, Any], bytes, bytes]:
    """The object, the bytes that its MAC covers, and the MAC."""
    value: dict[str, Any] = json.loads(raw)
    assert json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n" == raw, "one spelling"
    assert (value["format"] in forms, list(value)[-1]) == (True, "mac"), "format"
    return value, raw[:-57], un64(value["mac"])


def check_format(record: dict[str, Any]) -> None:
    """Format 2 has all fields of its own, and one that says something; format 1 has none of them (section 5.5)."""
    new = [record["policy"].get(each, "-") for each in NEW] + [v.get("destroy_at", "-") for v in record["versions"]]
    assert all((each == "-") is (record["format"] == FORMATS[0]) for each in new), "fields of the other format"
    assert any(each not in (None, "0s", ["protect", "process"]) for each in new), "format 2 for nothing"


class Root:
    def __init__(self, line: bytes, store: bytes, number: int, root_id: bytes) -> None:
        found = re.fullmatch(rb"strongroom/1 root ([\w-]{22}) ([1-9][0-9]{0,8}) ([\w-]{43})\n", line)
        assert found is not None, "root line"
        self.store, self.number, self._key = un64(found[1].decode()), int(found[2]), un64(found[3].decode())
        self.id = self.subkey("id", 16)
        assert (self.store, self.number, self.id) == (store, number, root_id), "another root than the header names"

    def subkey(self, purpose: str, length: int = 32) -> bytes:
        return hkdf(self._key, self.store, f"strongroom/1 {purpose} {self.number}".encode(), length)

    def check(self, purpose: str, body: bytes, mac: bytes) -> None:
        assert hmac.compare_digest(hmac.digest(self.subkey(purpose), body, "sha256"), mac), f"{purpose} MAC"


def line_in(slot: dict[str, Any], secret: bytes, store: bytes, number: int, root_id: bytes) -> bytes:
    """What one slot holds. `secret`: the passphrase, an RSA key in PEM, or a raw HPKE private key."""
    binding = fields(b"strongroom/1 slot", slot["kind"].encode(), store, number.to_bytes(4, "big"), root_id)
    sealed, sha256, suite = un64(slot["sealed"]), hashes.SHA256(), slot.get("suite", "x25519")
    if slot["kind"] == "rsa":
        key: Any = load_pem_private_key(secret, None)
        assert key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == un64(slot["public"])
        return bytes(key.decrypt(sealed, padding.OAEP(padding.MGF1(sha256), sha256, binding)))
    if slot["kind"] == "passphrase":
        cost = {"iterations": slot["iterations"], "lanes": slot["lanes"], "memory_cost": slot["memory_kib"]}
        key_encryption_key = Argon2id(salt=un64(slot["salt"]), length=32, **cost).derive(secret)
        context = fields(b"strongroom/1 passphrase", store, un64(slot["public"]))
        secret = unwrap(key_encryption_key, un64(slot["private"]), context)
    kem: Any = hpke.KEM.X25519
    private: Any = x25519.X25519PrivateKey.from_private_bytes(secret)
    if suite == "mlkem768-x25519":
        seeds = hashlib.shake_256(secret).digest(96)
        kem, post_quantum = hpke.KEM.MLKEM768_X25519, mlkem.MLKEM768PrivateKey.from_seed_bytes(seeds[:64])
        private = hpke.MLKEM768X25519PrivateKey(post_quantum, x25519.X25519PrivateKey.from_private_bytes(seeds[64:]))
    return hpke.Suite(kem, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM).decrypt(sealed, private, binding)


class Store:
    def __init__(self, directory: Path, header: dict[str, Any], root: Root) -> None:
        self._directory, self.newest, self._roots = directory, root, {root.id: root}
        self._pending = {each["name"]: un64(each["mac"]) for each in header["pending"]}
        for newer, older in zip(header["roots"][:0:-1], header["roots"][-2::-1], strict=True):
            above, number, root_id = self._roots[un64(newer["id"])], older["number"], un64(older["id"])
            context = fields(b"strongroom/1 older root", root.store, above.id, number.to_bytes(4, "big"), root_id)
            below = Root(unwrap(above.subkey("wrap"), un64(older["sealed"]), context), root.store, number, root_id)
            below.check("link", above.id, un64(newer["link"]))
            self._roots[root_id] = below

    @classmethod
    def open(cls, directory: Path, kind: str, secret: bytes) -> Store:
        header, body, mac = parse((directory / "store.json").read_bytes(), "strongroom/1 store")
        newest, store = header["roots"][-1], un64(header["store"])
        where = (store, newest["number"], un64(newest["id"]))
        slots = [slot for slot in newest["slots"] if slot["kind"] == kind]
        root = Root(secret if kind == "line" else line_in(slots[0], secret, *where), *where)
        root.check("header", body, mac)
        return cls(directory, header, root)

    def record(self, name: str) -> dict[str, Any]:
        record, body, mac = parse((self._directory / f"keysets/{name}.json").read_bytes(), *FORMATS)
        root = self._roots[un64(record["root"])]
        assert root is self.newest or self._pending.get(name) == mac, "a record under an older root must be listed"
        root.check("record", body, mac)
        assert record["name"] == name, "name"
        check_format(record)
        return record

    def material(self, name: str) -> dict[int, bytes]:
        record = self.record(name)
        return {v["number"]: self._open(record, v) for v in record["versions"] if v["sealed"] is not None}

    def _open(self, record: dict[str, Any], version: dict[str, Any]) -> bytes:
        root, key_id = self._roots[un64(record["root"])], bytes.fromhex(version["key_id"])
        name, kind, purpose = (record[each].encode() for each in ("name", "type", "purpose"))
        context = fields(b"strongroom/1 version", root.store, root.id, name, key_id, kind, purpose)
        opened = unwrap(root.subkey("wrap"), un64(version["sealed"]), context)
        return unpad(opened) if record["type"] == "secret" else opened

    def primary(self, name: str, now: str) -> int | None:
        alive = [v for v in self.record(name)["versions"] if v["state"] != "destroyed"]
        came = [(v["promote_at"], v["number"]) for v in alive if v["promote_at"] and v["promote_at"] <= now]
        return int(max(came)[1]) if came else None
