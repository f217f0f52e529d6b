"""Identity files: what one may look like, who may have read it, and that it never shows itself."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from strongroom.errors import (
    ExistsError,
    IdentityError,
    NewerFormatError,
    PassphraseError,
    PolicyError,
    StrongroomError,
)
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.identities import (
    HpkeIdentity,
    Identity,
    OpenPgpIdentity,
    RsaIdentity,
    WorkerIdentity,
    format_identity,
    identity_from_descriptor,
    identity_from_file,
    identity_from_text,
    parse_identity,
    write_identity,
)
from tests.sealing.builders import CHEAP, PASSPHRASE, STORE, flipped, hpke_identity, pem, rsa_identity


def worker() -> WorkerIdentity:
    pair = rsa_identity()
    return WorkerIdentity(
        name="web", store=STORE, group="web", issuer=b"i" * 44, public=pair.public, private=pair.private
    )


def identities() -> list[Identity]:
    return [
        OpenPgpIdentity(name="web-deploy", fingerprint="A" * 40, private=SecretBytes(b"a secret key"), store=STORE),
        RsaIdentity.from_private(rsa_identity().private, name="ci", store=STORE),
        hpke_identity(),
        hpke_identity("mlkem768-x25519"),
        worker(),
    ]


KINDS = ["openpgp", "rsa", "hpke", "hpke-post-quantum", "worker"]


def respelled(identity: Identity, change: Callable[[dict[str, Any]], object]) -> SecretBytes:
    value = json.loads(format_identity(identity).reveal())
    change(value)
    return SecretBytes(json.dumps(value).encode())


@pytest.mark.parametrize("identity", identities(), ids=KINDS)
class TestEveryKind:
    def test_comes_back_as_it_was(self, identity: Identity) -> None:
        assert parse_identity(format_identity(identity), source="a file") == identity

    def test_protected_it_wants_its_passphrase(self, identity: Identity) -> None:
        content = format_identity(identity, passphrase=PASSPHRASE, cost=CHEAP)
        assert parse_identity(content, source="a file", ask=lambda: PASSPHRASE) == identity
        with pytest.raises(PassphraseError, match="a file is protected"):
            parse_identity(content, source="a file")
        with pytest.raises(PassphraseError, match="does not open a file"):
            parse_identity(content, source="a file", ask=lambda: SecretBytes(b"wrong"))

    def test_unprotected_it_asks_nobody(self, identity: Identity) -> None:
        def nobody() -> SecretBytes:
            raise AssertionError

        assert parse_identity(format_identity(identity), source="a file", ask=nobody) == identity

    def test_white_space_is_free(self, identity: Identity) -> None:
        pasted = " ".join(format_identity(identity).reveal().decode().split())
        assert identity_from_text(pasted) == identity

    def test_it_is_written_for_its_owner_alone(self, identity: Identity, tmp_path: Path) -> None:
        path = tmp_path / "identity.json"
        write_identity(path, identity)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert identity_from_file(path) == identity
        with pytest.raises(ExistsError):
            write_identity(path, identity)
        path.chmod(0o644)
        with pytest.raises(IdentityError):
            identity_from_file(path)

    def test_it_shows_nothing(self, identity: Identity) -> None:
        spelled = json.loads(format_identity(identity).reveal())["private"]
        assert spelled not in repr(identity)
        assert repr(identity.private.reveal()) not in repr(identity)

    @pytest.mark.parametrize(
        "change",
        [
            lambda v: v.update(extra=1),
            lambda v: v.pop("private"),
            lambda v: v.pop("store"),
            lambda v: v.update(kind="shares"),
            lambda v: v.update(kind=1),
            lambda v: v.update(private="not base64url"),
            lambda v: v.update(private=v["private"] + "="),
            lambda v: v.update(store="AAAA"),
            lambda v: v.update(name="\x1b[2J"),
            lambda v: v.update(format="strongroom/1 store"),
            lambda v: v.update(format="other"),
            lambda v: v.update(protection={"salt": "AAAA", "memory_kib": 64, "iterations": 1, "lanes": 1}),
            lambda v: v.update(protection={"salt": "A" * 43, "memory_kib": 1 << 30, "iterations": 1, "lanes": 1}),
            lambda v: v.update(name=v.pop("name")),
        ],
    )
    def test_what_no_identity_can_say(self, identity: Identity, change: Callable[[dict[str, Any]], object]) -> None:
        content = respelled(identity, change)
        with pytest.raises((IdentityError, PassphraseError)) as caught:
            parse_identity(content, source="a file", ask=lambda: PASSPHRASE)
        assert json.loads(format_identity(identity).reveal())["private"][:20] not in str(caught.value)

    def test_a_newer_format_is_named(self, identity: Identity) -> None:
        with pytest.raises(NewerFormatError, match="strongroom/2 identity"):
            parse_identity(respelled(identity, lambda v: v.update(format="strongroom/2 identity")), source="a file")

    def test_every_flipped_bit_is_an_error_of_ours_or_shows(self, identity: Identity) -> None:
        raw = format_identity(identity, passphrase=PASSPHRASE, cost=CHEAP).reveal()
        for bit in range(0, len(raw) * 8, 61):
            try:
                read = parse_identity(SecretBytes(flipped(raw, bit)), source="a file", ask=lambda: PASSPHRASE)
            except StrongroomError:
                continue
            # name and store are for people: they are not bound, the key is
            assert (read.kind, read.private) == (identity.kind, identity.private)


class TestHalves:
    def test_that_do_not_belong_together_are_refused(self) -> None:
        with pytest.raises(IdentityError, match="belong together"):
            HpkeIdentity(name="x", suite="x25519", public=b"k" * 32, private=hpke_identity().private)
        with pytest.raises(IdentityError, match="belong together"):
            RsaIdentity(name="x", public=b"k", private=rsa_identity().private)

    def test_a_protected_private_half_moved_to_another_public_half_does_not_open(self) -> None:
        one, two = HpkeIdentity.generate(name="x"), HpkeIdentity.generate(name="x")
        stolen = json.loads(format_identity(one, passphrase=PASSPHRASE, cost=CHEAP).reveal())
        value = json.loads(format_identity(two, passphrase=PASSPHRASE, cost=CHEAP).reveal())
        value.update(protection=stolen["protection"], private=stolen["private"])
        with pytest.raises(PassphraseError):
            parse_identity(SecretBytes(json.dumps(value).encode()), source="a file", ask=lambda: PASSPHRASE)


class TestPem:
    def key(self) -> rsa.RSAPrivateKey:
        key = load_pem_private_key(pem(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key

    @pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
    def test_both_forms_of_an_rsa_key_are_read(self, form: PrivateFormat) -> None:
        spelled = self.key().private_bytes(Encoding.PEM, form, NoEncryption())
        assert parse_identity(SecretBytes(spelled), source="key.pem") == rsa_identity()

    @pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
    def test_an_encrypted_one_wants_its_passphrase(self, form: PrivateFormat) -> None:
        spelled = SecretBytes(
            self.key().private_bytes(Encoding.PEM, form, BestAvailableEncryption(PASSPHRASE.reveal()))
        )
        assert parse_identity(spelled, source="key.pem", ask=lambda: PASSPHRASE) == rsa_identity()
        with pytest.raises(PassphraseError, match=r"key\.pem wants a passphrase"):
            parse_identity(spelled, source="key.pem")
        with pytest.raises(PassphraseError, match="does not open"):
            parse_identity(spelled, source="key.pem", ask=lambda: SecretBytes(b"wrong"))

    def test_what_is_weak_broken_or_of_another_kind_is_refused(self) -> None:
        def spelled(key: Any) -> SecretBytes:
            return SecretBytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

        weak = rsa.generate_private_key(65537, 1024)  # noqa: S505  it is to be refused
        with pytest.raises((PolicyError, IdentityError), match="1024"):
            parse_identity(spelled(weak), source="key.pem")
        with pytest.raises((PolicyError, IdentityError), match="exponent 3"):
            parse_identity(spelled(rsa.generate_private_key(3, 2048)), source="key.pem")
        with pytest.raises(IdentityError, match="not RSA"):
            parse_identity(spelled(ec.generate_private_key(ec.SECP256R1())), source="key.pem")
        for broken in (pem()[:200], pem().replace(b"MII", b"MIJ", 1), b"-----BEGIN NOTHING-----\n"):
            with pytest.raises(IdentityError):
                parse_identity(SecretBytes(broken), source="key.pem")

    def test_a_key_that_is_not_sound_is_refused(self) -> None:
        numbers = self.key().private_numbers()
        broken = rsa.RSAPrivateNumbers(
            p=numbers.p, q=numbers.q, d=numbers.d + 2, dmp1=numbers.dmp1, dmq1=numbers.dmq1, iqmp=numbers.iqmp,
            public_numbers=numbers.public_numbers,
        ).private_key(unsafe_skip_rsa_key_validation=True)  # fmt: skip
        spelled = broken.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        with pytest.raises(IdentityError, match="sound"):
            RsaIdentity.from_private(SecretBytes(spelled), name="broken")


class TestSources:
    def test_a_descriptor_and_a_variable(self) -> None:
        content = format_identity(hpke_identity())
        reader, writer = os.pipe()
        os.write(writer, content.reveal())
        os.close(writer)
        assert identity_from_descriptor(reader) == hpke_identity()
        os.close(reader)
        assert identity_from_text(content.reveal().decode()) == hpke_identity()

    @pytest.mark.parametrize(
        "text", ["", "{}", "null", "[" * 60_000, "x" * 70_000, "\udcff", '{"format": "strongroom/1 identity"}']
    )
    def test_a_variable_that_holds_none_is_named_and_not_quoted(self, text: str) -> None:
        with pytest.raises(IdentityError, match="STRONGROOM_IDENTITY") as caught:
            identity_from_text(text)
        assert "xxxx" not in str(caught.value)
        assert "[[[[" not in str(caught.value)
