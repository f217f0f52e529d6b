"""Shares are made while the store opens, tried while nothing is lost, and open it when nothing else does."""

from __future__ import annotations

import json
import logging
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.errors import (
    CannotOpenError,
    ConflictError,
    ExistsError,
    FormatError,
    IdentityError,
    IntegrityError,
    NotFoundError,
    PolicyError,
    RecipientError,
    SealError,
    SettingsError,
    StoreError,
)
from strongroom.keystore.backup import create_backup
from strongroom.keystore.drilling import drill_recovery
from strongroom.keystore.opening import open_store
from strongroom.keystore.recovery import create_recovery, restore_recovery, shares_of_file
from strongroom.keystore.restoring import restore_backup
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header_codec import encode_header
from strongroom.sealing.shares import Share, read_shares
from strongroom.stores.directory import DirectoryStore
from tests.cli.program import on_terminal, program
from tests.merging.scenes import Clone
from tests.support.gpg import GpgHome, GpgHomes

PASSPHRASE = "violet anchor 42 drums"


def made_shares(here: Clone, *, threshold: int = 2, shares: int = 3, again: bool = False) -> list[Share]:
    sheets: list[SecretBytes] = []
    with here.open() as keystore:
        create_recovery(keystore, threshold=threshold, shares=shares, show=sheets.append, again=again)
    return [share for sheet in sheets for share in read_shares(sheet)]


def lost(here: Clone) -> dict[str, str]:
    """The environment of a host where nothing opens the store any more."""
    return {
        name: value
        for name, value in {**os.environ, "STRONGROOM_STATE": str(here.state)}.items()
        if name != "STRONGROOM_IDENTITY_FILE"
    }


def test_a_drill_proves_that_shares_open_and_changes_nothing(here: Clone, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "strongroom")
    shares = made_shares(here)
    before = (here.directory / "store.json").read_bytes()
    proven = drill_recovery(shares[1:], str(here.directory), environ=lost(here))
    assert (proven.indices, proven.slot, proven.root) == ((2, 3), "hpke 'recovery'", 1)
    assert (here.directory / "store.json").read_bytes() == before
    assert any("event=recovery-drilled" in record.getMessage() for record in caplog.records)
    for share in shares:
        assert share.body.reveal().hex() not in caplog.text


def test_the_store_is_restored_to_a_passphrase_and_life_goes_on(here: Clone) -> None:
    with here.open() as keystore:
        token = keystore.fernet("box").encrypt(b"before")
    shares = made_shares(here)
    with pytest.raises(SealError):
        open_store(here.directory, environ=lost(here))
    restored = restore_recovery(
        shares[:2], str(here.directory), passphrase=SecretBytes(PASSPHRASE.encode()), environ=lost(here)
    )
    assert restored.how == "passphrase 'restored'"
    with open_store(here.directory, passphrase=PASSPHRASE, environ=lost(here)) as keystore:
        assert keystore.fernet("box").decrypt(token) == b"before"
        keystore.rotate("box")


def test_the_store_is_restored_to_an_openpgp_key(here: Clone, alice: GpgHome) -> None:
    shares = made_shares(here)
    environ = {**alice.env, "STRONGROOM_STATE": str(here.state)}
    restored = restore_recovery(shares[:2], str(here.directory), recipient=alice.fingerprint, environ=environ)
    assert "alice@example.org" in restored.how
    with open_store(here.directory, environ=environ) as keystore:
        keystore.rotate("box")


def test_after_a_rotation_of_the_root_the_same_shares_open(here: Clone) -> None:
    shares = made_shares(here)
    here.rotate_root()
    assert drill_recovery(shares[:2], str(here.directory), environ=lost(here)).root == 2


def test_new_shares_replace_the_old_ones(here: Clone) -> None:
    old = made_shares(here)
    with pytest.raises(ExistsError, match="there is a slot 'recovery' already"):
        made_shares(here)
    new = made_shares(here, again=True)
    assert drill_recovery(new[:2], str(here.directory), environ=lost(here)).set_name == new[0].set_name
    with pytest.raises(SealError, match="the set was replaced"):
        drill_recovery(old[:2], str(here.directory), environ=lost(here))


def test_shares_replace_shares_and_no_other_way_in(here: Clone) -> None:
    """The identity file of slot `tests` is all that opens the store: it would be lost."""
    before = (here.directory / "store.json").read_bytes()
    with here.open() as keystore, pytest.raises(PolicyError, match="'tests' is not known to open with shares"):
        create_recovery(keystore, threshold=2, shares=3, show=lambda _: None, label="tests", again=True)
    assert (here.directory / "store.json").read_bytes() == before


class TestWhereSharesGo:
    def test_files_of_mode_0600_one_a_share(self, here: Clone, tmp_path: Path) -> None:
        with here.open() as keystore:
            made = create_recovery(keystore, threshold=2, shares=3, out=tmp_path / "stick")
        assert [path.stat().st_mode & 0o777 for path in made.files] == [0o600] * 3
        shares = [share for path in made.files for share in shares_of_file(path)]
        assert [share.index for share in shares] == [1, 2, 3]
        text = made.files[0].read_text()
        assert "share 1 of 3; any 2 of them open the store" in text
        assert len([line for line in text.splitlines() if not line.startswith("#")]) == 10

    def test_a_file_that_others_can_read_is_refused(self, here: Clone, tmp_path: Path) -> None:
        with here.open() as keystore:
            made = create_recovery(keystore, threshold=2, shares=2, out=tmp_path / "stick")
        made.files[0].chmod(0o644)
        with pytest.raises(IdentityError, match="others could read"):
            shares_of_file(made.files[0])

    def test_sealed_to_custodians_each_of_whom_opens_his_own(
        self, here: Clone, tmp_path: Path, gpg_homes: GpgHomes, bob: GpgHome
    ) -> None:
        alice = gpg_homes("Alice <alice@example.org>")  # others count on what is in the one of the session
        alice.import_keys(bob.export())
        environ = {**here.environ, **alice.env}
        with open_store(here.directory, environ=environ) as keystore:
            made = create_recovery(
                keystore,
                threshold=2,
                shares=3,
                custodians=[alice.fingerprint, bob.fingerprint],
                out=tmp_path / "out",
                environ=environ,
            )
        assert [path.suffix for path in made.files] == [".gpg", ".gpg", ".txt"]
        mine, his, _ = made.files
        assert b"recovery" not in mine.read_bytes()
        found = [*shares_of_file(mine, environ=alice.env), *shares_of_file(his, environ=bob.env)]
        assert drill_recovery(found, str(here.directory), environ=lost(here)).indices == (1, 2)

    def test_words_do_not_go_into_the_repository(self, here: Clone) -> None:
        before = here.git("status", "--porcelain")
        with here.open() as keystore, pytest.raises(PolicyError, match="in the repository"):
            create_recovery(keystore, threshold=2, shares=3, out=here.top / "shares")
        assert here.git("status", "--porcelain") == before

    @pytest.mark.parametrize("wanted", ["more custodians than shares", "custodians and no directory", "nowhere"])
    def test_orders_that_make_no_sense_write_nothing(self, here: Clone, tmp_path: Path, wanted: str) -> None:
        before = (here.directory / "store.json").read_bytes()
        options = {
            "more custodians than shares": {"custodians": ["A" * 40] * 3, "out": tmp_path / "out"},
            "custodians and no directory": {"custodians": ["A" * 40]},
            "nowhere": {},
        }[wanted]
        with here.open() as keystore, pytest.raises(SettingsError):
            create_recovery(keystore, threshold=2, shares=2, **options)  # type: ignore[arg-type]  # by name
        assert (here.directory / "store.json").read_bytes() == before
        assert not (tmp_path / "out").exists()

    def test_a_custodian_who_cannot_be_encrypted_to_is_named_before_anything_is_written(
        self, here: Clone, tmp_path: Path, alice: GpgHome
    ) -> None:
        expired = GpgHome.user("Eve <eve@example.org>", expires="seconds=1")
        try:
            while expired.run("--list-keys", "--with-colons").stdout.find(b"pub:e") < 0:
                time.sleep(0.2)
            environ = {**here.environ, **expired.env}
            with open_store(here.directory, environ=environ) as keystore, pytest.raises(RecipientError, match="eve@"):
                create_recovery(
                    keystore,
                    threshold=2,
                    shares=2,
                    custodians=[expired.fingerprint],
                    out=tmp_path / "out",
                    environ=environ,
                )
        finally:
            expired.close()
        assert not (tmp_path / "out").exists()

    def test_shares_of_a_slot_that_never_came_to_be_are_removed(self, here: Clone, tmp_path: Path) -> None:
        with here.open() as keystore:
            with here.open() as other:
                other.sealed.replace_header(other.sealed.header.with_propagation(3600))
            with pytest.raises(ConflictError):
                create_recovery(keystore, threshold=2, shares=3, out=tmp_path / "out")
        assert list((tmp_path / "out").iterdir()) == []

    def test_a_file_that_is_there_is_not_overwritten_and_nothing_counts(self, here: Clone, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("a file")
        before = (here.directory / "store.json").read_bytes()
        with here.open() as keystore, pytest.raises(StoreError):
            create_recovery(keystore, threshold=2, shares=3, out=tmp_path / "out")
        assert (here.directory / "store.json").read_bytes() == before


@pytest.mark.slow
class TestCommandLine:
    def test_from_creation_to_restoration(self, here: Clone, tmp_path: Path) -> None:
        out = tmp_path / "papers"
        made = here.run("recovery", "create", "--threshold", "2", "--shares", "3", "--out", str(out))
        assert made.status == 0, made.stderr
        assert "git add .strongroom/store.json" in made.stderr
        papers = sorted(map(str, out.iterdir()))
        here.identity = here.identity.with_name("absent")
        drill = here.run("--json", "recovery", "drill", papers[0], papers[2], STRONGROOM_IDENTITY_FILE="")
        assert drill.json["shares"] == [1, 3]
        secret = tmp_path / "passphrase"
        secret.write_text(PASSPHRASE)
        secret.chmod(0o600)
        restored = here.run(
            "--passphrase-file", str(secret), "recovery", "restore", "--passphrase", *papers[:2],
            STRONGROOM_IDENTITY_FILE="",
        )  # fmt: skip
        assert restored.status == 0, restored.stderr
        assert "the store opens with passphrase 'restored' now" in restored.stderr
        opened = here.run("--passphrase-file", str(secret), "list", STRONGROOM_IDENTITY_FILE="")
        assert opened.text.startswith("box\t")

    def test_too_few_shares_end_with_cannot_open(self, here: Clone, tmp_path: Path) -> None:
        out = tmp_path / "papers"
        here.run("recovery", "create", "--threshold", "2", "--shares", "3", "--out", str(out))
        ran = here.run("recovery", "drill", str(next(iter(sorted(out.iterdir())))))
        assert (ran.status, "1 share of set" in ran.stderr) == (3, True)

    def test_printed_and_typed_again_with_a_slip_and_nothing_is_echoed(self, here: Clone) -> None:
        made = here.run("--json", "recovery", "create", "--threshold", "2", "--shares", "2")
        rows = [[line[4:] for line in sheet.splitlines()[3:]] for sheet in json.loads(made.stdout)["shares"]]
        answers = [("Row 1:", "babad babad\n"), ("Row 1:", rows[0][0] + "\n")]
        answers += [(f"Row {number}:", f"{row}\n") for number, row in enumerate(rows[0][1:], start=2)]
        answers += [("Row 1:", " ".join(rows[1]) + "\n")]  # the second is pasted whole
        ran = on_terminal("recovery", "drill", cwd=here.top, env=dict(here.environ), answers=answers)
        assert ran.status == 0, ran.stderr
        assert "row 1 has 2 words, not 5; that row again" in ran.plain
        assert "shares 1, 2 of set" in ran.plain
        assert not any(row in ran.plain for sheet in rows for row in sheet)

    def test_shares_come_on_a_descriptor_and_never_in_argv(self, here: Clone) -> None:
        made = here.run("recovery", "create", "--threshold", "2", "--shares", "2")
        reading, writing = os.pipe()
        os.write(writing, made.stdout)
        os.close(writing)
        ran = program(
            "recovery", "drill", "--shares-fd", str(reading), cwd=here.top, env=here.environ, pass_fds=[reading]
        )
        os.close(reading)
        assert ran.status == 0, ran.stderr

    def test_without_a_terminal_nobody_is_asked_for_a_passphrase_but_for_shares(self, here: Clone) -> None:
        ran = here.run("recovery", "drill")
        assert (ran.status, "no terminal to type one on" in ran.stderr) == (3, True)
        assert "--shares-fd N" in ran.stderr

    def test_without_a_terminal_the_hint_about_the_new_passphrase_is_of_this_verb(
        self, here: Clone, tmp_path: Path
    ) -> None:
        here.run("recovery", "create", "--threshold", "2", "--shares", "2", "--out", str(tmp_path / "papers"))
        ran = here.run("recovery", "restore", "--passphrase", *map(str, (tmp_path / "papers").iterdir()))
        assert ran.status == 3
        assert "strongroom: hint: strongroom --passphrase-file FILE recovery restore --passphrase" in ran.stderr

    def test_restore_wants_one_way_in(self, here: Clone) -> None:
        assert here.run("recovery", "restore").status == 2
        assert here.run("recovery", "restore", "--passphrase", "--recipient", "A" * 40).status == 2


def test_a_damaged_slot_does_not_pass_for_a_proven_one(here: Clone) -> None:
    shares = made_shares(here)
    with here.open() as keystore:
        sealed = keystore.sealed
        header, root = sealed.header, sealed.root
        slots = tuple(replace(slot, sealed=bytes(134)) if slot.label == "recovery" else slot for slot in header.slots)  # type: ignore[arg-type]  # an HPKE slot
        damaged = replace(header, roots=(replace(header.newest, slots=slots),))
        DirectoryStore(here.directory).write_header(encode_header(damaged, root), replaces=encode_header(header, root))
    with pytest.raises(IntegrityError):
        drill_recovery(shares[:2], str(here.directory), environ=here.environ)


class TestAFileThatIsNoShare:
    def test_something_else_is_told_with_its_name(self, tmp_path: Path) -> None:
        (tmp_path / "letter.txt").write_text("not a share")
        (tmp_path / "letter.txt").chmod(0o600)
        with pytest.raises(FormatError, match=r"letter\.txt': .*a share has 50 words"):
            shares_of_file(tmp_path / "letter.txt")

    @pytest.mark.parametrize("name", ["absent.txt", "absent.gpg"])
    def test_one_that_is_not_there_is_missing_and_the_hint_leads_on(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(NotFoundError, match="there is no recovery share") as caught:
            shares_of_file(tmp_path / name)
        assert "strongroom recovery drill asks" in caught.value.hint

    def test_a_slip_in_one_of_several_is_told_with_its_name(self, here: Clone, tmp_path: Path) -> None:
        with here.open() as keystore:
            made = create_recovery(keystore, threshold=2, shares=2, out=tmp_path / "out")
        lines = made.files[1].read_text().splitlines()
        lines[5] = lines[5][:4] + "babab" + lines[5][9:]
        made.files[1].write_text("\n".join(lines))
        with pytest.raises(FormatError, match=r"share-2-of-2-.*: row 3"):
            shares_of_file(made.files[1])


def test_shares_make_a_store_of_a_backup_where_nothing_else_opens_it(here: Clone, tmp_path: Path) -> None:
    with here.open() as keystore:
        token = keystore.fernet("box").encrypt(b"before")
    shares = made_shares(here)
    with here.open() as keystore:
        create_backup(keystore, tmp_path / "keys.backup")
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    again = tmp_path / "again"
    with pytest.raises(CannotOpenError):
        restore_backup(tmp_path / "keys.backup", again, environ=environ)
    with pytest.raises(SealError, match=r"1 share of set .* is too few: it takes 2"):
        restore_backup(tmp_path / "keys.backup", again, shares=shares[:1], environ=environ)
    assert not again.exists()
    restore_backup(tmp_path / "keys.backup", again, shares=shares[1:], environ=environ)
    restore_recovery(shares[1:], str(again), passphrase=SecretBytes(PASSPHRASE.encode()), environ=environ)
    with open_store(again, passphrase=PASSPHRASE, environ=environ) as keystore:
        assert keystore.fernet("box").decrypt(token) == b"before"
