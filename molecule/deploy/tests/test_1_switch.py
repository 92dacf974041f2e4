# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""A new version, seen by its users and by who brings it out.

The files and the tests in them stand in the order of a life: each starts from where the one before it ended.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from deploys import BEDS, STEPS, Run, containers, deploy, good, live, load, manifests

from bench.load import Load, Request
from testbed.faults.bed import Bed
from testbed.faults.state import problems

both = pytest.mark.parametrize("bed", BEDS, ids=[bed.web for bed in BEDS])
#: What users and owner change with the new version.
NEW = {"ledger_env": {"APP_ENV": "changed", "ADDED": "here"}, "ledger_token": "s3ntinel-other-token"}
DRAIN = 30
SLOW = 25


@both
def test_the_first_release_is_live(bed: Bed) -> None:
    health = bed.site.health()
    assert (health["version"], health["environment"], health["database"]) == ("1.0.0", "deploy", "reachable")
    assert containers(bed) == ["ledger-blue-web-1", "ledger-blue-worker-1"]
    manifest = manifests(bed)[health["release"]]
    assert manifest["result"] == "live"
    assert "0003" in manifest["schema"]


def test_the_same_again_changes_nothing() -> None:
    run = good(deploy("1.0.0"))
    assert set(run.changed.values()) == {0}
    for bed in BEDS:
        assert run.result(bed)["changed"] is False


def test_a_check_tells_all_that_would_happen() -> None:
    before = live()
    run = good(deploy("1.1.0", "--check", **NEW))
    for bed in BEDS:
        result = run.result(bed)
        shown = json.dumps(result["diff"])
        for expected in ("1.0.0", "1.1.0", "ADDED", "changed", "LEDGER_API_TOKEN", "blue", "green"):
            assert expected in shown, expected
        assert result["changed"] is True
        assert containers(bed, running=False) == ["ledger-blue-web-1", "ledger-blue-worker-1"]
        assert bed.sql("SELECT version_num FROM alembic_version") == "0003"
    assert live().keys() == before.keys()
    assert [found["release"] for found in live().values()] == [found["release"] for found in before.values()]


@pytest.fixture(scope="module")
def switched() -> tuple[Run, dict[str, Load], dict[str, dict[str, str]], float]:
    """The deploy that most of this file looks at: its run, its users, what was live before, and when it began.

    A request of 25 seconds and WebSockets are under way when the traffic moves.
    """
    before = live()
    with load(20, websockets=2, slow_seconds=SLOW) as users:
        time.sleep(1)
        began = time.time()
        run = good(deploy("1.1.0", ledger_changes={"drain_timeout": DRAIN}, **NEW))
        time.sleep(1)
    return run, users, before, began


Switched = tuple[Run, dict[str, Load], dict[str, dict[str, str]], float]


def of_kind(load_: Load, kind: str) -> list[Request]:
    return [request for request in load_.requests if request.kind == kind]


@both
def test_no_request_fails(bed: Bed, switched: Switched) -> None:
    _run, users, before, _began = switched
    mine = users[bed.web]
    assert mine.failures == []
    assert len(mine.requests) > 20 * DRAIN
    assert mine.releases == {before[bed.web]["release"], bed.site.health()["release"]}
    assert mine.booked("deploy-db", bed.database) == mine.posted > 0
    assert bed.site.health()["version"] == "1.1.0"


@both
def test_a_long_request_under_way_ends_well(bed: Bed, switched: Switched) -> None:
    _run, users, before, _began = switched
    first = of_kind(users[bed.web], "slow")[0]
    assert (first.error, first.release) == ("", before[bed.web]["release"])
    assert first.seconds >= SLOW


@both
def test_a_websocket_stays_for_the_drain_and_is_told_goodbye(bed: Bed, switched: Switched) -> None:
    _run, users, before, began = switched
    old = [r for r in of_kind(users[bed.web], "websocket") if r.release == before[bed.web]["release"]]
    new = [r for r in of_kind(users[bed.web], "websocket open") if r.release != before[bed.web]["release"]]
    assert len(old) == len(new) == 2, "each connects again, to the new release"
    for request in old:
        assert request.error == "", "it was not closed with 1001"
        assert request.ended - began > DRAIN


@both
def test_the_result_has_steps_proof_and_migration(bed: Bed, switched: Switched) -> None:
    result = switched[0].result(bed)
    assert result["steps"].keys() >= STEPS
    assert result["steps"]["drain"] == pytest.approx(DRAIN, abs=2)
    proof = result["proof"]
    assert proof["failed"] == 0
    assert proof["requests"] > 20
    assert 0 < proof["p50_ms"] <= proof["p99_ms"] <= proof["max_ms"]
    migration = result["migration"]
    assert (migration["before"], migration["after"], migration["applied"]) == (["0003"], ["0004"], ["0004"])
    assert migration["backup_id"]
    assert f"0 of {proof['requests']} requests failed" in result["msg"]


@both
def test_the_release_is_recorded(bed: Bed, switched: Switched) -> None:
    result = switched[0].result(bed)
    manifest = manifests(bed)[result["release"]]
    assert (manifest["result"], manifest["image"].rpartition(":")[2]) == ("live", "1.1.0")
    assert "0004" in manifest["schema"]
    assert manifest["proof"]["failed"] == 0
    assert manifest["steps"].keys() >= STEPS - {"jobs", "prune", "post_deploy"}
    assert manifest["by"]


@both
def test_a_verified_dump_was_taken_first(bed: Bed, switched: Switched) -> None:
    backup = f"/var/backups/quayside/ledger/{switched[0].result(bed)['migration']['backup_id']}"
    bed.shell(f"test -s {backup}/manifest.json")
    dump = bed.shell(f"ls {backup}/*dump*").split()[0]
    assert "alembic_version" in bed.shell(f"pg_restore --list {dump}")


@both
def test_a_singleton_worker_never_runs_twice(bed: Bed, switched: Switched) -> None:
    _run, _users, _before, began = switched
    events = bed.shell(
        f"docker events --since {began:.0f} --until {time.time():.0f} --filter event=start --filter event=die"
        " --filter label=quayside.process=worker --format '{{.Action}} {{.Actor.Attributes.name}}'"
    ).splitlines()
    assert events == ["die ledger-blue-worker-1", "start ledger-green-worker-1"]


@both
def test_hooks_ran_in_the_new_release(bed: Bed, switched: Switched) -> None:
    release = switched[0].result(bed)["release"]
    asked = f"SELECT name FROM accounts WHERE name LIKE '%{release}' ORDER BY id"
    assert bed.sql(asked).splitlines() == [f"pre_deploy {release}", f"post_deploy {release}"]


@both
def test_a_job_runs_the_live_image_and_keeps_its_result(bed: Bed, switched: Switched) -> None:
    bed.shell("systemctl start quayside-job-ledger.report")
    kept: dict[str, Any] = json.loads(bed.shell("cat /var/lib/quayside/apps/ledger/jobs/report.json"))
    assert f"a report by {switched[0].result(bed)['release']}" in json.dumps(kept)
    assert "report" in bed.shell("systemctl list-timers --all --no-pager 'quayside-job-ledger.*'")


@both
def test_nothing_is_left_over(bed: Bed) -> None:
    assert problems(bed.found(), bed.expected) == []
    assert containers(bed, running=False) == ["ledger-green-web-1", "ledger-green-worker-1"]
