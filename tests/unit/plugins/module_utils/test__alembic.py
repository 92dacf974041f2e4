# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils._alembic import (
    Revision,
    Tree,
    applied,
    config_file,
    failed_migration,
    parse_history,
    plan,
    script_folders,
)
from ansible_collections.quayside.web.plugins.module_utils._migration import Migration, MigrationError

#: What Alembic 1.20.1 printed for small projects made for this.
RECORDED = Path(__file__).parent / "alembic_history"


def recorded(name: str) -> Tree:
    return parse_history((RECORDED / f"{name}.txt").read_text(encoding="utf-8"))


def planned(name: str, current: list[str], *, allow_ahead: bool = False):
    return plan(recorded(name), current, image="image app:1", database="shop", allow_ahead=allow_ahead)


@pytest.mark.parametrize(
    ("name", "ids", "heads"),
    [
        ("empty", [], []),
        ("linear", ["aaa1", "bbb2", "ccc3"], ["ccc3"]),
        ("branched", ["a1", "b2", "b1"], ["b2", "b1"]),
        ("merged", ["a1", "b2", "b1", "m1", "z1"], ["z1"]),
        ("twoheads", ["x1", "x2", "a1"], ["x2", "a1"]),
        ("labels", ["a1", "a2", "x1", "x2", "x3"], ["a2", "x3"]),
    ],
)
def test_parse_history(name: str, ids: list[str], heads: list[str]) -> None:
    tree = recorded(name)
    assert [revision.id for revision in tree.revisions] == ids
    assert list(tree.heads) == heads


def test_parse_history_reads_each_field() -> None:
    tree = recorded("merged")
    assert tree.by_id["m1"] == Revision("m1", parents=("b1", "b2"), title="merge")
    assert recorded("labels").by_id["x3"] == Revision(
        "x3", parents=("x2",), depends_on=("core",), labels=("bill2", "billing"), title="third"
    )
    assert [revision.title for revision in recorded("linear").revisions] == [
        "create accounts",
        "Add entries: -> (head), x",
        "",
    ]


def test_a_dependency_counts_as_an_ancestor_and_a_label_stands_for_who_declares_it() -> None:
    assert recorded("labels").with_ancestors(["x2"]) == {"x2", "x1", "a2", "a1"}
    only_label = Tree(
        (Revision("a1", labels=("core",)), Revision("a2", ("a1",), labels=("core",)), Revision("x1", (), ("core",)))
    )
    assert only_label.with_ancestors(["x1"]) == {"x1", "a1"}


@pytest.mark.parametrize(
    ("name", "current", "pending", "after"),
    [
        ("empty", [], [], []),
        ("linear", [], ["aaa1", "bbb2", "ccc3"], ["ccc3"]),
        ("linear", ["bbb2"], ["ccc3"], ["ccc3"]),
        ("linear", ["ccc3"], [], ["ccc3"]),
        ("merged", [], ["a1", "b2", "b1", "m1", "z1"], ["z1"]),
        ("merged", ["b2"], ["b1", "m1", "z1"], ["z1"]),
        ("merged", ["b1", "b2"], ["m1", "z1"], ["z1"]),
    ],
)
def test_plan(name: str, current: list[str], pending: list[str], after: list[str]) -> None:
    found = planned(name, current)
    assert [step.id for step in found.pending] == pending
    assert list(found.after) == after
    assert found.changed == bool(pending)


@pytest.mark.parametrize(
    ("name", "current", "message"),
    [
        (
            "branched",
            [],
            "Image app:1 has 2 Alembic heads (b2, b1), expected one; join them with `alembic merge heads`",
        ),
        ("twoheads", ["x1"], "has 2 Alembic heads (x2, a1)"),
        (
            "linear",
            ["ddd4"],
            "Database shop is at revision ddd4, which image app:1 does not have (it ends at ccc3): the database is",
        ),
        ("empty", ["ddd4"], "(it ends at no revision at all)"),
        ("linear", ["ccc3", "zzz9"], "is at revision zzz9, which"),
    ],
)
def test_plan_refuses(name: str, current: list[str], message: str) -> None:
    with pytest.raises(MigrationError, match=re.escape(message)):
        planned(name, current)


def test_plan_may_leave_a_database_ahead() -> None:
    found = planned("linear", ["ddd4"], allow_ahead=True)
    assert (found.ahead, found.changed, found.after) == (True, False, ("ddd4",))
    assert not planned("linear", ["ccc3"], allow_ahead=True).ahead


def test_applied_is_what_the_database_says() -> None:
    tree = recorded("merged")
    assert applied(tree, ["a1"], ["m1"]) == ("b2", "b1", "m1")
    assert applied(tree, ["a1"], ["a1"]) == ()


RUNNING = """INFO  [alembic.runtime.migration] Running upgrade  -> aaa1, create accounts
INFO  [alembic.runtime.migration] Running upgrade aaa1 -> bbb2, Add entries: -> (head), x
Traceback (most recent call last):
"""
STEPS = [Migration("aaa1"), Migration("bbb2"), Migration("ccc3")]


@pytest.mark.parametrize(
    ("stderr", "pending", "done", "failed"),
    [
        (RUNNING, STEPS, [], "bbb2"),
        ("INFO Running upgrade b1, b2 -> m1, merge", [Migration("m1")], [], "m1"),
        ("KeyError: 'x'", STEPS, [], None),
        ("KeyError: 'x'", STEPS, ["aaa1", "bbb2"], "ccc3"),
        ("", [], [], None),
    ],
)
def test_failed_migration(stderr: str, pending: list[Migration], done: list[str], failed: str | None) -> None:
    assert failed_migration(stderr, pending, done) == failed


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (["alembic"], ("alembic.ini", "alembic")),
        (["alembic", "-c", "db/a.ini"], ("db/a.ini", "alembic")),
        (["python", "-m", "alembic", "--config=b.ini", "--name", "shop"], ("b.ini", "shop")),
    ],
)
def test_config_file(command: list[str], found: tuple[str, str]) -> None:
    assert config_file(command) == found


@pytest.mark.parametrize(
    ("text", "folders"),
    [
        ("[alembic]\nscript_location = migrations\n", ("/app/migrations",)),
        ("[alembic]\nscript_location = %(here)s/m\n", ("/app/db/m",)),
        (
            "[alembic]\nscript_location = m\npath_separator = os\nversion_locations = m/v:/srv/v\n",
            ("/app/m", "/srv/v"),
        ),
        (
            "[alembic]\nscript_location = m\npath_separator = space\nversion_locations = a  b\n",
            ("/app/a", "/app/b", "/app/m"),
        ),
        ("[alembic]\nscript_location = m\nversion_locations = a b\n", None),
        ("[alembic]\nscript_location = shop:migrations\n", None),
        ("[alembic]\nscript_location = m\nsourceless = true\n", None),
        ("[alembic]\nurl = x\n", None),
        ("[other]\nscript_location = m\n", None),
        ("not one", None),
        ("[alembic]\nscript_location = %(nothing)s\n", None),
    ],
)
def test_script_folders_are_known_for_sure_or_not_at_all(text: str, folders: tuple[str, ...] | None) -> None:
    assert script_folders(text, file="db/a.ini", section="alembic", workdir="/app") == folders
