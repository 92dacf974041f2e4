# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What pg_restore could not do, and whether the data is whole without it. Pure.

A restore runs under an empty search_path. An index or a materialized view over a function that finds what it calls by
the search_path only, such as one that calls unaccent() by its bare name, cannot be built there, though every row is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = r'(?:(?:"(?:[^"]|"")*"|[\w$]+)\.)?(?:"(?:[^"]|"")*"|[\w$]+)'
#: Statements that make something of rows which are there, or that say more about what such a statement made.
_DERIVED = (
    (re.compile(rf"CREATE (?:UNIQUE )?INDEX ({_NAME}) ON (?:ONLY )?({_NAME})"), "index {0} of {1}"),
    (re.compile(rf"REFRESH MATERIALIZED VIEW ({_NAME})"), "materialized view {0}"),
    (re.compile(rf"COMMENT ON INDEX ({_NAME})"), "comment of index {0}"),
    (re.compile(rf"ALTER INDEX (?:ONLY )?({_NAME}) (?:ATTACH PARTITION|ALTER COLUMN)"), "index {0}"),
    (re.compile(rf"ALTER TABLE (?:ONLY )?({_NAME}) CLUSTER ON ({_NAME})"), "order of {0} by {1}"),
)
_ERROR = "pg_restore: error: "
_QUERY = "could not execute query: "
_COMMAND = "Command was: "
#: How a name that the search_path does not find is refused.
_MISSING = re.compile(r"(?:function|relation|type|operator|collation|schema|text search \w+) .* does not exist")
_ENDED = "pg_restore: warning: errors ignored on restore: "


@dataclass(frozen=True)
class Failure:
    """One error of pg_restore: what the server said, and the statement; empty where it was none."""

    message: str
    command: str = ""

    @property
    def excepted(self) -> str:
        """What is missing now although every row is there; empty for an error that counts."""
        if not _MISSING.search(self.message):
            return ""
        for pattern, words in _DERIVED:
            match = pattern.match(self.command)
            if match:
                return f"{words.format(*match.groups())} ({self.message.removeprefix('ERROR:').strip()})"
        return ""


def read_failures(said: str) -> list[Failure]:
    """The errors in the output of pg_restore, in their order."""
    found: list[Failure] = []
    for block in re.split(r"^(?=pg_restore: )", said, flags=re.MULTILINE):
        if block.startswith(_ERROR):
            first = block.splitlines()[0].removeprefix(_ERROR).removeprefix(_QUERY)
            command = block.partition(_COMMAND)[2]
            found.append(Failure(" ".join(first.split()), " ".join(command.split())))
    return found


def came_to_its_end(said: str) -> bool:
    """Whether pg_restore went through the whole dump in spite of errors."""
    return any(line.startswith(_ENDED) for line in said.splitlines())
