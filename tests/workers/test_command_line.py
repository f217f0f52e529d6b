"""The verbs `worker` and `publish`: from a new group to a program that opens what was published."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.cli.program import STRONGROOM, on_terminal, program, within
from tests.support.redis_server import RedisServer


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with a development store, a keyset `box` and a keyset `jwt`."""
    base = Path(tempfile.mkdtemp(prefix="sr-", dir="/tmp"))
    monkeypatch.chdir(base)
    monkeypatch.setenv("STRONGROOM_STATE", str(base / "state"))
    monkeypatch.setenv("STRONGROOM_DEVELOPMENT", "1")
    for argv in (
        ["init", "--development"],
        ["create", "box", "--type", "fernet"],
        ["create", "jwt", "--type", "ed25519"],
    ):
        assert within(*argv).status == 0
    yield base
    os.chdir("/")
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def web(here: Path) -> Path:
    made = within("worker", "create", "web", "--out", str(here / "web.identity"), "--bits", "2048", "--json")
    assert made.status == 0, made.stderr
    assert within("worker", "grant", "web", "box").status == 0
    return here / "web.identity"


def test_create_says_what_to_do_with_the_file(here: Path) -> None:
    made = within("worker", "create", "web", "--bits", "2048")
    assert (made.status, made.stdout) == (0, b"")
    assert "wrote web.identity: whoever has it" in made.stderr
    assert "keep it out of the repository" in made.stderr
    assert "workers/web.json" in made.stderr
    again = within("worker", "create", "web", "--json")
    assert (again.status, again.error["error"]) == (1, "ExistsError")


def test_grants_are_listed(here: Path, web: Path) -> None:
    assert within("worker", "grant", "web", "jwt", "--public", "--json").json["grants"] == [
        {"keyset": "box", "public": False},
        {"keyset": "jwt", "public": True},
    ]
    (row,) = within("worker", "list", "--json").json
    assert (row["group"], row["bits"], len(row["grants"])) == ("web", 2048, 2)
    assert "jwt (public)" in within("worker", "list").text
    assert within("worker", "revoke", "web", "box").status == 0
    assert [each["keyset"] for each in within("worker", "list", "--json").json[0]["grants"]] == ["jwt"]
    assert within("worker", "remove", "web").status == 0
    assert within("worker", "list", "--json").json == []


def test_what_git_never_had_is_not_handed_to_git(
    here: Path, web: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("elsewhere")

    def git(*argv: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", *who, *argv], cwd=here, check=True, capture_output=True)

    git("init", "--quiet")
    told = within("worker", "remove", "web")
    assert (told.status, "git add" in told.stderr) == (0, False)
    made = within("worker", "create", "web", "--out", f"{place}/web.identity", "--bits", "2048")
    assert made.status == 0, made.stderr
    git("add", ".strongroom")
    git("commit", "--quiet", "--message", "a group")
    (path,) = within("worker", "remove", "web", "--json").json["add"]
    git("add", path)


def test_a_program_without_the_store_opens_what_was_published(here: Path, web: Path, redis_server: RedisServer) -> None:
    token = within("encrypt", "box", stdin=b"hello").stdout
    first = within("publish", "--to", redis_server.url, "--json").json
    again = within("publish", "--json", "--to", redis_server.url).json
    assert (first[0]["keysets"], len(first[0]["written"]), again[0]["written"]) == (1, 1, [])
    env = {
        "STRONGROOM_STORE": f"{redis_server.url}?group=web",
        "STRONGROOM_IDENTITY_FILE": str(web),
        "STRONGROOM_DEVELOPMENT": "",
    }
    bare = here / "elsewhere"
    bare.mkdir()
    opened = program("decrypt", "box", cwd=bare, env=env, stdin=token)
    assert (opened.status, opened.stdout) == (0, b"hello")
    refused = program("reveal", "jwt", cwd=bare, env=env)
    assert (refused.status, "was not granted" in refused.stderr) == (5, True)
    assert program("create", "new", "--type", "fernet", cwd=bare, env=env).status == 5


def test_a_worker_with_nothing_published_exits_69(here: Path, web: Path) -> None:
    env = {"STRONGROOM_STORE": f"file:{here}/none?group=web", "STRONGROOM_IDENTITY_FILE": str(web)}
    ended = program("list", cwd=here, env={**env, "STRONGROOM_TIMEOUT": "0s"})
    assert ended.status == 69
    assert "strongroom: hint: strongroom publish" in ended.stderr


def test_publishing_without_a_place_is_a_mistake(web: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert within("publish").status == 2
    monkeypatch.setenv("STRONGROOM_CACHE", "file:/nowhere/at/all")
    ended = within("publish", "--json")
    assert (ended.status, ended.error["error"]) == (1, "StoreError")


def test_a_file_is_published_for_a_life(here: Path, web: Path) -> None:
    (done,) = within("publish", "web", "--out", "web.publication", "--life", "15m", "--json").json
    assert done["written"] == ["file:web.publication"]
    assert (here / "web.publication").read_bytes().startswith(b'{"format":"strongroom/1 publication"')
    assert "still serves" in within("publish", "web", "--out", "web.publication", "--life", "15m").stderr
    assert within("publish", "web", "--out", "web.publication", "--life", "1s").status == 5


def test_watching_publishes_each_change_and_puts_back_what_was_lost(
    here: Path, web: Path, redis_server: RedisServer
) -> None:
    with subprocess.Popen(
        [STRONGROOM, "publish", "--watch", "--to", redis_server.url], stderr=subprocess.PIPE, text=True
    ) as watching:
        try:
            assert watching.stderr is not None
            assert "published web" in watching.stderr.readline()
            assert within("rotate", "box", "--now").status == 0
            assert "published web" in watching.stderr.readline()
            redis_server.command("FLUSHALL")
            assert "published web" in watching.stderr.readline()
            assert redis_server.command("DBSIZE") == b":1\r\n"
        finally:
            watching.send_signal(signal.SIGINT)
            status = watching.wait(60)
    assert status == 130


def test_a_watch_that_is_terminated_ends_well(here: Path, web: Path, redis_server: RedisServer) -> None:
    with subprocess.Popen(
        [STRONGROOM, "publish", "--watch", "--to", redis_server.url], stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stderr is not None
        assert "published web" in watching.stderr.readline()
        watching.send_signal(signal.SIGTERM)
        assert watching.wait(30) == 0
        assert watching.stderr.read() == ""


def test_watching_goes_with_urls_alone(web: Path) -> None:
    assert within("publish", "--watch", "--out", "p").status == 2
    assert within("publish", "--watch").status == 2


def test_a_key_of_ones_own_and_a_rotated_one(here: Path, web: Path) -> None:
    key = generate_private_key(65537, 2048)
    (here / "k.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (here / "k.pem").chmod(0o600)
    (here / "k.pub").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    made = within("worker", "create", "own", "--public-key-file", "k.pub")
    assert made.status == 0, made.stderr
    line = made.text.strip()
    assert line.startswith("strongroom worker identity own --private-key-file FILE --of-store=")
    bare = here / "machine"
    bare.mkdir()
    words = [word.replace("FILE", str(here / "k.pem")) for word in line.split()[1:]]
    joined = program(*words, "--json", cwd=bare)
    assert (joined.status, joined.json) == (0, {"group": "own", "identity": "own.identity"}), joined.stderr
    assert within("worker", "grant", "own", "box").status == 0
    assert within("publish", "own", "--out", "own.publication").status == 0
    env = {"STRONGROOM_STORE": f"file:{here}/own.publication", "STRONGROOM_DEVELOPMENT": ""}
    opened = program("list", "--json", cwd=bare, env={**env, "STRONGROOM_IDENTITY_FILE": str(bare / "own.identity")})
    assert [each["name"] for each in opened.json] == ["box"]
    (old,) = [row for row in within("worker", "list", "--json").json if row["group"] == "web"]
    rotated = within("worker", "rotate", "web", "--bits", "2048")
    assert rotated.status == 0
    assert "wrote web.3.identity" in rotated.stderr
    (new,) = [row for row in within("worker", "list", "--json").json if row["group"] == "web"]
    assert (new["key"] != old["key"], new["grants"]) == (True, old["grants"])
    assert within("worker", "create", "third", "--public-key-file", "k.pub", "--protect").status == 2
    assert within("worker", "rotate", "own", "--public-key-file", "k.pub").status == 5


def test_the_passphrase_of_an_identity_is_typed_twice(here: Path) -> None:
    argv = ("worker", "create", "web", "--bits", "2048", "--protect")
    good, answers = "violet anchor 42 drums", [("New passphrase", "violet anchor 42 drums\n")]
    slip = on_terminal(*argv, cwd=here, answers=[*answers, ("again", "violet anchor 42 drum\n")])
    assert (slip.status, "differ" in slip.stderr) == (3, True)
    assert not (here / "web.identity").exists()
    made = on_terminal(*argv, cwd=here, answers=[*answers, ("again", f"{good}\n")])
    assert made.status == 0, made.stderr
    assert good not in made.stderr
    assert b'"memory_kib"' in (here / "web.identity").read_bytes()
