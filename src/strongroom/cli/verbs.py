"""The table of verbs: where each lives and what it does, so that help needs to import none of them."""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """A command's name, its one-line help, and the module and attribute that hold it."""

    name: str
    help: str
    module: str
    attribute: str


SECTIONS: dict[str, tuple[Verb, ...]] = {
    "Start": (
        Verb("init", "Make a store here.", "init", "init"),
        Verb("doctor", "What this process can open, and if not, what helps.", "doctor", "doctor"),
        Verb("pin", "Print the pin that tells this store from a foreign one.", "trust", "pin"),
        Verb("completion", "Print the shell's completion script.", "completion", "completion"),
    ),
    "Keys": (
        Verb("create", "Make a keyset.", "keysets", "create"),
        Verb("ensure", "Make the keysets that strongroom.toml names and that are missing.", "keysets", "ensure"),
        Verb("import", "Take in a key or secret that exists already.", "keysets", "import_"),
        Verb("list", "List the keysets.", "keysets", "list_"),
        Verb("show", "Show a keyset and its versions.", "keysets", "show"),
    ),
    "Life of a key": (
        Verb("rotate", "Add a version and settle when it becomes primary.", "lifecycle", "rotate"),
        Verb("add", "Add a version that protects nothing yet.", "lifecycle", "add"),
        Verb("promote", "Make a version primary now.", "lifecycle", "promote"),
        Verb("suspend", "Stop a version for a while.", "lifecycle", "suspend"),
        Verb("resume", "Take a suspended version back into use.", "lifecycle", "resume"),
        Verb("compromise", "Mark a version compromised, and replace it.", "lifecycle", "compromise"),
    ),
    "Use": (
        Verb("encrypt", "Encrypt standard input.", "use", "encrypt"),
        Verb("decrypt", "Decrypt standard input.", "use", "decrypt"),
        Verb("reveal", "Print a secret.", "use", "reveal"),
        Verb("run", "Start a program with secrets in its environment.", "run", "run"),
    ),
    "People and machines": (
        Verb("admin", "List, add and approve those who can open the root.", "admin", "admin"),
        Verb("role", "Make role accounts, for machines.", "role", "role"),
        Verb("worker", "Groups of processes that read what was granted to them.", "worker", "worker"),
        Verb("publish", "Publish to worker groups what was granted to them.", "publish", "publish"),
        Verb("witness", "What this checkout remembers of the store.", "trust", "witness"),
        Verb("blackbox", "Read a BlackBox repository.", "blackbox", "blackbox"),
    ),
}

BLACKBOX_VERBS: dict[str, tuple[Verb, ...]] = {
    "Commands": (
        Verb("cat", "Print a file's plaintext.", "blackbox", "cat"),
        Verb("list-files", "List the registered files.", "blackbox", "list_files"),
        Verb("list-admins", "List the admins.", "blackbox", "list_admins"),
    ),
}
