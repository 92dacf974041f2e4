# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""The way back: on request, in no time where the old release is still warm, and by itself where the new one is bad."""

from __future__ import annotations

import time

from deploys import BEDS, Began, containers, deploy, good, live, load, manifests, refused, rollback

from bench.load import during
from testbed.faults.state import problems

FAILS_AFTER = 6


def test_a_release_that_does_not_know_the_schema_is_refused() -> None:
    before = live()
    run = refused(rollback())
    for bed in BEDS:
        assert "0004" in run.message(bed)
        assert "app_container_allow_schema_ahead" in run.message(bed)
        assert bed.site.health()["release"] == before[bed.web]["release"]


def test_a_rollback_restores_image_and_environment_without_a_lost_request() -> None:
    with load() as users:
        run = good(rollback(app_container_allow_schema_ahead=True))
    for bed in BEDS:
        health = bed.site.health()
        assert (health["version"], health["environment"]) == ("1.0.0", "deploy")
        environment = bed.shell("docker exec ledger-blue-web-1 env").splitlines()
        assert "LEDGER_API_TOKEN=s3ntinel-token" in environment
        assert not any(line.startswith("ADDED=") for line in environment)
        assert users[bed.web].failures == []
        assert run.result(bed)["proof"]["failed"] == 0
        # What the database has is left as it is.
        assert bed.sql("SELECT version_num FROM alembic_version") == "0004"
        assert problems(bed.found(), bed.expected) == []


def test_a_warm_rollback_is_only_a_switch() -> None:
    good(deploy("1.1.0", ledger_changes={"keep_warm": 120}))
    for bed in BEDS:
        assert containers(bed) == ["ledger-blue-web-1", "ledger-green-web-1", "ledger-green-worker-1"]
    with load() as users:
        run = good(rollback(app_container_allow_schema_ahead=True))
    for bed in BEDS:
        assert bed.site.health()["version"] == "1.0.0"
        assert users[bed.web].failures == []
        result = run.result(bed)
        assert "start" not in result["steps"], "it was started anew"
        assert problems(bed.found(), bed.expected) == []


def test_a_rollback_by_id() -> None:
    good(deploy("1.1.0"))
    good(deploy("1.2.0"))
    for bed in BEDS:
        assert len([m for m in manifests(bed).values() if m["result"] == "live"]) == 3, "the live one and two more"
    # The ids are each host's own.
    bed, other = BEDS
    oldest = min(manifests(bed))
    version = manifests(bed)[oldest]["image"].rpartition(":")[2]
    assert version != "1.2.0"
    run = good(Began("rollback.yml", "--limit", bed.web, release=oldest, app_container_allow_schema_ahead=True).end())
    assert run.result(bed)["release"] == bed.site.health()["release"] == oldest
    assert (bed.site.health()["version"], other.site.health()["version"]) == (version, "1.2.0")


def test_an_unknown_release_is_refused_with_the_known_ones() -> None:
    run = refused(rollback(release="yesterday"))
    for bed in BEDS:
        message = run.message(bed)
        assert 'release "yesterday" is not recorded' in message
        assert all(known in message for known in manifests(bed))


def test_a_release_that_fails_after_the_switch_is_taken_back() -> None:
    """It is healthy in the gate, and answers with 500 some seconds later."""
    good(deploy("1.1.0"))
    before, targets = live(), {bed.web: set(manifests(bed)) for bed in BEDS}
    with load() as users:
        run = refused(
            deploy("1.2.0", ledger_env={"LEDGER_FAULT": f"fail_after:{FAILS_AFTER}"}, ledger_changes={"watch": 20})
        )
        over = time.time()
        time.sleep(1)
    for bed in BEDS:
        message, failures = run.message(bed), users[bed.web].failures
        assert "500" in message
        assert "%" in message or " of " in message, "no figures"
        assert bed.site.health()["release"] == before[bed.web]["release"]
        assert {request.error.partition(":")[0] for request in failures} == {"status 500"}
        assert max(request.due for request in failures) - min(request.due for request in failures) < 3
        assert during(failures, [(over, over + 10)]) == []
        kept = manifests(bed)
        assert targets[bed.web] <= kept.keys(), "a failed release evicted one to go back to"
        assert [m["result"] for release, m in kept.items() if release not in targets[bed.web]] == ["failed"]
        assert problems(bed.found(), bed.expected) == []


def test_a_release_whose_image_is_gone_is_refused() -> None:
    gone = {}
    for bed in BEDS:
        current = bed.site.health()["release"]
        known = manifests(bed)
        gone[bed.web] = max(
            release
            for release, m in known.items()
            if m["result"] == "live" and m["image_id"] != known[current]["image_id"]
        )
        bed.shell(f"docker rmi --force {known[gone[bed.web]]['image_id']}")
    for bed in BEDS:
        run = Began("rollback.yml", "--limit", bed.web, release=gone[bed.web]).end()
        assert run.code != 0
        assert f'the image of release "{gone[bed.web]}" is gone' in run.message(bed)
