# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Releases that cannot work, and hosts that have no place for them: each is refused with its reason, and undone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from deploys import BEDS, Began, deploy, good, live, manifests, refused

from testbed.faults.state import problems


@pytest.fixture(scope="module", autouse=True)
def healthy() -> None:
    """All of them are tried on top of a good release."""
    good(deploy("1.1.0"))


@pytest.fixture(autouse=True)
def unchanged() -> Iterator[None]:
    """Whatever a test tries, the release from before serves, alone, and the ones to go back to are kept."""
    before = live()
    images = {bed.web: {m["image_id"] for m in manifests(bed).values() if m["result"] == "live"} for bed in BEDS}
    yield
    for bed in BEDS:
        assert bed.site.health()["release"] == before[bed.web]["release"]
        assert problems(bed.found(), bed.expected) == []
        assert images[bed.web] <= set(bed.shell("docker images -q --no-trunc").split())


def test_a_crash_at_start_fails_at_once() -> None:
    run = refused(deploy("1.2.0", ledger_env={"LEDGER_FAULT": "crash_at_start"}))
    for bed in BEDS:
        message = run.message(bed)
        assert "exited with code 1" in message
        assert "crashing at start, as LEDGER_FAULT asks" in message, "its last lines are missing"
        died = bed.shell(
            "sleep 1; docker events --since 60s --until 0s --filter event=die --filter label=quayside.process=web"
            " --format '{{.Time}}'"
        ).split()[-1]
        recorded = max(manifests(bed).values(), key=lambda m: m["release"])
        assert recorded["result"] == "failed"
        ended = int(bed.shell(f"date -d {recorded['finished']} +%s"))
        assert ended - int(died) <= 3


def test_what_is_never_healthy_is_shown() -> None:
    changes = {"health": {"interval": 0.25, "timeout": 10}}
    run = refused(deploy("1.2.0", ledger_env={"LEDGER_FAULT": "never_healthy"}, ledger_changes=changes))
    for bed in BEDS:
        message = run.message(bed)
        assert "503" in message
        assert '"status":"degraded"' in message, "the body is missing"
        assert "LEDGER_FAULT=never_healthy is set" in message, "the container's log is missing"


def test_another_release_that_answers_does_not_count() -> None:
    changes = {"health": {"interval": 0.25, "timeout": 20, "expect": {"release": "{release}"}}}
    run = refused(deploy("2.0.0-impostor", ledger_changes=changes))
    for bed in BEDS:
        assert "release" in run.message(bed)
        assert '"another"' in run.message(bed)


def test_a_missing_image_is_named() -> None:
    run = refused(deploy("9.9.9"))
    for bed in BEDS:
        assert 'image "172.30.10.30:5000/ledger:9.9.9": the registry has none by that name and tag' in run.message(bed)
    assert set(run.changed.values()) == {0}


def test_too_little_space_is_refused_before_the_image_arrives() -> None:
    before = {bed.web: set(bed.shell("docker images -q --no-trunc").split()) for bed in BEDS}
    run = refused(deploy("1.3.0", app_container_min_free="900g"))
    for bed in BEDS:
        message = run.message(bed)
        assert "/var/lib/docker" in message
        assert "900" in message
        assert "app_container_min_free" in message
        assert set(bed.shell("docker images -q --no-trunc").split()) == before[bed.web]


@pytest.fixture
def port_taken() -> Iterator[dict[str, str]]:
    """Somebody else listens where the idle slot would."""
    ports = {}
    for bed in BEDS:
        base = json.loads(bed.shell("cat /var/lib/quayside/ports.json"))["ledger"]
        ports[bed.web] = str(base + (0 if bed.found().host["green"] else 10))
        bed.shell(f"systemd-run --unit=squatter python3 -m http.server --bind 127.0.0.1 {ports[bed.web]}")
        bed.shell(f"for _ in $(seq 50); do ss -Hltn 'sport = :{ports[bed.web]}' | grep -q . && break; sleep 0.1; done")
    yield ports
    for bed in BEDS:
        bed.shell("systemctl stop squatter")


def test_a_taken_port_is_named_with_its_owner(port_taken: dict[str, str]) -> None:
    run = refused(deploy("1.2.0"))
    for bed in BEDS:
        assert port_taken[bed.web] in run.message(bed)
        assert "python3" in run.message(bed)


def test_a_failed_hook_stops_a_deploy_before_it_starts() -> None:
    hook = ["python", "-c", "import sys; sys.exit('the hook does not want it')"]
    run = refused(deploy("1.2.0", ledger_changes={"hooks": {"pre_deploy": hook}}))
    for bed in BEDS:
        assert "pre_deploy" in run.message(bed)
        assert "the hook does not want it" in run.message(bed)


WITH_LOGIN = "172.30.10.30:5001/ledger:1.2.0"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param(
            {"image": WITH_LOGIN, "registry": {"username": "puller", "password": "s3ntinel-wrong"}},
            "puller",
            id="wrong password",
        ),
        pytest.param({"image": WITH_LOGIN}, "registry", id="no login"),
    ],
)
def test_a_registry_that_refuses_the_login_is_named(changes: dict[str, Any], sentence: str) -> None:
    run = refused(Began("deploy.yml", ledger_changes=changes).end())
    for bed in BEDS:
        assert "172.30.10.30:5001" in run.message(bed)
        assert sentence in run.message(bed)


def test_a_bad_schedule_of_a_job_is_refused() -> None:
    job = {"name": "report", "command": ["true"], "schedule": "every full moon"}
    run = refused(deploy("1.2.0", ledger_changes={"jobs": [job]}))
    for bed in BEDS:
        assert "every full moon" in run.message(bed)
