# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The settings of a host's backups, its backup.json: what to back up, when, how, where to, and whom to tell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ._age import check_recipients
from ._backup_alerts import Alerts, parse_alerts
from ._backup_checks import boolean, check_keys, entries, folder, mapping, number, patterns, refuse_twice
from ._database_url import DatabaseUrl, DatabaseUrlError, parse
from ._offsite import Target, parse_targets
from ._pg_client import check_compression
from ._pg_repository import BackupError, check_name
from ._pg_rights import Logins
from ._pg_rotation import Keep, check_minimum, parse_keep
from ._pg_schedule import check_schedule

PATH = "/etc/quayside/backup.json"
FORMAT = 1
#: Where a drill restores: in a throw-away server on this host, or on the database's own.
LOCAL, SAME = "local", "same"

#: What a target of copies has that nobody else may read.
OFFSITE_SECRETS = ("access_key", "secret_key", "password")
_KEYS = ("format", "root", "databases", "compression", "lock_wait_timeout", "alerts", "metrics")
_DATABASE_KEYS = (
    *("name", "url", "admin_url", "owner_url", "schedule", "keep", "minimum", "tables", "hashed"),
    *("shrink_percent", "drill", "encrypt", "offsite", "keep_old_days"),
)


@dataclass(frozen=True)
class Drill:
    """When to restore for practice, and where: in a throw-away server here, or on the one of admin_url and owner_url.

    A url names another server.
    """

    schedule: str = "Sun 04:30"
    server: str = LOCAL
    url: str = field(default="", repr=False)
    owner_url: str = field(default="", repr=False)


@dataclass(frozen=True)
class Database:
    """One database to back up. offsite_given are the offsite entries as a person wrote them, for the file."""

    name: str
    url: str = field(repr=False)
    schedule: str = "03:00"
    keep: Keep = field(default_factory=Keep)
    minimum: int = 3
    admin_url: str = field(default="", repr=False)
    owner_url: str = field(default="", repr=False)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hashed: bool = False
    shrink_percent: int = 50
    drill: Drill | None = field(default_factory=Drill)
    recipients: tuple[str, ...] = ()
    offsite: tuple[Target, ...] = ()
    offsite_given: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    keep_old_days: int = 7

    @property
    def parsed_url(self) -> DatabaseUrl:
        return self._parse("url", self.url)

    @property
    def admin(self) -> DatabaseUrl:
        """A role that may create databases beside this one."""
        return self._parse("admin_url", self.admin_url or self.url)

    @property
    def logins(self) -> Logins:
        """The roles of a restore."""
        return Logins(self.admin, self._parse("owner_url", self.owner_url or self.url))

    @property
    def drill_logins(self) -> Logins | None:
        """The roles of a drill, where its scratch database is made; None for a throw-away server."""
        if self.drill is None or not (self.drill.url or self.drill.owner_url):
            return None if self.drill is None or self.drill.server == LOCAL else self.logins
        admin = self._parse("drill.url", self.drill.url) if self.drill.url else self.admin
        owner = self._parse("drill.owner_url", self.drill.owner_url) if self.drill.owner_url else admin
        return Logins(admin, owner)

    def target(self, name: str) -> Target:
        for target in self.offsite:
            if target.name == name:
                return target
        known = ", ".join(target.name for target in self.offsite) or "none"
        raise BackupError(f"Backup of {self.name}: no offsite target {name[:63]!r} is configured; these are: {known}.")

    def _parse(self, key: str, url: str) -> DatabaseUrl:
        try:
            return parse(url)
        except DatabaseUrlError as error:
            raise BackupError(f"Backup of {self.name}: {key}: {error}") from None


@dataclass(frozen=True)
class Config:
    """All that the host's timers need to know. metrics is Prometheus' textfile folder, empty for none."""

    root: str
    databases: tuple[Database, ...] = ()
    compression: str = "auto"
    lock_wait_timeout: int = 60
    alerts: Alerts = field(default_factory=Alerts)
    metrics: str = ""

    def find(self, name: str) -> Database:
        for database in self.databases:
            if database.name == name:
                return database
        known = ", ".join(database.name for database in self.databases) or "none"
        raise BackupError(f"No database {name[:63]!r} is configured; these are: {known}.")


def parse_config(data: Mapping[str, Any]) -> Config:
    """Check what a person or the file gave; one sentence for the first thing that is wrong."""
    check_keys("The settings of the backups", data, _KEYS)
    root = folder("root", data.get("root"), "/var/backups/quayside")
    databases = tuple(_parse_database(entry, root) for entry in entries("databases", data.get("databases")))
    refuse_twice("The backup name", [database.name for database in databases])
    metrics = data.get("metrics") or ""
    return Config(
        root=root,
        databases=databases,
        compression=check_compression(data.get("compression", "auto")),
        lock_wait_timeout=check_seconds("lock_wait_timeout", data.get("lock_wait_timeout", 60)),
        alerts=parse_alerts(mapping("alerts", data.get("alerts"))),
        metrics=folder("metrics", metrics, "/var/lib/prometheus/node-exporter") if metrics else "",
    )


def check_seconds(key: str, value: object, least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= 86400:
        raise BackupError(f"{key} is {str(value)[:30]!r}; a whole number of seconds from {least} to 86400 is accepted.")
    return value


def _parse_database(given: Mapping[str, Any], root: str) -> Database:
    # A module's parameters hold None for what was left out.
    entry = {key: value for key, value in given.items() if value is not None}
    name = check_name(entry.get("name", ""))
    try:
        return _checked(name, entry, root)
    except BackupError as error:
        prefix = f"Backup of {name}: "
        raise BackupError(prefix + str(error).removeprefix(prefix)) from None


def _checked(name: str, entry: Mapping[str, Any], root: str) -> Database:
    check_keys("it", entry, _DATABASE_KEYS)
    tables = mapping("tables", entry.get("tables"))
    check_keys("tables", tables, ("include", "exclude"))
    encrypt = mapping("encrypt", entry.get("encrypt"))
    check_keys("encrypt", encrypt, ("recipients",))
    offsite = tuple(
        {key: value for key, value in target.items() if value is not None}
        for target in entries("offsite", entry.get("offsite"))
    )
    keep = parse_keep(mapping("keep", entry.get("keep")))
    minimum = check_minimum(entry.get("minimum", 3))
    database = Database(
        name=name,
        url=str(entry.get("url", "")),
        schedule=check_schedule(entry.get("schedule", "03:00")),
        keep=keep,
        minimum=minimum,
        admin_url=str(entry.get("admin_url", "")),
        owner_url=str(entry.get("owner_url", "")),
        include=patterns("tables.include", tables.get("include")),
        exclude=patterns("tables.exclude", tables.get("exclude")),
        hashed=boolean("hashed", entry.get("hashed", False)),
        shrink_percent=number("shrink_percent", entry.get("shrink_percent", 50), 0, 100, "percent, 0 for never"),
        drill=_parse_drill(entry.get("drill", {})),
        recipients=check_recipients(encrypt.get("recipients")),
        offsite=parse_targets(offsite, root, keep, minimum),
        offsite_given=offsite,
        keep_old_days=number("keep_old_days", entry.get("keep_old_days", 7), 0, 3650, "days"),
    )
    # An empty mapping is a mistake, and must not end in a backup that anyone can read.
    if "encrypt" in entry and not database.recipients:
        raise BackupError(
            "encrypt names no recipients; an age1… or ssh-… public key is accepted, or no encrypt at all."
        )
    _urls = (database.parsed_url, database.logins, database.drill_logins)
    return database


def _parse_drill(given: object) -> Drill | None:
    if given is False:
        return None
    entry = mapping("drill", given, "false, or a mapping with schedule and url")
    check_keys("drill", entry, ("enabled", "schedule", "server", "url", "owner_url"))
    if not boolean("drill.enabled", entry.get("enabled", True)):
        return None
    schedule = check_schedule(entry.get("schedule") or "Sun 04:30", "drill.schedule")
    urls = [str(entry.get(key) or "") for key in ("url", "owner_url")]
    server = check_server(entry.get("server") or (SAME if any(urls) else LOCAL))
    if server == LOCAL and any(urls):
        raise BackupError(
            f"drill.server is {LOCAL}, which needs no url and no owner_url; leave them out, or the server."
        )
    return Drill(schedule, server, *urls)


def check_server(value: object) -> str:
    if value not in (LOCAL, SAME):
        raise BackupError(f"drill.server is {str(value)[:30]!r}; {LOCAL} and {SAME} are accepted.")
    return str(value)


def to_json(config: Config, *, redacted: bool = False) -> str:
    """The text of backup.json; redacted for diffs."""
    data = {
        "format": FORMAT,
        "root": config.root,
        "compression": config.compression,
        "lock_wait_timeout": config.lock_wait_timeout,
        "alerts": config.alerts.to_dict(redacted=redacted),
        "metrics": config.metrics,
        "databases": [_database_to_dict(database, redacted) for database in config.databases],
    }
    return json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _database_to_dict(database: Database, redacted: bool) -> dict[str, Any]:
    drill = database.drill
    return {
        "name": database.name,
        "url": database.parsed_url.redacted if redacted else database.url,
        "admin_url": _shown(database.admin_url, database.admin, redacted),
        "owner_url": _shown(database.owner_url, database.logins.owner, redacted),
        "schedule": database.schedule,
        "keep": database.keep.to_dict(),
        "minimum": database.minimum,
        "tables": {"include": list(database.include), "exclude": list(database.exclude)},
        "hashed": database.hashed,
        "shrink_percent": database.shrink_percent,
        "drill": _drill_to_dict(drill, database, redacted) if drill else False,
        "encrypt": {"recipients": list(database.recipients)} if database.recipients else None,
        "offsite": [_hide(entry) if redacted else dict(entry) for entry in database.offsite_given],
        "keep_old_days": database.keep_old_days,
    }


def _drill_to_dict(drill: Drill, database: Database, redacted: bool) -> dict[str, str]:
    logins = database.drill_logins
    return {
        "schedule": drill.schedule,
        "server": drill.server,
        "url": _shown(drill.url, logins.admin, redacted) if logins else "",
        "owner_url": _shown(drill.owner_url, logins.owner, redacted) if logins else "",
    }


def _shown(url: str, parsed: DatabaseUrl, redacted: bool) -> str:
    return parsed.redacted if url and redacted else url


def _hide(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: "***" if key in OFFSITE_SECRETS else value for key, value in entry.items()}


def from_json(text: str) -> Config:
    try:
        data = json.loads(text)
    except ValueError:
        raise BackupError(f"{PATH} is not JSON; let the role pg_backup write it again.") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise BackupError(f"{PATH} has an unknown format; let the role pg_backup write it again.")
    return parse_config(data)
