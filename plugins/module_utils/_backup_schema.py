# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The key `backup` of an app: the settings of its database's backups, all but its name and URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ._age import check_recipients
from ._database_url import DatabaseUrlError, parse
from ._offsite import parse_targets
from ._pg_config import check_server
from ._pg_repository import BackupError
from ._pg_schedule import check_schedule
from ._rules import Either, Key, ListOf, Problem, Record, Rule, boolean, integer, text


class _Parsed(Rule):
    """What a parser of the backups judges: the reason of a refusal is the parser's own, which shows no secret."""

    def problems(self, path: str, value: Any) -> Iterator[Problem]:
        for problem in super().problems(path, value):
            found = problem.found
            if "placeholder" not in found:
                found = f"not accepted ({_reason(self.convert, value)})"
            yield Problem(problem.path, found, problem.accepted)

    def normal(self, value: Any) -> Any:
        return value


def _parsed(accepted: str, parser: Callable[[Any], object]) -> Rule:
    # The parser travels in the place of what would convert the value, which stays as it was written.
    return _Parsed(accepted, lambda value: not _reason(parser, value), secret=True, convert=parser)


def _reason(parser: Callable[[Any], object], value: Any) -> str:
    try:
        parser(value)
    except (BackupError, DatabaseUrlError) as error:
        return str(error).rstrip(".")
    return ""


def _offsite(value: object) -> object:
    """The targets, looked at as a whole: two of them may not be one place."""
    return parse_targets(value, _NO_ROOT)


#: Where the repository is, the role knows: here no folder is in its way.
_NO_ROOT = "/\0"
_URL = _parsed("postgresql://user:password@host:5432/database", parse)
_SCHEDULE = _parsed("a time of day such as 03:00, in quotes, or a calendar of systemd's", check_schedule)
_PATTERNS = ListOf(text("a table pattern of pg_dump such as public.log_*", r"[^\0-\x1f]*\S[^\0-\x1f]*"))
_KEEP = Record(
    {
        "daily": Key(integer(0, 10000), 7),
        "weekly": Key(integer(0, 10000), 4),
        "monthly": Key(integer(0, 10000), 6),
        "yearly": Key(integer(0, 10000), 0),
    }
)
_DRILL = Record(
    {
        "schedule": Key(_SCHEDULE, "Sun 04:30"),
        "server": Key(_parsed("local or same", check_server)),
        "url": Key(_URL),
        "owner_url": Key(_URL),
    }
)

BACKUP = Either(
    Record(
        {
            "admin_url": Key(_URL),
            "owner_url": Key(_URL),
            "schedule": Key(_SCHEDULE, "03:00"),
            "keep": Key(_KEEP, {}),
            "minimum": Key(integer(1, 10000), 3),
            "tables": Key(Record({"include": Key(_PATTERNS, []), "exclude": Key(_PATTERNS, [])}), {}),
            "hashed": Key(boolean(), False),
            "shrink_percent": Key(integer(0, 100, "percent"), 50),
            "drill": Key(Either(_DRILL), {}),
            "encrypt": Key(
                Record(
                    {
                        "recipients": Key(
                            _parsed("a list of age1… and ssh-… public keys", check_recipients), required=True
                        )
                    }
                )
            ),
            "offsite": Key(_parsed("a list of targets, each with name, type and the keys of its type", _offsite), []),
            "keep_old_days": Key(integer(0, 3650, "days"), 7),
        }
    )
)


def without_nothing(backup: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of an app's backups in normal form, without the keys that were left out."""
    given = {key: value for key, value in backup.items() if value is not None}
    if isinstance(given.get("drill"), Mapping):
        given["drill"] = {key: value for key, value in given["drill"].items() if value is not None}
    return given
