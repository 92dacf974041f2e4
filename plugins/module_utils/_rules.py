# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Rules for data that people write: what is accepted, in words, and what was found instead.

A rule looks at one value and yields `Problem`s; it also gives the value back in normal form, with defaults
filled in. Values under a `secret` rule are never shown, only their type is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

PLACEHOLDER = "CHANGE_ME"

_TYPE_NAMES = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    dict: "a mapping",
    list: "a list",
    type(None): "nothing",
}


@dataclass(frozen=True)
class Problem:
    """One value that is not accepted.

    Attributes:
        path: the keys that lead to the value, as `health.timeout` or `domains[0]`.
        found: what stands there, in words fit for a message.
        accepted: what may stand there.
    """

    path: str
    found: str
    accepted: str

    def __str__(self) -> str:
        return f"{self.path} is {self.found}; accepted: {self.accepted}"


def type_name(value: object) -> str:
    """Return the YAML name of a value's type, with its article."""
    for kind, name in _TYPE_NAMES.items():
        if isinstance(value, kind):
            return name
    return f"a {type(value).__name__}"


def shown(value: object, secret: bool = False) -> str:
    """Return a short text for a value found: the type alone where the value may be a secret."""
    if secret or isinstance(value, (dict, list)) or value is None:
        return type_name(value)
    text = str(value)
    text = text if len(text) <= 80 else f"{text[:77]}..."
    return f'"{text}"' if isinstance(value, str) else f"{type_name(value)}, {text}"


@dataclass(frozen=True)
class Rule:
    """A test of one value, with what is accepted in words."""

    accepted: str
    test: Callable[[Any], bool]
    secret: bool = False
    convert: Callable[[Any], Any] = field(default=lambda value: value)

    def problems(self, path: str, value: Any) -> Iterator[Problem]:
        if isinstance(value, str) and PLACEHOLDER in value:
            yield Problem(path, f'still the placeholder "{PLACEHOLDER}"', self.accepted)
        elif not self.test(value):
            yield Problem(path, shown(value, self.secret), self.accepted)

    def normal(self, value: Any) -> Any:
        return self.convert(value)


def text(accepted: str, pattern: str = r"[^\0]+", secret: bool = False) -> Rule:
    """A string that matches the whole pattern."""
    matcher = re.compile(pattern)
    return Rule(accepted, lambda v: isinstance(v, str) and matcher.fullmatch(v) is not None, secret, str)


def integer(low: int, high: int, unit: str = "") -> Rule:
    """An integer in a closed range."""
    unit = f" {unit}" if unit else ""
    return Rule(
        f"an integer from {low} to {high}{unit}",
        lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high,
    )


def number(low: float, high: float, unit: str = "") -> Rule:
    """A number in a closed range."""
    unit = f" {unit}" if unit else ""
    return Rule(
        f"a number from {low:g} to {high:g}{unit}",
        lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and low <= v <= high,
    )


def boolean() -> Rule:
    """True or false, not their names in quotes."""
    return Rule("true or false", lambda v: isinstance(v, bool))


def choice(*values: str) -> Rule:
    """One of several strings."""
    return Rule("one of " + ", ".join(values), lambda v: isinstance(v, str) and v in values, convert=str)


@dataclass(frozen=True)
class ListOf:
    """A list whose items all follow one rule, with a least length."""

    item: Any
    least: int = 0

    @property
    def accepted(self) -> str:
        return f"a list of at least {self.least}, each {self.item.accepted}" if self.least else "a list"

    def problems(self, path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, list) or len(value) < self.least:
            found = "an empty list" if isinstance(value, list) else shown(value)
            yield Problem(path, found, self.accepted)
            return
        for index, item in enumerate(value):
            yield from self.item.problems(f"{path}[{index}]", item)

    def normal(self, value: Any) -> Any:
        return [self.item.normal(item) for item in value]


@dataclass(frozen=True)
class MapOf:
    """A mapping whose keys match a pattern and whose values all follow one rule."""

    key: str
    value: Any
    accepted: str

    def problems(self, path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, Mapping):
            yield Problem(path, shown(value, self.value.secret), self.accepted)
            return
        for name, item in value.items():
            if not isinstance(name, str) or not re.fullmatch(self.key, name):
                yield Problem(path, f"a mapping with the key {shown(name)}", self.accepted)
            else:
                yield from self.value.problems(f"{path}.{name}", item)

    def normal(self, value: Any) -> Any:
        return {str(name): self.value.normal(item) for name, item in value.items()}


@dataclass(frozen=True)
class Key:
    """A key of a record: its rule, and its default where it may be left out."""

    rule: Any
    default: Any = None
    required: bool = False


@dataclass(frozen=True)
class Record:
    """A mapping with known keys; every other key is a mistake."""

    keys: Mapping[str, Key]

    @property
    def accepted(self) -> str:
        return "a mapping with the keys " + ", ".join(self.keys)

    def problems(self, path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, Mapping):
            yield Problem(path or "it", shown(value), self.accepted)
            return
        prefix = f"{path}." if path else ""
        for name in value:
            if name not in self.keys:
                near = difflib.get_close_matches(str(name), list(self.keys), n=1)
                hint = f" (did you mean {near[0]}?)" if near else ""
                yield Problem(f"{prefix}{name}", "an unknown key", ", ".join(self.keys) + hint)
        for name, key in self.keys.items():
            if name in value and not (value[name] is None and key.default is None and not key.required):
                yield from key.rule.problems(f"{prefix}{name}", value[name])
            elif key.required:
                yield Problem(f"{prefix}{name}", "missing", key.rule.accepted)

    def normal(self, value: Any) -> Any:
        filled = {}
        for name, key in self.keys.items():
            given = value.get(name)
            if given is None:
                given = key.default
            filled[name] = None if given is None else key.rule.normal(given)
        return filled


@dataclass(frozen=True)
class Either:
    """False, or a record."""

    rule: Any

    @property
    def accepted(self) -> str:
        return f"false, or {self.rule.accepted}"

    def problems(self, path: str, value: Any) -> Iterator[Problem]:
        if isinstance(value, Mapping):
            yield from self.rule.problems(path, value)
        elif value is not False:
            yield Problem(path, shown(value), self.accepted)

    def normal(self, value: Any) -> Any:
        return False if value is False else self.rule.normal(value)
