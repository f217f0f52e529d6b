"""A store in git, opened with an identity file, and clones of it whose git merges with our driver."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_store
from strongroom.keystore.rooting import rotate_root
from strongroom.model.names import StoreId
from strongroom.primitives.hpke import public_of
from strongroom.sealing.header import Header
from strongroom.sealing.header_codec import decode_header, encode_header
from strongroom.sealing.hpke import HpkeSlot, generate_private
from strongroom.sealing.identities import HpkeIdentity, write_identity
from strongroom.sealing.root import Root
from strongroom.stores.directory import DirectoryStore
from tests.cli.program import Ran, program
from tests.stores.builders import NOW


@dataclass
class Clone:
    """A work tree with a store, and whoever opens it with `identity`; `state` is where the witness is."""

    top: Path
    identity: Path
    state: Path

    @property
    def directory(self) -> Path:
        return self.top / ".strongroom"

    @property
    def environ(self) -> Mapping[str, str]:
        return {**os.environ, "STRONGROOM_IDENTITY_FILE": str(self.identity), "STRONGROOM_STATE": str(self.state)}

    def git(self, *arguments: str, fails: bool = False) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.top, capture_output=True, text=True, check=False, env=self.environ
        )
        assert bool(done.returncode) is fails, (arguments, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def run(self, *argv: str, **more: str) -> Ran:
        return program(*argv, cwd=self.top, env={**self.environ, **more})

    def open(self) -> KeyStore:
        return open_store(self.directory, environ=self.environ)

    def commit(self, message: str = "a change") -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def branch(self, name: str) -> None:
        self.git("switch", "--quiet", "--create", name)

    def switch(self, name: str) -> None:
        """To another branch, which this checkout accepts as it is there: both sides are known to be honest."""
        self.git("switch", "--quiet", name)
        with self.open() as keystore:
            keystore.accept_witness()

    def clone(self, place: Path) -> Clone:
        subprocess.run(["git", "clone", "--quiet", str(self.top), str(place)], check=True)
        made = Clone(top=place, identity=self.identity, state=place.parent / f"{place.name}-state")
        made.git("config", "pull.rebase", "false")
        assert made.run("git-setup").status == 0
        return made

    def rotate_root(self) -> None:
        """A finished rotation of the root: every record under the new one, the old one sealed under it."""
        with self.open() as keystore:
            rotate_root(keystore, environ=self.environ)

    def header(self) -> Header:
        return decode_header(DirectoryStore(self.directory).header()).claims


def new_clone(place: Path) -> Clone:
    """A store with one HPKE slot and the keysets `box` and `columns`, committed, the driver set up."""
    store, private = StoreId(os.urandom(16)), generate_private("x25519")
    root, public = Root.generate(store), public_of("x25519", private)
    identity = HpkeIdentity(name="tests", suite="x25519", public=public, private=private, store=store)
    made = Clone(top=place / "repo", identity=place / "tests.identity", state=place / "state")
    made.top.mkdir(parents=True)
    write_identity(made.identity, identity)
    made.git("init", "--quiet", "--initial-branch=main")
    slot = HpkeSlot.create(root, public, suite="x25519", label="tests")
    header = Header.create(root, slots=(slot,), now=NOW, propagation=86_400)
    DirectoryStore.create(made.directory).write_header(encode_header(header, root), replaces=None)
    with made.open() as keystore:
        keystore.create("box", "fernet")
        keystore.create("columns", "aes256-gcm")
    assert made.run("git-setup").status == 0
    made.commit("a store")
    return made
