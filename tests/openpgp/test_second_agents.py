"""Two threads that open at once have an agent each, of the same keys, where nobody needs to be asked for anything."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import pytest
from tests.support.gpg import GpgHome, GpgHomes

from strongroom.openpgp.gnupg import GnuPG
from strongroom.primitives.secret import SecretBytes

SECRETS = [b"password: %d\n" % number for number in range(6)]
PASSPHRASE = "correct horse"
# Its first two openings wait for each other, so that they are at once. Which homes were opened with is noted.
TOGETHER = """#!/bin/sh
case "$*" in *--multifile*--decrypt*)
  for word; do case $word in --homedir=*) echo "${word#--homedir=}" >>"{notes}/homes";; esac; done
  echo "$*" >>"{notes}/lines"
  : >"{notes}/came.$$"; n=0
  while [ "$(ls "{notes}" | grep -c came)" -lt 2 ] && [ $n -lt 600 ]; do sleep 0.05; n=$((n+1)); done;;
esac
exec /usr/bin/gpg "$@"
"""


class Make(Protocol):
    def __call__(self, user: GpgHome, passphrase: SecretBytes | None = None, terminal: str = "") -> GnuPG: ...


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    made = tmp_path / "notes"
    made.mkdir()
    return made


@pytest.fixture
def program(tmp_path: Path, notes: Path) -> Path:
    made = tmp_path / "gpg"
    made.write_text(TOGETHER.replace("{notes}", str(notes)))
    made.chmod(0o755)
    return made


@pytest.fixture
def short(gpg_homes: GpgHomes) -> Path:
    """Where private homes are made: short enough for a socket."""
    return gpg_homes.of_key(gpg_homes("Somebody <s@example.org>").export_secret()).home


@pytest.fixture
def peter() -> Iterator[GpgHome]:
    """Peter's key is protected, with a passphrase that takes no time to try."""
    made = GpgHome.make()
    (made.home / "gpg-agent.conf").write_text("s2k-count 65536\n")
    made.generate("Peter <peter@example.org>", passphrase=PASSPHRASE)
    yield made
    made.close()


@pytest.fixture
def make(program: Path, short: Path) -> Iterator[Make]:
    made: list[GnuPG] = []

    def make(user: GpgHome, passphrase: SecretBytes | None = None, terminal: str = "") -> GnuPG:
        environ = {**user.env, "XDG_RUNTIME_DIR": str(short)}
        made.append(GnuPG(home=user.home, program=program, environ=environ, passphrase=passphrase, terminal=terminal))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


def sealed_to(user: GpgHome) -> list[bytes]:
    return [user.encrypt(secret, user.fingerprint) for secret in SECRETS]


def opened_by_two(engine: GnuPG, sealed: list[bytes]) -> list[bytes]:
    with ThreadPoolExecutor(2) as threads:
        found = [each for half in threads.map(engine.decrypt_many, (sealed[:3], sealed[3:])) for each in half]
    return [each.plaintext.reveal() for each in found if each is not None]


def homes_of(notes: Path) -> set[str]:
    return set((notes / "homes").read_text().split())


def test_the_second_thread_has_an_agent_of_its_own(alice: GpgHome, make: Make, notes: Path, short: Path) -> None:
    keys = {each.name: each.read_bytes() for each in (alice.home / "private-keys-v1.d").iterdir()}
    engine = make(alice)
    assert opened_by_two(engine, sealed_to(alice)) == SECRETS
    ours = [each for each in map(Path, homes_of(notes)) if each != alice.home]
    assert [each.parent for each in ours] == [short]
    assert (ours[0] / "private-keys-v1.d").is_symlink(), "no key was copied"
    assert opened_by_two(engine, sealed_to(alice)) == SECRETS
    assert len(homes_of(notes)) == 2, "it is used again"
    engine.close()
    assert not list(short.glob("strongroom-*")), "the agent went with the engine"
    assert {each.name: each.read_bytes() for each in (alice.home / "private-keys-v1.d").iterdir()} == keys
    assert alice.decrypt(sealed_to(alice)[0]) == SECRETS[0]


def test_one_thread_uses_the_agent_that_is_there(alice: GpgHome, make: Make, notes: Path) -> None:
    (notes / "came.already").touch()
    engine, sealed = make(alice), sealed_to(alice)
    for _ in range(3):
        assert None not in engine.decrypt_many(sealed)
    assert homes_of(notes) == {str(alice.home)}


def test_a_passphrase_that_was_given_serves_both(peter: GpgHome, make: Make, notes: Path) -> None:
    sealed = sealed_to(peter)
    peter.end_agent()
    assert opened_by_two(make(peter, SecretBytes(PASSPHRASE.encode())), sealed) == SECRETS
    assert len(homes_of(notes)) == 2


def test_where_a_person_unlocked_the_key_the_second_agent_is_given_up(
    peter: GpgHome, make: Make, notes: Path, terminal: str
) -> None:
    sealed = sealed_to(peter)
    asked = peter.home / "asked"
    pinentry = peter.home / "pinentry"
    pinentry.write_text(
        f'#!/bin/sh\necho x >>"{asked}"\necho OK\nwhile read -r word rest; do\n'
        f'  case $word in GETPIN) echo "D {PASSPHRASE}";; GETINFO) echo "D 1";; esac\n'
        '  echo OK\n  [ "$word" != BYE ] || exit 0\ndone\n'
    )
    pinentry.chmod(0o700)
    (peter.home / "gpg-agent.conf").write_text(f"pinentry-program {pinentry}\n")
    peter.end_agent()
    peter.run("--decrypt", stdin=sealed[0])  # now the user's agent knows the passphrase
    engine = make(peter, terminal=terminal)
    for _ in range(3):
        assert opened_by_two(engine, sealed) == SECRETS
    assert asked.read_text() == "x\n", "nobody was asked again"
    for line in (notes / "lines").read_text().splitlines():
        assert (f"--homedir={peter.home} " in line) != ("--pinentry-mode=error" in line), "a second agent asks nobody"
    assert len((notes / "homes").read_text().split()) == 7, "three times two, and one try that was for nothing"
    assert len(homes_of(notes)) == 2


def test_an_identity_has_two_agents_and_leaves_neither(alice: GpgHome, program: Path, notes: Path, short: Path) -> None:
    engine = GnuPG.from_identity(
        SecretBytes(alice.export_secret()), program=program, environ={"XDG_RUNTIME_DIR": str(short)}
    )
    sealed = sealed_to(alice)
    engine.decrypt(sealed[0])
    assert opened_by_two(engine, sealed) == SECRETS
    assert len(homes_of(notes)) == 2
    engine.close()
    assert not list(short.glob("strongroom-*"))


def test_a_forked_child_opens_with_agents_of_its_own(alice: GpgHome, make: Make, notes: Path) -> None:
    engine, sealed = make(alice), sealed_to(alice)
    assert opened_by_two(engine, sealed) == SECRETS
    child = os.fork()
    if child == 0:  # what fails here must not come back into pytest
        code = 2
        try:
            code = 0 if opened_by_two(engine, sealed) == SECRETS else 1
            engine.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert opened_by_two(engine, sealed) == SECRETS
    assert len(homes_of(notes)) == 3, "the parent's two, and the child's"


def test_a_message_that_does_not_open_is_left_to_be_opened_alone(alice: GpgHome, make: Make) -> None:
    sealed = sealed_to(alice)
    sealed[4] = sealed[4][:-3] + bytes(3)
    engine = make(alice)
    assert len(opened_by_two(engine, sealed)) == 3
