# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The tools that plan and apply by themselves: Alembic, Django, and a command of the app's own. The I/O beside them."""

from __future__ import annotations

import hashlib
import posixpath
import shlex

from . import _alembic, _django, _docker_run, _migration
from ._migrate_context import Context, Outcome, Request, State
from ._migration import Migration, MigrationError, Plan
from ._pg_session import Session


class Alembic:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.command = context.request.command or _alembic.COMMAND
        self.known: _alembic.Tree | None = None

    def state(self) -> State:
        return alembic_state(self.context.request, self.context.session)

    def plan(self) -> Plan:
        return _alembic.plan(
            self.tree(),
            self.state(),
            image=self.context.place.name,
            database=self.context.session.url.database,
            allow_ahead=self.context.request.allow_ahead,
        )

    def tree(self) -> _alembic.Tree:
        """The scripts: known from the same layers, from the same files, or by asking Alembic itself."""
        if self.known is None:
            place = self.context.place
            by_layers = ("alembic", list(place.identity), self.command, place.workdir) if place.identity else (None,)
            by_files: tuple[object, ...] = ()
            history = self.context.stored(*by_layers)
            if history is None and place.identity:
                by_files = self._files()
                history = self.context.stored("alembic", *by_files) if by_files else None
            if history is None:
                history = self._history()
                if by_files:
                    self.context.store(history, "alembic", *by_files)
            self.context.store(history, *by_layers)
            self.known = _alembic.parse_history(history)
        return self.known

    def _history(self) -> str:
        command = [*self.command, *_alembic.HISTORY]
        try:
            return self.context.ask(command, "list the migrations", offline=True)
        except MigrationError:
            # With revision_environment Alembic runs env.py for this too, which may want the database.
            return self.context.ask(command, "list the migrations")

    def _files(self) -> tuple[object, ...]:
        """What stands in all scripts, read without starting anything; nothing where that is not for sure."""
        place = self.context.place
        file, section = _alembic.config_file(self.command)
        config = posixpath.join(place.workdir, file)
        try:
            text = place.read(config)[0][""].decode("utf-8")
            folders = _alembic.script_folders(text, file=file, section=section, workdir=place.workdir)
            found = place.read(*folders) if folders else []
        except (FileNotFoundError, KeyError, UnicodeDecodeError, _docker_run.RunError):
            return ()
        if not found:
            return ()
        scripts = [
            sorted((name, hashlib.sha256(text).hexdigest()) for name, text in files.items() if name.endswith(".py"))
            for files in found
        ]
        return (text, self.command, folders, scripts)

    def apply(self, plan: Plan, timeout: float) -> Outcome:
        return self.context.apply([*self.command, *_alembic.UPGRADE], timeout)

    def applied(self, plan: Plan, after: State | None) -> State:
        return _alembic.applied(self.tree(), plan.before or (), after or ())

    def failed(self, plan: Plan, done: State, outcome: Outcome) -> str | None:
        return _alembic.failed_migration(outcome.stderr, plan.pending, done)

    def may_retry(self) -> bool:
        return True


class Django:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.command = context.request.command or _django.COMMAND
        self.known: dict[object, str] = {}

    def state(self) -> State:
        return django_state(self.context.request, self.context.session)

    def plan(self) -> Plan:
        context, state = self.context, self.state()
        nodes = _django.parse_plan(self._ask(state, _django.SHOW, "list the migrations"))
        replaced: frozenset[str] = frozenset()
        if _django.unlisted(nodes, state):
            replaced = _django.parse_replaced(self._ask(state, _django.REPLACED, "list what was squashed"))
        return _django.plan(
            nodes,
            state,
            image=context.place.name,
            database=context.session.url.database,
            replaced=replaced,
            allow_ahead=context.request.allow_ahead,
        )

    def _ask(self, state: State, arguments: tuple[str, ...], purpose: str) -> str:
        """The answer depends on the files, the settings and the rows, and on nothing else."""
        context, place = self.context, self.context.place
        key = (
            "django",
            list(place.identity),
            [*self.command, *arguments],
            place.workdir,
            dict(context.env),
            [*state, ""],
        )
        if (state, arguments) not in self.known:
            answer = context.stored(*key)
            if answer is None:
                answer = context.ask([*self.command, *arguments], purpose)
                context.store(answer, *key)
            self.known[state, arguments] = answer
        return self.known[state, arguments]

    def apply(self, plan: Plan, timeout: float) -> Outcome:
        return self.context.apply([*self.command, *_django.MIGRATE], timeout)

    def applied(self, plan: Plan, after: State | None) -> State:
        return _django.applied(plan.pending, plan.before or (), after or ())

    def failed(self, plan: Plan, done: State, outcome: Outcome) -> str | None:
        return _django.failed_migration(outcome.stdout, plan.pending, done)

    def may_retry(self) -> bool:
        return True


class Command:
    """A command of the app's own. Only its `check`, where it has one, tells whether there is anything to do."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.command = context.request.command or ()
        self.check = context.request.check

    def state(self) -> None:
        return None

    def plan(self) -> Plan:
        pending = (Migration(_migration.mask(shlex.join(self.command), self.context.masked)),)
        return Plan(None, None, () if self._nothing_pending() else pending)

    def _nothing_pending(self) -> bool:
        return self.check is not None and self.context.call(self.check)[0] == 0

    def apply(self, plan: Plan, timeout: float) -> Outcome:
        outcome = self.context.apply(self.command, timeout)
        if not outcome.why and self.check is not None and not self._nothing_pending():
            why = f"it ended well, but `{shlex.join(self.check)}` still says that something is pending"
            return Outcome(why, outcome.stdout, outcome.stderr)
        return outcome

    def applied(self, plan: Plan, after: State | None) -> State:
        return tuple(step.id for step in plan.pending)

    def failed(self, plan: Plan, done: State, outcome: Outcome) -> str | None:
        return plan.pending[0].id

    def may_retry(self) -> bool:
        """Nothing tells whether it has done a part."""
        return False


def alembic_state(request: Request, session: Session) -> State:
    return session.revisions(request.version_table)


def django_state(_request: Request, session: Session) -> State:
    table = session.table("django_migrations")
    return tuple(sorted(session.column(f"SELECT app || '.' || name FROM {table}"))) if table else ()  # noqa: S608
