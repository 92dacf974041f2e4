# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import re

import pytest
from ansible_collections.quayside.web.plugins.module_utils._django import (
    Node,
    applied,
    failed_migration,
    parse_plan,
    parse_replaced,
    plan,
    unlisted,
)
from ansible_collections.quayside.web.plugins.module_utils._migration import Migration, MigrationError

#: What Django 5.2 printed, with a system check's warning as some projects have it.
SHOWN = """System check identified some issues:

[X]  contenttypes.0001_initial
[X]  auth.0001_initial ... (contenttypes.0001_initial)
[ ]  auth.0002_alter_permission_name_max_length ... (auth.0001_initial)
[ ]  shop.0001_initial ... (auth.0001_initial, contenttypes.0001_initial)
"""
NODES = parse_plan(SHOWN)
RECORDED = ["contenttypes.0001_initial", "auth.0001_initial"]


def planned(nodes: tuple[Node, ...], recorded: list[str], **options: object):
    return plan(nodes, recorded, image="image shop:2", database="shop", **options)


def test_parse_plan() -> None:
    assert (
        Node("contenttypes.0001_initial", True),
        Node("auth.0001_initial", True, ("contenttypes.0001_initial",)),
        Node("auth.0002_alter_permission_name_max_length", False, ("auth.0001_initial",)),
        Node("shop.0001_initial", False, ("auth.0001_initial", "contenttypes.0001_initial")),
    ) == NODES
    assert parse_plan("(no migrations)\n") == ()


def test_plan_is_in_the_order_of_applying_and_states_are_sorted() -> None:
    found = planned(NODES, RECORDED)
    assert found.before == ("auth.0001_initial", "contenttypes.0001_initial")
    assert [step.id for step in found.pending] == ["auth.0002_alter_permission_name_max_length", "shop.0001_initial"]
    assert found.after == tuple(sorted(node.name for node in NODES))


def test_rows_of_an_app_that_is_gone_do_not_matter() -> None:
    assert unlisted(NODES, [*RECORDED, "old.0001_initial"]) == ()
    assert planned(NODES, [*RECORDED, "old.0001_initial"]).changed


SQUASHED = (Node("shop.0001_squashed_0002", True),)


def test_squashed_migrations_are_not_unknown() -> None:
    replaced = parse_replaced("3 objects imported automatically\nreplaced: shop 0001_a\nreplaced: shop 0002_b\n")
    recorded = ["shop.0001_a", "shop.0002_b"]
    assert unlisted(SQUASHED, recorded) == tuple(recorded)
    found = planned(SQUASHED, recorded, replaced=replaced)
    assert (found.changed, found.ahead, found.after) == (False, False, tuple(recorded))


@pytest.mark.parametrize(
    ("nodes", "recorded", "message"),
    [
        (
            NODES,
            [*RECORDED, "shop.0009_later"],
            "Database shop has applied shop.0009_later, which image shop:2 does not have: the database is ahead of it",
        ),
        (
            (Node("a.1", True), Node("a.2x", False, ("a.1",)), Node("a.2y", False, ("a.1",))),
            ["a.1"],
            "In image shop:2 the Django app a ends in 2 migrations (a.2x, a.2y), expected one; join them with",
        ),
        (
            (Node("a.1", False), Node("a.2", True, ("a.1",))),
            ["a.2"],
            "Database shop has applied a.2 before a.1, on which it depends",
        ),
    ],
    ids=["ahead", "conflict", "inconsistent"],
)
def test_plan_refuses(nodes: tuple[Node, ...], recorded: list[str], message: str) -> None:
    with pytest.raises(MigrationError, match=re.escape(message)):
        planned(nodes, recorded)


def test_leaves_of_different_apps_are_no_conflict() -> None:
    nodes = (Node("a.1", False), Node("b.1", False, ("a.1",)), Node("b.2", False, ("b.1",)))
    assert len(planned(nodes, []).pending) == 3


def test_plan_may_leave_a_database_ahead() -> None:
    found = planned(NODES, [*RECORDED, "shop.0009_later"], allow_ahead=True)
    assert (found.ahead, found.changed) == (True, False)


STEPS = [Migration("shop.0001"), Migration("shop.0002")]


def test_applied_is_what_the_database_says() -> None:
    assert applied(STEPS, ["x.1"], ["x.1", "shop.0002", "shop.0001", "auto.1"]) == ("shop.0001", "shop.0002", "auto.1")


@pytest.mark.parametrize(
    ("stdout", "done", "failed"),
    [
        ("  Applying shop.0001... OK\n  Applying shop.0002...", ["shop.0001"], "shop.0002"),
        ("  Applying shop.0001... OK\n  Applying shop.0002... OK", ["shop.0001", "shop.0002"], None),
        ("", [], None),
        ("", ["shop.0001"], "shop.0002"),
    ],
)
def test_failed_migration(stdout: str, done: list[str], failed: str | None) -> None:
    assert failed_migration(stdout, STEPS, done) == failed
