# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Choices about PostgreSQL's client programs, and what their messages mean to a person."""

from __future__ import annotations

import re
from collections.abc import Collection

from ._pg_repository import BackupError

OLDEST_SERVER = 12
#: From this major on, pg_dump has --compress=METHOD:LEVEL and other methods than gzip.
MODERN_COMPRESSION = 16

_COMPRESSION = re.compile(r"auto|none|gzip:[1-9]|lz4:(?:[1-9]|1[0-2])|zstd:(?:[1-9]|1[0-9]|2[0-2])")

_HINTS = (
    (r"password authentication failed|no password supplied", "check the user and the password in its URL"),
    (r"could not translate host name", "check the host in its URL"),
    (r"Connection refused", "check host and port in its URL, and that PostgreSQL listens there"),
    (r"timeout expired|timed out|No route to host", "check that a firewall lets this host reach it"),
    (r"no pg_hba\.conf entry", "allow this host in the server's pg_hba.conf, or set sslmode in the URL"),
    (r"database .* does not exist", "check the database name in its URL"),
    (
        r"lock timeout|lock_timeout|due to statement timeout",
        "run it when no migration holds a lock, or raise lock_wait_timeout",
    ),
    (r"row-level security", "use a role with BYPASSRLS, or the dump would silently lack rows"),
    (r"permission denied for large object", "back up as their owner or a superuser, or GRANT SELECT ON LARGE OBJECT"),
    (r"permission denied for", "let its role read everything, for instance by GRANT pg_read_all_data"),
    (r"No space left on device", "free some space or choose another root"),
    (r"shared memory", "raise max_locks_per_transaction on the server"),
    (r"conflict with recovery", "raise max_standby_streaming_delay on that standby, or dump the primary"),
    (r"idle.in.transaction timeout", "take idle_in_transaction_session_timeout away from its role"),
    (
        r"administrator command|server closed the connection|SSL connection has been closed|EOF detected",
        "the server or somebody ended its session; run it again",
    ),
)
_REGEX_SPECIAL = frozenset("|*+?()[]{}.^$\\")


def check_compression(compression: str) -> str:
    if not isinstance(compression, str) or not _COMPRESSION.fullmatch(compression):
        raise BackupError(
            f"compression is {str(compression)[:30]!r}; auto, none, gzip:1 to gzip:9, lz4:1 to lz4:12 "
            "and zstd:1 to zstd:22 are accepted."
        )
    return compression


def choose_major(installed: Collection[int], server: int) -> int:
    """The client to dump a server with: the lowest major that can, so that the most servers can restore it."""
    if server < OLDEST_SERVER:
        raise BackupError(f"The server runs PostgreSQL {server}; {OLDEST_SERVER} or later is accepted.")
    fitting = [major for major in installed if major >= server]
    if fitting:
        return min(fitting)
    found = f"the newest client here is {max(installed)}" if installed else "no client is installed here"
    raise BackupError(
        f"The server runs PostgreSQL {server} and {found}; install the package postgresql-client-{server} "
        "(from apt.postgresql.org where the distribution lacks it)."
    )


def choose_compression(compression: str, client: int, server: int) -> str:
    """Resolve auto: zstd where client and server know it, else the lowest gzip, twice as fast as the default."""
    if check_compression(compression) == "auto":
        return "zstd:3" if min(client, server) >= MODERN_COMPRESSION else "gzip:1"
    if client < MODERN_COMPRESSION and compression.partition(":")[0] not in ("none", "gzip"):
        raise BackupError(
            f"compression is {compression} but pg_dump is {client}; that needs {MODERN_COMPRESSION} or later, use auto."
        )
    return compression


def compress_argument(compression: str, client: int) -> str:
    method, _colon, level = compression.partition(":")
    if method == "none":
        return "--compress=0"
    return f"--compress={compression}" if client >= MODERN_COMPRESSION else f"--compress={level}"


def explain(stderr: str, secret: str = "") -> str:
    """The one line of a client's error output that matters, with a hint, without the secret."""
    # Too short a password would also blank innocent letters, and libpq never prints it anyway.
    clean = stderr.replace(secret, "***") if len(secret) >= 4 else stderr
    lines = [" ".join(line.split()) for line in clean.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"error:|FATAL:|ERROR:", line)] or lines[-1:]
    if not telling:
        return "it said nothing"
    line = re.sub(r"^(?:[a-z_]+: )?(?:error: )?(?:.*failed: )?(?:FATAL: |ERROR: )?", "", telling[0]).rstrip(".")[:300]
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, clean)), "")
    return f"{line}; {hint}" if hint else line


def quote_table(schema: str, name: str) -> str:
    """A table's name for SQL and for pg_dump's patterns; without the schema where that is empty."""
    parts = [part.replace('"', '""') for part in (schema, name) if part]
    return ".".join(f'"{part}"' for part in parts)


def table_pattern(pattern: str) -> tuple[str | None, str]:
    """The regular expressions for schema and table that pg_dump makes of a pattern; None where it names no schema."""
    parts = [""]
    quoted = False
    position = 0
    while position < len(pattern):
        letter = pattern[position]
        if letter == '"':
            if quoted and pattern[position + 1 : position + 2] == '"':
                parts[-1] += '"'
                position += 1
            else:
                quoted = not quoted
        elif quoted:
            parts[-1] += f"\\{letter}" if letter in _REGEX_SPECIAL else letter
        elif letter == ".":
            parts.append("")
        else:
            parts[-1] += {"*": ".*", "?": ".", "$": "\\$"}.get(letter, letter.lower())
        position += 1
    if quoted or len(parts) > 2 or not parts[-1]:
        raise BackupError(
            f"The table pattern {pattern[:80]!r} is not accepted; write name or schema.name, where * stands for any "
            "letters and ? for one, and put a name with capitals or dots in double quotes."
        )
    expressions = [f"^({part})$" for part in parts]
    return (expressions[0] if len(parts) == 2 else None), expressions[-1]
