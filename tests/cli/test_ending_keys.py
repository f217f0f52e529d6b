"""due, rotate --due and destroy, as a person and as a timer type them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from strongroom.exitcodes import REFUSED, USAGE, WORK_REMAINS
from tests.cli.program import on_terminal, program, within


def ran(*argv: str, status: int = 0) -> str:
    done = within(*argv)
    assert done.status == status, done.stderr
    return done.text + done.stderr


def test_what_is_due_ends_with_its_own_exit_status(store: Path) -> None:
    ran("create", "calm", "--type", "fernet")
    assert "calm" not in ran("due")
    ran(
        "create", "box", "--type", "fernet", "--rotate-every", "1s", "--propagation", "0s", "--label", "owner=registrar"
    )
    time.sleep(1.1)
    line = ran("due", status=WORK_REMAINS).splitlines()[0].split("\t")
    assert (line[0], line[1], line[2], line[4]) == ("box", "1", "rotate", "registrar")
    (told,) = within("due", "--json").json
    assert (told["keyset"], told["due"], told["stated"]) == ("box", True, True)
    later = within("due", "--within", "3650d").text
    assert "calm" in later
    assert "usual, SP 800-57" in later


def test_a_timer_rotates_what_it_can_and_leaves_secrets_to_a_person(store: Path, place: Path) -> None:
    ran("create", "box", "--type", "fernet", "--rotate-every", "1s", "--propagation", "0s")
    (place / "value").write_text("a password")
    time.sleep(1.1)
    assert "rotated box" in ran("rotate", "--due")
    ran("import", "smtp", "value", "--type", "secret", "--rotate-every", "1s", "--propagation", "0s")
    time.sleep(1.1)
    said = ran("rotate", "--due", status=WORK_REMAINS)
    assert "strongroom rotate smtp --value-file FILE" in said
    assert "a password" not in said


def test_rotate_takes_a_name_or_due(store: Path) -> None:
    ran("create", "box", "--type", "fernet")
    for words in (["rotate"], ["rotate", "box", "--due"], ["rotate", "--due", "--exposed"]):
        assert "rotate takes a NAME" in ran(*words, status=USAGE)
    assert "when each is promoted" in ran("rotate", "--due", "--now", status=USAGE)


def test_a_version_s_end_is_scheduled_and_spared(store: Path) -> None:
    ran("create", "box", "--type", "fernet")
    ran("rotate", "box", "--now")
    said = ran("destroy", "box", "1", "--reason", "moved")
    assert "strongroom destroy --due" in said
    assert "nobody was asked" in said
    assert "to be destroyed" in ran("show", "box")
    assert within("show", "box", "--json").json["versions"][0]["destroy_at"] is not None
    assert "no destruction is due" in ran("destroy", "--due")
    ran("destroy", "box", "1", "--cancel")
    assert "to be destroyed" not in ran("show", "box")
    assert ran("destroy", "box", "2", "--reason", "moved", status=REFUSED)
    assert "7 to 30 days" in ran("destroy", "box", "1", "--reason", "x", "--after", "1d", status=REFUSED)


def test_what_destroy_does_not_understand_it_says(store: Path) -> None:
    ran("create", "box", "--type", "fernet")
    for words in (
        ["box"],
        ["box", "1", "--all"],
        ["box", "1"],
        [],
        ["--due", "box", "1"],
        ["box", "1", "--all", "--cancel"],
    ):
        ran("destroy", *words, status=USAGE)


def test_a_keyset_ends_whole(store: Path) -> None:
    ran("create", "tenant-17", "--type", "fernet")
    ran("destroy", "tenant-17", "--all", "--reason", "contract ended", "--after", "7d")
    os.environ["STRONGROOM_DEVELOPMENT"] = "1"
    assert within("encrypt", "tenant-17", stdin=b"data").status == REFUSED


def test_shredding_asks_for_the_name_where_nobody_can_tell_what_is_under_it(store: Path, place: Path) -> None:
    ran("create", "box", "--type", "fernet")
    ran("rotate", "box", "--now")
    shred = ("destroy", "box", "1", "--shred", "--reason", "x")
    ask = "Type the keyset's name (box)"
    wrong = on_terminal(*shred, cwd=place, answers=[(ask, "bax\n")])
    assert wrong.status == REFUSED
    assert "whatever is under it becomes unreadable" in wrong.stderr
    alone = program(*shred, cwd=place, stdin=b"box\n")
    assert alone.status == REFUSED
    assert "--shred --yes" in alone.stderr
    assert "destroyed" not in ran("show", "box")
    assert not any(each.get("destroy_at") for each in within("show", "box", "--json").json["versions"])
    right = on_terminal(*shred, cwd=place, answers=[(ask, "box\n")])
    assert right.status == 0, right.stderr
    ran("destroy", "box", "1", "--cancel")
    ran(*shred, "--yes")


def test_what_was_scheduled_whole_is_spared_whole(store: Path) -> None:
    ran("create", "box", "--type", "fernet")
    ran("rotate", "box", "--now")
    ran("destroy", "box", "--all", "--reason", "a slip")
    assert "spared every version of box" in ran("destroy", "box", "--all", "--cancel")
    assert "destroy_at" not in {
        key for each in within("show", "box", "--json").json["versions"] for key, value in each.items() if value
    }
    ran("destroy", "box", "--all", "--cancel", status=REFUSED)
