"""What gpg says on its status descriptor (GnuPG doc/DETAILS), and when a decryption counts. stderr decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from strongroom.errors import OpenPGPError

MAX_STATUS = 1024 * 1024
"""Bytes of status lines: a message with a thousand recipients needs some 200 kB."""

_PREFIX = b"[GNUPG:] "
_ONCE = ("BEGIN_DECRYPTION", "PLAINTEXT", "DECRYPTION_OKAY", "END_DECRYPTION")
_FAILURES = frozenset({"DECRYPTION_FAILED", "BADMDC", "ERROR", "FAILURE", "NODATA", "UNEXPECTED", "BADARMOR"})
_BINARY = "62"  # the literal packet's mode, in hex: b


@dataclass(frozen=True, slots=True)
class Line:
    """One status line: a keyword and its words, still percent-escaped as gpg wrote them."""

    keyword: str
    words: tuple[str, ...]

    def word(self, index: int) -> str:
        """The word at this place; empty where the line has fewer."""
        return self.words[index] if index < len(self.words) else ""


@dataclass(frozen=True, slots=True)
class Status:
    """All status lines of one run, in order."""

    lines: tuple[Line, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Split at line feeds alone; OpenPGPError for anything that is not a status line.

        gpg escapes control characters in file names and user ids before they reach this descriptor, so a line is
        what gpg meant to say (CVE-2018-12020 was about stderr sharing it).
        """
        if len(raw) > MAX_STATUS:
            raise OpenPGPError(f"gpg wrote more than {MAX_STATUS} bytes of status")
        lines = []
        for line in raw.split(b"\n"):
            if not line:
                continue
            words = line.removeprefix(_PREFIX).decode("utf-8", "backslashreplace").split(" ")
            if not line.startswith(_PREFIX) or not words[0]:
                raise OpenPGPError(f"gpg wrote a status line that is none: {line[:60]!r}")
            lines.append(Line(words[0], tuple(words[1:])))
        return cls(tuple(lines))

    def of(self, keyword: str) -> tuple[Line, ...]:
        """The lines with this keyword."""
        return tuple(line for line in self.lines if line.keyword == keyword)

    def accepts_decryption(self, *, returncode: int, length: int) -> bool:
        """Whether `length` bytes of output are the whole, authentic plaintext of one message.

        gpg's exit code alone accepts truncated, literal-only and signed-only messages, and DECRYPTION_OKAY alone
        accepts bombs, trailing garbage and concatenated messages; only all of this together accepts none.
        """
        words = [line.keyword for line in self.lines]
        if returncode != 0 or length == 0 or any(words.count(word) != 1 for word in _ONCE):
            return False
        places = [words.index(word) for word in _ONCE]
        if places != sorted(places) or self._failed(before=places[0]):
            return False
        return self._intact() and self._length_fits(length)

    def _failed(self, *, before: int) -> bool:
        # With several secret keys gpg tries them in turn: that one of them could not be used, said before the
        # message's decryption began, is no flaw of the message.
        return any(
            line.keyword in _FAILURES
            and not (place < before and line.keyword == "ERROR" and line.word(0) == "pkdecrypt_failed")
            for place, line in enumerate(self.lines)
        )

    def _intact(self) -> bool:
        """An MDC that was checked, or AEAD, which gpg checks chunk by chunk (DECRYPTION_INFO's third word)."""
        if self.of("GOODMDC"):
            return True
        info = self.of("DECRYPTION_INFO")
        return len(info) == 1 and info[0].word(2) not in ("", "0")

    def _length_fits(self, length: int) -> bool:
        """Text mode may drop carriage returns; binary plaintext has the length that gpg announced, if it did."""
        if self.of("PLAINTEXT")[0].word(0) != _BINARY:
            return True
        return all(line.word(0) == str(length) for line in self.of("PLAINTEXT_LENGTH"))
