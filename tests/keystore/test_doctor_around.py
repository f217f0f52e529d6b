"""`strongroom doctor` looks around the store: each danger is a finding with a way on, and no key is ever shown."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.keystore.clocks import HandClock
from tests.keystore.scenes import Scene
from tests.support.blackbox_fixtures import git
from tests.support.gpg import GpgHomes

from strongroom.keystore.credentials import Given
from strongroom.keystore.doctor import Examination, Finding, examine
from strongroom.keystore.examining_history import search_history
from strongroom.keystore.recovery import create_recovery


def look(store: Scene, **options: object) -> Examination:
    options.setdefault("environ", store.environ)
    return examine(str(store.directory), **options)  # type: ignore[arg-type]  # by name


def found(examination: Examination, about: str, words: str) -> Finding:
    """The finding of these words; that there is none is the failure."""
    for each in examination.findings:
        if each.about == about and words in each.fact:
            return each
    raise AssertionError(f"no {about!r} with {words!r} in {[(each.about, each.fact) for each in examination.findings]}")


def levels(examination: Examination, about: str) -> list[str]:
    return [each.level for each in examination.findings if each.about == about]


class TestPermissions:
    def test_a_store_that_everyone_may_write(self, store: Scene) -> None:
        assert levels(look(store), "permissions") == []
        (store.directory / "store.json").chmod(0o666)
        finding = found(look(store), "permissions", "everyone on this host may write")
        assert (finding.level, finding.hint) == ("problem", f"chmod o-w {store.directory / 'store.json'}")

    @pytest.mark.parametrize("what", ["identity", "passphrase_file"])
    def test_a_file_that_opens_the_store_and_that_others_can_read(
        self, store: Scene, tmp_path: Path, what: str
    ) -> None:
        path = tmp_path / "elsewhere" / "secret"
        path.parent.mkdir()
        path.write_text("violet anchor 42 drums")
        path.chmod(0o644)
        finding = found(look(store, given=Given(**{what: path})), "permissions", "mode 0644")
        assert finding.hint == f"chmod 0600 {path}"


class TestKeysBesideData:
    def test_an_identity_in_the_repository(self, store: Scene, role: Path) -> None:
        inside = Path(shutil.copy2(role, store.top / "web.identity"))
        finding = found(look(store, given=Given(identity=inside)), "keys", "lies in the repository")
        assert finding.level == "problem"

    def test_an_identity_beside_the_database(self, store: Scene, role: Path) -> None:
        database = role.parent / "db.sqlite3"
        examination = look(store, given=Given(identity=role), databases=(database,))
        assert found(examination, "keys", "lies beside the database").level == "warning"
        assert levels(look(store, given=Given(identity=role), databases=(store.top / "db",)), "keys") == []

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("keys/web.identity", b'{\n  "format": "strongroom/1 identity",\n'),
            ("deploy.asc", b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n"),
            ("id_ed25519", b"-----BEGIN OPENSSH PRIVATE KEY-----\n"),
            ("keyrings/live/secring.gpg", b"\x95\x01\xd8"),
        ],
    )
    def test_a_tracked_private_key(self, store: Scene, name: str, content: bytes) -> None:
        (store.top / name).parent.mkdir(parents=True, exist_ok=True)
        (store.top / name).write_bytes(content)
        assert levels(look(store), "keys") == []  # what git does not track stays here
        store.commit()
        assert found(look(store), "keys", repr(name)).level == "problem"

    @pytest.mark.parametrize(
        ("kind", "hint"),
        [("openpgp", "admin remove"), ("worker", "worker rotate"), ("hpke", "slot remove"), ("rsa", "slot remove")],
    )
    def test_a_tracked_identity_is_ended_and_not_imported(self, store: Scene, kind: str, hint: str) -> None:
        text = f'{{\n  "format": "strongroom/1 identity",\n  "kind": "{kind}",\n'
        (store.top / "x.identity").write_text(text)
        store.commit()
        told = found(look(store), "keys", "x.identity").hint
        assert hint in told
        assert "import" not in told

    def test_public_keys_and_locked_ones_are_none(self, store: Scene) -> None:
        (store.top / "server.pem").write_text("-----BEGIN CERTIFICATE-----\n")
        (store.top / "locked.pem").write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\n")
        (store.top / "link.key").symlink_to("/dev/zero")
        store.commit()
        assert levels(look(store), "keys") == []


class TestKeysThemselves:
    def test_a_store_with_one_way_in(self, store: Scene) -> None:
        assert "strongroom recovery create" in found(look(store), "slots", "only one key").hint
        with store.open() as keystore:
            create_recovery(keystore, threshold=2, shares=2, show=lambda _: None)
        assert levels(look(store), "slots") == []

    def test_an_admin_s_key_that_ends_soon(self, scene: Scene, gpg_homes: GpgHomes) -> None:
        scene.user = gpg_homes("Dora <dora@example.org>", expires="20d")
        scene.found()
        finding = found(look(scene), "admins", "dora@example.org")
        assert "expires in 19 days" in finding.fact
        assert finding.hint.startswith(f"gpg --quick-set-expire {scene.user.fingerprint}")
        assert levels(look(scene), "store") == ["ok"]

    def test_types_that_are_weak(self, store: Scene) -> None:
        with store.open() as keystore:
            keystore.create("old-signing", "rsa-2048", purpose="sign")
            keystore.create("box", "fernet")
        examination = look(store)
        assert found(examination, "old-signing", "112 bits").level == "warning"
        assert found(examination, "keysets", "1 fernet keyset").level == "note"

    def test_a_clock_that_is_behind_what_was_written(self, store: Scene, hand_clock: HandClock) -> None:
        with store.open(clock=hand_clock) as keystore:
            keystore.create("box", "fernet")
        hand_clock.pass_time(-60)
        assert levels(look(store, clock=hand_clock), "clock") == []
        hand_clock.pass_time(-3600)
        assert found(look(store, clock=hand_clock), "clock", "one of them is wrong").level == "warning"


class TestGit:
    def test_a_clone_that_merges_records_as_text(self, store: Scene) -> None:
        assert found(look(store), "git", "as text").hint == "strongroom git-setup"
        git(store.top, "config", "merge.strongroom.driver", "strongroom git-merge -- %O %A %B %P")
        assert levels(look(store), "git") == []


def test_an_old_gnupg_is_a_problem_and_a_new_one_is_told(store: Scene, tmp_path: Path) -> None:
    assert any(each.about == "gpg" and each.fact.startswith("GnuPG 2.") for each in look(store).findings)
    old = tmp_path / "gpg"
    old.write_text("#!/bin/sh\necho 'gpg (GnuPG) 2.2.7'\n")
    old.chmod(0o755)
    finding = found(look(store, environ=store.environ_of(store.user, GPG=str(old))), "gpg", "2.2.7 is older than 2.2.8")
    assert finding.level == "problem"


class TestHistory:
    ROOT = b"strongroom/1 root " + b"A" * 22 + b" 1 " + b"A" * 43 + b"\n"

    def search(self, store: Scene, **options: float) -> list[Finding]:
        told: list[str] = []
        findings = list(search_history(store.directory, told.append, store.environ, **options))
        assert all(each.startswith("history: ") for each in told)
        return findings

    def test_a_clean_history(self, store: Scene) -> None:
        store.commit()
        assert [each.level for each in self.search(store)] == ["ok"]

    def test_a_root_that_was_committed_and_removed_again(self, store: Scene) -> None:
        (store.directory / "root.1").write_bytes(self.ROOT)
        git(store.top, "add", "-A")
        git(store.top, "add", "-f", ".strongroom/root.1")
        store.commit("by mistake")
        (store.directory / "root.1").unlink()
        store.commit("and away with it")
        findings = self.search(store)
        assert [each.level for each in findings] == ["problem", "problem", "ok"]
        assert "'.strongroom/root.1' was committed" in findings[0].fact
        assert "'.strongroom/root.1' in commit" in findings[1].fact
        assert b"A" * 43 not in repr(findings).encode()

    def test_a_root_under_another_name_on_another_branch_and_one_that_no_branch_holds(self, store: Scene) -> None:
        store.commit()
        git(store.top, "switch", "-q", "-c", "side")
        (store.top / "notes.txt").write_bytes(b"do not lose this: " + self.ROOT)
        store.commit("notes")
        git(store.top, "switch", "-q", "main")
        git(store.top, "hash-object", "-w", "--stdin", stdin=b"dangling " + self.ROOT)
        facts = " ".join(each.fact for each in self.search(store) if each.level == "problem")
        assert "'notes.txt' in commit" in facts
        assert "which no branch holds" in facts

    def test_a_private_key_is_a_warning(self, store: Scene) -> None:
        (store.top / "deploy").write_text("-----BEGIN RSA PRIVATE KEY-----\n" + "A" * 64)
        store.commit()
        assert "'deploy' in commit" in self.search(store)[0].fact

    def test_a_development_store_publishes_its_root_and_is_no_finding(self, scene: Scene) -> None:
        scene.found(development=True)
        scene.commit()
        assert [each.level for each in self.search(scene)] == ["ok"]

    def test_what_there_was_no_time_for_is_told(self, store: Scene) -> None:
        store.commit()
        [finding] = self.search(store, limit_s=0.0)
        assert "left out for want of time" in finding.fact

    def test_it_is_searched_only_where_that_is_asked_for(self, store: Scene) -> None:
        assert levels(look(store), "history") == []
        assert levels(look(store, history=True, progress=lambda _: None), "history") == ["ok"]

    def test_outside_git(self, store: Scene, tmp_path: Path) -> None:
        alone = tmp_path / "alone"
        shutil.copytree(store.directory, alone)
        findings = list(search_history(alone, lambda _: None, os.environ))
        assert [(each.level, "in no git" in each.fact) for each in findings] == [("note", True)]
