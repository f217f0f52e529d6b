"""The root: what it seals opens in its place only, and it never shows itself."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom._encoding import encode_fields
from strongroom.errors import ForeignStoreError, FormatError, IntegrityError, NewerFormatError
from strongroom.model.names import KeyId, RootId, parse_name
from strongroom.model.types import KeyType, Purpose
from strongroom.primitives.kdf import hkdf_sha256
from strongroom.primitives.secret import SecretBytes
from strongroom.primitives.wrapping import pad64, wrap
from strongroom.sealing.root import Root, RootRef, matching
from tests.sealing.builders import FOREIGN, FORGED, KEY, MATERIAL, NEXT, PLACE, ROOT, STORE, flipped, same


class TestTheRootLine:
    def test_it_says_format_store_number_and_key(self) -> None:
        assert ROOT.line().reveal() == (
            b"strongroom/1 root AAECAwQFBgcICQoLDA0ODw 1 ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8\n"
        )

    def test_it_reads_back_as_the_same_root(self) -> None:
        read = Root.from_line(ROOT.line())
        assert same(read, ROOT)
        assert read.ref == ROOT.ref

    @pytest.mark.parametrize(
        "line",
        [
            b"",
            b"\n",
            ROOT.line().reveal().rstrip(b"\n"),
            ROOT.line().reveal() + b"\n",
            b" " + ROOT.line().reveal(),
            ROOT.line().reveal().replace(b"\n", b"\r\n"),
            ROOT.line().reveal().replace(b" 1 ", b" 01 "),
            ROOT.line().reveal().replace(b" 1 ", b" 0 "),
            ROOT.line().reveal().replace(b" 1 ", b" -1 "),
            ROOT.line().reveal().replace(b" 1 ", b" 1234567890 "),
            ROOT.line().reveal().replace(b" 1 ", b"  1 "),
            ROOT.line().reveal().replace(b"Pj8\n", b"Pj9\n"),  # another spelling of the same 32 bytes
            ROOT.line().reveal().replace(b"ODw ", b"ODx "),
            ROOT.line().reveal().replace(b"Pj8\n", b"Pj8=\n"),
            b"strongroom/1 root " + b"A" * 1000,
        ],
    )
    def test_any_other_spelling_is_refused_without_quoting_it(self, line: bytes) -> None:
        with pytest.raises(FormatError) as caught:
            Root.from_line(SecretBytes(line))
        assert "ICEiIyQ" not in str(caught.value)

    def test_a_newer_format_is_named(self) -> None:
        line = SecretBytes(ROOT.line().reveal().replace(b"strongroom/1", b"strongroom/2"))
        with pytest.raises(NewerFormatError, match="format 2"):
            Root.from_line(line)

    @pytest.mark.parametrize("length", [0, 16, 31, 33])
    def test_a_root_has_256_bits(self, length: int) -> None:
        with pytest.raises(FormatError, match="32"):
            Root(SecretBytes(b"k" * length), store=STORE, number=1)

    def test_generated_roots_differ(self) -> None:
        assert Root.generate(STORE).id != Root.generate(STORE).id


class TestAVersion:
    @pytest.mark.parametrize("kind", list(KeyType))
    @pytest.mark.parametrize("length", [1, 32, 63, 64, 65, 3000])
    def test_opens_where_it_was_sealed(self, kind: KeyType, length: int) -> None:
        place: dict[str, Any] = {**PLACE, "type": kind}
        sealed = ROOT.seal(SecretBytes(b"\x80" * length), **place)
        assert ROOT.open(sealed, **place).reveal() == b"\x80" * length

    @pytest.mark.parametrize(
        "moved",
        [
            {"name": parse_name("student-record")},
            {"name": parse_name("student-records/a")},
            {"key_id": KeyId(0x1A2B3C4E)},
            {"type": KeyType.AES256_GCM},
            {"purpose": Purpose.MAC},
        ],
    )
    def test_moved_to_another_place_it_does_not_open(self, moved: dict[str, Any]) -> None:
        sealed = ROOT.seal(MATERIAL, **PLACE)
        with pytest.raises(IntegrityError):
            ROOT.open(sealed, **{**PLACE, **moved})

    @pytest.mark.parametrize("other", [NEXT, FORGED, FOREIGN, Root(SecretBytes(KEY), store=STORE, number=2)])
    def test_it_opens_under_its_own_root_only(self, other: Root) -> None:
        sealed = ROOT.seal(MATERIAL, **PLACE)
        with pytest.raises(IntegrityError):
            other.open(sealed, **PLACE)

    @pytest.mark.parametrize("kind", list(KeyType))
    @pytest.mark.parametrize("purpose", list(Purpose))
    def test_the_context_is_the_five_names_behind_their_lengths(self, kind: KeyType, purpose: Purpose) -> None:
        context = encode_fields(
            b"strongroom/1 version", STORE, ROOT.id, b"a/b", b"\0\0\0\7", kind.value.encode(), purpose.value.encode()
        )
        key = hkdf_sha256(SecretBytes(KEY), salt=STORE, info=b"strongroom/1 wrap 1", length=32)
        stored = SecretBytes(pad64(MATERIAL.reveal())) if kind is KeyType.SECRET else MATERIAL
        sealed = wrap(key, stored, context=context)
        opened = ROOT.open(sealed, name=parse_name("a/b"), key_id=KeyId(7), type=kind, purpose=purpose)
        assert opened == MATERIAL

    def test_no_bit_of_it_may_change(self) -> None:
        sealed = ROOT.seal(MATERIAL, **PLACE)
        for bit in range(len(sealed) * 8):
            with pytest.raises(IntegrityError):
                ROOT.open(flipped(sealed, bit), **PLACE)

    def test_no_byte_may_be_missing_or_added(self) -> None:
        sealed = ROOT.seal(MATERIAL, **PLACE)
        for changed in [sealed + b"\0", *(sealed[:length] for length in range(len(sealed)))]:
            with pytest.raises(IntegrityError):
                ROOT.open(changed, **PLACE)

    def test_equal_secrets_do_not_show(self) -> None:
        assert ROOT.seal(MATERIAL, **PLACE) != ROOT.seal(MATERIAL, **PLACE)

    @pytest.mark.parametrize(("length", "steps"), [(0, 1), (1, 1), (63, 1), (64, 2), (127, 2), (128, 3)])
    def test_a_secrets_length_shows_in_steps_of_64_bytes(self, length: int, steps: int) -> None:
        place: dict[str, Any] = {**PLACE, "type": KeyType.SECRET, "purpose": Purpose.SECRET}
        sealed = ROOT.seal(SecretBytes(b"x" * length), **place)
        assert len(sealed) == 32 + 32 + 64 * steps + 16
        assert len(ROOT.open(sealed, **place)) == length

    @given(st.binary(max_size=300))
    @settings(max_examples=100)
    def test_whatever_a_secret_ends_with_comes_back(self, raw: bytes) -> None:
        place: dict[str, Any] = {**PLACE, "type": KeyType.SECRET, "purpose": Purpose.SECRET}
        assert ROOT.open(ROOT.seal(SecretBytes(raw), **place), **place).reveal() == raw


class TestMacs:
    def test_a_record_mac_is_not_a_header_mac(self) -> None:
        body = b"some bytes"
        assert len({ROOT.record_mac(body), ROOT.header_mac(body), NEXT.record_mac(body), FOREIGN.record_mac(body)}) == 4

    def test_the_right_one_is_taken_and_every_other_refused(self) -> None:
        body, mac = b"some bytes", ROOT.record_mac(b"some bytes")
        ROOT.check_record(body, mac)
        for bit in range(256):
            with pytest.raises(IntegrityError):
                ROOT.check_record(body, flipped(mac, bit))
        for wrong in [b"", mac[:31], mac + b"\0"]:
            with pytest.raises(IntegrityError):
                ROOT.check_record(body, wrong)
        with pytest.raises(IntegrityError):
            ROOT.check_header(body, mac)
        ROOT.check_header(body, ROOT.header_mac(body))


class TestTheNextRoot:
    def test_the_older_one_vouches_for_it(self) -> None:
        ROOT.check_link(NEXT.id, ROOT.link(NEXT.id))
        for wrong in (FORGED.link(NEXT.id), ROOT.link(FORGED.id), NEXT.link(NEXT.id)):
            with pytest.raises(IntegrityError):
                ROOT.check_link(NEXT.id, wrong)

    def test_it_keeps_the_older_one(self) -> None:
        assert same(NEXT.open_older(NEXT.seal_older(ROOT), ROOT.ref), ROOT)

    def test_the_older_one_opens_as_itself_only(self) -> None:
        sealed = NEXT.seal_older(ROOT)
        for wrong in (FORGED.ref, FOREIGN.ref, NEXT.ref):
            with pytest.raises(IntegrityError):
                NEXT.open_older(sealed, wrong)
        with pytest.raises(IntegrityError):
            ROOT.open_older(sealed, ROOT.ref)


class TestMatching:
    def test_the_named_root_is_taken(self) -> None:
        assert same(matching(ROOT.line(), ROOT.ref), ROOT)

    def test_a_root_of_another_store_is_foreign(self) -> None:
        with pytest.raises(ForeignStoreError):
            matching(FOREIGN.line(), ROOT.ref)

    @pytest.mark.parametrize("other", [FORGED, NEXT, Root(SecretBytes(KEY), store=STORE, number=2)])
    def test_another_root_of_this_store_is_refused(self, other: Root) -> None:
        with pytest.raises(IntegrityError):
            matching(other.line(), ROOT.ref)

    @pytest.mark.parametrize(("store", "number", "root"), [(15, 1, 16), (16, 0, 16), (16, 1, 17), (16, 10**9, 16)])
    def test_a_reference_is_checked(self, store: int, number: int, root: int) -> None:
        with pytest.raises(FormatError):
            RootRef(store=STORE[:store], number=number, id=RootId(bytes(root)))  # type: ignore[arg-type]  # of length 15


class TestSilence:
    def test_it_shows_no_key(self) -> None:
        shown = f"{ROOT!r} {ROOT} {ROOT.line()!r}"
        for spelled in (KEY.hex(), repr(KEY), "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"):
            assert spelled not in shown
        assert "root 1" in shown

    def test_it_is_neither_pickled_nor_copied(self) -> None:
        for refused in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError):
                refused(ROOT)
