"""To whom a message is encrypted: exactly the subkeys that were given, or nobody, told before a byte is encrypted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.openpgp.against_gpg import ENGINES, engine_of
from tests.support.gpg import GpgHome, GpgHomes

from strongroom._clock import SYSTEM_CLOCK
from strongroom.errors import FormatError, RecipientError
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.openpgp.gnupg import GnuPG
from strongroom.openpgp.packets import recipients_of
from strongroom.primitives.secret import SecretBytes

PLAINTEXT = SecretBytes(b"the sealed line\n")
LONG_AGO = "20200101T000000"


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, alice: GpgHome) -> Iterator[Engine]:
    made = engine_of(alice, request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def good(engine: Engine, alice: GpgHome) -> Certificate:
    return engine.certificate(alice.fingerprint)


def _refused(engine: Engine, good: Certificate, home: GpgHome, words: str) -> None:
    """The one bad certificate refuses the whole message, beside a good one, and is named."""
    (bad,) = engine.certificates(home.export())
    problem = bad.problem(SYSTEM_CLOCK.now())
    assert problem is not None
    with pytest.raises(RecipientError) as caught:
        engine.encrypt(PLAINTEXT, to=[good, bad])
    assert home.fingerprint in str(caught.value)
    assert bad.uids[0] in str(caught.value)
    assert words in str(caught.value)


def test_an_expired_key_is_named_with_the_day_and_how_long_ago(
    engine: Engine, good: Certificate, gpg_homes: GpgHomes
) -> None:
    home = gpg_homes()
    home.generate("Erin <erin@example.org>", expires="1d", faked_time=LONG_AGO)
    _refused(engine, good, home, "expired on 2020-01-02, ")


def test_a_subkey_that_has_expired_under_a_key_that_has_not(
    engine: Engine, good: Certificate, gpg_homes: GpgHomes
) -> None:
    home = gpg_homes()
    home.generate("Edna <edna@example.org>", faked_time=LONG_AGO)
    quiet = ("--pinentry-mode", "loopback", "--passphrase-file", "/dev/null")
    home.run(*quiet, "--quick-set-expire", home.fingerprint, "1d", "*", faked_time="20200110T000000")
    _refused(engine, good, home, "its encryption subkey expired on 2020-01-11, ")


def test_a_revoked_key(engine: Engine, good: Certificate, gpg_homes: GpgHomes) -> None:
    home = gpg_homes("Rita <rita@example.org>")
    home.revoke(home.fingerprint)
    _refused(engine, good, home, "cannot receive: revoked")


def test_a_revoked_subkey(engine: Engine, good: Certificate, gpg_homes: GpgHomes) -> None:
    home = gpg_homes("Rosa <rosa@example.org>")
    home.revoke_subkey(home.fingerprint)
    _refused(engine, good, home, "its encryption subkey is revoked")


def test_a_key_that_only_signs(engine: Engine, good: Certificate, gpg_homes: GpgHomes) -> None:
    _refused(engine, good, gpg_homes("Sam <sam@example.org>", kind="sign-only"), "has no encryption subkey")


def test_a_key_dated_in_the_future(engine: Engine, good: Certificate, gpg_homes: GpgHomes) -> None:
    home = gpg_homes()
    home.generate("Fay <fay@example.org>", faked_time="20990101T000000")
    assert all(
        certificate.problem(SYSTEM_CLOCK.now()) is not None for certificate in engine.certificates(home.export())
    )


def test_a_key_that_its_user_disabled(gpg_homes: GpgHomes, good: Certificate) -> None:
    home = gpg_homes("Dora <dora@example.org>")
    home.edit(home.fingerprint, "disable", "save")
    engine = GnuPG(environ=home.env)
    dora = engine.certificate("dora@example.org")
    with pytest.raises(RecipientError, match=f"{home.fingerprint}.*disabled"):
        engine.encrypt(PLAINTEXT, to=[dora])


@pytest.mark.parametrize("name", ENGINES)
def test_an_expired_or_revoked_key_still_opens_what_it_received(gpg_homes: GpgHomes, name: str) -> None:
    home = gpg_homes("Ruth <ruth@example.org>")
    sealed = home.encrypt(PLAINTEXT.reveal(), home.fingerprint)
    home.revoke_subkey(home.fingerprint)
    home.revoke(home.fingerprint)
    assert engine_of(home, name).decrypt(sealed).plaintext == PLAINTEXT
    home = gpg_homes()
    home.generate("Rhea <rhea@example.org>", expires="1d", faked_time=LONG_AGO)
    ring = home.export()
    sealed = home.run(
        "--trust-model", "always", "-r", home.fingerprint, "--encrypt", stdin=PLAINTEXT.reveal(), faked_time=LONG_AGO
    ).stdout
    engine = engine_of(home, name)
    assert engine.certificates(ring)[0].problem(SYSTEM_CLOCK.now()) is not None
    assert engine.decrypt(sealed).plaintext == PLAINTEXT


def test_two_keys_with_one_address_are_refused_by_it_and_found_by_fingerprint(gpg_homes: GpgHomes) -> None:
    """A second key with an admin's address, newer than his own, would be chosen by gpg: UID shadowing."""
    home = gpg_homes("Uma <uma@example.org>")
    stranger = gpg_homes("Uma <uma@example.org>")
    home.import_keys(stranger.export())
    engine = GnuPG(environ=home.env)
    for selector in ("uma@example.org", "Uma", "Uma <uma@example.org>"):
        with pytest.raises(RecipientError, match="2 keys fit") as caught:
            engine.certificate(selector)
        assert home.fingerprint in str(caught.value)
        assert stranger.fingerprint in str(caught.value)
    certificate = engine.certificate(home.fingerprint)
    sealed = engine.encrypt(PLAINTEXT, to=[certificate])
    assert home.decrypt(sealed) == PLAINTEXT.reveal()
    assert recipients_of(sealed) == (home.encryption_subkeys(home.fingerprint)[0][-16:],)
    engine.close()


def test_a_revoked_namesake_counts(gpg_homes: GpgHomes) -> None:
    home = gpg_homes("Vera <vera@example.org>")
    home.generate("Vera <vera@elsewhere.example>")
    other = gpg_homes("Vera <vera@example.org>")
    other.revoke(other.fingerprint)
    home.import_keys(other.export())
    with pytest.raises(RecipientError, match="2 keys fit"):
        GnuPG(environ=home.env).certificate("vera@example.org")


def test_all_usable_subkeys_receive_unless_the_approval_was_narrower(engine: Engine, gpg_homes: GpgHomes) -> None:
    home = gpg_homes("Mia <mia@example.org>")
    quiet = ("--pinentry-mode", "loopback", "--passphrase-file", "/dev/null")
    home.run(*quiet, "--quick-add-key", home.fingerprint, "cv25519", "encr", "never")
    (mia,) = engine.certificates(home.export())
    first, second = mia.encryption_subkeys
    assert set(recipients_of(engine.encrypt(PLAINTEXT, to=[mia]))) == {first.key_id, second.key_id}
    for one in (first, second):
        sealed = engine.encrypt(PLAINTEXT, to=[mia.narrowed([one.fingerprint])])
        assert recipients_of(sealed) == (one.key_id,)
        assert home.decrypt(sealed) == PLAINTEXT.reveal()
    with pytest.raises(RecipientError, match="has no encryption subkey"):
        engine.encrypt(PLAINTEXT, to=[mia.narrowed([])])


def test_rsa_certificates_are_read_as_such(engine: Engine, carol: GpgHome) -> None:
    (certificate,) = engine.certificates(carol.export())
    (subkey,) = certificate.encryption_subkeys
    assert (subkey.algorithm, subkey.bits) == ("rsa", 3072)
    assert carol.decrypt(engine.encrypt(PLAINTEXT, to=[certificate])) == PLAINTEXT.reveal()


def test_the_public_key_must_be_the_certificates_own(engine: Engine, good: Certificate, bob: GpgHome) -> None:
    for wrong in (bob.export(), b"", b"nothing", bob.export_secret()):
        with pytest.raises(RecipientError) as caught:
            engine.encrypt(PLAINTEXT, to=[replace(good, transferable=wrong)])
        assert good.fingerprint in str(caught.value)


def test_a_subkey_that_is_not_in_the_public_key_receives_nothing(
    engine: Engine, good: Certificate, bob: GpgHome
) -> None:
    bobs = engine.certificates(bob.export())[0]
    forged = replace(good, encryption_subkeys=bobs.encryption_subkeys)
    with pytest.raises(RecipientError, match=good.fingerprint):
        engine.encrypt(PLAINTEXT, to=[forged])


def test_a_stranger_in_the_transferable_bytes_receives_nothing(engine: Engine, good: Certificate, bob: GpgHome) -> None:
    sealed = engine.encrypt(PLAINTEXT, to=[replace(good, transferable=bob.export() + good.transferable)])
    assert recipients_of(sealed) == (good.encryption_subkeys[0].key_id,)


def test_a_user_id_cannot_speak_to_the_terminal(engine: Engine, gpg_homes: GpgHomes) -> None:
    home = gpg_homes("Evil \x1b[2J\x1b]0;pwn\x07\nroot: \u202e <evil@example.org>", kind="sign-only")
    (evil,) = engine.certificates(home.export())
    assert "\x1b[2J" in evil.uids[0]
    with pytest.raises(RecipientError) as caught:
        engine.encrypt(PLAINTEXT, to=[evil])
    assert str(caught.value).isprintable()
    assert r"\x1b[2J" in str(caught.value)


def test_planted_options_are_not_obeyed(gpg_homes: GpgHomes, bob: GpgHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """gpg.conf could add a recipient or name a program to run; in the user's home, and where we stand."""
    home = gpg_homes("Tess <tess@example.org>")
    home.import_keys(bob.export())
    sealed = home.encrypt(PLAINTEXT.reveal(), home.fingerprint)
    home.end_agent()
    bait = home.home / "bait"
    bait.write_text(f"#!/bin/sh\ntouch {home.home}/ran\nexit 1\n")
    bait.chmod(0o700)
    planted = f"encrypt-to {bob.fingerprint}\nagent-program {bait}\ntrust-model pgp\ndefault-key {bob.fingerprint}\n"
    (home.home / "gpg.conf").write_text(planted)
    monkeypatch.chdir(home.home)
    engine = GnuPG(environ=home.env, terminal="")
    tess = engine.certificate("tess@example.org")
    made = engine.encrypt(PLAINTEXT, to=[tess])
    assert recipients_of(made) == (tess.encryption_subkeys[0].key_id,)
    assert engine.decrypt(sealed).plaintext == PLAINTEXT
    engine.close()
    assert not (home.home / "ran").exists()


@pytest.mark.parametrize("wrong", ["secret", "armored", "message", "cut", "text"])
def test_a_ring_that_is_none_is_a_format_error(engine: Engine, bob: GpgHome, wrong: str) -> None:
    ring = {
        "secret": bob.export_secret(),
        "armored": bob.run("--armor", "--export").stdout,
        "message": bob.encrypt(b"x", bob.fingerprint),
        "cut": bob.export()[:-1],
        "text": b"alice@example.org\n",
    }[wrong]
    with pytest.raises(FormatError):
        engine.certificates(ring)


def test_a_key_whose_signatures_are_broken_is_left_out(engine: Engine, gpg_homes: GpgHomes, bob: GpgHome) -> None:
    """A subkey or user id that its owner did not sign must not receive: gpg judges, in the private home."""
    home = gpg_homes("Wes <wes@example.org>")
    raw = home.export()
    at = raw.index(b"Wes <")
    forged = raw[:at] + b"Bob <" + raw[at + 5 :]
    assert [each.fingerprint for each in engine.certificates(forged + bob.export())] == [bob.fingerprint]
    broken = raw[:-1] + bytes([raw[-1] ^ 1])  # the subkey's binding signature stands last
    for certificate in engine.certificates(broken):
        assert certificate.encryption_subkeys == ()
