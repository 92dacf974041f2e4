# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Loading rows into tables that exist: what runs before and after them, in the same transaction. Pure.

Foreign keys are checked once, when all rows are there, so that their order does not matter; triggers do not fire, as
in a whole restore; and the rows are counted before anything is committed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ._pg_dump_sql import literal, quote
from ._pg_repository import BackupError, Table

_ENTRY = re.compile(r"(?P<number>[0-9]+); [0-9]+ [0-9]+ (?P<rest>.*)")
_ROWS = "TABLE DATA "
#: The settings in which the script keeps how many rows there were.
_HAD = "quayside.rows_"
#: Entries that need the rows of other tables.
_OF_OTHERS = ("FK CONSTRAINT ", "MATERIALIZED VIEW DATA ")


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key of a table that is loaded, as it is now."""

    table: str
    name: str
    deferrable: bool
    deferred: bool

    @property
    def mode(self) -> str:
        if not self.deferrable:
            return "NOT DEFERRABLE"
        return "DEFERRABLE INITIALLY DEFERRED" if self.deferred else "DEFERRABLE INITIALLY IMMEDIATE"


@dataclass(frozen=True)
class Trigger:
    """A trigger of a table that is loaded; always is how ENABLE ALWAYS made it."""

    table: str
    name: str
    always: bool


@dataclass(frozen=True)
class Sequence_:
    """A sequence that a column takes its values from, and its limits; table, column and sequence are SQL."""

    table: str
    column: str
    sequence: str


def row_entries(listing: str, tables: Sequence[Table], owners: Collection[str]) -> list[str]:
    """The lines of pg_restore --list that hold the rows of these tables."""
    lines = [line for line in listing.splitlines() if _kind(line).startswith(_ROWS)]
    return [_row_entry(lines, table, owners) for table in tables]


def _row_entry(lines: Sequence[str], table: Table, owners: Collection[str]) -> str:
    # The list does not quote names, so "a b" "c" and "a" "b c" look the same there.
    start = " ".join(f"{_ROWS}{table.schema} {table.name} ".splitlines())
    found = [line for line in lines if _kind(line).startswith(start)]
    if len(found) > 1:
        found = [line for line in found if _kind(line)[len(start) :] in owners]
    if len(found) == 1:
        return found[0]
    why = "is like that of another table" if found else "is missing"
    raise BackupError(
        f"The entry of {table.schema}.{table.name} in the dump {why}; restore the whole database instead."
    )


def _kind(line: str) -> str:
    match = _ENTRY.fullmatch(line)
    return match["rest"] if match else ""


def without_other_rows(listing: str, kept: Collection[str]) -> str:
    """The whole structure, but the rows of some tables only, and nothing that needs the rows of the others."""
    lines = []
    for line in listing.splitlines():
        kind = _kind(line)
        if line in kept or not kind.startswith((_ROWS, *_OF_OTHERS)):
            lines.append(line)
    return "\n".join(lines) + "\n"


def without_extensions(listing: str, names: Collection[str]) -> str:
    """All entries but those of some extensions, which are there already and belong to somebody else."""
    starts = tuple(start for name in names for start in (f"EXTENSION - {name} ", f"COMMENT - EXTENSION {name} "))
    return "".join(f"{line}\n" for line in listing.splitlines() if not starts or not _kind(line).startswith(starts))


def sql_name(table: Table) -> str:
    return f"{quote(table.schema)}.{quote(table.name)}"


def before(
    tables: Sequence[Table], keys: Sequence[ForeignKey], triggers: Sequence[Trigger], truncate: bool, lock_timeout: int
) -> str:
    """What runs before the rows: the tables are ours alone, empty if wanted, and nothing interferes."""
    names = ", ".join(f"ONLY {sql_name(table)}" for table in tables)
    lines = [f"SET lock_timeout = '{lock_timeout}s'"]
    if tables:
        lines.append(f"LOCK TABLE {names} IN {'ACCESS EXCLUSIVE' if truncate else 'SHARE ROW EXCLUSIVE'} MODE")
    if truncate and tables:
        lines.append(f"TRUNCATE {names}")
    for number, table in enumerate(tables):
        lines.append(f"SELECT pg_catalog.set_config('{_HAD}{number}', ({_count(table)})::text, true)")
    lines += [f"ALTER TABLE {key.table} ALTER CONSTRAINT {key.name} DEFERRABLE INITIALLY DEFERRED" for key in keys]
    lines += [f"ALTER TABLE {trigger.table} DISABLE TRIGGER {trigger.name}" for trigger in triggers]
    return "".join(f"{line};\n" for line in lines)


def after(
    tables: Sequence[Table], keys: Sequence[ForeignKey], triggers: Sequence[Trigger], sequences: Sequence[Sequence_]
) -> str:
    """What runs after the rows: all is as before, and each table has exactly the rows that came with the dump more."""
    lines = ["SET CONSTRAINTS ALL IMMEDIATE"]
    lines += [f"ALTER TABLE {key.table} ALTER CONSTRAINT {key.name} {key.mode}" for key in keys]
    for trigger in triggers:
        lines.append(f"ALTER TABLE {trigger.table} ENABLE {'ALWAYS ' if trigger.always else ''}TRIGGER {trigger.name}")
    for item in sequences:
        # Only ever forward: numbers that were given out stay so.
        top = f"SELECT pg_catalog.max({item.column}) AS top FROM {item.table}"  # noqa: S608
        behind = "top > s.last_value OR (top = s.last_value AND NOT s.is_called)"
        called = f"pg_catalog.setval({literal(item.sequence)}, top)"
        lines.append(f"SELECT {called} FROM {item.sequence} AS s, ({top}) AS m WHERE {behind}")  # noqa: S608
    lines += [_count_check(number, table) for number, table in enumerate(tables)]
    return "".join(f"{line};\n" for line in lines)


def _count(table: Table) -> str:
    return f"SELECT pg_catalog.count(*) FROM ONLY {sql_name(table)}"  # noqa: S608


def _count_check(number: int, table: Table) -> str:
    wanted = f"pg_catalog.current_setting('{_HAD}{number}')::bigint + {table.rows}"
    refuse = f"RAISE EXCEPTION '% did not get its {table.rows} rows', {literal(f'{table.schema}.{table.name}')}"
    return "DO " + literal(f"BEGIN IF ({_count(table)}) <> {wanted} THEN {refuse}; END IF; END")


def explain_load(problem: str, truncate: bool) -> str:
    """What psql said, without the place in a file that is gone, and with what to do about it."""
    said = re.sub(r"^psql:.*?:[0-9]+: (?:ERROR: )?\s*", "", problem)
    if "duplicate key" in said and not truncate:
        return f"{said}; rows of the backup are there already: truncate empties the tables first"
    if "foreign key constraint" in said and "truncate" in said.lower():
        return f"{said}; name the tables that refer to it too, or restore into another database"
    if "foreign key constraint" in said:
        return f"{said}; name the table that it refers to as well"
    return said
