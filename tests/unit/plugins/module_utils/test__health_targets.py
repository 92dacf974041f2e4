# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._health import Expectation
from ansible_collections.quayside.web.plugins.module_utils._health_targets import (
    ContainerCheck,
    HttpCheck,
    PostgresCheck,
    TcpCheck,
    parse_targets,
    secrets,
)

NOTHING: dict[str, Any] = {
    "url": None,
    "tcp": None,
    "container": None,
    "postgres": None,
    "targets": None,
    "status": [200],
    "expect": {},
    "headers": {},
    "host": None,
    "connect_to": None,
    "ca_path": None,
    "successes": 1,
    "interval": 1.0,
    "try_timeout": 5.0,
    "timeout": 60.0,
}
URL = "postgresql://me:s3ntinel%2F@db/app"


def test_a_single_target() -> None:
    (target,) = parse_targets(
        {**NOTHING, "url": "https://me:s3ntinel@app/", "connect_to": "[::1]:443", "headers": {"X": 1}, "successes": 3}
    )
    assert (target.kind, target.name, target.successes) == ("url", "https://app/", 3)
    assert target.check == HttpCheck("https://me:s3ntinel@app/", Expectation(), {"X": "1"}, None, ("::1", 443), None)
    assert "s3ntinel" not in repr(target)


def test_targets_take_what_they_leave_out_from_beside_the_list() -> None:
    items = [
        {"tcp": "db:1", "interval": 0.2, "url": None},
        {"container": "web-1", "successes": 4},
        {"postgres": URL},
        {"postgres": "[::1]:5432"},
        {"url": "http://app/", "status": [204]},
    ]
    found = parse_targets({**NOTHING, "targets": items, "successes": 2, "status": [201]})
    assert [(target.name, target.successes, target.interval) for target in found] == [
        ("db:1", 2, 0.2),
        ("container web-1", 4, 1),
        ("postgresql://me:***@db:5432/app", 2, 1),
        ("PostgreSQL at [::1]:5432", 2, 1),
        ("http://app/", 2, 1),
    ]
    assert found[0].check == TcpCheck("db", 1)
    assert found[1].check == ContainerCheck("web-1")
    assert isinstance(found[2].check, PostgresCheck)
    assert "s3ntinel" not in repr(found)
    assert found[3].check == PostgresCheck(("::1", 5432))
    assert isinstance(found[4].check, HttpCheck)
    assert found[4].check.expectation.status == {204}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "nothing to wait for is given; give exactly one of url, tcp, container, postgres, or several as targets."),
        ({"url": "http://app/", "tcp": "db:1"}, "url and tcp are given together; give exactly one of url, tcp"),
        ({"url": "http://app/", "targets": []}, "targets and url are both given; move url into targets."),
        ({"targets": []}, "targets is an empty list, expected at least one"),
        ({"targets": [{"host": "x"}]}, "targets[0]: nothing to wait for is given; exactly one of url, tcp, container"),
        (
            {"targets": [{"tcp": "a:1"}, {"tcp": "a:1", "container": "x"}]},
            "targets[1]: tcp and container are given together; exactly one of",
        ),
        (
            {"targets": [{"tcp": "a:1", "status": [200]}]},
            "targets[0]: status is given for tcp; it goes with url only, leave it out.",
        ),
        ({"targets": [{"tcp": "a"}]}, "targets[0]: the address is 'a', expected host:port"),
        ({"targets": [{"tcp": "a:1", "successes": 0}]}, "targets[0]: successes is 0, expected a whole number"),
        ({"tcp": "a:1", "expect": {"a": 1}}, "expect is given for tcp; it goes with url only, leave it out."),
        ({"tcp": "a:1", "interval": -1.0}, "interval is -1, expected seconds of at least 0."),
        ({"tcp": "a:1", "interval": float("nan")}, "interval is nan, expected seconds"),
        ({"tcp": "a:1", "try_timeout": 0.0}, "try_timeout is 0, expected seconds above 0."),
        ({"tcp": "a:1", "timeout": -1.0}, "timeout is -1, expected seconds of at least 0."),
        (
            {"tcp": "a:1", "successes": 4, "timeout": 3.0},
            "successes is 4 and interval 1, which takes 3 s, but timeout is 3; raise timeout above that.",
        ),
        ({"tcp": "a..b:1"}, "the address is 'a..b:1', whose name cannot exist, expected host:port."),
        ({"url": "app/health"}, "url is 'app/health', expected http:// or https:// and a host."),
        ({"url": "http://app/", "connect_to": "x:y"}, "the address is 'x:y', expected host:port"),
        ({"url": "http://app/", "status": [99]}, "status is [99], expected an HTTP status from 100 to 599"),
        ({"url": "http://app/", "headers": {"a b": "x"}}, "headers has the name 'a b', expected letters"),
        ({"url": "http://app/", "headers": {"A": "s3ntinel\nB: 1"}}, "the header A has a line break"),
        ({"url": "http://app/", "host": "a\nb"}, "the header Host has a line break"),
        ({"container": "a b"}, "container is 'a b', expected the name or id of a container, such as web-1."),
        ({"postgres": "s3ntinel"}, "postgres is neither a URL nor an address, expected postgresql://user:password@"),
        ({"postgres": "mysql://me:s3ntinel@db/x"}, "scheme is mysql; postgresql:// or postgres:// is accepted."),
        ({"postgres": "db:70000"}, "the address is 'db:70000', expected host:port with a port from 1 to 65535."),
    ],
)
def test_bad_input(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_targets({**NOTHING, **params})
    assert message in str(caught.value)
    assert "s3ntinel" not in str(caught.value)


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"postgres": "db:5432"}, set()),
        ({"postgres": "postgresql://me@db:5432/app"}, set()),
        ({"postgres": URL}, {URL, "s3ntinel/", "s3ntinel%2F"}),
        ({"postgres": "no url"}, {"no url"}),
        ({"url": "https://me:a%40b@app/x"}, {"a%40b", "a@b"}),
        ({"url": "https://app/x@y:z"}, set()),
        (
            {"headers": {"Authorization": "Bearer abc", "X-Api-Key": 12, "X-Forwarded-Proto": "https"}},
            {"Bearer abc", "abc", "12"},
        ),
        ({"targets": [{"headers": {"Cookie": ""}}, {"postgres": "x://"}]}, {"x://"}),
    ],
)
def test_secrets(params: dict[str, Any], found: set[str]) -> None:
    assert secrets({**NOTHING, **params}) == found
