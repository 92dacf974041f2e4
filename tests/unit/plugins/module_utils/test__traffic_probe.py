# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import os
import shlex
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils._traffic_probe import LIMIT, TrafficProbe


class Site(ThreadingHTTPServer):
    """A site whose answers a test chooses."""

    daemon_threads = True
    status = 200
    delay = 0.0
    hang_up = False
    connections = 0

    def __init__(self) -> None:
        self.heads: list[tuple[str, dict[str, str]]] = []
        super().__init__(("127.0.0.1", 0), Answer)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        self.connections += 1
        return super().get_request()


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # the answer in one packet: two would wait for the client's delayed acknowledgement
    server: Site

    def do_GET(self) -> None:
        self.server.heads.append((self.path, dict(self.headers.items())))
        time.sleep(self.server.delay)
        if self.server.hang_up:
            self.close_connection = True
            return
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_args: object) -> None:
        pass


def serve(site: Site) -> Iterator[Site]:
    threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield site
    site.shutdown()
    site.server_close()


@pytest.fixture
def site() -> Iterator[Site]:
    yield from serve(Site())


@pytest.fixture
def tls_site(tmp_path: Path) -> Iterator[Site]:
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 "
        "-subj /CN=other.example"
    )
    subprocess.run(shlex.split(command), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    site = Site()
    site.socket = context.wrap_socket(site.socket, server_side=True)
    yield from serve(site)


def probe_of(site: Site, url: str = "http://app.example/health?full=1", **options: float) -> TrafficProbe:
    return TrafficProbe(url, site.server_port, **{"interval": 0.01, **options})


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_good_site(site: Site) -> None:
    probe = probe_of(site, interval=0.03)
    probe.start()
    wait_for(lambda: probe.summary().requests >= 20)
    probe.stop()
    found = probe.summary()
    assert (found.failed, found.first_failure) == (0, "")
    assert 0 < found.p50_ms <= found.p99_ms <= found.max_ms < 5000
    path, headers = site.heads[0]
    assert path == "/health?full=1"
    assert (headers["Host"], headers["User-Agent"]) == ("app.example", "quayside-probe")
    kept = [headers["Connection"] for _path, headers in site.heads].count("keep-alive")
    assert kept == pytest.approx(len(site.heads) / 2, abs=1)
    assert site.connections == 1 + len(site.heads) - kept, "one connection is kept"


def test_tls_with_the_name_of_the_url_and_any_certificate(tls_site: Site) -> None:
    probe = probe_of(tls_site, "https://app.example/health")
    probe.start()
    wait_for(lambda: probe.summary().requests >= 6)
    probe.stop()
    assert probe.summary().failed == 0, probe.summary().first_failure
    assert tls_site.heads[0][1]["Host"] == "app.example"


@pytest.mark.parametrize(("status", "good"), [(200, True), (302, True), (404, True), (500, False), (503, False)])
def test_only_errors_of_the_server_are_failures(site: Site, status: int, good: bool) -> None:
    site.status = status
    probe = probe_of(site)
    probe.start()
    wait_for(lambda: probe.summary().requests >= 4)
    probe.stop()
    found = probe.summary()
    assert found.failed == (0 if good else found.requests)
    assert found.first_failure == ("" if good else f"http://app.example/health?full=1: answered {status}")


@pytest.mark.parametrize("kind", ["refused", "hung up", "timeout"])
def test_no_answer_is_a_failure_that_says_why(site: Site, kind: str) -> None:
    port = site.server_port
    site.hang_up = kind == "hung up"
    site.delay = 0.5 if kind == "timeout" else 0
    if kind == "refused":
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
    probe = TrafficProbe("http://app.example/health", port, interval=0.01, timeout=0.1)
    probe.start()
    wait_for(lambda: probe.summary().requests >= 4)
    probe.stop()
    found = probe.summary()
    assert found.failed == found.requests
    words = {
        "refused": f"connection refused, expected a listener on 127.0.0.1:{port}",
        "hung up": f"127.0.0.1:{port} closed the connection without an answer, expected one",
        "timeout": f"no answer from 127.0.0.1:{port} within 0.1 s",
    }
    assert found.first_failure == f"http://app.example/health: {words[kind]}"


def test_a_kept_connection_that_was_closed_is_no_failure(site: Site) -> None:
    Answer.timeout = 0.02  # the server's patience with an idle connection
    try:
        probe = probe_of(site, interval=0.04)
        probe.start()
        wait_for(lambda: probe.summary().requests >= 8)
        probe.stop()
    finally:
        Answer.timeout = None  # type: ignore[assignment]
    assert probe.summary().failed == 0, probe.summary().first_failure


def test_requests_that_hang_do_not_hold_up_the_next_and_are_bounded(site: Site) -> None:
    site.delay = 0.4
    probe = probe_of(site)
    probe.start()
    wait_for(lambda: len(site.heads) >= LIMIT)
    found = probe.summary()
    assert found.requests == 0
    assert len(found.waiting_ms) == LIMIT
    assert all(0 <= age < 2000 for age in found.waiting_ms)
    begun = time.monotonic()
    probe.stop()
    assert time.monotonic() - begun < 0.05
    time.sleep(0.5)
    assert len(site.heads) == LIMIT
    assert probe.summary().requests == 0


def test_a_mark_counts_the_requests_that_begin_after_it(site: Site) -> None:
    site.status = 500
    probe = probe_of(site)
    probe.start()
    wait_for(lambda: probe.summary().failed >= 3)
    site.delay = 0.1
    wait_for(lambda: len(probe.summary().waiting_ms) >= 3)
    mark = probe.mark()
    assert (probe.summary(mark).requests, probe.summary(mark).waiting_ms) == (0, ())
    site.delay, site.status = 0, 200
    wait_for(lambda: probe.summary(mark).requests >= 5)
    probe.stop()
    assert probe.summary(mark).first_failure in ("", "http://app.example/health?full=1: answered 500")
    assert probe.summary().failed >= 3
    assert probe.summary(mark).requests < probe.summary().requests


def test_the_rate_is_fixed_however_long_the_answers_take(site: Site) -> None:
    site.delay = 0.15
    probe = probe_of(site, interval=0.1)
    probe.start()
    time.sleep(1.05)
    probe.stop()
    assert 9 <= len(site.heads) <= 11


def test_it_runs_in_a_forked_child_and_does_not_keep_it_alive(site: Site) -> None:
    site.delay = 30
    code = """
import os, sys, time
from ansible_collections.quayside.web.plugins.module_utils._traffic_probe import TrafficProbe
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
probe = TrafficProbe("http://app.example/", int(sys.argv[1]))
probe.start()
time.sleep(0.3)
sys.exit(7 if probe.summary().waiting_ms else 1)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    arguments = [sys.executable, "-c", code, str(site.server_port)]
    ended = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=10, check=False)
    assert (ended.returncode, ended.stderr) == (7, "")
