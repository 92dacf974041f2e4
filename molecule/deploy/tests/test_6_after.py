# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""After all that: more replicas, a reboot, and a search for secrets; the output of every run was searched already."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from deploys import BEDS, SENTINEL, containers, deploy, good, wait_for

from testbed.faults.bed import Bed
from testbed.faults.state import problems

REPLICAS = 3
both = pytest.mark.parametrize("bed", BEDS, ids=[bed.web for bed in BEDS])


def serving(bed: Bed) -> set[str]:
    """The replicas that nginx takes requests to, by its own log."""
    path = f"/asked-{time.time_ns()}"
    for _ in range(10 * REPLICAS):
        bed.site.get(path)

    def logged() -> list[str]:
        lines = bed.shell(f"grep -h {path} /var/log/nginx/*.log || true").splitlines()
        return lines if len(lines) == 10 * REPLICAS else []

    # nginx writes its log a little later.
    return {json.loads(line)["upstream"] for line in wait_for(logged, 10, "not every request is in the log")}


@pytest.fixture(scope="module")
def replicas() -> None:
    good(deploy("1.1.0", ledger_changes={"replicas": REPLICAS}))


@both
def test_a_deploy_with_more_replicas_has_all_of_them_serve(bed: Bed, replicas: None) -> None:
    assert len(serving(bed)) == REPLICAS


@pytest.fixture(scope="module")
def before(replicas: None) -> dict[str, str]:
    """The live release of each host, with one beside it that is still warm; then the power fails."""
    good(deploy("1.2.0", ledger_changes={"keep_warm": 600}))
    for bed in BEDS:
        assert len([name for name in containers(bed) if "-web-" in name]) == 1 + REPLICAS
        assert len(serving(bed)) == 1
    found = {bed.web: bed.site.health()["release"] for bed in BEDS}
    for bed in BEDS:
        events = bed.shell("docker events --since 3h --until 0s")
        assert "ledger" in events
        assert SENTINEL not in events
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda bed: bed.restart(), BEDS))
    return found


@both
def test_the_live_release_and_only_it_comes_back(bed: Bed, before: dict[str, str]) -> None:
    assert bed.site.health()["release"] == before[bed.web]
    slot = "green" if bed.found().host["green"] else "blue"
    assert containers(bed) == [f"ledger-{slot}-web-1", f"ledger-{slot}-worker-1"]


def test_the_next_deploy_clears_up(before: dict[str, str]) -> None:
    good(deploy("1.1.0"))
    for bed in BEDS:
        assert problems(bed.found(), bed.expected) == []


@both
def test_no_secret_is_where_others_can_see_it(bed: Bed) -> None:
    canary = f"canary-{time.time_ns()}"
    bed.shell(f"echo {canary} > /var/tmp/canary")
    search = (
        "runuser -u nobody -- find /etc /home /root /run /srv /tmp /usr/local /var -type f -readable -size -8M"
        " -print0 2>/dev/null | runuser -u nobody -- xargs -0 grep -ls {} || true"
    )
    assert bed.shell(search.format(canary)) == "/var/tmp/canary", "the search finds nothing at all"
    assert bed.shell(search.format(SENTINEL)) == ""
    assert SENTINEL not in bed.shell("ps -eo args | grep -v grep")
    assert SENTINEL not in bed.shell("journalctl --no-pager --quiet || true")
    assert SENTINEL not in bed.shell("cat /var/log/nginx/*.log")
    found = json.loads(bed.shell("docker inspect $(docker ps -aq --filter label=quayside.app=ledger)"))
    for details in found:
        assert SENTINEL not in json.dumps([details["Config"]["Labels"], details["Args"], details["Path"]])
    assert all(SENTINEL not in json.dumps(manifest) for manifest in bed.found().host["manifests"])
    for path in bed.shell(f"grep -rls {SENTINEL} /etc/quayside /var/lib/quayside || true").split():
        assert bed.shell(f"stat -c '%a %U' {path}") == "600 root", path
