"""What git's merge driver does: of three copies of one file of a store it makes the merged one, or says why it cannot.

git runs it in the middle of a merge, when the work tree still has our side. A branch may have rotated the root, so that
only its own header opens its records: every root that a copy names is looked for in the headers of the commits at hand,
and counts only if it leads to the newest one, which must be ours by pin or witness.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from strongroom._clock import SYSTEM_CLOCK, Clock
from strongroom.blackbox.git import Git
from strongroom.errors import (
    FormatError,
    GitError,
    IntegrityError,
    NewerFormatError,
    NotFoundError,
    SettingsError,
    StoreError,
    StrongroomError,
)
from strongroom.keystore import acts
from strongroom.keystore.credentials import Engines, Given, credentials
from strongroom.keystore.environment import Environment
from strongroom.keystore.finding import HEADER
from strongroom.keystore.settings import StoreSettings
from strongroom.model.codec import MAX_RECORD, decode
from strongroom.model.names import RootId, parse_name
from strongroom.sealing.credentials import Credential, ReadAttachment
from strongroom.sealing.header import Header
from strongroom.sealing.header_codec import MAX_HEADER, UnverifiedHeader, decode_header
from strongroom.sealing.root import Root
from strongroom.sealing.unsealing import unseal
from strongroom.stores.descending import KEYSETS
from strongroom.stores.directory import DirectoryStore
from strongroom.stores.listing import ENDING
from strongroom.stores.merging import Lineage, MergedFile, merge_group, merge_header, merge_record
from strongroom.stores.pins import check_origin
from strongroom.stores.witness import open_witness
from strongroom.stores.workers_codec import MAX_GROUP, check_group, decode_group
from strongroom.stores.workers_records import WORKERS

MAX_HEADERS = 64
"""Different headers that are looked at: one for each state of the roots among all branches."""

_POINTERS = ("HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REBASE_HEAD", "REVERT_HEAD", "ORIG_HEAD")


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeFiles:
    """The three copies, as git hands them over: paths of temporary files. `ours` gets the result."""

    base: Path
    ours: Path
    theirs: Path


def merge_file(
    files: MergeFiles,
    path: str,
    *,
    given: Given | None = None,
    pin: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
    environ: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Merge the file at `path`, which is relative to the work tree we stand in; what a person should know of it.

    Raises ConflictError where no rule unites the copies, and what opening a store raises; then nothing was written.
    """
    environ = Environment.of(environ)
    copies = _Copies(path, *(_bytes(each) for each in (files.base, files.ours, files.theirs)))
    top = Path.cwd()
    engines = Engines()
    try:
        offered, _ = credentials(given or Given(), engines, environ)
        search = _Search(top, copies.directory, offered, environ)
        header, root = search.opened_for(copies.roots())
        settings = StoreSettings(pin=pin).over(StoreSettings.from_environment(environ))
        witness = open_witness(header.store, top / copies.directory, setting=settings.witness, environ=environ)
        # nothing is learned: the merge may yet be given up
        notices = check_origin(header, root, pin=settings.pin, witness=witness, strict=settings.strict, learn=False)
        merged = copies.merged(Lineage(header, root), clock)
    finally:
        engines.close()
    _write(files.ours, merged.raw)
    acts.record("merged", file=path, notes=len(merged.notes))
    return (*notices, *merged.notes)


class _Copies:
    """Three copies of one file of a store, by what kind of file it is."""

    def __init__(self, path: str, base: bytes, ours: bytes, theirs: bytes) -> None:
        self.base, self.ours, self.theirs = base, ours, theirs
        directory, self.kind, self.name = _place(path)
        self.directory = directory

    def roots(self) -> frozenset[RootId]:
        """The roots that ours and theirs are under. FormatError where one is no file of a store."""
        return frozenset({self._root_on("our", self.ours), self._root_on("the other", self.theirs)})

    def _root_on(self, side: str, raw: bytes) -> RootId:
        try:
            return self._root(raw)
        except NewerFormatError:
            raise
        except FormatError as error:
            raise FormatError(
                f"on {side} side {error}",
                hint="git merge --abort (or git rebase --abort), mend the file on that branch, and do it again",
            ) from None

    def _root(self, raw: bytes) -> RootId:
        if self.kind == KEYSETS:
            return decode(raw, name=parse_name(self.name, reserved=True)).root
        if self.kind == WORKERS:
            return decode_group(raw, name=check_group(self.name)).root
        return decode_header(raw).claims.newest.id

    def merged(self, roots: Lineage, clock: Clock) -> MergedFile:
        if self.kind == KEYSETS:
            name = parse_name(self.name, reserved=True)
            return merge_record(name, self.base, self.ours, self.theirs, roots=roots, now=clock.now())
        if self.kind == WORKERS:
            return merge_group(self.name, self.base, self.ours, self.theirs, roots=roots)
        return merge_header(self.base, self.ours, self.theirs, roots=roots)


class _Search:
    """Headers of one store: the work tree's, then those of the commits that a merge can be about."""

    def __init__(self, top: Path, directory: str, offered: tuple[Credential, ...], environ: Mapping[str, str]) -> None:
        self._directory = directory
        self._store = DirectoryStore(top / directory)
        self._git = Git(root=top, top=top, environ=environ)
        self._environ = environ
        self._offered = offered
        self._known: dict[RootId, tuple[Header, Root]] = {}
        self._troubles: list[StrongroomError] = []

    def opened_for(self, wanted: frozenset[RootId]) -> tuple[Header, Root]:
        """The header of the newest root, from which every wanted root is reached. It opens no more than that takes."""
        for raw, read in self._headers():
            self._open(raw, read)
            if self._known:
                newest, root = max(self._known.values(), key=lambda each: each[1].number)
                roots = Lineage(newest, root)
                if all(each in roots for each in (*wanted, *self._known)):
                    return newest, root
        if self._known and not self._troubles:
            raise IntegrityError(
                "the branches are under roots that do not lead to one another: both rotated it, or one is foreign",
                hint="git log --all -- '*store.json' tells who rotated it",
            )
        raise (
            self._troubles[0]
            if self._troubles
            else NotFoundError(f"no commit at hand has a header in {self._directory!r}", hint="git status")
        )

    def _open(self, raw: bytes, read: ReadAttachment) -> None:
        try:
            unverified = decode_header(raw)
            if unverified.claims.newest.id not in self._known and not self._reached(unverified):
                opened = unseal(unverified, read, self._offered)
                self._known[opened.root.id] = (opened.header, opened.root)
        except StrongroomError as trouble:
            self._troubles.append(trouble)

    def _reached(self, unverified: UnverifiedHeader) -> bool:
        """Whether a header that was opened leads to this one's root: then it says nothing new."""
        return any(
            older.id == unverified.claims.newest.id for header, _ in self._known.values() for older in header.roots
        )

    def _headers(self) -> Iterator[tuple[bytes, ReadAttachment]]:
        seen: set[bytes] = set()
        for raw, read in chain(self._of_work_tree(), self._of_commits()):  # git is asked only if it must be
            if raw not in seen:
                seen.add(raw)
                yield raw, read

    def _of_work_tree(self) -> Iterator[tuple[bytes, ReadAttachment]]:
        try:
            yield self._store.header(), self._store.attachment
        except (NotFoundError, StoreError, FormatError):
            return  # the branches have theirs

    def _of_commits(self) -> Iterator[tuple[bytes, ReadAttachment]]:
        blobs: dict[bytes, str] = {}
        heads = self._heads()
        place = f"{self._directory}/{HEADER}" if self._directory else HEADER
        asked = "".join(f"{head}:{place}\n" for head in heads).encode()
        answers = self._git.run("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked).splitlines()
        for head, answer in zip(heads, answers, strict=True):
            blob, _, kind = answer.partition(b" ")
            if kind == b"blob":
                blobs.setdefault(blob, head)
        for blob, head in list(blobs.items())[:MAX_HEADERS]:
            yield self._git.run("cat-file", "blob", blob.decode()), self._attachments(head)

    def _heads(self) -> list[str]:
        """Commits, the likeliest first. While git merges, GITHEAD_… in its environment names the other branch's."""
        merging = [name.removeprefix("GITHEAD_") for name in self._environ if name.startswith("GITHEAD_")]
        heads = [name for name in merging if len(name) in {40, 64} and set(name) <= set("0123456789abcdef")]
        for pointer in _POINTERS:
            heads += self._git.run("rev-parse", "--verify", "--quiet", pointer, fine=(0, 1)).decode().split()
        heads += self._git.run("for-each-ref", "--format=%(objectname)").decode().split()
        return list(dict.fromkeys(heads))

    def _attachments(self, head: str) -> Callable[[str], bytes]:
        def read(name: str) -> bytes:
            place = f"{self._directory}/{name}" if self._directory else name
            try:
                return self._git.run("cat-file", "blob", f"{head}:{place}")
            except GitError:
                raise NotFoundError(f"commit {head[:12]} has no {place!r}") from None

        return read


def _place(path: str) -> tuple[str, str, str]:
    """The store's directory in the work tree, which kind of file of it this is, and whose."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise SettingsError(f"{path[:200]!r} is not a path in this work tree", hint="git runs this command, in a merge")
    if parts[-1] == HEADER and not {KEYSETS, WORKERS} & set(parts[:-1]):
        return "/".join(parts[:-1]), HEADER, ""
    for at, part in enumerate(parts[:-1]):
        if part in {KEYSETS, WORKERS} and parts[-1].endswith(ENDING):
            return "/".join(parts[:at]), part, "/".join(parts[at + 1 :]).removesuffix(ENDING)
    raise SettingsError(f"{path[:200]!r} is no file of a store", hint="git runs this command, in a merge")


def _bytes(path: Path) -> bytes:
    limit = max(MAX_RECORD, MAX_GROUP, MAX_HEADER)
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except OSError as error:
        raise StoreError(f"cannot read {str(path)!r}: {error.strerror}") from None
    if len(raw) > limit:
        raise FormatError(f"{str(path)!r} has more than {limit} bytes, which no file of a store has")
    return raw


def _write(path: Path, raw: bytes) -> None:
    """Into git's own temporary file, by a rename: a writer that is killed leaves our side's copy as it was."""
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(f"cannot write {str(path)!r}: {error.strerror}; nothing was merged") from None
