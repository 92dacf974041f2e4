# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Which tables of a database a dump will hold, asked of the server."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ._pg_client import quote_table, table_pattern
from ._pg_connect import rows
from ._pg_relations import Relation, Selection
from ._pg_repository import BackupError

_RELATIONS = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text,
    pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'),
    c.relrowsecurity AND pg_catalog.row_security_active(c.oid),
    d.objid IS NULL
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e'
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
ORDER BY 2, 3
"""
#: A name without a schema means PostgreSQL's own search path. What the database sets in its place is not asked.
_MATCHING = """
SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relname ~ %(name)s
    AND CASE WHEN %(schema)s::text IS NULL THEN n.nspname IN (current_user, 'public') ELSE n.nspname ~ %(schema)s END
"""
_PARTITIONS = "SELECT t.relid::oid FROM pg_catalog.unnest(%s::oid[]) AS root, pg_catalog.pg_partition_tree(root) AS t"


def select(connection: Any, include: Sequence[str], exclude: Sequence[str]) -> Selection:
    """What pg_dump will choose by these patterns, where a partitioned table stands for all its partitions."""
    relations = [Relation(*row) for row in rows(connection, _RELATIONS)]
    included, to_include = _matching(connection, "include", include, relations)
    excluded, to_exclude = _matching(connection, "exclude", exclude, relations)
    chosen = [r for r in relations if (not include or r.oid in included) and r.oid not in excluded]
    return Selection(tuple(chosen), to_include, to_exclude)


def _matching(
    connection: Any, label: str, patterns: Sequence[str], relations: Sequence[Relation]
) -> tuple[set[int], tuple[str, ...]]:
    known = {relation.oid: relation for relation in relations}
    matched: set[int] = set()
    names: list[str] = []
    for pattern in patterns:
        schema, name = table_pattern(pattern)
        found = {row[0] for row in rows(connection, _MATCHING, {"schema": schema, "name": name})} & known.keys()
        if not found:
            raise BackupError(
                f"tables.{label} has the pattern {pattern[:80]!r}, which matches no table; "
                "correct it, or remove it if its tables are gone."
            )
        matched |= found
        names += [pattern] if schema else _names(known, found)
    roots = [oid for oid in matched if known[oid].kind == "p"]
    added = ({row[0] for row in rows(connection, _PARTITIONS, (roots,))} if roots else set()) - matched
    return matched | added, tuple(dict.fromkeys([*names, *_names(known, added)]))


def _names(known: Mapping[int, Relation], oids: Collection[int]) -> list[str]:
    return [quote_table(known[oid].schema, known[oid].name) for oid in sorted(known.keys() & oids)]
