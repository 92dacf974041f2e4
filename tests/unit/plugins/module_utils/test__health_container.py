# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._health_container import absent, judge_container

STARTED = 1767225600.0  # 2026-01-01T00:00:00Z


def details(status: str = "running", *, restarts: int = 0, **state: Any) -> dict[str, Any]:
    return {
        "RestartCount": restarts,
        "State": {
            "Status": status,
            "Running": status in ("running", "restarting", "paused"),
            "Restarting": status == "restarting",
            "OOMKilled": False,
            "ExitCode": 0,
            "Error": "",
            "StartedAt": "2026-01-01T00:00:00.123456789Z",
            **state,
        },
    }


def health(status: str, *outputs: str) -> dict[str, Any]:
    return {"Health": {"Status": status, "Log": [{"ExitCode": 1, "Output": output} for output in outputs]}}


@pytest.mark.parametrize(
    ("found", "before", "error", "message"),
    [
        pytest.param(details(), None, "", "", id="running"),
        pytest.param(details(**health("healthy", "fine")), 0, "", "", id="healthy"),
        pytest.param(details(**health("none")), 0, "", "", id="healthcheck switched off"),
        pytest.param(
            details(**health("starting")),
            0,
            "starting",
            "its HEALTHCHECK says starting, expected healthy",
            id="starting",
        ),
        pytest.param(
            details(**health("unhealthy", "old", "curl: (7)\n refused\n")),
            0,
            "unhealthy",
            "its HEALTHCHECK says unhealthy, expected healthy: curl: (7) refused",
            id="unhealthy",
        ),
        pytest.param(details("exited", ExitCode=3), 0, "exited", "exited with code 3, expected it to run", id="exited"),
        pytest.param(
            details("exited", ExitCode=137, OOMKilled=True),
            0,
            "exited",
            "exited with code 137 (out of memory), expected it to run",
            id="out of memory",
        ),
        pytest.param(
            details("created", ExitCode=127, Error="exec: no such\n file"),
            0,
            "exited",
            "could not be started (exec: no such file), expected it to run",
            id="never started",
        ),
        pytest.param(
            details("created"), None, "stopped", "was created but not started, expected it to run", id="created"
        ),
        pytest.param(details("paused"), 0, "stopped", "is paused, expected it to run", id="paused"),
        pytest.param(
            details("restarting", restarts=1, ExitCode=1),
            0,
            "restarted",
            "exited with code 1 and is being restarted (once so far), expected it to stay up",
            id="restarting",
        ),
        pytest.param(
            details(restarts=2),
            2,
            "restarted",
            "was restarted 2 times and is up for 4 s, expected 10 s without a restart",
            id="just restarted",
        ),
    ],
)
def test_judge_container(found: dict[str, Any], before: int | None, error: str, message: str) -> None:
    attempt = judge_container("web", found, now=STARTED + 4, restarts_before=before)
    assert (attempt.ok, attempt.error) == (not error, error)
    assert attempt.message == (f"container web: {message}" if message else "")
    assert attempt.final is (error == "exited")


@pytest.mark.parametrize(("before", "ok"), [(None, True), (2, True), (1, False)], ids=["first", "steady", "risen"])
def test_a_restart_is_forgiven_with_time_unless_it_was_between_two_tries(before: int | None, ok: bool) -> None:
    assert judge_container("web", details(restarts=2), now=STARTED + 60, restarts_before=before).ok is ok


def test_a_container_that_is_not_there_may_still_come() -> None:
    attempt = absent("web")
    assert (attempt.error, attempt.final) == ("absent", False)
    assert attempt.message == "container web: is not on this host, expected a running one"
