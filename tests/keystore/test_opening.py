"""Opening a store: every way in, every way to be kept out, and whose store it is. Real gpg, real files."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.keystore.scenes import PASSPHRASE, Scene, repository, standing_in
from tests.support.blackbox_fixtures import clone, plaintext_hashes, secret_key, sha256
from tests.support.gpg import GpgHome, GpgHomes

from strongroom.errors import (
    AgentError,
    CannotOpenError,
    EngineMissingError,
    ForeignStoreError,
    IdentityError,
    NoSecretKeyError,
    NotFoundError,
    PassphraseError,
    PolicyError,
    SealError,
    SettingsError,
    StrongroomError,
)
from strongroom.exitcodes import CANNOT_OPEN, USAGE, exit_code
from strongroom.keystore.admins import create_role
from strongroom.keystore.credentials import Given
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_settings, open_store
from strongroom.keystore.settings import StoreSettings
from strongroom.openpgp.gnupg import GnuPG
from strongroom.primitives import rsa
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.hpke import HpkeSlot
from strongroom.sealing.identities import HpkeIdentity, RsaIdentity, format_identity, write_identity
from strongroom.sealing.passphrase import Cost, PassphraseSlot
from strongroom.sealing.rsa import RsaSlot

CHEAP = Cost(memory_kib=8192, iterations=1, lanes=1)
"""What a passphrase costs to try here; the default takes most of a second, and what is tested is not its price."""


def add_slot(scene: Scene, slot: Callable[[KeyStore], PassphraseSlot | RsaSlot | HpkeSlot]) -> None:
    """One more way into the store, with a keyset to see that it opens."""
    with scene.open() as keystore:
        keystore.create("box", "fernet")
        keystore.sealed.replace_header(keystore.sealed.header.with_slot(slot(keystore)))


def with_passphrase(scene: Scene) -> None:
    given = SecretBytes(PASSPHRASE.encode())
    add_slot(scene, lambda ks: PassphraseSlot.create(ks.sealed.root, given, label="office", cost=CHEAP))


def opens(keystore: KeyStore) -> bool:
    with keystore:
        box = keystore.fernet("box")
        return box.decrypt(box.encrypt(b"data")) == b"data"


# --- the user's gpg


def test_the_users_own_gpg_opens_what_he_made(store: Scene) -> None:
    with store.open() as keystore:
        keystore.create("box", "fernet")
    assert opens(store.open())


def test_the_directory_above_will_do_as_well(store: Scene) -> None:
    with open_store(store.top, environ=store.environ) as keystore:
        assert keystore.base == store.directory


def test_somebody_without_the_key_gets_in_nowhere(store: Scene, bob: GpgHome) -> None:
    with pytest.raises(NoSecretKeyError) as caught:
        store.open(environ=store.environ_of(bob))
    assert exit_code(caught.value) == CANNOT_OPEN
    assert caught.value.hint


def test_with_no_gpg_at_all_the_error_says_so(store: Scene) -> None:
    with pytest.raises(EngineMissingError) as caught:
        store.open(environ={**store.environ, "GPG": "/nonexistent/gpg"})
    assert exit_code(caught.value) == CANNOT_OPEN
    assert "doctor" in caught.value.hint


def test_a_machine_with_no_home_is_told_to_take_an_identity(store: Scene) -> None:
    with pytest.raises(NoSecretKeyError) as caught:
        store.open(environ=store.bare(HOME="/nonexistent"))
    assert exit_code(caught.value) == CANNOT_OPEN
    assert "role create" in caught.value.hint


def test_a_key_behind_a_passphrase_and_nobody_to_ask(scene: Scene, gpg_homes: GpgHomes) -> None:
    """The passphrase of a gpg key is gpg's own matter: without a terminal opening fails at once, and says why."""
    scene.user = gpg_homes()
    (scene.user.home / "gpg-agent.conf").write_text("s2k-count 65536\n")  # or it measures for seconds what to take
    scene.user.generate("Erin <erin@example.org>", passphrase="not to be seen")
    scene.found()
    scene.user.end_agent()
    with pytest.raises((AgentError, PassphraseError, NoSecretKeyError)) as caught:
        scene.open(given=Given(engine=GnuPG(environ=scene.environ, terminal="")))
    assert exit_code(caught.value) == CANNOT_OPEN
    wrong = GnuPG(environ=scene.environ, passphrase=SecretBytes(b"something else"))
    with pytest.raises(PassphraseError):
        scene.open(given=Given(engine=wrong))
    right = GnuPG(environ=scene.environ, passphrase=SecretBytes(b"not to be seen"))
    scene.open(given=Given(engine=right)).close()


def test_a_hung_agent_does_not_hang_the_opening(scene: Scene, gpg_homes: GpgHomes) -> None:
    scene.user = gpg_homes("Frank <frank@example.org>")
    scene.found()
    with scene.user.hung_agent(), pytest.raises(AgentError) as caught:
        scene.open(given=Given(engine=GnuPG(environ=scene.environ, timeout=1)))
    assert exit_code(caught.value) == CANNOT_OPEN
    scene.open().close()


# --- identities


def test_a_roles_identity_file_opens_without_any_home(store: Scene, role: Path) -> None:
    assert opens(store.open(identity=role, environ=store.bare()))
    assert opens(store.open(environ=store.bare(STRONGROOM_IDENTITY_FILE=str(role))))
    assert opens(store.open(given=Given(identity=role), environ=store.bare()))


def test_an_identity_is_text_where_there_are_only_variables(store: Scene, role: Path) -> None:
    assert opens(store.open(environ=store.bare(STRONGROOM_IDENTITY=role.read_text())))
    assert opens(store.open(given=Given(identity_text=role.read_text()), environ=store.bare()))


def test_an_identity_does_not_fall_back_on_the_users_gpg(store: Scene, gpg_homes: GpgHomes) -> None:
    with store.open() as keystore:
        fired = create_role(keystore, "fired", store.top.parent / "fired.identity", environ=store.environ)
        without = keystore.sealed.header.without_recipient(fired.change.fingerprint)
        sealed = store.user.encrypt(keystore.sealed.root.line().reveal(), store.user.fingerprint)
        keystore.sealed.replace_header(without, root_file=sealed)
    store.open().close()  # Alice's own key opens it
    with pytest.raises(NoSecretKeyError):
        store.open(identity=fired.path)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602])
def test_an_identity_that_others_can_reach_is_refused(store: Scene, role: Path, mode: int) -> None:
    role.chmod(mode)
    with pytest.raises(IdentityError) as caught:
        store.open(identity=role, environ=store.bare())
    assert "chmod 0600" in caught.value.hint
    assert exit_code(caught.value) == CANNOT_OPEN


def test_a_mounted_secret_is_a_link_that_its_group_may_read(store: Scene, role: Path) -> None:
    role.chmod(0o440)
    link = role.with_name("mounted")
    link.symlink_to(role)
    assert opens(store.open(identity=link, environ=store.bare()))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"hello", b"\xff\xfe\x00", b"-----BEGIN PRIVATE KEY-----\n", b"{" * 70_000]
)
def test_a_file_that_is_no_identity_is_an_identity_error(store: Scene, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "junk"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(IdentityError):
        store.open(identity=path, environ=store.bare())


def test_a_missing_identity_file_is_named(store: Scene, tmp_path: Path) -> None:
    with pytest.raises((IdentityError, NotFoundError)) as caught:
        store.open(identity=tmp_path / "nowhere", environ=store.bare())
    assert "nowhere" in str(caught.value)


def test_an_rsa_identity_opens_its_slot_as_json_and_as_pem(store: Scene, tmp_path: Path) -> None:
    private = SecretBytes(rsa.generate(2048).reveal()[1:])  # the PKCS #8 behind its mark
    identity = RsaIdentity.from_private(private, name="ci")
    add_slot(store, lambda ks: RsaSlot.create(ks.sealed.root, identity.public, label="ci"))
    path = tmp_path / "ci.identity"
    write_identity(path, identity)
    assert opens(store.open(identity=path, environ=store.bare()))
    assert opens(store.open(environ=store.bare(STRONGROOM_IDENTITY=path.read_text())))
    pem = tmp_path / "ci.pem"
    pem.touch(0o600)
    pem.write_bytes(as_pem(identity.private))
    assert opens(store.open(identity=pem, environ=store.bare()))
    other = tmp_path / "other.identity"
    write_identity(other, HpkeIdentity.generate(name="other"))
    with pytest.raises(SealError) as caught:
        store.open(identity=other, environ=store.bare())
    assert "'ci'" in str(caught.value)


@pytest.mark.parametrize("suite", ["x25519", "mlkem768-x25519"])
def test_an_hpke_identity_opens_its_slot(store: Scene, tmp_path: Path, suite: str) -> None:
    identity = HpkeIdentity.generate(suite, name="ci")
    add_slot(store, lambda ks: HpkeSlot.create(ks.sealed.root, identity.public, suite=suite, label="ci"))
    path = tmp_path / "ci.identity"
    write_identity(path, identity)
    assert opens(store.open(identity=path, environ=store.bare()))


def test_a_protected_identity_asks_for_its_passphrase_once(store: Scene, tmp_path: Path) -> None:
    identity = HpkeIdentity.generate(name="ci")
    add_slot(store, lambda ks: HpkeSlot.create(ks.sealed.root, identity.public, suite="x25519", label="ci"))
    text = format_identity(identity, passphrase=SecretBytes(PASSPHRASE.encode()), cost=CHEAP).reveal().decode()
    asked: list[str] = []

    def ask() -> str:
        asked.append("asked")
        return PASSPHRASE

    assert opens(store.open(environ=store.bare(STRONGROOM_IDENTITY=text), given=Given(ask=ask)))
    assert asked == ["asked"]
    with pytest.raises(PassphraseError):
        store.open(environ=store.bare(STRONGROOM_IDENTITY=text))
    with pytest.raises(PassphraseError):
        store.open(environ=store.bare(STRONGROOM_IDENTITY=text, STRONGROOM_PASSPHRASE="another one altogether"))


# --- passphrases


def ways_to_say(passphrase: str, tmp_path: Path) -> Iterator[tuple[str, dict[str, object], dict[str, str]]]:
    path = tmp_path / "passphrase"
    path.touch(0o600)
    path.write_text(f"{passphrase}\n")
    reading, writing = os.pipe()
    os.write(writing, f"{passphrase}\n".encode())
    os.close(writing)
    yield "argument", {"passphrase": passphrase}, {}
    yield "secret bytes", {"given": Given(passphrase_secret=SecretBytes(passphrase.encode()))}, {}
    yield "file", {"given": Given(passphrase_file=path)}, {}
    yield "descriptor", {"given": Given(passphrase_fd=reading)}, {}
    yield "prompt", {"given": Given(ask=lambda: passphrase)}, {}
    yield "variable", {}, {"STRONGROOM_PASSPHRASE": passphrase}
    yield "file in a variable", {}, {"STRONGROOM_PASSPHRASE_FILE": str(path)}
    os.close(reading)


@pytest.mark.parametrize("right", [True, False])
def test_a_passphrase_comes_in_each_of_the_ways(store: Scene, tmp_path: Path, right: bool) -> None:
    with_passphrase(store)
    for way, options, variables in ways_to_say(PASSPHRASE if right else "not the right words", tmp_path):
        environ = store.bare(HOME="/nonexistent", **variables)
        if right:
            assert opens(store.open(environ=environ, **options)), way
        else:
            with pytest.raises(StrongroomError) as caught:
                store.open(environ=environ, **options)
            assert exit_code(caught.value) == CANNOT_OPEN, way
            assert "passphrase" in str(caught.value), way


def test_a_passphrase_alone_that_is_wrong_is_a_passphrase_error(tmp_path: Path) -> None:
    found(tmp_path / "store", passphrase=PASSPHRASE, environ={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    environ = {"PATH": "/nonexistent", "STRONGROOM_PASSPHRASE": "not the right words"}
    with pytest.raises(StrongroomError) as caught:
        open_store(tmp_path / "store", environ=environ)
    assert isinstance(caught.value, PassphraseError)
    open_store(tmp_path / "store", environ={**environ, "STRONGROOM_PASSPHRASE": PASSPHRASE}).close()


def test_a_passphrase_file_that_everyone_reads_is_refused(store: Scene, tmp_path: Path) -> None:
    with_passphrase(store)
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE)
    path.chmod(0o644)
    with pytest.raises(CannotOpenError) as caught:
        store.open(environ=store.bare(STRONGROOM_PASSPHRASE_FILE=str(path)))
    assert "others could read" in str(caught.value)


def test_nobody_is_asked_where_no_slot_wants_a_passphrase(store: Scene) -> None:
    def ask() -> str:
        raise AssertionError("there is no passphrase slot")

    store.open(given=Given(ask=ask)).close()


def test_a_person_is_asked_once_however_many_slots_want_it(store: Scene) -> None:
    with_passphrase(store)
    for label in ("second", "third"):
        with store.open() as keystore:
            other = SecretBytes(f"another passphrase {label}".encode())
            slot = PassphraseSlot.create(keystore.sealed.root, other, label=label, cost=CHEAP)
            keystore.sealed.replace_header(keystore.sealed.header.with_slot(slot))
    asked: list[str] = []

    def ask() -> str:
        asked.append("asked")
        return "another passphrase third"

    assert opens(store.open(given=Given(ask=ask), environ=store.bare()))
    assert asked == ["asked"]


def test_a_prompt_that_nobody_answers_is_a_passphrase_error(store: Scene) -> None:
    with_passphrase(store)

    def nobody() -> str:
        raise EOFError

    with pytest.raises(StrongroomError) as caught:
        store.open(given=Given(ask=nobody), environ=store.bare(HOME="/nonexistent"))
    assert exit_code(caught.value) == CANNOT_OPEN


# --- development, build, memory


def test_a_development_store_opens_only_where_that_was_said(scene: Scene) -> None:
    scene.found(development=True)
    with pytest.raises(SealError) as caught:
        scene.open(environ=scene.bare())
    assert "STRONGROOM_DEVELOPMENT" in str(caught.value)
    for other in ("0", "true", "yes", ""):
        with pytest.raises(SealError):
            scene.open(environ=scene.bare(STRONGROOM_DEVELOPMENT=other))
    with scene.open(environ=scene.bare(STRONGROOM_DEVELOPMENT="1")) as keystore:
        keystore.create("box", "fernet")
        assert keystore.fernet("box").encrypt(b"data")


def test_a_build_opens_nothing_and_gets_throw_away_values(scene: Scene) -> None:
    build = {"STRONGROOM_BUILD": "1", "STRONGROOM_PIN": "not a pin", "STRONGROOM_IDENTITY": "no identity"}
    with open_store(scene.top / "nowhere", environ=build) as keystore:
        box = keystore.fernet("whatever-is-asked-for")
        assert box.decrypt(box.encrypt(b"data")) == b"data"
        assert keystore.secret("database-url").reveal()
        assert keystore.signer("signing").sign(b"message")
        assert keystore.private_key("private")
    assert scene.files() == {}
    with pytest.raises(NotFoundError):
        open_store(scene.top / "nowhere", environ={"STRONGROOM_BUILD": "0"})


def test_a_store_in_memory_is_new_each_time() -> None:
    with open_store("memory:", environ={}) as one, open_store("memory:", environ={}) as two:
        one.create("box", "fernet")
        assert two.names() == ()
    with open_store("memory:?seed=tests", environ={}) as one, open_store("memory:?seed=tests", environ={}) as two:
        one.create("box", "fernet")
        two.create("box", "fernet")
        assert two.fernet("box").decrypt(one.fernet("box").encrypt(b"data")) == b"data"


# --- other kinds of store


def test_a_blackbox_repository_opens_as_it_is(tmp_path: Path, gpg_homes: GpgHomes) -> None:
    top = clone("release-v1.20220610", tmp_path / "repo")
    user = gpg_homes.of_key(secret_key("release-v1.20220610", "alice"))
    wanted = plaintext_hashes("release-v1.20220610")
    with open_store(f"blackbox:{top}", environ=user.env) as keystore:
        assert set(keystore.names()) == set(wanted)
        name = min(wanted)
        assert not keystore.source.verified
        assert keystore.notices
        assert sha256(keystore.secret(name).reveal()) == wanted[name] or keystore.show(name).type.value != "secret"
        with pytest.raises(PolicyError):
            keystore.create("box", "fernet")
        with pytest.raises(NotFoundError):
            keystore.secret("no/such/file")


def test_a_blackbox_repository_that_is_none_is_not_found(scene: Scene) -> None:
    with pytest.raises(NotFoundError):
        open_store(f"blackbox:{scene.top}", environ=scene.environ)


@pytest.mark.parametrize("location", ["nosuch:thing", "memory:?sed=1", "memory:seed", "http://example.org/store"])
def test_a_location_that_means_nothing_is_a_usage_error(location: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_store(location, environ={})
    assert exit_code(caught.value) == USAGE


PLUGIN = """
from strongroom.keystore.opening import open_memory
def opened(rest, *, settings, given, limits, clock):
    keystore = open_memory("?seed=" + rest, limits=limits, clock=clock)
    keystore.create("from-the-plugin", "fernet")
    return keystore
def none(rest, **ignored):
    return "not a keystore"
def fails(rest, **ignored):
    raise RuntimeError("a plugin of somebody's")
loaded = True
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A distribution with entry points, as pip would have left it on the path."""
    name = "sr_plugin_for_tests"
    place = tmp_path / "site"
    place.mkdir()
    (place / f"{name}.py").write_text(PLUGIN)
    info = place / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[strongroom.stores]\ntestkind = {name}:opened\nnone = {name}:none\n"
        f"missing = {name}_that_is_not_there:opened\nabsent = {name}:no_such_name\n"
    )
    monkeypatch.syspath_prepend(str(place))
    yield name
    sys.modules.pop(name, None)


def test_an_entry_point_is_taken_by_its_exact_name(plugin: str) -> None:
    with open_store("memory:", environ={}):
        assert plugin not in sys.modules  # nothing loads because it is installed
    for near in ("testkin:x", "TESTKIND:x", "testkind2:x"):
        with pytest.raises(SettingsError):
            open_store(near, environ={})
    assert plugin not in sys.modules
    with open_store("testkind:x", environ={}) as keystore:
        assert keystore.names() == ("from-the-plugin",)


@pytest.mark.parametrize("kind", ["none", "missing", "absent"])
def test_an_entry_point_that_leads_nowhere_is_a_settings_error(plugin: str, kind: str) -> None:
    with pytest.raises(SettingsError):
        open_store(f"{kind}:x", environ={})


# --- finding it


def test_a_store_is_found_upwards(store: Scene) -> None:
    below = store.top / "a" / "b"
    below.mkdir(parents=True)
    with standing_in(below), open_store(environ=store.environ) as keystore:
        assert keystore.base == store.directory
    with standing_in(store.top.parent), pytest.raises(NotFoundError) as caught:
        open_store(environ=store.environ)
    assert "strongroom init" in caught.value.hint
    with standing_in(store.top.parent), open_store(environ={**store.environ, "STRONGROOM_STORE": str(store.top)}):
        pass


def test_a_variable_does_not_override_an_argument(store: Scene, tmp_path: Path) -> None:
    environ = {**store.environ, "STRONGROOM_STORE": str(tmp_path / "elsewhere")}
    open_store(store.top, environ=environ).close()
    with pytest.raises(NotFoundError):
        open_store(environ=environ)


@pytest.mark.parametrize("location", ["nowhere", "a\0b", "x" * 300, "/dev/null", ".", "a\nb"])
def test_opening_never_creates(scene: Scene, location: str) -> None:
    with standing_in(scene.top), pytest.raises(StrongroomError):
        open_store(location, environ=scene.environ)
    assert scene.files() == {}
    assert not scene.state.exists()


def test_a_working_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    with standing_in(gone):
        gone.rmdir()
        for location in (None, "somewhere", "blackbox:"):
            with pytest.raises(StrongroomError):
                open_store(location, environ={"PATH": os.environ["PATH"]})


def test_a_store_that_may_not_be_read_is_told(store: Scene) -> None:
    """As a user who is not root: a directory of ours without permission."""
    if os.geteuid() == 0:
        pytest.skip("root reads everything; test_a_store_of_another_account runs this as somebody else")
    store.directory.chmod(0)
    try:
        with pytest.raises(StrongroomError):
            store.open()
    finally:
        store.directory.chmod(0o755)


OPENS = """
import sys
from strongroom.errors import StrongroomError
from strongroom.keystore.opening import open_store
try:
    open_store(sys.argv[1], environ={})
except StrongroomError as error:
    print(type(error).__name__)
"""


@pytest.mark.machine
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_store_of_another_account_is_told(store: Scene) -> None:
    store.directory.chmod(0o700)
    for directory in (store.top, *store.top.parents):
        if directory != Path("/") and directory.stat().st_mode & 0o5 != 0o5:
            directory.chmod(directory.stat().st_mode | 0o055)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", OPENS, str(store.top)],
        capture_output=True, text=True, check=False, cwd="/", timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in {"NotFoundError", "StoreError"}


# --- whose store it is


def test_the_first_opening_of_a_strangers_store_is_told_and_then_remembered(scene: Scene, tmp_path: Path) -> None:
    store = scene
    store.found()
    elsewhere = {**store.environ, "STRONGROOM_STATE": str(tmp_path / "another machine")}
    with store.open(environ=elsewhere) as first:
        [notice] = first.notices
    assert "never opened" in notice
    assert store.open().pin in notice
    with store.open(environ=elsewhere) as second:
        assert second.notices == ()
    with store.open() as own:  # whoever made it has seen it
        assert own.notices == ()


def test_strict_refuses_what_neither_pin_nor_witness_knows(store: Scene, tmp_path: Path) -> None:
    elsewhere = {**store.environ, "STRONGROOM_STATE": str(tmp_path / "another machine")}
    for options, variables in (({"strict": True}, {}), ({}, {"STRONGROOM_STRICT": "1"})):
        with pytest.raises(ForeignStoreError) as caught:
            store.open(environ={**elsewhere, **variables}, **options)
        assert exit_code(caught.value) == CANNOT_OPEN
    assert store.founded is not None
    store.open(environ=elsewhere, strict=True, pin=store.founded.pin).close()
    store.open(environ=elsewhere, strict=True).close()  # by now the witness knows it
    store.open(strict=True).close()


def test_a_pin_decides_alone(store: Scene, tmp_path: Path) -> None:
    assert store.founded is not None
    pin = store.founded.pin
    with store.open(pin=pin) as keystore:
        assert keystore.pin == pin
        assert keystore.notices == ()
    other = Scene(top=repository(tmp_path / "other"), state=tmp_path / "other-state", user=store.user)
    other.found()
    with pytest.raises(ForeignStoreError):
        other.open(pin=pin)
    with pytest.raises(ForeignStoreError):
        other.open(environ={**other.environ, "STRONGROOM_PIN": pin})
    for nonsense in ("x", f"{pin}x", pin.replace(":", ""), "", " "):
        if nonsense:
            with pytest.raises(SettingsError):
                store.open(pin=nonsense)


def test_a_store_that_is_replaced_in_its_place_is_foreign(store: Scene, tmp_path: Path) -> None:
    """Whoever can write the repository can seal a root of his own to Alice."""
    other = Scene(top=repository(tmp_path / "other"), state=tmp_path / "other-state", user=store.user)
    other.found()
    shutil.rmtree(store.directory)
    shutil.copytree(other.directory, store.directory)
    with pytest.raises(ForeignStoreError) as caught:
        store.open()
    assert exit_code(caught.value) == CANNOT_OPEN
    assert "pin" in caught.value.hint


def test_a_link_that_a_commit_brought_leads_to_no_other_store(store: Scene, tmp_path: Path) -> None:
    other = Scene(top=repository(tmp_path / "other"), state=tmp_path / "other-state", user=store.user)
    other.found()
    shutil.move(store.directory, store.top / "ours")
    shutil.copytree(other.directory, store.top / "vendored")
    store.directory.symlink_to("vendored")
    (store.top / "a").mkdir()
    for location in (store.top, store.directory, store.top / "a" / ".." / ".strongroom"):
        with pytest.raises(ForeignStoreError, match="stands where"):
            open_store(location, environ=store.environ)
    store.directory.unlink()
    store.directory.symlink_to("ours")
    with store.open() as keystore:
        assert keystore.notices == (), "the same store, wherever the link leads"
    store.directory.unlink()
    store.directory.symlink_to("vendored")
    with pytest.raises(ForeignStoreError):
        store.open()


def test_what_was_seen_where_a_link_leads_counts_for_the_link(store: Scene, tmp_path: Path) -> None:
    other = Scene(top=repository(tmp_path / "other"), state=tmp_path / "other-state", user=store.user)
    other.found()
    shutil.rmtree(store.directory)
    shutil.copytree(other.directory, store.directory)
    link = tmp_path / "link"
    link.symlink_to(store.directory)
    with pytest.raises(ForeignStoreError, match="stands where"):
        open_store(link, environ=store.environ)


def test_a_directory_above_that_became_a_link_leads_to_no_other_store(store: Scene, tmp_path: Path) -> None:
    app = store.top / "app"
    app.mkdir()
    shutil.move(store.directory, app / ".strongroom")
    open_store(app, environ=store.environ).close()
    other = Scene(top=repository(tmp_path / "other"), state=tmp_path / "other-state", user=store.user)
    other.found()
    shutil.copytree(other.directory, store.top / "vendored" / ".strongroom")
    app.rename(store.top / "ours")
    app.symlink_to("vendored")
    with pytest.raises(ForeignStoreError, match="stands where"):
        open_store(app / ".strongroom", environ=store.environ)


def test_a_nearer_store_that_was_never_seen_is_not_taken_for_the_one_further_up(store: Scene, tmp_path: Path) -> None:
    store.open().close()
    other = Scene(top=repository(tmp_path / "other"), state=tmp_path / "other-state", user=store.user)
    other.found()
    below = store.top / "app" / "src"
    below.mkdir(parents=True)
    shutil.copytree(other.directory, store.top / "app" / ".strongroom")
    with standing_in(below), pytest.raises(ForeignStoreError, match="stands where"):
        open_store(environ=store.environ)
    with open_store(store.top / "app", environ=store.environ) as keystore:
        assert "never opened" in keystore.notices[0], "who names it means it, and is told"
    with standing_in(below), open_store(environ=store.environ) as keystore:
        assert keystore.notices == (), "from then on it is known"


def test_without_a_place_for_a_witness_every_opening_is_told(store: Scene) -> None:
    homeless = {"PATH": os.environ["PATH"], "GNUPGHOME": str(store.user.home)}
    for _ in range(2):
        with store.open(environ=homeless) as keystore:
            [notice] = keystore.notices
            assert "no witness" in notice


def test_a_witness_that_was_named_and_cannot_be_kept_is_an_error(store: Scene, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StrongroomError):
        store.open(witness=tmp_path / "file" / "witness")


# --- settings


def test_settings_open_the_same_store_as_arguments(store: Scene, tmp_path: Path) -> None:
    settings = StoreSettings.from_mapping(
        {"STORE": store.directory, "WITNESS": tmp_path / "w", "PIN": store.founded.pin, "MAX_AGE": "10m"}  # type: ignore[union-attr]  # it was founded
    )
    with open_settings(settings, environ=store.environ) as keystore:
        assert keystore.limits.max_age == 600
        assert keystore.sealed.witness.location.startswith(str(tmp_path / "w"))


def test_opening_leaves_no_agent_and_no_private_home(store: Scene, role: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir(mode=0o700)
    short = Path("/tmp") / f"sr-{os.getpid()}"
    short.symlink_to(run)
    try:
        assert opens(store.open(identity=role, environ=store.bare(XDG_RUNTIME_DIR=str(short))))
        # the turns at gpg stay: two empty files
        assert {each.name for each in run.rglob("*")} <= {"strongroom", "gpg.0", "gpg.1"}
        assert all(each.stat().st_size == 0 for each in run.rglob("gpg.*"))
    finally:
        short.unlink()


def test_a_socket_in_place_of_the_store_is_told(tmp_path: Path) -> None:
    path = Path("/tmp") / f"sr-{os.getpid()}-socket"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        try:
            with pytest.raises(StrongroomError):
                open_store(path, environ={})
        finally:
            path.unlink()


def as_pem(der: SecretBytes) -> bytes:
    import base64

    text = base64.encodebytes(der.reveal())
    return b"-----BEGIN PRIVATE KEY-----\n" + text + b"-----END PRIVATE KEY-----\n"
