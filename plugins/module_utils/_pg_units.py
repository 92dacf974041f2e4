# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The systemd units of a host's backups: what they may do, and when they run."""

from __future__ import annotations

from collections.abc import Iterator

from ._database_url import DatabaseUrl
from ._pg_cluster import FOLDER
from ._pg_config import Config, Database
from ._pg_schedule import on_calendar
from ._systemd import HARDENING

COMMAND = "/usr/local/bin/quayside-backup"
UNITS = "/etc/systemd/system"
#: What a program needs that is root and becomes postgres for the server's socket: be it, hand it a file, end it, and
#: let it read the dump, by the second of two rights where the host is a container that lacks the first.
_CAPABILITIES = "CAP_CHOWN CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_KILL CAP_SETGID CAP_SETUID"

_SERVICE = """\
# Installed by quayside.web.pg_backup_agent.
[Unit]
Description={description} of %i
Wants=network-online.target
After=network-online.target postgresql.service docker.service
OnFailure=quayside-backup-report@%i.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart={command} {arguments} %i --unit
KillMode=mixed
UMask=0077
Nice=10
IOSchedulingClass=best-effort
IOSchedulingPriority=7
ReadWritePaths={writable}
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
"""

# Its own, because a mail's way into the queue of an MTA needs rights that no backup should have; and because a run
# that was killed can't tell anyone.
_REPORT = f"""\
# Installed by quayside.web.pg_backup_agent.
[Unit]
Description=Report of a failed backup of %i
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={COMMAND} report %i
UMask=0077
PrivateTmp=true
ProtectHome=read-only
"""

_TIMER = """\
# Installed by quayside.web.pg_backup_agent.
[Unit]
Description={description} of {name} by calendar

[Timer]
OnCalendar={calendar}
Persistent=true
RandomizedDelaySec={spread}

[Install]
WantedBy=timers.target
"""

#: What it takes to make a sandbox for a throw-away server. The program inside has none of it.
_SANDBOXING = """\
CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_KILL CAP_SETGID CAP_SETPCAP CAP_SETUID CAP_SYS_ADMIN
CapabilityBoundingSet=CAP_SYS_NICE CAP_SYS_RESOURCE
RestrictNamespaces=false
"""


def services(config: Config) -> Iterator[tuple[str, str]]:
    """Name and text of each service; they are templates, the instance is a database."""
    writable = " ".join(map(_quoted, writable_paths(config)))
    capabilities = ""
    if any(_uses_socket(database) for database in config.databases):
        # systemd adds this line up with the empty one among the hardening.
        capabilities = f"CapabilityBoundingSet={_CAPABILITIES}\n"
    for name, description, arguments in (
        ("quayside-backup@.service", "Verified PostgreSQL backup", "run"),
        ("quayside-backup-drill@.service", "Restore for practice of the PostgreSQL backup", "drill"),
    ):
        local = arguments == "drill" and any(drills_here(database) for database in config.databases)
        paths = f"{writable} -{FOLDER}" if local else writable
        text = _SERVICE.format(description=description, command=COMMAND, arguments=arguments, writable=paths)
        yield name, text + HARDENING + capabilities + (_SANDBOXING if local else "")
    yield "quayside-backup-report@.service", _REPORT


def drills_here(database: Database) -> bool:
    """Whether a drill makes a throw-away server on this host."""
    return database.drill is not None and database.drill_logins is None


def timers(database: Database, spread: int) -> Iterator[tuple[str, str]]:
    """Name and text of each timer of a database."""
    yield _timer(f"quayside-backup@{database.name}.timer", "Backup", database, database.schedule, spread)
    if database.drill:
        name = f"quayside-backup-drill@{database.name}.timer"
        yield _timer(name, "Drill", database, database.drill.schedule, spread)


def _timer(name: str, description: str, database: Database, schedule: str, spread: int) -> tuple[str, str]:
    calendar = on_calendar(schedule)
    return name, _TIMER.format(description=description, name=database.name, calendar=calendar, spread=spread)


def writable_paths(config: Config) -> list[str]:
    """All that a run writes to. A mount that is not there must not keep a backup from being taken: hence the dash."""
    local = sorted(
        {target.base for database in config.databases for target in database.offsite if target.type == "local"}
    )
    return [config.root, *([f"-{config.metrics}"] if config.metrics else []), *(f"-{path}" for path in local)]


def _quoted(path: str) -> str:
    escaped = path.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return escaped if escaped.replace("/", "").replace("-", "").replace(".", "").isalnum() else f'"{escaped}"'


def _uses_socket(database: Database) -> bool:
    return any(url.host.startswith("/") for url in _urls(database))


def _urls(database: Database) -> Iterator[DatabaseUrl]:
    yield database.parsed_url
    for logins in filter(None, (database.logins, database.drill_logins)):
        yield from (logins.admin, logins.owner)
