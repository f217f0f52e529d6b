"""Two clones of one store: a rotation with propagation reaches both in time, whoever pulls late; merges are clean."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.keystore.clocks import HandClock
from tests.keystore.scenes import Scene
from tests.support.blackbox_fixtures import git

from strongroom.caching.limits import Limits
from strongroom.errors import ConflictError, DecryptionError, FormatError, StaleError
from strongroom.keystore.facade import KeyStore

HOUR = 3600.0


def clone(store: Scene, place: Path) -> Scene:
    git(place, "clone", "-q", str(store.top), "clone")
    made = Scene(top=place / "clone", state=place / "clone-state", user=store.user)
    made.open().close()
    return made


@pytest.fixture
def pair(store: Scene, tmp_path: Path, hand_clock: HandClock) -> tuple[Scene, Scene]:
    """A store with a keyset `box`, committed, and a clone of it."""
    with store.open(clock=hand_clock) as keystore:
        keystore.create("box", "fernet", propagation="24h")
        keystore.create("columns", "aes256-gcm")
    store.commit("a store with two keysets")
    return store, clone(store, tmp_path)


def every_token_opens(hosts: list[KeyStore], tokens: list[bytes]) -> None:
    """Each host makes a token, and each host opens every token that any of them ever made."""
    tokens += [host.fernet("box").encrypt(str(len(tokens)).encode()) for host in hosts]
    for host in hosts:
        box = host.fernet("box")
        for number, token in enumerate(tokens):
            assert box.decrypt(token) in {str(number).encode(), str(number - 1).encode()}


def test_a_late_pull_within_the_propagation_loses_no_token(pair: tuple[Scene, Scene], hand_clock: HandClock) -> None:
    early, late = pair
    tokens: list[bytes] = []
    with early.open(clock=hand_clock) as one, late.open(clock=hand_clock) as other:
        hosts = [one, other]
        every_token_opens(hosts, tokens)
        one.rotate("box")
        early.commit("rotate box")
        for _ in range(23):  # hours in which only the first host has the new version
            hand_clock.pass_time(HOUR)
            every_token_opens(hosts, tokens)
        git(late.top, "pull", "-q", "--ff-only")
        hand_clock.pass_time(HOUR - 1)
        every_token_opens(hosts, tokens)
        assert [host.fernet("box").version for host in hosts] == [1, 1]
        hand_clock.pass_time(0.999)
        every_token_opens(hosts, tokens)
        assert [host.fernet("box").version for host in hosts] == [1, 1]
        hand_clock.pass_time(0.001)  # the promotion, on both hosts, with nothing deployed at this moment
        assert [host.fernet("box").version for host in hosts] == [2, 2]
        for _ in range(3):
            every_token_opens(hosts, tokens)
            hand_clock.pass_time(HOUR)


def test_whoever_pulls_too_late_reads_again_once_he_has_pulled(
    pair: tuple[Scene, Scene], hand_clock: HandClock
) -> None:
    early, late = pair
    with early.open(clock=hand_clock) as one, late.open(clock=hand_clock) as other:
        one.rotate("box")
        early.commit("rotate box")
        hand_clock.pass_time(25 * HOUR)
        token = one.fernet("box").encrypt(b"data")
        with pytest.raises(DecryptionError):
            other.fernet("box").decrypt(token)
        git(late.top, "pull", "-q", "--ff-only")
        hand_clock.pass_time(1)
        assert other.fernet("box").decrypt(token) == b"data"


def test_rotations_queue_and_both_hosts_follow(pair: tuple[Scene, Scene], hand_clock: HandClock) -> None:
    early, late = pair
    tokens: list[bytes] = []
    with early.open(clock=hand_clock) as one, late.open(clock=hand_clock) as other:
        one.rotate("box")
        hand_clock.pass_time(HOUR)
        one.rotate("box")
        early.commit("rotate box twice")
        git(late.top, "pull", "-q", "--ff-only")
        versions = set()
        for _ in range(26):
            hand_clock.pass_time(HOUR)
            every_token_opens([one, other], tokens)
            assert one.fernet("box").version == other.fernet("box").version
            versions.add(one.fernet("box").version)
        assert versions == {1, 2, 3}


def test_branches_that_change_different_keysets_merge_with_nothing_to_do(
    pair: tuple[Scene, Scene], hand_clock: HandClock
) -> None:
    mine, theirs = pair
    with mine.open(clock=hand_clock) as one:
        one.rotate("box", now=True)
        one.create("mine", "ed25519")
    mine.commit("box")
    with theirs.open(clock=hand_clock) as other:
        other.rotate("columns", now=True)
        other.create("theirs", "secret")
    theirs.commit("columns")
    git(theirs.top, "pull", "-q", "--no-rebase", "--no-edit")
    with theirs.open(clock=hand_clock) as merged:
        assert merged.names() == ("box", "columns", "mine", "theirs")
        assert [len(merged.show(name).versions) for name in merged.names()] == [2, 2, 1, 1]
        merged.fernet("box").encrypt(b"data")
        merged.aead("columns").encrypt(b"data", b"")
    assert git(theirs.top, "status", "--porcelain", "--untracked-files=all") == b""


def test_branches_that_rotate_the_same_keyset_leave_a_record_that_is_refused_by_name(
    pair: tuple[Scene, Scene], hand_clock: HandClock
) -> None:
    mine, theirs = pair
    with mine.open(clock=hand_clock) as one:
        one.rotate("box", now=True)
    mine.commit("mine")
    limits = Limits(recheck=1, grace=5)
    with theirs.open(clock=hand_clock, limits=limits) as other:
        other.rotate("box", now=True)
        theirs.commit("theirs")
        held = other.fernet("box")
        token = held.encrypt(b"data")
        with pytest.raises(AssertionError, match="ended with 1"):
            git(theirs.top, "pull", "-q", "--no-rebase", "--no-edit")
        assert b"<<<<<<<" in (theirs.directory / "keysets" / "box.json").read_bytes()
        for _ in range(5):  # a handle that is held goes on for the grace
            hand_clock.pass_time(1)
            assert held.decrypt(token) == b"data"
            held.encrypt(b"data")
        hand_clock.pass_time(2)
        with pytest.raises(FormatError):
            held.encrypt(b"data")
        with pytest.raises(FormatError) as caught:
            other.show("box")
        assert "'box'" in str(caught.value)
        assert "conflict" in f"{caught.value} {caught.value.hint}"
        other.aead("columns").encrypt(b"data", b"")  # the others are not concerned
        git(theirs.top, "merge", "--abort")
        hand_clock.pass_time(1)
        assert held.decrypt(token) == b"data"
    with theirs.open(clock=hand_clock) as again:
        assert again.fernet("box").decrypt(token) == b"data"


def test_a_checkout_of_an_older_commit_reads_and_protects_nothing(
    pair: tuple[Scene, Scene], hand_clock: HandClock
) -> None:
    store, _ = pair
    with store.open(clock=hand_clock) as keystore:
        token = keystore.fernet("box").encrypt(b"data")
        keystore.rotate("box", now=True)
        store.commit("rotate")
        git(store.top, "checkout", "-q", "HEAD~1")
        hand_clock.pass_time(1)
        assert keystore.fernet("box").decrypt(token) == b"data"
        with pytest.raises(StaleError) as caught:
            keystore.fernet("box").encrypt(b"data")
        assert "witness accept" in caught.value.hint
        git(store.top, "checkout", "-q", "main")
        hand_clock.pass_time(1)
        keystore.fernet("box").encrypt(b"data")


def test_the_second_of_two_racing_writers_loses_and_may_try_again(
    pair: tuple[Scene, Scene], hand_clock: HandClock
) -> None:
    store, _ = pair
    with store.open(clock=hand_clock) as one, store.open(clock=hand_clock) as other:
        opened = one.sealed.load("box")
        other.rotate("box")
        with pytest.raises(ConflictError):
            one.sealed.replace(
                opened.keyset.suspend(1, now=hand_clock.now(), reason="late"), replaces=opened.keyset.revision
            )
        one.rotate("box")
        assert [version.number for version in other.show("box").versions] == [1, 2, 3]
