"""`keystores["default"]`: one open keystore an alias and process, opened when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from weakref import WeakSet

from django.core.signals import setting_changed

from strongroom.caching.forklock import ForkLock
from strongroom.django import conf
from strongroom.keystore.facade import KeyStore
from strongroom.keystore.in_use import InUse
from strongroom.keystore.opening import open_settings
from strongroom.keystore.secretkey import is_kept_open, opened_for_settings


class Keystores:
    """The keystores that STRONGROOM names.

    A keystore is shared by all threads of the process (Django's own connection handlers give one to each thread; here
    that would start gpg once a thread), and a forked worker goes on using its parent's. `keystores["default"]` raises
    SettingsError for an alias that is not there, and what strongroom.open raises.
    """

    def __init__(self) -> None:
        self._open: dict[str, KeyStore] = {}
        self._reports: list[Callable[[str], InUse]] = []
        self._told: WeakSet[KeyStore] = WeakSet()
        self._lock = ForkLock()

    def __getitem__(self, alias: str) -> KeyStore:
        held = self._open.get(alias)
        if held is not None and not held.closed:
            return held
        with self._lock:
            held = self._open.get(alias)
            if held is None or held.closed:
                said = conf.store_settings(alias)
                lent = opened_for_settings(said)  # SECRET_KEY's: the store is opened once, and stays open for it
                opened = open_settings(said) if lent is None or lent.closed else lent
                if opened not in self._told:
                    for report in self._reports:
                        opened.register_use(report(alias))
                self._told.add(opened)
                self._open[alias] = opened
            return self._open[alias]

    def __iter__(self) -> Iterator[str]:
        return iter(conf.aliases())

    def report_uses(self, report: Callable[[str], InUse]) -> None:
        """Have every keystore that is opened here ask `report(alias)` what its versions still protect."""
        with self._lock:
            if report not in self._reports:
                self._reports.append(report)
                for alias, keystore in self._open.items():
                    keystore.register_use(report(alias))

    def set_aside(self) -> dict[str, KeyStore]:
        """Forget the open keystores and leave them open: for tests, which put them back."""
        with self._lock:
            held, self._open = self._open, {}
        return held

    def put_back(self, held: dict[str, KeyStore]) -> None:
        """What `set_aside` gave, in place of those that are open by now, which are closed."""
        self.close_all()
        with self._lock:
            self._open = dict(held)

    def close_all(self) -> None:
        """Close every open keystore but the one that SECRET_KEY is read from; the next use opens it again."""
        with self._lock:
            held, self._open = self._open, {}
        for keystore in held.values():
            if not is_kept_open(keystore):
                keystore.close()


keystores = Keystores()


def _settings_changed(*, setting: str, **_: object) -> None:
    if setting in {conf.SETTING, "CACHES"}:
        keystores.close_all()


def follow_settings() -> None:
    """Close what is open when tests override STRONGROOM, or the caches where publications lie."""
    setting_changed.connect(_settings_changed, dispatch_uid="strongroom.connections")
