"""What the tests of stores share."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def python() -> str:
    """The interpreter, for writers in processes of their own."""
    return sys.executable
