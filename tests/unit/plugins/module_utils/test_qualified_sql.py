# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""No query of ours leaves it to a database's search_path which function or table of PostgreSQL's it means."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[4] / "plugins"
#: Parts of the grammar, which no schema can redefine.
GRAMMAR = {
    *("all", "any", "array", "as", "bit", "cast", "coalesce", "exists", "from", "in", "nullif", "numeric", "values"),
    *("and", "not", "on", "or", "over", "set", "then", "using", "when", "where", "with", "else", "select", "schema"),
    *("wanted", "by", "json", "interval"),
}
CALL = re.compile(r"(?<![\w.%\"{}])([a-z_][a-z0-9_]*)\(")
CATALOG = re.compile(r"(?:FROM|JOIN)\s+(pg_\w+)\b(?!\.)")


def queries(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            text = re.sub(r"'(?:[^']|'')*'", "''", node.value)
            if re.search(r"\b(?:SELECT|FROM|JOIN|WHERE)\s", text) and re.search(r"SELECT|pg_|FROM", text):
                yield text


def faults(text: str) -> list[str]:
    calls = [name for name in CALL.findall(text) if name not in GRAMMAR]
    return [*calls, *CATALOG.findall(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT current_setting('x')", ["current_setting"]),
        ("SELECT pg_catalog.current_setting('x')", []),
        ("SELECT 1 FROM pg_class c JOIN pg_namespace n ON true", ["pg_class", "pg_namespace"]),
        ("SELECT coalesce(a, pg_catalog.max(b)) FROM pg_catalog.pg_class", []),
    ],
)
def test_what_counts_as_qualified(text: str, expected: list[str]) -> None:
    assert faults(text) == expected


@pytest.mark.parametrize("path", sorted(SOURCES.glob("module*/*.py")), ids=lambda path: path.name)
def test_queries_name_the_schema_of_all_that_they_use(path: Path) -> None:
    assert {text: faults(text) for text in queries(path.read_text("utf-8")) if faults(text)} == {}
