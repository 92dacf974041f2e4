# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import struct

import pytest
from ansible_collections.quayside.web.plugins.module_utils._database_url import parse
from ansible_collections.quayside.web.plugins.module_utils._health_postgres import (
    explain_refusal,
    judge_greeting,
    query_failed,
    startup_packet,
)

DATABASE = parse("postgresql://me:s3ntinel@db:5432/app")
AT = 'connection to server at "db" (192.0.2.7), port 5432 failed: '


@pytest.mark.parametrize(
    ("text", "error", "said", "final"),
    [
        (
            f"{AT}FATAL:  the database system is starting up\n",
            "starting",
            "the database system is starting up, expected it to accept connections",
            False,
        ),
        (
            f"{AT}FATAL:  the database system is not yet accepting connections\nDETAIL:  Consistent recovery state …",
            "starting",
            "the database system is not yet accepting connections, expected it to accept connections",
            False,
        ),
        (
            f'{AT}FATAL:  password authentication failed for user "me"\n'
            f'{AT}FATAL:  password authentication failed for user "me"\n',
            "login",
            "the server refuses the password of user me, expected the right one in the URL",
            True,
        ),
        (
            f"{AT}fe_sendauth: no password supplied\n",
            "login",
            "the server wants a password for user me, expected one in the URL",
            True,
        ),
        (f'{AT}FATAL:  role "me" does not exist', "login", "the server has no user me, expected one", True),
        (
            'connection to server on socket "/x/.s" failed: FATAL:  Peer authentication failed for user "me"',
            "login",
            'the server does not let user me in (Peer authentication failed for user "me"), expected it to',
            True,
        ),
        (
            f'{AT}FATAL:  no pg_hba.conf entry for host "192.0.2.1", user "me", database "app", SSL encryption',
            "login",
            "the server does not admit user me to app from this host, expected an entry in its pg_hba.conf",
            True,
        ),
        (
            f'{AT}FATAL:  database "app" does not exist\n',
            "database",
            "the server has no database app, expected one",
            False,
        ),
        (
            f"{AT}FATAL:  sorry, too many clients already",
            "full",
            "it has no free connection (sorry, too many clients already), expected one",
            False,
        ),
        (
            'could not translate host name "db" to address: Name or service not known\n',
            "dns",
            "the name db does not resolve, expected an address",
            False,
        ),
        (
            f"{AT}Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?\n",
            "refused",
            "connection refused, expected a listener on db:5432",
            False,
        ),
        (
            f"{AT}server closed the connection unexpectedly\n\tThis probably means the server terminated abnormally",
            "closed",
            "db:5432 closed the connection without an answer, expected one",
            False,
        ),
        (
            f"{AT}received invalid response to SSL negotiation: H",
            "protocol",
            "what answers on db:5432 is not PostgreSQL, expected that",
            False,
        ),
        (
            f"{AT}server does not support SSL, but SSL was required\n",
            "tls",
            "TLS failed (server does not support SSL, but SSL was required), expected a connection that satisfies the "
            "URL's sslmode",
            False,
        ),
        (
            f'{AT}could not open certificate file "/x": No such file or directory',
            "tls",
            'TLS failed (could not open certificate file "/x": No such file or directory), expected a connection that '
            "satisfies the URL's sslmode",
            False,
        ),
        (
            f"{AT}FATAL:  etwas mit s3ntinel",
            "unreachable",
            "no session with db:5432 (etwas mit ********), expected one",
            False,
        ),
        ("", "unreachable", "no session with db:5432 (no reason given), expected one", False),
    ],
)
def test_explain_refusal(text: str, error: str, said: str, final: bool) -> None:
    attempt = explain_refusal(text, DATABASE)
    assert (attempt.ok, attempt.error, attempt.final) == (False, error, final)
    assert attempt.message == f"postgresql://me:***@db:5432/app: {said}"


def test_a_failed_query() -> None:
    attempt = query_failed("ERROR:  cannot do that, s3ntinel\n", DATABASE)
    assert attempt.message == (
        "postgresql://me:***@db:5432/app: the login worked but SELECT 1 did not (cannot do that, ********), "
        "expected an answer"
    )


def refusal(code: str, text: str) -> bytes:
    fields = b"SFATAL\0" + f"C{code}\0M{text}\0".encode() + b"\0"
    return b"E" + struct.pack("!i", len(fields) + 4) + fields


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        pytest.param(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0", "", "", id="asks for a password"),
        pytest.param(refusal("28000", "no pg_hba.conf entry"), "", "", id="refuses this user"),
        pytest.param(
            refusal("57P03", "the database system is starting up"),
            "starting",
            "db: the database system is starting up, expected it to accept connections",
            id="starting",
        ),
        pytest.param(b"", "closed", "db: it closed the connection without an answer, expected one", id="closed"),
        pytest.param(
            b"HTTP/1.1 400", "protocol", "db: what answers there is not PostgreSQL, expected that", id="a web server"
        ),
    ],
)
def test_judge_greeting(answer: bytes, error: str, message: str) -> None:
    attempt = judge_greeting("db", answer)
    assert (attempt.ok, attempt.error, attempt.message) == (not error, error, message)


def test_the_startup_packet_tells_its_own_length() -> None:
    packet = startup_packet()
    assert struct.unpack("!ii", packet[:8]) == (len(packet), 196608)
