# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import json
import shlex
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils._health import Attempt, Expectation, judge
from ansible_collections.quayside.web.plugins.module_utils._http_probe import new_session, probe_http, probe_tcp


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/slow":
            time.sleep(0.6)
        body = json.dumps({"host": self.headers["Host"], "proto": self.headers["X-Forwarded-Proto"]}).encode()
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", "/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


def serve(server: ThreadingHTTPServer) -> Iterator[int]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def http_port() -> Iterator[int]:
    yield from serve(ThreadingHTTPServer(("127.0.0.1", 0), Handler))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 "
        "-subj /CN=app.example -addext subjectAltName=DNS:app.example"
    )
    subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem"


@pytest.fixture(scope="module")
def https_port(certificate: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    yield from serve(server)


def failed(attempt: Attempt) -> tuple[bool, str]:
    return attempt.ok, attempt.error


def test_an_answer(http_port: int) -> None:
    attempt = probe_http(
        f"http://127.0.0.1:{http_port}/", host_header="shop.example", headers={"X-Forwarded-Proto": "https"}
    )
    assert (attempt.ok, attempt.status) == (True, 200)
    assert json.loads(attempt.body) == {"host": "shop.example", "proto": "https"}
    assert attempt.latency_ms > 0


def test_redirects_are_not_followed(http_port: int) -> None:
    attempt = judge(probe_http(f"http://127.0.0.1:{http_port}/moved"), Expectation())
    assert attempt.status == 302
    assert "answered 302 (to /), expected 200" in attempt.message


def test_a_name_is_probed_through_an_address(http_port: int) -> None:
    attempt = probe_http("http://shop.invalid/", connect_to=("127.0.0.1", http_port))
    assert json.loads(attempt.body)["host"] == "shop.invalid"


def test_tls_is_verified_for_the_name_and_not_for_the_address(https_port: int, certificate: Path) -> None:
    there = ("127.0.0.1", https_port)
    with new_session() as session:
        for _time in range(2):
            good = probe_http("https://app.example/", session=session, ca_path=str(certificate), connect_to=there)
            assert (good.ok, json.loads(good.body)["host"]) == (True, "app.example")
        other = probe_http("https://other.example/", session=session, ca_path=str(certificate), connect_to=there)
    assert failed(other) == (False, "tls")
    assert "certificate is not accepted" in other.message


def test_failures_are_told_apart(http_port: int, https_port: int, certificate: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()[1]
    assert failed(probe_http(f"http://127.0.0.1:{closed}/")) == (False, "refused")
    assert failed(probe_http("http://nowhere.invalid/")) == (False, "dns")
    assert failed(probe_http(f"http://127.0.0.1:{http_port}/slow", timeout=0.2)) == (False, "timeout")
    assert failed(probe_http(f"https://127.0.0.1:{http_port}/")) == (False, "tls")
    assert failed(probe_http("https://app.example/", connect_to=("127.0.0.1", https_port))) == (False, "tls")
    assert failed(probe_http(f"http://127.0.0.1:{https_port}/")) == (False, "closed")


def test_a_login_in_the_url_is_not_shown(http_port: int) -> None:
    assert probe_http(f"http://me:Secret@127.0.0.1:{http_port}/").target == f"http://127.0.0.1:{http_port}/"


def test_tcp(http_port: int) -> None:
    assert probe_tcp("127.0.0.1", http_port).ok
    assert failed(probe_tcp("nowhere.invalid", 1)) == (False, "dns")
