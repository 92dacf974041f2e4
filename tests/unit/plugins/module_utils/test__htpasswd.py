# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Password files: a line stays while its password does, and changes are told by names alone."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._htpasswd import changes, file_text


def hashed(password: str, salt: str) -> str:
    return f"$6${salt}${(password * 86)[:86]}"


def line(user: str, password: str, salt: str) -> str:
    return f"{user}:{hashed(password, salt)}\n"


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param("", line("ann", "secret", "new"), id="first"),
        pytest.param(line("ann", "secret", "old"), line("ann", "secret", "old"), id="the same keeps its salt"),
        pytest.param(line("ann", "other", "old"), line("ann", "secret", "new"), id="another password"),
        pytest.param(line("bob", "secret", "old"), line("ann", "secret", "new"), id="another user"),
        pytest.param("ann:$apr1$x$y\nann\n\n", line("ann", "secret", "new"), id="another kind of hash"),
    ],
)
def test_a_file_of_one_user(before: str, expected: str) -> None:
    assert file_text(before, {"ann": "secret"}, hashed, lambda: "new") == expected


def test_users_are_in_order() -> None:
    text = file_text("", {"bob": "b", "ann": "a"}, hashed, lambda: "s")
    assert [entry.partition(":")[0] for entry in text.splitlines()] == ["ann", "bob"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, {}),
        ({"shop": "ann:1\n"}, {"shop": "ann:1\n"}, {}),
        ({"shop": "ann:1\nbob:1\n"}, {"shop": "ann:2\nbob:1\n"}, {"shop": ["ann"]}),
        ({"shop": "ann:1\n"}, {"blog": "bob:1\n"}, {"blog": ["bob"], "shop": ["ann"]}),
        ({"shop": ""}, {}, {"shop": []}),
    ],
    ids=["nothing", "the same", "a password", "sites", "an empty file"],
)
def test_changes_name_users(before: dict[str, str], after: dict[str, str], expected: dict[str, list[str]]) -> None:
    assert changes(before, after) == expected
