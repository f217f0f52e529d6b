"""Two clones that rotate, compromise, merge and restart, and an attacker who puts back and swaps files between them.

A look-up gives the very material that was sealed, or one of our errors; never another value, never a foreign exception.
What a clone has seen compromised stays so there, and no merge loses a version.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from strongroom._encoding import Timestamp
from strongroom.errors import StrongroomError
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId, KeysetName, Revision, draw_key_id
from strongroom.model.states import KeyState
from strongroom.model.types import KeyType, Prefix, Purpose
from strongroom.model.version import Version
from strongroom.primitives.secret import SecretBytes
from strongroom.stores.merging import Lineage, merge_record
from tests.stores.builders import NOW, Checkout, new_keyset

NAMES = (KeysetName("alpha"), KeysetName("beta"))
HOSTS = ("here", "there")
hosts, names = st.sampled_from(HOSTS), st.sampled_from(NAMES)


class TwoClones(RuleBasedStateMachine):
    """`sealed` is the model: what each key id stands for. `old` holds every record that ever lay on a disk."""

    @initialize()
    def found(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
        self.now = NOW
        for host in HOSTS:
            (self.base / host).mkdir()
        first = Checkout(self.base / "here" / "store", state=self.base / "here")
        there = Checkout(self.base / "there" / "store", root=first.root, state=self.base / "there")
        self.clones = {"here": first, "there": there}
        self.sealed: dict[tuple[KeysetName, KeyId], bytes] = {}
        self.dead: dict[str, set[tuple[KeysetName, KeyId]]] = {host: set() for host in HOSTS}
        self.common: dict[KeysetName, bytes] = {}
        self.old: list[bytes] = []
        for name in NAMES:
            raw = os.urandom(32)
            keyset = new_keyset(first.root, name, material=raw)
            self.sealed[name, keyset.versions[0].key_id] = raw
            for checkout in self.clones.values():
                self.common[name] = checkout.put(keyset)

    def teardown(self) -> None:
        shutil.rmtree(getattr(self, "base", Path("/nonexistent")), ignore_errors=True)

    def later(self) -> Timestamp:
        self.now = Timestamp(self.now + 1000)
        return self.now

    def path(self, host: str, name: KeysetName) -> Path:
        return self.clones[host].directory.path_of(name)

    def change(self, host: str, name: KeysetName, new: Keyset, old: Revision) -> None:
        store = self.clones[host].open()  # a restart: each act is another process's
        store.replace(new.as_revision(Revision(old + 1)), replaces=old)
        self.old.append(self.path(host, name).read_bytes())

    def lawful(self, host: str, name: KeysetName) -> Keyset | None:
        try:
            opened = self.clones[host].open().load(name)
        except StrongroomError:
            return None
        return None if opened.hindrance else opened.keyset

    @rule(host=hosts, name=names, at_once=st.booleans())
    def rotate(self, host: str, name: KeysetName, at_once: bool) -> None:
        keyset = self.lawful(host, name)
        if keyset is None:
            return
        root, raw = self.clones[host].root, os.urandom(32)
        key_id = draw_key_id(keyset.key_ids)
        wrapped = root.seal(SecretBytes(raw), name=name, key_id=key_id, type=KeyType.FERNET, purpose=Purpose.ENCRYPT)
        now = self.later()
        version = Version.added(
            keyset.next_number, key_id, sealed=wrapped, public=None, prefix=Prefix.NONE, now=now
        )  # fmt: skip
        self.sealed[name, key_id] = raw
        new = keyset.replacement(version, now=now) if at_once else keyset.rotation(version, now=now, propagation_s=2)
        self.change(host, name, new, keyset.revision)

    @rule(host=hosts, name=names, pick=st.integers(0, 9))
    def compromise(self, host: str, name: KeysetName, pick: int) -> None:
        keyset = self.lawful(host, name)
        if keyset is None:
            return
        version = keyset.versions[pick % len(keyset.versions)]
        try:
            new = keyset.compromise(version.number, now=self.later(), reason="leaked")
        except StrongroomError:
            return
        self.change(host, name, new, keyset.revision)
        self.dead[host].add((name, version.key_id))

    @rule(host=hosts, name=names)
    def merge(self, host: str, name: KeysetName) -> None:
        """What git does with the driver: ours of this host, theirs of the other one, and where they parted."""
        other = HOSTS[1 - HOSTS.index(host)]
        ours, theirs = self.path(host, name).read_bytes(), self.path(other, name).read_bytes()
        store = self.clones[host].open()
        try:
            merged = merge_record(
                name, self.common[name], ours, theirs, roots=Lineage(store.header, store.root), now=self.later()
            )
        except StrongroomError:
            return
        self.path(host, name).write_bytes(merged.raw)
        self.old.append(merged.raw)
        self.common[name] = theirs
        opened = self.clones[host].open().load(name)
        for raw in (ours, theirs):
            before = Lineage(store.header, store.root).record(raw, name).keyset
            assert before.key_ids <= opened.keyset.key_ids
            assert opened.keyset.revision > before.revision

    @rule(host=hosts, name=names, pick=st.integers(0, 999))
    def put_back(self, host: str, name: KeysetName, pick: int) -> None:
        """The attacker replays a record that was true once, of this keyset or another one."""
        if self.old:
            self.path(host, name).write_bytes(self.old[pick % len(self.old)])

    @rule(host=hosts, name=names, place=st.integers(0, 10_000), mask=st.integers(1, 255))
    def spoil(self, host: str, name: KeysetName, place: int, mask: int) -> None:
        raw = bytearray(self.path(host, name).read_bytes())
        if raw:
            raw[place % len(raw)] ^= mask
            self.path(host, name).write_bytes(raw)

    @rule(host=hosts)
    def accept(self, host: str) -> None:
        """A person looks, and accepts what is there; where a record is none of ours, git brings one back."""
        for name in NAMES:
            try:
                self.clones[host].open().load(name)
            except StrongroomError:
                mine = [raw for raw in self.old if f'"name": "{name}"'.encode() in raw]
                self.path(host, name).write_bytes(mine[-1] if mine else self.common[name])
        self.clones[host].open().accept()

    @invariant()
    def whatever_opens_is_what_was_sealed(self) -> None:
        if not hasattr(self, "clones"):
            return
        for host, checkout in self.clones.items():
            store = checkout.open()
            for name in NAMES:
                try:
                    opened = store.load(name)
                except StrongroomError:
                    continue
                for version in opened.keyset.versions:
                    key = name, version.key_id
                    if version.state is not KeyState.DESTROYED:
                        assert opened.material(version.number).reveal() == self.sealed[key]
                    if key in self.dead[host]:
                        assert version.state is KeyState.COMPROMISED


@pytest.mark.slow
def test_two_clones_and_an_attacker() -> None:
    TwoClones.TestCase.settings = settings(max_examples=60, stateful_step_count=30)
    case = TwoClones.TestCase()
    case.runTest()
