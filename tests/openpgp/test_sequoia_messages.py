"""What sequoia writes and opens: as BlackBox writes it, for all who read it, and in bounded memory."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import textwrap
import traceback
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pysequoia
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESOCB3
from tests.openpgp.against_gpg import engine_of
from tests.support.gpg import GpgHome, GpgHomes

from strongroom.errors import EngineMissingError, NoSecretKeyError, OpenPGPError, PassphraseError, RecipientError
from strongroom.openpgp.engine import Engine
from strongroom.openpgp.native import CEILING, attempt
from strongroom.openpgp.packets import HIDDEN, recipients_of
from strongroom.openpgp.sequoia import Sequoia
from strongroom.primitives.secret import SecretBytes
from strongroom.testing.engine_contract import PLAINTEXT

QUIET = ("--pinentry-mode", "loopback", "--passphrase-file", "/dev/null")
ALWAYS = ("--trust-model", "always")


@pytest.fixture(scope="module")
def engine(alice: GpgHome) -> Iterator[Engine]:
    made = engine_of(alice, "sequoia")
    yield made
    made.close()


def test_it_writes_as_blackbox_does(alice: GpgHome, carol: GpgHome) -> None:
    """For the original scripts' gpg: session keys that name their owner, data of version 1, one binary literal."""
    engine = Sequoia()
    sealed = engine.encrypt(
        SecretBytes(PLAINTEXT), to=engine.certificates(alice.export() + carol.export()), filename="database.yml"
    )
    packets = alice.run("--list-packets", stdin=sealed).stdout.decode()
    keys = [alice.encryption_subkeys()[0][-16:], carol.encryption_subkeys()[0][-16:]]
    assert f":pubkey enc packet: version 3, algo 18, keyid {keys[0]}" in packets
    assert f":pubkey enc packet: version 3, algo 1, keyid {keys[1]}" in packets
    assert "mdc_method: 2" in packets
    assert ":literal data packet:\n\tmode b (62)" in packets
    assert "compressed" not in packets
    assert alice.decrypt(sealed) == carol.decrypt(sealed) == PLAINTEXT


def test_a_key_that_asks_for_what_gpg_cannot_read_gets_what_it_can(gpg_homes: GpgHomes) -> None:
    """Sequoia's own keys say that they take data of version 2, which GnuPG does not open."""
    secret = bytes(pysequoia.Tsk.generate("Sq <sq@example.org>"))
    engine = Sequoia(SecretBytes(secret))
    sealed = engine.encrypt(SecretBytes(PLAINTEXT), to=engine.secret_keys())
    assert gpg_homes.of_key(secret).decrypt(sealed) == PLAINTEXT
    newest = pysequoia.encrypt(PLAINTEXT, recipients=[pysequoia.Cert.from_bytes(secret)], armor=False)
    assert engine.decrypt(newest).plaintext.reveal() == PLAINTEXT, "it opens version 2, too"


def test_any_key_of_an_identity_opens_what_is_sealed_to_it(gpg_homes: GpgHomes) -> None:
    """pysequoia by itself takes the newest valid key, and no other."""
    home = gpg_homes("Mia <mia@example.org>")
    home.run(*QUIET, "--quick-add-key", home.fingerprint, "cv25519", "encr", "never")
    engine = engine_of(home, "sequoia")
    (mia,) = engine.secret_keys()
    assert len(mia.encryption_subkeys) == 2
    for subkey in mia.encryption_subkeys:
        sealed = home.encrypt(PLAINTEXT, subkey.fingerprint + "!")
        assert recipients_of(sealed) == (subkey.key_id,)
        assert engine.decrypt(sealed).plaintext.reveal() == PLAINTEXT
        hidden = home.encrypt(PLAINTEXT, options=["--hidden-recipient", subkey.fingerprint + "!"])
        assert engine.decrypt(hidden).recipients == (HIDDEN,)


def test_a_hidden_message_for_others_has_no_secret_key_here(engine: Engine, bob: GpgHome) -> None:
    with pytest.raises(NoSecretKeyError, match=HIDDEN):
        engine.decrypt(bob.encrypt(PLAINTEXT, options=["--hidden-recipient", bob.fingerprint]))


def test_a_megabyte_of_noise_and_the_most_that_opens(engine: Engine, alice: GpgHome) -> None:
    mine = engine.secret_keys()
    for size, opens in ((1 << 20, True), (CEILING, True), (CEILING + 1, False)):
        noise = SecretBytes((os.urandom(1 << 16) * (size // (1 << 16) + 1))[:size])
        sealed = engine.encrypt(noise, to=mine)
        if opens:
            assert engine.decrypt(sealed).plaintext == noise
        else:
            with pytest.raises(OpenPGPError, match=f"more than {CEILING} bytes") as caught:
                engine.decrypt(sealed)
            assert "STRONGROOM_ENGINE=gnupg" in caught.value.hint
            assert alice.decrypt(sealed) == noise.reveal(), "gpg still opens it"


def _packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag, 255]) + len(body).to_bytes(4, "big") + body


def test_a_bomb_takes_no_more_memory_than_said(alice: GpgHome) -> None:
    """One gigabyte out of some kilobytes, compressed twice; in a process whose peak is measured."""
    inner = zlib.compressobj(9)
    literal = b"\xcb\xff" + (1_000_000_006).to_bytes(4, "big") + b"b\0\0\0\0\0"
    squeezed = inner.compress(literal) + b"".join(inner.compress(bytes(1_000_000)) for _ in range(1000)) + inner.flush()
    nested = _packet(8, b"\x02" + zlib.compress(_packet(8, b"\x02" + squeezed), 9))
    bomb = alice.run(*ALWAYS, "-r", alice.fingerprint, "--no-literal", "-z", "0", "--encrypt", stdin=nested).stdout
    assert len(bomb) < 20_000
    program = textwrap.dedent(
        """
        import resource, sys
        from strongroom.errors import OpenPGPError
        from strongroom.openpgp.sequoia import Sequoia
        from strongroom.primitives.secret import SecretBytes
        secret, bomb = (bytes.fromhex(line) for line in sys.stdin.read().split())
        engine = Sequoia(SecretBytes(secret))
        engine.secret_keys()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for limit in (4096, 64 << 20):
            try:
                engine.decrypt(bomb, limit=limit)
            except OpenPGPError as error:
                print(error)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=f"{alice.export_secret().hex()}\n{bomb.hex()}\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    small, large, kilobytes = done.stdout.splitlines()
    assert small == "the message opens to more than 4096 bytes"
    assert large.startswith(f"the message opens to more than {CEILING} bytes")
    assert int(kilobytes) < 150_000


def test_errors_carry_nothing_of_the_library(engine: Engine, alice: GpgHome, bob: GpgHome) -> None:
    """Its own messages quote names of keys and stacks of the process."""
    sealed = alice.encrypt(PLAINTEXT, alice.fingerprint)
    with pytest.raises(OpenPGPError) as caught:
        engine.decrypt(sealed[:-1] + bytes([sealed[-1] ^ 1]))
    shown = "".join(traceback.format_exception(caught.value))
    assert "backtrace" not in shown
    assert "RuntimeError" not in shown
    assert caught.value.__context__ is None


class RustPanic(BaseException):
    """As pyo3's PanicException: no Exception."""


def test_a_panic_is_a_failure_and_an_interrupt_is_not() -> None:
    def panics() -> int:
        raise RustPanic("index out of bounds")

    def interrupted() -> int:
        raise KeyboardInterrupt

    assert attempt(panics) is None
    with pytest.raises(KeyboardInterrupt):
        attempt(interrupted)


def test_threads_share_an_engine_and_leave_no_file_open(engine: Engine) -> None:
    mine = engine.secret_keys()
    gc.collect()  # what an earlier test left goes now, and not meanwhile
    before = len(list(Path("/proc/self/fd").iterdir()))

    def there_and_back(number: int) -> bool:
        text = SecretBytes(b"%d" % number)
        return engine.decrypt(engine.encrypt(text, to=mine)).plaintext == text

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(there_and_back, range(40)))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_message_longer_than_its_plaintext_may_be_is_refused_before_any_key_is_unlocked(alice: GpgHome) -> None:
    secret, certificate = Sequoia().generate("P <p@example.org>", expires_s=None, passphrase=SecretBytes(b"locked"))
    sealed = Sequoia().encrypt(SecretBytes(os.urandom(300_000)), to=[certificate])
    with pytest.raises(OpenPGPError, match="more than 4096 bytes"):
        Sequoia(secret).decrypt(sealed, limit=4096)
    with pytest.raises(PassphraseError):
        Sequoia(secret).decrypt(sealed)


def test_a_message_that_came_out_for_another_key_id_is_not_released(engine: Engine, bob: GpgHome) -> None:
    (bobs,) = engine.certificates(bob.export())
    (subkey,) = bobs.encryption_subkeys
    claimed = replace(bobs, encryption_subkeys=(replace(subkey, key_id="0123456789ABCDEF"),))
    with pytest.raises(RecipientError, match=f"sequoia encrypted to {subkey.key_id}, not to 0123456789ABCDEF"):
        engine.encrypt(SecretBytes(PLAINTEXT), to=[claimed])


def test_what_gpg_sealed_in_its_own_mode_says_so(engine: Engine, alice: GpgHome) -> None:
    """gpg 2.3 and newer write it to keys that ask for it, and 2.2 opens it; made here around gpg's session key."""
    usual = alice.encrypt(PLAINTEXT, alice.fingerprint)
    said = alice.run("--show-session-key", "--decrypt", stdin=usual).stderr
    found = re.search(rb"session key: '9:([0-9A-F]{64})'", said)
    assert found is not None
    cipher = AESOCB3(bytes.fromhex(found[1].decode()))
    literal = _packet(11, b"b\0\0\0\0\0" + PLAINTEXT)
    start = os.urandom(15)
    last = start[:-1] + bytes([start[-1] ^ 1])
    head = b"\xd4\x01\x09\x02\x10"
    chunk = cipher.encrypt(start, literal, head + bytes(8))
    end = cipher.encrypt(last, b"", head + (1).to_bytes(8, "big") + len(literal).to_bytes(8, "big"))
    sealed = usual[: 2 + usual[1]] + _packet(20, head[1:] + start + chunk + end)
    assert alice.decrypt(sealed) == PLAINTEXT
    with pytest.raises(EngineMissingError, match="OCB") as caught:
        engine.decrypt(sealed)
    assert "gnupg" in caught.value.hint
