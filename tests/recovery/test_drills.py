"""The day on which shares were last tried is kept in the store, through whatever befalls it, and reminded of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from strongroom.errors import NotFoundError, StaleError
from strongroom.keystore.backup import create_backup
from strongroom.keystore.drilling import Drill, drill_recovery
from strongroom.keystore.drills import RECOVERY, Sharing, set_drill_every, sharings
from strongroom.keystore.duties import Work, due, rotate_due
from strongroom.keystore.examining_keys import look_at_keys
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_store
from strongroom.keystore.recovery import create_recovery
from strongroom.keystore.restoring import restore_backup
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.shares import Share, read_shares
from tests.keystore.clocks import HandClock
from tests.merging.scenes import Clone

DAY = 86_400


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def opened(here: Clone, clock: HandClock) -> KeyStore:
    return open_store(here.directory, clock=clock, environ=here.environ)


def shared(here: Clone, clock: HandClock, *, label: str = "recovery", again: bool = False) -> list[Share]:
    sheets: list[SecretBytes] = []
    with opened(here, clock) as keystore:
        create_recovery(keystore, threshold=2, shares=3, show=sheets.append, label=label, again=again)
    return [share for sheet in sheets for share in read_shares(sheet)]


def drilled(here: Clone, shares: list[Share], clock: HandClock) -> Drill:
    drill = drill_recovery(shares[:2], str(here.directory), clock=clock, environ=here.environ)
    assert drill.problem is None
    return drill


def known(here: Clone, clock: HandClock) -> Sharing:
    with opened(here, clock) as keystore:
        (one,) = sharings(keystore)
    return one


def reminded(here: Clone, clock: HandClock) -> tuple[list[str], list[str]]:
    """By `due`, and by `doctor`."""
    with opened(here, clock) as keystore:
        told = [duty.why for duty in due(keystore) if duty.work is Work.DRILL]
        return told, [each.fact for each in look_at_keys(keystore, os.environ) if each.about == "recovery"]


def test_shares_that_were_never_tried_are_reminded_of_from_the_day_they_were_made(
    here: Clone, clock: HandClock
) -> None:
    assert reminded(here, clock) == ([], [])
    shared(here, clock)
    told = ["the shares of slot 'recovery' were never tried"]
    assert reminded(here, clock) == (told, told)
    with opened(here, clock) as keystore:
        assert rotate_due(keystore).left == ()


def test_a_drill_is_noted_and_reminded_of_after_a_year(here: Clone, clock: HandClock) -> None:
    shares = shared(here, clock)
    clock.pass_time(DAY)
    drill = drilled(here, shares, clock)
    assert drill.to_add == (str(here.directory / "keysets" / "strongroom.recovery.json"),)
    found = known(here, clock)
    assert (found.tried, found.set_name, found.threshold, found.shares) == (drill.at, shares[0].set_name, 2, 3)
    clock.pass_time(365 * DAY - 1)
    assert reminded(here, clock) == ([], [])
    clock.pass_time(1)
    told = ["the shares of slot 'recovery' were last tried 2026-11-24"]
    assert reminded(here, clock) == (told, told)


def test_one_note_a_day_is_enough(here: Clone, clock: HandClock) -> None:
    shares = shared(here, clock)
    drilled(here, shares, clock)
    before = (here.directory / "keysets" / "strongroom.recovery.json").read_bytes()
    clock.pass_time(3600)
    assert drilled(here, shares, clock).to_add == ()
    assert (here.directory / "keysets" / "strongroom.recovery.json").read_bytes() == before


def test_new_shares_are_not_tried_because_the_old_ones_were(here: Clone, clock: HandClock) -> None:
    drilled(here, shared(here, clock), clock)
    new = shared(here, clock, again=True)
    assert (known(here, clock).tried, known(here, clock).set_name) == (None, new[0].set_name)


def test_shares_under_another_label_are_known_too(here: Clone, clock: HandClock) -> None:
    shared(here, clock, label="board")
    assert known(here, clock).label == "board"


def test_shares_of_a_release_that_noted_nothing_are_known_by_their_label(here: Clone, clock: HandClock) -> None:
    shares = shared(here, clock)
    (here.directory / "keysets" / "strongroom.recovery.json").unlink()
    here.state = here.state.with_name("another")  # a host that has seen nothing
    found = known(here, clock)
    assert (found.made, found.tried, found.threshold) == (None, None, None)
    assert reminded(here, clock)[0]
    drilled(here, shares, clock)
    assert known(here, clock).threshold == 2


def test_how_often_is_said_by_the_store(here: Clone, clock: HandClock) -> None:
    with opened(here, clock) as keystore, pytest.raises(NotFoundError):
        set_drill_every(keystore, 30 * DAY)
    drilled(here, shared(here, clock), clock)
    with opened(here, clock) as keystore:
        set_drill_every(keystore, 30 * DAY)
    clock.pass_time(30 * DAY)
    assert reminded(here, clock)[0]
    with opened(here, clock) as keystore:
        set_drill_every(keystore, None)
    assert reminded(here, clock) == ([], [])


class TestWhatTheNoteSurvives:
    def test_a_rotation_of_the_root(self, here: Clone, clock: HandClock) -> None:
        drill = drilled(here, shared(here, clock), clock)
        here.rotate_root()
        assert known(here, clock).tried == drill.at

    def test_a_backup(self, here: Clone, clock: HandClock, tmp_path: Path) -> None:
        drill = drilled(here, shared(here, clock), clock)
        with opened(here, clock) as keystore:
            create_backup(keystore, tmp_path / "keys.backup")
        restore_backup(tmp_path / "keys.backup", tmp_path / "again", environ=here.environ)
        with open_store(tmp_path / "again", clock=clock, environ=here.environ) as keystore:
            assert [each.tried for each in sharings(keystore)] == [drill.at]

    def test_a_merge_in_which_the_later_day_wins(self, here: Clone, clock: HandClock) -> None:
        shares = shared(here, clock)
        here.commit("shares")
        here.branch("side")
        drilled(here, shares, clock)
        here.commit("a drill")
        here.switch("main")
        clock.pass_time(9 * DAY)
        later = drilled(here, shares, clock)
        here.commit("a later drill")
        here.git("merge", "--no-edit", "side")
        assert known(here, clock).tried == later.at
        here.switch("side")
        here.git("merge", "--no-edit", "main")
        assert known(here, clock).tried == later.at

    def test_but_not_a_claim_under_a_replaced_root(self, here: Clone, clock: HandClock) -> None:
        """A removed admin could have made it, and nobody would be reminded for a year."""
        shares = shared(here, clock)
        here.commit("shares")
        here.branch("side")
        drilled(here, shares, clock)
        here.commit("a drill")
        here.switch("main")
        here.rotate_root()
        here.commit("another root")
        here.git("merge", "--no-edit", "side")
        assert known(here, clock).tried is None
        assert known(here, clock).threshold == 2


def test_an_older_note_reminds_the_sooner_and_the_witness_tells(here: Clone, clock: HandClock) -> None:
    shares = shared(here, clock)
    path = here.directory / "keysets" / "strongroom.recovery.json"
    before = path.read_bytes()
    drilled(here, shares, clock)
    path.write_bytes(before)
    assert reminded(here, clock)[0]
    drill = drill_recovery(shares[:2], str(here.directory), clock=clock, environ=here.environ)
    assert isinstance(drill.problem, StaleError)
    assert drill.indices == (1, 2)


def test_nobody_notes_by_hand(here: Clone, clock: HandClock) -> None:
    shared(here, clock)
    with opened(here, clock) as keystore:
        with pytest.raises(Exception, match="the store's own keyset"):
            keystore.rotate(RECOVERY, now=True, value=b"x")
        with pytest.raises(Exception, match="the store's own keyset"):
            keystore.secret(RECOVERY)


@pytest.mark.slow
def test_in_words(here: Clone, tmp_path: Path) -> None:
    out = tmp_path / "papers"
    assert here.run("recovery", "list").text == ""
    made = here.run("recovery", "create", "--threshold", "2", "--shares", "3", "--out", str(out))
    assert "git add .strongroom/store.json .strongroom/keysets/strongroom.recovery.json" in made.stderr
    ran = here.run("due")
    assert ran.status == 4
    assert ran.text.split("\t")[:3] == ["strongroom.recovery", "-", "drill"]
    assert "never tried" in here.run("slot", "list").text
    assert "-> strongroom recovery drill" in here.run("doctor").text
    ran = here.run("recovery", "drill", *sorted(map(str, out.iterdir()))[:2])
    assert "the day is noted in the store; nothing else was changed" in ran.stderr
    assert "git add .strongroom/keysets/strongroom.recovery.json" in ran.stderr
    assert here.run("due").status == 0
    assert "last tried" in here.run("slot", "list").text
    foreign = here.run(
        "recovery", "drill", *sorted(map(str, out.iterdir()))[:2], STRONGROOM_PIN=f"{'A' * 22}:{'A' * 22}"
    )
    assert (foreign.status, "not noted" in foreign.stderr, "the pin names store" in foreign.stderr) == (0, True, True)
    shown = here.run("show", "strongroom.recovery")
    assert (shown.status, "the store's own" in shown.text) == (0, True)
    assert here.run("recovery", "list").text.split("\t")[2] == "2 of 3"
    (one,) = here.run("--json", "recovery", "list").json
    assert one["tried"] is not None
    assert here.run("--json", "recovery", "policy").json == {"drill_every": "365d", "add": []}
    assert here.run("--json", "recovery", "policy", "--drill-every", "26w").json["drill_every"] == "26w"
