"""blackbox: who is an admin, who is approved, and what one who left could read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from strongroom._encoding import format_count
from strongroom.cli import output
from strongroom.cli.context import Session, examples, verb
from strongroom.cli.groups import VerbCommand
from strongroom.cli.repository import commit_option, dry_run_option, engine_of, repository_of, to_commit
from strongroom.errors import ExistsError, GitError, NotFoundError, PolicyError, RecipientError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from strongroom.blackbox.history import Exposure
    from strongroom.blackbox.repository import Repository
    from strongroom.openpgp.engine import Certificate, Engine


@click.command(
    cls=VerbCommand,
    epilog=examples("strongroom blackbox initialize", "strongroom blackbox initialize --admin alice@example.org"),
)
@click.argument("answer", required=False, metavar="[yes]")
@click.option("--admin", "who", metavar="KEY", help="The first admin; else the one secret key that you have.")
@commit_option(usual=False)
@dry_run_option
@verb
def initialize(session: Session, answer: str | None, who: str | None, commit: bool, dry_run: bool) -> None:
    """Make a BlackBox repository at the top of this git work tree, with its first admin, who is approved with it.

    Where there is one already, nothing is done. The word 'yes', which the original wants, is accepted. BLACKBOXDATA
    names the directory of one more environment or team, which has its own list, admins and approvals.
    """
    from strongroom.blackbox.approvals import Approvals
    from strongroom.blackbox.discovery import current_directory, git_top
    from strongroom.blackbox.layout import DATA_DIRECTORIES, IGNORE
    from strongroom.blackbox.locking import LOCK
    from strongroom.blackbox.repository import Repository
    from strongroom.keystore.people import label_of

    if answer not in {None, "yes", "y"}:
        raise SettingsError(f"{answer!r} is not 'yes'", hint="strongroom blackbox initialize --admin KEY")
    base = os.environ.get("BLACKBOX_REPOBASE")
    here = Path(base) if base else current_directory()
    top = git_top(here) or here
    engine = _own_engine(session)
    certificate = _first_admin(engine, who)
    try:
        made = Repository.create(
            top,
            admin=certificate,
            label=label_of(certificate),
            data=os.environ.get("BLACKBOXDATA") or DATA_DIRECTORIES[0],
            commit=commit,
            engine=engine,
            dry_run=dry_run,
        )
    except ExistsError as error:
        output.tell(f"{error}: nothing was done")
        return
    if not dry_run:
        Approvals.load(made).approve(certificate)
        if not commit:
            held = sorted(path.name for path in made.data.iterdir())
            _stage(session, made, (*(made.registry.file(name) for name in held if name != LOCK), IGNORE))
    if session.as_json:
        told = {"dry_run": dry_run, "root": str(made.root), "admin": certificate.fingerprint}
        output.write_json({**told, "committed": commit and not dry_run})
        return
    word = "would make" if dry_run else "made"
    output.tell(f"{word} {made.data.name!r} in {str(made.root)!r} with the admin {certificate.label}")
    if not dry_run:
        to_commit(session, (made.data.name, ".gitignore"), committed=commit)


def _first_admin(engine: Engine, who: str | None) -> Certificate:
    if who is not None:
        return engine.certificate(who)
    mine = engine.secret_keys()
    if len(mine) != 1:
        raise RecipientError(
            f"you have {len(mine)} secret keys, and one of them becomes the first admin",
            hint="strongroom blackbox initialize --admin KEY",
        )
    return mine[0]


def _own_engine(session: Session, home: str | None = None) -> Engine:
    """The engine with the user's keyring, or with the one of another GnuPG directory."""
    from strongroom.openpgp.discovery import find_engine

    engine = None if home else engine_of(session)
    if engine is None:
        engine = find_engine(environ={**os.environ, **({"GNUPGHOME": str(Path(home).absolute())} if home else {})})
        click.get_current_context().call_on_close(engine.close)
    return engine


@click.command(cls=VerbCommand, epilog=examples("strongroom blackbox addadmin FINGERPRINT"))
@click.argument("key")
@click.argument("home", required=False, metavar="[GNUPGHOME]")
@commit_option(usual=False)
@dry_run_option
@verb
def addadmin(session: Session, key: str, home: str | None, commit: bool, dry_run: bool) -> None:
    """List the admin of KEY, a fingerprint or an address that means one key in your keyring, and add the key.

    Files are sealed to the new admin by the next update-all-files, once the key is approved. For one who is listed
    already, what is new of the key (an expiry, a revocation, a subkey) comes into the tracked keyring.
    """
    from strongroom.blackbox.admins import matching
    from strongroom.keystore.people import label_of

    certificate = _own_engine(session, home).certificate(key)
    repository = repository_of(session)
    # the line is the word that was typed, as scripts expect it, where it is an address
    label = key if "@" in key and matching(key, [certificate]) else label_of(certificate)
    try:
        done = repository.add_admin(certificate, label=label, commit=commit, dry_run=dry_run)
    except ExistsError as error:
        known = {each.fingerprint for each in repository.admin_certificates()}
        if certificate.fingerprint not in known:
            raise
        output.tell(f"{error}: nothing was done")
        return
    if not (dry_run or done.committed):
        _stage(session, repository, done.changed)
    if session.as_json:
        output.write_json(
            {
                "dry_run": dry_run,
                "fingerprint": certificate.fingerprint,
                "label": label,
                "changed": list(done.changed),
                "committed": done.committed,
            }
        )
        return
    output.tell(f"{'would list' if dry_run else 'listed'} {label} ({certificate.fingerprint})")
    if dry_run:
        return
    to_commit(session, done.changed, committed=done.committed)
    output.tell("next, when the fingerprint was compared with its owner:")
    output.tell(f"  {_approving(repository)} {certificate.fingerprint}")
    output.tell("  strongroom blackbox update-all-files")


def _stage(session: Session, repository: Repository, names: Sequence[str]) -> None:
    """As the originals do for these verbs, so that the `git commit` of a script or a habit finds something."""
    try:
        repository.control().stage(names)
    except GitError as error:
        output.warn(f"done, and not staged: {error}", as_json=session.as_json)


def _approving(repository: Repository) -> str:
    from strongroom.keystore.approved import store_of

    return "strongroom admin approve" if store_of(repository.root) else "strongroom blackbox approve"


@click.command(cls=VerbCommand, epilog=examples("strongroom blackbox removeadmin bob@example.org"))
@click.argument("who")
@commit_option(usual=False)
@dry_run_option
@verb
def removeadmin(session: Session, who: str, commit: bool, dry_run: bool) -> None:
    """Take WHO, a line of the list, an address or a fingerprint, off the list and the key out of the keyring.

    Tells which secrets the key could read: they stay readable in every clone, and must be changed where they are used.
    """
    from strongroom.blackbox.approvals import Approvals
    from strongroom.keystore.approved import store_of

    repository = repository_of(session)
    done = repository.remove_admin(who, commit=commit, dry_run=dry_run)
    if not (dry_run or done.committed):
        _stage(session, repository, done.changed)
    if not dry_run:
        approvals = Approvals.load(repository)
        for fingerprint in done.fingerprints:
            if fingerprint in approvals.fingerprints:
                approvals = approvals.withdraw(fingerprint)
    store = store_of(repository.root)
    if store:
        output.warn(
            "the store's header is not changed, and its root stays readable to whom it names: strongroom admin remove "
            + " ".join(done.fingerprints),
            as_json=session.as_json,
        )
    _warn_of_a_cut(session, repository)
    if session.as_json:
        output.write_json(
            {
                "dry_run": dry_run,
                "listed": list(done.listed),
                "fingerprints": list(done.fingerprints),
                "exposed": _exposures(done.exposed),
                "changed": list(done.changed),
                "committed": done.committed,
            }
        )
        return
    output.tell(f"{'would remove' if dry_run else 'removed'} {', '.join(done.listed)}")
    if done.exposed:
        output.tell(f"{format_count(len(done.exposed), 'secret')} could be read, to be changed where used:")
        for each in done.exposed:
            output.tell(f"  {each.name}")
    if not dry_run:
        to_commit(session, done.changed, committed=done.committed)
        output.tell("next: strongroom blackbox update-all-files")
        for fingerprint in done.fingerprints if store else ():
            output.tell(f"then: strongroom admin remove {fingerprint}")


@click.command(cls=VerbCommand, epilog=examples("strongroom blackbox approve FINGERPRINT"))
@click.argument("fingerprints", nargs=-1, required=True)
@click.option("--withdraw", is_flag=True, help="These receive nothing more.")
@dry_run_option
@verb
def approve(session: Session, fingerprints: tuple[str, ...], withdraw: bool, dry_run: bool) -> None:
    """Say that the listed admins of FINGERPRINTS may receive; it is remembered outside the repository.

    Compare each fingerprint with its owner by another way than the repository first.
    """
    from strongroom.blackbox.approvals import Approvals, candidates
    from strongroom.keystore.approved import store_of
    from strongroom.keystore.people import parse_fingerprint

    repository = repository_of(session)
    approvals = Approvals.load(repository)
    if store_of(repository.root) and (approvals.yielded_to or not approvals.begun):
        raise PolicyError(
            "this repository has a store, and its header says who is approved",
            hint="strongroom admin approve FINGERPRINT",
        )
    wanted = [parse_fingerprint(text) for text in fingerprints]
    if withdraw:
        for fingerprint in wanted:
            approvals = approvals.withdraw(fingerprint, dry_run=dry_run)
    else:
        listed = {key.fingerprint: key for key in candidates(repository)}
        for fingerprint in wanted:
            if fingerprint not in listed:
                raise NotFoundError(
                    f"no listed admin has the fingerprint {fingerprint}", hint="strongroom blackbox expiry lists them"
                )
        approvals = approvals.approve(*(listed[fingerprint] for fingerprint in wanted), dry_run=dry_run)
    if session.as_json:
        output.write_json([{"fingerprint": each.fingerprint, "name": each.name} for each in approvals.admins])
        return
    for each in approvals.admins:
        output.tell(f"{'would be ' if dry_run else ''}approved: {each.fingerprint} {each.name}")
    for key in approvals.unapproved():
        output.tell(f"listed and not approved: {key.label}")


@click.command(cls=VerbCommand, epilog=examples("strongroom blackbox exposed carol@example.org"))
@click.argument("who")
@verb
def exposed(session: Session, who: str) -> None:
    """Show which secrets WHO can read, or could: those in git's history too, on every branch.

    WHO is a line of the list, an address or a fingerprint. One who left is found in the keyrings that git keeps, or in
    yours.
    """
    repository = repository_of(session)
    rows = repository.readable_by(*(repository.keys_of(who) or [_own_engine(session).certificate(who)]))
    _warn_of_a_cut(session, repository)
    if session.as_json:
        output.write_json(_exposures(rows))
        return
    output.write_table(
        ("NAME", "NOW", "VERSIONS", "FIRST"),
        ((row.name, "yes" if row.now else "no", row.versions, row.first[:12]) for row in rows),
        empty="no version of any secret",
    )


def _warn_of_a_cut(session: Session, repository: Repository) -> None:
    if not repository.is_whole():
        output.warn(
            "this clone is shallow: what older commits exposed is not told; 'git fetch --unshallow' brings them",
            as_json=session.as_json,
        )


def _exposures(rows: Sequence[Exposure]) -> list[dict[str, object]]:
    return [{"file": row.name, "now": row.now, "versions": row.versions, "first": row.first} for row in rows]
