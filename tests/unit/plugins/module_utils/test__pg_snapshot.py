# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import psycopg2
import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_relations import Relation
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError, Table
from ansible_collections.quayside.web.plugins.module_utils._pg_select import select
from ansible_collections.quayside.web.plugins.module_utils._pg_snapshot import (
    Overtaken,
    count,
    exported,
    release,
    watch,
)

GONE = "server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally"


class Fault(psycopg2.Error):
    """An error of the server's; psycopg2 lets nobody else set its code."""

    def __init__(self, message: str, pgcode: str) -> None:
        super().__init__(message)
        self.state = pgcode

    @property
    def pgcode(self) -> str:  # type: ignore[override]
        return self.state


class Connection:
    """Answers statements by the words in them, and notes them. An answer that is a list of faults is used up."""

    closed = 0

    def __init__(self, version: int = 150000, **answers: Any) -> None:
        self.server_version = version
        self.answers = {"pg_export_snapshot": [("00000003-1",)], **answers}
        self.said: list[str] = []
        self.rows: list[tuple[Any, ...]] = []
        self.status = 0

    def cursor(self) -> Connection:
        return self

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get_transaction_status(self) -> int:
        return self.status

    def execute(self, query: str, arguments: Any = None) -> None:
        self.said.append(f"{' '.join(query.split())} {arguments or ''}".strip())
        self.rows = []
        if query.startswith("BEGIN"):
            self.status = 2
        if query == "ROLLBACK":
            self.status = 0
        for word, answer in self.answers.items():
            if word in query:
                if answer and isinstance(answer[0], Exception):
                    raise answer.pop(0)
                self.rows = [row for row in answer if isinstance(row, tuple)]

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows

    def statements(self, word: str) -> list[str]:
        return [said for said in self.said if said.startswith(word)]


def table(name: str, kind: str = "r", readable: bool = True) -> Relation:
    return Relation(1, "public", name, kind, readable, False, True)


def test_tables_are_locked_before_the_snapshot_is_taken() -> None:
    connection = Connection()
    chosen = [table("t"), table('a"b', "p"), table("v", "v"), table("denied", readable=False)]
    with exported(connection, lambda: chosen, 7) as snapshot:
        assert snapshot == "00000003-1"
    begin, lock, export, end = connection.said[-4:]
    assert begin == "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    assert lock == 'LOCK TABLE ONLY "public"."t", ONLY "public"."a""b" IN ACCESS SHARE MODE'
    assert "pg_export_snapshot" in export and end == "ROLLBACK"
    settings = " ".join(connection.statements("SELECT pg_catalog.set_config"))
    for setting in ("'idle_in_transaction_session_timeout', '0'", "'row_security', 'off'", "'lock_timeout', '7s'"):
        assert setting in settings


@pytest.mark.parametrize(
    ("version", "known"), [(130000, False), (140000, True)], ids=["unknown setting", "known setting"]
)
def test_settings_fit_the_server(version: int, known: bool) -> None:
    connection = Connection(version)
    with exported(connection):
        assert any("idle_session_timeout" in said for said in connection.said) is known


def test_many_tables_are_locked_in_batches() -> None:
    connection = Connection()
    with exported(connection, lambda: [table(f"t{n}") for n in range(450)]):
        assert len(connection.statements("LOCK TABLE")) == 3


def test_a_table_that_is_dropped_meanwhile_begins_it_again() -> None:
    connection = Connection(LOCK=[Fault("relation does not exist", "42P01")])
    offers: Iterator[list[Relation]] = iter([[table("dropped"), table("t")], [table("t")]])
    with exported(connection, lambda: next(offers)):
        assert connection.said[-2] == 'LOCK TABLE ONLY "public"."t" IN ACCESS SHARE MODE'
    assert len(connection.statements("BEGIN")) == 2


def test_tables_that_go_on_being_dropped_end_it() -> None:
    connection = Connection(LOCK=[Fault("relation does not exist", "42P01") for _time in range(3)])
    with pytest.raises(BackupError, match="cannot be locked for the dump: relation does not exist"):
        exported(connection, lambda: [table("t")]).__enter__()


def test_who_holds_a_lock_is_told() -> None:
    connection = Connection(
        LOCK=[Fault("canceling statement due to lock timeout", "55P03")],
        pg_locks=[("public", "t", 42, "app", "migration")],
    )
    with pytest.raises(
        BackupError, match=r"raise lock_wait_timeout \(public\.t is locked by app, process 42, migration"
    ):
        exported(connection, lambda: [table("t")]).__enter__()
    assert connection.status == 0


def test_a_full_lock_table_leaves_the_locks_to_pg_dump() -> None:
    connection = Connection(LOCK=[Fault("out of shared memory", "53200")])
    with exported(connection, lambda: [table("t")]) as snapshot:
        assert snapshot
    assert len(connection.statements("LOCK")) == 1


def test_a_lost_session_is_told() -> None:
    connection = Connection(pg_export_snapshot=[Fault(GONE, "")])
    with pytest.raises(BackupError, match=r"session of the backup failed: server closed .* run it again\."):
        exported(connection).__enter__()


@pytest.mark.parametrize(("waits", "expected"), [(False, None), (True, Overtaken)])
def test_a_dump_that_waits_for_us_is_noticed(waits: bool, expected: type[Exception] | None) -> None:
    connection = Connection(pg_blocking_pids=[(waits,)])
    with pytest.raises(expected) if expected else nullcontext():
        watch(connection)
    assert "pg_stat_clear_snapshot" in connection.said[0]


def test_a_release_happens_once() -> None:
    connection = Connection()
    with exported(connection):
        release(connection)
    assert len(connection.statements("ROLLBACK")) == 1


@pytest.mark.parametrize(
    ("kind", "condition", "origin"),
    [
        ("r", "", 'ONLY "s"."a""b"'),
        ("p", "", '"s"."a""b"'),
        ("r", "WHERE NOT own AND t LIKE '%q%'", 'ONLY "s"."a""b" WHERE NOT own AND t LIKE \'%q%\''),
    ],
    ids=["table", "partitioned", "of an extension"],
)
def test_exactly_the_rows_that_pg_dump_copies_are_counted(kind: str, condition: str, origin: str) -> None:
    connection = Connection(**{"ROWS FROM": [("s", 'a"b', kind, condition)], "count(*)": [(3, None)]})
    assert count(connection, [Table("s", 'a"b', 0)], hashed=False) == (Table("s", 'a"b', 3),)
    assert connection.said[-1] == f"SELECT pg_catalog.count(*), NULL FROM {origin}"


@pytest.mark.parametrize(("total", "expected"), [("0", "0" * 16), ("-1", "f" * 16), (str(2**64 + 10), "0" * 15 + "a")])
def test_hashes_fit_64_bits(total: str, expected: str) -> None:
    connection = Connection(**{"ROWS FROM": [("s", "t", "r", "")], "count(*)": [(3, total)]})
    assert count(connection, [Table("s", "t", 0)], hashed=True) == (Table("s", "t", 3, expected),)
    assert 'pg_catalog.concat("t".*)' in connection.said[-1]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({}, r"The table s\.t is not there\."),
        (
            {"ROWS FROM": [("s", "t", "r", "")], "count(*)": [Fault("permission denied for table t", "42501")]},
            r"The count of s\.t failed: permission denied for table t; let its role",
        ),
    ],
)
def test_what_cannot_be_counted(answers: dict[str, Any], words: str) -> None:
    with pytest.raises(BackupError, match=words):
        count(Connection(**answers), [Table("s", "t", 0)], hashed=False)


RELATIONS = [
    (1, "public", "part", "p", True, False, True),
    (2, "public", "part_1", "r", True, False, True),
    (3, "public", "log", "r", True, False, True),
    (4, "public", "v", "v", True, False, True),
]


@pytest.mark.parametrize(
    ("include", "exclude", "chosen", "patterns"),
    [
        ((), (), [1, 2, 3, 4], ((), ())),
        (("part",), (), [1, 2], (('"public"."part"', '"public"."part_1"'), ())),
        (("public.par?",), (), [1, 2], (("public.par?", '"public"."part_1"'), ())),
        ((), ("part",), [3, 4], ((), ('"public"."part"', '"public"."part_1"'))),
    ],
    ids=["everything", "included", "included by a pattern with a schema", "excluded"],
)
def test_a_partitioned_table_stands_for_its_partitions(
    include: tuple[str, ...], exclude: tuple[str, ...], chosen: list[int], patterns: tuple[tuple[str, ...], ...]
) -> None:
    connection = Connection(
        **{"has_table_privilege": RELATIONS, "relname ~": [(1,)], "pg_partition_tree": [(1,), (2,)]}
    )
    selection = select(connection, include, exclude)
    assert [relation.oid for relation in selection.relations] == chosen
    assert (selection.include, selection.exclude) == patterns


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    connection = Connection(**{"has_table_privilege": RELATIONS})
    with pytest.raises(BackupError, match=r"tables\.exclude has the pattern 'nope', which matches no table"):
        select(connection, (), ("nope",))
