"""Derivations are the RFCs', and their costs are bounded before they are paid."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cryptography_vectors
import pytest

from strongroom.errors import FormatError, PolicyError
from strongroom.primitives.kdf import argon2id, check_argon2id, hkdf_sha256
from strongroom.primitives.secret import SecretBytes
from tests.support.called import called

KDF = Path(cryptography_vectors.__file__).parent / "KDF"


def hkdf_vectors() -> list[dict[str, str]]:
    text = (KDF / "rfc-5869-HKDF-SHA256.txt").read_text()
    return [dict(re.findall(r"^(\w+) *= ?(.*)$", block, re.MULTILINE)) for block in text.split("COUNT = ")[1:]]


@pytest.mark.parametrize("vector", hkdf_vectors(), ids=lambda vector: vector["L"])
def test_hkdf_gives_the_values_of_rfc_5869(vector: dict[str, str]) -> None:
    derived = hkdf_sha256(
        SecretBytes(bytes.fromhex(vector["IKM"])),
        salt=bytes.fromhex(vector["salt"]),
        info=bytes.fromhex(vector["info"]),
        length=int(vector["L"]),
    )
    assert derived.reveal().hex() == vector["OKM"]


def test_all_vectors_of_rfc_5869_for_sha_256_were_there() -> None:
    assert len(hkdf_vectors()) == 3


def test_argon2id_gives_the_reference_value() -> None:
    # github.com/P-H-C/phc-winner-argon2, src/test.c: version 0x13, t = 2, m = 2^16, p = 1
    derived = argon2id(SecretBytes(b"password"), salt=b"somesalt", memory_kib=65536, iterations=2, lanes=1)
    assert derived.reveal().hex() == "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7"


@pytest.mark.parametrize(
    "costs",
    [
        (1_048_577, 1, 1),
        (2**32, 1, 1),
        (65_536, 11, 1),
        (65_536, 2**32, 1),
        (65_536, 1, 17),
        (65_536, 0, 1),
        (65_536, 1, 0),
        (7, 1, 1),
        (127, 1, 16),
        (-1, 1, 1),
    ],
    ids=str,
)
def test_costs_out_of_bounds_are_refused_before_they_are_paid(costs: tuple[int, int, int]) -> None:
    memory, iterations, lanes = costs
    with called() as names, pytest.raises(PolicyError):
        check_argon2id(memory_kib=memory, iterations=iterations, lanes=lanes)
    assert "derive" not in names
    with called() as names, pytest.raises(PolicyError):
        argon2id(SecretBytes(b"x"), salt=bytes(16), memory_kib=memory, iterations=iterations, lanes=lanes)
    assert "derive" not in names


def test_the_bounds_themselves_are_allowed() -> None:
    check_argon2id(memory_kib=1_048_576, iterations=10, lanes=16)
    check_argon2id(memory_kib=8, iterations=1, lanes=1)


def test_a_short_salt_is_an_error_of_ours() -> None:
    with pytest.raises(FormatError):
        argon2id(SecretBytes(b"x"), salt=bytes(7), memory_kib=64, iterations=1, lanes=1)


def test_memory_that_is_not_there_is_an_error_of_ours() -> None:
    script = (
        "import resource\n"
        "from strongroom.errors import UnsupportedError\n"
        "from strongroom.primitives.kdf import argon2id\n"
        "from strongroom.primitives.secret import SecretBytes\n"
        "resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))\n"
        "try:\n"
        "    argon2id(SecretBytes(b'x'), salt=bytes(16), memory_kib=1 << 20, iterations=1, lanes=1)\n"
        "except UnsupportedError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "1048576 KiB" in run.stdout
