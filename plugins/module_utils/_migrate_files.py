# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The tools that are planned from files: Prisma, which applies them, and SQL, which we apply. The I/O beside them."""

from __future__ import annotations

import posixpath
import time
from contextlib import suppress
from dataclasses import replace

from . import _migration, _prisma, _sql_files
from ._migrate_context import Context, Outcome, Request, State
from ._migration import Migration, MigrationError, Plan
from ._pg_session import DATABASE_ERROR, Session, first_line


def _read_folder(context: Context, path: str) -> dict[str, bytes]:
    """The files below a folder, which is relative to the working directory unless it is absolute."""
    try:
        return context.place.read(posixpath.join(context.place.workdir, path))[0]
    except FileNotFoundError as exc:
        raise MigrationError(
            f"Path {exc.filename} is not in {context.place.name}, expected the folder of the migrations; "
            f"correct path or workdir, or the image."
        ) from exc


class Prisma:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.command = context.request.command or _prisma.COMMAND
        self.path = context.request.path or _prisma.PATH
        self.folder: dict[str, tuple[str, ...]] | None = None

    def state(self) -> State:
        return prisma_state(self.context.request, self.context.session)

    def plan(self) -> Plan:
        if self.folder is None:
            context = self.context
            key = ("prisma", list(context.place.identity), context.place.workdir, self.path)
            stored = context.stored(*key)
            self.folder = _prisma.read_folder(_read_folder(context, self.path)) if stored is None else dict(stored)
            context.store(list(self.folder.items()), *key)
        return _prisma.plan(
            self.folder,
            _prisma_rows(self.context.session),
            image=self.context.place.name,
            database=self.context.session.url.database,
            allow_ahead=self.context.request.allow_ahead,
        )

    def apply(self, plan: Plan, timeout: float) -> Outcome:
        # Prisma itself gives up after 10 s when someone else's run holds its lock.
        waited = self.context.session.wait_for_lock_of_others(_prisma.LOCK, timeout, "Prisma")
        outcome = self.context.apply([*self.command, *_prisma.DEPLOY], max(1.0, timeout - waited))
        return replace(outcome, waited=waited)

    def applied(self, plan: Plan, after: State | None) -> State:
        return tuple(name for name in after or () if name not in (plan.before or ()))

    def failed(self, plan: Plan, done: State, outcome: Outcome) -> str | None:
        return _prisma.failed_migration(_prisma_rows(self.context.session), plan.pending, done)

    def may_retry(self) -> bool:
        """A failed migration stays in its table, and then Prisma refuses (P3009) until someone decides."""
        return not _prisma.unfinished(_prisma_rows(self.context.session))


class SqlFiles:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.path = context.request.path or ""
        self.files: tuple[_sql_files.File, ...] | None = None
        self.failed_step: Migration | None = None

    def state(self) -> State:
        return sql_state(self.context.request, self.context.session)

    def plan(self) -> Plan:
        context, place = self.context, self.context.place
        if self.files is None:
            key = ("sql", list(place.identity), place.workdir, self.path)
            stored = context.stored(*key)
            if stored is None:
                texts = _read_folder(context, self.path)
                self.files = _sql_files.read_folder(texts, image=place.name, path=self.path)
                context.store([[file.version, file.name, file.checksum] for file in self.files], *key)
            else:
                self.files = tuple(_sql_files.File(*file) for file in stored)
        return _sql_files.plan(
            self.files,
            _sql_rows(context.session),
            image=place.name,
            database=context.session.url.database,
            allow_ahead=context.request.allow_ahead,
        )

    def apply(self, plan: Plan, timeout: float) -> Outcome:
        """Every file is read and understood before the first one is sent."""
        deadline = time.monotonic() + timeout
        texts = _read_folder(self.context, self.path)
        scripts = [
            (step, texts[step.title], _sql_files.read_script(step.title, texts[step.title])) for step in plan.pending
        ]
        session, said = self.context.session, []
        session.settings(self.context.request.lock_timeout, timeout)
        try:
            schema = session.column("SELECT pg_catalog.quote_ident(pg_catalog.current_schema())")[0]
            table = f"{schema}.{_sql_files.TABLE}"
            session.execute(_sql_files.CREATE_TABLE.format(table=table))
            for step, text, script in scripts:
                self.failed_step = step
                session.settings(self.context.request.lock_timeout, deadline - time.monotonic())
                began = time.monotonic()
                self._run(table, step, _sql_files.checksum(text), script)
                said.append(f"{step.title}: {time.monotonic() - began:.2f} s")
            self.failed_step = None
        except DATABASE_ERROR as exc:
            why = f"{self.failed_step.title if self.failed_step else _sql_files.TABLE}: {first_line(exc)}"
            return Outcome(_migration.mask(why, self.context.masked), "\n".join(said), self._shown(exc))
        finally:
            with suppress(DATABASE_ERROR):
                session.roll_back()
                session.execute("RESET ALL")
        return Outcome(stdout="\n".join(said))

    def _run(self, table: str, step: Migration, checksum: str, script: _sql_files.Script) -> None:
        """The file and its row in one transaction; else the row before, so that a half-done file is never run again."""
        session, began = self.context.session, time.monotonic()
        if script.in_transaction:
            session.execute("BEGIN")
        session.execute(
            f"INSERT INTO {table} (version, name, checksum, success) VALUES (%s, %s, %s, %s)",  # noqa: S608
            step.id,
            step.title,
            checksum,
            script.in_transaction,
        )
        for statement in script.statements:
            session.execute(statement)
        session.execute("RESET ROLE")
        session.execute(
            f"UPDATE {table} SET success = true, seconds = %s WHERE version = %s",  # noqa: S608
            round(time.monotonic() - began, 3),
            step.id,
        )
        if script.in_transaction:
            session.execute("COMMIT")

    def _shown(self, exc: BaseException) -> str:
        return _migration.mask(str(exc).strip(), self.context.masked)

    def applied(self, plan: Plan, after: State | None) -> State:
        return tuple(step.id for step in plan.pending if step.id in (after or ()))

    def failed(self, plan: Plan, done: State, outcome: Outcome) -> str | None:
        return self.failed_step.id if self.failed_step else None

    def may_retry(self) -> bool:
        """Only a file without a transaction leaves a row that stands for half of it."""
        return all(row.success for row in _sql_rows(self.context.session))


def prisma_state(_request: Request, session: Session) -> State:
    return _prisma.state(_prisma_rows(session))


def sql_state(_request: Request, session: Session) -> State:
    return _sql_files.state(_sql_rows(session))


def _prisma_rows(session: Session) -> list[_prisma.Row]:
    schema = session.column("SELECT pg_catalog.quote_ident(%s)", _prisma.schema_of(session.url.options))[0]
    table = session.table(f"{schema}.{_prisma.TABLE}")
    if table is None:
        return []
    return [_prisma.Row(*row) for row in session.rows(f"SELECT {_prisma.COLUMNS} FROM {table} ORDER BY started_at")]  # noqa: S608


def _sql_rows(session: Session) -> list[_sql_files.Row]:
    table = session.table(_sql_files.TABLE)
    if table is None:
        return []
    return [_sql_files.Row(*row) for row in session.rows(f"SELECT version, checksum, success FROM {table}")]  # noqa: S608
