"""Every error that leaves Strongroom. Each carries facts and a hint that names a command; none carries material.

StrongroomError
├── SettingsError            a setting, variable or argument that cannot be used
│   └── InvalidNameError     a name that the name law does not allow
├── NotFoundError            no such store, keyset, version, file or admin
├── ExistsError              it is there already, and is not overwritten
├── FormatError              bytes that are not what they should be; found before any key is touched
│   └── NewerFormatError     written by a newer Strongroom
├── IntegrityError           well formed, but not authentic: a MAC, a commitment or a binding is wrong
│   └── PublicationError     a publication that a worker refuses; its `reason` says which check failed
├── DecryptionError          a ciphertext that does not open; never says why
├── SignatureError           a signature or MAC that does not verify; never says why
├── StateError               the state of the version forbids it
├── PurposeError             a keyset used for something that it was not made for
├── PolicyError              the keyset's policy, or the rules for keys, forbid it
├── CannotOpenError          this process cannot open the store
│   ├── SealError            no slot opens here
│   ├── PassphraseError      the passphrase is wrong or unusable
│   ├── IdentityError        the identity file is unusable
│   ├── EngineMissingError   no gpg here
│   ├── NoSecretKeyError     gpg has no secret key for it
│   ├── AgentError           gpg-agent or pinentry does not answer
│   └── ForeignStoreError    another store stands where ours should
├── OpenPGPError             gpg refused or failed, or the message is not one that we accept
│   └── RecipientError       a recipient that is expired, revoked, unknown or not approved
├── ExposedRootError         the root was, or may have been, readable by someone who was not approved
├── StaleError               the witness has seen a newer record
├── ConflictError            another writer was first
│   └── LockError            another writer holds the lock for too long
├── StoreError               the medium failed: full, read-only, no permission
│   └── UnsyncedError        it was written, but the disk does not promise to keep it
├── BlackBoxError            a BlackBox repository that cannot be used as it is
│   └── PathError            a path that leaves the repository, or goes through a link
├── GitError                 git refused or failed
├── ClosedError              used after close
├── NotPublishedError        no publication for this worker (yet)
├── NotGrantedError          the keyset was not granted to this worker
└── UnsupportedError         not on this platform, or not with what is installed
"""

from __future__ import annotations

from typing import Self


class StrongroomError(Exception):
    """The root of the tree. `hint` names a command or setting that helps; it may be empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def again(self) -> Self:
        """The same error, new: one that is kept and raised again would collect the frames of every caller."""
        return type(self)(str(self), hint=self.hint)


class SettingsError(StrongroomError):
    """A setting, variable or argument that cannot be used."""


class InvalidNameError(SettingsError):
    """A name that the name law does not allow."""


class NotFoundError(StrongroomError):
    """No such store, keyset, version, file or admin."""


class ExistsError(StrongroomError):
    """It is there already, and is not overwritten."""


class FormatError(StrongroomError):
    """Bytes that are not what they should be; found before any key is touched."""


class NewerFormatError(FormatError):
    """Written by a newer Strongroom than this one."""


class IntegrityError(StrongroomError):
    """Well formed, but not authentic: a MAC, a commitment or a binding is wrong."""


class PublicationError(IntegrityError):
    """A publication that is refused. `reason` is one word for the check that failed, to be counted by."""

    def __init__(self, message: str, *, reason: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason

    def again(self) -> Self:
        """The same error, new."""
        return type(self)(str(self), reason=self.reason, hint=self.hint)


class DecryptionError(StrongroomError):
    """A ciphertext that does not open. It never says why."""


class SignatureError(StrongroomError):
    """A signature or MAC that does not verify. It never says why."""


class StateError(StrongroomError):
    """The state of the version forbids it (SP 800-57 part 1 rev. 5, section 7)."""


class PurposeError(StrongroomError):
    """A keyset used for something that it was not made for (SP 800-57 part 1 rev. 5, section 5.2)."""


class PolicyError(StrongroomError):
    """The keyset's policy, or the rules for keys, forbid it."""


class CannotOpenError(StrongroomError):
    """This process cannot open the store."""


class SealError(CannotOpenError):
    """None of the store's slots opens in this process."""


class PassphraseError(CannotOpenError):
    """The passphrase is wrong, missing or unusable."""


class IdentityError(CannotOpenError):
    """The identity file is unusable: unreadable, readable by others, or of another kind."""


class EngineMissingError(CannotOpenError):
    """There is no OpenPGP engine here: gpg is not installed or not where it should be."""


class NoSecretKeyError(CannotOpenError):
    """The OpenPGP engine has no secret key for this message."""


class AgentError(CannotOpenError):
    """gpg-agent or its pinentry does not answer, or may not ask."""


class ForeignStoreError(CannotOpenError):
    """Another store, or another root, stands where the pinned or witnessed one should."""


class OpenPGPError(StrongroomError):
    """gpg refused or failed, or the message is not one that we accept."""


class RecipientError(OpenPGPError):
    """A recipient that is expired, revoked, ambiguous, unknown or not approved."""


class ExposedRootError(StrongroomError):
    """The root was, or may have been, readable by someone who was not approved."""


class StaleError(StrongroomError):
    """The witness has seen a newer record than the one that is here."""


class ConflictError(StrongroomError):
    """Another writer was first; nothing was written."""


class LockError(ConflictError):
    """Another writer holds the lock for too long."""


class StoreError(StrongroomError):
    """The medium failed: full, read-only, no permission. The old state stands."""


class UnsyncedError(StoreError):
    """The new state stands, and a power cut may take it back: what goes with it must not be thrown away."""


class BlackBoxError(StrongroomError):
    """A BlackBox repository that cannot be used as it is."""


class PathError(BlackBoxError):
    """A path that leaves the repository, goes through a link, or is not a regular file."""


class GitError(StrongroomError):
    """git refused or failed."""


class ClosedError(StrongroomError):
    """Used after it was closed."""


class NotPublishedError(StrongroomError):
    """There is no publication for this worker (yet)."""


class NotGrantedError(StrongroomError):
    """The keyset was not granted to this worker."""


class UnsupportedError(StrongroomError):
    """Not on this platform, or not with what is installed."""
