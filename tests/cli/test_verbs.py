"""Every verb does in the store what its help says, tells it in words, and tells it again as JSON."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.cli.program import Ran, on_terminal, program, within


def done(*argv: str, stdin: bytes = b"") -> Ran:
    ran = within(*argv, stdin=stdin)
    assert ran.status == 0, ran.stderr
    return ran


def states(name: str) -> list[str]:
    return [version["state"] for version in done("show", name, "--json").json["versions"]]


def primary(name: str) -> int | None:
    number = done("show", name, "--json").json["primary"]
    assert number is None or isinstance(number, int)
    return number


def test_a_keyset_is_created_listed_and_shown(store: Path) -> None:
    made = done("create", "student-records", "--type", "fernet", "--rotate-every", "90d", "--label", "owner=registrar")
    assert made.stdout == b""
    assert "created student-records (fernet): version 1 is primary" in made.stderr
    (line,) = done("list").text.splitlines()
    name, kind, number, state, since, following = line.split("\t")
    assert (name, kind, number, state, following) == ("student-records", "fernet", "1", "active", "-")
    assert since.endswith("Z")
    facts, _, versions = done("show", "student-records").text.partition("\n\n")
    assert "rotate every\t90d" in facts
    assert "label owner\tregistrar" in facts
    assert versions.startswith("1*\t")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (["--type", "aes256-gcm"], "aes256-gcm"),
        (["--type", "rsa-2048", "--purpose", "sign"], "rsa-2048"),
        (["--type", "ed25519"], "ed25519"),
        (["--type", "secret"], "secret"),
    ],
)
def test_create_answers_in_json(store: Path, options: list[str], kind: str) -> None:
    answer = done("create", "it", *options, "--json").json
    assert (answer["name"], answer["type"], answer["primary"]) == ("it", kind, 1)


def test_an_rsa_key_wants_its_purpose(store: Path) -> None:
    refused = within("create", "it", "--type", "rsa-3072")
    assert refused.status == 5
    assert "--purpose" in refused.stderr


def test_an_unknown_type_is_answered_with_the_nearest(store: Path) -> None:
    refused = within("create", "it", "--type", "fernt")
    assert refused.status == 2
    assert "'fernet'" in refused.stderr


def test_a_name_that_is_taken_is_not_overwritten(store: Path) -> None:
    done("create", "it", "--type", "fernet")
    before = (store / "keysets/it.json").read_bytes()
    refused = within("create", "it", "--type", "fernet", "--json")
    assert refused.status == 1
    assert refused.error["error"] == "ExistsError"
    assert (store / "keysets/it.json").read_bytes() == before


def test_rotate_waits_for_the_propagation_and_now_does_not(store: Path) -> None:
    done("create", "it", "--type", "fernet")
    rotated = done("rotate", "it")
    assert "version 2 becomes primary at" in rotated.stderr
    assert states("it") == ["active", "pre-activation"]
    assert done("list", "--json").json[0]["next_change"] is not None
    done("rotate", "it", "--now")
    assert primary("it") == 3


def test_a_policy_says_what_holds_where_it_states_nothing(store: Path) -> None:
    done("create", "it", "--type", "fernet")
    told = dict(line.split("\t") for line in done("policy", "it").text.splitlines())
    assert told["propagation"] == "1d, as the store says"
    assert told["exportable"] == "no"
    assert "exportable" not in done("show", "it").text
    done("policy", "it", "--propagation", "2h")
    assert "propagation\t2h\n" in done("policy", "it").text


def test_add_then_promote(store: Path) -> None:
    done("create", "it", "--type", "fernet")
    done("add", "it")
    assert (primary("it"), states("it")) == (1, ["active", "pre-activation"])
    done("promote", "it", "2")
    assert (primary("it"), states("it")) == (2, ["active", "active"])


def test_suspend_then_resume(store: Path) -> None:
    done("create", "it", "--type", "fernet")
    done("suspend", "it", "1", "--reason", "under investigation")
    assert states("it") == ["suspended"]
    assert "under investigation" in done("show", "it").text
    refused = within("encrypt", "it", stdin=b"x")
    assert refused.status == 5
    done("resume", "it", "1")
    assert done("encrypt", "it", stdin=b"x").stdout


def test_a_compromised_primary_is_replaced_and_reads_only_when_asked(store: Path) -> None:
    done("create", "it", "--type", "fernet")
    token = done("encrypt", "it", stdin=b"data").stdout
    done("compromise", "it", "1", "--reason", "laptop stolen")
    assert (primary("it"), states("it")) == (2, ["compromised", "active"])
    assert within("decrypt", "it", stdin=token).status == 1
    assert done("decrypt", "it", "--compromised-too", stdin=token).stdout == b"data"


def test_a_secret_is_rotated_to_a_value_from_a_file_or_from_stdin(store: Path, place: Path) -> None:
    done("import", "url", "--type", "secret", stdin=b"postgres://one")
    assert done("reveal", "url").stdout == b"postgres://one"
    refused = within("rotate", "url", "--now")
    assert refused.status == 5
    assert "--value-file" in refused.stderr
    (place / "new.txt").write_bytes(b"postgres://two")
    done("rotate", "url", "--now", "--value-file", "new.txt")
    assert done("reveal", "url").stdout == b"postgres://two"
    done("rotate", "url", "--now", "--value-file", "-", stdin=b"postgres://three")
    assert done("reveal", "url").stdout == b"postgres://three"
    assert done("reveal", "url", "--version", "1").stdout == b"postgres://one"
    done("rotate", "url", "--now", "--generate")
    assert len(done("reveal", "url").stdout) == 64


def test_what_encrypt_writes_decrypt_reads_byte_for_byte(store: Path) -> None:
    data = bytes(range(256)) + b"\n"
    for kind in ("fernet", "aes256-gcm", "x25519"):
        done("create", kind, "--type", kind)
        sealed = done("encrypt", kind, stdin=data).stdout
        assert data not in sealed
        assert done("decrypt", kind, stdin=sealed).stdout == data
        answer = done("decrypt", kind, "--json", stdin=sealed).json
        assert b64decode(answer["base64"]) == data


def test_associated_data_is_needed_again(store: Path) -> None:
    done("create", "it", "--type", "aes256-gcm")
    sealed = done("encrypt", "it", "-a", "student/42", stdin=b"x").stdout
    assert done("decrypt", "it", "-a", "student/42", stdin=sealed).stdout == b"x"
    refused = within("decrypt", "it", "-a", "student/43", stdin=sealed)
    assert refused.status == 1
    assert "student" not in refused.stderr


def test_a_token_with_a_line_end_after_it_opens(store: Path) -> None:
    done("create", "it", "--type", "fernet")
    token = done("encrypt", "it", stdin=b"x").stdout
    assert done("decrypt", "it", stdin=token + b"\n").stdout == b"x"


def test_a_key_that_exists_already_is_imported(store: Path, place: Path) -> None:
    theirs = Fernet.generate_key()
    (place / "key.txt").write_bytes(theirs + b"\n")
    told = done("import", "legacy", "key.txt", "--type", "fernet")
    assert "key.txt is still there in the clear" in told.stderr
    assert Fernet(theirs).decrypt(done("encrypt", "legacy", stdin=b"x").stdout) == b"x"
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (place / "key.pem").write_bytes(pem)
    assert done("import", "signing", "key.pem", "--json").json["type"] == "ed25519"
    (place / "more.txt").write_bytes(Fernet.generate_key())
    assert len(done("import", "legacy", "more.txt", "--add", "--json").json["versions"]) == 2


def test_an_encrypted_key_is_imported_with_the_passphrase_that_is_typed(store: Path, place: Path) -> None:
    key = Ed25519PrivateKey.generate()
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"letmein"))
    (place / "key.pem").write_bytes(sealed)
    argv = ["import", "signing", "key.pem", "--key-passphrase"]
    wrong = on_terminal(*argv, cwd=place, answers=[("Passphrase of the file: ", "letmeout\n")])
    assert wrong.status == 3
    assert program(*argv, cwd=place).status == 3
    taken = on_terminal(*argv, cwd=place, answers=[("Passphrase of the file: ", "letmein\n")])
    assert taken.status == 0, taken.stderr
    assert "letmein" not in taken.stderr
    assert states("signing") == ["active"]


def test_what_the_library_logs_is_told_as_a_warning(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done("create", "it", "--type", "fernet")
    (witness,) = (store.parents[1] / "state/witness").glob("*.sqlite")
    witness.write_bytes(b"damaged" * 1000)
    told = within("show", "it").stderr.splitlines()
    assert told
    assert all(line.startswith("strongroom: ") for line in told), told
    for line in within("--json", "show", "it").stderr.splitlines():
        assert set(json.loads(line)) in ({"warning"}, {"error", "message", "hint"})


def test_a_file_that_is_no_key_is_refused_and_nothing_is_made(store: Path, place: Path) -> None:
    (place / "key.txt").write_bytes(b"not a key")
    refused = within("import", "legacy", "key.txt", "--type", "fernet")
    assert refused.status == 1
    assert "not a key" not in refused.stderr
    assert done("list").stdout == b""


def test_ensure_makes_what_is_missing_and_the_second_time_nothing(store: Path, place: Path) -> None:
    (place / "strongroom.toml").write_text('[keysets.a]\ntype = "fernet"\n[keysets."b/c"]\ntype = "ed25519"\n')
    assert [made["name"] for made in done("ensure", "--json").json["created"]] == ["a", "b/c"]
    assert "nothing is missing" in done("ensure").stderr
    (place / "other.toml").write_text('[keysets.a]\ntype = "secret"\n')
    assert within("ensure", "other.toml").status == 5


def test_the_witness_notices_an_older_record_and_accepts_it_when_told(store: Path) -> None:
    done("create", "it", "--type", "fernet")
    old = (store / "keysets/it.json").read_bytes()
    done("rotate", "it")
    (store / "keysets/it.json").write_bytes(old)
    (row,) = done("witness", "show", "--json").json["records"]
    assert row["revision"] == 2
    assert row["differences"]
    refused = within("rotate", "it")
    assert refused.status == 6
    assert "strongroom witness accept" in refused.stderr
    assert "accepted it" in done("witness", "accept", "it").stderr
    done("rotate", "it")
    assert done("witness", "accept", "--json").json == {"accepted": []}


def test_the_pin_keeps_a_foreign_store_out(store: Path) -> None:
    pin = done("pin").text.strip()
    assert done("pin", "--json").json == {"pin": pin}
    done("--pin", pin, "list")
    other = "A" * 22 + pin[22:]
    refused = within("--pin", other, "list")
    assert refused.status == 3
    assert "strongroom pin" in refused.stderr


def test_doctor_says_whether_the_store_opens(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done("create", "it", "--type", "fernet")
    told = done("doctor")
    assert "opens" in told.text
    assert done("doctor", "--ready").stdout == b""
    assert done("doctor", "--json").json["opens"] is True
    monkeypatch.delenv("STRONGROOM_DEVELOPMENT")
    assert within("doctor", "--ready").status == 3
    told = within("doctor")
    assert told.status == 3
    assert "STRONGROOM_DEVELOPMENT=1" in told.text
    answer = within("--json", "doctor").json
    assert answer["opens"] is False
    assert any(found["hint"] for found in answer["findings"])


def test_doctor_names_a_record_that_is_not_authentic(store: Path) -> None:
    done("create", "it", "--type", "fernet")
    record = store / "keysets/it.json"
    record.write_bytes(record.read_bytes().replace(b'"revision": 1', b'"revision": 2'))
    told = within("doctor")
    assert told.status == 1
    assert "FAIL" in told.text


def test_a_store_is_named_by_option_variable_or_place(
    store: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done("create", "it", "--type", "fernet")
    (place / "below/deeper").mkdir(parents=True)
    monkeypatch.chdir(place / "below/deeper")
    assert done("list").text.startswith("it\t")
    monkeypatch.chdir("/")
    refused = within("list")
    assert refused.status == 1
    assert "strongroom init" in refused.stderr
    assert done("--store", str(store), "list").text.startswith("it\t")
    monkeypatch.setenv("STRONGROOM_STORE", str(place))
    assert done("list").text.startswith("it\t")


def test_a_store_in_memory_takes_every_move_and_forgets_it(place: Path) -> None:
    made = done("--store", "memory:", "create", "it", "--type", "fernet", "--json")
    assert json.loads(made.stdout)["primary"] == 1
    assert done("--store", "memory:", "list").stdout == b""


def test_what_one_older_record_still_gives_out_is_warned_about(store: Path) -> None:
    done("create", "box", "--type", "fernet")
    done("import", "password", "--type", "secret", stdin=b"a password")
    token = within("encrypt", "box", stdin=b"text").stdout
    records = store / "keysets"
    before = {name: (records / f"{name}.json").read_bytes() for name in ("box", "password")}
    verbs: list[tuple[list[str], bytes]] = [
        (["reveal", "password"], b""),
        (["run", "--env", "A=password", "--", "true"], b""),
        (["decrypt", "box"], token),
        (["show", "box"], b""),
    ]

    def told(verb: list[str], given: bytes) -> Ran:
        return program(*verb, cwd=store.parent, stdin=given) if verb[0] == "run" else within(*verb, stdin=given)

    assert [told(*each).stderr for each in verbs] == [""] * len(verbs)
    done("rotate", "box", "--now")
    done("import", "password", "--add", stdin=b"a newer one")
    for name, older in before.items():
        (records / f"{name}.json").write_bytes(older)
    for each in verbs:
        ran = told(*each)
        assert (ran.status, ran.stderr.count("is stale")) == (0, 1)
        assert "strongroom witness accept" in ran.stderr


def test_the_list_tells_what_is_turned_back_or_gone_and_one_bad_record_hides_no_other(store: Path) -> None:
    done("create", "box", "--type", "fernet")
    done("create", "calm", "--type", "fernet")
    records = store / "keysets"
    before = (records / "box.json").read_bytes()
    done("rotate", "box", "--now")
    assert within("list").stderr == ""
    (records / "box.json").write_bytes(before)
    told = within("list")
    assert (told.status, "'box'" in told.stderr, "strongroom witness" in told.stderr) == (0, True, True)
    (records / "box.json").unlink()
    told = within("list")
    assert (told.status, "'box'" in told.stderr) == (0, True)
    assert [line.split("\t")[0] for line in told.text.splitlines()] == ["calm"]
    (records / "copy.json").write_bytes((records / "calm.json").read_bytes())
    told = within("list")
    assert (told.status, "copy" in told.stderr) == (1, True)
    assert [line.split("\t")[0] for line in told.text.splitlines()] == ["calm"]
    told = within("list", "--json")
    assert told.status == 1
    assert [each["name"] for each in told.json] == ["calm"]
