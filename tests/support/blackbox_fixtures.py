"""The two repositories that BlackBox's own scripts wrote, and a reader that does what theirs does."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures" / "blackbox"
REPOSITORIES = ("release-v1.20220610", "master-keyrings-live")
DATA = {"release-v1.20220610": ".blackbox", "master-keyrings-live": "keyrings/live"}
STAYED = ("alice", "bob", "deploy")
LEFT = "carol"
ADDRESSES = {"alice": "alice@example.org", "bob": "bob@example.org", "deploy": "deploy@host.example.org"}


def git(where: Path, *arguments: str | bytes, stdin: bytes = b"") -> bytes:
    """What git says there; a failure is a CalledProcessError with its words."""
    done = subprocess.run(["git", *arguments], cwd=where, input=stdin, capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(f"git {arguments!r} ended with {done.returncode}: {done.stderr!r}")
    return done.stdout


def clone(repository: str, into: Path) -> Path:
    """A work tree of one of the two, with its whole history."""
    git(into.parent, "clone", "--quiet", str(FIXTURES / repository / "repo.bundle"), str(into))
    return into


def secret_key(repository: str, person: str) -> bytes:
    """A test key with no passphrase, made for this and worth nothing."""
    return (FIXTURES / repository / f"{person}.testkey.gpg").read_bytes()


def plaintext_hashes(repository: str) -> dict[str, str]:
    """SHA-256 of each registered file's plaintext."""
    lines = (FIXTURES / repository / "plaintext.sha256").read_text("utf-8").split("\n")
    return {line[66:]: line[:64] for line in lines if line}


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def names_as_the_original_reads_them(root: Path, data: str) -> Iterator[str]:
    """The loop of blackbox_postdeploy, in the shell that it runs in: what it would pass to gpg, name by name."""
    script = 'while IFS= read <&99 -r name; do printf "%s\\0" "$name"; done 99<"$1"'
    done = subprocess.run(
        ["bash", "-c", script, "bash", f"{data}/blackbox-files.txt"],
        cwd=root,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
        capture_output=True,
        check=True,
    )
    for name in done.stdout.split(b"\0")[:-1]:
        yield os.fsdecode(name)
