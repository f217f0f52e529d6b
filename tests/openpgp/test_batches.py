"""Many messages with one start of gpg: nothing of a plaintext on a disk, and whatever is odd goes alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.blackbox.teams import CountedGpg
from tests.support.gpg import GpgHome, GpgHomes

from strongroom.errors import AgentError, RecipientError
from strongroom.openpgp import batches
from strongroom.openpgp.engine import Certificate
from strongroom.openpgp.gnupg import GnuPG
from strongroom.primitives.secret import SecretBytes

SECRETS = [SecretBytes(b"password: %d\n" % number) for number in range(5)]
MESSAGES = [(f"secret-{number}.yml", plaintext) for number, plaintext in enumerate(SECRETS)]


@pytest.fixture
def counted(tmp_path: Path) -> CountedGpg:
    return CountedGpg(tmp_path / "bin")


@pytest.fixture
def engine(alice: GpgHome, counted: CountedGpg) -> Iterator[GnuPG]:
    made = GnuPG(home=alice.home, program=counted.program)
    yield made
    made.close()


@pytest.fixture
def to(engine: GnuPG, alice: GpgHome, bob: GpgHome) -> list[Certificate]:
    return [engine.certificates(each.export())[0] for each in (alice, bob)]


def sealed(engine: GnuPG, to: list[Certificate], messages: list[tuple[str, SecretBytes]]) -> list[bytes]:
    found = engine.encrypt_many(messages, to=to)
    assert None not in found
    return [raw for raw in found if raw is not None]


def names_inside(home: GpgHome, message: bytes) -> str:
    told = home.run("--status-fd", "2", "--decrypt", stdin=message).stderr.decode()
    return next(line for line in told.splitlines() if " PLAINTEXT 62 " in line).rpartition(" ")[2]


def test_one_start_seals_many_and_one_opens_them(engine: GnuPG, counted: CountedGpg, to: list[Certificate]) -> None:
    engine.encrypt(SecretBytes(b"x"), to=to)  # the ring is made
    counted.take()
    messages = sealed(engine, to, MESSAGES)
    assert counted.take() == 1
    opened = engine.decrypt_many(messages)
    assert counted.take() == 1
    assert [each.plaintext for each in opened if each is not None] == SECRETS
    keys = tuple(subkey.key_id for each in to for subkey in each.encryption_subkeys)
    assert all(each is not None and sorted(each.recipients) == sorted(keys) for each in opened)


def test_each_message_carries_its_own_name_and_opens_for_each_recipient(
    engine: GnuPG, to: list[Certificate], alice: GpgHome, bob: GpgHome
) -> None:
    names = ["a b.yml", "-rf", "$(touch x)", "ünder", "%41", "x.gpg", "'\""]
    for home in (alice, bob):
        messages = sealed(engine, to, [(name, SecretBytes(name.encode())) for name in names])
        assert [names_inside(home, raw) for raw in messages[1:2] + messages[5:6]] == ["-rf", "x.gpg"]
        assert [home.run("--decrypt", stdin=raw).stdout.decode() for raw in messages] == names


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "_CONSOLE", "a\nb", "\x1b[2J", "n" * 252, "\udcff"])
def test_a_name_that_no_file_of_ours_can_have_goes_alone(engine: GnuPG, to: list[Certificate], name: str) -> None:
    found = engine.encrypt_many([*MESSAGES[:2], (name, SECRETS[2])], to=to)
    assert [raw is None for raw in found] == [False, False, True]


def test_a_large_message_goes_alone(engine: GnuPG, to: list[Certificate]) -> None:
    large = SecretBytes(os.urandom(batches.LARGEST + 1))
    assert engine.encrypt_many([*MESSAGES[:2], ("large", large)], to=to)[2] is None
    message = engine.encrypt(large, to=to)
    assert engine.decrypt_many([*sealed(engine, to, MESSAGES[:2]), message])[2] is None
    assert engine.decrypt(message).plaintext == large


def test_what_opens_to_too_much_is_left_to_be_opened_alone(engine: GnuPG, to: list[Certificate]) -> None:
    bomb = engine.encrypt(SecretBytes(bytes(batches.LARGEST * 8)), to=to)
    assert batches.openable(bomb), "zeros are pressed into little"
    assert engine.decrypt_many([*sealed(engine, to, MESSAGES[:2]), bomb]) == [None, None, None]


def test_more_than_one_start_takes_is_spread_over_several(
    engine: GnuPG, counted: CountedGpg, to: list[Certificate]
) -> None:
    many = [(f"f{number}", SecretBytes(b"%d" % number)) for number in range(batches.MOST + 2)]
    engine.encrypt(SecretBytes(b"x"), to=to)
    counted.take()
    messages = sealed(engine, to, many)
    assert counted.take() == 2
    assert [each.plaintext for each in engine.decrypt_many(messages) if each is not None] == [each for _, each in many]


def test_no_plaintext_has_a_place_on_a_disk_and_nothing_stays(
    alice: GpgHome, to: list[Certificate], tmp_path: Path
) -> None:
    left = tmp_path / "left"
    program = tmp_path / "gpg"
    program.write_text(
        f'#!/bin/sh\n/usr/bin/gpg "$@"; code=$?\n'
        f'for last; do :; done\ncase "$last" in */messages/*) '
        f'find "${{last%%/messages/*}}/messages" -type f | sort | xargs -r cat >>"{left}";; esac\nexit $code\n'
    )
    program.chmod(0o755)
    engine = GnuPG(home=alice.home, program=program, environ={**alice.env, "XDG_RUNTIME_DIR": str(tmp_path)})
    messages = sealed(engine, to, MESSAGES)
    assert left.read_bytes() == b"".join(messages), "what gpg wrote into the directory is ciphertext"
    left.unlink()
    assert None not in engine.decrypt_many(messages)
    assert left.read_bytes() == b"", "plaintexts went through the links, into memory"
    engine.close()
    assert list(tmp_path.glob("strongroom-*")) == []


def test_a_gpg_that_says_what_it_never_says_has_done_nothing(
    alice: GpgHome, to: list[Certificate], tmp_path: Path
) -> None:
    program = tmp_path / "gpg"
    for said in (
        "",
        "s/END_/ODD_/",
        "/FILE_DONE/d",
        "s/FILE_START 3/FILE_START 2/",
        "/GOODMDC/d",
        "1i [GNUPG:] ERROR x",
    ):
        program.write_text(f'#!/bin/sh\nshift 2\n/usr/bin/gpg --status-fd 9 "$@" 9>"{tmp_path}/said"\n')
        program.write_text(
            "#!/bin/sh\nfd=$2; shift 2\n"
            f'/usr/bin/gpg --status-fd 9 "$@" 9>"{tmp_path}/said"; code=$?\n'
            f"""sed '{said}' "{tmp_path}/said" >/proc/self/fd/$fd\nexit $code\n"""
        )
        program.chmod(0o755)
        engine = GnuPG(home=alice.home, program=program)
        plain = GnuPG(home=alice.home)
        opened = engine.decrypt_many(sealed(plain, to, MESSAGES[:2]))
        assert [each is None for each in opened] == ([True, True] if said else [False, False]), said
        engine.close()
        plain.close()


def test_a_hung_agent_is_told_as_ever(gpg_homes: GpgHomes, tmp_path: Path) -> None:
    program = tmp_path / "gpg"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    home = gpg_homes("Zoe <zoe@example.org>")
    engine = GnuPG(home=home.home)
    message = engine.encrypt(SECRETS[0], to=[engine.certificates(home.export())[0]])
    engine.close()
    hung = GnuPG(home=home.home, program=program, timeout=-1.5)  # two messages are given two seconds more
    with pytest.raises(AgentError):
        hung.decrypt_many([message, message])
    hung.close()


def test_a_recipient_who_was_slipped_in_is_noticed(
    alice: GpgHome, to: list[Certificate], carol: GpgHome, tmp_path: Path
) -> None:
    (tmp_path / "carol.gpg").write_bytes(carol.export())
    program = tmp_path / "gpg"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *--encrypt*) set -- --recipient-file "{tmp_path}/carol.gpg" "$@";; esac\n'
    )
    with program.open("a") as script:
        script.write('exec /usr/bin/gpg "$@"\n')
    program.chmod(0o755)
    engine = GnuPG(home=alice.home, program=program)
    with pytest.raises(RecipientError, match=carol.encryption_subkeys()[0][-16:]):
        engine.encrypt_many(MESSAGES, to=to)
    engine.close()
