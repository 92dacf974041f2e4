# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _health_run
from ansible_collections.quayside.web.plugins.module_utils._database_url import parse
from ansible_collections.quayside.web.plugins.module_utils._health import Attempt, Expectation
from ansible_collections.quayside.web.plugins.module_utils._health_run import (
    Probe,
    certificates_problem,
    missing_library,
    probe_for,
    wait_for_all,
)
from ansible_collections.quayside.web.plugins.module_utils._health_targets import (
    Check,
    ContainerCheck,
    HttpCheck,
    PostgresCheck,
    Target,
    TcpCheck,
)

HTTP = HttpCheck("http://app/", Expectation(), {}, None, None, None)
PORT = TcpCheck("db", 1)
LOGIN = PostgresCheck(parse("postgresql://me:s3ntinel@db/app"))


def target(name: str, check: Check = PORT, successes: int = 1, interval: float = 0.01) -> Target:
    return Target("tcp", name, check, successes, interval, 5)


def after(seconds: float, name: str) -> Probe:
    """Passes from then on."""
    ready = time.monotonic() + seconds
    return lambda _limit: Attempt(
        time.monotonic() >= ready, name, error="refused", message=f"{name}: connection refused"
    )


def exited(_limit: float) -> Attempt:
    return Attempt(False, "c", error="exited", message="c: exited", final=True)


@pytest.fixture
def hang() -> Iterator[Probe]:
    """A try that does not come back, as one in a name server that does not answer."""
    end = threading.Event()

    def probe(_limit: float) -> Attempt:
        end.wait(30)
        return Attempt(True, "h")

    yield probe
    end.set()


def test_targets_are_waited_for_at_the_same_time() -> None:
    names = ["a", "b", "c"]
    start = time.monotonic()
    outcomes = wait_for_all([target(name) for name in names], [after(0.4, name) for name in names], timeout=10)
    assert 0.4 <= time.monotonic() - start < 1.0
    assert [(outcome.ok, outcome.last.target) for outcome in outcomes] == [(True, name) for name in names]


def test_time_is_over_for_all_together() -> None:
    outcomes = wait_for_all([target("a"), target("b")], [after(0, "a"), after(99, "b")], timeout=0.3)
    assert [outcome.ok for outcome in outcomes] == [True, False]
    assert outcomes[1].elapsed <= 0.35


def test_what_cannot_heal_ends_the_wait_for_all(hang: Probe) -> None:
    start = time.monotonic()
    outcomes = wait_for_all(
        [target("a", interval=30), target("h"), target("c")], [after(99, "a"), hang, exited], timeout=60
    )
    assert time.monotonic() - start < 1
    assert [outcome.last.error for outcome in outcomes] == ["refused", "timeout", "exited"]
    assert outcomes[1].message.startswith("h: no answer yet, expected one (1 try in 0.")


def test_it_gives_up_only_if_asked_to() -> None:
    outcomes = wait_for_all([target("a"), target("c")], [after(0.2, "a"), exited], timeout=5, give_up=False)
    assert [outcome.ok for outcome in outcomes] == [True, False]


def test_a_try_that_hangs_cannot_outlast_the_time(hang: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_health_run, "GRACE", 0.1)
    start = time.monotonic()
    (outcome,) = wait_for_all([target("h")], [hang], timeout=0.2)
    assert time.monotonic() - start < 1
    assert not outcome.ok


def test_a_defect_is_not_lost_in_its_thread() -> None:
    def broken(_limit: float) -> Attempt:
        raise KeyError("State")

    with pytest.raises(KeyError, match="State"):
        wait_for_all([target("a"), target("b")], [after(0, "a"), broken], timeout=5)


@pytest.mark.parametrize(
    ("check", "constant", "library"),
    [
        (HTTP, "REQUESTS_ERROR", "requests"),
        (ContainerCheck("web"), "DOCKER_ERROR", "docker"),
        (LOGIN, "PSYCOPG2_ERROR", "psycopg2"),
        (PostgresCheck(("db", 5432)), "", ""),
        (TcpCheck("db", 1), "", ""),
    ],
    ids=["url", "container", "login", "greeting", "tcp"],
)
def test_a_library_is_missed_by_its_own_kind_of_target_only(
    monkeypatch: pytest.MonkeyPatch, check: Check, constant: str, library: str
) -> None:
    for name in ("REQUESTS_ERROR", "DOCKER_ERROR", "PSYCOPG2_ERROR"):
        monkeypatch.setattr(_health_run, name, "none" if name == constant else None)
    assert missing_library(target("x", check)) == (
        f"x: {sys.executable} on this host has no library {library}, which this check needs; "
        f"install the Debian package python3-{library}"
        if library
        else ""
    )
    if library:
        attempt = probe_for(target("x", check))(1)
        assert (attempt.ok, attempt.error) == (False, "library")


def test_nothing_is_missed_where_all_is_there() -> None:
    assert [missing_library(target("x", check)) for check in (HTTP, ContainerCheck("web"), LOGIN)] == [""] * 3


def test_probes_reach_their_targets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert probe_for(target("x", TcpCheck("127.0.0.1", port)))(1).ok
    for check in (
        TcpCheck("127.0.0.1", port),
        HttpCheck(f"http://127.0.0.1:{port}/", Expectation(), {}, None, None, None),
        PostgresCheck(("127.0.0.1", port)),
        PostgresCheck(parse(f"postgresql://me@127.0.0.1:{port}/app")),
    ):
        assert probe_for(target("x", check))(1).error == "refused"


def test_certificates(tmp_path: Path) -> None:
    wrong = tmp_path / "ca.pem"
    wrong.write_text("none")
    assert certificates_problem(str(wrong)) == (
        f"ca_path is {wrong}, which holds no certificate, expected a file with certificates in PEM form."
    )
    assert certificates_problem("/nowhere.pem") == (
        "ca_path is /nowhere.pem, which is not on this host, expected a file with certificates."
    )
    assert certificates_problem(str(tmp_path)).startswith(f"ca_path is {tmp_path}, which ")
    assert certificates_problem("/etc/ssl/certs/ca-certificates.crt") == ""
