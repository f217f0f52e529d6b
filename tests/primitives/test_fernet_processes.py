"""Threads, forks, and the five lines of a Django site whose import alone was changed."""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import urlsafe_b64decode
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import cryptography.fernet as library
import pytest

from strongroom.fernet import Fernet, MultiFernet

KEY = library.Fernet.generate_key()


def test_eight_threads_share_one_key() -> None:
    box, theirs = Fernet(KEY), library.Fernet(KEY)
    multi = MultiFernet([Fernet(Fernet.generate_key()), box])

    def work(seed: int) -> list[bytes]:
        ivs = []
        for step in range(150):
            # beyond 2 KiB the library lets the GIL go in the middle of a call
            data = bytes([seed]) * ((step * 53 + seed) % 9000)
            token = box.encrypt(data)
            assert theirs.decrypt(token) == box.decrypt(token) == multi.decrypt(token) == data
            assert multi.decrypt(multi.rotate_many([token])[0]) == data
            ivs.append(urlsafe_b64decode(token)[9:25])
        return ivs

    with ThreadPoolExecutor(8) as pool:
        ivs = [iv for made in pool.map(work, range(8)) for iv in made]
    assert len(set(ivs)) == len(ivs) == 1200


def test_ivs_neither_repeat_nor_lean() -> None:
    """20,000 IVs of one context and one message: all differ, and each bit is set in about a half of them."""
    box = Fernet(KEY)
    count = 20_000
    ivs = [int.from_bytes(urlsafe_b64decode(box.encrypt_at_time(b"the same", 0))[9:25], "big") for _ in range(count)]
    assert len(set(ivs)) == count
    # 6.5 standard deviations of a binomial: a fair source fails here once in 10^8 runs (128 bits, two sides)
    bound = 6.5 * (count**0.5) / 2
    for bit in range(128):
        assert abs(sum(iv >> bit & 1 for iv in ivs) - count / 2) < bound
    # nor does one tell of the next: the bits in which neighbours differ are as many as those in which they do not
    differing = sum((one ^ two).bit_count() for one, two in pairwise(ivs))
    pairs = 128 * (count - 1)
    assert abs(differing - pairs / 2) < 6.5 * (pairs**0.5) / 2


_FORKS = """
import os, sys
from base64 import urlsafe_b64decode
import cryptography.fernet as library
from strongroom.fernet import Fernet, MultiFernet
key = sys.argv[1].encode()
box = Fernet(key); multi = MultiFernet([box, Fernet(Fernet.generate_key())]); theirs = library.Fernet(key)
old = box.encrypt(b"made before"); large = box.encrypt(bytes(9000))
box.decrypt(old); box.decrypt(large); multi.rotate_many([old])

def ivs():
    tokens = [make() for _ in range(50) for make in (
        lambda: box.encrypt(b"same"), lambda: box.encrypt(bytes(9000)),
        lambda: multi.rotate_many([old])[0], lambda: multi.rotate(old))]
    assert {theirs.decrypt(token)[:4] for token in tokens} == {b"same", bytes(4), b"made"}
    assert box.decrypt(old) == multi.decrypt(old) == b"made before" and box.decrypt(large) == bytes(9000)
    return [urlsafe_b64decode(token)[9:25].hex() for token in tokens]

pipes = []
for _ in range(4):
    read, write = os.pipe()
    assert box._encryptors and box._decryptors
    if (child := os.fork()) == 0:
        assert not box._encryptors and not box._decryptors  # the pools are dropped
        grandchild = os.fork()
        with os.fdopen(write, "w") as out:
            print(*ivs(), sep="\\n", file=out, flush=True)
        if grandchild:
            assert os.waitpid(grandchild, 0)[1] == 0
        os._exit(0)
    os.close(write)
    pipes.append((child, read))
seen = ivs()
for child, read in pipes:
    with os.fdopen(read) as source:
        seen += source.read().split()
    assert os.waitpid(child, 0)[1] == 0
print(len(seen), len(set(seen)))
"""


def test_children_make_other_ivs_and_go_on_working() -> None:
    run = subprocess.run([sys.executable, "-c", _FORKS, KEY.decode()], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [str(9 * 200)] * 2
    assert run.stderr == ""


_SETTINGS = """
SECRET_KEY = "for this test alone"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
USE_TZ = True
"""
_PROGRAM = """from {module} import Fernet
from django.core.cache import cache
key = Fernet.generate_key(); f = Fernet(key)
token = f.encrypt(b"my deep dark secret")
cache.set('my_token', token)
"""
_AFTERWARDS = """
import sys
assert Fernet.__module__.startswith(sys.argv[1].partition(".")[0]), Fernet.__module__
print(f.decrypt(cache.get("my_token"), ttl=60).decode())
"""


@pytest.mark.parametrize("module", ["cryptography.fernet", "strongroom.fernet"])
def test_a_django_program_runs_with_only_its_import_changed(tmp_path: Path, module: str) -> None:
    pytest.importorskip("django", reason="the extra 'django' is not installed")
    (tmp_path / "site_settings.py").write_text(_SETTINGS, "utf-8")
    (tmp_path / "program.py").write_text(_PROGRAM.format(module=module) + _AFTERWARDS, "utf-8")
    run = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), module],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "site_settings"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "my deep dark secret\n", "")


_SMALL = {"hmac", "hashlib", "_hashlib", "_blake2", "weakref", "_weakrefset", "bisect", "_bisect"}


def test_the_import_brings_little_beside_cryptographys_own() -> None:
    script = (
        "import sys, cryptography.fernet\n"
        "before = set(sys.modules)\n"
        "import strongroom.fernet\n"
        "print(*(name for name in set(sys.modules) - before if not name.startswith(('strongroom', 'pybase64'))))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) <= _SMALL
