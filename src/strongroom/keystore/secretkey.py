"""Django's SECRET_KEY from a keyset, while settings.py is still loading: no Django and no cache is touched."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from strongroom.keystore.opening import open_store
from strongroom.keystore.settings import is_build
from strongroom.model.names import parse_name


def django_secret_key(
    name: str, *, store: str | os.PathLike[str] | None = None, pin: str | None = None
) -> tuple[str, list[str]]:
    """`(SECRET_KEY, SECRET_KEY_FALLBACKS)`: the primary of a `secret` keyset, then its other usable versions.

    With STRONGROOM_BUILD=1 both are throw-away values and nothing is opened. Raises NotFoundError where the keyset is
    missing (`strongroom create NAME --type secret` makes it), CannotOpenError where the store does not open.
    """
    if is_build():
        parse_name(name)
        return secrets.token_urlsafe(48), []
    with open_store(store if store is None else Path(store), pin=pin) as keystore:
        secret = keystore.secret(name)
        return secret.reveal_text(), [secret.reveal_text(number) for number in secret.others()]
