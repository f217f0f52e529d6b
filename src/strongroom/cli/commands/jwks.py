"""jwks: the public keys that verify a keyset's tokens, for whoever serves them as a file."""

from __future__ import annotations

import json
from datetime import timedelta

import click

from strongroom.cli import output
from strongroom.cli.completing import existing_name
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand


@click.command(
    cls=VerbCommand,
    epilog=examples(
        "strongroom jwks api-tokens --tokens-live 1h > public/jwks.json",
        "strongroom jwks oidc-signing --tokens-live 10h --algorithm RS256",
    ),
)
@existing_name
@click.option("--tokens-live", required=True, metavar="TIME", help="The longest life of a token, like 5m or 10h.")
@click.option("--algorithm", metavar="ALG", help="RS256 or PS256, which RSA keysets want said.")
@verb
def jwks(session: Session, name: str, *, tokens_live: str, algorithm: str | None) -> None:
    """Print the key set (JWKS) of NAME: public keys alone, the next one too, and the last ones while tokens live.

    Print it anew after each rotation, and at least as often as keys should leave it.
    """
    from strongroom._encoding import parse_duration
    from strongroom.keystore.jwks import key_set

    lives = timedelta(seconds=parse_duration(tokens_live))
    output.write_json(json.loads(key_set(session.open(), name, tokens_live=lives, algorithm=algorithm).body))
