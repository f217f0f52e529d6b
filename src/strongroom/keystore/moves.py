"""The moves as the application makes them: each takes words, makes one change in the sealed store, or none."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Unpack, overload

from strongroom.keystore import declared, importing
from strongroom.keystore.lifecycle import Lifecycle
from strongroom.keystore.words import PolicyWords, parse_policy, parse_purpose, parse_type
from strongroom.model.keyset import Keyset
from strongroom.model.policy import Policy
from strongroom.model.types import KeyType, Prefix, Purpose
from strongroom.primitives.secret import SecretBytes


class Moves(ABC):
    """Creating and changing keysets: what a KeyStore offers beside handles.

    Nothing is created on use, so these are the only ways in. Every method returns the keyset as it was written, and
    raises what Lifecycle raises: NotFoundError, ExistsError, StateError, PolicyError, ConflictError, StaleError,
    ExposedRootError, StoreError; then nothing has changed.
    """

    base: Path | None

    @property
    @abstractmethod
    def _life(self) -> Lifecycle:
        """The moves of the sealed store underneath."""

    @abstractmethod
    def _moved(self, keyset: Keyset) -> Keyset:
        """Have handles that are held look again."""

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The names of all keysets."""

    @abstractmethod
    def show(self, name: str) -> Keyset:
        """One keyset, verified."""

    def create(
        self,
        name: str,
        kind: str | KeyType,
        *,
        purpose: str | Purpose | None = None,
        labels: Mapping[str, str] | None = None,
        **policy: Unpack[PolicyWords],
    ) -> Keyset:
        """A new keyset with one version, primary at once.

        kind: fernet, aes256-gcm, hmac-sha256, ed25519, rsa-3072, secret, …; purpose: sign or encrypt, for RSA only;
        policy: rotate_every="90d" and the other words of PolicyWords. Raises ExistsError, InvalidNameError,
        PurposeError, SettingsError.
        """
        keyset = self._life.create(
            name,
            parse_type(kind),
            purpose=parse_purpose(purpose),
            policy=parse_policy(policy, Policy()),
            labels=labels or {},
        )
        return self._moved(keyset)

    def import_key(
        self,
        name: str,
        raw: bytes | SecretBytes,
        kind: str | KeyType | None = None,
        *,
        purpose: str | Purpose | None = None,
        labels: Mapping[str, str] | None = None,
        passphrase: SecretBytes | None = None,
        prefix: str | Prefix | None = None,
        add: bool = False,
        **policy: Unpack[PolicyWords],
    ) -> Keyset:
        """A new keyset from material that exists already, or, with `add`, a new version of one that is there.

        raw: PEM, DER PKCS#8, raw or base64 text, or any bytes for a `secret`; private keys are validated in full.
        prefix: "none" where the key's outputs elsewhere carry no Tink prefix. Raises FormatError, PolicyError.
        """
        given = _held(raw)
        del raw  # this frame may be shown when it is refused
        marked = Prefix(prefix) if isinstance(prefix, str) else prefix
        if add:
            old = self.show(name)
            checked = importing.checked(given, old.type, passphrase=passphrase)
            return self._moved(self._life.add(name, given=checked.material, prefix=marked))
        checked = importing.checked(given, None if kind is None else parse_type(kind), passphrase=passphrase)
        keyset = self._life.create(
            name,
            checked.kind,
            purpose=parse_purpose(purpose),
            policy=parse_policy(policy, Policy()),
            labels=labels or {},
            given=checked.material,
            prefix=marked,
        )
        return self._moved(keyset)

    def ensure(self, path: Path | None = None) -> tuple[Keyset, ...]:
        """Create every keyset that strongroom.toml names and that is missing; returns those created.

        path: the file; by default the strongroom.toml beside the store. Running it again creates nothing.
        """
        wanted = declared.read(path if path is not None else declared.default_path(self.base))
        present = set(self.names())
        for keyset in wanted:
            if keyset.name in present:
                declared.compare(keyset, self.show(keyset.name))
        return tuple(
            self.create(
                keyset.name,
                keyset.kind,
                purpose=keyset.purpose,
                labels=keyset.labels,
                **keyset.words,
            )
            for keyset in wanted
            if keyset.name not in present
        )

    def set_policy(self, name: str, **words: Unpack[PolicyWords]) -> Keyset:
        """Change what a keyset's policy says: originator="730d", max_messages=1_000_000, allow="process", …

        What is not named stays; "none" takes it back. Handles follow within the recheck time, workers once it is
        published. Raises SettingsError, and PolicyError for `exportable` that was not.
        """
        return self._moved(self._life.set_policy(name, lambda old: parse_policy(words, old)))

    def set_labels(self, name: str, labels: Mapping[str, str | None]) -> Keyset:
        """Change these labels and leave the others; None takes one away. `owner` is the one that `due` shows."""
        return self._moved(self._life.set_labels(name, labels))

    def rotate(
        self, name: str, *, now: bool = False, value: bytes | SecretBytes | None = None, generate: bool = False
    ) -> Keyset:
        """Add a version that becomes primary after the keyset's propagation, or at once with `now`.

        value: the new value of a `secret` (generate: let us make one). Old tokens go on opening.
        """
        value = _held(value)
        given = self._given(name, value)
        return self._moved(self._life.rotate(name, now=now, given=given, generate=generate))

    def add(self, name: str, *, value: bytes | SecretBytes | None = None) -> Keyset:
        """Add a version in pre-activation: it processes everywhere, and protects once it is promoted."""
        value = _held(value)
        return self._moved(self._life.add(name, given=self._given(name, value)))

    def promote(self, name: str, version: int, *, reason: str | None = None) -> Keyset:
        """Make a version primary now. Without a reason the former one stays."""
        return self._moved(self._life.promote(name, version, reason=reason))

    def suspend(self, name: str, version: int, *, reason: str) -> Keyset:
        """Stop a version from doing anything until it is resumed."""
        return self._moved(self._life.suspend(name, version, reason=reason))

    def resume(self, name: str, version: int, *, reason: str | None = None) -> Keyset:
        """Take a suspended version back into use. Without a reason the one of its suspension stays."""
        return self._moved(self._life.resume(name, version, reason=reason))

    def deactivate(self, name: str, version: int, *, reason: str) -> Keyset:
        """Let a former primary decrypt and verify only."""
        return self._moved(self._life.deactivate(name, version, reason=reason))

    def compromise(
        self,
        name: str,
        version: int,
        *,
        reason: str,
        value: bytes | SecretBytes | None = None,
        generate: bool = False,
    ) -> Keyset:
        """Mark a version compromised; if it was the primary, a new one takes its place at once."""
        value = _held(value)
        given = self._given(name, value)
        return self._moved(self._life.compromise(name, version, reason=reason, given=given, generate=generate))

    def doom(self, name: str, version: int | None, *, wait_s: int, reason: str) -> Keyset:
        """Schedule the destruction of a version, or with None of all; strongroom.keystore.destruction asks who uses it.

        PolicyError unless `wait_s` is 7 to 30 days.
        """
        return self._moved(self._life.doom(name, version, wait_s=wait_s, reason=reason))

    def spare(self, name: str, version: int | None, *, reason: str | None = None) -> Keyset:
        """Cancel a scheduled destruction, or with None all of the keyset. A version stays in the state that it has."""
        return self._moved(self._life.spare(name, version, reason=reason))

    def destroy(self, name: str, versions: Collection[int]) -> Keyset:
        """Destroy versions whose scheduled day has come: their material is gone from the store, a tombstone stays."""
        return self._moved(self._life.destroy(name, versions))

    def _given(self, name: str, value: SecretBytes | None) -> SecretBytes | None:
        return None if value is None else importing.checked(value, self.show(name).type).material


@overload
def _held(value: bytes | SecretBytes) -> SecretBytes: ...


@overload
def _held(value: bytes | SecretBytes | None) -> SecretBytes | None: ...


def _held(value: bytes | SecretBytes | None) -> SecretBytes | None:
    """Whatever is given becomes a secret first: the frames of a call that fails show their locals."""
    return value if value is None or isinstance(value, SecretBytes) else SecretBytes(value)
