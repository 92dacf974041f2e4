# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The strikes and faults of make test-faults, and what they hold against a host afterwards."""

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
    from testbed.faults.backups import plan as backup_plan
    from testbed.faults.backups import state as backup_state

    yield SimpleNamespace(plan=plan, state=state, watcher=watcher, backup_plan=backup_plan, backup_state=backup_state)
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


# Which faults backups meet


def test_every_kind_of_fault_comes_before_chance_decides(faults: SimpleNamespace) -> None:
    plan = faults.backup_plan
    found = plan.faults(len(plan.KINDS) + 200, seed=1)
    assert len(found) == len(plan.KINDS) + 200
    assert {fault.kind for fault in found[: len(plan.KINDS)]} == set(plan.KINDS)
    assert all(0 <= fault.at <= 1 for fault in found)
    later = [fault.kind for fault in found[len(plan.KINDS) :]]
    assert sum(kind in plan.MOVING for kind in later) > 150
    assert {fault.program for fault in found if fault.kind == "kill"} == set(plan.PROGRAMS)
    assert {fault.program for fault in found if fault.kind == "cut"} == {"rclone"}


def test_the_seed_decides_the_faults_too(faults: SimpleNamespace) -> None:
    plan = faults.backup_plan
    assert plan.faults(40, seed=5) == plan.faults(40, seed=5) != plan.faults(40, seed=6)
    assert len(plan.faults(5, seed=5)) == 5


def test_the_table_of_faults_counts_where_they_struck(faults: SimpleNamespace) -> None:
    plan = faults.backup_plan
    kill = plan.Fault("kill", 0.1, "rclone")
    outcomes = [
        plan.Outcome(kill, "rclone", True, (), 9.0),
        plan.Outcome(kill, "rclone", True, ("the lock is held",), 9.0),
        plan.Outcome(kill, "", False, (), 9.0),
        plan.Outcome(plan.Fault("flip"), "", False, (), 9.0),
    ]
    assert plan.table(outcomes).splitlines()[2:] == [
        "| kill | 3 | 2 rclone | 2 | **1** |",
        "| flip | 1 |  | 0 | 0 |",
    ]
    assert plan.verdict(outcomes) == "4 backups and restores met a fault; 2 failed and said so; 1 went wrong"


# What a fault must not have done to the backups

FIRST, SECOND, THIRD, NEW = (f"2026010{day}T030000Z" for day in (1, 2, 3, 4))


def backup(content: str = "dump", **changes: Any) -> dict[str, Any]:
    files = {"dump.pgc": [len(content), content]}
    manifest = {"files": [{"name": "dump.pgc", "size": len(content), "sha256": content}], "verified_at": "then"}
    return {"files": files, "manifest": manifest, **changes}


CUT = backup(files={"dump.pgc": [1, "d"]})
BEFORE = {FIRST: backup("one"), SECOND: backup("two"), THIRD: backup("three")}
DAMAGE = [
    pytest.param(BEFORE, frozenset(), "", id="as it was"),
    pytest.param({**BEFORE, NEW: backup("new")}, frozenset(), "", id="one more"),
    pytest.param({SECOND: BEFORE[SECOND], THIRD: BEFORE[THIRD], NEW: backup("new")}, frozenset(), "", id="pruned"),
    pytest.param({FIRST: CUT, SECOND: BEFORE[SECOND], THIRD: BEFORE[THIRD]}, frozenset({FIRST}), "", id="spared"),
    pytest.param(
        {SECOND: BEFORE[SECOND], THIRD: BEFORE[THIRD]}, frozenset(), "nothing new had come", id="pruned early"
    ),
    pytest.param({SECOND: BEFORE[SECOND], NEW: backup("new")}, frozenset(), "2 have to stay", id="below the floor"),
    pytest.param({**BEFORE, NEW: CUT}, frozenset(), "bears a final name, but its files", id="a partial"),
    pytest.param({**BEFORE, NEW: backup(manifest=None)}, frozenset(), "has no manifest", id="no manifest"),
    pytest.param({**BEFORE, THIRD: backup("other")}, frozenset(), "an earlier backup, has been changed", id="changed"),
]


@pytest.mark.parametrize(("after", "spared", "sentence"), DAMAGE)
def test_what_was_done_to_the_backups_is_told(
    faults: SimpleNamespace, after: dict[str, Any], spared: frozenset[str], sentence: str
) -> None:
    state = faults.backup_state
    minimum = 2 if NEW in after else 3
    found = list(state.damage(state.Found(backups=BEFORE), state.Found(backups=after), minimum, spared))
    assert bool(found) is bool(sentence), found
    assert sentence in " ".join(found)


def test_what_a_person_has_to_look_at_nobody_removes(faults: SimpleNamespace) -> None:
    state = faults.backup_state
    (told,) = state.damage(state.Found(backups={FIRST: CUT}), state.Found(), 3)
    assert told == f"{FIRST} was damaged, and is gone"


BEHIND = [
    pytest.param({}, "", id="nothing"),
    pytest.param({"entries": (".lock", "status.json", ".offsite-s3.lock", FIRST)}, "", id="what belongs there"),
    pytest.param({"databases": ("shop", "shop_old_20260101t030000z", "shop_undone_20260101t030000z")}, "", id="aside"),
    pytest.param({"entries": (f".tmp-{FIRST}",)}, "is left over in the repository", id="a draft"),
    pytest.param({"held": True}, "the lock is held", id="lock"),
    pytest.param({"processes": ("pg_dump",)}, "the process pg_dump is still there", id="process"),
    pytest.param({"sessions": ("shop: COPY",)}, "there is still a session: shop: COPY", id="session"),
    pytest.param({"databases": ("shop", "shop_restore_20260101t030000z")}, "are left over", id="scratch"),
    pytest.param({"databases": ()}, "the databases shop are missing", id="live database gone"),
    pytest.param({"closed": ("shop",)}, "takes no connection", id="closed"),
]


@pytest.mark.parametrize(("changes", "sentence"), BEHIND)
def test_what_a_fault_leaves_behind_is_told(faults: SimpleNamespace, changes: dict[str, Any], sentence: str) -> None:
    state = faults.backup_state
    found = list(state.leftovers(state.Found(**{"databases": ("shop",), **changes}), frozenset({"shop"})))
    assert bool(found) is bool(sentence), found
    assert sentence in " ".join(found)
