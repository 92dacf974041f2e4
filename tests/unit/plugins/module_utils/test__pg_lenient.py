# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Which errors of pg_restore leave every row in place."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_lenient import came_to_its_end, read_failures

MISSING = "function unaccent(text) does not exist"


def said(message: str, command: str) -> str:
    return (
        f"pg_restore: from TOC entry 3354; 1259 16399 INDEX i shop\n"
        f"pg_restore: error: could not execute query: ERROR:  {message}\nLINE 1: x\nHINT: y\nCommand was: {command}\n\n"
    )


@pytest.mark.parametrize(
    ("message", "command", "excepted"),
    [
        (MISSING, "CREATE INDEX i ON public.t USING btree (public.f(a));", f"index i of public.t ({MISSING})"),
        (
            MISSING,
            'CREATE UNIQUE INDEX "I 1" ON ONLY s."T x" USING btree (f(a));',
            f'index "I 1" of s."T x" ({MISSING})',
        ),
        (MISSING, "REFRESH MATERIALIZED VIEW public.v;", f"materialized view public.v ({MISSING})"),
        (
            'relation "public.i" does not exist',
            "COMMENT ON INDEX public.i IS 'x';",
            'comment of index public.i (relation "public.i" does not exist)',
        ),
        ("could not create unique index", "CREATE UNIQUE INDEX i ON public.t USING btree (a);", ""),
        (MISSING, "ALTER TABLE ONLY public.t ADD CONSTRAINT c CHECK (public.f(a));", ""),
        (MISSING, "COPY public.t (a) FROM stdin;", ""),
    ],
)
def test_only_what_is_derived_from_rows_may_be_missing(message: str, command: str, excepted: str) -> None:
    (failure,) = read_failures(said(message, command))
    assert failure.excepted == excepted


def test_all_errors_are_read() -> None:
    text = said(MISSING, "CREATE INDEX i ON t (a);") + "pg_restore: error: lost\npg_restore: warning: x\n"
    assert [(failure.message, bool(failure.excepted)) for failure in read_failures(text)] == [
        (f"ERROR: {MISSING}", True),
        ("lost", False),
    ]
    assert not came_to_its_end(text)
    assert came_to_its_end(f"{text}pg_restore: warning: errors ignored on restore: 2\n")
