"""A BlackBox repository: the table of its verbs. Each has a room of its own, and leaves what was there if it fails."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom.blackbox import (
    admission,
    deploying,
    discovery,
    editing,
    history,
    layout,
    overview,
    registering,
    updating,
)
from strongroom.blackbox.results import Written
from strongroom.blackbox.site import Site
from strongroom.errors import BlackBoxError, ExistsError
from strongroom.openpgp.engine import Certificate, Engine

__all__ = ["Repository", "Written"]


class Repository(Site):
    """One repository of secrets that BlackBox's scripts, or we, laid out.

    Names are relative to the root, `F` or `F.gpg`; any bytes but NUL and newline, as `os.fsdecode` gives them.
    The verbs that write take `approved`, the full fingerprints that may receive; whoever is listed and not approved is
    left out and named in the result. `approved=None` takes the tracked list as it is: then whoever can write to the
    repository decides who reads. `protected` are paths, relative to the root or absolute, that no verb may write; a
    directory stands for all that is below it.
    """

    @classmethod
    def create(
        cls,
        base: Path,
        *,
        admin: Certificate,
        label: str,
        data: str = layout.DATA_DIRECTORIES[0],
        commit: bool = True,
        engine: Engine | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        dry_run: bool = False,
    ) -> Self:
        """A new repository at `base` with one admin, as `blackbox_initialize` and `blackbox_addadmin` leave it.

        `base` is the top of a git work tree, or outside of any. `data` is `.blackbox`, or the directory of one more
        environment: `.blackbox-TEAM`. ExistsError if there is that one already, BlackBoxError if something else is in
        that place. A dry run only looks.
        """
        root = base.resolve()
        top = discovery.git_top(root)
        if top not in {None, root}:
            raise BlackBoxError(
                f"{str(root)!r} is inside the git work tree {str(top)!r}, and BlackBox looks at its top only",
                hint=f"make it in {str(top)!r}",
            )
        name = layout.parse_name(data)
        for taken in layout.DATA_DIRECTORIES if name in layout.DATA_DIRECTORIES else (name,):
            if any(os.path.lexists(root / taken / held) for held in (layout.ADMINS, layout.FILES)):
                raise ExistsError(f"there is {taken!r} in {str(root)!r} already", hint="strongroom blackbox status")
            if os.path.lexists(root / taken) and not _is_empty(root / taken):
                raise BlackBoxError(
                    f"{taken!r} in {str(root)!r} is no directory of BlackBox's, and it is not empty",
                    hint="BLACKBOXDATA names another one for: strongroom blackbox initialize",
                )
        place = discovery.Place(root=root, data=name)
        repository = cls(place, engine=engine, environ=environ, clock=clock)
        if not dry_run:
            admission.make(repository, admin, label=label, commit=commit)
        return repository

    register = registering.register
    register_all = registering.register_all
    enlist = registering.enlist
    deregister = registering.deregister
    write = updating.write
    update_all = updating.update_all
    rehearse_all = updating.rehearse_all
    edit = editing.edit
    decrypt = deploying.decrypt
    encrypt = deploying.encrypt
    decrypt_all = deploying.decrypt_all
    shred_all = deploying.shred_all
    add_admin = admission.add_admin
    remove_admin = admission.remove_admin
    readable_by = history.readable_by
    keys_of = history.keys_of
    is_whole = history.is_whole
    editions = history.editions
    differences = history.differences
    admin_statuses = overview.admin_statuses
    file_statuses = overview.file_statuses


def _is_empty(path: Path) -> bool:
    """Whether an empty directory stands there, and no link to one."""
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())
