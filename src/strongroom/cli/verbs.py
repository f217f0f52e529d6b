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
        Verb("deactivate", "Let a version read, and protect no more.", "lifecycle", "deactivate"),
        Verb("compromise", "Mark a version compromised, and replace it.", "lifecycle", "compromise"),
        Verb("due", "What is to be rotated, re-encrypted or destroyed, and by when.", "ending_keys", "due"),
        Verb("destroy", "Schedule the end of a version, spare it, or carry it out.", "ending_keys", "destroy"),
        Verb("policy", "Show or change what a keyset's policy says.", "policy", "policy"),
    ),
    "Use": (
        Verb("encrypt", "Encrypt standard input.", "use", "encrypt"),
        Verb("decrypt", "Decrypt standard input.", "use", "decrypt"),
        Verb("reveal", "Print a secret.", "use", "reveal"),
        Verb("jwks", "Print the public keys that verify a keyset's tokens.", "jwks", "jwks"),
        Verb("run", "Start a program with secrets in its environment.", "run", "run"),
    ),
    "People and machines": (
        Verb("admin", "Those who can open the root: list, add, approve, remove.", "admin", "admin"),
        Verb("slot", "The ways to open the root.", "slot", "slot"),
        Verb("exposed", "What somebody could read who should not any more.", "exposed", "exposed"),
        Verb("root", "Replace the root key, and forget old ones.", "root", "root"),
        Verb("role", "Make role accounts, for machines.", "role", "role"),
        Verb("worker", "Groups of processes that read what was granted to them.", "worker", "worker"),
        Verb("publish", "Publish to worker groups what was granted to them.", "publish", "publish"),
        Verb("witness", "What this checkout remembers of the store.", "trust", "witness"),
        Verb("recovery", "Shares that open the store together.", "recovery", "recovery"),
        Verb("backup", "The whole store in one sealed file.", "backup", "backup"),
        Verb("checkpoint", "What the store was, to be held against it.", "checkpoint", "checkpoint"),
        Verb("git-setup", "Let git merge two branches' keysets.", "merging", "git_setup"),
        Verb("git-merge", "For git merge: unite a file's versions.", "merging", "git_merge"),
        Verb("adopt", "Take over what a branch from before a rotation of the root brought.", "merging", "adopt"),
        Verb("blackbox", "Work on a BlackBox repository.", "blackbox", "blackbox"),
    ),
}

BLACKBOX_VERBS: dict[str, tuple[Verb, ...]] = {
    "Files": (
        Verb("cat", "Print a file's plaintext.", "blackbox", "cat"),
        Verb("view", "Show a file's plaintext in a pager.", "blackbox_files", "view"),
        Verb("edit", "Edit a file in a private place.", "blackbox_files", "edit"),
        Verb("edit-start", "Write a file's plaintext beside it.", "blackbox_files", "edit_start"),
        Verb("edit-end", "Seal a file's plaintext and remove it.", "blackbox_files", "edit_end"),
        Verb("decrypt-file", "Write a file's plaintext beside it.", "blackbox_files", "edit_start"),
        Verb("diff", "Show what differs from what is sealed.", "blackbox_files", "diff"),
        Verb("whatsnew", "Show what the last commit changed.", "blackbox_files", "whatsnew"),
        Verb("register-new-file", "Make files secrets.", "blackbox_files", "register_new_file"),
        Verb("deregister-file", "Let a file be a secret no longer.", "blackbox_files", "deregister_file"),
    ),
    "All files": (
        Verb("list-files", "List the registered files.", "blackbox", "list_files"),
        Verb("status", "How each file stands.", "blackbox_all", "status"),
        Verb("postdeploy", "Write every file's plaintext.", "blackbox_all", "postdeploy"),
        Verb("decrypt-all-files", "Write every file's plaintext.", "blackbox_all", "postdeploy"),
        Verb("shred-all-files", "Remove every file's plaintext.", "blackbox_all", "shred_all_files"),
        Verb("update-all-files", "Encrypt every file to the admins of now.", "blackbox_all", "update_all_files"),
    ),
    "Admins": (
        Verb("initialize", "Make a BlackBox repository.", "blackbox_admins", "initialize"),
        Verb("list-admins", "List the admins.", "blackbox", "list_admins"),
        Verb("addadmin", "List one more admin.", "blackbox_admins", "addadmin"),
        Verb("removeadmin", "Take an admin off the list.", "blackbox_admins", "removeadmin"),
        Verb("approve", "Say who may receive.", "blackbox_admins", "approve"),
        Verb("expiry", "The admins' keys, and how long they last.", "blackbox_all", "expiry"),
        Verb("exposed", "Which secrets somebody could read.", "blackbox_admins", "exposed"),
    ),
    "Around it": (
        Verb("git-setup", "Let git diff and merge secrets decrypted.", "blackbox_git", "git_setup"),
        Verb("git-textconv", "For git diff: print a file decrypted.", "blackbox_git", "git_textconv"),
        Verb("git-merge", "For git merge: merge a file's versions.", "blackbox_git", "git_merge"),
        Verb("install-shims", "Write programs of the old names.", "blackbox_git", "install_shims"),
    ),
}
