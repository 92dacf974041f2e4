# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Two deploys at once, and a sample of what make test-faults does many times."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from deploys import APP, BEDS, Began, deploy, good, load, lock_step, refused, wait_for

from bench.load import Load
from testbed.faults.bed import Bed
from testbed.faults.plan import Strike
from testbed.faults.rounds import Round
from testbed.faults.state import problems


def test_a_second_deploy_is_told_who_deploys_or_waits() -> None:
    first = Began(
        "deploy.yml",
        ledger_version="1.2.0",
        ledger_env={"LEDGER_FAULT": "slow_start:8"},
        app_container_by="somebody",
    )
    for bed in BEDS:
        wait_for(lambda bed=bed: lock_step(bed) == "gate", 40, "the first never came to its gate")
    waiting = Began("deploy.yml", ledger_version="1.1.0", app_container_lock_wait=60)
    second = refused(deploy("1.1.0"))
    good(first.end())
    good(waiting.end())
    for bed in BEDS:
        assert re.search(r"another deploy is running \(by somebody since \d{4}-\d\d-\d\dT[\d:]+Z", second.message(bed))
        assert "app_container_lock_wait" in second.message(bed)
        assert bed.site.health()["version"] == "1.1.0", "the one that waited came last"
        assert problems(bed.found(), bed.expected) == []


#: Holds the lock like a deploy that hangs for ever, its lease over since long.
_HANG = """
import fcntl, json, os, sys, time
stream = open(sys.argv[1], "r+")
fcntl.flock(stream, fcntl.LOCK_EX)
lease = {"by": "the dead", "pids": [os.getpid()], "since": "2026-01-01T00:00:00Z", "expires": "2026-01-01T01:00:00Z",
         "release": "", "step": "gate"}
stream.write(json.dumps(lease) + "\\n")
stream.flush()
time.sleep(600)
"""


def test_a_lease_that_has_expired_is_taken_over() -> None:
    for bed in BEDS:
        bed.shell(f"systemd-run --unit=hanging python3 -c '{_HANG}' {APP}/lock")
        wait_for(lambda bed=bed: lock_step(bed) == "gate", 10, "it holds no lock")
    run = good(deploy("1.2.0"))
    for bed in BEDS:
        assert "the dead" in run.warnings(bed)
        assert bed.shell("systemctl is-active hanging || true") != "active"
        assert problems(bed.found(), bed.expected) == []


SAMPLE = {
    "deploy-web12": [
        Strike("migrate", "both", 0.1),
        Strike("flip", "child"),
        Strike("workers", "controller", heal="other"),
    ],
    "deploy-web13": [
        Strike("gate", "parent", 0.05),
        Strike("drain", "both"),
        Strike("watch", "restart", 0.1),
    ],
}


def play(bed: Bed, users: Load) -> list[str]:
    outcomes = [Round(bed, users, strike, ("1.1.0", "1.2.0"), n).play() for n, strike in enumerate(SAMPLE[bed.web], 1)]
    return [f"{o.strike} in {o.struck or 'nothing'}: {o.problems}" for o in outcomes if not (o.good and o.struck)]


def test_users_do_not_notice_a_deploy_that_is_killed_and_the_next_one_heals() -> None:
    with load(10) as users, ThreadPoolExecutor() as pool:
        for wrong in pool.map(lambda bed: play(bed, users[bed.web]), BEDS):
            assert wrong == []


@pytest.mark.parametrize("bed", BEDS, ids=[bed.web for bed in BEDS])
def test_the_records_of_the_killed_say_so(bed: Bed) -> None:
    results = {m["result"] for m in bed.found().host["manifests"]}
    assert results <= {"live", "failed"}
    assert json.loads(bed.shell(f"cat {APP}/lock || true") or "{}") == {}
