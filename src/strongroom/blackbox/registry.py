"""The lists of one repository: which files are registered, who is listed, and what may become a secret at all."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from strongroom.blackbox import layout
from strongroom.blackbox.files import Tree
from strongroom.errors import NotFoundError, PathError

_GIT_FILES = {".gitignore", ".gitattributes", ".gitmodules"}


class Registry:
    """The lists in the data directory `data` of a tree, read afresh at each question."""

    def __init__(self, tree: Tree, data: str) -> None:
        self._tree = tree
        self._data = data

    def file(self, name: str) -> str:
        """The name, relative to the root, of a file in the data directory."""
        return f"{self._data}/{name}"

    def files(self) -> tuple[str, ...]:
        """The registered names, in the list's order."""
        return tuple(os.fsdecode(line) for line in self._lines(layout.FILES))

    def files_or_none(self) -> tuple[str, ...]:
        """As `files`; nothing where there is no list."""
        return self.files() if self._tree.exists(self.file(layout.FILES)) else ()

    def admins(self) -> tuple[bytes, ...]:
        """The lines of the list of admins; none where there is no list yet."""
        return self._lines(layout.ADMINS) if self._tree.exists(self.file(layout.ADMINS)) else ()

    def registered(self, name: str) -> str:
        """The registered name that `name` or, without its `.gpg`, `name` is. NotFoundError tells the nearest names."""
        plain = layout.parse_name(name)
        listed = self.files()
        for wanted in (plain, plain.removesuffix(".gpg")):
            if wanted in listed:
                return wanted
        from difflib import get_close_matches  # only a misspelt name pays for it

        near = get_close_matches(plain.removesuffix(".gpg"), listed, n=3)
        nearest = f"; the nearest: {', '.join(repr(other) for other in near)}" if near else ""
        raise NotFoundError(
            f"{plain!r} is not among the {len(listed)} registered files{nearest}", hint="strongroom blackbox list-files"
        )

    def writable(self, name: str, *, protected: Collection[Path]) -> str:
        """The name of a file that may be a secret, and whose ciphertext may be written. PathError for any other."""
        plain = layout.parse_name(name)
        if plain.endswith(".gpg"):
            raise PathError(
                f"{plain!r} ends in '.gpg', which is the name of a ciphertext",
                hint=f"name the plaintext: {plain.removesuffix('.gpg')}",
            )
        if self._is_data(plain) or plain.rpartition("/")[2].lower() in _GIT_FILES:
            raise PathError(f"{plain!r} belongs to BlackBox or git, and cannot be a secret")
        if self.is_protected(plain, protected):
            raise PathError(f"{plain!r} is protected: only its owner writes it")
        return plain

    def with_files(self, plains: Sequence[str]) -> dict[str, bytes]:
        """The contents of the list of files and of .gitignore with more registered files."""
        lines = self._lines(layout.FILES)
        return {
            self.file(layout.FILES): layout.format_files(lines, *(os.fsencode(plain) for plain in plains)),
            layout.IGNORE: layout.with_lines(self._ignored(), *(layout.ignore_line(plain) for plain in plains)),
        }

    def without_file(self, plain: str) -> dict[str, bytes]:
        """The contents of the list of files and, where it hid the file, of .gitignore with one registered file less."""
        files, ignored = self.file(layout.FILES), self._ignored()
        listed = self._tree.read(files, limit=layout.MAX_LIST)
        fewer = layout.without_line(ignored, layout.ignore_line(plain))
        return {files: layout.without_line(listed, os.fsencode(plain))} | (
            {} if fewer == ignored else {layout.IGNORE: fewer}
        )

    def is_protected(self, plain: str, protected: Collection[Path]) -> bool:
        """Whether a file or its ciphertext is one of the paths, or below one."""
        return any(self._guards(path, name) for path in protected for name in (plain, f"{plain}.gpg"))

    def empty(self) -> dict[str, bytes]:
        """The contents that `blackbox_initialize` makes, the list of admins apart."""
        return {
            self.file(layout.FILES): b"",
            self.file(layout.ATTRIBUTES): layout.with_lines(b"", *layout.ATTRIBUTE_LINES),
            layout.IGNORE: layout.with_lines(self._ignored(), *layout.data_ignore_lines(self._data)),
        }

    def _is_data(self, plain: str) -> bool:
        """Whether a name is in a data directory, of this environment or of another one."""
        top = plain.partition("/")[0].lower()
        own = (self._data, *layout.DATA_DIRECTORIES)
        return top.startswith(f"{layout.DATA_DIRECTORIES[0]}-") or any(_is_below(plain, data) for data in own)

    def _guards(self, path: Path, name: str) -> bool:
        """Whether a protected path is the file `name`, or a directory that it is in."""
        full = (self._tree.root / path).parent.resolve() / path.name
        return _is_below(str(self._tree.root / name), str(full))

    def _lines(self, name: str) -> tuple[bytes, ...]:
        full = self.file(name)
        return layout.parse_lines(self._tree.read(full, limit=layout.MAX_LIST), what=full)

    def _ignored(self) -> bytes:
        if not self._tree.exists(layout.IGNORE):
            return b""
        return self._tree.read(layout.IGNORE, limit=layout.MAX_LIST)


def _is_below(name: str, directory: str) -> bool:
    """Whether `name` is `directory` or below it; without regard to case, as some disks have it."""
    folded, above = name.lower(), directory.lower().rstrip("/")
    return folded == above or folded.startswith(f"{above}/")
