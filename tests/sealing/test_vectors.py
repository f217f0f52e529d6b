"""docs/format.md holds: fixed inputs give the written outputs, here and in a reader that shares no code with us."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from strongroom._encoding import b64decode, b64encode, encode_fields, format_time, parse_time
from strongroom.errors import StrongroomError
from strongroom.model.codec import decode
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId, parse_name
from strongroom.model.types import KeyType, Purpose
from strongroom.primitives import material
from strongroom.primitives.kdf import argon2id
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.wrapping import pad64
from strongroom.sealing.credentials import Credential, WithIdentity, WithPassphrase
from strongroom.sealing.header import Header
from strongroom.sealing.header_codec import decode_header, encode_header
from strongroom.sealing.identities import format_identity, identity_from_file, parse_identity
from strongroom.sealing.lineage import lineage
from strongroom.sealing.passphrases import passphrase_from_text
from strongroom.sealing.root import Root
from strongroom.sealing.unsealing import unseal
from tests import independent_reader
from tests.sealing.builders import flipped, nothing

FORMAT = Path(__file__).parents[1] / "vectors" / "format-1"
VALUES: dict[str, Any] = json.loads((FORMAT / "values.json").read_text("utf-8"))
ROOT = Root.from_line(SecretBytes(VALUES["root"]["line"].encode()))
NEXT = Root.from_line(SecretBytes(VALUES["next_root"]["line"].encode()))
NAMES = sorted(VALUES["materials"])


def value(section: str, name: str) -> bytes:
    return b64decode(VALUES[section][name])


def record(directory: str, name: str) -> bytes:
    return (FORMAT / directory / "keysets" / f"{name}.json").read_bytes()


def keyset(directory: str, name: str) -> Keyset:
    return decode(record(directory, name), name=parse_name(name)).keyset


class TestSingleSteps:
    def test_fields(self) -> None:
        for each in VALUES["fields"]:
            assert b64encode(encode_fields(*map(b64decode, each["parts"]))) == each["joined"]

    def test_the_root_and_its_subkeys(self) -> None:
        root, keys = VALUES["root"], VALUES["root"]["subkeys"]
        made = Root(SecretBytes(value("root", "key")), store=ROOT.store, number=1)
        assert made.line().reveal().decode() == root["line"]
        assert b64encode(made.id) == keys["id"]
        reader = independent_reader.Root(root["line"].encode(), b64decode(root["store"]), 1, made.id)
        assert {purpose: b64encode(reader.subkey(purpose)) for purpose in keys if purpose != "id"} == {
            purpose: key for purpose, key in keys.items() if purpose != "id"
        }

    def test_macs_and_links(self) -> None:
        body = value("macs", "body")
        assert ROOT.record_mac(body) == value("macs", "record")
        assert ROOT.header_mac(body) == value("macs", "header")
        assert ROOT.link(NEXT.id) == value("next_root", "link")
        assert b64encode(NEXT.id) == VALUES["next_root"]["id"]

    def test_bindings(self) -> None:
        assert {kind: b64encode(ROOT.ref.binding(kind)) for kind in VALUES["bindings"]} == VALUES["bindings"]

    @pytest.mark.parametrize("which", ["version", "secret"])
    def test_an_envelope_opens(self, which: str) -> None:
        v = VALUES[which]
        opened = ROOT.open(
            value(which, "sealed"),
            name=parse_name(v["name"]),
            key_id=KeyId(int(v["key_id"], 16)),
            type=KeyType(v["type"]),
            purpose=Purpose(v["purpose"]),
        )
        assert opened.reveal() == value(which, "material")

    @pytest.mark.parametrize("which", ["version", "secret", "older_root"])
    def test_an_envelope_is_what_the_page_says(self, which: str) -> None:
        """Made here step by step, from the fixed salt, with nothing of ours."""
        salt, context = value(which, "salt"), value(which, "context")
        plain = {
            "version": lambda: value("version", "material"),
            "secret": lambda: value("secret", "padded"),
            "older_root": lambda: VALUES["root"]["line"].encode(),
        }[which]()
        line = VALUES["next_root" if which == "older_root" else "root"]["line"].encode()
        reader = independent_reader.Root(
            line, ROOT.store, NEXT.number if which == "older_root" else 1, NEXT.id if which == "older_root" else ROOT.id
        )
        derived = independent_reader.hkdf(reader.subkey("wrap"), salt, context, 64)
        made = salt + derived[32:] + AESGCM(derived[:32]).encrypt(bytes(12), plain, context)
        assert made == value(which, "sealed")

    def test_padding(self) -> None:
        assert pad64(value("secret", "material")) == value("secret", "padded")

    def test_an_older_root_opens(self) -> None:
        assert NEXT.open_older(value("older_root", "sealed"), ROOT.ref).line() == ROOT.line()

    def test_a_passphrase_as_typed_gives_one_key(self) -> None:
        v = VALUES["passphrase"]
        typed = passphrase_from_text(v["typed"])
        assert typed.reveal() == b64decode(v["bytes"])
        key = argon2id(
            typed, salt=b64decode(v["salt"]), memory_kib=v["memory_kib"], iterations=v["iterations"], lanes=v["lanes"]
        )
        assert b64encode(key.reveal()) == v["key"]


class TestTheStore:
    @pytest.mark.parametrize("directory", ["store", "rotated"])
    @pytest.mark.parametrize("slot", ["passphrase", "rsa", "hpke", "hpke-post-quantum"])
    def test_every_slot_opens_it(self, directory: str, slot: str) -> None:
        secret = passphrase_from_text(VALUES["passphrase"]["typed"])
        files = {"rsa": "rsa.json", "hpke": "hpke.json", "hpke-post-quantum": "hpke-protected.json"}
        credential: Credential = WithPassphrase(lambda: secret)
        if slot in files:
            content = SecretBytes((FORMAT / "identities" / files[slot]).read_bytes())
            identity = parse_identity(content, source=files[slot], ask=lambda: secret)
            assert identity.kind in {"rsa", "hpke"}
            credential = WithIdentity(identity)  # type: ignore[arg-type]  # by its kind
        opened = unseal(decode_header((FORMAT / directory / "store.json").read_bytes()), nothing, [credential])
        assert opened.root.line() == (ROOT if directory == "store" else NEXT).line()

    def test_the_rotated_one_leads_back_to_the_first_root(self) -> None:
        header: Header = decode_header((FORMAT / "rotated" / "store.json").read_bytes()).verify(NEXT)
        assert [root.line() for root in lineage(header, NEXT)] == [ROOT.line()]
        assert [(each.name, each.mac) for each in header.pending] == [
            ("fernet", decode(record("rotated", "fernet"), name=parse_name("fernet")).mac)
        ]

    @pytest.mark.parametrize("directory", ["store", "rotated"])
    def test_its_header_is_written_again_byte_for_byte(self, directory: str) -> None:
        raw = (FORMAT / directory / "store.json").read_bytes()
        root = ROOT if directory == "store" else NEXT
        assert encode_header(decode_header(raw).verify(root), root) == raw

    @pytest.mark.parametrize("name", NAMES)
    def test_every_version_opens_to_its_material(self, name: str) -> None:
        found = decode(record("store", name), name=parse_name(name))
        ROOT.check_record(found.body, found.mac)
        made = {}
        for version in found.keyset.versions:
            if version.sealed is None:
                continue
            opened = ROOT.open(
                version.sealed,
                name=found.keyset.name,
                key_id=version.key_id,
                type=found.keyset.type,
                purpose=found.keyset.purpose,
            )
            made[str(version.number)] = b64encode(opened.reveal())
            assert material.public_of(found.keyset.type.value, opened) == version.public
        assert made == VALUES["materials"][name]

    def test_every_key_type_but_the_larger_rsa_ones_is_among_them(self) -> None:
        found = {keyset("store", name).type for name in NAMES}
        assert set(KeyType) - found == {KeyType.RSA_3072, KeyType.RSA_4096}

    def test_states_and_primary_follow_from_record_and_clock(self) -> None:
        found = keyset("store", VALUES["effective"]["keyset"])
        for moment in VALUES["effective"]["at"]:
            now = parse_time(moment["now"])
            primary = found.primary_at(now)
            assert (None if primary is None else primary.number) == moment["primary"]
            assert {str(v.number): v.state_at(now).value for v in found.versions} == moment["states"]
            assert format_time(now) == moment["now"]


class TestIdentities:
    @pytest.mark.parametrize("file", ["rsa.json", "hpke.json", "openpgp.json", "worker.json"])
    def test_they_are_written_again_byte_for_byte(self, file: str) -> None:
        raw = SecretBytes((FORMAT / "identities" / file).read_bytes())
        assert format_identity(parse_identity(raw, source=file)) == raw

    def test_pem_and_json_are_one_key(self, tmp_path: Path) -> None:
        private = tmp_path / "rsa.pem"
        private.write_bytes((FORMAT / "identities" / "rsa.pem").read_bytes())
        private.chmod(0o600)
        spelled = parse_identity(SecretBytes((FORMAT / "identities" / "rsa.json").read_bytes()), source="rsa.json")
        assert identity_from_file(private).private == spelled.private


class TestTheIndependentReader:
    def secrets(self) -> dict[str, bytes]:
        return {
            "line": VALUES["root"]["line"].encode(),
            "passphrase": value("slots", "passphrase"),
            "rsa": (FORMAT / VALUES["slots"]["rsa"]).read_bytes(),
            "hpke": value("slots", "recovery"),
        }

    @pytest.mark.parametrize("kind", ["line", "passphrase", "rsa", "hpke"])
    def test_it_opens_the_store_and_reads_every_keyset(self, kind: str) -> None:
        store = independent_reader.Store.open(FORMAT / "store", kind, self.secrets()[kind])
        read = {name: {str(n): b64encode(m) for n, m in store.material(name).items()} for name in NAMES}
        assert read == VALUES["materials"]

    def test_it_opens_a_post_quantum_slot(self) -> None:
        header = json.loads((FORMAT / "store" / "store.json").read_bytes())
        (slot,) = (slot for slot in header["roots"][0]["slots"] if slot["label"] == "recovery-pq")
        line = independent_reader.line_in(slot, value("slots", "recovery-pq"), ROOT.store, 1, ROOT.id)
        assert line.decode() == VALUES["root"]["line"]

    @pytest.mark.parametrize("kind", ["passphrase", "rsa", "hpke"])
    def test_it_follows_a_rotation_that_is_not_finished(self, kind: str) -> None:
        store = independent_reader.Store.open(FORMAT / "rotated", kind, self.secrets()[kind])
        for name in ("fernet", "secret"):
            read = {str(n): b64encode(m) for n, m in store.material(name).items()}
            assert read == VALUES["materials"][name]

    def test_it_agrees_about_the_primary(self) -> None:
        store = independent_reader.Store.open(FORMAT / "store", "line", VALUES["root"]["line"].encode())
        for moment in VALUES["effective"]["at"]:
            assert store.primary(VALUES["effective"]["keyset"], moment["now"]) == moment["primary"]

    def test_it_is_short_and_shares_no_code_with_us(self) -> None:
        source = Path(independent_reader.__file__)
        assert len(source.read_text("utf-8").splitlines()) <= 150
        script = (
            "import sys; sys.path.insert(0, sys.argv[1]); import independent_reader;"
            "sys.exit(any(name.split('.')[0] in ('strongroom', 'msgspec') for name in sys.modules))"
        )
        assert subprocess.run([sys.executable, "-c", script, str(source.parent)], check=False).returncode == 0

    def test_both_readers_refuse_a_record_under_an_older_root_that_is_not_listed(self, tmp_path: Path) -> None:
        keysets = tmp_path / "keysets"
        keysets.mkdir()
        (tmp_path / "store.json").write_bytes((FORMAT / "rotated" / "store.json").read_bytes())
        (keysets / "ed25519.json").write_bytes(record("store", "ed25519"))
        store = independent_reader.Store.open(tmp_path, "passphrase", self.secrets()["passphrase"])
        with pytest.raises(AssertionError, match="listed"):
            store.material("ed25519")


def test_no_bit_of_a_record_may_change() -> None:
    name = parse_name("fernet")
    raw = record("store", "fernet")

    def read(changed: bytes) -> None:
        found = decode(changed, name=name)
        ROOT.check_record(found.body, found.mac)

    read(raw)
    for bit in range(len(raw) * 8):
        with pytest.raises(StrongroomError):
            read(flipped(raw, bit))
