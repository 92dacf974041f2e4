# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What PostgreSQL and libpq mean by their refusals, in sentences without secrets. Pure."""

from __future__ import annotations

import re
import struct

from ._database_url import DatabaseUrl
from ._health import Attempt
from ._migration import mask

CANNOT_CONNECT_NOW = "57P03"
_PROTOCOL_3 = 196608

# By what stands in the driver's message; the first row that matches wins. The flag marks what waiting cannot heal: a
# login. A database can still appear, as by a restore that is under way.
_REFUSALS: tuple[tuple[str, str, str, bool], ...] = (
    ("the database system is", "starting", "{reason}, expected it to accept connections", False),
    (
        "too many clients|remaining connection slots|too many connections|no more connections",
        "full",
        "it has no free connection ({reason}), expected one",
        False,
    ),
    (
        "pgbouncer cannot connect|server login has been failing|query_wait_timeout",
        "starting",
        "its pooler does not reach the server ({reason}), expected it to",
        False,
    ),
    ("no password supplied", "login", "the server wants a password for user {user}, expected one in the URL", True),
    (
        "password authentication failed",
        "login",
        "the server refuses the password of user {user}, expected the right one in the URL",
        True,
    ),
    ('role ".*" does not exist|no such user', "login", "the server has no user {user}, expected one", True),
    (
        "no pg_hba.conf entry|pg_hba.conf rejects",
        "login",
        "the server does not admit user {user} to {database} from this host, expected an entry in its pg_hba.conf",
        True,
    ),
    (
        "authentication failed|not permitted to log in|permission denied for database",
        "login",
        "the server does not let user {user} in ({reason}), expected it to",
        True,
    ),
    (
        'database ".*" does not exist|no such database',
        "database",
        "the server has no database {database}, expected one",
        False,
    ),
    (
        "could not translate host name|Name or service not known",
        "dns",
        "the name {host} does not resolve, expected an address",
        False,
    ),
    (
        "invalid response|expected authentication request",
        "protocol",
        "what answers on {where} is not PostgreSQL, expected that",
        False,
    ),
    (
        "closed the connection|SYSCALL error|Connection reset|Broken pipe",
        "closed",
        "{where} closed the connection without an answer, expected one",
        False,
    ),
    (
        "certificate|SSL",
        "tls",
        "TLS failed ({reason}), expected a connection that satisfies the URL's sslmode",
        False,
    ),
    (
        "Connection refused|No such file or directory",
        "refused",
        "connection refused, expected a listener on {where}",
        False,
    ),
    ("timeout expired|timed out", "timeout", "no connection to {where} in time", False),
    ("No route to host|Network is unreachable", "unreachable", "no connection to {where} ({reason})", False),
)


def explain_refusal(text: str, database: DatabaseUrl) -> Attempt:
    """The attempt that ended with this message of the driver."""
    where = f"[{database.host}]:{database.port}" if ":" in database.host else f"{database.host}:{database.port}"
    reason = mask(_reason(text), [database.password])
    for pattern, error, sentence, final in _REFUSALS:
        if re.search(pattern, text, re.IGNORECASE):
            said = sentence.format(
                reason=reason, where=where, host=database.host, user=database.user, database=database.database
            )
            return _bad(database, error, said, final=final)
    return _bad(database, "unreachable", f"no session with {where} ({reason}), expected one")


def query_failed(text: str, database: DatabaseUrl) -> Attempt:
    reason = mask(_reason(text), [database.password])
    return _bad(database, "query", f"the login worked but SELECT 1 did not ({reason}), expected an answer")


def too_slow(database: DatabaseUrl, seconds: float) -> Attempt:
    return _bad(database, "timeout", f"no answer from {database.host}:{database.port} within {round(seconds, 1):g} s")


def startup_packet() -> bytes:
    """The first message to a server, which answers it before it asks for any login."""
    fields = b"user\0health_wait\0database\0postgres\0application_name\0health_wait\0\0"
    return struct.pack("!ii", len(fields) + 8, _PROTOCOL_3) + fields


def judge_greeting(name: str, answer: bytes) -> Attempt:
    """Whether a server that said this to `startup_packet` takes connections, by the rules of pg_isready."""
    kind = answer[:1]
    # Also a refusal of this very user proves that the server works.
    code, text = _error_fields(answer) if kind == b"E" else ("", "")
    if kind == b"E" and code == CANNOT_CONNECT_NOW:
        return Attempt(False, name, error="starting", message=f"{name}: {text}, expected it to accept connections")
    if kind in (b"R", b"E", b"v"):
        return Attempt(True, name)
    if not answer:
        message = f"{name}: it closed the connection without an answer, expected one"
        return Attempt(False, name, error="closed", message=message)
    return Attempt(
        False, name, error="protocol", message=f"{name}: what answers there is not PostgreSQL, expected that"
    )


def _bad(database: DatabaseUrl, error: str, text: str, *, final: bool = False) -> Attempt:
    target = database.redacted
    return Attempt(ok=False, target=target, error=error, message=f"{target}: {text}", final=final)


def _reason(text: str) -> str:
    """The server's own words: libpq puts the address before them, and repeats itself for every way it tried."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith(("\t", "DETAIL:", "HINT:"))]
    said = lines[-1].strip() if lines else "no reason given"
    return re.sub(r"^.*?(?:FATAL|ERROR|PANIC):\s+|^connection to server .*? failed: ", "", said)[:300]


def _error_fields(answer: bytes) -> tuple[str, str]:
    fields = {part[:1]: part[1:].decode("utf-8", errors="replace") for part in answer[5:].split(b"\0") if part}
    return fields.get(b"C", ""), fields.get(b"M", "no reason given")
