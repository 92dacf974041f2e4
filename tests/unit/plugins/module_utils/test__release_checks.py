# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a release is asked, of real HTTP servers on loopback, and what is said of wrong answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _app_containers, _apps, _release_checks
from ansible_collections.quayside.web.plugins.module_utils._release_checks import Checks
from ansible_collections.quayside.web.plugins.module_utils._release_host import ReleaseError

RELEASE = "20260102T000000Z-bbbbbbbb"


class App(ThreadingHTTPServer):
    """Answers each request with the next of its answers, the last of them for ever."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, str, dict[str, str]]] = [(200, json.dumps({"release": RELEASE}), {})]
        self.asked: list[tuple[str, dict[str, str]]] = []


class Handler(BaseHTTPRequestHandler):
    server: App

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        answers = self.server.answers
        status, body, headers = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_given: Any) -> None:
        pass


@pytest.fixture
def app() -> Iterator[App]:
    with App() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


class Host:
    name = "shop"

    def __init__(self, *states: dict[str, Any]) -> None:
        self.states = list(states) or [{"Running": True, "RestartCount": 0, "ExitCode": 0}]

    def state(self, _name: str) -> dict[str, Any]:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def last_lines(self, name: str) -> str:
        return f"Last lines of {name}:\nTraceback"


def checks(app: App, host: Host | None = None, **changes: Any) -> tuple[Checks, tuple[Any, ...]]:
    listed = {
        "name": "shop", "image": "shop:1", "port": 8000, "domains": ["shop.example.com"],
        "health": {"interval": 0.05, "timeout": 1, "expect": {"release": "{release}"}}, **changes,
    }  # fmt: skip
    normal = _apps.public(_apps.normal([listed])[0])
    web = _app_containers.wanted_containers(normal, "green", app.server_address[1] - 10)
    return Checks(host or Host(), normal, RELEASE, "green"), web  # type: ignore[arg-type]


def test_a_healthy_release_is_asked_as_nginx_would(app: App) -> None:
    made, web = checks(app)
    made.gate(web)
    assert len(app.asked) == 2, "two successes in a row are the default"
    path, headers = app.asked[0]
    assert path == "/health"
    assert (headers["Host"], headers["X-Forwarded-Proto"]) == ("shop.example.com", "https")


def test_a_release_that_is_known_is_asked_once(app: App) -> None:
    made, web = checks(app)
    made.gate(web, known=True)
    assert len(app.asked) == 1


def gate_fails(app: App, host: Host | None = None, **changes: Any) -> str:
    made, web = checks(app, host, **changes)
    with pytest.raises(ReleaseError) as raised:
        made.gate(web)
    return str(raised.value)


def test_a_status_comes_with_the_body_and_the_log(app: App) -> None:
    app.answers = [(503, "x" * 600, {})]
    said = gate_fails(app)
    assert "answered 503, expected 200: " + "x" * 500 in said
    assert "x" * 501 not in said
    assert said.endswith("Last lines of shop-green-web-1:\nTraceback")


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        pytest.param({"release": "another"}, {}, f'release is "another", expected "{RELEASE}"', id="in the body"),
        pytest.param(
            {"release": RELEASE},
            {"X-Quayside-Release": "another"},
            f"answered by another (X-Quayside-Release), expected {RELEASE}",
            id="in a header",
        ),
    ],
)
def test_the_wrong_release_is_no_good(app: App, body: object, headers: dict[str, str], expected: str) -> None:
    app.answers = [(200, json.dumps(body), headers)]
    assert expected in gate_fails(app)


GONE = {"Running": False, "RestartCount": 0, "ExitCode": 3}
UP = {"Running": True, "RestartCount": 0, "ExitCode": 0}


def test_an_exit_fails_at_once_with_the_answer_before_it(app: App) -> None:
    app.answers = [(500, "out of memory", {})]
    said = gate_fails(app, Host(UP, GONE), health={"timeout": 60, "interval": 0.05})
    assert said.startswith("container shop-green-web-1 exited with code 3\nBefore that: http")
    assert "answered 500, expected 200: out of memory" in said
    assert len(app.asked) == 1


def test_an_exit_between_two_good_answers_fails_too(app: App) -> None:
    said = gate_fails(app, Host(UP, GONE))
    assert said.startswith("container shop-green-web-1 exited with code 3\nBefore that: it answered 200")


def test_a_container_that_was_started_again_is_no_good(app: App) -> None:
    assert "exited with code 0" in gate_fails(app, Host({**UP, "RestartCount": 1}))


def test_warm_up_asks_each_path_once(app: App) -> None:
    made, web = checks(app, warm_up=["/", "/prices?all=1"])
    made.warm_up(web)
    assert [path for path, _headers in app.asked] == ["/", "/prices?all=1"]


def test_a_path_that_fails_in_warm_up_is_told(app: App) -> None:
    app.answers = [(404, "", {}), (500, "no such table", {})]
    made, web = checks(app, warm_up=["/", "/prices"])
    with pytest.raises(ReleaseError, match=r"warm_up of /prices: .*answered 500: no such table"):
        made.warm_up(web)


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({}, None),
        ({"x-quayside-slot": "shop_green"}, None),
        ({"X-Quayside-Slot": "shop_blue"}, r"through nginx: .*answered by shop_blue \(X-Quayside-Slot\)"),
    ],
    ids=["no header", "this slot", "the other slot"],
)
def test_verify_knows_which_slot_answered(
    app: App, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], said: str | None
) -> None:
    # The route is what is tested here; TLS is the probe's own business.
    monkeypatch.setattr(_release_checks, "public_url", lambda _app: "http://shop.example.com/health")
    monkeypatch.setattr(_release_checks, "VERIFY_SECONDS", 0.3)
    app.answers = [(200, json.dumps({"release": RELEASE}), headers)]
    made, _web = checks(app)
    if said is None:
        made.verify(app.server_address[1])
    else:
        with pytest.raises(ReleaseError, match=said):
            made.verify(app.server_address[1])
    assert app.asked[0][1]["Host"] == "shop.example.com"
    assert app.asked[0][1]["User-Agent"] == "quayside-probe", "it would count as users' traffic"
