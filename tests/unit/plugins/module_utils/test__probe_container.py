# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Against an engine that answers the same protocol, so that each state can be had at will."""

from __future__ import annotations

import contextlib
import json
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from ansible_collections.quayside.web.plugins.module_utils._probe_container import ContainerProbe

RUNNING = {"Status": "running", "Running": True, "ExitCode": 0, "Error": "", "StartedAt": "2026-01-01T00:00:00.0Z"}


class Engine(BaseHTTPRequestHandler):
    containers: ClassVar[dict[str, Any]] = {}
    slow = 0.0

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        name = path.split("/containers/")[1].split("/")[0] if "/containers/" in path else ""
        if path.endswith("/version"):
            self.answer(200, json.dumps({"ApiVersion": "1.41"}).encode())
        elif path.endswith("/logs"):
            line = b"no database\n"
            self.answer(200, struct.pack("!BxxxI", 2, len(line)) + line)
        elif name in self.containers:
            time.sleep(self.slow)
            with contextlib.suppress(BrokenPipeError):  # nobody waited for it
                self.answer(200, json.dumps(self.containers[name]).encode())
        else:
            self.answer(404, b'{"message": "No such container"}')

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Engine]]:
    class Own(Engine):
        containers: ClassVar[dict[str, Any]] = {}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
    yield Own
    server.shutdown()
    server.server_close()


def described(restarts: int = 0, **state: Any) -> dict[str, Any]:
    # A terminal has no frames in its log; this one has none.
    return {"RestartCount": restarts, "Config": {"Tty": False}, "State": {**RUNNING, **state}}


def test_a_container_comes_restarts_and_exits(engine: type[Engine]) -> None:
    probe = ContainerProbe("web")
    assert probe(2).error == "absent"
    engine.containers["web"] = described()
    assert probe(2).ok
    assert probe(2).latency_ms > 0
    engine.containers["web"] = described(restarts=1)
    again = probe(2)
    assert (again.error, again.body) == ("restarted", "no database")
    assert probe(2).ok
    engine.containers["web"] = described(Status="exited", Running=False, ExitCode=3)
    gone = probe(2)
    assert (gone.error, gone.final, gone.body) == ("exited", True, "no database")


def test_an_engine_that_hangs(engine: type[Engine]) -> None:
    engine.containers["web"] = described()
    engine.slow = 1
    attempt = ContainerProbe("web")(0.2)
    assert attempt.error == "engine"
    assert attempt.message == "container web: the Docker engine did not answer within 0.2 s, expected it to"


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "unix:///nowhere/docker.sock"])
def test_no_engine(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    attempt = ContainerProbe("web")(1)
    assert (attempt.error, attempt.final) == ("engine", False)
    assert attempt.message == "container web: no Docker engine runs on this host, expected one"
