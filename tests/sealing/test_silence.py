"""Debug pages and Sentry print the locals of every frame: none of ours holds plain key bytes when something fails."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace

import pytest

from strongroom._encoding import b64encode
from strongroom.errors import StrongroomError
from strongroom.primitives.secret import SecretBytes
from strongroom.sealing.header_codec import decode_header, encode_header
from strongroom.sealing.identities import format_identity, identity_from_text, parse_identity
from strongroom.sealing.passphrases import check_strength, passphrase_from_text
from strongroom.sealing.root import Root, matching
from tests.sealing.builders import (
    CHEAP,
    FOREIGN,
    FORGED,
    KEY,
    NEXT,
    PASSPHRASE,
    PLACE,
    ROOT,
    flipped,
    header,
    hpke_identity,
    hpke_slot,
    passphrase_slot,
    pem,
    rsa_identity,
    rsa_slot,
)

LINE = ROOT.line()
SEALED = ROOT.seal(SecretBytes(KEY), **PLACE)
PROTECTED = format_identity(hpke_identity(), passphrase=PASSPHRASE, cost=CHEAP)
WRONG = SecretBytes(b"a wrong passphrase that was typed")


def without_end(secret: SecretBytes, count: int) -> SecretBytes:
    return SecretBytes(secret.reveal()[:-count])


FAILURES: dict[str, Callable[[], object]] = {
    "a root line cut short": lambda: Root.from_line(without_end(LINE, 1)),
    "a root of another store": lambda: matching(FOREIGN.line(), ROOT.ref),
    "another root of this store": lambda: matching(LINE, NEXT.ref),
    "a sealed version flipped": lambda: ROOT.open(flipped(SEALED, 880), **PLACE),
    "an older root that is another": lambda: NEXT.open_older(NEXT.seal_older(ROOT), FORGED.ref),
    "a record's MAC": lambda: ROOT.check_record(b"body", bytes(32)),
    "a header of another root": lambda: decode_header(encode_header(header(), ROOT)).verify(FORGED),
    "a wrong passphrase": lambda: passphrase_slot().open(WRONG, ROOT.ref),
    "a passphrase slot of another root": lambda: passphrase_slot(NEXT).open(PASSPHRASE, ROOT.ref),
    "an HPKE slot flipped": lambda: replace(hpke_slot(), sealed=bytes(150)).open(hpke_identity().private, ROOT.ref),
    "an RSA slot flipped": lambda: replace(rsa_slot(), sealed=bytes(256)).open(rsa_identity().private, ROOT.ref),
    "a passphrase of two lines": lambda: passphrase_from_text(PASSPHRASE.reveal().decode() + "\n\n"),
    "a weak passphrase": lambda: check_strength(SecretBytes(b"aaaa")),
    "an identity cut short": lambda: parse_identity(without_end(format_identity(hpke_identity()), 3), source="a file"),
    "a protected identity": lambda: parse_identity(PROTECTED, source="a file", ask=lambda: WRONG),
    "PEM cut short": lambda: parse_identity(SecretBytes(pem()[:-40]), source="a file"),
    "PEM in a variable, cut short": lambda: identity_from_text(pem().decode()[:-40]),
}


def spellings(secret: SecretBytes) -> list[str]:
    raw = secret.reveal()
    return [raw.hex(), repr(raw)[2:-1], b64encode(raw)]


SECRETS = [
    *spellings(SecretBytes(KEY)),
    *spellings(PASSPHRASE),
    *spellings(WRONG),
    *spellings(hpke_identity().private),
    rsa_identity().private.reveal().hex()[:64],
    b64encode(rsa_identity().private.reveal())[40:104],
    pem().decode().splitlines()[3],
]


@pytest.mark.parametrize("what", FAILURES)
def test_a_failure_shows_no_secret_in_message_hint_or_frames(what: str) -> None:
    with pytest.raises(StrongroomError) as caught:
        FAILURES[what]()
    # the frames of this file are the caller's, and hold what the caller holds
    own = [frame for frame in traceback.walk_tb(caught.tb) if "/strongroom/" in frame[0].f_code.co_filename]
    told = "".join(traceback.StackSummary.extract(iter(own), capture_locals=True).format())
    told += f"{caught.value!r} {caught.value.hint} {''.join(traceback.format_exception(caught.value))}"
    context = caught.value.__context__
    while context is not None:  # what "from None" hides is there for those who look
        told += f"{context!r}" + "".join(
            traceback.StackSummary.extract(traceback.walk_tb(context.__traceback__), capture_locals=True).format()
        )
        context = context.__context__
    assert own
    for secret in SECRETS:
        assert secret not in told
