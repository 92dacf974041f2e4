# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from ansible_collections.quayside.web.plugins.module_utils._health import Attempt, Outcome, Streak
from ansible_collections.quayside.web.plugins.module_utils._health_report import message, results
from ansible_collections.quayside.web.plugins.module_utils._health_targets import (
    ContainerCheck,
    Target,
    TcpCheck,
)

PORT = Target("tcp", "db:1", TcpCheck("db", 1), 1, 1, 5)
WEB = Target("container", "container web", ContainerCheck("web"), 1, 1, 5)
REFUSED = Attempt(False, "db:1", latency_ms=3, error="refused", message="db:1: connection refused")
EXITED = Attempt(
    False, "container web", latency_ms=9, error="exited", message="container web: exited", body="a\nb", final=True
)
UP = Outcome(True, 2, 1.26, Streak(1, 1, 1), Attempt(True, "db:1", latency_ms=2), REFUSED)
DOWN = Outcome(False, 3, 2.0, Streak(1), REFUSED, REFUSED)
GONE = Outcome(False, 1, 0.1, Streak(1), EXITED, EXITED)
CALM = Outcome(True, 1, 0.1, Streak(1, 1, 1), Attempt(True, "container web"), None)


def test_messages() -> None:
    assert message([UP]) == "db:1: healthy after 2 tries in 1.3 s"
    assert message([GONE]) == "container web: exited\nThe last lines of container web:\na\nb"
    assert message([UP, CALM]) == "All 2 targets are healthy after 1.3 s"
    assert message([CALM, DOWN]) == "1 of 2 targets is not healthy: db:1: connection refused (3 tries in 2.0 s)"
    assert message([GONE, UP, DOWN]) == (
        "2 of 3 targets are not healthy: container web: exited; db:1: connection refused (3 tries in 2.0 s)"
        "\nThe last lines of container web:\na\nb"
    )


def test_one_target_is_its_own_sum() -> None:
    found = results([PORT], [UP])
    (entry,) = found["results"]
    assert entry == {
        "target": "db:1",
        "kind": "tcp",
        "healthy": True,
        "attempts": 2,
        "elapsed": 1.26,
        "latency_ms": 2,
        "status": None,
        "last_error": "db:1: connection refused",
        "error": "refused",
        "log": "",
    }
    assert {key: found[key] for key in entry if key in found} == {
        key: value for key, value in entry.items() if key not in ("target", "kind")
    }


def test_of_several_the_first_that_is_not_healthy_speaks() -> None:
    found = results([PORT, WEB, PORT], [UP, GONE, DOWN])
    assert [entry["healthy"] for entry in found["results"]] == [True, False, False]
    assert (found["healthy"], found["attempts"], found["elapsed"], found["latency_ms"]) == (False, 6, 2.0, 9)
    assert (found["error"], found["log"]) == ("exited", "a\nb")
