# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Databases that exist for a while: making one from a dump, counting what is in it, and dropping it again. I/O."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from types import FrameType

from ._database_url import DatabaseUrl
from ._pg_client import explain
from ._pg_connect import connect
from ._pg_dump_sql import DatabaseSql, fit_create, literal, quote
from ._pg_lenient import Failure, came_to_its_end, read_failures
from ._pg_mark import Mark, expired, nameless
from ._pg_programs import run, tool
from ._pg_repository import BackupError, Table
from ._pg_restore_plan import Plan, compare
from ._pg_snapshot import count
from ._pg_store import Log
from ._pg_target import Session, for_programs, maintenance, take_lock

#: pg_restore of this major sets a parameter that older servers do not have, and goes on.
_NEWER_PARAMETER, _NEWER_PARAMETER_SINCE = 'unrecognized configuration parameter "transaction_timeout"', 17
_END_SESSIONS = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = %s"
_FORCED = """
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relforcerowsecurity AND c.relkind IN ('r', 'p') AND pg_catalog.pg_has_role(c.relowner, 'USAGE')
"""
_EMPTY = "SELECT pg_catalog.count(*) FROM pg_catalog.pg_class WHERE oid >= 16384"


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Let a SIGTERM unwind the stack, so that what we made for a while goes away with us."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def read_sql(dump: Path, client: int) -> str:
    """What a dump would do to a server, without its rows."""
    command = [
        tool(client, "pg_restore"),
        "--create",
        "--section=pre-data",
        "--section=post-data",
        "--file=-",
        str(dump),
    ]
    try:
        return run(command)
    except BackupError as error:
        raise BackupError(f"The dump cannot be read: {error}.") from None


def create(
    session: Session, loader: DatabaseUrl, sql: DatabaseSql, mark: Mark, plan: Plan, *, owner: str, grants: bool
) -> list[str]:
    """Make an empty database like the dump's, marked as ours, for a role that loads; returns what that may not set.

    The owner is that role, or another one that it is a member of.
    """
    name = plan.scratch
    statement = sql.create or f"CREATE DATABASE {quote(name)} TEMPLATE template0"
    try:
        session.do(fit_create(statement, session.major, plan.tablespaces, locale=not plan.local))
    except BackupError as error:
        hint = "; install its locale on the server and restart that" if "locale" in str(error) else ""
        raise BackupError(f"The database {name} cannot be created: {error}{hint}.") from None
    set_comment(session, name, literal(mark.to_text()))
    left_out = []
    try:
        with connected(session.url, name) as made:
            for extension in plan.extensions:
                made.do(f"CREATE EXTENSION {quote(extension)}")
        if owner != session.url.user:
            session.do(f"ALTER DATABASE {quote(name)} OWNER TO {quote(owner)}")
        with connected(loader, name) as loading:
            for statement in sql.settings if grants else sql.own_settings:
                try:
                    loading.do(statement)
                except BackupError as error:
                    if "permission denied" not in str(error):
                        raise
                    left_out.append(f"left out for want of rights: {statement}")
            for statement in sql.grants if grants else ():
                loading.do(statement)
    except BackupError as error:
        raise BackupError(f"The database {name} cannot be made like the dump's: {error}.") from None
    return left_out


@contextmanager
def connected(url: DatabaseUrl, database: str) -> Iterator[Session]:
    """A session with a database as the role of a URL."""
    connection = connect(for_programs(url, database))
    try:
        yield Session(replace(url, database=database), connection)
    finally:
        connection.close()


def make_roles(session: Session, names: Sequence[str]) -> None:
    """Roles that a dump names, in a server that has none: nobody can log in as one."""
    known = {name for (name,) in session.rows("SELECT rolname FROM pg_catalog.pg_roles")}
    for name in names:
        if name not in known:
            session.do(f"CREATE ROLE {quote(name)} NOLOGIN")


def set_comment(session: Session, name: str, text: str) -> None:
    session.do(f"COMMENT ON DATABASE {quote(name)} IS {text}")


def drop(session: Session, name: str) -> None:
    """Drop a database with whoever is in it."""
    if session.major >= 13:
        session.do(f"DROP DATABASE IF EXISTS {quote(name)} WITH (FORCE)")
        return
    session.rows(
        "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE datname = %s", name
    )
    session.do(f"DROP DATABASE IF EXISTS {quote(name)}")


def conninfo(database: str) -> str:
    """A connection string of one database, for programs that would take some names for a connection string."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


@dataclass(frozen=True)
class Filled:
    """What a restore left out: what it lacks because the backup holds some tables only, and what no row depends on."""

    lacking: tuple[str, ...] = ()
    excepted: tuple[str, ...] = ()


def fill(dump: Path, url: DatabaseUrl, client: int, server: int, plan: Plan, more: Sequence[str]) -> Filled:
    """Run pg_restore to its end; the first error that counts ends it.

    A backup of some tables may lack what they refer to: then its rows have to be there, and the errors are returned.
    """
    command = [tool(client, "pg_restore"), "--no-password", f"--dbname={conninfo(url.database)}"]
    command += [f"--jobs={plan.jobs}", "--no-subscriptions", *more, str(dump)]
    older = client >= _NEWER_PARAMETER_SINCE > server

    def counts(failure: Failure) -> bool:
        return not failure.excepted and not (older and _NEWER_PARAMETER in failure.message)

    with tempfile.TemporaryFile() as output:

        def said() -> str:
            # Not the stream's own position, from which pg_restore goes on writing.
            size = os.fstat(output.fileno()).st_size
            return os.pread(output.fileno(), size, 0).decode("utf-8", "replace")

        def watch() -> None:
            found = [] if plan.manifest.partial else [failure for failure in read_failures(said()) if counts(failure)]
            if found:
                raise BackupError(f"pg_restore failed: {explain(f'error: {found[0].message}')}.")

        try:
            # The shell only joins its two outputs, and is then replaced by pg_restore.
            run(["/bin/sh", "-c", 'exec "$0" "$@" 2>&1', *command], url, output=output, watch=watch)
        except BackupError as error:
            watch()
            if not came_to_its_end(said()):
                last = [failure.message for failure in read_failures(said())][-1:]
                raise BackupError(f"pg_restore failed: {explain(f'error: {last[0]}') if last else error}.") from None
        found = read_failures(said())
    return Filled(
        lacking=tuple(failure.message for failure in found if counts(failure)),
        excepted=tuple(failure.excepted for failure in found if failure.excepted),
    )


def analyze(url: DatabaseUrl, client: int, jobs: int) -> None:
    """Give the planner its statistics, without which a restored database is slow for hours."""
    command = [tool(client, "vacuumdb"), "--no-password", "--analyze-only", "--quiet", f"--jobs={jobs}"]
    try:
        run([*command, f"--dbname={conninfo(url.database)}"], url)
    except BackupError as error:
        raise BackupError(f"ANALYZE failed: {error}.") from None


def differences(url: DatabaseUrl, tables: Sequence[Table], hashed: bool) -> str:
    """Count every table, and say what is not as it was dumped."""
    with connected(url, url.database) as session:
        # Of a table whose policies bind its owner too, he could count only what they show.
        session.do("BEGIN")
        for (name,) in session.rows(_FORCED):
            session.do(f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY")
        return compare(tables, count(session.connection, tables, hashed))


class Timer:
    """Seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - started, 3)

    @property
    def total(self) -> float:
        return round(sum(self.seconds.values()), 3)


def sweep(admin: DatabaseUrl, name: str, now: datetime, log: Log, database: str = "") -> list[str]:
    """Drop what passed its day and what killed runs left of a name; nothing while a restore of it is at work."""
    with maintenance(admin) as session:
        try:
            take_lock(session, name)
        except BackupError:
            return []
        return sweep_locked(admin, session, name, now, log, database)


def sweep_locked(
    admin: DatabaseUrl, session: Session, name: str, now: datetime | None, log: Log, database: str
) -> list[str]:
    """The same for one who has taken the lock; without a time only what killed runs left."""
    found = session.databases()
    doomed = expired(found, name, now)
    if database:
        doomed += [held for held in nameless(found, database) if _is_empty(admin, held)]
    for held in doomed:
        try:
            drop(session, held)
        except BackupError as error:
            raise BackupError(f"The database {held} of an earlier restore cannot be dropped: {error}.") from None
        log(f"{name}: dropped the database {held}")
    return doomed


def _is_empty(admin: DatabaseUrl, database: str) -> bool:
    with connected(admin, database) as session:
        return bool(session.rows(_EMPTY)[0][0] == 0)
