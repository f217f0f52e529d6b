"""Why a cell does not open, as far as that may be said: its field, keyset and version, and the next command."""

from __future__ import annotations

from typing import NoReturn

from strongroom.django.connections import keystores
from strongroom.django.fields.binding import Context
from strongroom.django.fields.sealing import Sealing
from strongroom.errors import DecryptionError, NotFoundError, StateError, StrongroomError
from strongroom.model.states import Operation, permits
from strongroom.model.types import KeyType
from strongroom.model.version import Version


def explain(error: StrongroomError, field: Sealing, cell: bytes | None, context: Context | None) -> NoReturn:
    """Raise the error again, naming the field, the keyset and, where the cell tells it, the version."""
    try:
        name = field.keyset_name(context)
    except StrongroomError:
        raise error.again() from None
    show = f"strongroom show {name}"
    if isinstance(error, DecryptionError) and cell is not None:
        version, state = _version(field, name, cell, context)
        if version is None:
            raise DecryptionError(f"{field}: the cell does not open under any version of {name!r}", hint=show) from None
        if state:
            raise StateError(
                f"{field}: the cell is under version {version.number} of {name!r}, {state}", hint=show
            ) from None
        raise DecryptionError(
            f"{field}: the cell names version {version.number} of {name!r}, and does not open under it here", hint=show
        ) from None
    again = error.again()
    again.args = (f"{field}, keyset {name!r}: {error}",)
    if not again.hint:
        missing = isinstance(error, NotFoundError)
        again.hint = f"strongroom create {name} --type aes256-gcm" if missing else "strongroom doctor"
    raise again from None


def _version(field: Sealing, name: str, cell: bytes, context: Context | None) -> tuple[Version | None, str]:
    """The version that a cell names, and what its state is where that forbids reading."""
    key_id = field.cell_version(cell, context=context)
    if key_id is None:
        return None, ""
    snapshot = keystores[field.using].current(name, KeyType.AES256_GCM)
    version = snapshot.keyset.by_key_id(key_id)
    state = version.state_at(snapshot.now)
    allowed = permits(state, Operation.PROCESS, primary=version is snapshot.primary)
    return version, "" if allowed else f"which is {state.value}"
