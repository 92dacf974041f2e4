# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The CORS matrix: who may read an answer, preflights, and answers that nginx gives itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

testinfra_hosts = ["ansible://web"]

ALLOWED = "https://app.example.com"
GOOD = {"allow-origin": ALLOWED, "allow-credentials": "true", "expose-headers": "X-Total"}
PREFLIGHT = ("-X", "OPTIONS", "-H", "Access-Control-Request-Method: PUT")
Curl = Callable[..., Any]


def origin(value: str) -> tuple[str, str]:
    return "-H", f"Origin: {value}"


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        (ALLOWED, True),
        ("http://localhost:3000", True),
        ("null", False),
        (f"{ALLOWED}.evil.test", False),
        ("https://evilapp.example.com", False),
        ("https://sub.app.example.com", False),
        ("http://app.example.com", False),
        (f"{ALLOWED}:8443", False),
        ("https://appxexample.com", False),
    ],
)
@pytest.mark.parametrize("path", ["/", "/status/500", "/static/a.css"], ids=["app", "error of the app", "static"])
def test_who_may_read_an_answer(curl: Curl, value: str, allowed: bool, path: str) -> None:
    answer = curl("shop", path, *origin(value))
    assert answer.cors == ({**GOOD, "allow-origin": value} if allowed else {})
    assert "Origin" in answer.headers["vary"]


def test_another_case_gets_the_literal_origin(curl: Curl) -> None:
    assert curl("shop", "/", *origin("HTTPS://APP.Example.com")).cors["allow-origin"] == ALLOWED


def test_without_an_origin_caches_are_told_that_it_matters(curl: Curl) -> None:
    answer = curl("shop")
    assert answer.cors == {}
    assert "Origin" in answer.headers["vary"]


def test_a_preflight_is_answered_and_never_reaches_the_app(curl: Curl) -> None:
    answer = curl("shop", "/pre", *PREFLIGHT, *origin(ALLOWED))
    assert (answer.status, answer.body) == (204, "")
    assert answer.cors == {
        "allow-origin": ALLOWED,
        "allow-credentials": "true",
        "allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "allow-headers": "Authorization, Content-Type",
        "max-age": "600",
    }
    assert "OPTIONS /pre" not in curl("shop", "/seen").asked["seen"]


@pytest.mark.parametrize("value", ["null", "https://evil.test"])
def test_a_preflight_of_others_is_told_nothing(curl: Curl, value: str) -> None:
    answer = curl("shop", "/", *PREFLIGHT, *origin(value))
    assert (answer.status, answer.cors) == (204, {})


def test_options_without_a_preflight_is_the_apps(curl: Curl) -> None:
    assert curl("shop", "/options", "-X", "OPTIONS").asked["path"] == "/options"


def test_nginxs_own_errors_can_be_read_too(curl: Curl, machine: Any) -> None:
    too_large = curl("shop", "/", "-d", "x" * 70000, *origin(ALLOWED))
    assert (too_large.status, too_large.cors) == (413, GOOD)
    assert "That is too large" in too_large.body
    machine.check_output("systemctl stop app@21000")
    try:
        gone = curl("shop", "/", *origin(ALLOWED))
    finally:
        machine.check_output("systemctl start app@21000; sleep 0.5")
    assert (gone.status, gone.cors) == (502, GOOD)


def test_another_app_of_the_domain_has_its_own(curl: Curl) -> None:
    assert curl("shop", "/api/x", *origin("https://who.test")).cors == {"allow-origin": "*"}
    assert curl("shop", "/api/x").cors == {}


def test_an_app_without_cors_speaks_for_itself(curl: Curl) -> None:
    assert curl("lan", "/").cors["allow-origin"] == "https://evil.test"
