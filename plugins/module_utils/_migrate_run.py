# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A migration from start to end: read, plan, lock, dump, apply, read again. The I/O behind db_migrate."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import _migration, _prisma
from ._migrate_context import Context, Outcome, Request, State, Tool
from ._migrate_exec import Host, Image, Place
from ._migrate_files import Prisma, SqlFiles, prisma_state, sql_state
from ._migrate_tools import Alembic, Command, Django, alembic_state, django_state
from ._migrate_watch import LockWatch
from ._migration import MigrationError, Plan
from ._pg_backup import take
from ._pg_options import configured_options
from ._pg_repository import BackupError
from ._pg_session import Session

__all__ = ["Failed", "Request", "check_request", "current_state", "migrate", "read_env_files"]

_TOOLS: Mapping[str, Callable[[Context], Tool]] = {
    "alembic": Alembic,
    "django": Django,
    "prisma": Prisma,
    "sql": SqlFiles,
    "command": Command,
}
_STATES: Mapping[str, Callable[[Request, Session], State]] = {
    "alembic": alembic_state,
    "django": django_state,
    "prisma": prisma_state,
    "sql": sql_state,
}
_RETRY_AFTER = 1.0


class Failed(MigrationError):
    """The tool failed. `result` tells the database's true state."""

    def __init__(self, message: str, result: dict[str, Any]) -> None:
        super().__init__(message)
        self.result = result


def read_env_files(paths: list[str]) -> dict[str, str]:
    """What these files set, the last of them first in rank."""
    found: dict[str, str] = {}
    for path in paths:
        found.update(_migration.parse_env_file(Path(path).read_text(encoding="utf-8")))
    return found


def check_request(request: Request) -> None:
    """MigrationError where options do not go together."""
    _migration.milliseconds(request.lock_timeout)
    wanted = {"command": ("command", request.command), "sql": ("path", request.path)}.get(request.tool)
    if wanted and not wanted[1]:
        raise MigrationError(f"{wanted[0]} is missing, expected one as tool is {request.tool}; set it.")
    for name, value, tools in (
        ("path", request.path, ("sql", "prisma")),
        ("check", request.check, ("command",)),
    ):
        if value and request.tool not in tools:
            raise MigrationError(
                f"{name} is given, but tool is {request.tool}; it goes with {' and '.join(tools)}, remove it."
            )
    if request.tool == "sql" and request.command:
        raise MigrationError("command is given, but tool is sql, which calls none; remove it.")
    if request.tool not in _TOOLS:
        raise MigrationError(f"tool is {request.tool!r}, expected one of {', '.join(_TOOLS)}.")


def current_state(request: Request, session: Session) -> State | None:
    """Where the database is, by SQL alone; None where the tool leaves no trace that can be read."""
    read = _STATES.get(request.tool)
    return read(request, session) if read else None


def migrate(request: Request, session: Session, *, check: bool) -> dict[str, Any]:
    """Bring the database to the image's schema and return what the module reports. Nothing changes with `check`."""
    check_request(request)
    place = _place(request, session)
    tool = _TOOLS[request.tool](_context(request, session, place, check))
    plan = tool.plan()
    if check or not plan.changed:
        return _with_indexes(_migration.report(plan), session)
    lock_wait = session.lock(_migration.lock_key(session.url.database), request.timeout)
    place.remove_leftovers()
    session.terminate_leftovers()
    plan = tool.plan()
    result = {**_migration.report(plan), "lock_wait": round(lock_wait, 2)}
    if plan.changed:
        lock_wait += session.wait_for_backups(request.timeout)
        result["backup_id"] = _dump(request, session)
        result["lock_wait"] = round(lock_wait, 2)
        _Run(request, session, tool, place).apply(plan, result)
    return _with_indexes(result, session)


def _place(request: Request, session: Session) -> Place:
    if request.image is None:
        return Host(request.workdir, request.user)
    labels = {
        _migration.ROLE_LABEL: _migration.ROLE,
        _migration.DATABASE_LABEL: _migration.database_label(session.url),
    }
    return Image(request.image, workdir=request.workdir, user=request.user, network=request.network, labels=labels)


def _context(request: Request, session: Session, place: Place, check: bool) -> Context:
    prisma = request.tool == "prisma"
    env = _migration.tool_env(
        {**(_prisma.ENV if prisma else {}), **request.env, **request.secrets},
        url=request.url,
        url_variable=request.url_variable,
        settings=_migration.session_settings(request.lock_timeout, session.server_version),
        in_url=prisma,
    )
    masked = [request.url, session.url.password, *(value for value in request.secrets.values() if len(value) > 5)]
    return Context(request, session, place, env, [*masked, env[request.url_variable]], read_only=check)


def _with_indexes(result: dict[str, Any], session: Session) -> dict[str, Any]:
    result["warnings"] += _migration.index_warnings(session.url.database, session.invalid_indexes())
    return result


def _dump(request: Request, session: Session) -> str | None:
    """A verified dump, where one is wanted and there is anything to lose."""
    if request.backup_root is None or session.is_empty():
        return None
    name = request.backup_name or session.url.database
    try:
        return take(request.backup_root, name, session.url, configured_options(name)).id
    except BackupError as exc:
        raise MigrationError(f"Database {session.url.database} was not migrated, as its dump failed: {exc}") from exc


class _Run:
    """The attempts to apply a plan, and the truth about them."""

    def __init__(self, request: Request, session: Session, tool: Tool, place: Place) -> None:
        self.request = request
        self.session = session
        self.tool = tool
        self.place = place

    def apply(self, plan: Plan, result: dict[str, Any]) -> None:
        start = time.monotonic()
        outcome, after = self._attempt(plan, result, self.request.timeout)
        left = self.request.timeout - (time.monotonic() - start)
        if self._may_retry(outcome, plan, after) and left > 2 * _RETRY_AFTER:
            result["warnings"].append(
                f"Database {self.session.url.database}: a statement waited for a lock longer than lock_timeout "
                f"({self.request.lock_timeout}), and the migration was tried once more."
            )
            time.sleep(_RETRY_AFTER)
            outcome, after = self._attempt(plan, result, left - _RETRY_AFTER)
        done = self.tool.applied(plan, after) if plan.before is not None or not outcome.why else ()
        result.update(
            changed=bool(done) or (plan.before is None),
            after=None if after is None else list(after),
            applied=list(done),
            duration=round(time.monotonic() - start, 2),
            stdout=outcome.stdout,
            stderr=outcome.stderr,
        )
        why = outcome.why or self._unsettled(plan, after)
        if why:
            self._fail(plan, after, done, outcome, why, result)

    def _attempt(self, plan: Plan, result: dict[str, Any], timeout: float) -> tuple[Outcome, State | None]:
        result["lock_wait"] = round(result["lock_wait"] + self.session.wait_for_backups(timeout), 2)
        # Our own session keeps to the timeout by itself.
        sends_itself = self.request.tool == "sql"
        with nullcontext() if sends_itself else LockWatch(self.session, self.request.lock_timeout) as watch:
            outcome = self.tool.apply(plan, timeout)
        result["lock_wait"] = round(result["lock_wait"] + outcome.waited, 2)
        if outcome.why:
            self.session.terminate_leftovers()
            if watch is not None and watch.cancelled:
                limit = f"a statement waited for a lock longer than lock_timeout ({self.request.lock_timeout})"
                outcome = replace(outcome, why=f"{limit}: {outcome.why}")
        return outcome, self.tool.state()

    def _may_retry(self, outcome: Outcome, plan: Plan, after: State | None) -> bool:
        """Once, and only where the first attempt has moved nothing."""
        waited = "longer than lock_timeout" in outcome.why or _migration.gave_up_for_a_lock(
            outcome.why + outcome.stderr
        )
        return bool(outcome.why) and waited and after == plan.before and self.tool.may_retry()

    def _unsettled(self, plan: Plan, after: State | None) -> str:
        if plan.after is None or set(plan.after) <= set(after or ()):
            return ""
        missing = [name for name in plan.after if name not in (after or ())]
        return f"the tool said that all is well, but {', '.join(missing)} was expected"

    def _fail(
        self, plan: Plan, after: State | None, done: State, outcome: Outcome, why: str, result: dict[str, Any]
    ) -> None:
        failed = self.tool.failed(plan, done, outcome)
        result["failed_migration"] = failed
        target = failed or "to " + _migration.summary(plan.after)
        state = (
            "" if after is None else f", which is now at {_migration.summary(after).replace('(none)', 'no revision')}"
        )
        dump = f" The dump {result['backup_id']} was taken before." if result["backup_id"] else ""
        raise Failed(
            f"Migration {target} of {self.place.name} failed on database {self.session.url.database}{state}: {why}"
            f"{dump}",
            _with_indexes(result, self.session),
        )
