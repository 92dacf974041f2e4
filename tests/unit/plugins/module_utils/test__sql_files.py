# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import re

import pytest
from ansible_collections.quayside.web.plugins.module_utils._migration import MigrationError
from ansible_collections.quayside.web.plugins.module_utils._sql_files import (
    File,
    Row,
    checksum,
    plan,
    read_folder,
    read_script,
    split,
    state,
)

FILES = (File("0001", "0001_a.sql", "s1"), File("0002", "0002_b.sql", "s2"), File("0010", "0010_c.sql", "s10"))


def planned(rows: list[Row], **options: bool):
    return plan(FILES, rows, image="image shop:2", database="shop", **options)


def folder(*names: str) -> list[str]:
    found = read_folder(dict.fromkeys(names, b"x"), image="image shop:2", path="/m")
    return [file.version for file in found]


def test_files_are_in_the_order_of_their_numbers() -> None:
    names = ["10_c.sql", "0002-b.sql", "1.sql", "3_d.up.sql", "3_d.down.sql", "README.md", "old/4_e.sql"]
    assert folder(*names) == ["1", "0002", "3", "10"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["setup.sql"], "/m/setup.sql of image shop:2 has no version in its name, expected one such as"),
        (["01_a.sql", "1_b.sql"], "/m of image shop:2 has two files of version 1 (01_a.sql and 1_b.sql), expected one"),
    ],
)
def test_a_folder_that_is_not_clear_is_refused(names: list[str], message: str) -> None:
    with pytest.raises(MigrationError, match=re.escape(message)):
        folder(*names)


def test_line_ends_do_not_edit_a_file() -> None:
    assert checksum(b"a\r\nb") == checksum(b"a\nb") != checksum(b"a\n b")


@pytest.mark.parametrize(
    ("rows", "pending", "warnings"),
    [
        ([], ["0001", "0002", "0010"], 0),
        ([Row("0001", "s1", True)], ["0002", "0010"], 0),
        ([Row("1", "s1", True)], ["0002", "0010"], 0),
        ([Row("0010", "s10", True), Row("0001", "s1", True)], ["0002"], 1),
        ([Row("0001", "s1", True), Row("0002", "s2", True), Row("0010", "s10", True)], [], 0),
    ],
    ids=["empty", "one", "other zeros", "late", "all"],
)
def test_plan(rows: list[Row], pending: list[str], warnings: int) -> None:
    found = planned(rows)
    assert [step.id for step in found.pending] == pending
    assert found.before == state(rows)
    assert len(found.warnings) == warnings
    assert len(found.after or ()) == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([Row("0001", "other", True)], "0001_a.sql of image shop:2 was edited after it was applied to database shop"),
        (
            [Row("0011", "s", True)],
            "Database shop has applied 0011, which image shop:2 does not have (it ends at 0010)",
        ),
        ([Row("0002", "s2", False)], "Migration 0002_b.sql on database shop was begun without a transaction and did"),
    ],
    ids=["edited", "ahead", "half done"],
)
def test_plan_refuses(rows: list[Row], message: str) -> None:
    with pytest.raises(MigrationError, match=re.escape(message)):
        planned(rows)


def test_plan_may_leave_a_database_ahead() -> None:
    found = planned([Row("0011", "s", True)], allow_ahead=True)
    assert (found.ahead, found.changed, found.after) == (True, False, ("0011",))


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("", []),
        ("-- only; a comment\n/* and; /* nested; */ another; */", []),
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT ';', \"a;b\", E'\\';', $$;$$, $x$;$$;$x$; SELECT 2;", None),
        ("SELECT 'it''s; one';SELECT 2", ["SELECT 'it''s; one'", "SELECT 2"]),
        ("-- first;\nSELECT 1 -- inside;\n+ 1;\n;;", ["SELECT 1 -- inside;\n+ 1"]),
        ("SELECT a$b$c; SELECT 2", ["SELECT a$b$c", "SELECT 2"]),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END; SELECT 3",
            [
                "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END",
                "SELECT 3",
            ],
        ),
    ],
)
def test_split(text: str, statements: list[str] | None) -> None:
    assert list(split(text)) == (statements or ([] if statements == [] else text.rstrip(";").rsplit("; ", 1)))


def test_a_file_is_sent_whole_unless_it_asks_for_no_transaction() -> None:
    whole = read_script("1.sql", b"-- about\nSELECT 1; SELECT 2;\n")
    assert (whole.in_transaction, whole.statements) == (True, ("-- about\nSELECT 1; SELECT 2;\n",))
    apart = read_script("1.sql", b"\n-- about\n-- quayside: no-transaction\nSELECT 1; SELECT 2;\n")
    assert (apart.in_transaction, apart.statements) == (False, ("SELECT 1", "SELECT 2"))
    late = read_script("1.sql", b"SELECT 1;\n-- quayside: no-transaction\n")
    assert late.in_transaction
    assert read_script("1.sql", b"-- nothing yet\n").statements == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"BEGIN; SELECT 1; COMMIT;", "1.sql says BEGIN, but each file runs in a transaction of its own"),
        (b"SELECT 1; commit", "1.sql says COMMIT, but"),
        (b"\\i other.sql\n", "1.sql holds `\\i other.sql`, which only psql understands"),
        (b"COPY parts FROM stdin;\n1\n\\.\n", "1.sql holds `COPY parts FROM stdin`, which only psql understands"),
        (b"\xff\xfe", "1.sql is not UTF-8 text"),
    ],
)
def test_what_a_file_cannot_say(text: bytes, message: str) -> None:
    with pytest.raises(MigrationError, match=re.escape(message)):
        read_script("1.sql", text)


@pytest.mark.parametrize("text", [b"SAVEPOINT a; ROLLBACK TO a;", b"DO $$ BEGIN NULL; END $$;", b"SELECT 'COMMIT';"])
def test_what_a_file_may_say(text: bytes) -> None:
    assert read_script("1.sql", text).in_transaction
