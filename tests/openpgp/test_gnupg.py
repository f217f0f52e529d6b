"""GnuPG as an engine: with a user's keyring, and with one identity alone."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.openpgp.against_gpg import AgainstGpg
from tests.support.gpg import GpgHome

from strongroom.errors import (
    AgentError,
    EngineMissingError,
    IdentityError,
    PassphraseError,
    RecipientError,
    SettingsError,
)
from strongroom.openpgp.discovery import find_engine
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.openpgp.gnupg import GnuPG
from strongroom.primitives.secret import SecretBytes
from strongroom.testing.engine_contract import PLAINTEXT


class TestAUsersKeyring(AgainstGpg):
    def make_engine(self) -> Engine:
        return GnuPG(environ=self.alice.env)

    @pytest.fixture
    def engine(self, alice: GpgHome) -> Iterator[Engine]:
        made = GnuPG(environ=alice.env)
        yield made
        made.close()

    def test_a_selector_means_one_certificate(self, engine: Engine, alice: GpgHome) -> None:
        for selector in (
            alice.fingerprint,
            alice.fingerprint.lower(),
            "0x" + alice.fingerprint[-16:],
            " ".join(alice.fingerprint[at : at + 4] for at in range(0, 40, 4)),
            "alice@example.org",
            "<Alice@Example.ORG>",
            "Alice <alice@example.org>",
            alice.encryption_subkeys()[0],
        ):
            found = engine.certificate(selector)
            assert (found.fingerprint, found.has_secret) == (alice.fingerprint, True)

    @pytest.mark.parametrize(
        "selector",
        ["lice@example.org", "nobody@example.org", "0" * 40, "&" + "0" * 40, "--version", "=Alice", "*", "#1"],
    )
    def test_what_means_none_is_a_recipient_error(self, engine: Engine, selector: str) -> None:
        with pytest.raises(RecipientError, match="knows no key"):
            engine.certificate(selector)

    @pytest.mark.parametrize("selector", ["", "  ", "a\nb", "\x1b[2J", "x" * 1001])
    def test_what_cannot_name_a_key_is_not_given_to_gpg(self, engine: Engine, selector: str) -> None:
        with pytest.raises(RecipientError, match="cannot name"):
            engine.certificate(selector)


class TestAnIdentity(AgainstGpg):
    def make_engine(self) -> Engine:
        return find_engine(identity=SecretBytes(self.alice.export_secret()), environ={})

    def test_it_knows_its_own_certificate_alone(self, bob: GpgHome) -> None:
        engine = self.make_engine()
        assert engine.certificate("alice@example.org").fingerprint == self.alice.fingerprint
        with pytest.raises(RecipientError):
            engine.certificate(bob.fingerprint)
        engine.close()


@pytest.fixture
def bobs(bob: GpgHome) -> Certificate:
    engine = GnuPG(environ=bob.env)
    return engine.certificate(bob.fingerprint)


def test_a_public_key_is_no_identity(alice: GpgHome) -> None:
    for wrong in (alice.export(), b"", b"nothing"):
        engine = GnuPG.from_identity(SecretBytes(wrong), environ={})
        with pytest.raises(IdentityError):
            engine.secret_keys()
        engine.close()


def test_an_identity_with_a_passphrase_needs_the_right_one(alice: GpgHome) -> None:
    maker = GnuPG(environ=alice.env)
    secret, certificate = maker.generate(
        "Deploy <deploy@example.org>", expires_s=None, passphrase=SecretBytes(b"correct horse")
    )
    sealed = maker.encrypt(SecretBytes(PLAINTEXT), to=[certificate])
    maker.close()
    for given, problem in ((None, "none was given"), (b"wrong", "wrong"), (b"", "wrong|none was given")):
        engine = GnuPG.from_identity(secret, None if given is None else SecretBytes(given), environ={})
        with pytest.raises(PassphraseError, match=problem):
            engine.decrypt(sealed)
        engine.close()
    engine = GnuPG.from_identity(secret, SecretBytes(b"correct horse"), environ={})
    assert engine.decrypt(sealed).plaintext.reveal() == PLAINTEXT
    # the agent kept nothing: without the passphrase the same home opens nothing
    assert engine._identity_home is not None
    with pytest.raises(AgentError, match="pinentry cannot ask"):
        GnuPG(home=engine._identity_home.path, terminal="", environ={}).decrypt(sealed)
    engine.close()


@pytest.mark.parametrize("passphrase", [b"two\nlines", b"zero\0byte", b"x" * 5000])
def test_a_passphrase_that_gpg_cannot_take_is_refused(alice: GpgHome, passphrase: bytes) -> None:
    engine = GnuPG(environ=alice.env, passphrase=SecretBytes(passphrase))
    with pytest.raises(PassphraseError, match=r"has a line end|has 5000 bytes") as caught:
        engine.decrypt(alice.encrypt(PLAINTEXT, alice.fingerprint))
    assert passphrase.decode()[:5] not in str(caught.value)


@pytest.mark.parametrize("uid", ["", "   ", "two\nlines", "\x1b]0;title\x07", "x" * 256])
def test_a_user_id_that_is_none_makes_no_key(alice: GpgHome, uid: str) -> None:
    with pytest.raises(SettingsError, match="user id"):
        GnuPG(environ=alice.env).generate(uid, expires_s=None)


@pytest.mark.parametrize("uid", ["--version", "-x <x@example.org>", "Jörg: \\x41 <j@example.org>", "%Name-Real: x"])
def test_a_user_id_is_text_and_never_an_option(alice: GpgHome, uid: str) -> None:
    _, certificate = GnuPG(environ=alice.env).generate(uid, expires_s=None)
    assert certificate.uids == (uid,)


def test_the_message_carries_the_file_name(alice: GpgHome) -> None:
    engine = GnuPG(environ=alice.env)
    mine = engine.certificate(alice.fingerprint)
    for name in ("database.yml", "--output=x", "with space", "ünï"):
        sealed = engine.encrypt(SecretBytes(PLAINTEXT), to=[mine], filename=name)
        said = alice.run("--pinentry-mode", "error", "--status-fd", "2", "--decrypt", stdin=sealed).stderr.decode()
        plaintext_line = next(line for line in said.splitlines() if "] PLAINTEXT " in line)
        assert plaintext_line.startswith("[GNUPG:] PLAINTEXT 62 ")
        assert plaintext_line.split()[-1] == name.replace(" ", "%20")
    for name in ("a\nb", "\udcff", "x" * 300, "_CONSOLE", ""):  # nothing depends on it: left out
        sealed = engine.encrypt(SecretBytes(PLAINTEXT), to=[mine], filename=name)
        said = alice.run("--pinentry-mode", "error", "--status-fd", "2", "--decrypt", stdin=sealed).stderr
        assert re.search(rb"\] PLAINTEXT 62 \d+ \n", said)
    engine.close()


def test_forty_megabytes_go_through(alice: GpgHome) -> None:
    engine = GnuPG(environ=alice.env)
    large = SecretBytes(os.urandom(1 << 20) * 40)
    sealed = engine.encrypt(large, to=[engine.certificate(alice.fingerprint)])
    assert engine.decrypt(sealed).plaintext == large
    engine.close()


def test_a_missing_gpg_is_told_with_the_way_on(tmp_path: Path) -> None:
    for environ in ({"PATH": str(tmp_path)}, {"GPG": "/nowhere/gpg"}, {"PATH": "."}, {"GPG": "./gpg"}):
        with pytest.raises(EngineMissingError) as caught:
            find_engine(environ=environ)
        assert "apt-get install gnupg" in caught.value.hint
    unusable = tmp_path / "gpg"
    unusable.write_text("no program")
    unusable.chmod(0o700)
    with pytest.raises(EngineMissingError, match="cannot be started"):
        GnuPG(program=unusable, environ={"HOME": str(tmp_path), "GNUPGHOME": str(tmp_path)}).secret_keys()


def test_a_forked_child_leaves_the_parents_home_and_makes_its_own(alice: GpgHome) -> None:
    """In a process of its own, because the test's one has threads."""
    sealed = alice.encrypt(PLAINTEXT, alice.fingerprint)
    program = textwrap.dedent(
        """
        import os, sys
        from strongroom.openpgp.gnupg import GnuPG
        from strongroom.primitives.secret import SecretBytes
        secret, sealed = (bytes.fromhex(line) for line in sys.stdin.read().split())
        engine = GnuPG.from_identity(SecretBytes(secret), environ={})
        engine.decrypt(sealed)
        first = engine._identity_home.path
        child = os.fork()
        if child == 0:
            ok = engine.decrypt(sealed).plaintext == SecretBytes(bytes.fromhex(sys.argv[1]))
            ok = ok and engine._identity_home.path != first and engine._identity_home.path.is_dir()
            print(engine._identity_home.path, flush=True)
            sys.exit(0 if ok else 1)   # atexit runs here, too
        assert os.waitpid(child, 0)[1] == 0
        assert first.is_dir()
        engine.decrypt(sealed)
        print(first)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program, PLAINTEXT.hex()],
        input=f"{alice.export_secret().hex()}\n{sealed.hex()}\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    homes = [Path(line) for line in done.stdout.split()]
    assert len(set(homes)) == 2
    assert not any(home.exists() for home in homes)


def test_threads_share_an_engine(alice: GpgHome, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)  # it was once seen to fail: what gpg said is then shown
    engine = GnuPG.from_identity(SecretBytes(alice.export_secret()), environ={})
    mine = engine.certificate(alice.fingerprint)

    def there_and_back(number: int) -> bool:
        text = SecretBytes(b"%d" % number)
        return engine.decrypt(engine.encrypt(text, to=[mine])).plaintext == text

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(there_and_back, range(12)))
    engine.close()


@pytest.mark.parametrize("expires_s", [0, -1])
def test_a_key_that_never_lives_is_not_made(alice: GpgHome, expires_s: int) -> None:
    with pytest.raises(SettingsError, match="of no use"):
        GnuPG(environ=alice.env).generate("Brief <brief@example.org>", expires_s=expires_s)
