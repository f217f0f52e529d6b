"""Sequoia as an engine: everything that GnuPG promises, with one secret key and no program."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.openpgp.against_gpg import AgainstGpg, engine_of
from tests.support.gpg import GpgHome, GpgHomes

from strongroom.errors import (
    EngineMissingError,
    IdentityError,
    NoSecretKeyError,
    OpenPGPError,
    PassphraseError,
    RecipientError,
    SettingsError,
)
from strongroom.openpgp.discovery import find_engine
from strongroom.openpgp.engine import Engine
from strongroom.openpgp.gnupg import GnuPG
from strongroom.openpgp.sequoia import Sequoia
from strongroom.primitives.secret import SecretBytes
from strongroom.testing.engine_contract import PLAINTEXT

QUIET = ("--pinentry-mode", "loopback", "--passphrase-file", "/dev/null")


class TestSequoia(AgainstGpg):
    def make_engine(self) -> Engine:
        return Sequoia(SecretBytes(self.alice.export_secret()))


@pytest.fixture(scope="module")
def engine(alice: GpgHome) -> Iterator[Engine]:
    made = engine_of(alice, "sequoia")
    yield made
    made.close()


# -- the identity


def test_what_holds_no_secret_key_is_no_identity(alice: GpgHome, gpg_homes: GpgHomes) -> None:
    signer = gpg_homes("Sid <sid@example.org>", kind="sign-only")
    for wrong in (alice.export(), b"", b"nothing", alice.export_secret()[:-20], signer.export_secret()):
        with pytest.raises(IdentityError):
            Sequoia(SecretBytes(wrong)).secret_keys()


def test_an_armored_identity_and_one_of_several_keys(alice: GpgHome, carol: GpgHome) -> None:
    armored = alice.run(*QUIET, "--armor", "--export-secret-keys").stdout
    for identity in (armored, carol.export_secret() + alice.export_secret()):
        engine = Sequoia(SecretBytes(identity))
        assert engine.decrypt(alice.encrypt(PLAINTEXT, alice.fingerprint)).plaintext.reveal() == PLAINTEXT
        assert alice.fingerprint in [each.fingerprint for each in engine.secret_keys()]
    assert len(engine.secret_keys()) == 2
    assert engine.decrypt(carol.encrypt(PLAINTEXT, carol.fingerprint)).plaintext.reveal() == PLAINTEXT


def test_an_identity_whose_primary_key_is_elsewhere_opens(carol: GpgHome) -> None:
    """`gpg --export-secret-subkeys` leaves a stub where the primary key was."""
    engine = Sequoia(SecretBytes(carol.run(*QUIET, "--export-secret-subkeys").stdout))
    assert engine.decrypt(carol.encrypt(PLAINTEXT, carol.fingerprint)).plaintext.reveal() == PLAINTEXT
    assert [each.fingerprint for each in engine.secret_keys()] == [carol.fingerprint]


def test_a_key_whose_secret_part_is_elsewhere_opens_nothing(gpg_homes: GpgHomes) -> None:
    home = gpg_homes()
    home.run(*QUIET, "--quick-generate-key", "All <all@example.org>", "rsa2048", "cert,sign,encr", "never")
    fingerprint = home.run("--with-colons", "--list-keys").stdout.split(b"fpr:::::::::")[1][:40].decode()
    home.run(*QUIET, "--quick-add-key", fingerprint, "ed25519", "sign", "never")
    Sequoia(SecretBytes(home.export_secret())).secret_keys()
    with pytest.raises(IdentityError):
        Sequoia(SecretBytes(home.run(*QUIET, "--export-secret-subkeys").stdout)).secret_keys()


@pytest.mark.parametrize("maker", ["gnupg", "sequoia"])
def test_an_identity_with_a_passphrase_needs_the_right_one(alice: GpgHome, maker: str) -> None:
    making = engine_of(alice, maker)
    secret, certificate = making.generate(
        "Deploy <deploy@example.org>", expires_s=None, passphrase=SecretBytes("richtig ü".encode())
    )
    sealed = making.encrypt(SecretBytes(PLAINTEXT), to=[certificate])
    making.close()
    for given, problem in ((None, "none was given"), (b"", "none was given"), (b"wrong", "wrong"), (b"\xff", "wrong")):
        engine = Sequoia(secret, None if given is None else SecretBytes(given))
        assert engine.secret_keys()[0].fingerprint == certificate.fingerprint, "nothing public wants it"
        with pytest.raises(PassphraseError, match=problem):
            engine.decrypt(sealed)
    engine = Sequoia(secret, SecretBytes("richtig ü".encode()))
    assert engine.decrypt(sealed).plaintext.reveal() == PLAINTEXT
    other = GnuPG.from_identity(secret, SecretBytes("richtig ü".encode()), environ={})
    assert other.decrypt(sealed).plaintext.reveal() == PLAINTEXT
    other.close()


def test_a_passphrase_for_a_key_that_has_none_does_no_harm(alice: GpgHome) -> None:
    engine = Sequoia(SecretBytes(alice.export_secret()), SecretBytes(b"not wanted"))
    assert engine.decrypt(alice.encrypt(PLAINTEXT, alice.fingerprint)).plaintext.reveal() == PLAINTEXT


def test_without_an_identity_it_seals_and_judges_and_opens_nothing(alice: GpgHome) -> None:
    engine = Sequoia()
    sealed = engine.encrypt(SecretBytes(PLAINTEXT), to=engine.certificates(alice.export()))
    assert alice.decrypt(sealed) == PLAINTEXT
    assert engine.secret_keys() == ()
    with pytest.raises(RecipientError, match="knows no key"):
        engine.certificate(alice.fingerprint)
    with pytest.raises(NoSecretKeyError, match="no identity"):
        engine.decrypt(sealed)


def test_a_selector_means_one_certificate(engine: Engine, alice: GpgHome, bob: GpgHome) -> None:
    subkey = alice.encryption_subkeys()[0]
    for selector in (
        alice.fingerprint,
        alice.fingerprint.lower(),
        "0x" + alice.fingerprint[-16:],
        "alice@example.org",
        "<Alice@Example.ORG>",
        "Alice <alice@example.org>",
        subkey,
        subkey[-16:],
    ):
        found = engine.certificate(selector)
        assert (found.fingerprint, found.has_secret) == (alice.fingerprint, True)
    for selector in ("lice@example.org", bob.fingerprint, "0" * 40, "=Alice", "*", "#1", alice.fingerprint[:16]):
        with pytest.raises(RecipientError, match="knows no key"):
            engine.certificate(selector)
    bare, _ = engine.generate("bare@example.org", expires_s=None)
    assert Sequoia(bare).certificate("Bare@example.org").uids == ("bare@example.org",)
    two = Sequoia(SecretBytes(alice.export_secret() + bob.export_secret()))
    with pytest.raises(RecipientError, match="2 keys fit"):
        two.certificate("example.org")


@pytest.mark.parametrize("uid", ["", "   ", "two\nlines", "\x1b]0;title\x07", "x" * 256])
def test_a_user_id_that_is_none_makes_no_key(engine: Engine, uid: str) -> None:
    with pytest.raises(SettingsError, match="user id"):
        engine.generate(uid, expires_s=None)


def test_a_life_that_no_key_can_have_makes_no_key(engine: Engine) -> None:
    for expires_s in (0, -1):
        with pytest.raises(SettingsError, match="of no use"):
            engine.generate("Brief <brief@example.org>", expires_s=expires_s)
    with pytest.raises(OpenPGPError):
        engine.generate("Eternal <eternal@example.org>", expires_s=1 << 70)


# -- which engine


def test_an_identity_where_no_gpg_is_has_sequoia(alice: GpgHome, tmp_path: Path) -> None:
    identity = SecretBytes(alice.export_secret())
    nowhere = {"PATH": str(tmp_path)}
    assert find_engine(identity=identity, environ=nowhere).name == "sequoia"
    assert find_engine(identity=identity, environ=alice.env).name == "gnupg"
    for environ in ({"GPG": "/nowhere/gpg"}, nowhere | {"STRONGROOM_ENGINE": "gnupg"}):
        with pytest.raises(EngineMissingError):
            find_engine(identity=identity, environ=environ)
    with pytest.raises(EngineMissingError, match="no 'gpg' here"):
        find_engine(environ=nowhere)  # nobody's keyring is opened by sequoia


def test_an_engine_can_be_forced(alice: GpgHome) -> None:
    identity = SecretBytes(alice.export_secret())
    for word in ("gnupg", "sequoia"):
        environ = alice.env | {"STRONGROOM_ENGINE": word}
        for engine in (find_engine(environ=environ), find_engine(identity=identity, environ=environ)):
            assert engine.name == word
            engine.close()
    with pytest.raises(SettingsError, match="STRONGROOM_ENGINE is 'pgp'") as caught:
        find_engine(environ=alice.env | {"STRONGROOM_ENGINE": "pgp"})
    assert "gnupg or sequoia" in caught.value.hint


def test_without_the_extra_it_is_named_and_gpg_is_not_disturbed(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import sys
        from strongroom.errors import EngineMissingError
        from strongroom.openpgp.discovery import find_engine
        from strongroom.primitives.secret import SecretBytes
        find_engine()
        assert "pysequoia" not in sys.modules, "who has gpg does not load it"
        sys.modules["pysequoia"] = None  # as if it were not installed
        for environ in ({"STRONGROOM_ENGINE": "sequoia"}, {"PATH": sys.argv[1]}):
            try:
                find_engine(identity=SecretBytes(b""), environ=environ)
            except EngineMissingError as error:
                print(error.hint)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    forced, found = done.stdout.splitlines()
    assert forced == "pip install 'strongroom[sequoia]'"
    assert "apt-get install gnupg" in found
    assert "strongroom[sequoia]" in found
