"""A Fernet key object shows nothing of its key, and steps aside where cryptography's own Fernet is compiled."""

from __future__ import annotations

import copy
import pickle
from base64 import urlsafe_b64decode

import cryptography.fernet as library
import pytest

import strongroom.fernet as ours
from strongroom.errors import FormatError
from strongroom.primitives import fernet_scratch
from strongroom.primitives.fernet import FernetKey
from strongroom.primitives.fernet_key import PooledFernetKey
from strongroom.primitives.fernet_native import NativeFernetKey, choose
from strongroom.primitives.secret import SecretBytes

KEY = library.Fernet.generate_key()
RAW = urlsafe_b64decode(KEY)
OURS, THEIRS = ours.Fernet(KEY), library.Fernet(KEY)


class TestTheKeyIsHidden:
    @pytest.mark.parametrize("box", [OURS, ours.MultiFernet([OURS])], ids=repr)
    def test_no_pickle_no_copy_no_dict(self, box: object) -> None:
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="not pickled or copied"):
                attempt(box)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="not pickled or copied"):
                pickle.dumps(box, protocol)
        assert not hasattr(box, "__dict__")
        with pytest.raises(TypeError):
            vars(box)

    @pytest.mark.parametrize("box", [OURS, ours.MultiFernet([OURS])], ids=type)
    def test_no_text_of_it_holds_the_key(self, box: object) -> None:
        shown = f"{box!r} {box} {[box]!r} " + " ".join(repr(getattr(box, name, "")) for name in dir(box))
        for half in (RAW, RAW[:16], RAW[16:]):
            assert repr(half)[2:-1] not in shown
            assert half.hex() not in shown
        assert KEY.decode() not in shown

    def test_no_traceback_of_a_failure_holds_the_key(self) -> None:
        box = ours.Fernet(KEY)
        for attempt in (lambda: box.decrypt(b"gAAA" * 30), lambda: box.encrypt("text")):
            with pytest.raises((TypeError, ours.InvalidToken)) as caught:
                attempt()
            trace = caught.value.__traceback__.tb_next
            while trace is not None:
                for value in trace.tb_frame.f_locals.values():
                    assert repr(RAW[:16])[2:-1] not in repr(value)
                    assert value not in (RAW, RAW[:16], RAW[16:])
                trace = trace.tb_next

    def test_a_key_of_another_length_is_refused(self) -> None:
        with pytest.raises(FormatError, match="32 bytes; this one has 16"):
            FernetKey(SecretBytes(bytes(16)))


class TestScratch:
    def test_no_kept_buffer_holds_a_plaintext(self) -> None:
        mark = b"a plaintext that must not lie about"
        for count in (200, 3000, 40_000):
            assert OURS.decrypt(OURS.encrypt(mark * count)) == mark * count
            assert fernet_scratch._shelf, "large messages leave a buffer for the next"
            for buffer in fernet_scratch._shelf:
                assert mark[:16] not in buffer

    def test_few_buffers_are_kept_and_no_very_large_one(self) -> None:
        OURS.encrypt(bytes(5 << 20))
        taken = [fernet_scratch.take(5000) for _ in range(20)]
        for buffer in taken:
            fernet_scratch.give_back(buffer)
        assert 1 <= len(fernet_scratch._shelf) <= 4
        assert all(len(buffer) <= 4 << 20 for buffer in fernet_scratch._shelf)

    @pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 200_000])
    def test_wiping_goes_as_far_as_it_says_and_no_further(self, size: int) -> None:
        buffer = bytearray(b"x" * 200_001)
        fernet_scratch.wipe(buffer, size)
        assert buffer == bytes(size) + b"x" * (200_001 - size)


class TestSteppingAside:
    """cryptography 50's own class stands in for a native one: the same methods, whatever it is written in."""

    def test_a_fernet_in_python_is_not_stepped_aside_for(self) -> None:
        assert "_rust" not in library.Fernet.__module__, "cryptography became native: measure again, then change this"
        assert choose(library.Fernet) is PooledFernetKey
        assert issubclass(ours.Fernet, PooledFernetKey)

    def test_a_native_one_is(self) -> None:
        class Native(library.Fernet):
            __module__ = "cryptography.hazmat.bindings._rust.fernet"

        assert choose(Native) is NativeFernetKey

    @pytest.mark.parametrize("size", [0, 32, 4096, 50_000, 65_535, 65_536, 200_000])
    def test_either_opens_the_others_tokens(self, size: int) -> None:
        secret = SecretBytes(RAW)
        box = NativeFernetKey(secret, native=library.Fernet)
        data = bytes(size)
        assert OURS.decrypt(box.encrypt(data)) == data == box.decrypt(OURS.encrypt(data))
        assert box.decrypt(OURS.encrypt(data).decode(), ttl=60) == data
        with pytest.raises(library.InvalidToken):
            box.decrypt(OURS.encrypt_at_time(data, 5), ttl=60)

    def test_it_is_as_strict_about_padding_and_stray_bits(self) -> None:
        box = NativeFernetKey(SecretBytes(RAW), native=library.Fernet)
        for size in (0, 16, 32):
            token = OURS.encrypt(bytes(size))
            body, padding = token.rstrip(b"="), token.count(b"=")
            for other in (body, token + b"=", token + b"====", token[:-1], b""):
                if other != token:
                    with pytest.raises(library.InvalidToken):
                        box.decrypt(other)
            if padding:
                stray = body[:-1] + bytes([body[-1] + 1]) + b"=" * padding
                assert THEIRS.decrypt(stray) == bytes(size)
                with pytest.raises(library.InvalidToken):
                    box.decrypt(stray)
