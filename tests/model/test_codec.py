"""Records as bytes: one spelling, everything else a FormatError, never an exception of somebody else's."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from strongroom._encoding import Timestamp
from strongroom.errors import FormatError, NewerFormatError, PolicyError, StrongroomError
from strongroom.model.codec import MAX_RECORD, decode, encode, encode_body, join
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeysetName, RootId
from strongroom.model.policy import Policy
from strongroom.model.record import Record
from strongroom.model.types import KeyType, Purpose
from tests.model.building import MAC, NAME, NOW, ROOT, keyset, keysets, record, version

DAY = 86_400

# The file of the keyset that `sample` makes, typed and not computed: a change of the format must change this text.
SAMPLE = """\
{
  "format": "strongroom/1 record",
  "root": "AAECAwQFBgcICQoLDA0ODw",
  "name": "student-records",
  "type": "ed25519",
  "purpose": "sign",
  "revision": 4,
  "policy": {
    "rotate_every": "90d",
    "propagation": "2w",
    "exportable": false
  },
  "labels": {
    "office": "Zürich",
    "owner": "registrar \\"A\\""
  },
  "versions": [
    {
      "number": 1,
      "key_id": "10000001",
      "state": "destroyed",
      "created": "2026-11-18T11:06:40.123Z",
      "promote_at": "2026-11-18T11:06:40.123Z",
      "changed": "2026-11-20T11:06:40.123Z",
      "reason": "end of life",
      "prefix": "none",
      "public": "cHVibGljIDE",
      "sealed": null
    },
    {
      "number": 2,
      "key_id": "10000002",
      "state": "active",
      "created": "2026-11-18T11:06:40.123Z",
      "promote_at": "2026-11-19T11:06:40.123Z",
      "changed": "2026-11-19T11:06:40.123Z",
      "reason": null,
      "prefix": "none",
      "public": "cHVibGljIDI",
      "sealed": "c2VhbGVkIDI"
    },
    {
      "number": 3,
      "key_id": "10000003",
      "state": "pre-activation",
      "created": "2026-11-18T11:06:40.123Z",
      "promote_at": null,
      "changed": "2026-11-18T11:06:40.123Z",
      "reason": null,
      "prefix": "none",
      "public": "cHVibGljIDM",
      "sealed": "c2VhbGVkIDM"
    }
  ],
  "mac": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
}
""".encode()


def sample() -> Keyset:
    made = keyset(
        type=KeyType.ED25519,
        purpose=Purpose.SIGN,
        policy=Policy(rotate_every=90 * DAY, propagation=14 * DAY),
        labels={"owner": 'registrar "A"', "office": "Zürich"},
    )
    made = made.replacement(version(2, type=KeyType.ED25519), now=Timestamp(NOW + DAY * 1000))
    made = made.destroy(1, now=Timestamp(NOW + 2 * DAY * 1000), reason="end of life")
    return made.add(version(3, type=KeyType.ED25519))


def refuse(raw: bytes, *, name: str = NAME) -> FormatError:
    """The FormatError that these bytes give; any other exception, or none, fails the test."""
    with pytest.raises(FormatError) as refusal:
        decode(raw, name=KeysetName(name))
    error = refusal.value
    assert str(error).isprintable()
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return error


def edited(**fields: object) -> bytes:
    """The sample with fields replaced, spelled as the codec spells."""
    return spelled({**json.loads(SAMPLE), **fields})


def edited_version(**fields: object) -> bytes:
    """The sample with fields of its second version replaced."""
    first, second, third = json.loads(SAMPLE)["versions"]
    return edited(versions=[first, {**second, **fields}, third])


def spelled(value: object) -> bytes:
    """JSON with an indent of two, as the codec writes it, but by another hand."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


class TestSpelling:
    def test_a_record_is_written_as_the_page_says(self) -> None:
        assert encode(record(sample())) == SAMPLE
        assert spelled(json.loads(SAMPLE)) == SAMPLE

    def test_a_record_comes_back_whole(self) -> None:
        back = decode(SAMPLE, name=NAME)
        assert back == record(sample())
        assert back.keyset == sample()
        assert (back.root, back.mac) == (ROOT, MAC)

    def test_the_mac_covers_all_before_its_line(self) -> None:
        body = SAMPLE[: SAMPLE.rindex(b'  "mac": ')]
        assert body.endswith(b"],\n")
        assert encode_body(sample(), ROOT) == body
        assert decode(SAMPLE, name=NAME).body == body
        assert join(body, MAC) == SAMPLE

    def test_the_bytes_follow_from_the_values_alone(self) -> None:
        assert encode(Record(keyset=sample(), root=ROOT, mac=MAC, body=b"something else")) == SAMPLE

    @given(keysets(), st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32))
    def test_every_lawful_keyset_survives(self, held: Keyset, root: bytes, mac: bytes) -> None:
        written = Record(keyset=held, root=RootId(root), mac=mac)
        raw = encode(written)
        back = decode(raw, name=held.name)
        assert back == written
        assert back.body == encode_body(held, RootId(root)) == raw[: raw.rindex(b'  "mac": ')]
        assert spelled(json.loads(raw)) == raw

    def test_records_differ_by_what_they_say(self) -> None:
        held = record(sample())
        assert held != replace(held, mac=bytes(32))
        assert held != replace(held, root=RootId(bytes(16)))
        assert held != replace(held, keyset=sample().with_labels({}))
        assert held == replace(held, body=b"x")
        assert hash(held) == hash(replace(held, body=b"x"))
        assert held != SAMPLE

    def test_a_record_has_a_whole_root_id_and_mac(self) -> None:
        with pytest.raises(FormatError):
            Record(keyset=sample(), root=RootId(bytes(15)), mac=MAC)
        with pytest.raises(FormatError):
            Record(keyset=sample(), root=ROOT, mac=bytes(31))
        with pytest.raises(FormatError):
            join(b"", bytes(33))

    def test_a_shown_record_shows_no_sealed_bytes(self) -> None:
        assert repr(record(sample())) == (
            "<record of <keyset 'student-records' (ed25519), revision 4, 3 versions>"
            " under root 000102030405060708090a0b0c0d0e0f>"
        )


class TestStrictness:
    def test_a_file_is_either_another_canonical_record_or_refused_whatever_byte_changes(self) -> None:
        original = decode(SAMPLE, name=NAME)
        interesting = b'"{}[],: \n\r\t\\/A-_=0\x00\x7f\xc3\xff'
        taken = 0
        for at, byte in enumerate(SAMPLE):
            for other in {byte ^ (1 << bit) for bit in range(8)} | set(interesting) - {byte}:
                mutated = SAMPLE[:at] + bytes([other]) + SAMPLE[at + 1 :]
                try:
                    back = decode(mutated, name=NAME)
                except FormatError:
                    continue
                taken += 1
                assert back != original
                assert encode(back) == mutated
        assert taken > 100  # letters of base64, digits of dates: what only the MAC can find

    def test_no_byte_can_be_left_out_or_put_in_unnoticed(self) -> None:
        original = decode(SAMPLE, name=NAME)
        for at in range(len(SAMPLE) + 1):
            for mutated in (SAMPLE[:at] + SAMPLE[at + 1 :], SAMPLE[:at] + b" " + SAMPLE[at:], SAMPLE[:at]):
                if mutated == SAMPLE:
                    continue
                try:
                    back = decode(mutated, name=NAME)
                except FormatError:
                    continue
                assert back != original
                assert encode(back) == mutated

    @given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
    def test_noise_is_refused(self, raw: bytes) -> None:
        refuse(raw)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=8,
        ),
        st.sampled_from(sorted(json.loads(SAMPLE))),
    )
    def test_no_value_in_any_field_brings_a_foreign_exception(self, value: object, field: str) -> None:
        raw = json.dumps({**json.loads(SAMPLE), field: value}, indent=2).encode() + b"\n"
        if raw != SAMPLE:
            with contextlib.suppress(FormatError):
                assert encode(decode(raw, name=NAME)) == raw

    @pytest.mark.parametrize(
        "change",
        [
            lambda raw: raw.replace(b'  "revision": 4,\n', b'  "revision": 4,\n  "revision": 4,\n'),
            lambda raw: raw.replace(b'  "revision": 4,\n', b'  "revision": 9,\n  "revision": 4,\n'),
            lambda raw: raw.replace(b'"office": "Z', b'"office": "a",\n    "office": "Z'),
            lambda raw: raw.replace(b'  "revision": 4,\n', b""),
            lambda raw: raw.replace(b'  "revision": 4,\n', b'  "revision": 4,\n  "extra": 1,\n'),
            lambda raw: raw.replace(b'      "number": 2,\n', b'      "number": 2,\n      "extra": null,\n'),
            lambda raw: raw.replace(b'"exportable": false', b'"exportable": false,\n    "extra": 1'),
            lambda raw: raw.replace(b'"revision": 4', b'"revision": 4.0'),
            lambda raw: raw.replace(b'"revision": 4', b'"revision": 4e0'),
            lambda raw: raw.replace(b'"revision": 4', b'"revision": 04'),
            lambda raw: raw.replace(b'"revision": 4', b'"revision": "4"'),
            lambda raw: raw.replace(b'"revision": 4', b'"revision": true'),
            lambda raw: raw.replace(b'"revision": 4', b'"revision": -4'),
            lambda raw: raw.replace(b'"revision": 4', b'"revision": ' + b"9" * 5000),
            lambda raw: raw.replace(b"end of life", b"end of lif\\u0065"),
            lambda raw: raw.replace("ü".encode(), b"\\u00fc"),
            lambda raw: raw.replace("ü".encode(), b"\xfc"),
            lambda raw: raw.replace("ü".encode(), b"\\ud800"),
            lambda raw: raw.replace("ü".encode(), b"\xed\xa0\x80"),
            lambda raw: raw.replace(b"end of life", b"end\\nof life"),
            lambda raw: raw.replace(b'\n  "', b'\n\t"'),
            lambda raw: raw.replace(b'": ', b'":'),
            lambda raw: json.dumps(json.loads(raw)).encode(),
            lambda raw: raw.rstrip(b"\n"),
            lambda raw: raw + b"\n",
            lambda raw: raw + b" ",
            lambda raw: raw + b"\x00",
            lambda raw: raw + raw,
            lambda raw: b" " + raw,
            lambda raw: b"\n" + raw,
            lambda raw: b"[" + raw + b"]",
            lambda raw: raw[: len(raw) // 2],
            lambda raw: b"{}",
            lambda raw: b"null",
            lambda raw: b"[]\n",
            lambda raw: b'"x"',
            lambda raw: raw.decode().encode("utf-16"),
            lambda raw: raw.replace(b"{\n", b"{ // a comment\n", 1),
            lambda raw: raw.replace(b'"labels": {', b'"labels": ' + b'{"a":' * 100_000 + b"{"),
            lambda raw: raw.replace(b'"versions": [', b'"versions": ' + b"[" * 100_000),
            lambda raw: raw.replace(b'"revision": 4', b'"extra": ' + b"[" * 100_000 + b"]" * 100_000),
        ],
    )
    def test_another_spelling_of_the_same_record_is_refused(self, change: Callable[[bytes], bytes]) -> None:
        changed = change(SAMPLE)
        assert changed != SAMPLE
        refuse(changed)

    def test_fields_stand_in_their_order(self) -> None:
        held = json.loads(SAMPLE)
        keys = list(held)
        for at in range(len(keys) - 1):
            swapped = [*keys[:at], keys[at + 1], keys[at], *keys[at + 2 :]]
            refuse(spelled({key: held[key] for key in swapped}))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"root": ""},
            {"root": "AAECAwQFBgcICQoLDA0OD"},
            {"root": "AAECAwQFBgcICQoLDA0ODx"},
            {"root": "AAECAwQFBgcICQoLDA0ODw=="},
            {"root": "AAECAwQFBgcICQoLDA0O+w"},
            {"mac": ""},
            {"mac": "AAECAwQFBgcICQoLDA0ODw"},
            {"mac": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9"},
            {"mac": None},
            {"type": "des"},
            {"type": "Ed25519"},
            {"type": "fernet"},
            {"purpose": "encrypt"},
            {"purpose": None},
            {"revision": 0},
            {"revision": 2**53},
            {"policy": {"rotate_every": "14d", "propagation": None, "exportable": False}},
            {"policy": {"rotate_every": "0s", "propagation": None, "exportable": False}},
            {"policy": {"rotate_every": "3600s", "propagation": None, "exportable": False}},
            {"policy": {"rotate_every": "090d", "propagation": None, "exportable": False}},
            {"policy": {"rotate_every": "1 day", "propagation": None, "exportable": False}},
            {"policy": {"rotate_every": "99999w", "propagation": None, "exportable": False}},
            {"policy": {"rotate_every": "1d", "propagation": "1d", "exportable": False}},
            {"policy": {"rotate_every": 90, "propagation": None, "exportable": False}},
            {"policy": {"rotate_every": None, "propagation": None, "exportable": 0}},
            {"policy": {"rotate_every": None, "exportable": False}},
            {"policy": None},
            {"labels": {"owner": "a", "office": "b"}},
            {"labels": {"Owner": "a"}},
            {"labels": {"owner": "a\nb"}},
            {"labels": {"owner": "\u202e"}},
            {"labels": {"owner": 1}},
            {"labels": {"owner": "x" * 257}},
            {"labels": {f"k{n:03}": "" for n in range(65)}},
            {"labels": None},
            {"labels": []},
            {"versions": []},
            {"versions": None},
            {"versions": {}},
            {"versions": [{}]},
            {"format": 1},
        ],
        ids=str,
    )
    def test_a_canonical_record_must_be_lawful_too(self, wrong: dict[str, object]) -> None:
        assert edited() == SAMPLE
        refuse(edited(**wrong))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"number": 1},
            {"number": 3},
            {"number": 0},
            {"number": 2**63},
            {"key_id": "10000001"},
            {"key_id": "00000000"},
            {"key_id": "1000002"},
            {"key_id": "1000000A"},
            {"key_id": 268435458},
            {"state": "Active"},
            {"state": "destroyed"},
            {"state": "compromised-but-fine"},
            {"created": "2026-11-18T11:06:40Z"},
            {"created": "2026-11-18T11:06:40.123"},
            {"created": "2026-11-18T11:06:40.123+00:00"},
            {"created": "2026-11-18 11:06:40.123Z"},
            {"created": "2026-11-18t11:06:40.123z"},
            {"created": "2026-02-29T11:06:40.123Z"},
            {"created": "2026-11-18T24:00:00.000Z"},
            {"created": "2026-11-18T23:59:60.000Z"},
            {"created": "0000-01-01T00:00:00.000Z"},
            {"created": "1969-12-31T23:59:59.999Z"},
            {"created": None},
            {"created": 1_795_000_000_123},
            {"promote_at": ""},
            {"changed": "never"},
            {"reason": ""},
            {"reason": "a\tb"},
            {"prefix": "crunchy"},
            {"public": None},
            {"public": ""},
            {"sealed": None},
            {"sealed": ""},
            {"sealed": "c2VhbGVkIDI="},
            {"sealed": "c2VhbGVkIDJ"},
            {"sealed": "c2Vh bGVkIDI"},
            {"sealed": "c2Vh/GVkIDI"},
        ],
        ids=str,
    )
    def test_a_version_must_be_lawful_too(self, wrong: dict[str, object]) -> None:
        assert edited_version() == SAMPLE
        refuse(edited_version(**wrong))

    def test_the_record_of_another_keyset_is_refused_in_this_place(self) -> None:
        error = refuse(SAMPLE, name="other")
        assert "'student-records'" in str(error)
        assert "'other'" in str(error)

    def test_a_hostile_name_in_a_record_is_not_shown_raw(self) -> None:
        refuse(edited(name="\x1b[2J\u202e" * 40_000))


class TestLimits:
    def test_an_oversize_file_is_refused_before_it_is_parsed(self) -> None:
        error = refuse(SAMPLE + b" " * MAX_RECORD)
        assert str(MAX_RECORD) in str(error)
        refuse(b"{" * (MAX_RECORD + 1))

    def test_a_record_that_could_not_be_read_back_is_not_written(self) -> None:
        def holding(size: int) -> Keyset:
            return replace(keyset(), versions=(replace(version(1), sealed=bytes(size)),))

        spare = MAX_RECORD - len(encode(record(holding(3)))) + 4
        largest = holding(spare // 4 * 3)
        raw = encode(record(largest))
        assert MAX_RECORD - 4 < len(raw) <= MAX_RECORD
        assert decode(raw, name=NAME).keyset == largest
        with pytest.raises(PolicyError, match=str(MAX_RECORD)):
            encode(record(holding(spare // 4 * 3 + 3)))

    def test_many_versions_fit(self) -> None:
        held = keyset()
        for number in range(2, 502):
            held = held.add(version(number))
        assert decode(encode(record(held)), name=NAME).keyset == held


class TestDiagnosis:
    def test_a_newer_format_is_named_with_ours(self) -> None:
        for raw in (
            edited(format="strongroom/3 record"),
            spelled({"format": "strongroom/3 record", "anything": [1, 2, 3]}),
            b'{"format":"strongroom/3 record","cut off',
        ):
            error = refuse(raw)
            assert isinstance(error, NewerFormatError)
            assert "format 3" in str(error)
            assert "up to 2" in str(error)
            assert "upgrade" in error.hint

    @pytest.mark.parametrize(
        "format",
        ["strongroom/0 record", "strongroom/01 record", "strongroom/1", "record", "", "strongroom/-2 record",
         "strongroom/" + "9" * 5000 + " record", "strongroom/3 record\n", "Strongroom/3 record",
         "strongroom/1 record "],
        ids=lambda text: ascii(text[:24]),
    )  # fmt: skip
    def test_nonsense_is_not_taken_for_a_newer_format(self, format: str) -> None:  # noqa: A002  # the field's name
        assert not isinstance(refuse(edited(format=format)), NewerFormatError)

    def test_a_header_in_the_place_of_a_record_is_named(self) -> None:
        assert "stands a store" in str(refuse(edited(format="strongroom/1 store")))
        assert "stands a store" in str(refuse(edited(format="strongroom/3 store")))

    @pytest.mark.parametrize("line", [1, 2, 7, 20])
    def test_conflict_markers_are_named_with_their_line(self, line: int) -> None:
        lines = SAMPLE.split(b"\n")
        both = [*lines[: line - 1], b"<<<<<<< HEAD", *lines[line - 1 : line], b"=======", b"x", b">>>>>>> other"]
        error = refuse(b"\n".join([*both, *lines[line:]]))
        assert f"git conflict markers at line {line}" in str(error)
        assert "git checkout" in error.hint

    def test_a_single_left_over_marker_is_seen(self) -> None:
        assert "conflict markers at line 4" in str(refuse(SAMPLE.replace(b'  "name"', b'=======\n  "name"', 1)))

    def test_signs_in_a_text_are_no_conflict(self) -> None:
        held = keyset(labels={"a": "======="}).suspend(1, now=NOW, reason="<<<<<<< HEAD")
        raw = encode(record(held))
        assert decode(raw, name=NAME).keyset == held
        assert "conflict" not in str(refuse(raw + b"\n"))

    @pytest.mark.parametrize("change", [(b"\n", b"\r\n"), (b"\n", b"\r"), (b",\n", b",\r\n")])
    def test_changed_line_ends_are_named_with_the_setting_that_keeps_them(self, change: tuple[bytes, bytes]) -> None:
        error = refuse(SAMPLE.replace(*change))
        assert "CRLF line ends" in str(error)
        assert ".gitattributes" in error.hint
        assert "git checkout" in error.hint

    @pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
    def test_a_byte_order_mark_is_named(self, mark: bytes) -> None:
        assert "byte order mark" in str(refuse(mark + SAMPLE))

    def test_an_empty_file_is_named(self) -> None:
        assert "is empty" in str(refuse(b""))

    def test_an_edited_file_is_told_its_first_line_that_differs(self) -> None:
        assert "from line 7 on" in str(refuse(SAMPLE.replace(b'"revision": 4', b'"revision":  4')))
        assert "from line 57 on" in str(refuse(SAMPLE + b"\n\n"))
        assert "from line 56 on" in str(refuse(SAMPLE[:-1]))

    def test_what_the_parser_quotes_cannot_steer_a_terminal(self) -> None:
        error = refuse(SAMPLE.replace(b'"exportable"', b'"\\u001b[2J\\u202e' + b"x" * 5000 + b'"'))
        assert len(str(error)) < 300

    def test_every_refusal_is_ours_and_helps(self) -> None:
        for raw in (b"", b"{", SAMPLE + b"\n", SAMPLE[1:], edited(format="strongroom/9 record")):
            error = refuse(raw)
            assert isinstance(error, StrongroomError)
            assert error.hint
