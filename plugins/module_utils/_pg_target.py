# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The server that a restore goes to: a maintenance session with it, and what it says about itself. I/O."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ._database_url import DatabaseUrl
from ._pg_connect import DATABASE_ERROR, connect, explain_failure
from ._pg_facts import Extension, Live, Role, Target
from ._pg_mark import Marked
from ._pg_repository import BackupError
from ._pg_rights import LOADING, POWERFUL, Logins, read_loader

#: Whatever the role or the database sets: a restore takes its time, and may write. For sessions and for programs.
#: Seconds for another restore's session to end.
LOCK_WAIT = 5.0
SETTINGS = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "default_transaction_read_only": "off",
    "row_security": "off",
}
_SERVER = """
SELECT pg_catalog.current_setting('server_version'),
       pg_catalog.current_setting('server_version_num')::int / 10000, r.rolname, r.rolsuper,
       r.rolsuper OR r.rolcreatedb,
       (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'),
       pg_catalog.current_setting('max_connections')::int
         - CASE WHEN r.rolsuper THEN 0 ELSE pg_catalog.current_setting('superuser_reserved_connections')::int
           + coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::int END
         - (SELECT pg_catalog.sum(numbackends) FROM pg_catalog.pg_stat_database)::int,
       CASE WHEN r.rolconnlimit < 0 THEN NULL ELSE r.rolconnlimit
         - (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = r.oid)::int END
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""
_DATABASES = """
SELECT d.datname, coalesce(pg_catalog.shobj_description(d.oid, 'pg_database'), '') FROM pg_catalog.pg_database d
ORDER BY d.datname
"""
_LIVE = """
SELECT d.oid, r.rolname, pg_catalog.pg_has_role(d.datdba, 'USAGE'),
       coalesce(pg_catalog.shobj_description(d.oid, 'pg_database'), ''),
       (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts x WHERE x.database = d.datname),
       array(SELECT s.slot_name::text FROM pg_catalog.pg_replication_slots s WHERE s.database = d.datname),
       array(SELECT u.subname::text FROM pg_catalog.pg_subscription u WHERE u.subdbid = d.oid)
FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba WHERE d.datname = %s
"""
_SESSIONS = """
SELECT r.rolname,
       me.rolsuper OR (NOT r.rolsuper
         AND (pg_catalog.pg_has_role(r.oid, 'MEMBER') OR pg_catalog.pg_has_role('pg_signal_backend', 'MEMBER')))
FROM pg_catalog.pg_stat_activity a
JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
CROSS JOIN (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) me
WHERE a.datid = %s AND a.pid <> pg_catalog.pg_backend_pid()
"""
#: From 16 on, whoever may not SET ROLE may not give anything to that role either.
_ROLES = """
SELECT rolname, coalesce((SELECT pg_catalog.pg_has_role(l.oid, r.oid, '{privilege}')
                          FROM pg_catalog.pg_roles l WHERE l.rolname = %s), false),
       pg_catalog.pg_has_role(r.oid, '{privilege}')
FROM pg_catalog.pg_roles r
"""
_EXTENSIONS = """
SELECT v.name, pg_catalog.bool_or(NOT v.superuser OR {trusted})
FROM pg_catalog.pg_available_extension_versions v GROUP BY v.name
"""


@dataclass(frozen=True)
class Session:
    """A session with a database of the server that no restore renames."""

    url: DatabaseUrl
    connection: Any

    @property
    def major(self) -> int:
        return int(self.connection.server_version) // 10000

    def rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(query, arguments)
                return list(cursor.fetchall())
        except DATABASE_ERROR as error:
            raise BackupError(f"The server refused a question: {explain_failure(error, self.url)}.") from None

    def do(self, statement: str) -> None:
        """Run a statement as it is; BackupError says what the server said."""
        try:
            with self.connection.cursor() as cursor:
                cursor.execute(statement)
        except DATABASE_ERROR as error:
            raise BackupError(explain_failure(error, self.url)) from None

    def databases(self) -> list[Marked]:
        return [Marked(*row) for row in self.rows(_DATABASES)]


def for_programs(url: DatabaseUrl, database: str, major: int = 0, **more: str) -> DatabaseUrl:
    """The URL of another database of the same server, with our settings."""
    settings = {**SETTINGS, **more}
    if major >= 17:
        settings["transaction_timeout"] = "0"
    wanted = [url.options.get("options", ""), *(f"-c {key}={value}" for key, value in settings.items())]
    return replace(url, database=database, options={**url.options, "options": " ".join(filter(None, wanted))})


@contextmanager
def maintenance(admin: DatabaseUrl, avoid: Sequence[str] = ()) -> Iterator[Session]:
    """A session beside the databases that are to be renamed: with postgres where there is one, else the URL's own."""
    candidates = [name for name in dict.fromkeys(("postgres", admin.database, "template1")) if name not in avoid]
    problem: BackupError | None = None
    for database in candidates:
        url = for_programs(admin, database)
        try:
            connection = connect(url)
        except BackupError as error:
            problem = problem or error
            continue
        try:
            yield Session(replace(admin, database=database), connection)
            return
        finally:
            connection.close()
    raise problem or BackupError("The server has no database to work from; create one called postgres.")


def take_lock(session: Session, name: str) -> None:
    """Be the only one who restores this name on this server, whatever host runs it; held until the session ends."""
    number = int.from_bytes(hashlib.sha256(f"quayside-restore {name}".encode()).digest()[:8], "big", signed=True)
    # A session that has just ended may hold it a moment longer.
    deadline = time.monotonic() + LOCK_WAIT
    while not session.rows("SELECT pg_catalog.pg_try_advisory_lock(%s)", number)[0][0]:
        if time.monotonic() > deadline:
            raise BackupError(f"Another restore or drill of {name} is at work on this server; try when it has ended.")
        time.sleep(0.1)


def inspect(session: Session, live: str, logins: Logins) -> Target:
    """Everything that decides whether a restore can succeed."""
    owner = logins.owner.user
    version, major, user, superuser, may_create, folder, slots, role_slots = session.rows(_SERVER)[0]
    names = tuple(marked.database for marked in session.databases())
    privilege = "SET" if major >= 16 else "MEMBER"
    trusted = "v.trusted" if major >= 13 else "false"
    return Target(
        version=version.split()[0],
        major=major,
        user=user,
        maintenance=session.url.database,
        loader=read_loader(owner, session.rows(LOADING, list(POWERFUL), live, live, owner)),
        superuser=superuser,
        may_create=may_create,
        system_identifier=_system_identifier(session),
        roles=tuple(Role(*row) for row in session.rows(_ROLES.format(privilege=privilege), owner)),
        extensions=tuple(Extension(*row) for row in session.rows(_EXTENSIONS.format(trusted=trusted))),
        tablespaces=tuple(row[0] for row in session.rows("SELECT spcname FROM pg_catalog.pg_tablespace")),
        free_connections=slots if role_slots is None else min(slots, role_slots),
        free_bytes=_free_bytes(session.url, folder),
        databases=names,
        live=look_at(session, live) if live in names else None,
        live_extensions=_extensions_of(logins.owner, live) if live in names and superuser else (),
    )


def _extensions_of(owner: DatabaseUrl, database: str) -> tuple[str, ...]:
    """The extensions that somebody who might has created there."""
    try:
        connection = connect(for_programs(owner, database))
    except BackupError:
        return ()  # the restore then says which extension it may not create
    try:
        found = Session(owner, connection).rows("SELECT extname FROM pg_catalog.pg_extension ORDER BY 1")
        return tuple(row[0] for row in found)
    finally:
        connection.close()


def look_at(session: Session, database: str) -> Live:
    """A database that is to be renamed."""
    found = session.rows(_LIVE, database)
    if not found:
        raise BackupError(f"The server has no database {database}.")
    oid, owner, manageable, comment, prepared, slots, subscriptions = found[0]
    sessions = session.rows(_SESSIONS, oid)
    return Live(
        name=database,
        oid=oid,
        owner=owner,
        manageable=manageable,
        sessions=len(sessions),
        unstoppable=tuple(sorted({role for role, ours in sessions if not ours})),
        prepared=prepared,
        slots=tuple(slots),
        subscriptions=tuple(subscriptions),
        comment=comment,
    )


def _system_identifier(session: Session) -> str:
    try:
        return str(session.rows("SELECT system_identifier FROM pg_catalog.pg_control_system()")[0][0])
    except BackupError:
        return ""  # managed servers do not tell


def _free_bytes(url: DatabaseUrl, folder: str | None) -> int | None:
    """What is free where the server keeps its data, if that is on this host and it lets us know where."""
    ours = url.host.startswith("/") or url.host in ("localhost", "127.0.0.1", "::1")
    try:
        if not ours or not folder or not (Path(folder) / "PG_VERSION").is_file():
            return None
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def this_host() -> str:
    return socket.gethostname()
