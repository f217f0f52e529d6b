"""Which keys and names of a ring count for sequoia: those that count for gpg, whatever a stranger puts beside them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pysequoia
import pytest
from pysequoia.packet import PacketPile, SignatureType
from tests.openpgp.against_gpg import engine_of
from tests.support.gpg import GpgHome, GpgHomes

from strongroom._clock import SYSTEM_CLOCK
from strongroom.errors import (
    FormatError,
)
from strongroom.openpgp.engine import Engine
from strongroom.openpgp.gnupg import GnuPG
from strongroom.openpgp.packets import recipients_of
from strongroom.primitives.secret import SecretBytes
from strongroom.testing.engine_contract import PLAINTEXT

QUIET = ("--pinentry-mode", "loopback", "--passphrase-file", "/dev/null")
LONG_AGO = "20200101T000000"


@pytest.fixture(scope="module")
def engine(alice: GpgHome) -> Iterator[Engine]:
    made = engine_of(alice, "sequoia")
    yield made
    made.close()


def _people(homes: GpgHomes) -> dict[str, GpgHome]:
    """Keys as they are found in old repositories, by what is special about them."""
    made = {
        "ed25519": homes("Nina <nina@example.org>"),
        "rsa": homes("Otto <otto@example.org>", kind="rsa3072"),
        "expires": homes("Pia <pia@example.org>", expires="2y"),
        "signs only": homes("Sam <sam@example.org>", kind="sign-only"),
        "revoked": homes("Rita <rita@example.org>"),
        "subkey revoked": homes("Rosa <rosa@example.org>"),
    }
    made["revoked"].revoke(made["revoked"].fingerprint)
    made["subkey revoked"].revoke_subkey(made["subkey revoked"].fingerprint)
    for name in ("expired", "subkey expired", "prolonged", "two subkeys", "two names", "one name revoked", "no name"):
        made[name] = homes()
        made[name].generate(f"{name.title()} <x@example.org>", expires="1d" if name == "expired" else "never",
                            faked_time=LONG_AGO)  # fmt: skip
        fingerprint = made[name].fingerprint
        if name in ("subkey expired", "prolonged"):
            made[name].run(*QUIET, "--quick-set-expire", fingerprint, "1d", "*", faked_time="20200110T000000")
        if name == "prolonged":
            (subkey,) = made[name].encryption_subkeys()
            made[name].run(*QUIET, "--quick-set-expire", fingerprint, "20y", subkey, faked_time="20200112T000000")
        if name == "two subkeys":
            made[name].run(*QUIET, "--quick-add-key", fingerprint, "cv25519", "encr", "never")
        if name in ("two names", "one name revoked"):
            made[name].run(*QUIET, "--quick-add-uid", fingerprint, "Ünïted \\x41 <second@example.org>")
        if name == "one name revoked":
            made[name].run(*QUIET, "--quick-revoke-uid", fingerprint, "One Name Revoked <x@example.org>")
    for name, primary, subkey in (
        ("nistp256", "nistp256", "nistp256"),
        ("nistp384", "nistp384", "nistp384"),
        ("nistp521", "nistp521", "nistp521"),
        ("rsa that does all", "rsa2048", ""),
    ):
        made[name] = homes()
        usage = "cert,sign" if subkey else "cert,sign,encr"
        line = (
            made[name]
            .run(*QUIET, "--status-fd", "1", "--quick-generate-key", f"{name} <y@example.org>", primary, usage, "never")
            .stdout.decode()
        )
        made[name].fingerprint = line.split(" KEY_CREATED ")[1].split()[1]
        if subkey:
            made[name].run(*QUIET, "--quick-add-key", made[name].fingerprint, subkey, "encr", "never")
    return made


@pytest.fixture(scope="module")
def people(gpg_homes: GpgHomes) -> dict[str, GpgHome]:
    return _people(gpg_homes)


def test_both_engines_judge_alike(people: dict[str, GpgHome], engine: Engine, alice: GpgHome) -> None:
    gpg = GnuPG(environ=alice.env)
    for name, home in people.items():
        (theirs,) = gpg.certificates(home.export())
        (ours,) = engine.certificates(home.export())
        for field in ("fingerprint", "created", "expires", "revoked", "disabled", "encryption_subkeys", "has_secret"):
            assert getattr(ours, field) == getattr(theirs, field), (name, field)
        assert set(ours.uids) == set(theirs.uids), name
        assert engine.certificates(ours.transferable) == (ours,), name
        assert gpg.certificates(ours.transferable)[0].encryption_subkeys == ours.encryption_subkeys, name
    gpg.close()


def test_both_engines_seal_to_the_same_and_open_each_others(people: dict[str, GpgHome], alice: GpgHome) -> None:
    for name in ("ed25519", "rsa", "two subkeys", "nistp256", "nistp384", "nistp521", "rsa that does all", "prolonged"):
        home = people[name]
        ours, theirs = engine_of(home, "sequoia"), engine_of(home, "gnupg")
        by_ours = ours.encrypt(SecretBytes(PLAINTEXT), to=ours.certificates(home.export()))
        by_theirs = theirs.encrypt(SecretBytes(PLAINTEXT), to=theirs.certificates(home.export()))
        assert sorted(recipients_of(by_ours)) == sorted(recipients_of(by_theirs)), name
        for opener in (ours, theirs):
            for sealed in (by_ours, by_theirs):
                assert opener.decrypt(sealed).plaintext.reveal() == PLAINTEXT, name
        ours.close()
        theirs.close()


def test_the_newest_word_of_the_owner_counts_in_whatever_order_a_ring_has_it(
    gpg_homes: GpgHomes, engine: Engine
) -> None:
    home = gpg_homes()
    home.generate("Thea <thea@example.org>", faked_time=LONG_AGO)
    exports = [home.export()]
    for day, lasts in (("20200110", "1d"), ("20200112", "20y")):
        subkey = home.encryption_subkeys()[0]
        home.run(*QUIET, "--quick-set-expire", home.fingerprint, lasts, subkey, faked_time=f"{day}T000000")
        exports.append(home.export())
    lives = [engine.certificates(export)[0].encryption_subkeys[0].expires for export in exports]
    assert lives[0] is None
    assert lives[1] == 1_578_700_800  # 2020-01-11
    for order in itertools.permutations(exports):
        (thea,) = engine.certificates(b"".join(order))
        assert thea.encryption_subkeys[0].expires == lives[2]
    # a stranger's signature in front of the owner's, dated as the newest, is none
    other = gpg_homes("Mallory <mallory@example.org>")
    binding = bytes(list(PacketPile.from_bytes(other.export()))[-1])
    for theirs, claimed in (
        (bytes.fromhex(other.fingerprint), bytes.fromhex(home.fingerprint)),
        (bytes.fromhex(other.fingerprint[-16:]), bytes.fromhex(home.fingerprint[-16:])),
    ):
        assert theirs in binding
        binding = binding.replace(theirs, claimed)
    forged = exports[2] + binding
    assert engine.certificates(forged)[0].encryption_subkeys == engine.certificates(exports[2])[0].encryption_subkeys


def test_a_ring_with_any_bit_flipped_yields_nothing_that_its_owner_did_not_sign(
    engine: Engine, gpg_homes: GpgHomes
) -> None:
    raw = gpg_homes("Flip <flip@example.org>").export()
    (good,) = engine.certificates(raw)
    refused = 0
    for at in range(len(raw)):
        changed = raw[:at] + bytes([raw[at] ^ (1 << at % 8)]) + raw[at + 1 :]
        try:
            judged = engine.certificates(changed)
        except FormatError:
            refused += 1
            continue
        for certificate in judged:
            assert certificate.fingerprint == good.fingerprint
            assert set(certificate.encryption_subkeys) <= set(good.encryption_subkeys)
            assert certificate.uids == good.uids
    assert refused < len(raw) // 4


def test_what_strangers_certify_is_not_carried_along(gpg_homes: GpgHomes, engine: Engine, bob: GpgHome) -> None:
    home = gpg_homes("Vic <vic@example.org>")
    friend = gpg_homes("Fred <fred@example.org>")
    friend.import_keys(home.export())
    friend.run(*QUIET, "--quick-sign-key", home.fingerprint)
    certified = friend.export(home.fingerprint)
    assert bytes.fromhex(friend.fingerprint) in certified
    (vic,) = engine.certificates(certified)
    assert bytes.fromhex(friend.fingerprint) not in vic.transferable
    assert engine.certificates(home.export()) == (vic,)


def _revocation(ring: bytes) -> bytes:
    return next(
        bytes(packet) for packet in PacketPile.from_bytes(ring) if packet.signature_type == SignatureType.KeyRevocation
    )


def test_only_the_owner_and_whom_he_named_can_revoke(gpg_homes: GpgHomes, engine: Engine) -> None:
    stranger = gpg_homes("Rex <rex@example.org>")
    home = gpg_homes("Rolf <rolf@example.org>")
    named = gpg_homes("Nora <nora@example.org>")
    home.import_keys(named.export())
    home.edit(home.fingerprint, "addrevoker", named.fingerprint, "y", "save")
    ring = home.export(home.fingerprint)
    stranger.revoke(stranger.fingerprint)
    named.import_keys(ring)
    made = named.run(
        *QUIET, "--no-batch", "--command-fd", "0", "--desig-revoke", home.fingerprint, stdin=b"y\n0\n\ny\n"
    ).stdout
    (key, *others) = [bytes(packet) for packet in PacketPile.from_bytes(ring)]
    for revocation, problem in ((_revocation(stranger.export()), None), (_revocation(made), "revoked")):
        (rolf,) = engine.certificates(key + revocation + b"".join(others))
        assert rolf.problem(SYSTEM_CLOCK.now()) == problem


def test_a_flood_of_signatures_is_left_out(engine: Engine, alice: GpgHome, bob: GpgHome) -> None:
    packets = [bytes(packet) for packet in PacketPile.from_bytes(alice.export())]
    broken = packets[-1][:-1] + bytes([packets[-1][-1] ^ 1])
    flood = b"".join(packets[:-1]) + 50_000 * broken + packets[-1]
    assert [each.fingerprint for each in engine.certificates(flood + bob.export())] == [bob.fingerprint]


def test_a_key_without_a_name_is_left_out(engine: Engine) -> None:
    """As gpg does: nobody could be told whose it is."""
    assert engine.certificates(bytes(pysequoia.Tsk.generate().extract_certificate())) == ()
