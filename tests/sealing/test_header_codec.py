"""The header's bytes: one spelling, authentic under one root, and refused before a key is touched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from strongroom.errors import ForeignStoreError, FormatError, NewerFormatError, PolicyError, StrongroomError
from strongroom.model.names import parse_name
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header import Header, Pending
from strongroom.sealing.header_codec import MAX_HEADER, decode_header, encode_header
from strongroom.sealing.root import Root
from strongroom.sealing.slots import DevelopmentSlot
from tests.sealing.builders import (
    FOREIGN,
    FORGED,
    KEY,
    NEXT,
    ROOT,
    STORE,
    flipped,
    header,
    hpke_slot,
    passphrase_slot,
    recipient,
    rsa_slot,
)


def full() -> Header:
    return header(
        passphrase_slot(), rsa_slot(), hpke_slot(), recipients=(recipient("A"), recipient("B", "Zoë ✓ <z@x.org>"))
    )


def respelled(change: Callable[[dict[str, Any]], object]) -> bytes:
    """A header that says something else, in the one spelling, with its old MAC."""
    value = json.loads(encode_header(full(), ROOT))
    change(value)
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


class TestRoundTrip:
    @pytest.mark.parametrize(
        "made",
        [
            full(),
            header(DevelopmentSlot.create(ROOT)),
            header(hpke_slot(suite="mlkem768-x25519")),
            full().with_registered(True).with_propagation(0),
        ],
        ids=["full", "development", "post-quantum", "changed"],
    )
    def test_it_comes_back_as_it_was(self, made: Header) -> None:
        read = decode_header(encode_header(made, ROOT))
        assert read.claims == made
        assert read.verify(ROOT) == made

    def test_a_rotated_one_too(self) -> None:
        made = full().rotated(ROOT, NEXT, pending=[])
        assert decode_header(encode_header(made, NEXT)).verify(NEXT) == made

    def test_it_is_one_field_a_line_with_the_mac_last(self) -> None:
        lines = encode_header(full(), ROOT).decode().split("\n")
        assert lines[:3] == ["{", '  "format": "strongroom/1 store",', '  "store": "AAECAwQFBgcICQoLDA0ODw",']
        assert re.fullmatch(r'  "mac": "[\w-]{43}"', lines[-3])
        assert lines[-2:] == ["}", ""]

    def test_ten_thousand_pending_records_fit(self) -> None:
        pending = [
            Pending(name=parse_name(f"team-{n % 50}/a-rather-long-name-{n:05}"), mac=b"m" * 32) for n in range(10_000)
        ]
        made = full().rotated(ROOT, NEXT, pending=pending)
        assert decode_header(encode_header(made, NEXT)).verify(NEXT) == made


class TestAuthenticity:
    def test_no_bit_of_it_may_change(self) -> None:
        raw = encode_header(header(rsa_slot()), ROOT)
        for bit in range(len(raw) * 8):
            with pytest.raises(StrongroomError):
                decode_header(flipped(raw, bit)).verify(ROOT)

    @pytest.mark.parametrize(
        "other",
        [
            FORGED,
            NEXT,
            Root(SecretBytes(KEY), store=STORE, number=2),
        ],
    )
    def test_another_root_does_not_vouch_for_it(self, other: Root) -> None:
        with pytest.raises(ForeignStoreError):
            decode_header(encode_header(full(), ROOT)).verify(other)

    def test_a_root_of_another_store_is_foreign(self) -> None:
        with pytest.raises(ForeignStoreError):
            decode_header(encode_header(full(), ROOT)).verify(FOREIGN)

    @pytest.mark.parametrize("other", [FORGED, NEXT, FOREIGN])
    def test_it_is_signed_by_its_own_root_only(self, other: Root) -> None:
        with pytest.raises(ForeignStoreError):
            encode_header(full(), other)

    @pytest.mark.parametrize(
        "change",
        [
            lambda v: v["recipients"].pop(),
            lambda v: v["recipients"][0]["subkeys"].append("D" * 40),
            lambda v: v.update(revision=2),
            lambda v: v.update(propagation="0s"),
            lambda v: v.update(registered=True),
            lambda v: v["roots"][0]["slots"].pop(),
            lambda v: v.update(created="2001-01-01T00:00:00.000Z"),
        ],
    )
    def test_what_it_says_cannot_be_changed_without_the_root(self, change: Callable[[dict[str, Any]], object]) -> None:
        read = decode_header(respelled(change))
        with pytest.raises(StrongroomError, match="not authentic"):
            read.verify(ROOT)


class TestWhatIsRefusedUnseen:
    @pytest.mark.parametrize(
        "change",
        [
            lambda v: v.update(extra=1),
            lambda v: v.pop("registered"),
            lambda v: v.update(revision="1"),
            lambda v: v.update(revision=0),
            lambda v: v.update(revision=1.5),
            lambda v: v.update(registered=0),
            lambda v: v.update(root=2),
            lambda v: v.update(store=v["store"] + "="),
            lambda v: v.update(store="AAAA"),
            lambda v: v.update(propagation="24h"),
            lambda v: v.update(propagation="soon"),
            lambda v: v.update(created="2026-11-23"),
            lambda v: v.update(roots=[]),
            lambda v: v["roots"][0].update(id="AAAA"),
            lambda v: v["roots"][0].update(slots=[]),
            lambda v: v["roots"][0].update(link="AAAA"),
            lambda v: v["roots"][0]["slots"][0].update(file="../../.git/config"),
            lambda v: v["roots"][0]["slots"][0].update(kind="shares"),
            lambda v: v["roots"][0]["slots"][0].update(more=True),
            lambda v: v["recipients"][0].update(fingerprint="alice@example.org"),
            lambda v: v["recipients"][0].update(name="\x1b[31mred"),
            lambda v: v.update(pending=[{"name": "../evil", "mac": "A" * 43}]),
            lambda v: v.update(mac="A" * 42),
            lambda v: v.update(mac=v.pop("mac"), format=v["format"]) or v.update(mac="A" * 42 + "B"),
            lambda v: v.update(format="strongroom/1 record"),
        ],
    )
    def test_what_no_header_can_say(self, change: Callable[[dict[str, Any]], object]) -> None:
        with pytest.raises(FormatError):
            decode_header(respelled(change))

    @pytest.mark.parametrize(
        "change",
        [
            lambda raw: raw.replace(b"\n", b"\r\n"),
            lambda raw: raw + b"\n",
            lambda raw: raw[:-1],
            lambda raw: b"\xef\xbb\xbf" + raw,
            lambda raw: raw.replace(b'"revision": 1', b'"revision":  1'),
            lambda raw: raw.replace(b'"revision": 1', b'"revision": 1,\n  "revision": 1'),
            lambda raw: raw.replace(b"strongroom/1", b"strongroom\\/1", 1),
            lambda raw: raw.replace(b"Zo\xc3\xab", b"Zo\\u00eb"),
            lambda raw: raw.replace(b"Zo\xc3\xab", b"Zo\xeb"),
            lambda raw: b"<<<<<<< ours\n" + raw,
            lambda raw: b"",
            lambda raw: b"null",
            lambda raw: b"[" * 100_000,
            lambda raw: b'{"format":' * 50_000,
            lambda raw: raw.replace(b'"revision": 1', b'"revision": ' + b"9" * 5000),
            lambda raw: raw + b" " * MAX_HEADER,
        ],
    )
    def test_any_other_spelling(self, change: Callable[[bytes], bytes]) -> None:
        with pytest.raises(FormatError):
            decode_header(change(encode_header(full(), ROOT)))

    def test_a_newer_format_is_named(self) -> None:
        with pytest.raises(NewerFormatError, match="format 12"):
            decode_header(respelled(lambda v: v.update(format="strongroom/12 store", new={"fields": []})))

    @pytest.mark.parametrize(
        "cost",
        [
            {"memory_kib": 1_048_577},
            {"iterations": 11},
            {"lanes": 17},
            {"memory_kib": 1},
            {"iterations": 0},
            {"lanes": 0},
        ],
    )
    def test_costs_beyond_the_caps_before_they_are_paid(self, cost: dict[str, int]) -> None:
        with pytest.raises(PolicyError, match="Argon2id"):
            decode_header(respelled(lambda v: v["roots"][0]["slots"][1].update(cost)))

    def test_the_message_of_a_hostile_field_is_quoted(self) -> None:
        with pytest.raises(FormatError) as caught:
            decode_header(respelled(lambda v: v.update({"\x1b[2J": 1})))
        assert "\x1b" not in str(caught.value)

    @pytest.mark.parametrize(
        ("change", "said", "hint"),
        [
            (lambda raw: raw.replace(b"\n", b"\r\n"), "CRLF", ".gitattributes"),
            (lambda raw: raw.replace(b"{\n", b"{\n<<<<<<< ours\n", 1), "conflict markers at line 2", "git checkout"),
            (lambda raw: raw.replace(b"strongroom/1 store", b"strongroom/1 record"), "a record", ""),
            (lambda raw: raw.replace(b'"revision": 1', b'"revision":  1'), "from line 5", "git checkout"),
            (lambda raw: b"", "empty", "git checkout"),
        ],
    )
    def test_what_git_and_editors_do_is_named(self, change: Callable[[bytes], bytes], said: str, hint: str) -> None:
        with pytest.raises(FormatError, match=said) as caught:
            decode_header(change(encode_header(full(), ROOT)))
        assert hint in caught.value.hint
