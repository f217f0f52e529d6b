"""strongroom.fernet is cryptography's: same vectors, tokens both ways, arguments and exceptions."""

from __future__ import annotations

import datetime
import inspect
import json
from collections.abc import Callable
from pathlib import Path

import cryptography.fernet as library
import cryptography_vectors
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import strongroom.fernet as ours

KEY = library.Fernet.generate_key()
OURS, THEIRS = ours.Fernet(KEY), library.Fernet(KEY)
NOW = 1_800_000_000

# where blocks, the short and the large path, and the two base64 back ends meet
EDGES = [
    *(0, 1, 15, 16, 17, 31, 32, 33, 47, 48),
    *range(300, 345, 3),
    *(511, 512, 513, 4000, 4030, 4031, 4032, 4039, 4095, 4096, 4097, 4111, 4112, 4113),
    *(65535, 65536, 65537, (1 << 20) - 1, 1 << 20, (1 << 20) + 1),
]
sizes = st.one_of(st.sampled_from(EDGES), st.integers(0, 600), st.integers(0, 1 << 20))


def _bytes(size: int, seed: int) -> bytes:
    pattern = bytes((seed + step * 7) & 255 for step in range(256))
    return (pattern * (size // 256 + 1))[:size]


def _vectors(name: str) -> list[dict[str, object]]:
    text = (Path(cryptography_vectors.__file__).parent / "fernet" / name).read_text("utf-8")
    vectors: list[dict[str, object]] = json.loads(text)
    assert vectors
    return vectors


def _seconds(text: str) -> int:
    return int(datetime.datetime.fromisoformat(text).timestamp())


class TestOfficialVectors:
    @pytest.mark.parametrize("vector", _vectors("generate.json"))
    def test_what_the_spec_generates_opens(self, vector: dict[str, str]) -> None:
        # the IV is never ours to choose, so the token is read instead of made again
        box = ours.Fernet(vector["secret"].encode())
        assert box.decrypt(vector["token"]) == vector["src"].encode()
        assert box.extract_timestamp(vector["token"]) == _seconds(vector["now"])

    @pytest.mark.parametrize("vector", _vectors("verify.json"))
    @pytest.mark.parametrize("kind", [str, str.encode])
    def test_what_the_spec_verifies_opens(self, vector: dict, kind) -> None:
        box = ours.Fernet(vector["secret"])
        now = _seconds(vector["now"])
        assert box.decrypt_at_time(kind(vector["token"]), vector["ttl_sec"], now) == vector["src"].encode()

    @pytest.mark.parametrize("vector", _vectors("invalid.json"), ids=lambda vector: vector["desc"])
    def test_what_the_spec_calls_invalid_does_not_open(self, vector: dict) -> None:
        now = _seconds(vector["now"])
        for box in (ours.Fernet(vector["secret"]), ours.MultiFernet([ours.Fernet(vector["secret"])])):
            with pytest.raises(ours.InvalidToken):
                box.decrypt_at_time(vector["token"], vector["ttl_sec"], now)


class TestBothWays:
    @given(size=sizes, seed=st.integers(0, 255), as_text=st.booleans())
    @example(size=0, seed=0, as_text=True)
    @example(size=1 << 20, seed=3, as_text=True)
    def test_each_opens_what_the_other_made(self, size: int, seed: int, as_text: bool) -> None:
        data = _bytes(size, seed)
        assert len(data) == size
        for maker, opener in ((OURS, THEIRS), (THEIRS, OURS), (OURS, OURS)):
            token = maker.encrypt_at_time(data, NOW)
            assert type(token) is bytes
            text = token.decode() if as_text else token
            assert opener.decrypt(text) == data
            assert opener.extract_timestamp(text) == NOW

    @pytest.mark.parametrize("size", EDGES)
    def test_at_every_edge(self, size: int) -> None:
        data = _bytes(size, 5)
        assert THEIRS.decrypt(OURS.encrypt(data)) == data == OURS.decrypt(THEIRS.encrypt(data))

    @given(
        made=st.integers(0, 2**64 - 1),
        ttl=st.one_of(st.integers(-5, 5), st.integers(-(2**70), 2**70)),
        drift=st.one_of(st.integers(-130, 130), st.integers(-(2**70), 2**70)),
    )
    @example(made=NOW, ttl=60, drift=60)
    @example(made=NOW, ttl=60, drift=61)
    @example(made=NOW, ttl=60, drift=-60)
    @example(made=NOW, ttl=60, drift=-61)
    def test_age_and_skew_are_judged_alike(self, made: int, ttl: int, drift: int) -> None:
        token = OURS.encrypt_at_time(b"data", made)
        verdicts = []
        for box in (OURS, THEIRS, ours.MultiFernet([OURS])):
            try:
                verdicts.append(box.decrypt_at_time(token, ttl, made + drift))
            except library.InvalidToken:
                verdicts.append(None)
        assert verdicts[0] == verdicts[1] == verdicts[2]

    def test_a_ttl_counts_from_now(self) -> None:
        assert OURS.decrypt(OURS.encrypt(b"x"), ttl=60) == b"x"
        for token in (OURS.encrypt_at_time(b"x", 0), OURS.encrypt_at_time(b"x", 2**40)):
            assert OURS.decrypt(token) == b"x"
            with pytest.raises(ours.InvalidToken):
                OURS.decrypt(token, ttl=60)
            with pytest.raises(ours.InvalidToken):
                OURS.decrypt(token, 60)

    @given(size=st.sampled_from(EDGES[:40]))
    def test_one_context_serves_messages_of_every_length_in_turn(self, size: int) -> None:
        for other in (size, 0, 5000, 16, size):
            data = _bytes(other, 9)
            assert THEIRS.decrypt(OURS.encrypt(data)) == data
            assert OURS.decrypt(THEIRS.encrypt(data)) == data


def _outcome(call: Callable[..., object], *arguments: object) -> object:
    try:
        return "returned", type(call(*arguments))
    except Exception as error:  # noqa: BLE001  # which one is raised is what is compared
        return type(error)


def _case(value: object) -> str:
    """A name that is the same in every process: no address and no random key is in it."""
    return f"{type(value).__name__}-{len(value)}" if isinstance(value, (str, bytes)) else type(value).__name__


class TestTheSameFace:
    def test_the_exception_is_cryptographys_own(self) -> None:
        assert ours.InvalidToken is library.InvalidToken

    @pytest.mark.parametrize(
        "key",
        [
            b"",
            "",
            b"short",
            "not base64 ?",
            b"A" * 43,
            KEY[:-4],
            KEY + b"AAAA",
            KEY,
            KEY.decode(),
            "é" * 44,
            None,
            7,
            [],
            object(),
        ],
        ids=_case,
    )
    def test_keys_are_taken_and_refused_alike(self, key: object) -> None:
        mine, yours = _outcome(ours.Fernet, key), _outcome(library.Fernet, key)
        assert mine == (("returned", ours.Fernet) if yours == ("returned", library.Fernet) else yours)

    def test_a_backend_is_taken_and_ignored(self) -> None:
        assert ours.Fernet(KEY, backend=object()).decrypt(OURS.encrypt(b"x")) == b"x"
        assert ours.Fernet(KEY, None).decrypt(OURS.encrypt(b"x")) == b"x"

    @pytest.mark.parametrize("data", ["text", None, 7, bytearray(b"x"), memoryview(b"x"), [1]], ids=_case)
    def test_data_must_be_bytes(self, data: object) -> None:
        for box in (OURS, ours.MultiFernet([OURS])):
            assert _outcome(box.encrypt, data) is _outcome(THEIRS.encrypt, data) is TypeError
            assert _outcome(box.encrypt_at_time, data, 1) is TypeError

    @pytest.mark.parametrize("token", [None, 7, bytearray(b"x"), memoryview(b"x"), [], object()], ids=_case)
    def test_a_token_must_be_bytes_or_str(self, token: object) -> None:
        for box in (OURS, THEIRS, ours.MultiFernet([OURS])):
            assert _outcome(box.decrypt, token) is TypeError
            assert _outcome(box.decrypt, token, 5) is TypeError
            assert _outcome(box.extract_timestamp, token) is TypeError
            assert _outcome(box.decrypt_at_time, token, 5, 5) is TypeError
        for multi in (ours.MultiFernet([OURS]), library.MultiFernet([THEIRS])):
            assert _outcome(multi.rotate, token) is TypeError

    @pytest.mark.parametrize(
        "token", [b"", "", b"gA==", "gAAA", b"gAAAAAAAAAAAAAA=", "\x00", "é", "\ud800", b"\xff" * 100], ids=_case
    )
    def test_what_is_no_token_is_invalid(self, token: bytes | str) -> None:
        for box in (OURS, ours.MultiFernet([OURS])):
            assert _outcome(box.decrypt, token) is ours.InvalidToken
            assert _outcome(box.extract_timestamp, token) is ours.InvalidToken
            assert _outcome(box.decrypt_at_time, token, 5, 5) is ours.InvalidToken

    @pytest.mark.parametrize("moment", [-1, 2**64, 2**64 + 5, 2**80, True, 0, 2**64 - 1], ids=_case)
    def test_times_that_fit_and_times_that_do_not(self, moment: int) -> None:
        for size in (1, 5000):
            data = bytes(size)
            expected = _outcome(THEIRS.encrypt_at_time, data, moment)
            assert _outcome(OURS.encrypt_at_time, data, moment) == expected

    def test_decrypt_at_time_wants_a_ttl(self) -> None:
        for box in (OURS, THEIRS, ours.MultiFernet([OURS])):
            with pytest.raises(ValueError, match="can only be used with a non-None ttl"):
                box.decrypt_at_time(OURS.encrypt(b"x"), None, NOW)

    @pytest.mark.parametrize(
        "name", ["encrypt", "encrypt_at_time", "decrypt", "decrypt_at_time", "extract_timestamp", "generate_key"]
    )
    def test_the_arguments_of_fernet_have_the_same_names(self, name: str) -> None:
        mine, yours = (inspect.signature(getattr(module.Fernet, name)) for module in (ours, library))
        assert [(it.name, it.default) for it in mine.parameters.values()] == [
            (it.name, it.default) for it in yours.parameters.values()
        ]

    @pytest.mark.parametrize(
        "name", ["encrypt", "encrypt_at_time", "decrypt", "decrypt_at_time", "extract_timestamp", "rotate"]
    )
    def test_the_arguments_of_multifernet_have_the_same_names(self, name: str) -> None:
        mine, yours = (inspect.signature(getattr(module.MultiFernet, name)) for module in (ours, library))
        assert [(it.name, it.default) for it in mine.parameters.values()] == [
            (it.name, it.default) for it in yours.parameters.values()
        ]

    def test_generated_keys_are_keys_and_differ(self) -> None:
        keys = {ours.Fernet.generate_key() for _ in range(100)}
        assert len(keys) == 100
        for key in keys:
            assert library.Fernet(key).decrypt(ours.Fernet(key).encrypt(b"x")) == b"x"

    def test_subclasses_of_bytes_and_str_are_read_for_what_they_hold(self) -> None:
        class Sly(bytes):
            def __len__(self) -> int:
                return 3

            def __radd__(self, other: bytes) -> bytes:
                return b"half a block"

        class Text(str):
            __slots__ = ()

        token = OURS.encrypt(Sly(b"what it holds"))
        assert THEIRS.decrypt(token) == b"what it holds"
        assert OURS.decrypt(Sly(token)) == OURS.decrypt(Text(token.decode())) == b"what it holds"
        assert THEIRS.decrypt(OURS.encrypt(b"the next one")) == b"the next one"
