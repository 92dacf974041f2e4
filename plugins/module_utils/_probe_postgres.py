# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""One login and query, or one greeting, to PostgreSQL as an Attempt. The I/O beside `_health_postgres`."""

from __future__ import annotations

import select
import socket
import time
from contextlib import closing
from dataclasses import replace
from typing import Any

from ._database_url import DatabaseUrl
from ._health import Attempt, failure
from ._health_postgres import explain_refusal, judge_greeting, query_failed, startup_packet, too_slow

try:
    import psycopg2
    import psycopg2.extensions
except ImportError as error:
    PSYCOPG2_ERROR: str | None = str(error)
else:
    PSYCOPG2_ERROR = None


def probe_login(database: DatabaseUrl, seconds: float) -> Attempt:
    """Log in once and let the server answer a query."""
    start = time.monotonic()
    return replace(_login(database, start, seconds), latency_ms=_since(start))


def probe_greeting(host: str, port: int, seconds: float) -> Attempt:
    """Ask once whether the server takes connections, without a login, as pg_isready does."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    name = f"PostgreSQL at {address}"
    start = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout=seconds) as connection:
            connection.settimeout(max(start + seconds - time.monotonic(), 0.01))
            connection.sendall(startup_packet())
            return replace(judge_greeting(name, connection.recv(4096)), latency_ms=_since(start))
    except OSError as exc:
        return failure(name, exc, timeout=seconds, latency_ms=_since(start), address=address)


def _login(database: DatabaseUrl, start: float, seconds: float) -> Attempt:
    # Asynchronous, because libpq's own timeouts are whole seconds and none at all once it is connected.
    options = {"application_name": "quayside-health", **database.connect_kwargs(), "async_": True}
    deadline = start + seconds
    try:
        connection = psycopg2.connect(**options)
        with closing(connection):
            if not _ready(connection, deadline):
                return too_slow(database, seconds)
            try:
                cursor = connection.cursor()
                cursor.execute("SELECT 1")
                if not _ready(connection, deadline):
                    return too_slow(database, seconds)
                cursor.fetchone()
            except psycopg2.Error as exc:
                return query_failed(str(exc), database)
    except psycopg2.Error as exc:
        return explain_refusal(str(exc), database)
    return Attempt(ok=True, target=database.redacted)


def _ready(connection: Any, deadline: float) -> bool:
    """Wait for the connection's next step to end; False when time is over."""
    while True:
        state = connection.poll()
        if state == psycopg2.extensions.POLL_OK:
            return True
        reading = [connection] if state == psycopg2.extensions.POLL_READ else []
        writing = [connection] if state == psycopg2.extensions.POLL_WRITE else []
        found = select.select(reading, writing, [], max(deadline - time.monotonic(), 0))
        if not (found[0] or found[1]):
            return False


def _since(start: float) -> float:
    return round((time.monotonic() - start) * 1000, 1)
