# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Checks of settings: each gives the value back, or says in one sentence what is accepted in its place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ._pg_repository import BackupError

_FOLDER = re.compile(r"(/[A-Za-z0-9._+-]+)+")


def check_keys(label: str, given: Iterable[Any], accepted: Sequence[str]) -> None:
    for key in given:
        if key not in accepted:
            raise BackupError(f"{label} has the unknown key {str(key)[:40]!r}; {', '.join(accepted)} are accepted.")


def mapping(key: str, value: object, accepted: str = "a mapping") -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise BackupError(f"{key} is {type(value).__name__} and not what is accepted: {accepted}.")
    return {name: item for name, item in value.items() if item is not None}


def entries(key: str, value: object) -> Sequence[Mapping[str, Any]]:
    if value is None:
        return ()
    if not isinstance(value, Sequence) or not all(isinstance(entry, Mapping) for entry in value):
        raise BackupError(f"{key} is {type(value).__name__} and not what is accepted: a list of mappings.")
    return value


def patterns(key: str, value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(map(_is_pattern, value)):
        raise BackupError(f"{key} is not accepted; a list of table patterns of pg_dump such as public.log_* is.")
    return tuple(value)


def _is_pattern(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def boolean(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise BackupError(f"{key} is {str(value)[:30]!r}; true or false is accepted.")
    return value


def number(key: str, value: object, low: int, high: int, unit: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BackupError(f"{key} is {str(value)[:30]!r}; a whole number from {low} to {high} ({unit}) is accepted.")
    return value


def folder(key: str, path: object, example: str) -> str:
    if not isinstance(path, str) or not _FOLDER.fullmatch(path) or "/.." in path:
        raise BackupError(f"{key} is {str(path)[:80]!r}; an absolute path such as {example} is accepted.")
    return path


def refuse_twice(label: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise BackupError(f"{label} {name!r} is given {names.count(name)} times; each may be given once.")
