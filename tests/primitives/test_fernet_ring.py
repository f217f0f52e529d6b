"""Many keys: the token's time orders the trial, the tag decides, and a rotation keeps data and time."""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

import cryptography.fernet as library
import pytest
from cryptography.hazmat.primitives import hashes, hmac
from hypothesis import given
from hypothesis import strategies as st

from strongroom.errors import SettingsError
from strongroom.fernet import Fernet, InvalidToken, MultiFernet
from strongroom.primitives.fernet import FernetRing
from strongroom.primitives.secret import SecretBytes

DAY = 86400
RAW = [bytes([number]) * 32 for number in range(1, 9)]
THEIRS = [library.Fernet(urlsafe_b64encode(raw)) for raw in RAW]
OURS = [Fernet(urlsafe_b64encode(raw)) for raw in RAW]
STRANGER = library.Fernet(library.Fernet.generate_key())


def ring_of(times: list[int]) -> FernetRing:
    return FernetRing([(SecretBytes(raw), since) for raw, since in zip(RAW, times, strict=False)])


# newest first, as a keystore names them; all unknown; all equal; in no order; before the epoch
TIMES = [
    [DAY * (8 - place) for place in range(8)],
    [0] * 8,
    [DAY] * 8,
    [5, 9, 0, 9, 1, 2**40, 5, 3],
    [-5, 3, -1, 0, 7, 1, 1, 2],
]


@pytest.mark.parametrize("times", TIMES, ids=str)
class TestWhateverTheTimes:
    @given(maker=st.integers(0, 7), made=st.one_of(st.integers(0, 9 * DAY), st.sampled_from([0, 2**63, 2**64 - 1])))
    def test_every_key_opens_what_it_made_and_is_named(self, times: list[int], maker: int, made: int) -> None:
        ring = ring_of(times)
        token = THEIRS[maker].encrypt_at_time(b"data", made)
        for _ in range(2):  # what one trial learns must not mislead the next
            assert ring.decrypt(token) == b"data"
            assert ring.decrypt_and_tell(token) == (b"data", maker)
            assert ring.opener(token) == maker
            assert ring.extract_timestamp(token) == made
        with pytest.raises(InvalidToken):
            ring.decrypt(STRANGER.encrypt_at_time(b"data", made))

    def test_the_first_named_encrypts(self, times: list[int]) -> None:
        ring = ring_of(times)
        assert THEIRS[0].decrypt(ring.encrypt(b"data"), ttl=60) == b"data"
        assert THEIRS[0].extract_timestamp(ring.encrypt_at_time(b"data", 77)) == 77

    @given(makers=st.lists(st.integers(0, 7), max_size=30), text=st.booleans(), data=st.data())
    def test_a_batch_is_what_one_by_one_would_be(
        self, times: list[int], makers: list[int], text: bool, data: st.DataObject
    ) -> None:
        ring = ring_of(times)
        sizes = [data.draw(st.sampled_from([0, 1, 15, 16, 31, 32, 60, 500, 4095, 4096, 9000])) for _ in makers]
        tokens = [
            THEIRS[maker].encrypt_at_time(bytes(size), 5 * size) for maker, size in zip(makers, sizes, strict=True)
        ]
        rotated = ring.rotate_many([token.decode() for token in tokens] if text else iter(tokens))
        assert [type(token) for token in rotated] == [bytes] * len(tokens)
        assert [THEIRS[0].decrypt(token) for token in rotated] == [bytes(size) for size in sizes]
        assert [THEIRS[0].extract_timestamp(token) for token in rotated] == [5 * size for size in sizes]
        singly = [ring.rotate(token) for token in tokens]
        assert [THEIRS[0].decrypt(token) for token in singly] == [bytes(size) for size in sizes]
        ivs = {urlsafe_b64decode(token)[9:25] for token in (*tokens, *rotated, *singly)}
        assert len(ivs) == 3 * len(tokens)


class TestBatches:
    @pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 1300])
    def test_order_holds_across_batches(self, count: int) -> None:
        multi = MultiFernet(OURS[:3])
        tokens = [THEIRS[place % 3].encrypt_at_time(b"%d" % place, place) for place in range(count)]
        rotated = multi.rotate_many(tokens)
        assert [THEIRS[0].decrypt(token) for token in rotated] == [b"%d" % place for place in range(count)]
        assert [THEIRS[0].extract_timestamp(token) for token in rotated] == list(range(count))

    @pytest.mark.parametrize("place", [0, 1, 300, 511, 512, 700, 1023, 1024, 1199])
    @pytest.mark.parametrize("bad", ["stranger", "spelling", "flipped", "line", "short", "text"])
    def test_the_first_that_does_not_open_is_named(self, place: int, bad: str) -> None:
        tokens: list[bytes | str] = [OURS[1].encrypt(bytes(number % 50)) for number in range(1200)]
        good = tokens[place]
        assert isinstance(good, bytes)
        tokens[place] = {
            "stranger": STRANGER.encrypt(b"data"),
            "spelling": good[:-4] + b"!" + good[-3:],
            "flipped": good[:20] + (b"A" if good[20:21] != b"A" else b"B") + good[21:],
            "line": good + b"\n" + good,
            "short": b"gAAA",
            "text": "é" + good.decode(),
        }[bad]
        with pytest.raises(InvalidToken) as caught:
            MultiFernet(OURS[:2]).rotate_many(tokens)
        assert caught.value.args == (place,)

    def test_heavy_tokens_are_rotated_too(self) -> None:
        data = os.urandom(1 << 20)
        rotated = MultiFernet(OURS[:2]).rotate_many(
            [THEIRS[1].encrypt(data), THEIRS[1].encrypt(b"light"), THEIRS[0].encrypt(data)]
        )
        assert [THEIRS[0].decrypt(token) for token in rotated] == [data, b"light", data]

    def test_what_is_no_text_is_a_type_error(self) -> None:
        for token in (None, 7, [b"x"], bytearray(b"gAAA")):
            with pytest.raises(TypeError):
                MultiFernet(OURS[:2]).rotate_many([OURS[0].encrypt(b"x"), token])


def signed(raw_key: bytes, blocks: bytes) -> bytes:
    """A token whose tag is right and whose ciphertext is `blocks`, whatever they decrypt to."""
    body = b"\x80" + bytes(8) + bytes(16) + blocks
    mac = hmac.HMAC(raw_key[:16], hashes.SHA256())
    mac.update(body)
    return urlsafe_b64encode(body + mac.finalize())


@pytest.mark.parametrize("blocks", [b"", b"half", bytes(16), bytes(32), bytes(17), bytes(5008), bytes(5001)], ids=len)
def test_a_true_tag_over_no_message_is_invalid_and_spoils_nothing(blocks: bytes) -> None:
    token = signed(RAW[1], blocks)
    multi = MultiFernet(OURS[:2])
    theirs = library.MultiFernet(THEIRS[:2])
    for call in (
        OURS[1].decrypt,
        multi.decrypt,
        multi.rotate,
        theirs.decrypt,
        theirs.rotate,
        lambda it: multi.rotate_many([it]),
    ):
        with pytest.raises(InvalidToken):
            call(token)
        fresh = THEIRS[1].encrypt(b"the next one")
        assert OURS[1].decrypt(fresh) == multi.decrypt(fresh) == b"the next one"
        assert (
            THEIRS[0].decrypt(multi.rotate_many([fresh])[0])
            == THEIRS[0].decrypt(multi.rotate(fresh))
            == b"the next one"
        )
    # as in cryptography, the time is told where the tag is true
    assert OURS[1].extract_timestamp(token) == THEIRS[1].extract_timestamp(token) == 0


class TestMultiFernet:
    @given(maker=st.integers(0, 7), size=st.integers(0, 100), made=st.integers(0, 2**40))
    def test_it_rotates_as_cryptographys_does(self, maker: int, size: int, made: int) -> None:
        token = THEIRS[maker].encrypt_at_time(bytes(size), made)
        for multi in (MultiFernet(OURS), library.MultiFernet(THEIRS)):
            rotated = multi.rotate(token.decode())
            assert rotated != token
            assert OURS[0].decrypt(rotated) == bytes(size)
            assert OURS[0].extract_timestamp(rotated) == made

    def test_it_takes_any_iterable_and_refuses_none(self) -> None:
        assert MultiFernet(iter(OURS)).decrypt(THEIRS[5].encrypt(b"x")) == b"x"
        with pytest.raises(ValueError, match="requires at least one Fernet instance"):
            MultiFernet([])
        with pytest.raises(TypeError):
            MultiFernet(None)

    def test_it_takes_this_houses_keys_only(self) -> None:
        for other in (THEIRS[0], b"key", None):
            with pytest.raises(TypeError, match=r"takes strongroom\.fernet\.Fernet objects, not"):
                MultiFernet([OURS[0], other])

    def test_a_ttl_holds_under_every_key(self) -> None:
        multi = MultiFernet(OURS[:3])
        for maker in THEIRS[:3]:
            assert multi.decrypt(maker.encrypt(b"x"), ttl=60) == b"x"
            assert multi.decrypt_at_time(maker.encrypt_at_time(b"x", 100), 60, 160) == b"x"
            with pytest.raises(InvalidToken):
                multi.decrypt_at_time(maker.encrypt_at_time(b"x", 100), 60, 161)
            with pytest.raises(InvalidToken):
                multi.decrypt(maker.encrypt_at_time(b"x", 100), ttl=60)


def test_a_ring_without_keys_is_refused() -> None:
    with pytest.raises(SettingsError, match="at least one"):
        FernetRing([])
