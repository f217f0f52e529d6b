"""Messages that must not open, made by real gpg: none is released, by the packets' order or by gpg's whole answer.

Two guards stand one behind the other, and each case is put before both: `recipients_of`, which starts nothing, and
the status predicate, which is asked about a bare gpg run with no packet walk in front of it.
"""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.openpgp.against_gpg import ENGINES, engine_of
from tests.support.gpg import GpgHome

from strongroom.errors import FormatError, OpenPGPError
from strongroom.openpgp import process
from strongroom.openpgp.engine import Engine
from strongroom.openpgp.packets import HIDDEN
from strongroom.openpgp.status import Status
from strongroom.openpgp.surroundings import find_program
from strongroom.primitives.secret import SecretBytes

PLAINTEXT = b"FERNET_KEY=" + b"k" * 44 + b"\n"
LONG = os.urandom(30_000)  # in several parts, uncompressed or not
ALWAYS = ("--trust-model", "always")


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, alice: GpgHome) -> Iterator[Engine]:
    made = engine_of(alice, request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def sealed(alice: GpgHome) -> bytes:
    return alice.encrypt(PLAINTEXT, alice.fingerprint)


@pytest.fixture(scope="module")
def long(alice: GpgHome) -> bytes:
    return alice.encrypt(LONG, alice.fingerprint)


def _flipped(message: bytes, at: int) -> bytes:
    at %= len(message)
    return message[:at] + bytes([message[at] ^ 1]) + message[at + 1 :]


def _secret_of(home: GpgHome) -> tuple[str, ...]:
    return ("--pinentry-mode", "loopback", "--passphrase-file", "/dev/null", "--local-user", home.fingerprint)


Maker = Callable[[GpgHome, bytes, bytes], bytes]

# name: (how it is made from Alice's home, a short message and a long one; whether the packets alone give it away)
BAD: dict[str, tuple[Maker, bool]] = {
    "empty": (lambda home, short, long: b"", True),
    "one byte": (lambda home, short, long: short[:1], True),
    "cut in the session key": (lambda home, short, long: short[:10], True),
    "cut between the packets": (lambda home, short, long: short[:96], True),
    "half": (lambda home, short, long: short[: len(short) // 2], True),
    "last byte missing": (lambda home, short, long: short[:-1], True),
    "long, half": (lambda home, short, long: long[: len(long) // 2], True),
    "long, last byte missing": (lambda home, short, long: long[:-1], True),
    "long, first part only": (lambda home, short, long: long[:8192], True),
    "literal only": (lambda home, short, long: home.run("-z", "0", "--store", stdin=PLAINTEXT).stdout, True),
    "compressed only": (lambda home, short, long: home.run("--store", stdin=PLAINTEXT).stdout, True),
    "signed only": (lambda home, short, long: home.run(*_secret_of(home), "--sign", stdin=PLAINTEXT).stdout, True),
    "signature alone": (
        lambda home, short, long: home.run(*_secret_of(home), "--detach-sign", stdin=PLAINTEXT).stdout,
        True,
    ),
    "clear-signed": (
        lambda home, short, long: home.run(*_secret_of(home), "--clearsign", stdin=PLAINTEXT).stdout,
        True,
    ),
    "armored": (lambda home, short, long: home.encrypt(PLAINTEXT, home.fingerprint, options=["--armor"]), True),
    "not OpenPGP": (lambda home, short, long: PLAINTEXT, True),
    "a public key": (lambda home, short, long: home.export(), True),
    "by passphrase": (
        lambda home, short, long: (
            home.run("--pinentry-mode", "loopback", "--passphrase", "guess", "--symmetric", stdin=PLAINTEXT).stdout
        ),
        True,
    ),
    "by passphrase or by key": (
        lambda home, short, long: home.encrypt(
            PLAINTEXT,
            home.fingerprint,
            options=["--pinentry-mode", "loopback", "--passphrase", "guess", "--symmetric"],
        ),
        True,
    ),
    "no integrity protection": (
        lambda home, short, long: home.encrypt(
            PLAINTEXT, home.fingerprint, options=["--rfc2440", "--disable-mdc", "--cipher-algo", "3DES"]
        ),
        True,
    ),
    "garbage behind": (lambda home, short, long: short + b"garbage", True),
    "zeros behind": (lambda home, short, long: short + bytes(64), True),
    "literal behind": (lambda home, short, long: short + home.run("-z", "0", "--store", stdin=b"x").stdout, True),
    "literal in front": (lambda home, short, long: home.run("-z", "0", "--store", stdin=b"x").stdout + short, True),
    "two messages": (lambda home, short, long: short + short, True),
    "long, two messages": (lambda home, short, long: long + long, True),
    "session key alone": (lambda home, short, long: short[: 2 + short[1]], True),
    "data alone": (lambda home, short, long: short[2 + short[1] :], True),
    "flipped in the session key": (lambda home, short, long: _flipped(short, 60), False),
    "flipped at the data's beginning": (lambda home, short, long: _flipped(short, 2 + short[1] + 8), False),
    "flipped in the data": (lambda home, short, long: _flipped(short, -30), False),
    "flipped in the check": (lambda home, short, long: _flipped(short, -1), False),
    "long, flipped in the middle": (lambda home, short, long: _flipped(long, 15_000), False),
    "long, flipped in the check": (lambda home, short, long: _flipped(long, -1), False),
    "nothing inside": (lambda home, short, long: home.encrypt(b"", home.fingerprint), False),
    "a message in a message": (
        # directly inside the other's encryption layer, with no literal packet between them
        lambda home, short, long: home.encrypt(short, home.fingerprint, options=["--no-literal", "-z", "0"]),
        False,
    ),
    "another's session key before our data": (
        lambda home, short, long: long[: 2 + long[1]] + short[2 + short[1] :],
        False,
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_message_does_not_open(name: str, engine: Engine, alice: GpgHome, sealed: bytes, long: bytes) -> None:
    make, by_packets = BAD[name]
    with pytest.raises(FormatError if by_packets else OpenPGPError) as caught:
        engine.decrypt(make(alice, sealed, long))
    assert "kkkk" not in str(caught.value)


# gpg opens these rightly; that no person's passphrase and no armor parser stand in the way is our own rule
INTACT = {"armored", "by passphrase or by key"}


@pytest.mark.parametrize("name", [name for name in BAD if name not in INTACT])
def test_the_predicate_alone_refuses_it_too(name: str, alice: GpgHome, sealed: bytes, long: bytes) -> None:
    message = BAD[name][0](alice, sealed, long)
    options = ["--no-options", "--batch", "--no-tty", "--pinentry-mode=error", f"--homedir={alice.home}", "--decrypt"]
    done = process.run(
        find_program(alice.env), options, env=alice.env, stdin=SecretBytes(message), limit=1 << 20, timeout=15
    )
    assert not Status.parse(done.status).accepts_decryption(returncode=done.returncode, length=len(done.stdout))


def test_the_predicate_accepts_the_good_ones(engine: Engine, alice: GpgHome, sealed: bytes, long: bytes) -> None:
    assert engine.decrypt(sealed).plaintext.reveal() == PLAINTEXT
    assert engine.decrypt(long).plaintext.reveal() == LONG
    more = [["--compress-algo", "bzip2"], ["--textmode"]] if engine.name == "gnupg" else []
    for options in (["-z", "0"], ["--compress-algo", "zip"], ["--compress-algo", "zlib"], *more):
        assert (
            engine.decrypt(alice.encrypt(PLAINTEXT, alice.fingerprint, options=options)).plaintext.reveal() == PLAINTEXT
        )
    # signed as well: the signature proves nothing to us, and takes nothing away
    both = alice.run(
        *ALWAYS, *_secret_of(alice), "-r", alice.fingerprint, "--sign", "--encrypt", stdin=PLAINTEXT
    ).stdout
    assert engine.decrypt(both).plaintext.reveal() == PLAINTEXT


def test_every_truncation_is_told_without_starting_gpg(engine: Engine, sealed: bytes, long: bytes) -> None:
    for message in (sealed, long):
        for length in {*range(min(len(message), 400)), *range(0, len(message), 997), len(message) - 1}:
            with pytest.raises(FormatError):
                engine.decrypt(message[:length])


def test_a_hidden_recipient_opens_and_is_told(engine: Engine, alice: GpgHome) -> None:
    opened = engine.decrypt(alice.encrypt(PLAINTEXT, options=["--hidden-recipient", alice.fingerprint]))
    assert (opened.plaintext.reveal(), opened.recipients) == (PLAINTEXT, (HIDDEN,))


def test_an_extra_recipient_is_told(engine: Engine, alice: GpgHome, bob: GpgHome) -> None:
    home = GpgHome.make()
    try:
        home.import_keys(alice.export() + bob.export())
        opened = engine.decrypt(home.encrypt(PLAINTEXT, alice.fingerprint, bob.fingerprint))
    finally:
        home.close()
    assert opened.recipients == tuple(key[-16:] for key in (*alice.encryption_subkeys(), *bob.encryption_subkeys()))


@pytest.mark.parametrize(
    "name",
    ["x\n[GNUPG:] DECRYPTION_OKAY", "\n[GNUPG:] GOODMDC\n[GNUPG:] END_DECRYPTION\n", "\r\n[GNUPG:] BADMDC", "\x1b[2J"],
)
def test_a_file_name_inside_cannot_speak_as_gpg(engine: Engine, alice: GpgHome, name: str) -> None:
    """CVE-2018-12020: the embedded name could forge status lines."""
    named = ["--set-filename", name]
    assert engine.decrypt(alice.encrypt(PLAINTEXT, alice.fingerprint, options=named)).plaintext.reveal() == PLAINTEXT
    broken = _flipped(alice.encrypt(PLAINTEXT, alice.fingerprint, options=named), -1)
    with pytest.raises(OpenPGPError):
        engine.decrypt(broken)


@pytest.fixture(scope="module")
def bomb(alice: GpgHome) -> Callable[[str], bytes]:
    """400 million zeros, compressed by this method and sealed to Alice."""

    @functools.cache
    def make(method: str) -> bytes:
        arguments = ["gpg", "--no-options", "--homedir", str(alice.home), "--batch", "--compress-algo", method, *ALWAYS]
        making = subprocess.Popen(
            [*arguments, "-r", alice.fingerprint, "--encrypt"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=alice.env,
        )
        assert making.stdin is not None
        assert making.stdout is not None
        zeros = bytes(1_000_000)
        with ThreadPoolExecutor(1) as threads:
            reading = threads.submit(making.stdout.read)
            with making.stdin:
                for _ in range(400):
                    making.stdin.write(zeros)
            made = reading.result()
        making.stdout.close()
        assert making.wait() == 0
        return made

    return make


@pytest.mark.parametrize("limit", [4096, 20_000_000, 67_108_864])
def test_400_megabytes_out_of_little_stop_at_the_limit(
    engine: Engine, bomb: Callable[[str], bytes], limit: int
) -> None:
    """And before the time limit: gpg is ended as soon as it has written one byte too many."""
    message = bomb("bzip2" if engine.name == "gnupg" else "zlib")
    assert len(message) < 600_000
    ceiling = limit if engine.name == "gnupg" else min(limit, 25 * 1024 * 1024)
    with pytest.raises(OpenPGPError, match=f"more than {ceiling} bytes"):
        engine.decrypt(message, limit=limit)
