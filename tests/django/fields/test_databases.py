"""The tests of this directory, of re-encryption and of EncryptColumn, once more on PostgreSQL and on MariaDB."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.databases import SERVERS

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
OTHERS = (
    "test_reencrypt.py",
    "test_reencrypt_files.py",
    "test_reencrypt_processes.py",
    "test_encrypt_column.py",
    "test_unique_index.py",
)


@pytest.mark.machine
@pytest.mark.slow
@pytest.mark.parametrize("name", SERVERS)
def test_encrypted_columns_are_the_same_on_every_database(name: str) -> None:
    with SERVERS[name]() as server:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"),
                *("-m", "not slow and not machine", str(HERE)),
                *(str(HERE.parent / name) for name in OTHERS),
            ],
            cwd=ROOT,
            env={**os.environ, "STRONGROOM_TEST_DATABASE": json.dumps(server.settings)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
