# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Putting one database in the place of another, in one transaction: whenever a run is killed, one of them is live. I/O.

ALTER DATABASE ... RENAME locks the database against new sessions and then waits up to 5 s for the present ones to go.
While it waits, a second session ends them. So nobody slips in between, and nothing is left refusing sessions: a RENAME
whose client is gone is rolled back by the server.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from ._database_url import DatabaseUrl
from ._pg_connect import DATABASE_ERROR, explain_failure
from ._pg_dump_sql import literal, quote
from ._pg_facts import Live
from ._pg_mark import UNDONE, Mark, expiry, newest_old, temporary_name
from ._pg_repository import BackupError, format_time
from ._pg_restore_check import join, swap_problems
from ._pg_restore_plan import Result
from ._pg_scratch import Timer, ending_cleanly
from ._pg_store import Log, locked, quiet, utc_now
from ._pg_target import Session, look_at, maintenance, take_lock, this_host

ATTEMPTS = 6
#: Milliseconds that a session may hold up a RENAME before everything goes on as before and it is tried again.
_LOCK_TIMEOUT, _STATEMENT_TIMEOUT = 1000, 2000
_PAUSE = 0.5
_POLL = 0.01
_TRY_AGAIN = {"55006", "55P03", "57014"}  # in use, lock not available, query canceled
_OURS_TO_END = """
SELECT pg_catalog.array_agg(a.pid) FROM pg_catalog.pg_stat_activity a
JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
CROSS JOIN (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) me
WHERE a.datid = %s AND (me.rolsuper OR (NOT r.rolsuper
  AND (pg_catalog.pg_has_role(r.oid, 'MEMBER') OR pg_catalog.pg_has_role('pg_signal_backend', 'MEMBER'))))
"""
_END = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.unnest(%s::int[]) AS pid"


@dataclass(frozen=True)
class Swap:
    """new takes the name of live, which is called old from then on. Comments are SQL text."""

    new: str
    live: str
    old: str
    new_comment: str
    old_comment: str

    def statements(self, hold: str) -> str:
        """One message of several statements, which PostgreSQL runs as one transaction."""
        if not self.old:
            renames = [(self.new, self.live)]
        else:
            # What is new is renamed first: a vacuum at work there must not hold up what users wait for.
            renames = [(self.new, hold), (self.live, self.old), (hold, self.live)]
        lines = [f"ALTER DATABASE {quote(one)} RENAME TO {quote(other)}" for one, other in renames]
        lines.append(f"COMMENT ON DATABASE {quote(self.live)} IS {self.new_comment}")
        if self.old:
            lines.append(f"COMMENT ON DATABASE {quote(self.old)} IS {self.old_comment}")
        return "; ".join(lines)


def put_in_place(admin: DatabaseUrl, session: Session, swap: Swap, live: Live | None, log: Log) -> float:
    """Swap, and return for how many seconds sessions were refused."""
    taken = [marked.database for marked in session.databases()]
    statements = swap.statements(temporary_name(swap.live, "hold", utc_now(), taken))
    with maintenance(admin, avoid=(swap.live, swap.new)) as second:
        second.do(f"SET statement_timeout = {_STATEMENT_TIMEOUT}")
        session.do(f"SET lock_timeout = {_LOCK_TIMEOUT}")
        session.do(f"SET statement_timeout = {_STATEMENT_TIMEOUT}")
        try:
            for attempt in range(1, ATTEMPTS + 1):
                started = time.monotonic()
                problem = _attempt(session, second, statements, live)
                if not problem:
                    return round(time.monotonic() - started, 3)
                if attempt < ATTEMPTS:
                    log(f"the databases could not be swapped, trying again: {problem}")
                    time.sleep(_PAUSE * attempt)
        finally:
            if not session.connection.closed:
                session.do("SET lock_timeout = 0")
                session.do("SET statement_timeout = 0")
    raise BackupError(f"{swap.live} could not be replaced in {ATTEMPTS} attempts, and is as it was: {problem}.")


def _attempt(session: Session, second: Session, statements: str, live: Live | None) -> str:
    """Swap or say why not, if that may pass."""
    done = threading.Event()
    ender = threading.Thread(target=_end_sessions, args=(second, live.oid if live else 0, done), daemon=True)
    if live is not None:
        ender.start()
    try:
        with session.connection.cursor() as cursor:
            cursor.execute(statements)
        return ""
    except DATABASE_ERROR as error:
        reason = explain_failure(error, session.url)
        if getattr(error, "pgcode", None) in _TRY_AGAIN:
            return reason
        raise BackupError(f"The databases could not be swapped, and are as they were: {reason}.") from None
    finally:
        done.set()
        if live is not None:
            ender.join()


def _end_sessions(second: Session, oid: int, done: threading.Event) -> None:
    while True:
        try:
            pids = second.rows(_OURS_TO_END, oid)[0][0]
            if pids:
                second.rows(_END, pids)
        except BackupError:
            return  # the swap then says who is in its way
        if done.wait(_POLL):
            return


def undo(
    root: str,
    name: str,
    admin: DatabaseUrl,
    log: Log = quiet,
    *,
    database: str = "",
    keep_days: int = 7,
    wait: int = 300,
) -> Result:
    """Make the database live again that the last restore replaced; the present one is kept for a while in its turn."""
    timer = Timer()
    with locked(root, name, wait), maintenance(admin, avoid=(database,)) as session, ending_cleanly():
        take_lock(session, name)
        old, mark = find_old(session, name, database)
        names = [marked.database for marked in session.databases()]
        live = look_at(session, mark.database) if mark.database in names else None
        problems = swap_problems(live, admin.user) if live else []
        problems += swap_problems(look_at(session, old), admin.user)
        if problems:
            raise BackupError(join(problems))
        now = utc_now()
        undone = temporary_name(mark.database, UNDONE, now, names) if live else ""
        expires = expiry(now, keep_days)
        comment = live.comment if live else ""
        aside = Mark(UNDONE, name, mark.database, this_host(), format_time(now), expires, comment, mark.backup)
        before = literal(mark.comment) if mark.comment else "NULL"
        swap = Swap(old, mark.database, undone, before, literal(aside.to_text()))
        log(f"{name}: {old} becomes {mark.database} again")
        with timer.step("swap"):
            put_in_place(admin, session, swap, live, log)
    log(
        f"{name}: {mark.database} is what it was before the restore"
        + (f"; {undone} goes after {expires}" if undone else "")
    )
    return Result(mark.backup, mark.database, 0, 0, timer.seconds, undone, expires if undone else "")


def find_old(session: Session, name: str, database: str) -> tuple[str, Mark]:
    """The database that an undo would bring back."""
    found = newest_old(session.databases(), name, database)
    if found is None:
        raise BackupError(
            f"There is nothing to undo: the server keeps no database that a restore of {name} replaced "
            "(it is dropped keep_old_days after the restore)."
        )
    return found


def look_for_old(name: str, admin: DatabaseUrl, database: str) -> tuple[str, Mark]:
    """The same for one who only wants to know."""
    with maintenance(admin, avoid=(database,)) as session:
        return find_old(session, name, database)
