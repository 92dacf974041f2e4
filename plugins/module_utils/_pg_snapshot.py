# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""One snapshot of a database, for pg_dump to dump and for us to count what it must have dumped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from ._pg_client import quote_table
from ._pg_connect import DATABASE_ERROR, explain_failure, rows
from ._pg_programs import APPLICATION_NAME
from ._pg_relations import Relation
from ._pg_repository import BackupError, Key, Table

#: The transaction status of libpq outside of any transaction.
IDLE = 0
#: Tables in one LOCK statement.
_BATCH = 200
_TRIES = 3
#: SQLSTATEs: a table that has just been dropped, a lock that was not given, a lock table that is full.
_UNDEFINED_TABLE, _LOCK_TIMEOUT, _OUT_OF_MEMORY = "42P01", "55P03", "53200"

_BY_OID = """
SELECT n.nspname, c.relname, rn.nspname, r.relname
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class r ON c.relispartition AND r.oid = pg_catalog.pg_partition_root(c.oid)
LEFT JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
WHERE c.oid = ANY(%s::oid[]) ORDER BY 1, 2
"""
#: An extension may want only some rows of its tables dumped, the others being its own.
_BY_NAME = """
SELECT n.nspname, c.relname, c.relkind::text, coalesce(e.condition, '')
FROM ROWS FROM (pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::text[])) AS wanted(schema, name)
JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
LEFT JOIN (
    SELECT pg_catalog.unnest(extconfig) AS oid, pg_catalog.unnest(extcondition) AS condition
    FROM pg_catalog.pg_extension
) e ON e.oid = c.oid
"""
_HOLDERS = """
SELECT n.nspname, c.relname, l.pid, a.usename, coalesce(nullif(a.application_name, ''), 'unnamed')
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.mode = 'AccessExclusiveLock' AND l.relation = ANY(%s::oid[])
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
LIMIT 1
"""
#: Whether our pg_dump waits for somebody who waits for us.
_OVERTAKEN = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_stat_activity a
    WHERE a.datname = pg_catalog.current_database() AND a.application_name = %s AND a.wait_event_type = 'Lock'
        AND EXISTS (
            SELECT FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids(a.pid)) AS between_us
            WHERE pg_catalog.pg_backend_pid() = ANY(pg_catalog.pg_blocking_pids(between_us))
        )
)
"""
#: What a session that waits for a long dump must not be ended by, and what must not hide a row.
_PATIENT = {
    "idle_in_transaction_session_timeout": ("0", 0),
    "idle_session_timeout": ("0", 140000),
    "transaction_timeout": ("0", 170000),
    "statement_timeout": ("0", 0),
    "client_connection_check_interval": ("5s", 140000),
    "row_security": ("off", 0),
}
#: What the text of a row depends on.
_PINNED = {
    "search_path": "pg_catalog",
    "extra_float_digits": "3",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "lc_monetary": "C",
    "lc_numeric": "C",
}
#: 64 bits of each row's SHA-256; their sum is the same in whatever order the rows come. A cast of the row would be the
#: database's own, if it has one; what concat() writes never is.
_ROW_HASH = (
    "coalesce(pg_catalog.sum(('x' || pg_catalog.left(pg_catalog.encode(pg_catalog.sha256("
    "pg_catalog.convert_to(pg_catalog.concat({row}.*), 'SQL_ASCII')), 'hex'), 16))::bit(64)::bigint), 0)::text"
)


class Overtaken(BackupError):
    """Somebody's DDL came between our locks and pg_dump's: it waits for us, pg_dump for it, and we for pg_dump."""


@dataclass(frozen=True)
class Source:
    """A table of the dump; root is the partitioned table that pg_dump may name in its place."""

    key: Key
    root: Key | None = None


@contextmanager
def exported(
    connection: Any, choose: Callable[[], Sequence[Relation]] = tuple, lock_timeout: int = 60
) -> Iterator[str]:
    """The id of a snapshot, for as long as this lasts. The tables that `choose` names are locked before it is taken.

    Thus no TRUNCATE and no ALTER that rewrites a table can empty it under the snapshot, as it can under pg_dump's own.
    """
    settings = {name: value for name, (value, since) in _PATIENT.items() if connection.server_version >= since}
    _set(connection, {**settings, "lock_timeout": f"{lock_timeout}s"})
    for tries_left in reversed(range(_TRIES)):
        relations = [relation for relation in choose() if relation.kind in "rp" and relation.readable]
        _execute(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if _lock(connection, relations, tries_left):
            break
    try:
        yield str(rows(connection, "SELECT pg_catalog.pg_export_snapshot()")[0][0])
    finally:
        with suppress(BackupError):
            release(connection)


def release(connection: Any) -> None:
    """Give the snapshot up with its locks, behind which migrations wait."""
    if connection.closed == 0 and connection.get_transaction_status() != IDLE:
        _execute(connection, "ROLLBACK")


def _lock(connection: Any, relations: Sequence[Relation], tries_left: int) -> bool:
    """Lock tables in the transaction that has begun; False to begin again with those that there are now."""
    try:
        with connection.cursor() as cursor:
            for start in range(0, len(relations), _BATCH):
                names = ", ".join(f"ONLY {quote_table(r.schema, r.name)}" for r in relations[start : start + _BATCH])
                cursor.execute(f"LOCK TABLE {names} IN ACCESS SHARE MODE")
    except DATABASE_ERROR as error:
        state = getattr(error, "pgcode", None)
        holder = _holder(connection, relations) if state == _LOCK_TIMEOUT else ""
        if connection.closed == 0:
            _execute(connection, "ROLLBACK")
        if state == _UNDEFINED_TABLE and tries_left:
            return False
        if state == _OUT_OF_MEMORY:  # pg_dump may still have room for its own locks
            _execute(connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return True
        raise BackupError(f"The tables cannot be locked for the dump: {explain_failure(error)}{holder}.") from None
    return True


def _holder(connection: Any, relations: Sequence[Relation]) -> str:
    _execute(connection, "ROLLBACK")
    found = rows(connection, _HOLDERS, ([relation.oid for relation in relations],))
    return "".join(f" ({s}.{t} is locked by {user}, process {pid}, {name})" for s, t, pid, user, name in found)


def sources(connection: Any, oids: Sequence[int]) -> list[Source]:
    """The tables with these oids."""
    return [
        Source((schema, name), None if root is None else (root_schema, root))
        for schema, name, root_schema, root in rows(connection, _BY_OID, (list(oids),))
    ]


def cancel(connection: Any) -> None:
    """End what the session does, for nobody waits for it any more."""
    with suppress(DATABASE_ERROR):
        connection.cancel()


def watch(connection: Any) -> None:
    """Look after pg_dump: BackupError when our session has ended, Overtaken when the two will wait for each other."""
    # Or a transaction sees the same states of sessions to its end.
    rows(connection, "SELECT pg_catalog.pg_stat_clear_snapshot()")
    if rows(connection, _OVERTAKEN, (APPLICATION_NAME,))[0][0]:
        raise Overtaken("another session wants to change a table that is about to be dumped")


def database_size(connection: Any) -> int:
    """Bytes of the database with its indexes; 0 where the server does not tell."""
    with suppress(BackupError):
        return int(rows(connection, "SELECT pg_catalog.pg_database_size(pg_catalog.current_database())")[0][0])
    return 0


def count(connection: Any, tables: Sequence[Table], hashed: bool) -> tuple[Table, ...]:
    """The same tables with their rows, and with a hash of all rows in any order where asked for."""
    _set(connection, _PINNED)
    wanted = ([table.schema for table in tables], [table.name for table in tables])
    found = {(schema, name): (kind, rule) for schema, name, kind, rule in rows(connection, _BY_NAME, wanted)}
    counted = []
    for table in tables:
        if (table.schema, table.name) not in found:
            raise BackupError(f"The table {table.schema}.{table.name} is not there.")
        kind, condition = found[table.schema, table.name]
        # A table's children are tables of their own, but a partitioned table has nothing beside its partitions.
        origin = ("" if kind == "p" else "ONLY ") + quote_table(table.schema, table.name)
        columns = "pg_catalog.count(*), " + (_ROW_HASH.format(row=quote_table("", table.name)) if hashed else "NULL")
        query = f"SELECT {columns} FROM {origin} {condition}"  # noqa: S608
        ((found_rows, total),) = rows(connection, query, what=f"The count of {table.schema}.{table.name}")
        counted.append(replace(table, rows=found_rows, hash=f"{int(total) % 2**64:016x}" if hashed else ""))
    return tuple(counted)


def _set(connection: Any, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        rows(connection, "SELECT pg_catalog.set_config(%s, %s, false)", (name, value))


def _execute(connection: Any, statement: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    except DATABASE_ERROR as error:
        raise BackupError(f"The session of the backup failed: {explain_failure(error)}.") from None
