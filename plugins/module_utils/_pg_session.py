# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A direct session with PostgreSQL for migrations: revisions, the advisory lock, leftovers. I/O beside `_migration`."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ._database_url import DatabaseUrl
from ._migration import APPLICATION_NAME, MigrationError, explain_connect, milliseconds
from ._pg_connect import BehindPooler, connect_directly

try:
    import psycopg2
    import psycopg2.errors
    import psycopg2.extensions
except ImportError:
    PSYCOPG2_ERROR: str | None = traceback.format_exc()
    DATABASE_ERROR: type[Exception] = OSError
else:
    PSYCOPG2_ERROR = None
    DATABASE_ERROR = psycopg2.Error

_HOLDER = """
SELECT coalesce(pg_catalog.host(a.client_addr), 'this host')
    || coalesce(', connected since ' || pg_catalog.date_trunc('second', a.backend_start), '')
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND ((l.classid::bigint << 32) | l.objid::bigint) = %s
"""
#: The names that pg_dump and our own backups give their sessions; a name is shown to every user.
_BACKUPS = """
SELECT pid::text FROM pg_catalog.pg_stat_activity
WHERE datname = pg_catalog.current_database() AND pid <> pg_catalog.pg_backend_pid()
  AND (application_name LIKE 'pg\\_dump%%' OR application_name = 'quayside-backup')
"""
#: A build that still runs is not valid yet either, and a partitioned index is so until all its parts are attached.
_INVALID_INDEXES = """
SELECT i.indexrelid::regclass::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND c.relkind = 'i'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid)
ORDER BY 1
"""
#: Waiting DDL of the same user, in a session that is younger than the tool: what no app does.
_STUCK = """
SELECT DISTINCT l.pid::text FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a USING (pid)
WHERE NOT l.granted AND l.locktype = 'relation'
  AND a.datname = pg_catalog.current_database() AND a.usename = current_user
  AND a.backend_start >= %s::timestamptz AND l.pid <> pg_catalog.pg_backend_pid()
  AND l.mode IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock',
                 'ShareUpdateExclusiveLock')
"""
_POLL = 0.1


class Unreachable(MigrationError):
    """No connection; `bearable` where the host may simply not be set up yet."""

    def __init__(self, message: str, bearable: bool) -> None:
        super().__init__(message)
        self.bearable = bearable


class Session:
    """One autocommit connection. Closing it releases the lock, and so does the death of this process."""

    def __init__(self, url: DatabaseUrl) -> None:
        self.url = url
        try:
            self.connection = connect_directly(url, application_name=f"{APPLICATION_NAME}-lock")
        except BehindPooler:
            raise Unreachable(*explain_connect("pgbouncer", url)) from None
        except psycopg2.Error as exc:
            raise Unreachable(*explain_connect(str(exc), url)) from exc

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def rows(self, query: str, *args: object) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(query, args)
                return list(cursor.fetchall())
        except psycopg2.Error as exc:
            raise MigrationError(f"Database {self.url.database}: a query failed ({first_line(exc)}).") from exc

    def column(self, query: str, *args: object) -> list[str]:
        """The first column of a query."""
        return [row[0] for row in self.rows(query, *args)]

    @property
    def server_version(self) -> int:
        """Such as 150004 for 15.4."""
        return int(self.connection.server_version)

    def is_empty(self) -> bool:
        """Whether there is no table yet."""
        return not self.column(
            "SELECT 'any' FROM pg_catalog.pg_tables "
            "WHERE schemaname NOT IN ('pg_catalog', 'information_schema') LIMIT 1"
        )

    def table(self, name: str) -> str | None:
        """A table's name, quoted and with its schema where it needs one; None where there is no such table."""
        return self.column("SELECT pg_catalog.to_regclass(%s)::text", name)[0]

    def revisions(self, table: str) -> tuple[str, ...]:
        """What Alembic's version table holds; nothing where there is no such table yet."""
        name = self.table(table)
        return tuple(sorted(self.column(f"SELECT version_num FROM {name}"))) if name else ()  # noqa: S608

    def invalid_indexes(self) -> list[str]:
        return self.column(_INVALID_INDEXES)

    def lock(self, key: int, timeout: float) -> float:
        """Take the session's advisory lock, and return the seconds waited for it."""
        # Tried again and again, for a signal to this process would not interrupt a call that waits.
        return self._wait(
            lambda: self.column("SELECT pg_catalog.pg_try_advisory_lock(%s)::text", key) == ["true"],
            timeout,
            lambda: (
                f"another migration{self._holder(key)} still held the lock after {timeout:g} s; "
                f"wait for it to end, or raise timeout"
            ),
        )

    def wait_for_lock_of_others(self, key: int, timeout: float, name: str) -> float:
        """Wait until nobody holds this advisory lock, and leave it free for the tool that takes it by itself."""
        waited = self._wait(
            lambda: self.column("SELECT pg_catalog.pg_try_advisory_lock(%s)::text", key) == ["true"],
            timeout,
            lambda: (
                f"another run of {name}{self._holder(key)} still held its lock after {timeout:g} s; "
                f"wait for it to end, or raise timeout"
            ),
        )
        self.column("SELECT pg_catalog.pg_advisory_unlock(%s)::text", key)
        return waited

    def wait_for_backups(self, timeout: float) -> float:
        """Wait for running dumps: DDL queues behind the locks that they hold on every table, and readers behind it."""
        return self._wait(
            lambda: not self.column(_BACKUPS),
            timeout,
            lambda: (
                f"a backup (pg_dump) still ran after {timeout:g} s, and a migration would block every reader "
                f"behind it; wait for it to end, or raise timeout"
            ),
        )

    def now(self) -> str:
        return self.column("SELECT pg_catalog.clock_timestamp()::text")[0]

    def stuck(self, since: str) -> list[int]:
        """The sessions younger than `since` whose DDL waits for a lock."""
        return [int(pid) for pid in self.column(_STUCK, since)]

    def cancel(self, pid: int) -> None:
        self.column("SELECT pg_catalog.pg_cancel_backend(%s)::text", pid)

    def settings(self, lock_timeout: str, timeout: float) -> None:
        """Bound what this session's own statements may wait and take."""
        wanted = {"lock_timeout": milliseconds(lock_timeout), "statement_timeout": max(1, int(timeout * 1000))}
        if self.server_version >= 140000:
            wanted["client_connection_check_interval"] = 1000
        self.execute("RESET SESSION AUTHORIZATION")
        self.execute("RESET ALL")
        for name, value in wanted.items():
            self.column("SELECT pg_catalog.set_config(%s, %s, false)", name, str(value))

    def execute(self, statement: str, *args: object) -> None:
        """Run a statement, and end it when a signal ends us; psycopg2.Error goes to the caller."""
        failures: list[BaseException] = []

        def work() -> None:
            try:
                with self.connection.cursor() as cursor:
                    cursor.execute(statement, args or None)
            except BaseException as exc:
                failures.append(exc)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(_POLL)
        except BaseException:
            self.connection.cancel()
            thread.join(10)
            raise
        for failure in failures:
            raise failure

    def roll_back(self) -> bool:
        """Leave a transaction that is open or broken; whether there was one."""
        status = self.connection.get_transaction_status()
        if status in (psycopg2.extensions.TRANSACTION_STATUS_INTRANS, psycopg2.extensions.TRANSACTION_STATUS_INERROR):
            self.execute("ROLLBACK")
            return True
        return False

    def _wait(self, free: Callable[[], bool], timeout: float, why: Callable[[], str]) -> float:
        start = time.monotonic()
        while not free():
            if time.monotonic() - start >= timeout:
                raise MigrationError(f"Database {self.url.database}: {why()}.")
            time.sleep(_POLL)
        return time.monotonic() - start

    def _holder(self, key: int) -> str:
        return "".join(f" from {holder}" for holder in self.column(_HOLDER, key)[:1])

    def terminate_leftovers(self) -> int:
        """End the sessions of a killed run's tool. Only under the lock: then no other run can be alive."""
        ended = self.column(
            "SELECT pg_catalog.pg_terminate_backend(pid)::text FROM pg_catalog.pg_stat_activity "
            "WHERE datname = pg_catalog.current_database() AND usename = current_user AND application_name = %s",
            APPLICATION_NAME,
        )
        return len(ended)


def first_line(exc: BaseException) -> str:
    """What PostgreSQL says, without the statement that it points into."""
    return (str(exc).strip().splitlines() or [type(exc).__name__])[0]
