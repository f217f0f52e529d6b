"""The tests of the Django that is installed: taken out of its source distribution, which pip fetches and we check."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parents[3]
KEPT = ROOT / ".cache" / "django"


def unpacked() -> Path:
    """A directory with Django's `tests/cache` as the package `cache`."""
    version = django.get_version()
    there = KEPT / f"tests-{version}"
    if not (there / "cache" / "tests.py").exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        _unpack(_archive(version), version, there)
    return there


def _archive(version: str) -> Path:
    found = KEPT / f"django-{version}.tar.gz"
    if not found.exists():
        what = ["--no-binary", "django", "--no-deps", "--dest", str(KEPT), f"django=={version}"]
        subprocess.run([sys.executable, "-m", "pip", "-qq", "download", *what], check=True, timeout=300)
    return found


def _unpack(archive: Path, version: str, there: Path) -> None:
    with tarfile.open(archive) as opened:
        told = opened.extractfile(f"django-{version}/PKG-INFO")
        assert told is not None
        assert f"\nVersion: {version}\n".encode() in told.read()
        root = f"django-{version}/tests/"
        for member in opened.getmembers():
            if member.name.startswith(f"{root}cache/") and member.isfile():
                # written by hand, because a filter for `extract` came in the midst of Python 3.11 (PEP 706)
                content, place = opened.extractfile(member), there / member.name.removeprefix(root)
                assert content is not None
                assert ".." not in place.parts
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content.read())
