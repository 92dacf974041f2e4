# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What pg_restore says of a dump, and what is dropped afterwards."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _pg_scratch
from ansible_collections.quayside.web.plugins.module_utils._database_url import DatabaseUrl
from ansible_collections.quayside.web.plugins.module_utils._pg_dump_sql import DatabaseSql
from ansible_collections.quayside.web.plugins.module_utils._pg_mark import DRILL, OLD, Mark, Marked
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError, Manifest
from ansible_collections.quayside.web.plugins.module_utils._pg_restore_plan import Plan
from ansible_collections.quayside.web.plugins.module_utils._pg_scratch import (
    Filled,
    Timer,
    conninfo,
    create,
    drop,
    ending_cleanly,
    fill,
    sweep,
)

URL = DatabaseUrl("h", 5432, "u", "", 'it\'s "x"', {})
WHOLE = Manifest("20261121T030000Z", "x", "2026-11-21T03:00:00Z", "d", "h", 1, "15", 15, "none")
PART = Manifest("20261121T030000Z", "x", "2026-11-21T03:00:00Z", "d", "h", 1, "15", 15, "none", include=("a",))
NEWER = 'pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"'
LACKS = "pg_restore: error: could not execute query: ERROR:  function public.f() does not exist"
BROKEN = "pg_restore: error: could not execute query: ERROR:  it broke"
INDEX = (
    "pg_restore: error: could not execute query: ERROR:  function unaccent(text) does not exist\n"
    "LINE 1: SELECT unaccent($1)\nCommand was: CREATE INDEX i ON public.t USING btree (public.f(a));\n"
)
ENDED = "pg_restore: warning: errors ignored on restore: 1"
NOW = datetime(2026, 11, 21, 3, tzinfo=timezone.utc)


def plan(manifest: Manifest) -> Plan:
    return Plan(manifest, "d_restore_x", "d", "", 2, 17)


class Program:
    """pg_restore that says something and ends; its commands are kept."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *said: str) -> None:
        self.commands: list[list[str]] = []
        self.said = said
        self.watched = False
        monkeypatch.setattr(_pg_scratch, "run", self.run)

    def run(
        self,
        command: list[str],
        _url: Any = None,
        *,
        output: IO[bytes] | None = None,
        watch: Callable[[], None] = lambda: None,
    ) -> str:
        self.commands.append(command)
        if self.said:
            if output is not None:
                output.write("\n".join(self.said).encode())
                output.flush()
            self.watched = self.said[-1] == ENDED
            if self.watched:
                watch()
            raise BackupError(self.said[0])
        return ""


def test_the_first_error_ends_a_restore(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(monkeypatch)
    assert fill(Path("/d"), URL, 17, 17, plan(WHOLE), ["--no-owner"]) == Filled()
    assert [" ".join(command) for command in program.commands] == [
        '/bin/sh -c exec "$0" "$@" 2>&1 '
        "/usr/lib/postgresql/17/bin/pg_restore --no-password --dbname=dbname='it\\'s \"x\"' --jobs=2 "
        "--no-subscriptions --no-owner /d"
    ]
    for said in (["it broke"], ["pg_restore: error: it broke"], [BROKEN, ENDED]):
        program = Program(monkeypatch, *said)
        with pytest.raises(BackupError, match=r"pg_restore failed: .*broke\."):
            fill(Path("/d"), URL, 17, 17, plan(WHOLE), [])
        assert program.watched == (said[-1] == ENDED)


def test_an_index_that_cannot_be_made_loses_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    Program(monkeypatch, INDEX, ENDED)
    assert fill(Path("/d"), URL, 17, 17, plan(WHOLE), []).excepted == (
        "index i of public.t (function unaccent(text) does not exist)",
    )


@pytest.mark.parametrize(
    ("said", "manifest", "errors"),
    [
        pytest.param([NEWER, NEWER, ENDED], WHOLE, [], id="a-parameter-that-the-server-lacks"),
        pytest.param([NEWER, LACKS, ENDED], WHOLE, None, id="another-error-counts"),
        pytest.param([NEWER], WHOLE, None, id="it-did-not-come-to-its-end"),
        pytest.param([], WHOLE, [], id="no-error"),
        pytest.param([NEWER, LACKS, ENDED], PART, ["public.f()"], id="some-tables-lack-a-function"),
        pytest.param([LACKS, "pg_restore: error: connection lost"], PART, None, id="some-tables-but-cut"),
    ],
)
def test_an_older_server(
    monkeypatch: pytest.MonkeyPatch, said: list[str], manifest: Manifest, errors: list[str] | None
) -> None:
    Program(monkeypatch, *said)
    if errors is None:
        with pytest.raises(BackupError, match="pg_restore failed: "):
            fill(Path("/d"), URL, 17, 15, plan(manifest), [])
        return
    found = fill(Path("/d"), URL, 17, 15, plan(manifest), [])
    assert len(found.lacking) == len(errors)
    assert all(part in text for part, text in zip(errors, found.lacking, strict=True))


def test_names_that_look_like_something_else_stay_names() -> None:
    assert conninfo("host=evil port=1") == "dbname='host=evil port=1'"
    assert conninfo("a\\b'c") == "dbname='a\\\\b\\'c'"


class Session:
    """A server that keeps what it is told, refuses some of it, and has databases."""

    def __init__(
        self, major: int = 15, refuse: str = "", databases: tuple[Marked, ...] = (), done: list[str] | None = None
    ) -> None:
        self.major, self.refuse, self.found = major, refuse, databases
        self.url = replace(URL, user="admin")
        self.done: list[str] = [] if done is None else done

    def do(self, statement: str) -> None:
        if self.refuse and self.refuse in statement:
            raise BackupError("permission denied to set parameter" if "SET" in statement else "it is refused")
        self.done.append(statement)

    def rows(self, query: str, *_arguments: object) -> list[tuple[Any, ...]]:
        self.done.append(query)
        return [(True,)]

    def databases(self) -> list[Marked]:
        return list(self.found)


MARK = Mark(DRILL, "x", "d", "h", "2026-11-21T03:00:00Z")
SQL = DatabaseSql("CREATE DATABASE s", "app", ("GRANT",), ("ALTER DATABASE s SET a", "ALTER ROLE r SET b"))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said in the sessions with a scratch database, each with its role."""
    statements: list[str] = []

    @contextmanager
    def connected(url: DatabaseUrl, database: str) -> Iterator[Session]:
        session = Session(refuse="ALTER ROLE")
        yield session
        statements.extend(f"{url.user} in {database}: {statement}" for statement in session.done)

    monkeypatch.setattr(_pg_scratch, "connected", connected)
    return statements


def made(session: Session, *, grants: bool = True, extensions: tuple[str, ...] = ()) -> list[str]:
    wanted = replace(plan(WHOLE), extensions=extensions)
    return create(session, replace(URL, user="app"), SQL, MARK, wanted, owner="app", grants=grants)  # type: ignore[arg-type]


def test_a_scratch_database_is_marked_before_anything_else_and_given_away_before_the_dump_speaks(
    said: list[str],
) -> None:
    session = Session()
    assert made(session, extensions=("postgis",)) == ["left out for want of rights: ALTER ROLE r SET b"]
    assert session.done[0] == "CREATE DATABASE s"
    assert session.done[1].startswith('COMMENT ON DATABASE "d_restore_x" IS ')
    assert session.done[2:] == ['ALTER DATABASE "d_restore_x" OWNER TO "app"']
    assert said == [
        'admin in d_restore_x: CREATE EXTENSION "postgis"',
        "app in d_restore_x: ALTER DATABASE s SET a",
        "app in d_restore_x: GRANT",
    ]


def test_without_owners_nobodys_settings_and_grants_are_made(said: list[str]) -> None:
    made(Session(), grants=False)
    assert said == ["app in d_restore_x: ALTER DATABASE s SET a"]


def test_a_database_that_may_not_be_given_away(said: list[str]) -> None:
    with pytest.raises(BackupError, match="d_restore_x cannot be made like the dump's: it is refused"):
        made(Session(refuse="OWNER"))
    assert said == []


@pytest.mark.parametrize(
    ("major", "last"),
    [(15, 'DROP DATABASE IF EXISTS "a" WITH (FORCE)'), (12, 'DROP DATABASE IF EXISTS "a"')],
    ids=["by-force", "before-force-was-known"],
)
def test_dropping(major: int, last: str) -> None:
    session = Session(major)
    drop(session, "a")  # type: ignore[arg-type]
    assert session.done[-1] == last
    assert len(session.done) == (1 if major > 12 else 2)


@pytest.mark.parametrize("busy", [False, True], ids=["free", "busy"])
def test_nothing_is_swept_while_a_restore_is_at_work(monkeypatch: pytest.MonkeyPatch, busy: bool) -> None:
    old = Mark(OLD, "x", "d", "h", "2026-11-01T03:00:00Z", "2026-11-08T03:00:00Z")
    session = Session(databases=(Marked("a", MARK.to_text()), Marked("b", old.to_text()), Marked("d", "")))

    @contextmanager
    def maintenance(_admin: DatabaseUrl) -> Iterator[Session]:
        yield session

    def take_lock(_session: Session, _name: str) -> None:
        if busy:
            raise BackupError("Another restore is at work.")

    monkeypatch.setattr(_pg_scratch, "maintenance", maintenance)
    monkeypatch.setattr(_pg_scratch, "take_lock", take_lock)
    log: list[str] = []
    assert sweep(URL, "x", NOW, log.append) == ([] if busy else ["a", "b"])
    assert len(session.done) == len(log) == (0 if busy else 2)


def test_a_request_to_end_unwinds() -> None:
    before = signal.getsignal(signal.SIGTERM)
    cleaned = []
    with pytest.raises(SystemExit) as ended, ending_cleanly():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            cleaned.append(True)
    assert ended.value.code == 143 and cleaned == [True]
    assert signal.getsignal(signal.SIGTERM) == before


def test_steps_add_up() -> None:
    timer = Timer()
    for name in ("check", "restore", "check"):
        with timer.step(name):
            pass
    assert list(timer.seconds) == ["check", "restore"]
    assert timer.total == round(sum(timer.seconds.values()), 3)
