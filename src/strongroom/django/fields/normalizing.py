"""What a blind index takes for equal: named rules that a migration can write down, applied in the order given."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from django.utils.module_loading import import_string

from strongroom.errors import SettingsError

Rule = Callable[[str], str]
Normalize = str | Rule | Sequence[str | Rule] | None


def _digits(text: str) -> str:
    return "".join(character for character in text if character in "0123456789")


def _nfkc(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


NAMED: dict[str, Rule] = {"digits": _digits, "casefold": str.casefold, "strip": str.strip, "nfkc": _nfkc}


def rule_names(normalize: Normalize) -> tuple[str, ...]:
    """The rules as a migration has them: names of ours, or dotted paths of functions. SettingsError for others."""
    if normalize is None:
        return ()
    each = [normalize] if isinstance(normalize, str) or callable(normalize) else list(normalize)
    return tuple(map(_name, each))


def _name(rule: str | Rule) -> str:
    if not isinstance(rule, str):
        name = getattr(rule, "__qualname__", "<")
        if "<" in name or "." in name:
            raise SettingsError(f"{name!r} is no function at module level, so no migration can name it")
        return f"{rule.__module__}.{name}"
    if rule not in NAMED and "." not in rule:
        raise SettingsError(
            f"there is no normaliser {rule!r}", hint=f"use {', '.join(sorted(NAMED))}, a function or its dotted path"
        )
    return rule


def normalizer(names: Sequence[str]) -> Rule:
    """One function that applies the rules in turn."""
    rules: list[Rule] = [NAMED.get(name) or import_string(name) for name in names]

    def normalize(text: str) -> str:
        for rule in rules:
            text = rule(text)
        return text

    return normalize
