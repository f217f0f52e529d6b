"""A sealed store of 10,000 keysets: open it and use one, open and verify all, change one; and RSA keys out of it.

python -m benchmarks.store
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)
from tests.support.gpg import GpgHome

from benchmarks._timing import Row, Timing, main, measure
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_memory, open_store
from strongroom.openpgp.gnupg import GnuPG
from strongroom.primitives.rsa import load_sealed
from strongroom.primitives.secret import SecretBytes

KEYSETS = 10_000


def rows() -> list[Row]:
    """The store rows and the RSA row of DESIGN section 9."""
    return [*_store(), *_rsa()]


def made_store(base: Path, keysets: int) -> tuple[Path, dict[str, str]]:
    """A development store of so many keysets, and the environment that opens it.

    So everything is measured but the one gpg call, which is measured beside it.
    """
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(base),
        "STRONGROOM_DEVELOPMENT": "1",
        "STRONGROOM_STATE": str(base / "state"),
    }
    place = base / "store"
    found(place, development=True, environ=environ)
    with open_store(place, environ=environ) as keystore:
        for number in range(keysets):
            keystore.create(f"keyset-{number:05}", "fernet")
    return place, environ


def _store() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="sr-bench-", dir="/tmp") as directory:
        base = Path(directory)
        place, environ = made_store(base, KEYSETS)

        def open_and_use_one() -> None:
            with open_store(place, environ=environ) as fresh:
                fresh.fernet("keyset-05000")

        def open_and_verify_all() -> None:
            with open_store(place, environ=environ) as fresh:
                for opened in fresh.source.load_all():
                    opened.material(1)

        with open_store(place, environ=environ) as warm:

            def change_one() -> None:
                warm.rotate("keyset-00001", now=True)

            def sync_as_much() -> None:
                # what a change of one small file costs the disk: a new file, its directory
                fresh = base / "probe.new"
                descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.write(descriptor, b"x" * 1500)
                os.fsync(descriptor)
                os.close(descriptor)
                fresh.rename(base / "probe")
                parent = os.open(base, os.O_RDONLY)
                os.fsync(parent)
                os.close(parent)

            change, sync = measure([change_one, sync_as_much], number=1, rounds=25)
        one, verify = measure([open_and_use_one, open_and_verify_all], number=1, rounds=7)
        gpg = _gpg_decrypt()
    return [
        Row("open 10,000, use one: beside its one gpg call", "1 ms", one, _fixed(1e-3), goal=1, at_most=True),
        Row("open 10,000 and verify all: beside its gpg call", "250 ms", verify, _fixed(0.25), goal=1, at_most=True),
        Row(
            "open 10,000 and verify all", "gpg a file (measured once, x 10,000)", verify, _times(gpg, KEYSETS), goal=500
        ),
        Row("change one of 10,000: beside fsync", "1 ms", _less(change, sync), _fixed(1e-3), goal=1, at_most=True),
    ]


def _gpg_decrypt() -> Timing:
    """One `gpg --decrypt` of a small file, RSA-3072, the agent warm."""
    home = GpgHome.user("Bench <bench@example.org>", kind="rsa3072")
    try:
        engine = GnuPG(home=home.home, environ=home.env)
        certificate = engine.certificate(home.fingerprint)
        sealed = engine.encrypt(SecretBytes(b"x" * 44), to=[certificate], filename="x")
        [timing] = measure([lambda: engine.decrypt(sealed)], number=5, rounds=5)
        engine.close()
    finally:
        home.close()
    return timing


def _rsa() -> list[Row]:
    with open_memory() as keystore:
        keystore.create("jwt-signing", "rsa-3072", purpose="sign")
        material = keystore.source.load("jwt-signing").material(1)
        key = keystore.private_key("jwt-signing")
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[call-arg,union-attr]  # it is RSA
        der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())  # type: ignore[call-arg,union-attr]  # it is RSA
        ours, unvalidated, from_store = measure(
            [
                lambda: load_sealed(material),
                lambda: load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True),
                lambda: keystore.private_key("jwt-signing"),
            ]
        )
        [validated] = measure([lambda: load_pem_private_key(pem, None)], number=1, rounds=5)
    return [
        Row("RSA-3072 private key, from the open store", "validated PEM load", from_store, validated, goal=2000),
        Row("RSA-3072 private key, from the open store", "15 µs", from_store, _fixed(15e-6), goal=1, at_most=True),
        Row("RSA-3072 private key, its load alone", "unvalidated DER load", ours, unvalidated, goal=4, at_most=True),
    ]


def _fixed(seconds: float) -> Timing:
    return Timing(seconds, seconds)


def _times(timing: Timing, factor: int) -> Timing:
    return Timing(timing.least * factor, timing.median * factor)


def _less(timing: Timing, other: Timing) -> Timing:
    return Timing(max(timing.least - other.least, 1e-9), max(timing.median - other.median, 1e-9))


if __name__ == "__main__":
    main(rows)
