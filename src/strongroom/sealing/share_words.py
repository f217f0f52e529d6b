"""A share as words that a person can write down, read out and type. What is mistyped is found in its row.

docs/reference/recovery.md, section "Words". There is no list to look up: a word follows from its ten bits by a rule, as
three consonants and two vowels. The last two letters check the first three, and the last word of each row checks the
row, so a slip of the pen is told by row and word, and no wrong share is taken for a right one.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from strongroom.errors import FormatError
from strongroom.primitives.secret import SecretBytes

ROWS: Final = 10
WORDS: Final = 5
"""Words a row: four for five bytes, and one that checks them."""
LENGTH: Final = 50
"""Bytes that the words of one share hold."""

_CONSONANTS: Final = "bdfgjklmnprstvwz"
_VOWELS: Final = "aeio"
_HINT: Final = "compare it with the paper; each row ends in a word that checks it"
_PIECE: Final = re.compile(rb"[a-z]+")
_ROW_NUMBER: Final = re.compile(rb"^\s*[0-9]{1,2}[.:)]?(?=\s|$)", re.MULTILINE)
_COMMENT: Final = re.compile(rb"#[^\n]*")


def spell_row(number: int, row: SecretBytes) -> SecretBytes:
    """Row `number` (from 1) of a share, five bytes, as five words with a blank between."""
    return _row_of(number, row)


def spell(share: SecretBytes) -> tuple[SecretBytes, ...]:
    """The rows of a share's fifty bytes."""
    return tuple(_row_of(number, _part(share, number)) for number in range(1, ROWS + 1))


def read_row(number: int, text: SecretBytes) -> SecretBytes:
    """The five bytes of row `number`. FormatError, which says which word is wrong and never quotes it.

    Case, blanks, line ends, hyphens and a row number in front do not matter.
    """
    words = _words(text)
    if len(words) != WORDS:
        raise FormatError(f"row {number} has {len(words)} words, not {WORDS}", hint=_HINT)
    return _checked_row(number, words)


def read(text: SecretBytes) -> tuple[SecretBytes, ...]:
    """The fifty bytes of each share in a text, one after another. Lines that begin with # are comments. FormatError."""
    words = _words(text)
    whole = ROWS * WORDS
    if not words or len(words) % whole:
        shares, more = divmod(len(words), whole)
        have = f"{len(words)} words" if not shares else f"{shares} shares and {more} words more"
        raise FormatError(f"there are {have}; a share has {whole} words: {ROWS} rows of {WORDS}", hint=_HINT)
    found = []
    for start in range(0, len(words), whole):
        rows = [
            _checked_row(number, words[start + (number - 1) * WORDS : start + number * WORDS])
            for number in range(1, ROWS + 1)
        ]
        found.append(_joined(rows))
    return tuple(found)


def _checked_row(number: int, words: list[SecretBytes]) -> SecretBytes:
    for place, word in enumerate(words, start=1):
        if not _is_word(word):
            raise FormatError(f"row {number}, word {place} is not a word of a share", hint=_HINT)
    row = _row_of_words(words)
    if not _is_right(number, row, words[-1]):
        raise FormatError(
            f"row {number} is not right: a word in it is another one, or the rows changed places", hint=_HINT
        )
    return row


# Plain text of a share lives below this line only, in functions that do not raise (STYLE section 6).


def _words(text: SecretBytes) -> list[SecretBytes]:
    plain = _ROW_NUMBER.sub(b" ", _COMMENT.sub(b" ", text.reveal().lower()))
    return [SecretBytes(piece) for piece in re.split(rb"[\s-]+", plain) if piece]


def _spelled(value: int) -> str:
    """The word of ten bits. One letter changed in it never gives another word."""
    first, vowel, last = value >> 6, value >> 4 & 3, value & 15
    return "".join(
        (
            _CONSONANTS[first],
            _VOWELS[vowel],
            _CONSONANTS[last],
            _VOWELS[(vowel + first + last) & 3],
            _CONSONANTS[(first + 3 * last + 5 * vowel + 1) & 15],
        )
    )


def _value(word: SecretBytes) -> int:
    """The ten bits of a word, by its first three letters; 0 where they are none."""
    text = word.reveal().decode("ascii", "replace")
    first, vowel, last = (
        letters.find(text[place : place + 1] or "?")
        for place, letters in enumerate((_CONSONANTS, _VOWELS, _CONSONANTS))
    )
    return max(first, 0) << 6 | max(vowel, 0) << 4 | max(last, 0)


def _is_word(word: SecretBytes) -> bool:
    return _PIECE.fullmatch(word.reveal()) is not None and word.reveal() == _spelled(_value(word)).encode("ascii")


def _part(share: SecretBytes, number: int) -> SecretBytes:
    return SecretBytes(share.reveal()[(number - 1) * 5 : number * 5])


def _row_of(number: int, row: SecretBytes) -> SecretBytes:
    bits = int.from_bytes(row.reveal(), "big")
    values = [bits >> shift & 1023 for shift in (30, 20, 10, 0)]
    return SecretBytes(" ".join(map(_spelled, (*values, _check(number, row)))).encode("ascii"))


def _row_of_words(words: list[SecretBytes]) -> SecretBytes:
    bits = 0
    for word in words[:4]:
        bits = bits << 10 | _value(word)
    return SecretBytes(bits.to_bytes(5, "big"))


def _check(number: int, row: SecretBytes) -> int:
    digest = hashlib.sha256(b"strongroom/1 share row %d " % number + row.reveal()).digest()
    return int.from_bytes(digest[:2], "big") >> 6


def _is_right(number: int, row: SecretBytes, word: SecretBytes) -> bool:
    return _value(word) == _check(number, row)


def _joined(rows: list[SecretBytes]) -> SecretBytes:
    return SecretBytes(b"".join(row.reveal() for row in rows))
