# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_relations import Relation, Selection, check_readable
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError


def relation(
    name: str = "t", kind: str = "r", readable: bool = True, limited: bool = False, own: bool = True
) -> Relation:
    return Relation(1, "public", name, kind, readable, limited, own)


@pytest.mark.parametrize(
    "found",
    [
        relation(),
        relation(kind="v", readable=False),
        relation(kind="f", readable=False),
        relation(own=False, readable=False, limited=True),
    ],
    ids=["table", "view", "foreign table", "table of an extension"],
)
def test_what_pg_dump_can_read(found: Relation) -> None:
    check_readable([found], "app")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([relation(readable=False)], "The role app may not read public.t; let it"),
        ([relation(kind="p", readable=False)], "may not read public.t"),
        ([relation(f"t{n}", readable=False) for n in range(5)], "public.t0, public.t1, public.t2 and 2 more"),
        ([relation(limited=True)], "Row-level security may hide rows of public.t from the role app"),
    ],
)
def test_what_it_cannot(found: list[Relation], words: str) -> None:
    with pytest.raises(BackupError) as caught:
        check_readable(found, "app")
    assert words in str(caught.value)


def test_rows_are_those_of_tables_alone() -> None:
    kinds = [relation(kind, kind) for kind in "rpvmfS"] + [relation("ours", own=False)]
    assert [table.name for table in Selection(tuple(kinds)).tables] == ["r"]
