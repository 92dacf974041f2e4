# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Rules: what each accepts, what it says of the rest, and that secrets stay unseen."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _rules
from ansible_collections.quayside.web.plugins.module_utils._rules import Either, Key, ListOf, MapOf, Record

LIST = ListOf(_rules.text("a name", "[a-z]+"), least=1)
MAP = MapOf("[A-Z]+", _rules.text("a string"), "a mapping of NAME: string")
RECORD = Record({"size": Key(_rules.integer(1, 9, "MB"), required=True), "colour": Key(_rules.text("a colour"))})


def said(rule: Any, value: Any, path: str = "key") -> list[str]:
    return [str(problem) for problem in rule.problems(path, value)]


@pytest.mark.parametrize(
    ("rule", "good"),
    [
        (_rules.text("a name", "[a-z]+"), ["a", "abc"]),
        (_rules.integer(1, 9), [1, 9]),
        (_rules.number(0.5, 2), [0.5, 1, 2]),
        (_rules.boolean(), [True, False]),
        (_rules.choice("pull", "build"), ["pull", "build"]),
        (LIST, [["a"], ["a", "b"]]),
        (MAP, [{}, {"A": "x"}]),
        (RECORD, [{"size": 1}, {"size": 1, "colour": "red"}, {"size": 1, "colour": None}]),
        (Either(RECORD), [False, {"size": 1}]),
    ],
)
def test_what_is_accepted(rule: Any, good: list[Any]) -> None:
    for value in good:
        assert said(rule, value) == [], value


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        pytest.param(_rules.text("a name", "[a-z]+"), "a1", 'key is "a1"; accepted: a name', id="part of the pattern"),
        pytest.param(_rules.text("a name", "[a-z]+"), "a\n", 'key is "a\n"; accepted: a name', id="a line's end"),
        pytest.param(_rules.text("a name"), 1, "key is an integer, 1; accepted: a name", id="no string"),
        pytest.param(_rules.text("a name", "y+"), "x" * 90, f'key is "{"x" * 77}..."; accepted: a name', id="long"),
        pytest.param(
            _rules.integer(1, 9, "MB"), 10, "key is an integer, 10; accepted: an integer from 1 to 9 MB", id="high"
        ),
        pytest.param(_rules.integer(1, 9), 0, "key is an integer, 0; accepted: an integer from 1 to 9", id="low"),
        pytest.param(
            _rules.integer(0, 1), True, "key is a boolean, True; accepted: an integer from 0 to 1", id="true is no 1"
        ),
        pytest.param(_rules.integer(1, 9), "5", 'key is "5"; accepted: an integer from 1 to 9', id="in quotes"),
        pytest.param(_rules.number(0.5, 2), 3, "key is an integer, 3; accepted: a number from 0.5 to 2", id="number"),
        pytest.param(_rules.boolean(), "yes", 'key is "yes"; accepted: true or false', id="a boolean's name"),
        pytest.param(_rules.boolean(), 1, "key is an integer, 1; accepted: true or false", id="1 is no true"),
        pytest.param(_rules.choice("a", "b"), "c", 'key is "c"; accepted: one of a, b', id="choice"),
        pytest.param(_rules.choice("a", "b"), ["a"], "key is a list; accepted: one of a, b", id="choice of a list"),
        pytest.param(LIST, [], "key is an empty list; accepted: a list of at least 1, each a name", id="empty list"),
        pytest.param(LIST, "a", 'key is "a"; accepted: a list of at least 1, each a name', id="no list"),
        pytest.param(LIST, ["a", "B"], 'key[1] is "B"; accepted: a name', id="an item"),
        pytest.param(MAP, [], "key is a list; accepted: a mapping of NAME: string", id="no mapping"),
        pytest.param(
            MAP, {"a": "x"}, 'key is a mapping with the key "a"; accepted: a mapping of NAME: string', id="a map's key"
        ),
        pytest.param(MAP, {"A": 1}, "key.A is an integer, 1; accepted: a string", id="a map's value"),
        pytest.param(RECORD, {}, "key.size is missing; accepted: an integer from 1 to 9 MB", id="missing"),
        pytest.param(RECORD, {"size": None}, "key.size is nothing; accepted: an integer from 1 to 9 MB", id="null"),
        pytest.param(
            RECORD,
            {"size": 1, "color": "red"},
            "key.color is an unknown key; accepted: size, colour (did you mean colour?)",
            id="unknown key",
        ),
        pytest.param(RECORD, 5, "key is an integer, 5; accepted: a mapping with the keys size, colour", id="no record"),
        pytest.param(
            Either(RECORD),
            True,
            "key is a boolean, True; accepted: false, or a mapping with the keys size, colour",
            id="true for a record",
        ),
        pytest.param(
            _rules.text("a name"),
            "CHANGE_ME",
            'key is still the placeholder "CHANGE_ME"; accepted: a name',
            id="unedited",
        ),
    ],
)
def test_what_is_said_of_the_rest(rule: Any, value: Any, expected: str) -> None:
    assert said(rule, value) == [expected]


def test_every_problem_is_told() -> None:
    assert len(said(RECORD, {"size": 10, "colour": 1, "extra": 1})) == 3
    assert said(RECORD, {}, path="")[0].startswith("size is missing")


@pytest.mark.parametrize("value", ["s3ntinel", ["s3ntinel"], {"s3ntinel": 1}, 5, None])
def test_a_secret_is_never_shown(value: Any) -> None:
    rule = _rules.text("a token of digits", "[0-9]+", secret=True)
    for told in (said(rule, value), said(MapOf(".*", rule, "a mapping"), {"A": value}), said(ListOf(rule), [value])):
        assert len(told) == 1
        assert "s3ntinel" not in told[0]
        assert ", 5" not in told[0]


def test_a_mapping_of_secrets_that_is_none_is_not_shown() -> None:
    rule = MapOf(".*", _rules.text("a token", "[0-9]+", secret=True), "a mapping")
    assert said(rule, "s3ntinel") == ["key is a string; accepted: a mapping"]


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        pytest.param(RECORD, {"size": 1}, {"size": 1, "colour": None}, id="nothing by default"),
        pytest.param(Record({"a": Key(_rules.integer(0, 9), 7)}), {"a": None}, {"a": 7}, id="null is the default"),
        pytest.param(Record({"a": Key(RECORD, {"size": 2})}), {}, {"a": {"size": 2, "colour": None}}, id="nested"),
        pytest.param(Either(RECORD), False, False, id="false stays"),
        pytest.param(MAP, {"A": "x"}, {"A": "x"}, id="map"),
        pytest.param(LIST, ("a",), ["a"], id="list"),
    ],
)
def test_normal(rule: Any, value: Any, expected: Any) -> None:
    assert rule.normal(value) == expected
    assert rule.normal(rule.normal(value)) == expected


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (True, "a boolean"), (1, "an integer"), (1.5, "a number"), ("x", "a string"), ({}, "a mapping"), ([], "a list"),
        (None, "nothing"), (b"x", "a bytes"),
    ],
)  # fmt: skip
def test_type_name(value: object, name: str) -> None:
    assert _rules.type_name(value) == name
