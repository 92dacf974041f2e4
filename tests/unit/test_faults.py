# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The strikes of make test-faults, and what they hold against a host afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "testbed/faults").exists():
    pytest.skip("the testbed is not part of the built collection", allow_module_level=True)

LIVE = "20260101T000000Z-aaaaaaaa"
OLD = "20251231T000000Z-bbbbbbbb"


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    monkeypatch.syspath_prepend(str(ROOT))
    from testbed.faults import plan, state, watcher

    yield SimpleNamespace(plan=plan, state=state, watcher=watcher)
    for name in [name for name in sys.modules if name.split(".")[0] == "testbed"]:
        del sys.modules[name]


# Which deploys are struck


def test_every_kind_strikes_at_every_boundary_before_chance_decides(faults: SimpleNamespace) -> None:
    plan = faults.plan
    every = len(plan.STEPS) * len(plan.KINDS)
    found = plan.strikes(every + 20, seed=1)
    assert len(found) == every + 20
    assert {(s.step, s.kind) for s in found[:every]} == {(step, kind) for step in plan.STEPS for kind in plan.KINDS}
    assert {s.delay for s in found[:every]} == {0.0}
    assert all(0 < s.delay < plan.LONGEST_DELAY for s in found[every:])
    assert not any(s.back for s in found if s.step in plan.FORWARD_ONLY)
    assert any(s.back for s in found)


def test_the_seed_decides(faults: SimpleNamespace) -> None:
    assert faults.plan.strikes(30, seed=5) == faults.plan.strikes(30, seed=5) != faults.plan.strikes(30, seed=6)


def test_the_table_counts_where_it_struck(faults: SimpleNamespace) -> None:
    plan = faults.plan
    good = plan.Outcome(plan.Strike("gate", "child"), "gate", (), 100, 0, 9.0)
    bad = plan.Outcome(plan.Strike("gate", "child"), "gate", ("a lock is left",), 100, 0, 9.0)
    late = plan.Outcome(plan.Strike("gate", "both"), "warm", (), 50, 2, 9.0)
    lines = plan.table([good, bad, late]).splitlines()
    assert lines[0] == "| struck in | child | parent | both | controller | restart |"
    assert lines[2:] == [
        "| gate | 2, **1 bad** |  |  |  |  |",
        "| warm |  |  | 1, **1 bad** |  |  |",
        "| all | 2, **1 bad** |  | 1, **1 bad** |  |  |",
    ]
    assert plan.verdict([good, bad, late]) == "3 of 3 runs were struck; 2 went wrong; 2 of 250 requests failed"


@pytest.mark.parametrize(
    ("kind", "found", "killed"),
    [
        pytest.param("parent", [7, 8], [7], id="parent"),
        pytest.param("child", [7, 8], [8], id="child"),
        pytest.param("child", [7], [7], id="not forked yet"),
        pytest.param("both", [7, 8], [7, 8], id="both"),
        pytest.param("controller", [7, 8], [], id="controller"),
        pytest.param("both", [], [], id="nobody there"),
    ],
)
def test_whom_the_watcher_kills(faults: SimpleNamespace, kind: str, found: list[int], killed: list[int]) -> None:
    assert faults.watcher.victims(kind, found) == killed


# What is left over


def container(**changes: Any) -> dict[str, Any]:
    labels = {"slot": "blue", "release": LIVE, "process": "web", "number": "1", "kind": "web"}
    labels.update({key: changes.pop(key) for key in list(changes) if key in labels})
    plain = {
        "name": "ledger-blue-web-1",
        "running": True,
        "restarts": 0,
        "policy": "unless-stopped",
        "image": "sha256:a",
    }
    return {**plain, **changes, "labels": {f"quayside.{key}": value for key, value in labels.items()}}


JOB = container(name="ledger-blue-report", process="report", kind="job", running=False, policy="no")
CLEAN: dict[str, Any] = {
    "containers": [container(), JOB],
    "green": False,
    "held": False,
    "lock": "",
    "files": ["lock", "jobs/report.json", f"releases/{LIVE}.json", f"releases/{LIVE}.env.json"],
    "manifests": [
        {"release": LIVE, "result": "live", "image_id": "sha256:a"},
        {"release": OLD, "result": "live", "image_id": "sha256:b"},
    ],
    "images": ["sha256:a", "sha256:b"],
    "timers": ["quayside-job-ledger.report.timer", "loaded", "active"],
    "backups": ["20260101T000000Z"],
}


def told(faults: SimpleNamespace, sessions: tuple[str, ...] = (), **changes: Any) -> list[str]:
    state = faults.state
    expected = state.Expected(frozenset({("web", 1)}), frozenset({"report"}))
    found: list[str] = state.problems(state.Found(LIVE, "ledger", {**CLEAN, **changes}, sessions), expected)
    return found


def test_a_finished_deploy_leaves_nothing_to_tell(faults: SimpleNamespace) -> None:
    assert told(faults) == []


LEFT = [
    pytest.param({"containers": [JOB]}, "the live release has []", id="web missing"),
    pytest.param({"containers": [container()]}, "jobs []", id="job missing"),
    pytest.param({"containers": [container(running=False), JOB]}, "does not run", id="dead"),
    pytest.param({"containers": [container(restarts=2), JOB]}, "has restarted 2 times", id="restarts"),
    pytest.param({"containers": [container(policy="no"), JOB]}, "would not come back at boot", id="not kept"),
    pytest.param({"containers": [container(), {**JOB, "policy": "always"}]}, "would start at boot", id="job kept"),
    pytest.param({"containers": [container(), JOB, container(slot="green")]}, "is left over", id="other slot"),
    pytest.param({"containers": [container(), JOB, container(release=OLD)]}, "is left over", id="other release"),
    pytest.param({"green": True}, "is left over", id="the flag names the other slot"),
    pytest.param({"held": True, "lock": "x"}, "the lock is held: x", id="lock held"),
    pytest.param({"lock": "by somebody"}, "still says by somebody", id="lock not empty"),
    pytest.param({"files": ["lock", f"releases/.{LIVE}.json.12"]}, ".json.12 is left over", id="half a file"),
    pytest.param({"timers": []}, "there are the timers []", id="no timer"),
    pytest.param({"backups": [".tmp-1"]}, "backup .tmp-1 is half done", id="half a dump"),
    pytest.param({"images": ["sha256:a"]}, "its image is gone", id="image gone"),
    pytest.param({"manifests": CLEAN["manifests"][:1]}, "no release to go back to", id="no way back"),
    pytest.param({"manifests": [*CLEAN["manifests"], {"release": "x", "result": "started", "image_id": ""}]},
                 "never ended: ['x']", id="never ended"),
    pytest.param({"manifests": CLEAN["manifests"][1:]}, "and its record says None", id="not recorded"),
    pytest.param({"sessions": ("pg_dump: COPY",)}, "in the database there is still pg_dump", id="session"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "sentence"), LEFT)
def test_what_is_left_over_is_told(faults: SimpleNamespace, changes: dict[str, Any], sentence: str) -> None:
    found = told(faults, **changes)
    assert found
    assert any(sentence in problem for problem in found), found
