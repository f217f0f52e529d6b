"""strongroom.toml: `ensure` creates what is missing, again and again, and a hostile file changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.keystore.scenes import Scene

from strongroom.errors import FormatError, NotFoundError, PolicyError, SettingsError, StrongroomError
from strongroom.keystore import declared
from strongroom.keystore.opening import open_memory

GOOD = """
[keysets.student-records]
type = "fernet"
rotate_every = "90d"
propagation = "12h"
labels = { owner = "registrar" }

[keysets."jwt/signing"]
type = "rsa-2048"
purpose = "sign"

[keysets.django-secret-key]
type = "secret"
"""


def test_ensure_creates_what_is_missing_once(store: Scene) -> None:
    (store.top / "strongroom.toml").write_text(GOOD)
    with store.open() as keystore:
        assert [made.name for made in keystore.ensure()] == ["student-records", "jwt/signing", "django-secret-key"]
        before = store.files()
        assert keystore.ensure() == ()
        assert store.files() == before
        made = keystore.show("student-records")
        assert (made.policy.rotate_every, made.policy.propagation) == (90 * 86_400, 12 * 3600)
        assert made.labels == {"owner": "registrar"}
        keystore.rotate("student-records", now=True)
        assert keystore.ensure() == ()
        assert len(keystore.show("student-records").versions) == 2


def test_a_keyset_of_another_type_stops_before_anything_is_created(tmp_path: Path) -> None:
    path = tmp_path / "strongroom.toml"
    path.write_text('[keysets.new]\ntype = "fernet"\n[keysets.box]\ntype = "aes256-gcm"\n')
    keystore = open_memory()
    keystore.create("box", "fernet")
    with pytest.raises(PolicyError) as caught:
        keystore.ensure(path)
    assert "aes256-gcm" in str(caught.value)
    assert keystore.names() == ("box",)


HOSTILE = [
    "", "x = 1", "keysets = 1", "keysets = []", "[keysets]\nbox = 1", "[[keysets.box]]\ntype = 'fernet'",
    "[keysets.box]", "[keysets.box]\ntype = 7", "[keysets.box]\ntype = 'nonsense'",
    "[keysets.box]\ntype = 'fernet'\nextra = 1", "[keysets.box]\ntype = 'fernet'\nkey = 'abc'",
    "[keysets.'../box']\ntype = 'fernet'", "[keysets.a.b]\ntype = 'fernet'",
    "[keysets.'strongroom.issuer']\ntype = 'ed25519'", "[keysets.box]\ntype = 'fernet'\nrotate_every = 90",
    "[keysets.box]\ntype = 'fernet'\nrotate_every = 'soon'", "[keysets.box]\ntype = 'fernet'\nlabels = 'x'",
    "[keysets.box]\ntype = 'fernet'\nlabels = {owner = 1}", "[keysets.box]\ntype = 'rsa-2048'",
    "[keysets.box]\ntype = 'fernet'\npurpose = 'sign'",
    "[keysets.box]\ntype = 'fernet'\n[keysets.box]\ntype = 'secret'",
    "[keysets.box\n", "\x00", "a" * (2 << 20), "x = " + "[" * 50_000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE[1:], ids=range(len(HOSTILE) - 1))
def test_a_hostile_file_is_an_error_of_ours_and_creates_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "strongroom.toml"
    good = "[keysets.first]\ntype = 'fernet'\n"
    path.write_text(text if text.startswith(("x", "keysets", "a", "\x00")) else good + text)
    keystore = open_memory()
    with pytest.raises(StrongroomError):
        keystore.ensure(path)
    assert keystore.names() == ()


def test_an_empty_file_declares_nothing(tmp_path: Path) -> None:
    (tmp_path / "strongroom.toml").touch()
    assert declared.read(tmp_path / "strongroom.toml") == ()


def test_a_bad_label_of_the_last_one_is_found_before_the_first_is_created(tmp_path: Path) -> None:
    path = tmp_path / "strongroom.toml"
    path.write_text("[keysets.a]\ntype = 'fernet'\n[keysets.b]\ntype = 'fernet'\nlabels = {Owner = 'x'}\n")
    keystore = open_memory()
    with pytest.raises(StrongroomError):
        keystore.ensure(path)
    assert keystore.names() == ()


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "strongroom.toml"
    with pytest.raises(NotFoundError):
        declared.read(path)
    path.mkdir()
    with pytest.raises(FormatError):
        declared.read(path)
    path.rmdir()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(FormatError):
        declared.read(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(FormatError):
        declared.read(path)
    with pytest.raises(FormatError):
        declared.read(Path("/dev/zero"))
    with pytest.raises(StrongroomError):
        declared.read(Path("a\0b"))
    with pytest.raises(SettingsError):
        open_memory().ensure()
