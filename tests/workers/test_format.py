"""A second reader of publications, from docs/reference/publication.md alone: the standard library and cryptography."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from strongroom.caching.issuer_links import make_link
from strongroom.keystore import workers
from strongroom.model.names import StoreId
from strongroom.model.policy import EVERYTHING, Policy
from strongroom.model.states import Operation
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.signing import Ed25519Private
from strongroom.sealing.identities import WorkerIdentity
from tests.workers.scenes import Site

NEW = ("originator", "recipient", "grace", "allow", "max_messages", "worker_messages")


def b64(text: str) -> bytes:
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text
    return raw


def fields(*parts: bytes) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def spelled(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def read(raw: bytes, *, issuer: bytes, store: bytes, group: str, public: bytes, private: bytes) -> dict[str, Any]:
    assert len(raw) <= 16 << 20
    line, signature, body = raw.split(b"\n")
    header = json.loads(line)
    assert spelled(header) == line
    third = ["issuer", "links"] if header["format"] == "strongroom/3 publication" else []
    assert list(header) == [
        "format", "serial", "store", "group", "key", "issued", "expires", "wrapped", "ledger", *third, "tokens",
    ]  # fmt: skip
    if third and b64(header["issuer"]) != issuer:
        (word,) = [b64(word) for old, word in header["links"] if b64(old) == issuer]
        old = load_der_public_key(issuer)
        assert isinstance(old, Ed25519PublicKey)
        new = b64(header["issuer"])
        old.verify(word, fields(b"strongroom/1 issuer link", store, issuer, new))
        issuer = new
    key = load_der_public_key(issuer)
    assert isinstance(key, Ed25519PublicKey)
    key.verify(b64(signature.decode()), fields(b"strongroom/1 publication", line))
    assert header["format"] in [f"strongroom/{number} publication" for number in (1, 2, 3)]
    assert (b64(header["store"]), header["group"]) == (store, group)
    assert b64(header["key"]) == hashlib.sha256(public).digest()
    opener = load_der_private_key(private, None)
    assert isinstance(opener, RSAPrivateKey)
    label = fields(b"strongroom/1 publication key", store, group.encode(), header["serial"].to_bytes(8, "big"))
    unwrapped = opener.decrypt(b64(header["wrapped"]), OAEP(MGF1(SHA256()), SHA256(), label))
    fernet = Fernet(base64.urlsafe_b64encode(unwrapped))
    found, at = {}, 0
    for offset, length, digest in header["tokens"]:
        token = body[offset : offset + length]
        assert (offset, b64(digest)) == (at, hashlib.sha256(token).digest())
        at += length
        plain = fernet.decrypt(token)
        document = json.loads(plain)
        assert spelled(document) == plain
        assert [document[each] for each in ("store", "group", "serial")] == [header["store"], group, header["serial"]]
        new = [document["policy"].get(each, "-") for each in NEW]
        new += [version.get("destroy_at", "-") for version in document["versions"]]
        if "-" in new:
            assert set(new) == {"-"}, "all fields of the second format, or none"
        else:
            assert header["format"] != "strongroom/1 publication"
            assert any(each not in (None, "0s", ["protect", "process"]) for each in new)
        found[document["name"]] = document
    assert at == len(body)
    return found


def test_the_page_is_enough_to_read_a_publication(site: Site, web: WorkerIdentity) -> None:
    site.keystore.create("sig", "ed25519", rotate_every="90d", labels={"owner": "registrar"})
    site.keystore.rotate("box")
    site.keystore.compromise("box", 1, reason="said in a chat")
    workers.grant(site.keystore, "web", ["sig"], public=True)
    found = read(
        site.issue("web").raw,
        issuer=web.issuer,
        store=web.store,
        group="web",
        public=web.public,
        private=web.private.reveal(),
    )
    assert set(found) == {"box", "sig"}
    box, sig = found["box"], found["sig"]
    opened = site.keystore.sealed.load("box")
    assert [b64(each["material"]) for each in box["versions"]] == [opened.material(n).reveal() for n in (1, 2)]
    assert [each["state"] for each in box["versions"]] == ["compromised", "pre-activation"]
    assert list(box) == [
        "store", "group", "serial", "name", "type", "purpose", "revision", "policy", "public", "versions",
    ]  # fmt: skip
    assert list(box["versions"][0]) == [
        "number", "key_id", "state", "created", "promote_at", "changed", "prefix", "public", "material",
    ]  # fmt: skip
    assert (sig["public"], sig["versions"][0]["material"]) == (True, None)
    assert b64(sig["versions"][0]["public"]) == site.keystore.sealed.load("sig").keyset.versions[0].public
    assert (sig["policy"]["rotate_every"], "labels" in sig) == ("90d", False)
    assert "said in a chat" not in json.dumps(found)


def test_a_publication_is_of_the_second_format_where_a_keyset_needs_it_and_only_there(
    site: Site, web: WorkerIdentity
) -> None:
    site.keystore.create("plain", "fernet")
    workers.grant(site.keystore, "web", ["plain"])

    def published() -> dict[str, Any]:
        raw = site.issue("web").raw
        assert raw.startswith(
            b'{"format":"strongroom/%d publication"'
            % (2 if site.keystore.show("box").policy.allow != EVERYTHING else 1)
        )
        return read(
            raw, issuer=web.issuer, store=web.store, group="web", public=web.public, private=web.private.reveal()
        )

    published()
    held = site.keystore.sealed.load("box").keyset
    site.keystore.sealed.replace(held.with_policy(Policy(allow=frozenset({Operation.PROCESS}))), replaces=held.revision)
    found = published()
    assert found["box"]["policy"]["allow"] == ["process"]
    assert "allow" not in found["plain"]["policy"]


def test_a_publication_with_links_reads_as_the_page_says(site: Site, web: WorkerIdentity) -> None:
    site.keystore.rotate("strongroom.issuer", now=True)
    site.keystore.rotate("strongroom.issuer", now=True)
    raw = site.issue("web").raw
    assert raw.startswith(b'{"format":"strongroom/3 publication"')
    issuers = [version.public for version in site.keystore.show("strongroom.issuer").versions]
    assert issuers[0] == web.issuer
    for issuer in issuers:
        assert issuer is not None
        found = read(raw, issuer=issuer, store=web.store, group="web", public=web.public, private=web.private.reveal())
        assert set(found) == {"box"}


def test_the_worked_link_of_the_page_is_right() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "publication.md").read_text()
    assert "\nheader LF\nsignature LF\ntoken token token" in page
    words = dict(re.findall(r"^(old|issuer|signature) +([A-Za-z0-9_-]{59,86})$", page, re.MULTILINE))
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")  # RFC 8032 section 7.1
    old, new = b64(words["old"]), b64(words["issuer"])
    assert old.hex().endswith("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    assert new.hex().endswith("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = Ed25519PrivateKey.from_private_bytes(seed).sign(
        fields(b"strongroom/1 issuer link", bytes(16), old, new)
    )
    assert signature == b64(words["signature"])
    made = make_link(Ed25519Private(SecretBytes(seed), b""), public=old, new=new, store=StoreId(bytes(16)))
    assert made.signature == signature
