# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Which backup to restore, under which names, and what speaks against it: decided without touching anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, tzinfo
from pathlib import Path
from typing import Any

from ._pg_facts import Live
from ._pg_repository import Backup, BackupError, Manifest, Table, format_time, is_id, parse_id

LATEST = "latest"
#: What a database needs for each byte of its dump, without its index and dead rows being known.
PACKED, UNPACKED = 8.0, 1.5
MOST_JOBS = 4
#: Connections beside those of the jobs: ours, the swap's second one, and the coordinator of pg_restore.
OTHER_CONNECTIONS = 3


@dataclass(frozen=True)
class Request:
    """What is wanted. database is the live name (the dump's own if empty), into another name than that.

    force lifts a quarantine from a backup that is named by its id. jobs 0 means as many as fit. accept_missing lets a
    database take the live one's place although an index or a materialized view could not be made.
    """

    database: str = ""
    into: str = ""
    identity: Path | None = None
    no_owner: bool = False
    owner: str = ""
    jobs: int = 0
    keep_old_days: int = 7
    data_only: bool = False
    tables: tuple[str, ...] = ()
    truncate: bool = False
    force: bool = False
    allow_other_cluster: bool = False
    ignore_space: bool = False
    accept_missing: bool = False
    wait: int = 300

    def __post_init__(self) -> None:
        if self.keep_old_days < 0:
            raise BackupError(f"keep_old_days is {self.keep_old_days}; a whole number from 0 up is accepted.")
        if not 0 <= self.jobs <= 64:
            raise BackupError(f"jobs is {self.jobs}; 1 to 64 are accepted, or 0 for as many as fit.")
        if self.truncate and not self.data_only:
            raise BackupError("truncate empties tables of an existing database; it needs data_only.")
        if self.data_only and self.no_owner:
            raise BackupError(
                "no_owner says who owns what is created; with data_only nothing is created, leave it out."
            )
        if self.owner and not self.no_owner:
            raise BackupError("owner says to whom everything shall belong; it needs no_owner.")


@dataclass(frozen=True)
class Plan:
    """What a restore will do. Nothing has been touched when there is one.

    extensions are those that the admin creates, because the role that loads may not. local: in a throw-away server,
    which has its own locale.
    """

    manifest: Manifest
    scratch: str
    final: str
    old: str
    jobs: int
    client: int
    tables: tuple[Table, ...] = ()
    live: Live | None = None
    tablespaces: bool = True
    extensions: tuple[str, ...] = ()
    local: bool = False
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """What check mode reports."""
        return {
            "id": self.manifest.id,
            "database": self.final,
            "tables": len(self.tables),
            "rows": sum(table.rows for table in self.tables),
            "seconds": {},
            "old_database": self.old,
            "sessions": self.live.sessions if self.live else 0,
            "warnings": list(self.warnings),
        }

    def diff(self) -> dict[str, str]:
        """The databases before and after."""
        rows = sum(table.rows for table in self.tables)
        after = f"{self.final}: backup {self.manifest.id}, {len(self.tables)} tables, {rows} rows\n"
        if not self.live or self.live.name != self.final:
            return {"before": "", "after": after}
        before = f"{self.final}: live, {self.live.sessions} sessions\n"
        return {"before": before, "after": after + (f"{self.old}: what was live\n" if self.old else "")}


@dataclass(frozen=True)
class Result:
    """What a restore did; seconds by step, of which the sum is the measured time to recovery."""

    id: str
    database: str
    tables: int
    rows: int
    seconds: dict[str, float] = field(default_factory=dict)
    old_database: str = ""
    old_expires: str = ""
    undo: str = ""
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {**self.__dict__, "warnings": list(self.warnings), "duration": round(sum(self.seconds.values()), 3)}


# ------------------------------------------------------------------------------------------------------ choosing


def choose(backups: Iterable[Backup], wanted: str, *, force: bool = False, zone: tzinfo | None = None) -> Backup:
    """The backup that is meant by latest, by an id, or by a time: the newest trusted one that is not after it."""
    ordered = sorted(backups, key=lambda backup: backup.id)
    if not ordered:
        raise BackupError("There is no backup to restore; quayside-backup run takes one.")
    wanted = wanted.strip()
    if is_id(wanted):
        return _by_id(ordered, wanted, force)
    whole = [backup for backup in ordered if backup.verified and backup.manifest and not backup.manifest.partial]
    if wanted == LATEST:
        if not whole:
            newest = ordered[-1]
            why = newest.problem or "it holds only some of the tables"
            raise BackupError(f"No backup can be restored whole; the newest of {len(ordered)} is {newest.id}: {why}.")
        return whole[-1]
    moment = read_time(wanted, zone)
    fitting = [backup for backup in whole if backup.created <= moment]
    if fitting:
        return max(fitting, key=lambda backup: (backup.created, backup.id))
    first = f"the first trusted one is {whole[0].id}" if whole else "none of them is to be trusted"
    raise BackupError(f"No backup is from {format_time(moment)} or before; {first}.")


def _by_id(ordered: Sequence[Backup], wanted: str, force: bool) -> Backup:
    found = next((backup for backup in ordered if backup.id == wanted), None)
    if found is None:
        near = sorted(ordered, key=lambda backup: abs(parse_id(backup.id) - parse_id(wanted)))[:3]
        raise BackupError(f"There is no backup {wanted}; the nearest are {', '.join(sorted(b.id for b in near))}.")
    manifest = found.manifest
    lifted = force and manifest is not None and manifest.quarantine and not manifest.damage
    if found.problem and not lifted:
        trusted = [backup.id for backup in ordered if backup.verified and backup.id < wanted]
        other = f"; the newest trusted one before it is {trusted[-1]}" if trusted else ""
        hint = "; force restores it all the same" if manifest and manifest.quarantine and not manifest.damage else ""
        raise BackupError(f"Backup {wanted} is not to be trusted: {found.problem}{other}{hint}.")
    return found


def read_time(text: str, zone: tzinfo | None = None) -> datetime:
    """A moment such as 2026-11-21T03:00 or 2026-11-21 03:00+01:00, local without a zone; a day alone means its end."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BackupError(
            f"The backup {text[:40]!r} is none of what is accepted: latest, an id such as 20261121T030000Z, "
            "or a time such as 2026-11-21T03:00."
        ) from None
    if len(text) <= len("2026-11-21"):
        moment = datetime.combine(moment.date(), time(23, 59, 59))
    if moment.tzinfo is None:
        return moment.replace(tzinfo=zone) if zone else moment.astimezone()
    return moment


# --------------------------------------------------------------------------------------------------------- names


def split_table(text: str, tables: Sequence[Table]) -> Table:
    """The table that is meant by schema.table, or by its name alone where only one schema has it."""
    found = [table for table in tables if f"{table.schema}.{table.name}" == text]
    found = found or [table for table in tables if table.name == text]
    if len(found) == 1:
        return found[0]
    if found:
        raise BackupError(f"The table {text} is in several schemas; write {found[0].schema}.{text} or the like.")
    near = sorted(f"{table.schema}.{table.name}" for table in tables)
    shown = ", ".join(near[:8]) + (", ..." if len(near) > 8 else "")
    raise BackupError(f"The backup has no table {text[:80]}; it has {shown or 'none'}.")


def chosen_tables(manifest: Manifest, wanted: Sequence[str]) -> tuple[Table, ...]:
    """The tables to restore: all, or those that are named."""
    if not wanted:
        return manifest.tables
    found = [split_table(text, manifest.tables) for text in wanted]
    return tuple(table for table in manifest.tables if table in found)


# ----------------------------------------------------------------------------------------------------- comparing


def compare(expected: Sequence[Table], counted: Sequence[Table]) -> str:
    """Why a restored database is not the dumped one; empty when each table has its rows, and its hash if it has one."""
    found = {(table.schema, table.name): table for table in counted}
    wrong: list[str] = []
    for table in expected:
        other = found.get((table.schema, table.name))
        shown = f"{table.schema}.{table.name}"
        if other is None:
            wrong.append(f"{shown} is missing")
        elif other.rows != table.rows:
            wrong.append(f"{shown} has {other.rows} rows instead of {table.rows}")
        elif table.hash and other.hash and table.hash != other.hash:
            wrong.append(f"{shown} has other content than the database that was dumped")
    return summary(wrong)


def summary(problems: Sequence[str], most: int = 5) -> str:
    more = len(problems) - most
    return "; ".join(problems[:most]) + (f"; and {more} more" if more > 0 else "")


def choose_restore_client(installed: Sequence[int], dumped_with: int) -> int:
    """The lowest pg_restore that reads the dump."""
    fitting = [major for major in installed if major >= dumped_with]
    if fitting:
        return min(fitting)
    raise BackupError(
        f"The dump was made by pg_dump {dumped_with}, and pg_restore here is {max(installed, default=0) or 'missing'}; "
        f"install the package postgresql-client-{dumped_with}."
    )


def choose_jobs(wanted: int, processors: int, free_connections: int) -> tuple[int, str]:
    """How many jobs restore at the same time, and a warning if that is fewer than was asked for."""
    jobs = wanted or max(1, min(MOST_JOBS, processors))
    room = free_connections - OTHER_CONNECTIONS
    if jobs <= room:
        return jobs, ""
    fewer = max(1, room)
    warning = f"the server has {max(0, free_connections)} free connections, so {fewer} instead of {jobs} jobs restore"
    return fewer, warning if fewer < jobs else ""


def major_of(version: str) -> int:
    """The major of a version such as 15.8 (Debian); 0 if it is none."""
    head = version.partition(".")[0].split()
    return int(head[0]) if head and head[0].isdigit() else 0


def estimate_size(manifest: Manifest) -> int:
    """Bytes that the restored database takes, as far as the size of the dump tells."""
    factor = UNPACKED if manifest.compression == "none" else PACKED
    return int(manifest.size * factor)
