# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Loading rows: what runs before and after them, and what is taken out of a dump."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_load_plan import (
    ForeignKey,
    Sequence_,
    Trigger,
    after,
    before,
    explain_load,
    row_entries,
    without_other_rows,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError, Table

LISTING = """;
; Archive created at 2026-11-21 11:41:36 UTC
215; 1259 16392 TABLE public t postgres
216; 1259 16393 TABLE a b c app
3375; 0 16392 TABLE DATA public t postgres
3376; 0 16393 TABLE DATA a b c app
3377; 0 16394 TABLE DATA public t x app
3390; 0 0 SEQUENCE SET public t_id_seq postgres
3400; 2606 1 CONSTRAINT public t t_pkey postgres
3401; 2606 2 FK CONSTRAINT public t t_c_fkey postgres
3402; 0 3 MATERIALIZED VIEW DATA public mv postgres
"""
T, BC, TX = Table("public", "t", 1), Table("a", "b c", 1), Table("public", "t x", 1)


def test_rows_are_found_among_names_with_spaces() -> None:
    lines = LISTING.splitlines()
    assert row_entries(LISTING, [T, BC, TX], ["postgres", "app"]) == [lines[4], lines[5], lines[6]]


@pytest.mark.parametrize(
    ("table", "owners", "message"),
    [
        pytest.param(Table("public", "nope", 0), ["app"], "public.nope in the dump is missing", id="missing"),
        pytest.param(T, ["postgres", "x app"], "public.t in the dump is like that of another table", id="ambiguous"),
    ],
)
def test_rows_that_cannot_be_told_are_refused(table: Table, owners: list[str], message: str) -> None:
    with pytest.raises(BackupError, match=message):
        row_entries(LISTING, [table], owners)


def test_other_rows_and_what_needs_them_are_left_out() -> None:
    kept = row_entries(LISTING, [T], ["postgres", "app"])
    numbers = [line.split(";")[0] for line in without_other_rows(LISTING, kept).splitlines() if line[0] != ";"]
    assert numbers == ["215", "216", "3375", "3390", "3400"]


KEYS = [ForeignKey("public.t", "t_c_fkey", False, False), ForeignKey("public.t", "t_d_fkey", True, False)]
TRIGGERS = [Trigger("public.t", "audit", False), Trigger("public.t", "copy", True)]


def test_tables_are_emptied_and_free_of_what_interferes() -> None:
    lines = before([T, BC], KEYS, TRIGGERS, True, 30).splitlines()
    assert lines[:3] == [
        "SET lock_timeout = '30s';",
        'LOCK TABLE ONLY "public"."t", ONLY "a"."b c" IN ACCESS EXCLUSIVE MODE;',
        'TRUNCATE ONLY "public"."t", ONLY "a"."b c";',
    ]
    assert "ALTER TABLE public.t ALTER CONSTRAINT t_c_fkey DEFERRABLE INITIALLY DEFERRED;" in lines
    assert "ALTER TABLE public.t DISABLE TRIGGER audit;" in lines


def test_nothing_is_emptied_unless_asked_for() -> None:
    text = before([T], [], [], False, 30)
    assert "TRUNCATE" not in text
    assert 'LOCK TABLE ONLY "public"."t" IN SHARE ROW EXCLUSIVE MODE;' in text


def test_all_is_as_before_afterwards() -> None:
    lines = after([T], KEYS, TRIGGERS, [Sequence_("public.t", "id", "public.t_id_seq")]).splitlines()
    assert lines[0] == "SET CONSTRAINTS ALL IMMEDIATE;"
    assert "ALTER TABLE public.t ALTER CONSTRAINT t_c_fkey NOT DEFERRABLE;" in lines
    assert "ALTER TABLE public.t ALTER CONSTRAINT t_d_fkey DEFERRABLE INITIALLY IMMEDIATE;" in lines
    assert "ALTER TABLE public.t ENABLE TRIGGER audit;" in lines
    assert "ALTER TABLE public.t ENABLE ALWAYS TRIGGER copy;" in lines
    assert any("setval('public.t_id_seq', top)" in line and "top > s.last_value" in line for line in lines)
    # The rows are counted last, in the transaction that they came with.
    assert lines[-1].startswith('DO \'BEGIN IF (SELECT pg_catalog.count(*) FROM ONLY "public"."t") <>')
    assert "+ 1 THEN RAISE EXCEPTION" in lines[-1]


@pytest.mark.parametrize(
    ("said", "truncate", "meant"),
    [
        pytest.param(
            'psql:/x/rows.sql:12: ERROR:  duplicate key value violates unique constraint "t_pkey"',
            False,
            'duplicate key value violates unique constraint "t_pkey"; rows of the backup are there already: truncate '
            "empties the tables first",
            id="rows-are-there",
        ),
        pytest.param("duplicate key value", True, "duplicate key value", id="already-truncated"),
        pytest.param(
            "cannot truncate a table referenced in a foreign key constraint",
            True,
            "cannot truncate a table referenced in a foreign key constraint; name the tables that refer to it too, or "
            "restore into another database",
            id="referenced",
        ),
        pytest.param(
            'insert or update on table "a" violates foreign key constraint "k"',
            True,
            'insert or update on table "a" violates foreign key constraint "k"; '
            "name the table that it refers to as well",
            id="refers",
        ),
        pytest.param("connection to server was lost", False, "connection to server was lost", id="anything-else"),
    ],
)
def test_failures_say_what_to_do(said: str, truncate: bool, meant: str) -> None:
    assert explain_load(said, truncate) == meant
