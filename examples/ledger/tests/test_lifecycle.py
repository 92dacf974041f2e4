# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""How it starts and how it stops: what deploys rely on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from conftest import App
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


def test_sigterm_lets_requests_finish_and_sockets_know(start: Callable[..., App]) -> None:
    web = start()
    web.wait_for("running on")
    with ThreadPoolExecutor() as pool, connect(f"ws://127.0.0.1:{web.port}/ws?tick=0.2") as socket:
        assert '"hello"' in socket.recv()
        socket.send("ahoy")
        assert socket.recv() == '{"type":"echo","text":"ahoy"}'
        assert '"tick"' in socket.recv()
        slow = pool.submit(httpx.get, f"{web.url}/slow?seconds=2", timeout=10)
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{web.url}/slow?seconds=2", timeout=0.5)
        web.term()
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                socket.recv(timeout=5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        assert slow.result().status_code == 200
    assert web.process.wait(timeout=5) == 0
    assert "Traceback" not in web.output


def test_what_outlasts_the_grace_is_cut(start: Callable[..., App]) -> None:
    app = start(GRACEFUL_SECONDS="1")
    app.wait_for("running on")
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(httpx.get, f"{app.url}/slow?seconds=60", timeout=10)
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{app.url}/slow?seconds=60", timeout=0.5)
        app.term()
        assert app.process.wait(timeout=4) == 0
        assert isinstance(slow.exception(), httpx.HTTPError) or slow.result().status_code == 500


@pytest.mark.parametrize(
    ("env", "complaint"),
    [
        ({"DATABASE_URL": "mysql://u:s3ntinel@db/x"}, "DATABASE_URL: must name a PostgreSQL database"),
        ({"DATABASE_URL": "postgresql://u:s3ntinel@db:port/x"}, "DATABASE_URL: is not a URL"),
        ({"DATABASE_URL": ""}, "DATABASE_URL: is not a URL"),
        ({"LEDGER_FAULT": "slow_start"}, "LEDGER_FAULT: is 'slow_start'; accepted: crash_at_start"),
        ({"PORT": "http"}, "PORT: "),
    ],
)
def test_wrong_settings_end_it_with_a_line_each(start: Callable[..., App], env: dict[str, str], complaint: str) -> None:
    app = start(**env)
    assert app.process.wait(timeout=5) == 2
    assert f"ledger: {complaint}" in app.output
    assert "s3ntinel" not in app.output


def test_faults(start: Callable[..., App]) -> None:
    crashing, sick, deaf, failing = (
        start(LEDGER_FAULT=fault) for fault in ("crash_at_start", "never_healthy", "ignore_sigterm", "fail_after:0")
    )
    assert crashing.process.wait(timeout=5) == 1
    for app in (sick, deaf, failing):
        app.wait_for("running on")
    health = httpx.get(f"{sick.url}/health")
    assert (health.status_code, health.json()["database"]) == (503, "reachable")
    assert httpx.get(f"{failing.url}/").status_code == 500
    deaf.term()
    deaf.wait_for("ignoring SIGTERM")
    assert httpx.get(f"{deaf.url}/health").status_code == 200
