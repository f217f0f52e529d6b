"""jwks: what a web server may hand out, as JSON on a pipe."""

from __future__ import annotations

import json
from pathlib import Path

from strongroom.keystore.opening import open_store
from tests.cli.program import within


def test_it_prints_the_keys_that_verify_and_the_next_one(store: Path) -> None:
    assert within("create", "api-tokens", "--type", "ed25519").status == 0
    assert within("rotate", "api-tokens").status == 0
    shown = json.loads(within("jwks", "api-tokens", "--tokens-live", "1h").text)
    assert [key["alg"] for key in shown["keys"]] == ["EdDSA", "EdDSA"]
    with open_store(store) as keystore:
        assert shown["keys"][0]["kid"] == keystore.jwt("api-tokens").kid


def test_a_keyset_that_signs_no_tokens_and_periods_that_are_none_are_refused(store: Path) -> None:
    within("create", "box", "--type", "fernet")
    within("create", "oidc", "--type", "rsa-2048", "--purpose", "sign")
    assert within("jwks", "box", "--tokens-live", "1h").status == 5
    unsaid = within("jwks", "oidc", "--tokens-live", "1h")
    assert unsaid.status == 5
    assert "RS256" in unsaid.stderr
    assert within("jwks", "oidc", "--tokens-live", "1h", "--algorithm", "RS256").status == 0
    assert within("jwks", "oidc", "--tokens-live", "soon", "--algorithm", "RS256").status == 2
    assert within("jwks", "oidc").status == 2
