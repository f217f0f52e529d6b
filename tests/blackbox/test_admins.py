"""Who receives: a listed name is one full fingerprint, approved, able to receive, or nothing is written."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from strongroom.blackbox import Repository, layout
from strongroom.errors import BlackBoxError, ExistsError, FormatError, RecipientError, SettingsError
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.openpgp.packets import recipients_of
from tests.blackbox.conftest import EngineOf, snapshot
from tests.support.blackbox_fixtures import ADDRESSES, REPOSITORIES, STAYED, clone, git, secret_key
from tests.support.gpg import GpgHome, GpgHomes


@pytest.fixture
def two(repo: Repository, bob_key: Certificate) -> Repository:
    """The repository with bob in it."""
    repo.add_admin(bob_key, label="bob@example.org")
    return repo


def _seal_one(repo: Repository, approved: tuple[str, ...] | None) -> bytes:
    (repo.root / "f").write_bytes(b"secret")
    repo.register("f", approved=approved)
    return (repo.root / "f.gpg").read_bytes()


def _ring_of(repo: Repository, *keys: bytes) -> None:
    """Overwrite the tracked keyring, as whoever can write to the repository may: a row of keys in the old format."""
    (repo.data / "pubring.kbx").unlink(missing_ok=True)
    (repo.data / "pubring.gpg").write_bytes(b"".join(keys))


def test_a_key_whose_encryption_subkey_has_expired_is_refused_for_that(
    repo: Repository, gpg_homes: GpgHomes, engine_of: EngineOf
) -> None:
    edna = gpg_homes()
    edna.generate("Edna <edna@example.org>", kind="sign-only")
    quiet = ("--pinentry-mode", "loopback", "--passphrase", "")
    edna.run(*quiet, "--quick-add-key", edna.fingerprint, "cv25519", "encr", "seconds=1")
    for _ in range(300):
        if b"[expired:" in edna.run("--list-options", "show-unusable-subkeys", "--list-keys").stdout:
            break
        time.sleep(0.2)
    before = snapshot(repo.root)
    with pytest.raises(RecipientError, match="cannot receive: its encryption subkey expired on "):
        repo.add_admin(engine_of(edna).certificate(edna.fingerprint), label="edna@example.org")
    assert snapshot(repo.root) == before


class TestWhatTheUsersOwnRingKnowsOfAKey:
    @pytest.fixture
    def zoe(self, gpg_homes: GpgHomes) -> GpgHome:
        return gpg_homes("Zoe <zoe@example.org>", expires="30d")

    @pytest.fixture
    def with_zoe(self, repo: Repository, zoe: GpgHome) -> Repository:
        repo.add_admin(repo.engine.certificates(zoe.export())[0], label="zoe@example.org")
        (repo.root / "f").write_bytes(b"secret")
        return repo

    def test_a_revocation_keeps_it_from_receiving(
        self, with_zoe: Repository, zoe: GpgHome, gpg_homes: GpgHomes, alice: GpgHome, engine_of: EngineOf
    ) -> None:
        mine = gpg_homes.of_key(alice.export_secret())
        mine.import_keys(zoe.export())
        repo = Repository.discover(with_zoe.root, engine=engine_of(mine))
        assert zoe.fingerprint in repo.recipients(None).certificates[1].fingerprint
        zoe.revoke(zoe.fingerprint)
        mine.import_keys(zoe.export())
        repo = Repository.discover(with_zoe.root, engine=engine_of(mine))
        before = snapshot(repo.root)
        with pytest.raises(RecipientError, match="revoked") as caught:
            repo.register("f", approved=None)
        assert "zoe@example.org" in str(caught.value)
        assert snapshot(repo.root) == before
        assert next(row for row in repo.admin_statuses() if row.listed == "zoe@example.org").problem

    def test_a_new_expiry_counts_and_can_be_brought_into_the_tracked_keyring(
        self, with_zoe: Repository, zoe: GpgHome, gpg_homes: GpgHomes, alice: GpgHome, engine_of: EngineOf
    ) -> None:
        def days_left(repo: Repository) -> int | None:
            return next(row for row in repo.admin_statuses() if row.listed == "zoe@example.org").days_left

        assert days_left(with_zoe) in (29, 30)
        for words in (["5y"], ["5y", "*"]):
            zoe.run("--quick-set-expire", zoe.fingerprint, *words)
        mine = gpg_homes.of_key(alice.export_secret())
        mine.import_keys(zoe.export())
        repo = Repository.discover(with_zoe.root, engine=engine_of(mine))
        assert days_left(repo) in range(1700, 1830)
        assert days_left(Repository.discover(repo.root, engine=with_zoe.engine)) in (29, 30), "others know no better"
        key = repo.engine.certificate(zoe.fingerprint)
        repo.add_admin(key, label="zoe@example.org")
        assert git(repo.root, "log", "-1", "--format=%s") == b"RENEWED ADMIN: zoe@example.org\n"
        assert days_left(Repository.discover(repo.root, engine=with_zoe.engine)) in range(1700, 1830)
        with pytest.raises(ExistsError):
            repo.add_admin(key, label="zoe@example.org")


class TestKeySubstitution:
    def test_a_second_key_with_an_admins_name_is_refused(
        self, two: Repository, alice: GpgHome, bob: GpgHome, gpg_homes: GpgHomes
    ) -> None:
        mallory = gpg_homes("Bob <bob@example.org>")
        _ring_of(two, alice.export(), bob.export(), mallory.export())
        (two.root / "f").write_bytes(b"secret")
        before = snapshot(two.root)
        for approved in (None, (alice.fingerprint, bob.fingerprint)):
            with pytest.raises(RecipientError, match="more than one key") as caught:
                two.register("f", approved=approved)
            assert mallory.fingerprint in str(caught.value)
            assert bob.fingerprint in str(caught.value)
        assert snapshot(two.root) == before

    def test_a_full_fingerprint_in_the_list_settles_it(
        self, two: Repository, alice: GpgHome, bob: GpgHome, gpg_homes: GpgHomes
    ) -> None:
        mallory = gpg_homes("Bob <bob@example.org>")
        _ring_of(two, alice.export(), bob.export(), mallory.export())
        (two.data / layout.ADMINS).write_text(f"alice@example.org\n{bob.fingerprint.lower()}\n", "utf-8")
        sealed = _seal_one(two, (alice.fingerprint, bob.fingerprint))
        assert bob.decrypt(sealed) == b"secret"
        assert mallory.run("--decrypt", stdin=sealed, check=False).returncode == 2

    def test_a_key_put_in_the_place_of_an_admins_gets_nothing(
        self, two: Repository, alice: GpgHome, bob: GpgHome, gpg_homes: GpgHomes
    ) -> None:
        mallory = gpg_homes("Bob <bob@example.org>")
        _ring_of(two, alice.export(), mallory.export())
        (two.root / "f").write_bytes(b"secret")
        done = two.register("f", approved=(alice.fingerprint, bob.fingerprint))
        assert done.recipients == (alice.fingerprint,)
        assert done.left_out == ("bob@example.org",)
        sealed = (two.root / "f.gpg").read_bytes()
        assert mallory.run("--decrypt", stdin=sealed, check=False).returncode == 2
        assert len(recipients_of(sealed)) == 1

    def test_an_admin_added_to_the_list_and_the_keyring_gets_nothing(
        self, repo: Repository, alice: GpgHome, gpg_homes: GpgHomes
    ) -> None:
        mallory = gpg_homes("Mallory <mallory@example.org>")
        _ring_of(repo, alice.export(), mallory.export())
        (repo.data / layout.ADMINS).write_bytes(b"alice@example.org\nmallory@example.org\n")
        sealed = _seal_one(repo, (alice.fingerprint,))
        assert mallory.run("--decrypt", stdin=sealed, check=False).returncode == 2

    def test_an_address_that_only_contains_the_listed_one_is_somebody_else(
        self, repo: Repository, alice: GpgHome, gpg_homes: GpgHomes
    ) -> None:
        others = [gpg_homes("M <malice@example.org>"), gpg_homes("alice@example.org <m@example.net>")]
        _ring_of(repo, alice.export(), *(other.export() for other in others))
        assert [key.fingerprint for key in repo.admin_certificates()] == [alice.fingerprint]

    def test_a_listed_word_is_looked_for_in_user_ids(
        self, repo: Repository, alice: GpgHome, bob: GpgHome, gpg_homes: GpgHomes
    ) -> None:
        _ring_of(repo, alice.export(), bob.export())
        (repo.data / layout.ADMINS).write_bytes(b"ALICE and the rest is not read\n" + bob.fingerprint[-16:].encode())
        assert [key.fingerprint for key in repo.admin_certificates()] == [alice.fingerprint, bob.fingerprint]


class TestAdminsWhoCannotReceive:
    def test_an_expired_and_a_revoked_and_an_encryptless_key_are_named_before_anything_is_written(
        self, repo: Repository, alice: GpgHome, gpg_homes: GpgHomes
    ) -> None:
        expired = gpg_homes()
        expired.generate("E <expired@example.org>", expires="1d", faked_time="20200101T000000")
        signer = gpg_homes("S <signer@example.org>", kind="sign-only")
        revoked = gpg_homes("R <revoked@example.org>")
        certificate = (revoked.home / "openpgp-revocs.d" / f"{revoked.fingerprint}.rev").read_bytes()
        revoked.run("--import", stdin=certificate.replace(b":-----BEGIN", b"-----BEGIN"))
        _ring_of(repo, alice.export(), expired.export(), signer.export(), revoked.export())
        names = ["alice@example.org", "expired@example.org", "revoked@example.org", "signer@example.org"]
        (repo.data / layout.ADMINS).write_text("\n".join(names), "utf-8")
        (repo.root / "f").write_bytes(b"secret")
        before = snapshot(repo.root)
        everybody = tuple(home.fingerprint for home in (alice, expired, signer, revoked))
        for approved in (None, everybody):
            with pytest.raises(RecipientError) as caught:
                repo.register("f", approved=approved)
            said = str(caught.value)
            for home, words in ((expired, "expired on 2020-01-02"), (revoked, "revoked"), (signer, "no encryption")):
                assert home.fingerprint in said
                assert words in said
            assert alice.fingerprint not in said
        assert snapshot(repo.root) == before
        assert repo.register("f", approved=(alice.fingerprint,)).left_out == tuple(names[1:])

    def test_an_admin_without_a_key_is_named(self, repo: Repository, only_alice: tuple[str, ...]) -> None:
        (repo.data / layout.ADMINS).write_bytes(b"alice@example.org\nghost@example.org\n")
        with pytest.raises(RecipientError, match=r"without a key in the tracked keyring: 'ghost@example\.org'"):
            _seal_one(repo, only_alice)

    def test_a_list_without_admins_seals_nothing(self, repo: Repository) -> None:
        (repo.data / layout.ADMINS).write_bytes(b"\n")
        with pytest.raises(RecipientError, match="no approved admin"):
            _seal_one(repo, None)

    def test_a_repository_without_a_keyring_says_so(self, repo: Repository) -> None:
        (repo.data / "pubring.kbx").unlink()
        with pytest.raises(BlackBoxError, match="there is no keyring"):
            repo.admin_certificates()

    def test_a_keybox_that_was_tampered_with_is_no_keyring(self, repo: Repository) -> None:
        raw = bytearray((repo.data / "pubring.kbx").read_bytes())
        for position, value in ((32 + 12, 0xFF), (3, 1), (35, 0)):
            (repo.data / "pubring.kbx").write_bytes(raw[:position] + bytes([value]) + raw[position + 1 :])
            with pytest.raises(FormatError, match="no sound keybox"):
                repo.admin_certificates()


class TestAddingAnAdmin:
    def test_the_next_file_is_sealed_to_both(self, two: Repository, alice: GpgHome, bob: GpgHome) -> None:
        assert two.admins() == ("alice@example.org", "bob@example.org")
        sealed = _seal_one(two, (alice.fingerprint, bob.fingerprint))
        assert alice.decrypt(sealed) == bob.decrypt(sealed) == b"secret"
        assert git(two.root, "log", "--format=%s", "-2").decode().split("\n")[1] == "NEW ADMIN: bob@example.org"
        assert git(two.root, "status", "--porcelain", "-uall") == b""

    @pytest.mark.parametrize("repository", REPOSITORIES)
    def test_a_keyring_of_the_originals_keeps_everybody_and_gpg_reads_it(
        self,
        repository: str,
        gpg_homes: GpgHomes,
        engine_of: EngineOf,
        tmp_path: Path,
    ) -> None:
        root = clone(repository, tmp_path / "r")
        member = gpg_homes.of_key(secret_key(repository, "alice"))
        repo = Repository.discover(root, engine=engine_of(member))
        before = {path.name: path.stat().st_mode for path in repo.data.iterdir()}
        trust = (repo.data / "trustdb.gpg").read_bytes()
        dan = gpg_homes("Dan <dan@example.org>")
        repo.add_admin(engine_of(dan).certificate(dan.fingerprint), label="dan@example.org")
        assert len(repo.admin_certificates()) == 4
        assert {path.name: path.stat().st_mode for path in repo.data.iterdir()} == before, "no litter"
        assert (repo.data / "trustdb.gpg").read_bytes() == trust
        reader = gpg_homes()
        (reader.home / "pubring.kbx").write_bytes((repo.data / "pubring.kbx").read_bytes())
        listed = reader.run("--list-keys", "--with-colons").stdout
        assert all(ADDRESSES[person].encode() in listed for person in STAYED)
        assert dan.fingerprint.encode() in listed
        # what the original's addadmin runs next: nothing is missing for its `git add`
        data = str(repo.data.relative_to(root))
        git(root, "add", "--", *(f"{data}/{name}" for name in ("pubring.kbx", "trustdb.gpg", layout.ADMINS)))
        assert git(root, "status", "--porcelain") == b""

    def test_an_old_keyring_stays_one(
        self, repo: Repository, alice: GpgHome, bob: GpgHome, bob_key: Certificate
    ) -> None:
        _ring_of(repo, alice.export())
        repo.add_admin(bob_key, label="bob@example.org", commit=False)
        assert not (repo.data / "pubring.kbx").exists()
        assert {key.fingerprint for key in repo.admin_certificates()} == {alice.fingerprint, bob.fingerprint}
        shown = alice.run("--show-keys", "--with-colons", stdin=(repo.data / "pubring.gpg").read_bytes()).stdout
        assert bob.fingerprint.encode() in shown

    def test_where_both_keyrings_stand_a_key_in_either_counts(
        self, repo: Repository, alice: GpgHome, bob: GpgHome
    ) -> None:
        (repo.data / "pubring.gpg").write_bytes(bob.export())
        (repo.data / layout.ADMINS).write_bytes(b"alice@example.org\nbob@example.org\n")
        assert [key.fingerprint for key in repo.admin_certificates()] == [alice.fingerprint, bob.fingerprint]

    def test_where_both_keyrings_stand_both_get_the_key(
        self, repo: Repository, alice: GpgHome, bob: GpgHome, bob_key: Certificate
    ) -> None:
        (repo.data / "pubring.gpg").write_bytes(alice.export())
        done = repo.add_admin(bob_key, label="bob@example.org")
        assert {".blackbox/pubring.gpg", ".blackbox/pubring.kbx"} <= set(done.changed)
        for gone in ("pubring.gpg", "pubring.kbx"):
            kept = (repo.data / gone).read_bytes()
            (repo.data / gone).unlink()
            assert len(repo.admin_certificates()) == 2
            (repo.data / gone).write_bytes(kept)

    def test_a_name_that_the_original_left_without_a_key_can_be_given_one(
        self, repo: Repository, bob: GpgHome, bob_key: Certificate
    ) -> None:
        (repo.data / layout.ADMINS).write_bytes(b"alice@example.org\nbob@example.org\nghost@example.org\n")
        repo.add_admin(bob_key, label="bob@example.org")
        assert repo.admins() == ("alice@example.org", "bob@example.org", "ghost@example.org")
        with pytest.raises(RecipientError, match=r"without a key in the tracked keyring: 'ghost@example\.org'"):
            repo.admin_certificates()

    def test_a_revoked_key_does_not_stand_in_the_way_of_its_successor(
        self, repo: Repository, gpg_homes: GpgHomes, engine_of: EngineOf
    ) -> None:
        user = gpg_homes("Eve <eve@example.org>")
        repo.add_admin(engine_of(user).certificate(user.fingerprint), label="eve@example.org")
        revocation = (user.home / "openpgp-revocs.d" / f"{user.fingerprint}.rev").read_bytes()
        user.run("--import", stdin=revocation.replace(b":-----BEGIN", b"-----BEGIN"))
        successor = user.generate("Eve <eve@example.org>")
        _ring_of(repo, user.export())
        (repo.data / layout.ADMINS).write_bytes(b"eve@example.org\n")
        assert [key.fingerprint for key in repo.admin_certificates()] == [successor]

    def test_nobody_is_dropped_whom_the_originals_sort_would_take_for_another(
        self, repo: Repository, gpg_homes: GpgHomes, engine_of: EngineOf
    ) -> None:
        twin = gpg_homes("A <al.ice@example.org>")
        repo.add_admin(engine_of(twin).certificate(twin.fingerprint), label="al.ice@example.org")
        assert set(repo.admins()) == {"alice@example.org", "al.ice@example.org"}

    def test_refusals_change_nothing(
        self, two: Repository, bob_key: Certificate, gpg_homes: GpgHomes, engine_of: EngineOf
    ) -> None:
        expired = gpg_homes()
        expired.generate("E <e@example.org>", expires="1d", faked_time="20200101T000000")
        expired_key = engine_of(expired).certificate(expired.fingerprint)
        namesake = gpg_homes("B <bob@example.org>")
        namesake_key = engine_of(namesake).certificate(namesake.fingerprint)
        before = snapshot(two.root)
        with pytest.raises(ExistsError, match="an admin already"):
            two.add_admin(bob_key, label="bob@example.org")
        with pytest.raises(RecipientError, match="expired"):
            two.add_admin(expired_key, label="e@example.org")
        with pytest.raises(RecipientError, match="without a key"):
            two.add_admin(bob_key, label="robert@example.org")
        with pytest.raises(RecipientError, match="would mean"):
            two.add_admin(bob_key, label="Alice")
        with pytest.raises(RecipientError, match=r"would have more than one key: 'bob@example\.org'"):
            two.add_admin(namesake_key, label=namesake_key.fingerprint)
        for label in ("", "two words", "-dash", "line\nbreak", " lead", "bell\a", "a\u202eb"):
            with pytest.raises(SettingsError):
                two.add_admin(bob_key, label=label)
        assert snapshot(two.root) == before


class TestCreating:
    def test_the_layout_is_the_originals(self, repo: Repository, alice: GpgHome) -> None:
        assert {path.name for path in repo.data.iterdir()} == {
            *(".gitattributes", "blackbox-admins.txt", "blackbox-files.txt", "pubring.kbx", "trustdb.gpg")
        }
        assert stat.S_IMODE(repo.data.stat().st_mode) == 0o755
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o644 for path in repo.data.iterdir())
        assert (repo.data / "blackbox-files.txt").read_bytes() == b""
        assert (repo.data / "blackbox-admins.txt").read_bytes() == b"alice@example.org\n"
        attributes = b"blackbox-admins.txt text eol=lf\nblackbox-files.txt text eol=lf\n"
        assert (repo.data / ".gitattributes").read_bytes() == attributes
        ignored = b"/.blackbox/pubring.gpg~\n/.blackbox/pubring.kbx~\n/.blackbox/secring.gpg\n"
        assert (repo.root / ".gitignore").read_bytes() == ignored
        assert git(repo.root, "log", "--format=%s") == b"INITIALIZE BLACKBOX\n"
        assert git(repo.root, "status", "--porcelain", "-uall", "--ignored") == b""
        assert [key.fingerprint for key in repo.admin_certificates()] == [alice.fingerprint]

    def test_without_commit_nothing_is_staged(self, work_tree: Path, as_alice: Engine, alice_key: Certificate) -> None:
        (work_tree / ".gitignore").write_bytes(b"*.pyc")
        repo = Repository.create(work_tree, admin=alice_key, label="alice@example.org", engine=as_alice, commit=False)
        assert git(work_tree, "ls-files") == b""
        assert (work_tree / ".gitignore").read_bytes().startswith(b"*.pyc\n/.blackbox/")
        assert repo.files() == ()

    @pytest.mark.parametrize("there", [".blackbox", "keyrings/live"])
    def test_an_existing_one_is_not_overwritten(
        self, work_tree: Path, as_alice: Engine, alice_key: Certificate, there: str
    ) -> None:
        (work_tree / there).mkdir(parents=True)
        (work_tree / there / layout.ADMINS).write_text("somebody@example.org\n")
        with pytest.raises(ExistsError):
            Repository.create(work_tree, admin=alice_key, label="alice@example.org", engine=as_alice)
        assert [path.name for path in (work_tree / there).iterdir()] == [layout.ADMINS]

    def test_below_the_top_of_a_work_tree_the_originals_would_not_find_it(
        self, work_tree: Path, as_alice: Engine, alice_key: Certificate
    ) -> None:
        (work_tree / "sub").mkdir()
        with pytest.raises(BlackBoxError, match="looks at its top only"):
            Repository.create(work_tree / "sub", admin=alice_key, label="alice@example.org", engine=as_alice)

    @pytest.mark.parametrize("with_git", [True, False])
    def test_a_failure_leaves_nothing(
        self, tmp_path: Path, as_alice: Engine, alice_key: Certificate, with_git: bool
    ) -> None:
        if with_git:
            git(tmp_path, "init", "--quiet")
        with pytest.raises(RecipientError):
            Repository.create(tmp_path, admin=alice_key, label="somebody@example.net", engine=as_alice)
        assert [path for path in tmp_path.iterdir() if path.name != ".git"] == []
