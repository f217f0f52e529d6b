"""`strongroom run`: the program gets what was named, in its environment, and nothing that opens the store."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.keystore.scenes import Scene

from strongroom.errors import FormatError, NotFoundError, PolicyError, SettingsError
from strongroom.keystore.environment import Environment
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.opening import open_memory
from strongroom.keystore.running import OPENERS, environment_for, execute
from strongroom.model.types import KeyType

NOT_TRIED = (KeyType.SECRET, KeyType.RSA_3072, KeyType.RSA_4096)  # the larger two take seconds to make


@pytest.fixture
def ks() -> KeyStore:
    keystore = open_memory()
    keystore.import_key("database-url", b"postgres://u:p@host/db", "secret")
    keystore.create("box", "fernet", exportable=True)
    keystore.create("sign", "ed25519", exportable=True)
    keystore.import_key("binary", b"\xff\x00\xfe", "secret")
    keystore.import_key("zero", b"a\0b", "secret")
    return keystore


def test_only_what_is_named_is_added_and_what_opens_the_store_is_taken_out(ks: KeyStore) -> None:
    before = {"PATH": "/bin", "DATABASE_URL": "the old one", **dict.fromkeys(OPENERS, "secret")}
    made = environment_for(ks, {"DATABASE_URL": "database-url"}, before)
    assert dict(made) == {"PATH": "/bin", "DATABASE_URL": "postgres://u:p@host/db"}
    assert before["STRONGROOM_PASSPHRASE"] == "secret"


def test_keys_are_written_as_their_libraries_read_them(ks: KeyStore) -> None:
    made = environment_for(ks, {"FERNET_KEY": "box", "SIGNING": "sign"}, {})
    from cryptography.fernet import Fernet

    assert Fernet(made["FERNET_KEY"]).decrypt(ks.fernet("box").encrypt(b"data")) == b"data"
    assert len(base64.urlsafe_b64decode(made["FERNET_KEY"])) == 32
    load_pem_private_key(made["SIGNING"].encode(), None)


@pytest.mark.parametrize("kind", [kind for kind in KeyType if kind not in NOT_TRIED])
def test_a_key_goes_out_only_where_it_is_exportable(kind: KeyType) -> None:
    with open_memory() as ks:
        purpose = "sign" if kind is KeyType.RSA_2048 else None
        ks.create("kept", kind.value, purpose=purpose)
        with pytest.raises(PolicyError, match="not exportable"):
            environment_for(ks, {"A": "kept"}, {})
        ks.create("open", kind.value, purpose=purpose, exportable=True)
        if kind is KeyType.MLKEM768_X25519:  # has no text of its own
            with pytest.raises(FormatError):
                environment_for(ks, {"A": "open"}, {})
        else:
            assert environment_for(ks, {"A": "open"}, {})["A"]
        ks.set_policy("open", exportable=False)
        with pytest.raises(PolicyError, match="not exportable"):
            environment_for(ks, {"A": "open"}, {})


def test_use_in_this_process_is_no_export(ks: KeyStore) -> None:
    ks.create("kept", "ed25519")
    key = ks.private_key("kept")
    assert isinstance(key, Ed25519PrivateKey)
    ks.verifier("kept").verify(ks.signer("kept").sign(b"claims"), b"claims")
    ks.set_policy("database-url", exportable=False)
    assert ks.secret("database-url").reveal() == environment_for(ks, {"A": "database-url"}, {})["A"].encode()


def test_what_cannot_be_a_variable_is_refused(ks: KeyStore) -> None:
    for bad in ("", "1A", "A-B", "A=B", "A B", "é", "A\0", *OPENERS):
        with pytest.raises(SettingsError):
            environment_for(ks, {bad: "database-url"}, {})
    for name in ("binary", "zero"):
        with pytest.raises(FormatError):
            environment_for(ks, {"A": name}, {})
    with pytest.raises(NotFoundError):
        environment_for(ks, {"A": "missing"}, {})


RUN = """
import sys
from strongroom.errors import StrongroomError
from strongroom.keystore.opening import open_store
from strongroom.keystore.running import environment_for, execute
try:
    with open_store(sys.argv[1]) as keystore:
        environment = environment_for(keystore, {"PASSWORD": "password"})
    execute(sys.argv[2:], environment)
except StrongroomError as error:
    print(type(error).__name__)
"""


def run(scene: Scene, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, str(scene.directory), *command],
        env={**scene.environ, "PYTHONPATH": os.pathsep.join(sys.path), "STRONGROOM_PASSPHRASE": "x" * 20},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def test_the_program_takes_the_place_of_ours(scene: Scene) -> None:
    scene.more["STRONGROOM_DEVELOPMENT"] = "1"
    scene.found(development=True)
    with scene.open() as keystore:
        keystore.import_key("password", b"hunter2 and more", "secret")
    program = "import json, os, signal, sys; print(json.dumps([os.getpid(), dict(os.environ)])); sys.exit(7)"
    done = run(scene, sys.executable, "-c", program)
    assert done.returncode == 7
    _, environ = json.loads(done.stdout)
    assert environ["PASSWORD"] == "hunter2 and more"
    assert not set(environ) & set(OPENERS)
    assert run(scene, "/nonexistent/program").stdout == "NotFoundError\n"
    assert run(scene, str(scene.directory)).stdout == "SettingsError\n"


def test_a_program_that_is_not_there_leaves_the_signals_as_they_were() -> None:
    before = [signal.getsignal(each) for each in (signal.SIGPIPE, signal.SIGXFSZ)]
    with pytest.raises(NotFoundError):
        execute(["/nonexistent/program"], Environment.of({}))
    assert [signal.getsignal(each) for each in (signal.SIGPIPE, signal.SIGXFSZ)] == before
