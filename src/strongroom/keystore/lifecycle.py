"""The moves of a keyset's life: each reads the record, makes one new keyset of it and writes that, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from strongroom._clock import Clock
from strongroom._encoding import Timestamp
from strongroom.caching.issuing import ISSUER
from strongroom.errors import ExistsError, PolicyError
from strongroom.keystore import acts
from strongroom.keystore.making import Maker
from strongroom.model import dooming
from strongroom.model.keyset import Keyset
from strongroom.model.names import KeysetName, Revision, format_key_id, is_reserved, parse_name
from strongroom.model.policy import Policy
from strongroom.model.types import KeyType, Prefix, Purpose, resolve_prefix, resolve_purpose
from strongroom.model.version import Version
from strongroom.primitives import material as materials
from strongroom.primitives.secret import SecretBytes
from strongroom.stores.sealed import SealedStore

_OF_THE_ISSUER = frozenset({"rotated", "compromised", "destruction-cancelled"})
_OF_THE_STORES_OWN = frozenset({"destruction-cancelled"})
"""What may be done to the keysets that the store keeps for itself: their versions are more than keys to it."""


class Lifecycle:
    """Creates and changes the keysets of one sealed store.

    Every method returns the keyset as it was written. Errors: NotFoundError (no such keyset or version), ExistsError,
    StateError (the move is not lawful, SP 800-57 part 1 rev. 5 section 7), PolicyError, ConflictError (another writer
    was first: nothing was written, try again), StaleError, ExposedRootError, StoreError.
    """

    __slots__ = ("_clock", "_maker", "_store")

    def __init__(self, store: SealedStore, *, clock: Clock, maker: Maker) -> None:
        self._store = store
        self._clock = clock
        self._maker = maker

    def create(
        self,
        name: str,
        kind: KeyType,
        *,
        purpose: Purpose | None,
        policy: Policy,
        labels: Mapping[str, str],
        given: SecretBytes | None = None,
        prefix: Prefix | None = None,
    ) -> Keyset:
        """A new keyset whose first version is primary at once: nobody can hold a token of it yet."""
        parsed = parse_name(name)
        settled = resolve_purpose(kind, purpose)
        now = self._clock.now()
        version = self._version(parsed, kind, settled, number=1, taken=(), now=now, given=given, prefix=prefix)
        keyset = Keyset.created(parsed, version, type=kind, purpose=settled, policy=policy, labels=labels, now=now)
        try:
            self._store.create(keyset)
        except ExistsError:
            raise ExistsError(f"there is a keyset {name!r} already", hint=f"strongroom show {name}") from None
        acts.record("created", keyset=name, type=kind.value, key_id=format_key_id(version.key_id))
        return keyset

    def add(self, name: str, *, given: SecretBytes | None = None, prefix: Prefix | None = None) -> Keyset:
        """A new version in pre-activation: readable everywhere once it has travelled, protecting nothing yet."""
        return self._change(name, "added", lambda old, now: old.add(self._next(old, now, given, prefix)))

    def rotate(
        self, name: str, *, now: bool = False, given: SecretBytes | None = None, generate: bool = False
    ) -> Keyset:
        """Add a version and settle when it becomes primary: after the keyset's propagation, or at once with `now`.

        A `secret` is rotated to what is given, or to generated text where `generate` says so: a random database
        password that nobody told the database would only stop the site.
        """

        def move(old: Keyset, at: Timestamp) -> Keyset:
            if old.type is KeyType.SECRET and given is None and not generate:
                raise PolicyError(
                    f"the secret {name!r} is rotated to a value that you give, or to generated text if you say so",
                    hint=f"strongroom rotate {name} --value-file FILE, or strongroom rotate {name} --generate",
                )
            version = self._next(old, at, given, None)
            if now:
                return old.replacement(version, now=at)
            return old.rotation(version, now=at, propagation_s=self._propagation(old))

        return self._change(name, "rotated", move)

    def promote(self, name: str, number: int, *, reason: str | None = None) -> Keyset:
        """Make a version primary at once; the former primary stays active."""
        return self._change(
            name, "promoted", lambda old, now: old.promote(number, now=now, reason=reason), version=number
        )

    def suspend(self, name: str, number: int, *, reason: str) -> Keyset:
        """Stop a version from doing anything, for a while."""
        return self._change(
            name, "suspended", lambda old, now: old.suspend(number, now=now, reason=reason), version=number
        )

    def resume(self, name: str, number: int, *, reason: str | None = None) -> Keyset:
        """Take a suspended version back into use."""
        return self._change(
            name, "resumed", lambda old, now: old.resume(number, now=now, reason=reason), version=number
        )

    def deactivate(self, name: str, number: int, *, reason: str) -> Keyset:
        """From now on the version only decrypts and verifies. The primary cannot be deactivated."""
        return self._change(
            name, "deactivated", lambda old, now: old.deactivate(number, now=now, reason=reason), version=number
        )

    def set_policy(self, name: str, change: Callable[[Policy], Policy]) -> Keyset:
        """Write another policy; what is the same already is not written again."""
        _check_yours(name, "policy-changed")
        old = self._store.load(name).keyset
        if change(old.policy) == old.policy:
            return old
        return self._change(name, "policy-changed", lambda held, now: held.with_policy(change(held.policy)))

    def set_labels(self, name: str, labels: Mapping[str, str | None]) -> Keyset:
        """Change these labels; None takes one away."""
        _check_yours(name, "labels-changed")

        def changed(old: Mapping[str, str]) -> dict[str, str]:
            return {key: text for key, text in {**old, **labels}.items() if text is not None}

        old = self._store.load(name).keyset
        if changed(old.labels) == dict(old.labels):
            return old
        return self._change(name, "labels-changed", lambda held, now: held.with_labels(changed(held.labels)))

    def doom(self, name: str, number: int | None, *, wait_s: int, reason: str) -> Keyset:
        """Schedule the destruction of a version; None: of every version, which stops the keyset at once."""

        def move(old: Keyset, now: Timestamp) -> Keyset:
            if number is None:
                return dooming.doomed_whole(old, now=now, wait_s=wait_s, reason=reason)
            return dooming.doomed(old, number, now=now, wait_s=wait_s, reason=reason)

        return self._change(name, "destruction-scheduled", move, version=number or "all", wait_s=wait_s)

    def spare(self, name: str, number: int | None, *, reason: str | None = None) -> Keyset:
        """Cancel a scheduled destruction, or with None all of them."""

        def move(old: Keyset, now: Timestamp) -> Keyset:
            if number is None:
                return dooming.spared_whole(old, now=now, reason=reason)
            return dooming.spared(old, number, now=now, reason=reason)

        return self._change(name, "destruction-cancelled", move, version="all" if number is None else number)

    def destroy(self, name: str, numbers: Collection[int]) -> Keyset:
        """Destroy versions whose time has come, in one write. PolicyError for any other."""

        def move(old: Keyset, now: Timestamp) -> Keyset:
            early = sorted(set(numbers) - set(dooming.expired(old, now)))
            if early:
                raise PolicyError(
                    f"version {early[0]} of {name!r} is not to be destroyed now",
                    hint=f"strongroom destroy {name} {early[0]} --reason TEXT schedules it",
                )
            # the primary, where the whole keyset goes, comes last: it may go only when no other is to stay
            for number in sorted(numbers, key=lambda each: old.version(each) is old.primary_at(now)):
                old = old.destroy(number, now=now)
            return old

        return self._change(name, "destroyed", move, versions=",".join(map(str, sorted(numbers))))

    def compromise(
        self, name: str, number: int, *, reason: str, given: SecretBytes | None = None, generate: bool = False
    ) -> Keyset:
        """Mark a version compromised. If it protects now, a new version takes its place in the same write."""

        def move(old: Keyset, now: Timestamp) -> Keyset:
            primary = old.primary_at(now)
            replaced = primary is not None and primary.number == number
            new = old.compromise(number, now=now, reason=reason)
            if not replaced:
                return new
            if old.type is KeyType.SECRET and given is None and not generate:
                raise PolicyError(
                    f"version {number} of the secret {name!r} is in use; its successor's value must be given",
                    hint=f"strongroom compromise {name} {number} --value-file FILE, or --generate",
                )
            version = self._next(new, now, given, None)
            return new.replacement(version, now=now)

        return self._change(name, "compromised", move, version=number)

    def _change(self, name: str, event: str, move: Callable[[Keyset, Timestamp], Keyset], **facts: object) -> Keyset:
        _check_yours(name, event)
        opened = self._store.load(name)
        if opened.hindrance is not None:
            raise opened.hindrance.again()
        old = opened.keyset
        # one record, one revision, however many steps the move is made of
        new = move(old, self._clock.now()).as_revision(Revision(old.revision + 1))
        self._store.replace(new, replaces=old.revision)
        acts.record(event, keyset=name, revision=new.revision, **facts)
        return new

    def _next(self, old: Keyset, now: Timestamp, given: SecretBytes | None, prefix: Prefix | None) -> Version:
        return self._version(
            old.name,
            old.type,
            old.purpose,
            number=old.next_number,
            taken=old.key_ids,
            now=now,
            given=given,
            prefix=prefix,
        )

    def _version(
        self,
        name: KeysetName,
        kind: KeyType,
        purpose: Purpose,
        *,
        number: int,
        taken: Collection[int],
        now: Timestamp,
        given: SecretBytes | None,
        prefix: Prefix | None,
    ) -> Version:
        held = given if given is not None else self._maker.material(kind, name, number)
        key_id = self._maker.key_id(name, number, taken=taken)
        return Version.added(
            number,
            key_id,
            sealed=self._store.seal(held, name=name, key_id=key_id, type=kind, purpose=purpose),
            public=materials.public_of(kind.value, held),
            prefix=resolve_prefix(kind, purpose) if prefix is None else prefix,
            now=now,
        )

    def _propagation(self, keyset: Keyset) -> int:
        if keyset.policy.propagation is not None:
            return keyset.policy.propagation
        return self._store.propagation


def _check_yours(name: str, event: str) -> None:
    """PolicyError for a move by hand of what the store keeps for itself."""
    if is_reserved(name) and event not in (_OF_THE_ISSUER if name == ISSUER else _OF_THE_STORES_OWN):
        way = f"strongroom rotate {ISSUER} --now" if name == ISSUER else f"strongroom show {name}"
        raise PolicyError(f"{name!r} is the store's own keyset, and is not changed by hand", hint=way)
