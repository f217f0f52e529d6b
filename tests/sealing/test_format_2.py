"""Records of format 2: the frozen ones read as docs/format.md says, here and in the reader that is not ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from strongroom._encoding import b64decode, b64encode, format_time, parse_time
from strongroom.errors import FormatError, StateError, StrongroomError
from strongroom.model.codec import decode, encode
from strongroom.model.diagnosis import diagnose
from strongroom.model.keyset import Keyset
from strongroom.model.names import parse_name
from strongroom.model.periods import rights_at
from strongroom.model.record import Record
from strongroom.model.states import Operation
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.root import Root
from strongroom.stores.directory import DirectoryStore
from tests import independent_reader
from tests.sealing.builders import flipped

FORMAT = Path(__file__).parents[1] / "vectors" / "format-2"
VALUES: dict[str, Any] = json.loads((FORMAT / "values.json").read_text("utf-8"))
LINE = VALUES["root"]["line"].encode()
ROOT = Root.from_line(SecretBytes(LINE))
NAMES = sorted(VALUES["materials"])
MOMENTS = [(name, moment) for name, moments in VALUES["effective"].items() for moment in moments]


def raw_of(name: str) -> bytes:
    return (FORMAT / "store" / "keysets" / f"{name}.json").read_bytes()


def record_of(name: str) -> Record:
    record = decode(raw_of(name), name=parse_name(name))
    ROOT.check_record(record.body, record.mac)
    return record


def keyset_of(name: str) -> Keyset:
    return record_of(name).keyset


@pytest.mark.parametrize("name", NAMES)
def test_a_record_says_what_its_policy_and_versions_are_and_is_written_again_byte_for_byte(name: str) -> None:
    keyset, wanted = keyset_of(name), VALUES["policies"][name]
    policy = keyset.policy
    assert {
        "originator_s": policy.originator,
        "recipient_s": policy.recipient,
        "grace_s": policy.grace,
        "allow": [each.value for each in Operation if each in policy.allow],
        "max_messages": policy.max_messages,
        "worker_messages": policy.worker_messages,
    } == wanted
    dooms = {str(v.number): None if v.destroy_at is None else format_time(v.destroy_at) for v in keyset.versions}
    assert dooms == VALUES["destroy_at"][name]
    assert f"strongroom/{VALUES['formats'][name]} record".encode() in raw_of(name).splitlines()[1]
    assert encode(record_of(name)) == raw_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_both_readers_open_every_version(name: str) -> None:
    reader = independent_reader.Store(FORMAT / "store", *header_and_root())
    assert {str(n): b64encode(m) for n, m in reader.material(name).items()} == VALUES["materials"][name]
    keyset = keyset_of(name)
    for version in keyset.versions:
        assert version.sealed is not None
        opened = ROOT.open(
            version.sealed, name=keyset.name, key_id=version.key_id, type=keyset.type, purpose=keyset.purpose
        )
        assert b64encode(opened.reveal()) == VALUES["materials"][name][str(version.number)]


@pytest.mark.parametrize(("name", "moment"), MOMENTS, ids=lambda value: value if isinstance(value, str) else "")
def test_what_may_be_done_follows_from_record_and_clock(name: str, moment: dict[str, Any]) -> None:
    keyset, now = keyset_of(name), parse_time(moment["now"])
    rights = rights_at(keyset, now)
    try:
        primary = keyset.protecting(now).number
    except StateError:
        primary = 0
    assert bool(primary and not rights.barred) is moment["protects"]
    assert sorted(rights.lapsed) == moment["asked_only"]
    reader = independent_reader.Store(FORMAT / "store", *header_and_root())
    assert reader.primary(name, moment["now"]) == moment["primary"]
    found = keyset.primary_at(now)
    assert found is not None
    assert found.number == moment["primary"]


def test_a_record_of_format_2_that_needs_no_format_2_is_refused_by_both_readers(tmp_path: Path) -> None:
    """One keyset has one spelling: else a MAC would be over either of two byte strings."""
    value = json.loads(raw_of("limit"))
    value["policy"] |= {"max_messages": None, "worker_messages": None}
    raw = json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
    with pytest.raises(FormatError, match="nothing that format 1 cannot say"):
        decode(raw, name=parse_name("limit"))
    with pytest.raises(AssertionError, match="for nothing"):
        independent_reader.check_format(value)


@pytest.mark.parametrize("change", ["format", "policy", "version"])
def test_fields_of_the_one_format_in_the_other_are_refused_by_both_readers(change: str) -> None:
    value = json.loads(raw_of("doomed"))
    if change == "format":
        value["format"] = "strongroom/1 record"
    elif change == "policy":
        del value["policy"]["grace"]
    else:
        del value["versions"][0]["destroy_at"]
    raw = json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
    with pytest.raises(FormatError, match=r"another format|later format"):
        decode(raw, name=parse_name("doomed"))
    with pytest.raises(AssertionError):
        independent_reader.check_format(value)


def test_code_that_knows_format_1_alone_names_the_format_that_it_refuses() -> None:
    """What release 0.1 calls with what it finds: its parser refuses the unknown fields, and it asks for the reason."""
    refusal = diagnose(raw_of("limit"), what="the record of 'limit'", kind="record", reads=1)
    assert "has format 2; this Strongroom reads formats up to 1" in str(refusal)
    assert "upgrade" in refusal.hint


def test_no_bit_of_a_record_may_change() -> None:
    raw = raw_of("write-only")

    def read(changed: bytes) -> None:
        found = decode(changed, name=parse_name("write-only"))
        ROOT.check_record(found.body, found.mac)

    read(raw)
    for bit in range(0, len(raw) * 8, 3):
        with pytest.raises(StrongroomError):
            read(flipped(raw, bit))


def header_and_root() -> tuple[dict[str, Any], independent_reader.Root]:
    raw = DirectoryStore(FORMAT / "store").header()
    header, body, mac = independent_reader.parse(raw, "strongroom/1 store")
    root = independent_reader.Root(LINE, b64decode(header["store"]), 1, b64decode(header["roots"][0]["id"]))
    root.check("header", body, mac)
    return header, root
