# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Loading the rows of a dump into tables that exist, all of them in one transaction. I/O beside `_pg_load_plan`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ._database_url import DatabaseUrl
from ._pg_connect import connect
from ._pg_load_plan import (
    ForeignKey,
    Sequence_,
    Trigger,
    after,
    before,
    explain_load,
    row_entries,
    without_extensions,
    without_other_rows,
)
from ._pg_programs import run, tool
from ._pg_repository import BackupError, Table
from ._pg_restore_plan import Request
from ._pg_scratch import conninfo
from ._pg_target import Session

#: Seconds that users may keep a table from being loaded.
LOCK_TIMEOUT = 30
_THERE = """
SELECT n.nspname, c.relname, c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p')
"""
_KEYS = """
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname), pg_catalog.quote_ident(k.conname),
       k.condeferrable, k.condeferred
FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid = ANY (%s::oid[]) ORDER BY 1, 2
"""
_TRIGGERS = """
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname), pg_catalog.quote_ident(t.tgname), t.tgenabled = 'A'
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgrelid = ANY (%s::oid[]) ORDER BY 1, 2
"""
_SEQUENCES = """
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname), pg_catalog.quote_ident(a.attname),
       pg_catalog.format('%%I.%%I', sn.nspname, s.relname)
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
JOIN pg_catalog.pg_class c ON c.oid = d.refobjid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
  AND d.deptype IN ('a', 'i') AND d.refobjid = ANY (%s::oid[]) ORDER BY 1, 2
"""


def write_list(
    dump: Path,
    client: int,
    tables: Sequence[Table] | None,
    owners: Sequence[str],
    into: Path,
    *,
    rows_only: bool = False,
    left_out: Sequence[str] = (),
) -> Path:
    """The entries of a dump that a restore takes, as a file for pg_restore --use-list.

    Of all tables, or the rows of some; without the extensions that are there already.
    """
    try:
        listing = run([tool(client, "pg_restore"), "--list", str(dump)])
    except BackupError as error:
        raise BackupError(f"The dump cannot be read: {error}.") from None
    entries = without_extensions(listing, left_out)
    if tables is not None:
        kept = row_entries(listing, tables, owners)
        entries = "\n".join(kept) + "\n" if rows_only else without_other_rows(entries, kept)
    path = into / "entries"
    path.write_text(entries, "utf-8")
    return path


def load_rows(
    dump: Path,
    client: int,
    url: DatabaseUrl,
    tables: Sequence[Table],
    owners: Sequence[str],
    request: Request,
    private: Path,
) -> None:
    """All rows of these tables, or none: whatever goes wrong leaves the database as it was."""
    keys, triggers, sequences = _look(url, tables)
    command = [tool(client, "pg_restore"), "--data-only", "--file=-"]
    if request.tables:
        command.append(f"--use-list={write_list(dump, client, tables, owners, private, rows_only=True)}")
    scripts = [private / f"{name}.sql" for name in ("before", "rows", "after")]
    scripts[0].write_text(before(tables, keys, triggers, request.truncate, LOCK_TIMEOUT), "utf-8")
    # The sequences of a whole dump come with it.
    scripts[2].write_text(after(tables, keys, triggers, sequences if request.tables else ()), "utf-8")
    try:
        # To a file first: of a dump that ends in the middle, psql would commit what it got.
        with scripts[1].open("wb") as output:
            run([*command, str(dump)], output=output)
    except BackupError as error:
        raise BackupError(f"The dump does not decode: {error}; nothing was changed.") from None
    command = [tool(client, "psql"), "--no-psqlrc", "--no-password", "--quiet", "--single-transaction"]
    command += ["--set=ON_ERROR_STOP=1", "--output=/dev/null", *(f"--file={path}" for path in scripts)]
    try:
        run([*command, f"--dbname={conninfo(url.database)}"], url)
    except BackupError as error:
        said = explain_load(str(error), request.truncate)
        raise BackupError(f"The rows could not be loaded into {url.database}: {said}; nothing was changed.") from None


def _look(url: DatabaseUrl, tables: Sequence[Table]) -> tuple[list[ForeignKey], list[Trigger], list[Sequence_]]:
    """What the tables have that would get in the way of their rows."""
    connection = connect(url)
    try:
        session = Session(url, connection)
        there = {(schema, name): oid for schema, name, oid in session.rows(_THERE)}
        missing = [f"{table.schema}.{table.name}" for table in tables if (table.schema, table.name) not in there]
        if missing:
            raise BackupError(
                f"The database {url.database} has no table {', '.join(missing[:8])}; bring it to the backup's "
                "schema first, or restore into another database."
            )
        oids = [there[table.schema, table.name] for table in tables]
        keys = [ForeignKey(*row) for row in session.rows(_KEYS, oids)]
        triggers = [Trigger(*row) for row in session.rows(_TRIGGERS, oids)]
        return keys, triggers, [Sequence_(*row) for row in session.rows(_SEQUENCES, oids)]
    finally:
        connection.close()
