"""Passphrases: where they come from, what becomes of them, and which are refused."""

from __future__ import annotations

import math
import os
import re
import unicodedata
from pathlib import Path

import pytest

from strongroom.errors import IdentityError, PassphraseError
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.passphrases import (
    check_strength,
    generate_passphrase,
    passphrase_from_descriptor,
    passphrase_from_file,
    passphrase_from_prompt,
    passphrase_from_text,
)


class TestGenerated:
    def test_it_has_80_bits_in_four_groups_without_look_alikes(self) -> None:
        made = generate_passphrase().reveal().decode()
        assert re.fullmatch(r"(?:[0-9a-hjkmnp-tv-z]{4}-){3}[0-9a-hjkmnp-tv-z]{4}", made)
        assert 16 * math.log2(32) == 80

    def test_each_character_of_the_alphabet_comes_up(self) -> None:
        seen = set("".join(generate_passphrase().reveal().decode() for _ in range(200)))
        assert seen == set("0123456789abcdefghjkmnpqrstvwxyz-")

    def test_it_is_strong_enough_and_never_the_same(self) -> None:
        made = [generate_passphrase() for _ in range(50)]
        for each in made:
            check_strength(each)
        assert len({each.reveal() for each in made}) == 50


class TestStrength:
    @pytest.mark.parametrize("weak", ["short", "a" * 40, "abcdeabcdeabcdeabcde", "fourteen chars"])
    def test_one_that_can_be_guessed_is_refused_without_quoting_it(self, weak: str) -> None:
        with pytest.raises(PassphraseError) as caught:
            check_strength(SecretBytes(weak.encode()))
        assert weak not in str(caught.value)
        assert "strongroom" in caught.value.hint

    def test_fifteen_characters_do(self) -> None:
        check_strength(SecretBytes(b"fifteen chars !"))
        check_strength(SecretBytes("пятнадцать букв".encode()))  # characters are counted, not bytes


class TestSources:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            (b"correct horse", "correct horse"),
            (b"correct horse\n", "correct horse"),
            (b"correct horse\r\n", "correct horse"),
            (b" correct horse \n", " correct horse "),
            ("caf\u00e9".encode(), "caf\u00e9"),
            (unicodedata.normalize("NFD", "caf\u00e9").encode(), "caf\u00e9"),
        ],
    )
    def test_every_source_gives_the_same_bytes(self, tmp_path: Path, written: bytes, meant: str) -> None:
        path = tmp_path / "passphrase"
        path.write_bytes(written)
        path.chmod(0o600)
        reader, writer = os.pipe()
        os.write(writer, written)
        os.close(writer)
        given = [
            passphrase_from_file(path),
            passphrase_from_text(written.decode()),
            passphrase_from_prompt(written.decode),
            passphrase_from_descriptor(reader),
        ]
        os.close(reader)
        assert [each.reveal() for each in given] == [meant.encode()] * 4

    @pytest.mark.parametrize(
        "written", [b"", b"\n", b"two\nlines", b"two\n\n", b"caf\xe9", b"a\0b", b"a\tb", b"x" * 1025, b"a\xe2\x80\xa8b"]
    )
    def test_what_is_not_one_line_of_text_is_refused(self, written: bytes) -> None:
        with pytest.raises(PassphraseError) as caught:
            passphrase_from_text(written.decode("utf-8", "surrogateescape"))
        assert "xxx" not in str(caught.value)

    def test_nobody_at_the_prompt_is_an_error_of_ours(self) -> None:
        def nobody() -> str:
            raise EOFError

        with pytest.raises(PassphraseError, match="no passphrase") as caught:
            passphrase_from_prompt(nobody)
        assert "STRONGROOM_PASSPHRASE_FILE" in caught.value.hint

    def test_a_passphrase_file_that_others_can_read_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "passphrase"
        path.write_bytes(b"correct horse")
        path.chmod(0o644)
        with pytest.raises(IdentityError, match="passphrase file"):
            passphrase_from_file(path)
