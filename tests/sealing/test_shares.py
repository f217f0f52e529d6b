"""Shares on paper: what is mistyped is found in its place, and shares that do not belong together are told apart."""

from __future__ import annotations

import itertools
import json
import os
import random
import traceback
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom._encoding import b64decode, b64encode
from strongroom.errors import (
    ForeignStoreError,
    FormatError,
    IntegrityError,
    NewerFormatError,
    SealError,
    SettingsError,
    StrongroomError,
)
from strongroom.model.names import StoreId
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.shamir import split
from strongroom.sealing import share_words
from strongroom.sealing.hpke import HpkeSlot
from strongroom.sealing.root import Root
from strongroom.sealing.shares import Share, join_shares, read_shares, share_slot

ROOT = Root.generate(StoreId(os.urandom(16)))
SLOT, SHARES = share_slot(ROOT, threshold=3, shares=5)


def paper(share: Share) -> str:
    """The rows of a share, as they are printed."""
    return "\n".join(row.reveal().decode() for row in share.rows())


def joined(*shares: Share) -> Root:
    return SLOT.open(join_shares(shares, (SLOT,), store=ROOT.store).private, ROOT.ref)


def test_any_three_of_five_open_the_slot_in_whatever_order() -> None:
    for some in itertools.permutations(SHARES, 3):
        assert joined(*some).id == ROOT.id


def test_more_than_needed_are_checked_too() -> None:
    assert joined(*SHARES).id == ROOT.id
    bad = replaced(SHARES[4], body=SecretBytes(os.urandom(32)))
    with pytest.raises(IntegrityError, match="share 5 does not go with shares 1, 2, 3"):
        joined(*SHARES[:4], bad)


def replaced(share: Share, **changes: object) -> Share:
    fields = {name: getattr(share, name) for name in ("store", "set_id", "threshold", "index", "body")}
    return Share(**{**fields, **changes})  # type: ignore[arg-type]  # the fields' own names


def test_after_a_rotation_of_the_root_the_same_shares_open_it() -> None:
    next_root = Root.generate(ROOT.store, number=2)
    slot = SLOT.reseal(next_root)
    identity = join_shares(SHARES[1:4], (slot,), store=ROOT.store)
    assert slot.open(identity.private, next_root.ref).id == next_root.id


class TestWhatDoesNotBelongTogether:
    def test_too_few(self) -> None:
        with pytest.raises(SealError, match=r"2 shares of set .* are too few: it takes 3"):
            joined(*SHARES[:2])

    def test_none(self) -> None:
        with pytest.raises(SealError, match="no share"):
            joined()

    def test_one_twice(self) -> None:
        with pytest.raises(SealError, match=r"share 2 of set .* was given twice"):
            joined(SHARES[1], SHARES[0], SHARES[1])

    def test_of_two_sets(self) -> None:
        _, others = share_slot(ROOT, threshold=3, shares=5)
        with pytest.raises(SealError, match="of 2 sets"):
            joined(*SHARES[:2], others[2])

    def test_of_a_set_that_was_replaced(self) -> None:
        _, others = share_slot(ROOT, threshold=3, shares=5)
        with pytest.raises(SealError, match="the set was replaced, or a share was changed"):
            joined(*others[:3])

    def test_of_another_store(self) -> None:
        foreign = Root.generate(StoreId(os.urandom(16)))
        _, others = share_slot(foreign, threshold=3, shares=5)
        with pytest.raises(ForeignStoreError, match="share 1 is of store"):
            joined(*others[:3])

    def test_one_that_was_changed_with_its_checksum_made_right(self) -> None:
        with pytest.raises(SealError, match="a share was changed"):
            joined(*SHARES[:2], replaced(SHARES[2], body=SecretBytes(os.urandom(32))))

    def test_one_whose_index_was_changed(self) -> None:
        with pytest.raises(SealError, match="a share was changed"):
            joined(*SHARES[:2], replaced(SHARES[2], index=9))


class TestWords:
    def test_case_blanks_line_ends_hyphens_and_row_numbers_do_not_matter(self) -> None:
        plain = paper(SHARES[0])
        spellings = (
            plain,
            plain.upper(),
            plain.replace(" ", "-"),
            plain.replace("\n", " "),
            plain.replace("\n", "\r\n\r\n").replace(" ", "\t  "),
            "# any 3 of 5\n" + "\n".join(f" {n}. {row}" for n, row in enumerate(plain.split("\n"), start=1)),
        )
        for text in spellings:
            assert [share.index for share in read_shares(SecretBytes(text.encode()))] == [1]

    def test_several_shares_in_one_text(self) -> None:
        text = "\n\n".join(paper(share) for share in SHARES[:3])
        found = read_shares(SecretBytes(text.encode()))
        assert joined(*found).id == ROOT.id

    def test_every_word_is_another_one_and_no_letter_changed_makes_a_word(self) -> None:
        words = [share_words._spelled(value) for value in range(1024)]
        known = set(words)
        assert len(known) == 1024
        letters = share_words._CONSONANTS + share_words._VOWELS
        for word in words:
            for place, letter in itertools.product(range(5), letters):
                other = word[:place] + letter + word[place + 1 :]
                assert other == word or other not in known

    @pytest.mark.parametrize("row", [1, 4, 10])
    def test_a_mistyped_word_is_named_by_its_place_and_not_quoted(self, row: int) -> None:
        rows = [line.split() for line in paper(SHARES[0]).split("\n")]
        rows[row - 1][2] = "quark"
        with pytest.raises(FormatError, match=f"row {row}, word 3 is not a word") as caught:
            read_shares(SecretBytes("\n".join(map(" ".join, rows)).encode()))
        assert "quark" not in str(caught.value)

    def test_another_word_in_a_row_is_found_by_the_row_s_own_check(self) -> None:
        rows = [line.split() for line in paper(SHARES[0]).split("\n")]
        rows[6][0] = another(rows[6][0])
        # one in 1,024 has the row's ten bits of check, and not the share's checksum
        with pytest.raises(FormatError, match=r"row 7 is not right|checksum is wrong"):
            read_shares(SecretBytes("\n".join(map(" ".join, rows)).encode()))

    def test_rows_that_changed_places_are_found(self) -> None:
        rows = paper(SHARES[0]).split("\n")
        rows[2], rows[5] = rows[5], rows[2]
        with pytest.raises(FormatError, match=r"row [36] is not right"):
            read_shares(SecretBytes("\n".join(rows).encode()))

    def test_rows_of_two_shares_do_not_make_one(self) -> None:
        rows = [*paper(SHARES[0]).split("\n")[:5], *paper(SHARES[1]).split("\n")[5:]]
        with pytest.raises(FormatError, match="checksum"):
            read_shares(SecretBytes("\n".join(rows).encode()))

    @pytest.mark.parametrize("text", ["", "# nothing", "babad " * 49, "babad " * 51])
    def test_a_wrong_number_of_words_is_told(self, text: str) -> None:
        with pytest.raises(FormatError, match="a share has 50 words"):
            read_shares(SecretBytes(text.encode()))

    def test_a_newer_format_is_named(self) -> None:
        from strongroom.sealing.shares import _checksum

        content = b"\x02" + bytes(45)
        rows = share_words.spell(SecretBytes(content + _checksum(content)))
        with pytest.raises(NewerFormatError, match="format 2"):
            read_shares(SecretBytes(b"\n".join(row.reveal() for row in rows)))

    @given(st.binary(max_size=400))
    @settings(max_examples=200)
    def test_whatever_is_typed_is_a_share_or_an_error_of_ours(self, raw: bytes) -> None:
        with pytest.raises(FormatError):
            read_shares(SecretBytes(raw))

    @given(st.randoms(use_true_random=False))
    @settings(max_examples=100)
    def test_no_slip_of_the_pen_makes_another_share(self, chance: random.Random) -> None:
        text = list(paper(SHARES[0]))
        place = chance.randrange(len(text))
        text[place] = chance.choice("bdfgjklmnprstvwzaeioxq \n")
        try:
            found = read_shares(SecretBytes("".join(text).encode()))
        except FormatError:
            return
        assert found[0].body == SHARES[0].body


def test_a_share_does_not_show_itself() -> None:
    assert "body" not in repr(SHARES[0])


def another(word: str) -> str:
    return share_words._spelled((share_words._value(SecretBytes(word.encode())) + 1) % 1024)


def mistyped(share: Share, old: int, new: str) -> SecretBytes:
    words = paper(share).split()
    words[old] = new
    return SecretBytes(" ".join(words).encode())


FAILURES = {
    "a word that is none": lambda: read_shares(mistyped(SHARES[0], 22, "quark")),
    "another word": lambda: read_shares(mistyped(SHARES[0], 22, another(paper(SHARES[0]).split()[22]))),
    "a word missing": lambda: read_shares(mistyped(SHARES[0], 22, "")),
    "too few": lambda: joined(*SHARES[:2]),
    "one twice": lambda: joined(SHARES[0], SHARES[0], SHARES[1]),
    "another set's": lambda: joined(*share_slot(ROOT, threshold=3, shares=3)[1]),
    "one that was changed": lambda: joined(*SHARES[:4], replaced(SHARES[4], body=SecretBytes(bytes(32)))),
}


@pytest.mark.parametrize("what", FAILURES)
def test_a_failure_shows_no_share_in_message_hint_or_frames(what: str) -> None:
    with pytest.raises(StrongroomError) as caught:
        FAILURES[what]()
    ours = [frame for frame in traceback.walk_tb(caught.tb) if "/src/strongroom/" in frame[0].f_code.co_filename]
    assert ours
    told = "".join(traceback.StackSummary.extract(iter(ours), capture_locals=True).format())
    told += f"{caught.value!r} {caught.value.hint}"
    for share in SHARES:
        raw = share.body.reveal()
        rows = [row.reveal().decode() for row in share.rows()]
        for text in (raw.hex(), repr(raw)[2:-1], b64encode(raw), *rows[2:8]):
            assert text not in told


def test_a_share_that_none_can_be_is_refused() -> None:
    for changes in ({"threshold": 1}, {"index": 0}, {"index": 33}, {"set_id": b""}, {"store": b"x"}):
        with pytest.raises(FormatError):
            replaced(SHARES[0], **changes)


def test_numbers_that_make_no_sense_make_no_slot() -> None:
    with pytest.raises(SettingsError):
        share_slot(ROOT, threshold=6, shares=5)


class TestVectors:
    """tests/vectors/recovery-1, which no commit edits: what was printed once opens for ever."""

    vectors = json.loads((Path(__file__).parents[1] / "vectors" / "recovery-1" / "shares.json").read_text())

    def test_any_three_of_the_shares_open_the_slot(self) -> None:
        vectors = self.vectors
        root = Root.from_line(SecretBytes(vectors["root_line"].encode()))
        slot = HpkeSlot(
            label="recovery",
            suite="x25519",
            public=b64decode(vectors["public"]),
            sealed=b64decode(vectors["sealed"]),
        )
        for some in itertools.combinations(vectors["shares"], 3):
            text = "\n".join("\n".join(share["rows"]) for share in some)
            identity = join_shares(read_shares(SecretBytes(text.encode())), (slot,), store=root.store)
            assert b64encode(identity.private.reveal()) == vectors["private"]
            assert slot.open(identity.private, root.ref).id == root.id

    def test_the_same_coefficients_give_the_same_shares_in_the_same_words(self) -> None:
        vectors = self.vectors
        rows = iter([b64decode(each) for each in vectors["coefficients"]])
        bodies = split(
            SecretBytes(b64decode(vectors["private"])), threshold=3, shares=5, random=lambda length: next(rows)[:length]
        )
        for share in vectors["shares"]:
            assert b64encode(bodies[share["index"]].reveal()) == share["body"]
            made = Share(
                store=b64decode(vectors["store"])[:6],
                set_id=b64decode(vectors["set"]),
                threshold=3,
                index=share["index"],
                body=bodies[share["index"]],
            )
            assert [row.reveal().decode() for row in made.rows()] == share["rows"]
