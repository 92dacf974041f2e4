# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The comment that marks a database as ours: what it is for, and when it may go.

A database without such a comment is never dropped, whatever its name is; but for an empty one that bears the name of a
restore: its run was killed before it could comment it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from ._pg_repository import BackupError, format_time, parse_time

RESTORE, DRILL, OLD, UNDONE = "restore", "drill", "old", "undone"
#: What a killed run leaves; nobody needs it once that run is over.
SCRATCH = (RESTORE, DRILL)
#: The longest name of a database, in bytes.
LONGEST_NAME = 63
_PREFIX = "quayside-backup: "
_SCRATCH_NAME = re.compile(rf".*_(?:{'|'.join(SCRATCH)})_[0-9]{{8}}t[0-9]{{6}}z(?:_[0-9]+)?", re.DOTALL)


@dataclass(frozen=True)
class Mark:
    """kind says what a database is to the live one called database; comment is the one that it had before."""

    kind: str
    name: str
    database: str
    host: str
    created: str
    expires: str = ""
    comment: str = ""
    backup: str = ""

    def to_text(self) -> str:
        return _PREFIX + json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class Marked:
    """A database of the server with its comment."""

    database: str
    comment: str


def read_mark(comment: str) -> Mark | None:
    """The mark in a comment, or None for a comment that is not ours."""
    if not comment.startswith(_PREFIX):
        return None
    try:
        data = json.loads(comment[len(_PREFIX) :])
        mark = Mark(**{key: str(data[key]) for key in Mark.__dataclass_fields__ if key in data})
        parse_time(mark.created)
        if mark.expires:
            parse_time(mark.expires)
    except (ValueError, TypeError, AttributeError):
        return None
    return mark


def expiry(now: datetime, days: int) -> str:
    return format_time(now + timedelta(days=days))


def temporary_name(database: str, kind: str, now: datetime, taken: Iterable[str] = ()) -> str:
    """A name such as ledger_restore_20261121t030000z, as long as PostgreSQL allows, that is free."""
    stamp = now.strftime("%Y%m%dt%H%M%Sz")
    existing = set(taken)
    for number in range(1, 1000):
        ending = f"_{kind}_{stamp}" + (f"_{number}" if number > 1 else "")
        kept = database.encode()[: LONGEST_NAME - len(ending)].decode(errors="ignore")
        if kept + ending not in existing:
            return kept + ending
    raise BackupError(f"There are too many databases like {database}_{kind}_{stamp}; drop those that nobody needs.")


def expired(found: Iterable[Marked], name: str, now: datetime | None) -> list[str]:
    """The databases of a name that may be dropped now: leftovers, and what has passed its day.

    Without a time only the leftovers. Only for one who holds the server's restore lock of the name: then nobody is at
    work in a scratch database.
    """
    return [marked.database for marked in found if _may_go(read_mark(marked.comment), name, now)]


def _may_go(mark: Mark | None, name: str, now: datetime | None) -> bool:
    if mark is None or mark.name != name:
        return False
    if mark.kind in SCRATCH:
        return True
    return now is not None and bool(mark.expires) and parse_time(mark.expires) <= now


def nameless(found: Iterable[Marked], database: str) -> list[str]:
    """Uncommented databases with the name of a restore of this database; to be dropped only when they are empty."""
    stem = database.encode()[: LONGEST_NAME - len("_restore_20261121t030000z")].decode(errors="ignore")
    named = [marked.database for marked in found if not marked.comment and marked.database.startswith(stem)]
    return [held for held in named if _SCRATCH_NAME.fullmatch(held)]


def newest_old(found: Iterable[Marked], name: str, database: str) -> tuple[str, Mark] | None:
    """The database that was live before the last restore of a name, if it is still kept; of any database if empty."""
    marks = [(marked.database, read_mark(marked.comment)) for marked in found]
    kept = [(held, mark) for held, mark in marks if mark and mark.kind == OLD and mark.name == name]
    kept = [(held, mark) for held, mark in kept if database in ("", mark.database)]
    return max(kept, key=lambda pair: (pair[1].created, pair[0]), default=None)
