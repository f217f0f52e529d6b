"""The old names: programs such as `blackbox_cat` that become `strongroom blackbox cat`. They take names, no options."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from strongroom.errors import ExistsError, NotFoundError, StoreError

OLD_NAMES = {
    "blackbox_addadmin": "addadmin",
    "blackbox_cat": "cat",
    "blackbox_decrypt_all_files": "decrypt-all-files",
    "blackbox_decrypt_file": "decrypt-file",
    "blackbox_deregister_file": "deregister-file",
    "blackbox_diff": "diff",
    "blackbox_edit": "edit",
    "blackbox_edit_end": "edit-end",
    "blackbox_edit_start": "edit-start",
    "blackbox_initialize": "initialize",
    "blackbox_list_admins": "list-admins",
    "blackbox_list_files": "list-files",
    "blackbox_listadmins": "list-admins",
    "blackbox_postdeploy": "postdeploy",
    "blackbox_register_new_file": "register-new-file",
    "blackbox_removeadmin": "removeadmin",
    "blackbox_shred_all_files": "shred-all-files",
    "blackbox_update_all_files": "update-all-files",
    "blackbox_view": "view",
    "blackbox_whatsnew": "whatsnew",
}
"""Every program of the originals' bin directory, and the verb that it becomes."""

_MARK = "# written by strongroom blackbox install-shims\n"


def program() -> Path:
    """The absolute path of the command `strongroom` that belongs to this Python. NotFoundError."""
    beside = Path(sys.executable).parent / "strongroom"
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which("strongroom")
    if found is None:
        raise NotFoundError("there is no command 'strongroom' beside this Python or on PATH", hint="install strongroom")
    return Path(found).absolute()


def install(directory: Path, *, dry_run: bool = False) -> tuple[Path, ...]:
    """Write one program for each old name. ExistsError, before anything is written, if a file there is not ours."""
    text = {name: _text(verb) for name, verb in OLD_NAMES.items()}
    try:
        for name in text:
            path = directory / name
            if os.path.lexists(path) and (path.is_symlink() or _MARK.encode() not in path.read_bytes()[:200]):
                raise ExistsError(
                    f"{str(path)!r} is there already, and is none of ours", hint="choose another directory"
                )
        if dry_run:
            return tuple(directory / name for name in text)
        directory.mkdir(parents=True, exist_ok=True)
        for name, script in text.items():
            beside = directory / f".{name}.new"
            beside.write_text(script)
            beside.chmod(0o755)
            beside.replace(directory / name)
    except OSError as error:
        raise StoreError(f"cannot write into {str(directory)!r}: {error.strerror}") from None
    return tuple(directory / name for name in text)


def _text(verb: str) -> str:
    # the originals know no options: whatever is typed is a name, a leading dash or not
    return f'#!/bin/sh\n{_MARK}exec {shlex.quote(str(program()))} blackbox {verb} -- "$@"\n'
