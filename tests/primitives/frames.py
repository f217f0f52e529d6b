"""What a traceback would show: the locals of every frame that an error went through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType

import pytest

from strongroom.primitives.secret import SecretBytes


def error_of(call: Callable[[], object], kind: type[BaseException]) -> BaseException:
    """The error of a call that must fail with exactly this class."""
    with pytest.raises(kind) as caught:
        call()
    assert caught.type is kind
    return caught.value


def _frames(traceback: TracebackType | None) -> Iterator[dict[str, object]]:
    while traceback is not None:
        if "/strongroom/" in traceback.tb_frame.f_code.co_filename:  # the test's own frames hold it, of course
            yield traceback.tb_frame.f_locals
        traceback = traceback.tb_next


def assert_tells_nothing(error: BaseException, secret: bytes) -> None:
    """Neither the message, nor the hint, nor a local of a frame of ours, nor a chained error holds the secret."""
    seen: BaseException | None = error
    assert any(True for _ in _frames(error.__traceback__)), "the error did not come from this house"
    while seen is not None:
        shown = [str(seen), repr(seen), getattr(seen, "hint", "")]
        for scope in _frames(seen.__traceback__):
            values = [value for value in scope.values() if not isinstance(value, SecretBytes)]
            shown.extend(repr(value) for value in values)
            held = [bytes(value) for value in values if isinstance(value, bytes | bytearray | memoryview)]
            assert not any(secret in value for value in held)
        assert not any(secret.hex() in text or repr(secret)[2:-1] in text for text in shown)
        seen = None if seen.__suppress_context__ else seen.__context__
