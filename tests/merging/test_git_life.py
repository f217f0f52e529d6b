"""Two clones in real git, whose branches git merges with our driver, and somebody who puts files back meanwhile.

The model knows what each file that was ever written means, and by rules of its own what git makes of two branches. A
look-up gives the model's value or one of our errors; what the model says must open opens; nothing old protects.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from strongroom._clock import SYSTEM_CLOCK
from strongroom.errors import StrongroomError
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.rooting import rotate_root
from strongroom.model.codec import decode
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeyId, parse_name
from strongroom.primitives.secret import SecretBytes
from tests.merging.scenes import new_clone

SECRETS, BOXES = ("pw", "late"), ("columns",)
NAMES = SECRETS + BOXES
HOSTS = ("here", "there")
BRANCHES = ("main", "side")

# What the model knows of states, and not what the code says of them (DESIGN section 1; docs/how-to/branches.md).
MILD_TO_STERN = ("pre-activation", "active", "deactivated", "suspended", "compromised", "destroyed")
READS = {"pre-activation", "active", "deactivated"}

hosts, names, branches = st.sampled_from(HOSTS), st.sampled_from(NAMES), st.sampled_from(BRANCHES)
numbers = st.integers(1, 3)
verbs = st.sampled_from(["rotate", "rotate now", "promote", "resume", "suspend", "deactivate", "compromise"])
seen_work: Counter[str] = Counter()
"""How often two branches were united, and the root rotated, in one run."""


@dataclass(frozen=True)
class Meant:
    """What a file says: under which root, which revision, the states by key id, and who protects."""

    name: str
    root: bytes
    revision: int
    states: dict[KeyId, str]
    primary: KeyId | None


def meaning(raw: bytes, name: str) -> Meant:
    record = decode(raw, name=parse_name(name))
    keyset = record.keyset
    primary = keyset.primary_at(SYSTEM_CLOCK.now())
    return Meant(
        name,
        record.root,
        keyset.revision,
        {version.key_id: version.state.value for version in keyset.versions},
        None if primary is None else primary.key_id,
    )


def sterner(a: str, b: str) -> str:
    return max(a, b, key=MILD_TO_STERN.index)


class Branches(RuleBasedStateMachine):
    """`newest` is, by host and name, the file that was seen or accepted last; `dead` what a host saw compromised."""

    @initialize()
    def found(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="sr-git-"))
        here = new_clone(self.base)
        with here.open() as keystore:
            first = keystore.import_key("pw", b"value 0", "secret")
        here.commit("pw")
        here.branch("side")
        here.git("switch", "--quiet", "main")
        there = here.clone(self.base / "there")
        there.git("branch", "side", "origin/side")
        self.clones = {"here": here, "there": there}
        self.values: dict[tuple[str, KeyId], bytes] = {("pw", first.versions[0].key_id): b"value 0"}
        self.count = 0
        self.written: dict[bytes, Meant] = {}
        self.newest: dict[str, dict[str, bytes]] = {host: {} for host in HOSTS}
        self.dead: dict[str, set[tuple[str, KeyId]]] = {host: set() for host in HOSTS}
        self.roots = [here.header().newest.id]
        self.root_seen = dict.fromkeys(HOSTS, 1)
        for name in NAMES:
            self.learn("here", name)
        self.look_at_everything()

    def teardown(self) -> None:
        shutil.rmtree(getattr(self, "base", "/nonexistent"), ignore_errors=True)

    # -- what lies there ----------------------------------------------------------------------------------------------

    def path(self, host: str, name: str) -> Path:
        return self.clones[host].directory / "keysets" / f"{name}.json"

    def lies(self, host: str, name: str) -> bytes | None:
        path = self.path(host, name)
        return path.read_bytes() if path.exists() else None

    def meant(self, host: str, name: str) -> Meant | None:
        """What the file there means; None for one that nobody of ours wrote for this place."""
        found = self.written.get(self.lies(host, name) or b"")
        return found if found is not None and found.name == name else None

    def learn(self, host: str, name: str) -> None:
        """A file that the store, or a merge, has just made."""
        raw = self.lies(host, name)
        if raw is not None:
            self.written[raw] = meaning(raw, name)

    def counts(self, host: str, name: str) -> Meant | None:
        """What the file means if it is under the root of the header that lies there, and that is none of yesterday."""
        meant, header = self.meant(host, name), self.clones[host].header()
        behind = header.root < self.root_seen[host]
        return meant if meant is not None and meant.root == header.newest.id and not behind else None

    def fresh(self, host: str, name: str) -> bool:
        """Whether the host has seen nothing of the keyset that is missing here."""
        raw, before, meant = self.lies(host, name), self.newest[host].get(name), self.meant(host, name)
        if meant is None or before is None or raw == before:
            return meant is not None
        known = self.written[before]
        return meant.revision > known.revision and known.states.keys() <= meant.states.keys()

    def git(self, host: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        clone = self.clones[host]
        return subprocess.run(
            ["git", *arguments], cwd=clone.top, capture_output=True, text=True, check=False, env=clone.environ
        )

    def blob(self, host: str, commit: str, name: str) -> bytes | None:
        place = f"{commit}:.strongroom/keysets/{name}.json"
        done = subprocess.run(["git", "cat-file", "blob", place], cwd=self.clones[host].top, capture_output=True)
        return done.stdout if done.returncode == 0 else None

    @contextmanager
    def opened(self, host: str) -> Iterator[KeyStore | None]:
        """The keystore; None where the header that lies there is one of yesterday."""
        try:
            keystore = self.clones[host].open()
        except StrongroomError:
            assert self.clones[host].header().root < self.root_seen[host]
            yield None
            return
        with keystore:
            self.root_seen[host] = max(self.root_seen[host], keystore.sealed.header.root)
            yield keystore

    # -- what the owners do -------------------------------------------------------------------------------------------

    def act(self, host: str, name: str, move: Callable[[KeyStore], Keyset], value: bytes | None = None) -> None:
        before, fresh = self.lies(host, name), self.fresh(host, name)
        with self.opened(host) as keystore:
            if keystore is None:
                return
            try:
                keyset = move(keystore)
            except StrongroomError:
                assert self.lies(host, name) == before
                return
        assert fresh or before is None, "built upon a file that is older than what was seen"
        self.learn(host, name)
        if value is not None:
            self.values[name, keyset.versions[-1].key_id] = value
        self.commit(host)

    def commit(self, host: str) -> None:
        """What was done, and not what the attacker did to other files."""
        names_done = [str(self.path(host, n)) for n in NAMES if self.meant(host, n) and self.fresh(host, n)]
        self.git(host, "add", "--", *names_done, str(self.clones[host].directory / "store.json"))
        self.git(host, "commit", "--quiet", "--message", "a change")

    def value(self) -> bytes:
        self.count += 1
        return b"value %d" % self.count

    @rule(host=hosts)
    def create(self, host: str) -> None:
        value = self.value()
        self.act(host, "late", lambda ks: ks.import_key("late", value, "secret"), value)

    @rule(host=hosts, name=names, now=st.booleans())
    def rotate(self, host: str, name: str, now: bool) -> None:
        value = None if name in BOXES else self.value()
        given = None if value is None else SecretBytes(value)
        self.act(host, name, lambda ks: ks.rotate(name, now=now, value=given), value)

    @rule(host=hosts, name=names, number=numbers, verb=st.sampled_from(["promote", "resume", "suspend", "deactivate"]))
    def move(self, host: str, name: str, number: int, verb: str) -> None:
        said = {} if verb in {"promote", "resume"} else {"reason": "at random"}
        self.act(host, name, lambda ks: getattr(ks, verb)(name, number, **said))

    @rule(host=hosts, name=names, number=numbers)
    def compromise(self, host: str, name: str, number: int) -> None:
        value = None if name in BOXES else self.value()
        before = self.meant(host, name)

        def move(keystore: KeyStore) -> Keyset:
            given = None if value is None else SecretBytes(value)
            return keystore.compromise(name, number, reason="at random", value=given)

        self.act(host, name, move)
        after = self.meant(host, name)
        if value is not None and before is not None and after is not None:
            for key_id in after.states.keys() - before.states.keys():  # a successor, where it was the primary
                self.values[name, key_id] = value

    def do(self, host: str, name: str, verb: str) -> None:
        if verb in {"rotate", "rotate now"}:
            self.rotate(host, name, now=verb == "rotate now")
        elif verb == "compromise":
            self.compromise(host, name, 1)
        else:
            self.move(host, name, 2 if verb == "promote" else 1, verb)

    @rule(name=st.sampled_from(["pw", "columns"]), ways=st.tuples(verbs, verbs), into=hosts, root=st.booleans())
    def go_two_ways(self, name: str, ways: tuple[str, str], into: str, root: bool) -> None:
        """Both clones change one keyset, and one of them merges the other's branch; `here` may rotate the root too."""
        for host, verb in zip(HOSTS, ways, strict=True):
            self.tidy(host)
            self.do(host, name, verb)
        if root:
            self.rotate_the_root()
        other = HOSTS[1 - HOSTS.index(into)]
        self.merge(into, self.git(other, "branch", "--show-current").stdout.strip(), across=True)

    go_two_ways_again = rule(
        name=st.sampled_from(["pw", "columns"]), ways=st.tuples(verbs, verbs), into=hosts, root=st.just(value=False)
    )(lambda self, **ways: self.go_two_ways(**ways))

    @rule()
    def rotate_the_root(self) -> None:
        """Of the newest root alone, so that all roots are of one line."""
        clone = self.clones["here"]
        if clone.header().newest.id != self.roots[-1] or len(self.roots) > 2:
            return
        before = {name: self.meant("here", name) for name in NAMES if self.lies("here", name) is not None}
        with self.opened("here") as keystore:
            if keystore is None:
                return
            try:
                rotate_root(keystore, environ=clone.environ)
            except StrongroomError:
                assert clone.header().newest.id == self.roots[-1]
                return
        self.roots.append(clone.header().newest.id)
        self.root_seen["here"] = clone.header().root
        for name, meant in before.items():
            assert meant is not None
            self.learn("here", name)
            now = self.meant("here", name)
            assert now is not None
            assert now.states == {
                key_id: "compromised" if (name, key_id) in self.dead["here"] else state
                for key_id, state in meant.states.items()
            }
        self.git("here", "add", "--all")
        self.git("here", "commit", "--quiet", "--message", "another root")
        seen_work["root"] += 1

    @rule(host=hosts, branch=branches, accepts=st.booleans())
    def switch(self, host: str, branch: str, accepts: bool) -> None:
        """To another branch; a person may say that what lies there is right."""
        self.tidy(host)
        self.git(host, "switch", "--quiet", branch)
        if accepts:
            self.accept(host)

    def accept(self, host: str) -> None:
        with self.opened(host) as keystore:
            if keystore is None:
                return
            try:
                keystore.accept_witness()
            except StrongroomError:
                return  # one of the files is none of ours
        for name in NAMES:
            raw = self.lies(host, name)
            if raw is None:
                self.newest[host].pop(name, None)
            elif self.counts(host, name) is not None:
                self.newest[host][name] = raw

    # -- what git does ------------------------------------------------------------------------------------------------

    def tidy(self, host: str) -> None:
        self.git(host, "reset", "--quiet", "--hard")
        self.git(host, "clean", "--quiet", "--force", "-d")

    @rule(host=hosts, branch=branches, across=st.booleans())
    def merge(self, host: str, branch: str, across: bool) -> None:
        """Another branch of this clone, or one of the other clone."""
        self.tidy(host)
        other = self.clones[HOSTS[1 - HOSTS.index(host)]]
        if across:
            self.git(host, "fetch", "--quiet", str(other.top), f"+{branch}:refs/theirs/{branch}")
        theirs = f"refs/theirs/{branch}" if across else branch
        bases = self.git(host, "merge-base", "--all", "HEAD", theirs).stdout.split()
        sides = {name: tuple(self.blob(host, each, name) for each in (*bases[:1], "HEAD", theirs)) for name in NAMES}
        behind = self.clones[host].header().root < self.root_seen[host]
        done = self.git(host, "merge", "--no-edit", theirs)
        if done.returncode:
            self.git(host, "merge", "--abort")
            for name, (_, ours, _) in sides.items():
                assert self.lies(host, name) == ours
            assert behind, done.stdout + done.stderr  # nothing else keeps these two from merging
            return
        for name, (base, ours, other_side) in sides.items():
            self.check_merged(host, name, base, ours, other_side, crossed=len(bases) > 1)

    def check_merged(
        self, host: str, name: str, base: bytes | None, ours: bytes | None, theirs: bytes | None, *, crossed: bool
    ) -> None:
        raw = self.lies(host, name)
        if raw is not None and raw not in self.written:
            self.written[raw] = meaning(raw, name)
        if not crossed and (ours == theirs or theirs == base):
            assert raw == ours
        elif not crossed and ours == base:
            assert raw == theirs
        elif ours is None or theirs is None:
            assert raw == (ours or theirs)
        else:
            assert raw is not None
            self.check_united(self.written[raw], self.written[ours], self.written[theirs], crossed=crossed)

    def check_united(self, merged: Meant, ours: Meant, theirs: Meant, *, crossed: bool) -> None:
        seen_work["united"] += 1
        ours_at, theirs_at = self.roots.index(ours.root), self.roots.index(theirs.root)
        assert merged.states.keys() == ours.states.keys() | theirs.states.keys()
        if crossed:  # what git takes for the base is a merge of its own
            for key_id, state in merged.states.items():
                assert state == "compromised" or "compromised" not in {
                    ours.states.get(key_id), theirs.states.get(key_id),
                }  # fmt: skip
            return
        assert merged.revision > max(ours.revision, theirs.revision)
        assert self.roots.index(merged.root) == max(ours_at, theirs_at)
        for key_id, state in merged.states.items():
            mine, other = ours.states.get(key_id), theirs.states.get(key_id)
            if mine is not None and other is not None:
                assert state == sterner(mine, other)
                continue
            alone, at = (mine, ours_at) if mine is not None else (other, theirs_at)
            if at < max(ours_at, theirs_at) and alone in {"active", "pre-activation"}:
                assert state == "deactivated"  # whoever knew the older root could have made it, and reads it
                assert merged.primary != key_id
            else:
                assert state == alone

    # -- what the attacker does ---------------------------------------------------------------------------------------

    @rule(host=hosts, name=names, data=st.data())
    def put_back(self, host: str, name: str, data: st.DataObject) -> None:
        """A file that was true once, of this keyset or another."""
        self.path(host, name).write_bytes(data.draw(st.sampled_from(list(self.written))))

    @rule(host=hosts, name=names, data=st.data())
    def roll_back(self, host: str, name: str, data: st.DataObject) -> None:
        mine = [raw for raw, meant in self.written.items() if meant.name == name]
        if mine:
            self.path(host, name).write_bytes(data.draw(st.sampled_from(mine)))

    @rule(host=hosts, name=st.sampled_from(["pw", "columns"]), verb=verbs)
    def undo(self, host: str, name: str, verb: str) -> None:
        """Somebody would rather have it as it was before."""
        self.tidy(host)
        before = self.lies(host, name)
        self.do(host, name, verb)
        self.look_at_everything()
        if before is not None:
            self.path(host, name).write_bytes(before)

    @rule(host=hosts, name=names, at=st.integers(0, 4000), bit=st.integers(0, 7))
    def flip(self, host: str, name: str, at: int, bit: int) -> None:
        raw = bytearray(self.lies(host, name) or b"")
        if raw:
            raw[at % len(raw)] ^= 1 << bit
            self.path(host, name).write_bytes(bytes(raw))

    @rule(host=hosts)
    def think_better_of_it(self, host: str) -> None:
        self.tidy(host)

    # -- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def look_at_everything(self) -> None:
        if not hasattr(self, "root_seen"):
            return
        for host in HOSTS:
            with self.opened(host) as keystore:
                if keystore is not None:
                    for name in NAMES:
                        self.look(host, name, keystore)

    def look(self, host: str, name: str, keystore: KeyStore) -> None:
        meant, fresh = self.counts(host, name), self.fresh(host, name)
        try:
            keystore.show(name)
        except StrongroomError:
            assert meant is None
        if meant is not None and fresh:
            self.newest[host][name] = self.lies(host, name) or b""
            self.dead[host] |= {(name, key_id) for key_id, state in meant.states.items() if state == "compromised"}
        if name in BOXES:
            self.look_at_box(host, name, keystore, meant, fresh=fresh)
            return
        for number, key_id in enumerate([] if meant is None else meant.states, start=1):
            assert meant is not None
            reads = meant.states[key_id] in READS and (name, key_id) not in self.dead[host]
            try:
                got = keystore.secret(name).reveal(number)
            except StrongroomError:
                assert not reads
                continue
            assert reads
            assert got == self.values[name, key_id]

    def look_at_box(self, host: str, name: str, keystore: KeyStore, meant: Meant | None, *, fresh: bool) -> None:
        protects = meant is not None and fresh and self.protects(host, meant)
        try:
            cell = keystore.aead(name).encrypt(b"data", b"")
        except StrongroomError:
            assert not protects
            return
        assert protects
        assert meant is not None
        assert int.from_bytes(cell[1:5], "big") == meant.primary
        assert keystore.aead(name).decrypt(cell, b"") == b"data"

    def protects(self, host: str, meant: Meant) -> bool:
        primary = meant.primary
        return (
            primary is not None and meant.states[primary] == "active" and (meant.name, primary) not in self.dead[host]
        )


@pytest.mark.slow
def test_branches_that_git_merges_and_an_attacker() -> None:
    seen_work.clear()
    Branches.TestCase.settings = settings(
        max_examples=12,
        stateful_step_count=30,
        deadline=None,
        phases=[Phase.generate],  # shrinking takes minutes
    )
    Branches.TestCase().runTest()
    assert seen_work["united"], "no two branches were united: the machine tries nothing"
