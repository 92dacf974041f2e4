# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""What is broken on real servers, and the very sentence that a user reads of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

WEB = "http://127.0.0.1:8080"
DATABASE = "postgresql://{login}@127.0.0.1:{port}/{name}"
RIGHT = "ledger:s3ntinel%3A%2F%40"


def database(login: str = RIGHT, port: int = 5432, name: str = "ledger") -> dict[str, str]:
    return {"postgres": DATABASE.format(login=login, port=port, name=name)}


def shown(port: int = 5432, name: str = "ledger", user: str = "ledger") -> str:
    return f"postgresql://{user}:***@127.0.0.1:{port}/{name}"


SIGNED = {"connect_to": "127.0.0.1:8443", "ca_path": "/etc/nginx/app.pem"}
# By a name: what is tried, the kind of failure, and what is said; `(…)` stands for the tries counted.
BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "a name that does not resolve": (
        {"url": "http://nowhere.invalid/health"},
        "dns",
        "http://nowhere.invalid/health: the name nowhere.invalid does not resolve (Name or service not known), "
        "expected an address (…)",
    ),
    "nobody listens": (
        {"tcp": "127.0.0.1:8082"},
        "refused",
        "127.0.0.1:8082: connection refused, expected a listener on 127.0.0.1:8082 (…)",
    ),
    "a self-signed certificate": (
        {"url": "https://app.example.com/health", "connect_to": "127.0.0.1:8443"},
        "tls",
        "https://app.example.com/health: the certificate is not accepted (self-signed certificate), "
        "expected a valid one for this name (…)",
    ),
    "another name's certificate": (
        {"url": "https://other.example.com/health", **SIGNED},
        "tls",
        "https://other.example.com/health: the certificate is not accepted (hostname 'other.example.com' doesn't "
        "match 'app.example.com'), expected a valid one for this name (…)",
    ),
    "no TLS there": (
        {"url": "https://127.0.0.1:8080/health"},
        "tls",
        "https://127.0.0.1:8080/health: the TLS handshake with 127.0.0.1:8080 failed (wrong version number), "
        "expected HTTPS there (…)",
    ),
    "no answer": (
        {"url": "http://127.0.0.1:8081/", "try_timeout": 0.4},
        "timeout",
        "http://127.0.0.1:8081/: no answer from 127.0.0.1:8081 within 0.4 s (…)",
    ),
    "a wrong status": (
        {"url": f"{WEB}/down"},
        "status",
        "http://127.0.0.1:8080/down: answered 503, expected 200: no database (…)",
    ),
    "a redirect": (
        {"url": f"{WEB}/moved", "expect": {"status": "ok"}},
        "status",
        "http://127.0.0.1:8080/moved: answered 301 (to https://app.example.com/), expected 200: <html> <head><title>"
        "301 Moved Permanently</title></head> <body> <center><h1>301 Moved Permanently</h1></center> <hr><center>nginx"
        "</center> </body> </html> (…)",
    ),
    "a wrong value": (
        {"url": f"{WEB}/health", "expect": {"checks.0.name": "cache"}},
        "body",
        'http://127.0.0.1:8080/health: answered 200, but checks.0.name is "db", expected "cache" (…)',
    ),
    "no JSON": (
        {"url": f"{WEB}/text", "expect": {"status": "ok"}},
        "body",
        "http://127.0.0.1:8080/text: answered 200, but its body is not JSON, expected JSON: fine (…)",
    ),
    "a wrong password": (
        database("ledger:s3ntinel-wrong"),
        "login",
        f"{shown()}: the server refuses the password of user ledger, expected the right one in the URL",
    ),
    "an unknown database": (
        database(name="nosuch"),
        "database",
        f"{shown(name='nosuch')}: the server has no database nosuch, expected one (…)",
    ),
    "a starting database": (
        database(port=5433),
        "starting",
        f"{shown(port=5433)}: the database system is not accepting connections, expected it to accept connections (…)",
    ),
    "a starting server": (
        {"postgres": "127.0.0.1:5433"},
        "starting",
        "PostgreSQL at 127.0.0.1:5433: the database system is not accepting connections, expected it to accept "
        "connections (…)",
    ),
    "no database server": (
        database(port=5434),
        "refused",
        f"{shown(port=5434)}: connection refused, expected a listener on 127.0.0.1:5434 (…)",
    ),
    "a web server for a database": (
        {"postgres": "127.0.0.1:8080"},
        "protocol",
        "PostgreSQL at 127.0.0.1:8080: what answers there is not PostgreSQL, expected that (…)",
    ),
    "no such container": (
        {"container": "nosuch"},
        "absent",
        "container nosuch: is not on this host, expected a running one (…)",
    ),
    "a container that was never started": (
        {"container": "created"},
        "stopped",
        "container created: was created but not started, expected it to run (…)",
    ),
    "a container that has exited": (
        {"container": "crashed"},
        "exited",
        "container crashed: exited with code 3, expected it to run\nThe last lines of container crashed:\n"
        + "\n".join(f"line {number}" for number in range(11, 61)),
    ),
    "an unhealthy container": (
        {"container": "sick"},
        "unhealthy",
        "container sick: its HEALTHCHECK says unhealthy, expected healthy: no database (…)",
    ),
}
# Stopped by the fixture as soon as the other target is asked for; the successes are the seconds that it gets.
STOPPED = [{"container": "doomed", "successes": 120}, {"url": f"{WEB}/health?while-doomed"}]
STOP = "until grep -q while-doomed /var/log/nginx/access.log; do sleep 0.2; done; sleep 1; docker stop --time 1 doomed"
LOOPING = [{"container": "looping"}]
NEEDY = {
    "requests": ({"url": f"{WEB}/health"}, f"{WEB}/health"),
    "docker": ({"container": "steady"}, "container steady"),
    "psycopg2": (database(), shown()),
}
NO_NEED = [{"tcp": "127.0.0.1:8080"}, {"postgres": "127.0.0.1:5432"}]
COUNT = re.compile(r"\(\d+ (?:try|tries) in [0-9.]+ s\)")


def results(report: Any, task: str) -> dict[str, list[dict[str, Any]]]:
    """By host, what the module returned for each item of a task."""
    document, _end = json.JSONDecoder().raw_decode(report.output, report.output.index("{\n"))
    tasks = [entry for play in document["plays"] for entry in play["tasks"] if entry["task"]["name"] == task]
    return {host: result["results"] for host, result in tasks[0]["hosts"].items()}


@pytest.fixture(scope="module")
def report(converge_with: Callable[..., Any], container: Callable[[str], Any]) -> Any:
    for name in ("debian12", "debian13"):
        container(name).check_output("systemd-run sh -c %s", STOP)
    broken = [[item] for item, _error, _said in BROKEN.values()]
    needy = [item for item, _shown in NEEDY.values()]
    return converge_with(broken=[*broken, LOOPING, STOPPED], needy=[*needy, *NO_NEED])


@pytest.fixture
def said_of_broken(host: Any, report: Any) -> list[dict[str, Any]]:
    return results(report, "Try what is broken")[host.check_output("hostname")]


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_told(said_of_broken: Any, name: str) -> None:
    _item, error, said = BROKEN[name]
    found = said_of_broken[list(BROKEN).index(name)]
    assert COUNT.sub("(…)", found["msg"]) == said
    assert (found["healthy"], found["error"]) == (False, error)
    # What waiting cannot heal is tried once.
    assert (found["attempts"] > 1) is said.endswith("(…)")


def test_a_container_in_a_loop_is_not_taken_for_a_running_one(said_of_broken: Any) -> None:
    said = said_of_broken[-2]["msg"]
    assert said.startswith(("container looping: exited with code 1 and is being", "container looping: was restarted"))
    assert "\nThe last lines of container looping:\nno database" in said


def test_a_stopped_container_ends_the_wait_at_once(said_of_broken: Any) -> None:
    found = said_of_broken[-1]
    assert found["msg"] == (
        "1 of 2 targets is not healthy: container doomed: exited with code 137, expected it to run\n"
        "The last lines of container doomed:\nstarted"
    )
    assert [entry["healthy"] for entry in found["results"]] == [False, True]
    assert (found["log"], found["error"]) == ("started", "exited")
    assert found["results"][0]["attempts"] > 2
    assert found["elapsed"] < 60


@pytest.mark.parametrize("library", NEEDY)
def test_a_missing_library_is_named_with_its_package(host: Any, report: Any, library: str) -> None:
    found = results(report, "Try without any library")[host.check_output("hostname")][list(NEEDY).index(library)]
    assert found["msg"] == (
        f"{NEEDY[library][1]}: /opt/bare/bin/python3 on this host has no library {library}, which this check needs; "
        f"install the Debian package python3-{library}"
    )


def test_what_needs_no_library_works_without(host: Any, report: Any) -> None:
    found = results(report, "Try without any library")[host.check_output("hostname")]
    assert [entry["healthy"] for entry in found[len(NEEDY) :]] == [True, True]


def test_no_password_is_shown(host: Any, report: Any) -> None:
    for task in ("Try what is broken", "Try without any library"):
        for entry in results(report, task)[host.check_output("hostname")]:
            told = {key: value for key, value in entry.items() if key not in ("item", "_ansible_item_label")}
            assert "s3ntinel" not in json.dumps(told)
    journal = host.check_output("journalctl --output cat --no-pager")
    assert "Invoked with targets=" in journal
    assert "s3ntinel" not in journal
