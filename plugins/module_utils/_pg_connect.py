# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A direct connection with a PostgreSQL server: never through a pooler, and as root the right user on a socket."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ._database_url import DatabaseUrl
from ._pg_client import explain
from ._pg_programs import APPLICATION_NAME, CONNECT_TIMEOUT, socket_user
from ._pg_repository import BackupError

try:
    import psycopg2
    import psycopg2.extensions
    import psycopg2.extras
except ImportError:
    DATABASE_ERROR: type[Exception] = OSError
else:
    DATABASE_ERROR = psycopg2.Error

#: A connection that waits for hours must outlive a firewall that forgets silent ones.
_KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10}


#: What PgBouncer says to startup options that it does not know.
_POOLER = "unsupported startup parameter"


class BehindPooler(Exception):
    """A connection pooler answered in the server's place."""


def driver_installed() -> bool:
    """Whether a connection can be had at all."""
    return "psycopg2" in globals()


def let_signals_in() -> None:
    """Have statements of this process end with a signal whose handler raises, and not only when the server answers."""
    if driver_installed():
        psycopg2.extensions.set_wait_callback(psycopg2.extras.wait_select)


def connect(url: DatabaseUrl, **more: Any) -> Any:
    """A psycopg2 connection in autocommit mode, with `more` arguments for libpq; BackupError with a hint.

    Its search_path is pg_catalog, whatever the database sets.
    """
    if not driver_installed():
        raise BackupError("The Python library psycopg2 is missing; install the package python3-psycopg2.")
    try:
        return connect_directly(url.pinned(), **{"application_name": APPLICATION_NAME, **more})
    except BehindPooler:
        raise BackupError(
            f"Cannot use {url.redacted}: a connection pooler answered, and one session is needed from start to end; "
            "give it the server's own host and port."
        ) from None
    except psycopg2.Error as error:
        raise BackupError(f"Cannot use {url.redacted}: {explain_failure(error, url)}.") from None


def connect_directly(url: DatabaseUrl, **more: Any) -> Any:
    """As connect(), but the search_path is the role's, and psycopg2.Error and BehindPooler go to the caller."""
    arguments = {"connect_timeout": int(CONNECT_TIMEOUT), **_KEEPALIVE, **url.connect_kwargs(), **more}
    with _acting_as(socket_user(url)):
        try:
            connection = psycopg2.connect(**arguments)
        except psycopg2.OperationalError as error:
            if _POOLER in str(error):
                raise BehindPooler from None
            raise
    try:
        connection.autocommit = True
        if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
            # Its names may be of any bytes: as Latin-1 they come and go unchanged, as they do in a dump of it.
            connection.set_client_encoding("LATIN1")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_catalog.pg_backend_pid()")
            row = cursor.fetchone()
        # A pooler answers the handshake itself, so its number cannot be that of the server process behind it.
        if not row or row[0] != connection.get_backend_pid():
            raise BehindPooler
    except BaseException:
        connection.close()
        raise
    return connection


def rows(
    connection: Any, query: str, arguments: Any = None, *, what: str = "The session of the backup"
) -> list[tuple[Any, ...]]:
    """All rows of a query; BackupError says that `what` failed, and why."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(query, arguments)
            return list(cursor.fetchall())
    except DATABASE_ERROR as error:
        raise BackupError(f"{what} failed: {explain_failure(error)}.") from None


def explain_failure(error: Exception, url: DatabaseUrl | None = None) -> str:
    """What the server said, in one line with a hint; without the end of a sentence."""
    return explain(f"error: {str(error).strip() or 'the connection is gone'}", url.password if url else "")


@contextmanager
def _acting_as(user: str | None) -> Iterator[None]:
    if user is None:
        yield
        return
    try:
        os.seteuid(pwd.getpwnam(user).pw_uid)
    except OSError as error:
        raise BackupError(f"Cannot connect as the OS user {user}: {error.strerror}.") from None
    try:
        yield
    finally:
        os.seteuid(0)
