# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import hashlib
import re

import pytest
from ansible_collections.quayside.web.plugins.module_utils._migration import Migration, MigrationError
from ansible_collections.quayside.web.plugins.module_utils._prisma import (
    Row,
    checksums,
    failed_migration,
    plan,
    read_folder,
    schema_of,
    state,
)

INIT, EMAIL = "20260101000000_init", "20260102000000_email"
#: The checksum that Prisma 6.19 wrote for this script.
SCRIPT = b'ALTER TABLE "Account" ADD COLUMN "email" TEXT;\n'
SUM = "6384fd9feedb1a21b6dae68b39d3dcfeda93dc7c6f32e9c692ad39c3f26a3447"
FOLDER = read_folder({f"{INIT}/migration.sql": b"x", f"{EMAIL}/migration.sql": SCRIPT, "migration_lock.toml": b"p"})
#: What Prisma 6.19 wrote as logs of a migration that failed.
LOGS = """external connector error
Error querying the database: ERROR: column "email" of relation "Account" already exists
   0: sql_schema_connector::apply_migration::apply_script
"""


def row(name: str, *, sum_: str | None = None, finished: bool = True, rolled_back: bool = False, logs: str = "") -> Row:
    return Row(name, sum_ or FOLDER.get(name, ("?",))[0], finished, rolled_back, "2026-11-21 08:08:33+00", logs)


def planned(rows: list[Row], **options: bool):
    return plan(FOLDER, rows, image="image shop:2", database="shop", **options)


def test_checksum_is_prismas_own_whatever_the_line_ends() -> None:
    assert checksums(SCRIPT)[0] == SUM
    assert SUM in checksums(SCRIPT.replace(b"\n", b"\r\n"))
    assert hashlib.sha256(SCRIPT.replace(b"\n", b"\r\n")).hexdigest() in checksums(SCRIPT)


def test_only_folders_with_a_script_are_migrations() -> None:
    assert list(FOLDER) == [INIT, EMAIL]
    assert read_folder({"a/other.sql": b"", "a/b/migration.sql": b"", "migration.sql": b""}) == {}


@pytest.mark.parametrize(
    ("rows", "before", "pending"),
    [
        ([], (), [INIT, EMAIL]),
        ([row(INIT)], (INIT,), [EMAIL]),
        ([row(INIT), row(EMAIL)], (INIT, EMAIL), []),
        ([row(INIT), row(EMAIL, finished=False, rolled_back=True)], (INIT,), [EMAIL]),
        ([row(INIT), row(EMAIL, finished=False, rolled_back=True), row(EMAIL)], (INIT, EMAIL), []),
        ([row(INIT), row(EMAIL, rolled_back=True)], (INIT,), [EMAIL]),
    ],
    ids=["empty", "one", "all", "rolled back", "tried again", "applied and rolled back"],
)
def test_plan(rows: list[Row], before: tuple[str, ...], pending: list[str]) -> None:
    found = planned(rows)
    assert (found.before, found.before) == (before, state(rows))
    assert [step.id for step in found.pending] == pending
    assert found.after == (INIT, EMAIL)
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [row(INIT), row(EMAIL, finished=False, logs=LOGS)],
            f"Migration {EMAIL} failed on database shop at 2026-11-21 08:08:33+00 (Error querying the database: ERROR: "
            f'column "email" of relation "Account" already exists), and Prisma applies nothing until someone decides',
        ),
        (
            [row(INIT), row("20270101000000_later")],
            "Database shop has applied 20270101000000_later, which image shop:2 does not have",
        ),
    ],
    ids=["failed before", "ahead"],
)
def test_plan_refuses(rows: list[Row], message: str) -> None:
    with pytest.raises(MigrationError, match=re.escape(message)):
        planned(rows)


def test_an_edited_migration_is_reported_and_stops_nothing() -> None:
    found = planned([row(INIT, sum_="0" * 64)])
    assert found.changed
    assert found.warnings[0].startswith(f"Migration {INIT} of image shop:2 was edited after it was applied")


def test_plan_may_leave_a_database_ahead() -> None:
    found = planned([row(INIT), row("20270101000000_later")], allow_ahead=True)
    assert (found.ahead, found.changed, found.after) == (True, False, (INIT, "20270101000000_later"))


def test_a_failed_migration_is_the_one_without_an_end() -> None:
    pending = [Migration(INIT), Migration(EMAIL)]
    assert failed_migration([row(INIT), row(EMAIL, finished=False)], pending, [INIT]) == EMAIL
    assert failed_migration([row(INIT)], pending, [INIT]) == EMAIL
    assert failed_migration([], pending, []) is None


@pytest.mark.parametrize(("options", "schema"), [({}, "public"), ({"schema": "shop"}, "shop")])
def test_schema_is_what_the_url_names(options: dict[str, str], schema: str) -> None:
    assert schema_of(options) == schema
