"""A store's whole life at random, beside somebody who writes into its directory: what comes out is right, or an error.

The model remembers every file that was ever written, and what it means. Whatever is done to the files, a look-up gives
what the file that lies there now means, or one of our errors; never another value, and no exception of anybody else's.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.keystore.clocks import HandClock

from strongroom.caching.limits import Limits
from strongroom.errors import StrongroomError
from strongroom.keystore.backup import create_backup
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.lifecycle import Lifecycle
from strongroom.keystore.making import RandomMaker
from strongroom.keystore.opening import open_store
from strongroom.keystore.restoring import restore_backup
from strongroom.model.dooming import expired
from strongroom.model.keyset import Keyset
from strongroom.model.names import ID_SIZE, KeyId, StoreId
from strongroom.model.states import Operation, permits
from strongroom.sealing.header import Header
from strongroom.sealing.header_codec import encode_header
from strongroom.sealing.root import Root
from strongroom.sealing.slots import DevelopmentSlot
from strongroom.stores import rotation
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.sealed import SealedStore
from strongroom.stores.seen import FINAL
from strongroom.stores.witness import open_witness

SECRETS, BOXES = ("pw", "mail/pw"), ("box", "other-box")
DAY = 86_400

every_name = st.sampled_from(SECRETS + BOXES)
numbers = st.integers(1, 4)


@dataclass(frozen=True)
class Genuine:
    """What a file means that the store itself wrote."""

    name: str
    keyset: Keyset
    values: dict[int, bytes]
    root: int


class WholeLife(RuleBasedStateMachine):
    """`fresh` is, by name, the file that was written or accepted last: only that one may protect or be built upon."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="sr-life-"))
        self.clock = HandClock()
        self.root = Root.generate(StoreId(os.urandom(ID_SIZE)))
        self.header = Header.create(
            self.root, slots=[DevelopmentSlot.create(self.root)], now=self.clock.now(), propagation=DAY
        )
        store = DirectoryStore.create(self.base / "store")
        store.write_header(encode_header(self.header, self.root), replaces=None)
        store.close()
        self.written: dict[bytes, Genuine] = {}
        self.fresh: dict[str, bytes] = {}
        self.final: dict[str, set[KeyId]] = {}
        self.branches: list[dict[str, bytes]] = []
        self.tokens: list[tuple[str, bytes, bytes]] = []
        self.count = 0
        self.headers = [self.header_file.read_bytes()]
        self.backups: list[tuple[Path, int, dict[str, Genuine]]] = []
        self.open()

    def teardown(self) -> None:
        self.keystore.close()
        shutil.rmtree(self.base)

    def open(self) -> None:
        directory = self.base / "store"
        witness = open_witness(self.root.store, directory, setting=self.base / "witness")
        sealed = SealedStore(DirectoryStore(directory), self.root, self.header, witness=witness)
        self.keystore = KeyStore(sealed, clock=self.clock, limits=Limits(recheck=0, grace=0), base=directory)
        self.life = Lifecycle(sealed, clock=self.clock, maker=RandomMaker())

    @property
    def header_file(self) -> Path:
        return self.base / "store" / "store.json"

    @property
    def header_is_current(self) -> bool:
        return self.header_file.read_bytes() == self.headers[-1]

    # -- the files ----------------------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        return self.base / "store" / "keysets" / f"{name}.json"

    def lies(self, name: str) -> bytes | None:
        path = self.path(name)
        return path.read_bytes() if path.exists() else None

    def put(self, name: str, raw: bytes | None) -> None:
        """Another file in the place, as git and attackers put it there; None: none."""
        path = self.path(name)
        if raw is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        new.write_bytes(raw)
        new.replace(path)

    def genuine(self, name: str) -> Genuine | None:
        """What the file that lies there means in this place; None for one that nobody of ours wrote for it."""
        found = self.written.get(self.lies(name) or b"")
        return found if found is not None and found.name == name else None

    # -- what the owners do -------------------------------------------------------------------------------------------

    def write(self, name: str, act: Callable[[], Keyset], value: bytes | None = None) -> None:
        """An act that writes one record, or fails with an error of ours and writes none."""
        before, meant = self.lies(name), self.genuine(name)
        try:
            keyset = act()
        except StrongroomError:
            assert self.lies(name) == before
            return
        # nothing is ever built upon a file that is older, foreign or gone, or under a header of yesterday
        assert before == self.fresh.get(name)
        assert self.header_is_current or self.lies(name) == before  # a policy that is so already is not written again
        values = {} if meant is None else dict(meant.values)
        if value is not None:
            values[len(keyset.versions)] = value
        raw = self.lies(name)
        assert raw is not None
        self.written[raw] = Genuine(name, keyset, values, self.root.number)
        self.fresh[name] = raw
        self.final.setdefault(name, set()).update(v.key_id for v in keyset.versions if v.state in FINAL)

    def value(self) -> bytes:
        self.count += 1
        return b"value %d" % self.count

    @initialize()
    def found(self) -> None:
        for name in SECRETS + BOXES:
            self.create(name)

    @rule(name=every_name)
    def create(self, name: str) -> None:
        if name in BOXES:
            self.write(name, lambda: self.keystore.create(name, "fernet"))
            return
        value = self.value()
        self.write(name, lambda: self.keystore.import_key(name, value, "secret"), value)

    @rule(name=every_name, now=st.booleans())
    def rotate(self, name: str, now: bool) -> None:
        value = None if name in BOXES else self.value()
        self.write(name, lambda: self.keystore.rotate(name, now=now, value=value), value)

    @rule(name=every_name, number=numbers, verb=st.sampled_from(["promote", "resume", "suspend", "deactivate"]))
    def move(self, name: str, number: int, verb: str) -> None:
        said = {} if verb in {"promote", "resume"} else {"reason": "at random"}
        self.write(name, lambda: getattr(self.keystore, verb)(name, number, **said))

    @rule(name=every_name, number=numbers)
    def compromise(self, name: str, number: int) -> None:
        meant = self.genuine(name)
        primary = None if meant is None else meant.keyset.primary_at(self.clock.now())
        replaced = name in SECRETS and primary is not None and primary.number == number
        value = self.value() if replaced else None
        self.write(name, lambda: self.keystore.compromise(name, number, reason="at random", value=value), value)

    @rule(name=every_name, number=numbers, whole=st.booleans(), wait=st.integers(6, 31))
    def doom(self, name: str, number: int, whole: bool, wait: int) -> None:
        self.write(name, lambda: self.life.doom(name, None if whole else number, wait_s=wait * DAY, reason="at random"))

    @rule(name=every_name, number=numbers)
    def spare(self, name: str, number: int) -> None:
        self.write(name, lambda: self.life.spare(name, number))

    @rule(name=every_name)
    def destroy(self, name: str) -> None:
        meant = self.genuine(name)
        due = () if meant is None else expired(meant.keyset, self.clock.now())
        if due:
            self.write(name, lambda: self.life.destroy(name, due))

    @rule(name=every_name, allow=st.sampled_from(["none", "process"]), recipient=st.sampled_from(["none", "20d"]))
    def policy(self, name: str, allow: str, recipient: str) -> None:
        if self.fresh.get(name) == self.lies(name):
            self.write(name, lambda: self.keystore.set_policy(name, allow=allow, recipient=recipient))

    @rule(seconds=st.sampled_from([1, DAY - 1, DAY, 8 * DAY, 31 * DAY]))
    def time_passes(self, seconds: int) -> None:
        self.clock.pass_time(seconds)

    @rule()
    def restart(self) -> None:
        self.keystore.close()
        self.open()

    @rule(name=every_name)
    def accept(self, name: str) -> None:
        """A person says that the record that lies here is right: then it counts, but nothing final comes back."""
        meant = self.genuine(name)
        if meant is None or meant.root != self.root.number or not self.header_is_current:
            return
        self.keystore.accept_witness(name)
        raw = self.lies(name)
        assert raw is not None
        self.fresh[name] = raw

    @rule()
    def branch(self) -> None:
        names = SECRETS + BOXES
        self.branches.append({name: raw for name in names if (raw := self.lies(name)) is not None})

    @rule(data=st.data())
    def checkout(self, data: st.DataObject) -> None:
        if self.branches:
            chosen = data.draw(st.sampled_from(range(len(self.branches))))
            for name in SECRETS + BOXES:
                self.put(name, self.branches[chosen].get(name))

    @rule()
    def rotate_the_root(self) -> None:
        """All records go under a new root, or none: one that is not as it was seen keeps all of them."""
        names = SECRETS + BOXES
        before = {name: self.lies(name) for name in names}
        sealed, new = self.keystore.sealed, Root.generate(self.root.store, number=self.root.number + 1)
        held = sealed.header
        try:
            rotation.begin(sealed, None, new, seen=held, base=held, root_file=None)
            rotation.finish(sealed, None)
        except StrongroomError:
            assert {name: self.lies(name) for name in names} == before
            return
        assert {name for name, raw in before.items() if raw is not None and raw != self.fresh.get(name)} == set()
        assert {name for name, raw in self.fresh.items() if before[name] is None} == set()
        self.root, self.header = new, sealed.header
        self.headers.append(self.header_file.read_bytes())
        for name, old in before.items():
            raw = self.lies(name)
            if old is not None and raw is not None:
                meant = self.written[old]
                self.written[raw] = Genuine(name, meant.keyset, meant.values, new.number)
                self.fresh[name] = raw

    @rule()
    def back_up(self) -> None:
        path = self.base / f"{len(self.backups)}.backup"
        found = {name: self.genuine(name) for name in SECRETS + BOXES if self.lies(name) is not None}
        try:
            create_backup(self.keystore, path)
        except StrongroomError:
            assert not path.exists()
            return
        meant = {name: each for name, each in found.items() if each is not None}
        assert set(meant) == set(found)
        self.backups.append((path, self.root.number, meant))

    @rule(data=st.data())
    def restore_a_backup(self, data: st.DataObject) -> None:
        """On an empty host: what was there when it was made."""
        if not self.backups:
            return
        path, root, meant = data.draw(st.sampled_from(self.backups))
        host = self.base / "host"
        host.mkdir()
        environ = {"STRONGROOM_DEVELOPMENT": "1", "STRONGROOM_STATE": str(host / "state")}
        restore_backup(path, host / "store", environ=environ)
        with open_store(host / "store", environ=environ, clock=self.clock) as restored:
            assert set(restored.names()) == set(meant)
            assert restored.sealed.root.number == root
            for opened in restored.sealed.load_all():
                was = meant[opened.keyset.name]
                for version in opened.keyset.versions:
                    if version.sealed is not None and was.values:
                        assert opened.material(version.number).reveal().startswith(was.values[version.number])
        shutil.rmtree(host)

    # -- what the attacker does ---------------------------------------------------------------------------------------

    @rule(a=every_name, b=every_name)
    def swap(self, a: str, b: str) -> None:
        first, second = self.lies(a), self.lies(b)
        self.put(a, second)
        self.put(b, first)

    @rule(name=every_name, data=st.data())
    def replay(self, name: str, data: st.DataObject) -> None:
        files = list(self.written)
        if files:
            self.put(name, files[data.draw(st.sampled_from(range(len(files))))])

    @rule(name=every_name, data=st.data())
    def roll_back(self, name: str, data: st.DataObject) -> None:
        """An older file of this very keyset: what it says of states may be outdated."""
        files = [raw for raw, meant in self.written.items() if meant.name == name]
        self.put(name, files[data.draw(st.sampled_from(range(len(files))))])

    @rule(name=st.sampled_from(SECRETS), number=st.integers(1, 2))
    def undo_a_compromise(self, name: str, number: int) -> None:
        """Somebody who has a stolen version wants it used again."""
        self.restore(name)
        before = self.lies(name)
        self.compromise(name, number)
        self.put(name, before)

    @rule(name=every_name)
    def restore(self, name: str) -> None:
        """What was written last comes back: git checkout, or an attacker who thinks better of it."""
        self.put(name, self.fresh.get(name))

    @rule(name=every_name, at=st.integers(0, 4000), bit=st.integers(0, 7))
    def flip(self, name: str, at: int, bit: int) -> None:
        raw = self.lies(name)
        if raw:
            changed = bytearray(raw)
            changed[at % len(raw)] ^= 1 << bit
            self.put(name, bytes(changed))

    @rule(data=st.data())
    def roll_back_the_header(self, data: st.DataObject) -> None:
        """An older root is the newest again, as far as the file says."""
        self.header_file.write_bytes(data.draw(st.sampled_from(self.headers)))

    @rule()
    def bring_back_the_header(self) -> None:
        self.header_file.write_bytes(self.headers[-1])

    @rule(name=every_name)
    def delete(self, name: str) -> None:
        self.put(name, None)

    # -- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def a_look_up_gives_what_the_file_means_or_an_error(self) -> None:
        for name in SECRETS:
            meant = self.genuine(name)
            for number in range(1, 6):
                try:
                    got = self.keystore.secret(name).reveal(number)
                except StrongroomError:
                    assert not self.must_open(name, number)
                    continue
                assert meant is not None
                assert got == meant.values[number]
                # what is under a root of yesterday opens no more, whoever puts it back
                assert meant.root == self.root.number or not self.header_is_current
                assert meant.keyset.version(number).key_id not in self.final[name]

    def must_open(self, name: str, number: int) -> bool:
        """Whether nothing keeps a version from being read: an error would then be a loss."""
        meant = self.genuine(name)
        if meant is None or not 0 < number < meant.keyset.next_number:
            return False
        if meant.root != self.root.number or not self.header_is_current:
            return False  # what is under an older root counts only while a rotation lists it
        version, policy, now = meant.keyset.version(number), meant.keyset.policy, self.clock.now()
        lapsed = policy.recipient is not None and now >= (version.promote_at or version.created) + 20 * DAY * 1000
        reads = permits(version.state_at(now), Operation.PROCESS, primary=False)
        return reads and not lapsed and policy.permits(Operation.PROCESS) and version.key_id not in self.final[name]

    @invariant()
    def only_the_newest_record_protects(self) -> None:
        for name in BOXES:
            data = b"data %d" % len(self.tokens)
            try:
                token = self.keystore.fernet(name).encrypt(data)
            except StrongroomError:
                continue
            assert self.genuine(name) is not None
            assert self.lies(name) == self.fresh[name]
            assert self.header_is_current
            if len(self.tokens) < 20:
                self.tokens.append((name, token, data))

    @invariant()
    def a_token_opens_to_its_data_and_in_its_keyset_or_not_at_all(self) -> None:
        for name in BOXES:
            for made, token, data in self.tokens:
                try:
                    opened = self.keystore.fernet(name).decrypt(token)
                except StrongroomError:
                    continue
                assert (name, opened) == (made, data)


class TestAWholeLife(WholeLife.TestCase):  # type: ignore[name-defined,misc]  # hypothesis makes it as it runs
    settings = settings(max_examples=12, stateful_step_count=25)


@pytest.mark.slow
class TestALongerLife(WholeLife.TestCase):  # type: ignore[name-defined,misc]  # as above
    settings = settings(max_examples=120, stateful_step_count=50)
