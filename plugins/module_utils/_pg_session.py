# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A direct session with PostgreSQL for migrations: revisions, the advisory lock, leftovers. I/O beside `_migration`."""

from __future__ import annotations

import time
import traceback
from types import TracebackType

from ._database_url import DatabaseUrl
from ._migration import APPLICATION_NAME, MigrationError, explain_connect

try:
    import psycopg2
    import psycopg2.errors
except ImportError:
    PSYCOPG2_ERROR: str | None = traceback.format_exc()
else:
    PSYCOPG2_ERROR = None

_HOLDER = """
SELECT coalesce(host(a.client_addr), 'this host'), date_trunc('second', a.backend_start)::text
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((l.classid::bigint << 32) | l.objid::bigint) = %s
"""


class Unreachable(MigrationError):
    """No connection; `bearable` where the host may simply not be set up yet."""

    def __init__(self, message: str, bearable: bool) -> None:
        super().__init__(message)
        self.bearable = bearable


class Session:
    """One autocommit connection. Closing it releases the lock, and so does the death of this process."""

    def __init__(self, url: DatabaseUrl) -> None:
        self.url = url
        kwargs = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, **url.connect_kwargs()}
        try:
            self.connection = psycopg2.connect(**{**kwargs, "application_name": f"{APPLICATION_NAME}-lock"})
        except psycopg2.Error as exc:
            raise Unreachable(*explain_connect(str(exc), url)) from exc
        self.connection.autocommit = True
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            row = cursor.fetchone()
        # A pooler answers the handshake itself, so its number cannot be that of the server process behind it.
        if not row or row[0] != self.connection.get_backend_pid():
            self.connection.close()
            raise Unreachable(*explain_connect("pgbouncer", url))

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def column(self, query: str, *args: object) -> list[str]:
        """The first column of a query."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(query, args)
                return [row[0] for row in cursor.fetchall()]
        except psycopg2.Error as exc:
            reason = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
            raise MigrationError(f"Database {self.url.database}: a query failed ({reason}).") from exc

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

    def revisions(self, table: str) -> tuple[str, ...]:
        """What Alembic's version table holds; nothing where there is no such table yet."""
        # regclass prints the name quoted and, where needed, with its schema.
        name = self.column("SELECT to_regclass(%s)::text", table)[0]
        return tuple(sorted(self.column(f"SELECT version_num FROM {name}"))) if name else ()  # noqa: S608

    def lock(self, key: int, timeout: float) -> float:
        """Take the session's advisory lock, and return the seconds waited for it."""
        start = time.monotonic()
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, false)", (str(max(1, int(timeout * 1000))),))
            try:
                cursor.execute("SELECT pg_advisory_lock(%s)", (key,))
            except psycopg2.errors.LockNotAvailable as exc:
                cursor.execute(_HOLDER, (key,))
                holder = cursor.fetchone()
                by = f" from {holder[0]}, connected since {holder[1]}," if holder else ""
                raise MigrationError(
                    f"Database {self.url.database}: another migration{by} still held the lock after {timeout:g} s; "
                    f"wait for it to end, or raise timeout."
                ) from exc
        return time.monotonic() - start

    def terminate_leftovers(self) -> int:
        """End the sessions of a killed run's tool. Only under the lock: then no other run can be alive."""
        ended = self.column(
            "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity "
            "WHERE datname = current_database() AND usename = current_user AND application_name = %s",
            APPLICATION_NAME,
        )
        return len(ended)
