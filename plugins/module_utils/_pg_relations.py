# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What of a database a dump holds, and whether our role may read it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ._pg_repository import BackupError

_SHOWN = 3


@dataclass(frozen=True)
class Relation:
    """A table or what else pg_dump's patterns match. kind is that of pg_class; own means no extension made it.

    limited means that row-level security may hide rows of it from our role.
    """

    oid: int
    schema: str
    name: str
    kind: str
    readable: bool
    limited: bool
    own: bool


@dataclass(frozen=True)
class Selection:
    """What patterns choose: the relations, and the patterns for pg_dump, which all name a schema."""

    relations: tuple[Relation, ...]
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[Relation, ...]:
        """Those whose rows are dumped."""
        return tuple(relation for relation in self.relations if relation.kind == "r" and relation.own)


def check_readable(relations: Iterable[Relation], role: str) -> None:
    """Refuse before anything is written what pg_dump would stumble over in its middle."""
    tables = [relation for relation in relations if relation.kind in "rp" and relation.own]
    denied = [table for table in tables if not table.readable]
    if denied:
        raise BackupError(
            f"The role {role} may not read {_names(denied)}; let it read everything, for instance by "
            f"GRANT pg_read_all_data TO {role}, or exclude what is not wanted."
        )
    limited = [table for table in tables if table.limited]
    if limited:
        raise BackupError(
            f"Row-level security may hide rows of {_names(limited)} from the role {role}; use a role with BYPASSRLS, "
            "or the dump would silently lack rows."
        )


def _names(tables: list[Relation]) -> str:
    shown = ", ".join(" ".join(f"{table.schema}.{table.name}".split()) for table in tables[:_SHOWN])
    return shown if len(tables) <= _SHOWN else f"{shown} and {len(tables) - _SHOWN} more"
