# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The one transaction that puts a database in the place of another, against a server that answers as told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _pg_swap
from ansible_collections.quayside.web.plugins.module_utils._database_url import DatabaseUrl
from ansible_collections.quayside.web.plugins.module_utils._pg_facts import Live
from ansible_collections.quayside.web.plugins.module_utils._pg_mark import Marked
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError
from ansible_collections.quayside.web.plugins.module_utils._pg_swap import ATTEMPTS, Swap, put_in_place

ADMIN = DatabaseUrl("h", 5432, "admin", "", "postgres", {})
SWAP = Swap("ledger_restore", 'led"ger', "ledger_old", "NULL", "'mark'")
LIVE = Live('led"ger', 16384, "app")


class Refusal(Exception):
    """What psycopg2 raises."""

    def __init__(self, code: str) -> None:
        super().__init__(f"ERROR: {code}")
        self.pgcode = code


class Server:
    """Both sessions, and the connection of the first."""

    closed = 0

    def __init__(self, refusals: list[str]) -> None:
        self.refusals = refusals
        self.swaps: list[str] = []
        self.settings: list[str] = []
        self.url = ADMIN
        self.connection = self

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def cursor(self) -> Server:
        return self

    def execute(self, statements: str) -> None:
        self.swaps.append(statements)
        if self.refusals:
            raise Refusal(self.refusals.pop(0))

    def do(self, statement: str) -> None:
        self.settings.append(statement)

    def rows(self, _query: str, *_arguments: object) -> list[tuple[Any, ...]]:
        return [(None,)]

    def databases(self) -> list[Marked]:
        return [Marked('led"ger', ""), Marked("ledger_restore", "")]


def place(monkeypatch: pytest.MonkeyPatch, server: Server, live: Live | None = LIVE, swap: Swap = SWAP) -> float:
    @contextmanager
    def second(*_: object, **__: object) -> Iterator[Server]:
        yield server

    monkeypatch.setattr(_pg_swap, "maintenance", second)
    monkeypatch.setattr(_pg_swap, "DATABASE_ERROR", Refusal)
    monkeypatch.setattr(_pg_swap.time, "sleep", lambda _seconds: None)
    return put_in_place(ADMIN, server, swap, live, lambda _text: None)  # type: ignore[arg-type]


def test_everything_is_one_message() -> None:
    assert SWAP.statements("hold") == (
        'ALTER DATABASE "ledger_restore" RENAME TO "hold"; ALTER DATABASE "led""ger" RENAME TO "ledger_old"; '
        'ALTER DATABASE "hold" RENAME TO "led""ger"; COMMENT ON DATABASE "led""ger" IS NULL; '
        "COMMENT ON DATABASE \"ledger_old\" IS 'mark'"
    )


def test_without_a_live_database_there_is_nothing_to_put_aside() -> None:
    alone = Swap("ledger_restore", "ledger", "", "'theirs'", "NULL")
    assert alone.statements("hold") == (
        'ALTER DATABASE "ledger_restore" RENAME TO "ledger"; COMMENT ON DATABASE "ledger" IS \'theirs\''
    )


@pytest.mark.parametrize("code", ["55006", "55P03", "57014"], ids=["in-use", "lock", "canceled"])
def test_what_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    server = Server([code, code])
    assert place(monkeypatch, server) >= 0
    assert len(server.swaps) == 3 and len(set(server.swaps)) == 1
    # A session that goes on afterwards is not left with our limits.
    assert server.settings[-2:] == ["SET lock_timeout = 0", "SET statement_timeout = 0"]


def test_what_never_passes_ends_with_the_live_database_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(["55006"] * ATTEMPTS)
    with pytest.raises(BackupError, match="could not be replaced in 6 attempts, and is as it was"):
        place(monkeypatch, server)
    assert len(server.swaps) == ATTEMPTS


def test_what_will_not_pass_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(["42501"])
    with pytest.raises(BackupError, match="could not be swapped, and are as they were: 42501"):
        place(monkeypatch, server)
    assert len(server.swaps) == 1
