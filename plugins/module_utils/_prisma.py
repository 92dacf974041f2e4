# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Prisma up to 7: its migrations folder against the rows of `_prisma_migrations`. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ._migration import Migration, MigrationError, Plan, last_line

COMMAND = ("node_modules/.bin/prisma",)
DEPLOY = ("migrate", "deploy")
PATH = "prisma/migrations"
SCRIPT = "migration.sql"
TABLE = "_prisma_migrations"
#: What a Row is made of.
COLUMNS = (
    "migration_name, checksum, finished_at IS NOT NULL, rolled_back_at IS NOT NULL, "
    "date_trunc('second', started_at)::text, coalesce(logs, '')"
)
#: The number of the advisory lock that every run of Prisma's own engine takes, and waits 10 s for.
LOCK = 72707369
#: It neither calls home nor advertises.
ENV = {"CHECKPOINT_DISABLE": "1", "PRISMA_HIDE_UPDATE_MESSAGE": "1"}


@dataclass(frozen=True)
class Row:
    """One row of `_prisma_migrations`; a migration that was tried again has several."""

    name: str
    checksum: str
    finished: bool
    rolled_back: bool
    started_at: str = ""
    logs: str = ""


def checksums(script: bytes) -> tuple[str, ...]:
    """Prisma takes a script for unchanged when only its line ends are others."""
    unix = script.replace(b"\r\n", b"\n")
    return tuple(
        hashlib.sha256(text).hexdigest() for text in dict.fromkeys((script, unix, unix.replace(b"\n", b"\r\n")))
    )


def read_folder(files: Mapping[str, bytes]) -> dict[str, tuple[str, ...]]:
    """Each migration of a folder with the checksums that stand for it; `files` by path below the folder."""
    found = {
        path.partition("/")[0]: checksums(text)
        for path, text in files.items()
        if path.count("/") == 1 and path.endswith("/" + SCRIPT)
    }
    return dict(sorted(found.items()))


def schema_of(options: Mapping[str, str]) -> str:
    """The schema that the URL's own parameter names for Prisma."""
    return options.get("schema") or "public"


def state(rows: Iterable[Row]) -> tuple[str, ...]:
    return tuple(sorted({row.name for row in rows if row.finished and not row.rolled_back}))


def unfinished(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if not row.finished and not row.rolled_back]


def plan(
    folder: Mapping[str, Sequence[str]],
    rows: Sequence[Row],
    *,
    image: str,
    database: str,
    allow_ahead: bool = False,
) -> Plan:
    """What `migrate deploy` would do, or a MigrationError that says why it must not be tried."""
    before = state(rows)
    for row in unfinished(rows):
        raise MigrationError(
            f"Migration {row.name} failed on database {database} at {row.started_at} ({last_line(row.logs)}), and "
            f"Prisma applies nothing until someone decides (P3009): look at what it left there, then run `prisma "
            f"migrate resolve --rolled-back {row.name}` to have it tried again, or --applied if it is complete."
        )
    unknown = [name for name in before if name not in folder]
    if unknown and allow_ahead:
        return Plan(before=before, after=before, ahead=True)
    if unknown:
        raise MigrationError(
            f"Database {database} has applied {', '.join(unknown)}, which {image} does not have: the database is "
            f"ahead of it or belongs to another app; deploy an image that has it, set allow_ahead for a rollback, or, "
            f"if it was squashed, delete its row from {TABLE}."
        )
    latest = {row.name: row.checksum for row in rows if row.name in before and not row.rolled_back}
    edited = [name for name in before if latest[name] not in folder[name]]
    pending = tuple(Migration(name) for name in folder if name not in before)
    return Plan(
        before=before,
        after=tuple(sorted({*before, *folder})),
        pending=pending,
        warnings=tuple(
            f"Migration {name} of {image} was edited after it was applied to database {database}: what it changed "
            f"there is what it said then; restore the file, and put the difference into a new migration."
            for name in edited
        ),
    )


def failed_migration(rows: Iterable[Row], pending: Iterable[Migration], done: Iterable[str]) -> str | None:
    """Prisma records a migration before it runs it, and finishes the record after."""
    failed = unfinished(rows)
    if failed:
        return failed[-1].name
    left = [step.id for step in pending if step.id not in set(done)]
    return left[0] if len(left) == 1 else None
