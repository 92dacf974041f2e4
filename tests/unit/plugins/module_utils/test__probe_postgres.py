# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Against sockets that say what a server would; the scenario health_wait has a real one."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from ansible_collections.quayside.web.plugins.module_utils._database_url import DatabaseUrl, parse
from ansible_collections.quayside.web.plugins.module_utils._probe_postgres import probe_greeting, probe_login

_BODY = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"
STARTING = b"E" + struct.pack("!i", len(_BODY) + 4) + _BODY


@pytest.fixture
def server() -> Iterator[Callable[[bytes | None], int]]:
    """Start a server that answers everything alike; with None it says nothing at all. Its port."""
    open_sockets: list[socket.socket] = []

    def talk(listener: socket.socket, answer: bytes | None) -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            open_sockets.append(connection)
            if answer is not None:
                connection.recv(4096)
                connection.sendall(answer)
                connection.close()

    def start(answer: bytes | None) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        open_sockets.append(listener)
        threading.Thread(target=talk, args=(listener, answer), daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for item in open_sockets:
        item.close()


def unused_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def database(port: int) -> DatabaseUrl:
    return parse(f"postgresql://me:s3ntinel@127.0.0.1:{port}/app?sslmode=disable")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(b"R\0\0\0\x08\0\0\0\0", "", id="ready"),
        pytest.param(STARTING, "starting", id="starting"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n", "protocol", id="a web server"),
        pytest.param(b"", "closed", id="closes"),
    ],
)
def test_greeting(server: Callable[[bytes | None], int], answer: bytes, error: str) -> None:
    attempt = probe_greeting("127.0.0.1", server(answer), 2)
    assert (attempt.ok, attempt.error) == (not error, error)
    assert attempt.latency_ms > 0


def test_greeting_of_nobody() -> None:
    port = unused_port()
    attempt = probe_greeting("127.0.0.1", port, 2)
    where = f"127.0.0.1:{port}"
    assert attempt.message == f"PostgreSQL at {where}: connection refused, expected a listener on {where}"
    assert probe_greeting("nowhere.invalid", port, 2).error == "dns"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(STARTING, "starting", id="starting"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n", "protocol", id="a web server"),
        pytest.param(b"", "closed", id="closes"),
    ],
)
def test_login(server: Callable[[bytes | None], int], answer: bytes, error: str) -> None:
    assert probe_login(database(server(answer)), 2).error == error


def test_login_to_nobody() -> None:
    port = unused_port()
    attempt = probe_login(database(port), 2)
    assert attempt.message == (
        f"postgresql://me:***@127.0.0.1:{port}/app: connection refused, expected a listener on 127.0.0.1:{port}"
    )


def test_a_silent_server_costs_no_more_than_the_time_of_a_try(server: Callable[[bytes | None], int]) -> None:
    port = server(None)
    start = time.monotonic()
    login, greeting = probe_login(database(port), 0.3), probe_greeting("127.0.0.1", port, 0.3)
    assert time.monotonic() - start < 2
    assert (login.error, greeting.error) == ("timeout", "timeout")
    assert login.message.endswith(f"no answer from 127.0.0.1:{port} within 0.3 s")
    assert greeting.message.endswith("within 0.3 s")
