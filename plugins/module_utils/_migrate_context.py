# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What is asked for, what a tool works with, and what a run needs to know of a tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from . import _docker_run, _migrate_cache, _migration
from ._migrate_exec import Place
from ._migration import MigrationError, Plan
from ._pg_session import Session

State = tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """What is asked for, as the module's options name it."""

    url: str = field(repr=False)
    image: str | None = None
    tool: str = "alembic"
    url_variable: str = "DATABASE_URL"
    command: tuple[str, ...] | None = None
    check: tuple[str, ...] | None = None
    path: str | None = None
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


@dataclass(frozen=True)
class Outcome:
    """How a tool's run ended: why it failed, or nothing, and its output without secrets.

    `waited` are the seconds for a lock that the tool shares with others.
    """

    why: str = ""
    stdout: str = ""
    stderr: str = ""
    waited: float = 0.0


@dataclass
class Context:
    """What a tool works with. `read_only` in check mode."""

    request: Request
    session: Session
    place: Place
    env: Mapping[str, str]
    masked: Sequence[str]
    read_only: bool

    def call(
        self, command: Sequence[str], *, timeout: float | None = None, offline: bool = False
    ) -> tuple[int, str, str]:
        code, stdout, stderr = self.place.run(command, self.env, timeout or self.request.timeout, offline=offline)
        return code, _migration.mask(stdout, self.masked), _migration.mask(stderr, self.masked)

    def ask(self, command: Sequence[str], purpose: str, *, offline: bool = False) -> str:
        """The stdout of a call that must not fail, whole."""
        code, stdout, stderr = self.place.run(command, self.env, self.request.timeout, offline=offline)
        if code != 0:
            reason = _migration.mask(_migration.last_line(stderr or stdout), self.masked)
            raise MigrationError(
                f"`{' '.join(command)[:100]}` failed in {self.place.name} with exit code {code}, "
                f"expected it to {purpose}: {reason}"
            )
        return stdout

    def apply(self, command: Sequence[str], timeout: float) -> Outcome:
        try:
            code, stdout, stderr = self.call(command, timeout=timeout)
        except _docker_run.RunTimeout as exc:
            stdout, stderr = (_migration.mask(text, self.masked) for text in (exc.stdout, exc.stderr))
            return Outcome(str(exc), stdout, stderr)
        why = f"exit code {code}: {_migration.last_line(stderr or stdout)}" if code else ""
        return Outcome(why, stdout, stderr)

    def stored(self, *parts: object) -> Any:
        return _migrate_cache.load(_migrate_cache.key_of(parts)) if all(parts) else None

    def store(self, value: Any, *parts: object) -> None:
        if all(parts) and not self.read_only:
            _migrate_cache.store(_migrate_cache.key_of(parts), value)


class Tool(Protocol):
    """What a run needs to know of a tool."""

    def state(self) -> State | None:
        """Where the database is, by SQL alone."""

    def plan(self) -> Plan:
        """What is to be done, or a MigrationError; changes nothing."""

    def apply(self, plan: Plan, timeout: float) -> Outcome:
        """Do it."""

    def applied(self, plan: Plan, after: State | None) -> State:
        """What was really done."""

    def failed(self, plan: Plan, done: State, outcome: Outcome) -> str | None:
        """At which step it failed."""

    def may_retry(self) -> bool:
        """Whether a second attempt can succeed, when the state is what it was."""
