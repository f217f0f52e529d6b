"""Who reads logs, error pages and process lists learns no material: errors, frames, records, argv are searched."""

from __future__ import annotations

import base64
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.attacks.conftest import CANARY, Made
from tests.keystore.scenes import Scene

import strongroom
from strongroom.keystore.admins import create_role
from strongroom.keystore.credentials import Given
from strongroom.keystore.doctor import examine
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.founding import found
from strongroom.keystore.opening import open_store
from strongroom.keystore.running import environment_for, execute
from strongroom.primitives.secret import SecretBytes

OURS = str(Path(strongroom.__file__).parent)
PASSPHRASE = "canary passphrase 51 never to be seen"


def shapes(secret: bytes) -> Iterator[bytes]:
    """As it might be written: raw, hex, base64 at each of its three offsets, and escaped."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield repr(secret)[2:-1].encode()
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            inner = encode(b"\0" * shift + secret)[4 * bool(shift) :]
            yield inner[: len(inner) // 4 * 4 - 4].rstrip(b"=")


def assert_silent(shown: str | bytes, secrets: list[bytes], where: str) -> None:
    raw = shown if isinstance(shown, bytes) else shown.encode("utf-8", "surrogatepass")
    for secret in secrets:
        for shape in shapes(secret):
            assert len(shape) >= 8
            assert shape not in raw, f"{where} shows material"


def shown(error: BaseException) -> str:
    """What a debug page shows of an error: messages, hints, the locals of every frame of ours, at any remove."""
    told = []
    seen: BaseException | None = error
    while seen is not None:
        told += [str(seen), repr(seen), repr(seen.args), getattr(seen, "hint", "")]
        trace = traceback.TracebackException.from_exception(seen, capture_locals=True)
        told += [f"{frame.name}: {frame.locals}" for frame in trace.stack if frame.filename.startswith(OURS)]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(told)


def material_of(keystore: KeyStore) -> list[bytes]:
    """All plain material of the store, and its root."""
    found = [keystore.sealed.root.line().reveal().split()[-1]]
    for name in keystore.names():
        loaded = keystore.source.load(name)
        found += [loaded.material(version.number).reveal() for version in loaded.keyset.versions]
    return found


@pytest.fixture
def secrets(made: Made) -> list[bytes]:
    with made.scene.open() as keystore:
        return [*material_of(keystore), CANARY.encode(), PASSPHRASE.encode()]


def failing(keystore: KeyStore) -> Iterator[tuple[str, Callable[[], object]]]:
    """Every operation that I can think of, failing, with material in its arguments or within its reach."""
    canary = CANARY.encode()
    yield "import a name that is there", lambda: keystore.import_key("password", canary, "secret")
    yield "import under a bad name", lambda: keystore.import_key("../x", canary, "secret")
    yield "import of no key", lambda: keystore.import_key("new", canary, "fernet")
    yield "import of no RSA key", lambda: keystore.import_key("new", canary, "rsa-2048", purpose="sign")
    yield "import of an unknown type", lambda: keystore.import_key("new", canary, "nonsense")
    yield (
        "import of a spoilt PEM",
        lambda: keystore.import_key(
            "new", b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(canary) + b"\n-----END PRIVATE KEY-----\n"
        ),
    )
    yield "import with a label", lambda: keystore.import_key("new", canary, "secret", labels={"A": "b"})
    yield "import with a policy", lambda: keystore.import_key("new", canary, "secret", rotate_every="soon")
    yield "import of a version", lambda: keystore.import_key("missing", canary, add=True)
    yield "import of another type's version", lambda: keystore.import_key("box", canary, add=True)
    yield "import with a prefix", lambda: keystore.import_key("new", canary, "secret", prefix="nonsense")
    yield "rotate to a value", lambda: keystore.rotate("missing", value=canary)
    yield "rotate a Fernet key to a value", lambda: keystore.rotate("box", value=canary)
    yield "rotate with nothing given", lambda: keystore.rotate("password")
    yield "add a value", lambda: keystore.add("sign", value=canary)
    yield "compromise with a value", lambda: keystore.compromise("password", 9, reason="x", value=canary)
    yield "compromise for no reason", lambda: keystore.compromise("password", 1, reason="\n", value=canary)
    yield "compromise with nothing given", lambda: keystore.compromise("password", 1, reason="x")
    yield "another handle", lambda: keystore.fernet("password")
    yield "private key of a secret", lambda: keystore.private_key("password")
    yield "private key of a Fernet key", lambda: keystore.private_key("box")
    yield "a version that is not", lambda: keystore.secret("password").reveal(9)
    yield "decrypt nonsense", lambda: keystore.fernet("box").decrypt(b"nonsense")
    yield "decrypt nonsense", lambda: keystore.aead("columns").decrypt(b"nonsense", b"")
    yield "verify nonsense", lambda: keystore.mac("mac").verify(b"nonsense", b"")
    yield "verify nonsense", lambda: keystore.verifier("sign").verify(b"nonsense", b"")
    yield "rotate a token of nobody", lambda: keystore.fernet("box").rotate(b"nonsense")
    yield "run with a missing one", lambda: environment_for(keystore, {"A": "password", "B": "missing"})
    yield "run with a bad name", lambda: environment_for(keystore, {"A": "password", "1": "box"})
    yield (
        "run what is not there",
        lambda: execute(["/nonexistent/program"], environment_for(keystore, {"A": "password"})),
    )
    yield "run what is no program", lambda: execute([OURS], environment_for(keystore, {"A": "password"}))
    yield "create over one", lambda: keystore.create("box", "fernet")
    yield "replace a version", lambda: keystore.promote("box", 9)
    yield "deactivate the primary", lambda: keystore.deactivate("password", 1, reason="x")


def test_no_failing_operation_shows_material(
    attacked: Scene, secrets: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with attacked.open() as keystore:
        for what, operation in failing(keystore):
            with pytest.raises(Exception) as caught:
                operation()
            assert_silent(shown(caught.value), secrets, what)
            caught.value.__traceback__ = None
    for logged in caplog.records:
        assert_silent(f"{logged.getMessage()} {logged.__dict__}", secrets, "a log record")


def test_a_store_that_fails_while_material_is_in_reach_shows_none(
    attacked: Scene, secrets: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    """The disk, the lock and the witness fail in the middle of writing and reading."""
    caplog.set_level(logging.DEBUG)
    canary = CANARY.encode()
    with attacked.open() as keystore:
        handle = keystore.secret("password")
        away = attacked.directory.with_name("away")
        attacked.directory.rename(away)
        for what, operation in (
            ("import", lambda: keystore.import_key("new", canary, "secret")),
            ("rotate", lambda: keystore.rotate("password", value=canary)),
            ("reveal", lambda: keystore.secret("django").reveal()),
            ("list", keystore.list),
        ):
            with pytest.raises(strongroom.StrongroomError) as caught:
                operation()
            assert_silent(shown(caught.value), secrets, what)
        away.rename(attacked.directory)
        record = attacked.directory / "keysets" / "password.json"
        raw = record.read_bytes()
        record.write_bytes(raw.replace(b'"sealed": "', b'"sealed": "AAAA', 1))
        with pytest.raises(strongroom.StrongroomError) as caught:
            keystore.show("password")
        assert_silent(shown(caught.value), secrets, "a spoilt record")
        record.write_bytes(raw)
        handle.reveal()
        keystore.close()
        for operation in (lambda: keystore.import_key("new", canary, "secret"), lambda: keystore.secret("password")):
            with pytest.raises(strongroom.StrongroomError) as caught:
                operation()
            assert_silent(shown(caught.value), secrets, "a closed keystore")
    assert_silent(caplog.text, secrets, "the log")


def test_nothing_that_is_shown_of_an_open_keystore_shows_material(
    attacked: Scene, secrets: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with attacked.open() as keystore:
        things: list[object] = [
            keystore,
            keystore.source,
            keystore.list(),
            keystore.sealed.root,
            keystore.sealed.header,
        ]
        things += [keystore.fernet("box"), keystore.aead("columns"), keystore.mac("mac"), keystore.signer("sign")]
        things += [keystore.secret("password"), keystore.current("box"), keystore.current("box").opened]
        things += [keystore.fernet("box")._kit, environment_for(keystore, {"A": "password"})]
        things += [keystore.show("password"), keystore.witnessed(), keystore._maker, keystore.sealed.witness]
        for thing in things:
            assert_silent(f"{thing!r} {thing!s} {thing}", secrets, type(thing).__name__)
            try:
                attributes = vars(thing)
            except TypeError:
                continue
            assert_silent(repr(attributes), secrets, f"the attributes of {type(thing).__name__}")
        keystore.rotate("box")
        keystore.import_key("again", CANARY.encode(), "secret")
    assert_silent(caplog.text, secrets, "the log")


@pytest.mark.parametrize("wrong", [PASSPHRASE, PASSPHRASE + "\0", PASSPHRASE * 200, PASSPHRASE + "\udc80"])
def test_no_failing_opening_shows_what_was_given(attacked: Scene, tmp_path: Path, wrong: str) -> None:
    """A passphrase or identity that does not fit, or is malformed, in each of the ways; and its environment."""
    found(tmp_path / "store", passphrase="violet anchor 42 drums", environ=attacked.bare())
    canaries = [PASSPHRASE.encode()]
    environment = {**attacked.bare(HOME="/nonexistent"), "DATABASE_URL": PASSPHRASE}
    private = tmp_path / "private"
    private.touch(0o600)
    private.write_bytes(wrong.encode("utf-8", "surrogatepass"))
    ways: list[tuple[dict[str, object], dict[str, str]]] = [
        ({"passphrase": wrong}, {}),
        ({"given": Given(ask=lambda: wrong)}, {}),
        ({"given": Given(passphrase_file=private)}, {}),
        ({"given": Given(passphrase_secret=SecretBytes(wrong.encode("utf-8", "surrogatepass")))}, {}),
        ({}, {"STRONGROOM_PASSPHRASE": wrong}),
        ({}, {"STRONGROOM_IDENTITY": wrong}),
        ({}, {"STRONGROOM_IDENTITY": '{"kind": "openpgp", "private": "' + wrong + '"}'}),
        ({"given": Given(identity_text=wrong)}, {}),
        ({"identity": private}, {}),
        ({"pin": "x"}, {"STRONGROOM_PASSPHRASE": wrong}),
    ]
    for options, variables in ways:
        with pytest.raises(strongroom.StrongroomError) as caught:
            open_store(tmp_path / "store", environ={**environment, **variables}, **options)  # type: ignore[arg-type]  # each is right
        assert_silent(shown(caught.value), canaries, f"{[*options, *variables]}")
    with pytest.raises(strongroom.StrongroomError) as caught:
        found(tmp_path / "nowhere" / "store", passphrase=wrong, environ=environment)
    assert_silent(shown(caught.value), canaries, "found")
    examination = examine(str(tmp_path / "store"), environ={**environment, "STRONGROOM_PASSPHRASE": wrong})
    assert not examination.opens
    assert_silent(repr(examination), canaries, "doctor")


# --- what other users see of our children


RECORDS = """#!{python} -S
import os, sys
with open({log!r}, "a", encoding="utf-8", errors="surrogateescape") as log:
    log.write(repr(sys.argv) + "\\n" + repr(dict(os.environ)) + "\\n")
os.execv({program!r}, [{program!r}, *sys.argv[1:]])
"""


def test_no_child_is_given_a_secret_in_its_arguments_or_environment(
    attacked: Scene, secrets: list[bytes], tmp_path: Path
) -> None:
    """gpg, its agent and git behind programs that write down how they were called."""
    log = tmp_path / "log"
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("gpg", "gpgconf", "git"):
        program = programs / name
        program.write_text(RECORDS.format(python=sys.executable, log=str(log), program=shutil.which(name)))
        program.chmod(0o755)
    environ = {
        **attacked.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "STRONGROOM_PASSPHRASE": PASSPHRASE,
        "DATABASE_URL": CANARY,
    }
    with attacked.open(environ=environ) as keystore:
        made = create_role(keystore, "web", tmp_path / "web.identity", environ=environ)
        keystore.rotate("box")
    identity = made.path.read_text()
    with attacked.open(environ=attacked.bare(PATH=environ["PATH"], STRONGROOM_IDENTITY=identity)) as keystore:
        keystore.list()
    examine(str(attacked.directory), environ=environ)
    lines = log.read_text(encoding="utf-8", errors="surrogateescape")
    assert lines.count("--decrypt") >= 2
    assert "--quick-generate-key" in lines
    private = identity.split('"private": "')[1].split('"')[0]
    assert_silent(
        lines, [*secrets, private.encode(), base64.urlsafe_b64decode(private + "=" * (-len(private) % 4))], "ps"
    )
    assert "STRONGROOM_" not in lines
    assert "DATABASE_URL" not in lines


def test_material_is_nowhere_in_the_repository_or_the_witness(attacked: Scene, secrets: list[bytes]) -> None:
    with attacked.open() as keystore:
        keystore.rotate("box", now=True)
        keystore.rotate("password", now=True, value=CANARY.encode())
    for place in (attacked.top, attacked.state):
        for path in place.rglob("*"):
            if path.is_file():
                assert_silent(path.read_bytes(), secrets, str(path))


def test_a_line_break_in_a_name_or_reason_forges_no_log_line(attacked: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    forged = "x\nkeyset=box event=compromised"
    with attacked.open() as keystore:
        for operation in (
            lambda: keystore.create(forged, "fernet"),
            lambda: keystore.fernet(forged),
            lambda: keystore.suspend("box", 1, reason=forged),
            lambda: keystore.create("new", "fernet", labels={"owner": forged}),
            lambda: environment_for(keystore, {forged: "password"}),
            lambda: environment_for(keystore, {"A": forged}),
        ):
            with pytest.raises(strongroom.StrongroomError) as caught:
                operation()
            assert "\n" not in str(caught.value)
    assert not any("\n" in logged.getMessage() for logged in caplog.records)
