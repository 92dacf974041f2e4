# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""From what people write in pg_backup_databases to what the modules take, and the packages that it needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._pg_config import SAME

#: For every database.
PACKAGES = ("postgresql-client", "python3-psycopg2")


def settings(databases: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The option `databases` of the modules, whose `drill` has to be a mapping."""
    return [_settings(entry) for entry in databases]


def _settings(entry: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in entry.items() if value is not None}
    if given.get("drill") is False:
        given["drill"] = {"enabled": False}
    if given.get("encrypt") is False:
        del given["encrypt"]
    return given


def drills_here(databases: Iterable[Mapping[str, Any]]) -> bool:
    """Whether any of them is drilled in a throw-away server on its host, as they are by default."""
    return any(_drills_here(entry.get("drill")) for entry in databases)


def _drills_here(drill: object) -> bool:
    if drill is False:
        return False
    given = drill if isinstance(drill, Mapping) else {}
    elsewhere = given.get("server") == SAME or given.get("url") or given.get("owner_url")
    return given.get("enabled") is not False and not elsewhere


def packages(databases: Iterable[Mapping[str, Any]]) -> list[str]:
    """Debian's packages: rclone where a database has copies, age where one is encrypted."""
    entries = list(databases)
    wanted = {
        "rclone": any(entry.get("offsite") for entry in entries),
        "age": any(entry.get("encrypt") for entry in entries),
    }
    return [*PACKAGES, *(name for name, needed in wanted.items() if needed)]
