# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Where a restore works from, and with which settings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _pg_target
from ansible_collections.quayside.web.plugins.module_utils._database_url import DatabaseUrl
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError
from ansible_collections.quayside.web.plugins.module_utils._pg_target import for_programs, maintenance, take_lock

ADMIN = DatabaseUrl("h", 5432, "admin", "s3ntinel", "own", {"sslmode": "require", "options": "-c work_mem=1MB"})


class Connection:
    """A connection to a database; its lock is taken or free."""

    server_version = 150004

    def __init__(self, database: str, free: bool = True) -> None:
        self.database, self.free, self.closed, self.asked = database, free, False, list[Any]()

    def close(self) -> None:
        self.closed = True

    def cursor(self) -> Connection:
        return self

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, query: str, arguments: Any = None) -> None:
        self.asked.append(arguments)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return [(self.free,)]


@pytest.mark.parametrize(
    ("there", "avoid", "expected"),
    [
        pytest.param(["postgres", "own"], [], "postgres", id="postgres-first"),
        pytest.param(["own"], [], "own", id="its-own"),
        pytest.param(["template1"], [], "template1", id="the-template"),
        pytest.param(["postgres", "own"], ["postgres"], "own", id="not-what-is-renamed"),
        pytest.param([], [], None, id="none"),
        pytest.param(["own"], ["own"], None, id="only-what-is-renamed"),
    ],
)
def test_where_it_works_from(
    monkeypatch: pytest.MonkeyPatch, there: list[str], avoid: list[str], expected: str | None
) -> None:
    opened: list[Connection] = []

    def connect(url: DatabaseUrl) -> Connection:
        if url.database not in there:
            raise BackupError(f"Cannot use {url.redacted}.")
        opened.append(Connection(url.database))
        return opened[-1]

    monkeypatch.setattr(_pg_target, "connect", connect)
    if expected is None:
        with pytest.raises(BackupError, match="Cannot use"), maintenance(ADMIN, avoid):
            pass
        return
    with maintenance(ADMIN, avoid) as session:
        assert (session.url.database, session.major) == (expected, 15)
    assert opened[0].closed


@pytest.mark.parametrize(("major", "newer"), [(15, False), (17, True)], ids=["15", "17"])
def test_settings_of_roles_and_databases_do_not_stop_a_restore(major: int, newer: bool) -> None:
    url = for_programs(ADMIN, "scratch", major, synchronous_commit="off")
    assert (url.database, url.password, url.options["sslmode"]) == ("scratch", "s3ntinel", "require")
    options = url.options["options"]
    assert options.startswith("-c work_mem=1MB -c statement_timeout=0 ")
    assert "-c default_transaction_read_only=off" in options and "-c synchronous_commit=off" in options
    assert ("-c transaction_timeout=0" in options) == newer


def test_one_restore_of_a_name_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pg_target, "LOCK_WAIT", 0)
    free = Connection("postgres")
    take_lock(_pg_target.Session(ADMIN, free), "ledger")
    take_lock(_pg_target.Session(ADMIN, free), "shop")
    assert free.asked[0] != free.asked[1]
    with pytest.raises(BackupError, match="Another restore or drill of ledger is at work on this server"):
        take_lock(_pg_target.Session(ADMIN, Connection("postgres", free=False)), "ledger")


@pytest.mark.parametrize(("free_after", "waited"), [(0, 0), (3, 3)], ids=["at once", "when the other has ended"])
def test_a_lock_is_waited_for_a_moment(monkeypatch: pytest.MonkeyPatch, free_after: int, waited: int) -> None:
    asked: list[int] = []
    pauses: list[float] = []

    def rows(_query: str, number: int) -> list[tuple[bool]]:
        asked.append(number)
        return [(len(asked) > free_after,)]

    monkeypatch.setattr(_pg_target.time, "sleep", pauses.append)
    _pg_target.take_lock(SimpleNamespace(rows=rows), "shop")  # type: ignore[arg-type]
    assert len(pauses) == waited and len(set(asked)) == 1
