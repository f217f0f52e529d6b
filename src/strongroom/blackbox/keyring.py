"""The tracked keyring, read as bytes and judged by the engine. The tracked directory is never gpg's home."""

from __future__ import annotations

from collections.abc import Mapping

from strongroom.blackbox import keybox, layout
from strongroom.blackbox.files import Tree
from strongroom.errors import BlackBoxError
from strongroom.openpgp.engine import Certificate, Engine
from strongroom.openpgp.packets import certificates_in

RINGS = (layout.KEYBOX, layout.OLD_RING)


def read(tree: Tree, data: str) -> dict[str, bytes]:
    """The keyring files that are there. Old repositories have `pubring.gpg`, newer ones `pubring.kbx`, some both."""
    return {name: tree.read(f"{data}/{name}", limit=keybox.MAX_RING) for name in RINGS if tree.exists(f"{data}/{name}")}


def certificates(rings: Mapping[str, bytes], *, engine: Engine) -> tuple[Certificate, ...]:
    """The certificates of all keyring files, each once.

    Where both files stand, gpg writes one of them and the original scripts read the other; the union drops nobody.
    BlackBoxError if there is no file at all.
    """
    if not rings:
        raise BlackBoxError(
            f"there is no keyring: neither {layout.KEYBOX!r} nor {layout.OLD_RING!r}", hint="see 'git status'"
        )
    packets = (
        keybox.certificates(raw, what=name) if keybox.is_keybox(raw) else raw for name, raw in rings.items() if raw
    )
    found = (key for ring in packets if ring for key in engine.certificates(ring))
    return tuple({key.fingerprint: key for key in found}.values())


def blocks(rings: Mapping[str, bytes]) -> dict[str, bytes]:
    """The bytes of each certificate by full fingerprint, as they stand there, judged by nobody."""
    found: dict[str, bytes] = {}
    for name, raw in rings.items():
        keys = keybox.certificates(raw, what=name) if keybox.is_keybox(raw) else raw
        found |= certificates_in(keys) if keys else {}
    return found


def check_no_secrets(tree: Tree, data: str) -> None:
    """BlackBoxError if the tracked directory holds a secret keyring, as the original refuses to go on then."""
    name = f"{data}/{layout.SECRET_RING}"
    if tree.exists(name) and tree.read(name, limit=keybox.MAX_RING):
        raise BlackBoxError(
            f"{name!r} holds secret keys, which do not belong in a repository", hint=f"git rm -- {name!r}"
        )
