# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The host's backup.json: which databases to back up, when, how, and how long to keep the dumps."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._database_url import DatabaseUrl, DatabaseUrlError, parse
from ._pg_client import check_compression
from ._pg_repository import BackupError, check_name
from ._pg_rotation import Keep, check_minimum, parse_keep

PATH = "/etc/quayside/backup.json"
FORMAT = 1

_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_CLOCK_LIKE = re.compile(r"[0-9]+:[0-9]+")
_CALENDAR = re.compile(r"[A-Za-z0-9*:.,/~ +_-]{1,100}")


@dataclass(frozen=True)
class Database:
    """One database to back up."""

    name: str
    url: str = field(repr=False)
    schedule: str = "03:00"
    keep: Keep = field(default_factory=Keep)
    minimum: int = 3

    @property
    def parsed_url(self) -> DatabaseUrl:
        try:
            return parse(self.url)
        except DatabaseUrlError as error:
            raise BackupError(f"Backup of {self.name}: {error}") from None


@dataclass(frozen=True)
class Config:
    """All that the host's timer needs to know."""

    root: str
    databases: tuple[Database, ...] = ()
    compression: str = "auto"
    lock_wait_timeout: int = 60

    def find(self, name: str) -> Database:
        for database in self.databases:
            if database.name == name:
                return database
        known = ", ".join(database.name for database in self.databases) or "none"
        raise BackupError(f"No database {name[:63]!r} is configured; these are: {known}.")


def parse_config(data: Mapping[str, Any]) -> Config:
    """Check what a person or the file gave; one sentence for the first thing that is wrong."""
    root = data.get("root")
    if not isinstance(root, str) or not re.fullmatch(r"(/[A-Za-z0-9._+-]+)+", root) or "/.." in root:
        raise BackupError(f"root is {str(root)[:80]!r}; an absolute path such as /var/backups/quayside is accepted.")
    databases = tuple(_parse_database(entry) for entry in data.get("databases") or ())
    names = [database.name for database in databases]
    for name in names:
        if names.count(name) > 1:
            raise BackupError(f"The backup name {name!r} is given {names.count(name)} times; each may be given once.")
    return Config(
        root=root,
        databases=databases,
        compression=check_compression(data.get("compression", "auto")),
        lock_wait_timeout=check_seconds("lock_wait_timeout", data.get("lock_wait_timeout", 60)),
    )


def check_seconds(key: str, value: object, least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 86400:
        raise BackupError(f"{key} is {str(value)[:30]!r}; a whole number of seconds from {least} to 86400 is accepted.")
    return value


def _parse_database(entry: Mapping[str, Any]) -> Database:
    name = check_name(entry.get("name", ""))
    try:
        database = Database(
            name=name,
            url=str(entry.get("url", "")),
            schedule=check_schedule(entry.get("schedule", "03:00")),
            keep=parse_keep(entry.get("keep")),
            minimum=check_minimum(entry.get("minimum", 3)),
        )
    except BackupError as error:
        raise BackupError(f"Backup of {name}: {error}") from None
    _checked = database.parsed_url
    return database


def check_schedule(schedule: object) -> str:
    """HH:MM or something that systemd may understand, which the host is asked about later."""
    if isinstance(schedule, str):
        if _CLOCK.fullmatch(schedule):
            return schedule
        if _CALENDAR.fullmatch(schedule) and not _CLOCK_LIKE.fullmatch(schedule):
            return schedule
    raise BackupError(schedule_error(schedule))


def is_clock(schedule: str) -> bool:
    """Whether it is a time of day, which systemd needs not be asked about."""
    return bool(_CLOCK.fullmatch(schedule))


def schedule_error(schedule: object) -> str:
    return (
        f'schedule is {str(schedule)[:60]!r}; HH:MM from "00:00" to "23:59" (quoted, YAML reads 3:00 as a number) '
        "or a systemd calendar such as 'Sun 03:00' is accepted."
    )


def on_calendar(schedule: str) -> str:
    """The schedule as systemd's OnCalendar."""
    match = _CLOCK.fullmatch(schedule)
    return f"*-*-* {int(match[1]):02}:{match[2]}:00" if match else schedule


def to_json(config: Config, *, redacted: bool = False) -> str:
    """The text of backup.json; redacted for diffs."""
    return _dump(
        config,
        [
            {
                "keep": database.keep.to_dict(),
                "minimum": database.minimum,
                "name": database.name,
                "schedule": database.schedule,
                "url": database.parsed_url.redacted if redacted else database.url,
            }
            for database in config.databases
        ],
    )


def _dump(config: Config, databases: Sequence[Mapping[str, Any]]) -> str:
    data = {
        "format": FORMAT,
        "root": config.root,
        "compression": config.compression,
        "lock_wait_timeout": config.lock_wait_timeout,
        "databases": databases,
    }
    return json.dumps(data, indent=2, sort_keys=True) + "\n"


def from_json(text: str) -> Config:
    try:
        data = json.loads(text)
    except ValueError:
        raise BackupError(f"{PATH} is not JSON; let the role pg_backup write it again.") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise BackupError(f"{PATH} has an unknown format; let the role pg_backup write it again.")
    return parse_config(data)
