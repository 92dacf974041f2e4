# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A migration from start to end: read, plan, lock, dump, apply, read again. The I/O behind db_migrate."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import _alembic, _docker_run, _migration
from ._migration import MigrationError, Plan
from ._pg_backup import Options, take
from ._pg_repository import BackupError
from ._pg_session import Session


@dataclass(frozen=True)
class Request:
    """What is asked for, as the module's options name it."""

    url: str = field(repr=False)
    image: str
    url_variable: str = "DATABASE_URL"
    command: tuple[str, ...] = _alembic.COMMAND
    workdir: str | None = None
    user: str | None = None
    network: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    version_table: str = "alembic_version"
    lock_timeout: str = "5s"
    timeout: float = 600
    allow_ahead: bool = False
    backup_root: str | None = None
    backup_name: str | None = None


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


class Tool:
    """Alembic in the image: every call is a one-off container."""

    def __init__(self, request: Request, session: Session) -> None:
        url = session.url
        self.request = request
        self.masked = [request.url, url.password, *(value for value in request.secrets.values() if len(value) > 5)]
        self.labels = {
            _migration.ROLE_LABEL: _migration.ROLE,
            _migration.DATABASE_LABEL: _migration.database_label(url),
        }
        self.env = _migration.tool_env(
            {**request.env, **request.secrets},
            url=request.url,
            url_variable=request.url_variable,
            settings=_migration.session_settings(request.lock_timeout, session.server_version),
        )
        self.client = _docker_run.connect()
        self.image = _docker_run.image_id(self.client, request.image)

    def tree(self) -> _alembic.Tree:
        """The migrations that the image holds."""
        labels = {**self.labels, _migration.ROLE_LABEL: f"{_migration.ROLE}-plan"}
        code, stdout, stderr = self._run(_alembic.HISTORY, labels)
        if code != 0:
            called = " ".join([*self.request.command, *_alembic.HISTORY])
            raise MigrationError(
                f"`{called}` failed in image {self.request.image} with exit code {code}, expected it to list the "
                f"migrations: {_migration.last_line(stderr or stdout)}"
            )
        return _alembic.parse_history(stdout)

    def upgrade(self) -> tuple[str, str, str]:
        """Why it failed, or nothing; and the output."""
        try:
            code, stdout, stderr = self._run(_alembic.UPGRADE, self.labels)
        except _docker_run.RunTimeout as exc:
            return str(exc), *(_migration.mask(text, self.masked) for text in (exc.stdout, exc.stderr))  # type: ignore[return-value]
        why = f"exit code {code}: {_migration.last_line(stderr or stdout)}" if code else ""
        return why, stdout, stderr

    def remove_leftovers(self) -> None:
        _docker_run.remove_leftovers(self.client, self.labels, now=time.time())

    def _run(self, arguments: tuple[str, ...], labels: Mapping[str, str]) -> tuple[int, str, str]:
        request = self.request
        code, stdout, stderr = _docker_run.run_once(
            self.client,
            self.image,
            [*request.command, *arguments],
            env=self.env,
            timeout=request.timeout,
            labels=labels,
            workdir=request.workdir,
            user=request.user,
            network=request.network,
        )
        return code, _migration.mask(stdout, self.masked), _migration.mask(stderr, self.masked)


def migrate(request: Request, session: Session, *, check: bool) -> dict[str, Any]:
    """Bring the database to the image's schema and return what the module reports. Nothing changes with `check`."""
    tool = Tool(request, session)
    tree = tool.tree()

    def planned() -> Plan:
        return _alembic.plan(
            tree,
            session.revisions(request.version_table),
            image=request.image,
            database=session.url.database,
            allow_ahead=request.allow_ahead,
        )

    plan = planned()
    if check or not plan.changed:
        return _migration.report(plan)
    lock_wait = session.lock(_migration.lock_key(session.url.database), request.timeout)
    tool.remove_leftovers()
    session.terminate_leftovers()
    plan = planned()
    result = {**_migration.report(plan), "lock_wait": round(lock_wait, 2)}
    if plan.changed:
        result["backup_id"] = _dump(request, session)
        _apply(tool, tree, plan, session, result)
    return result


def _dump(request: Request, session: Session) -> str | None:
    """A verified dump, where one is wanted and there is anything to lose."""
    if request.backup_root is None or session.is_empty():
        return None
    name = request.backup_name or session.url.database
    try:
        return take(request.backup_root, name, session.url, Options()).id
    except BackupError as exc:
        raise MigrationError(f"Database {session.url.database} was not migrated, as its dump failed: {exc}") from exc


def _apply(tool: Tool, tree: _alembic.Tree, plan: Plan, session: Session, result: dict[str, Any]) -> None:
    start = time.monotonic()
    why, stdout, stderr = tool.upgrade()
    if why:
        session.terminate_leftovers()
    after = session.revisions(tool.request.version_table)
    done = _alembic.applied(tree, plan.before, after)
    result.update(
        changed=bool(done),
        after=list(after),
        applied=list(done),
        duration=round(time.monotonic() - start, 2),
        stdout=stdout,
        stderr=stderr,
    )
    if not why and set(after) != set(plan.after):
        why = f"the tool said that all is well, but {', '.join(plan.after)} was expected"
    if why:
        failed = _alembic.failed_migration(stderr, plan.pending, done)
        result["failed_migration"] = failed
        raise Failed(
            f"Migration {failed or 'to ' + ', '.join(plan.after)} of image {tool.request.image} failed on database "
            f"{session.url.database}, which is now at {', '.join(after) or 'no revision'}: {why}",
            result,
        )
