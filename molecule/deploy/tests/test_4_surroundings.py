# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""What a deploy depends on fails: the registry, the migration, the database. And apps that do not listen."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest
from deploys import BEDS, Began, deploy, good, live, load, lock_step, manifests, refused, wait_for

from testbed.faults.bed import run
from testbed.faults.state import problems


def service(host: str, command: str) -> str:
    return run("docker", "exec", host, "sh", "-c", command)


@pytest.fixture
def unchanged() -> Iterator[None]:
    before = live()
    yield
    for bed in BEDS:
        assert bed.site.health()["release"] == before[bed.web]["release"]
        assert problems(bed.found(), bed.expected) == []


@pytest.fixture
def registry() -> Iterator[None]:
    yield
    service("deploy-services", "systemctl start testbed-registry")


def test_a_registry_that_dies_in_mid_pull(unchanged: None, registry: None) -> None:
    # It takes requests and sends nothing, or one host's small image would be there before the other has begun.
    service("deploy-services", "systemctl kill --signal=STOP testbed-registry")
    began = Began("deploy.yml", ledger_version="1.3.0")
    wait_for(lambda: began.over or all(lock_step(bed) == "image" for bed in BEDS), 30, "no pull has begun")
    time.sleep(1)
    service("deploy-services", "systemctl kill --signal=KILL testbed-registry; systemctl stop testbed-registry")
    assert not began.over, "the pull was over before"
    done = refused(began.end(300))
    for bed in BEDS:
        assert "172.30.10.30:5000" in done.message(bed)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        pytest.param("2.0.0-broken-migration", ["0005", "no_such_table"], id="it is wrong"),
        pytest.param("2.0.0-blocked-migration", ["0005", "lock"], id="another holds the lock"),
    ],
)
def test_a_migration_that_fails(unchanged: None, version: str, words: list[str]) -> None:
    lock = "BEGIN; LOCK TABLE entries IN ROW EXCLUSIVE MODE; SELECT pg_sleep(60)"
    sessions = [
        subprocess.Popen(
            ["docker", "exec", "-u", "postgres", bed.database_container, "psql", "-Xqc", lock, bed.database],
            env={"PATH": "/usr/bin:/bin", "PGAPPNAME": "ledger"},
        )
        for bed in BEDS
    ]
    held = "SELECT 1 FROM pg_locks WHERE relation = 'entries'::regclass AND mode = 'RowExclusiveLock' LIMIT 1"
    try:
        for bed in BEDS:
            wait_for(lambda bed=bed: bed.sql(held), 10, "nobody holds the lock")
        done = refused(deploy(version))
    finally:
        for bed in BEDS:
            bed.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = '{lock}'")
        for session in sessions:
            session.wait()
    for bed in BEDS:
        assert all(word in done.message(bed) for word in words)
        assert bed.sql("SELECT version_num FROM alembic_version") == "0004"
        result = done.result(bed)
        assert result["migration"]["failed_migration"] == "0005"


@pytest.fixture
def no_database() -> Iterator[None]:
    unit = "systemctl {} postgresql@15-main"
    service("deploy-db", unit.format("stop"))
    yield
    service("deploy-db", unit.format("start"))
    for bed in BEDS:
        bed.await_health(20)


def test_a_database_that_is_gone(no_database: None) -> None:
    before = {bed.web: set(manifests(bed)) for bed in BEDS}
    done = refused(deploy("1.2.0"))
    for bed in BEDS:
        assert "172.30.10.20:5432" in done.message(bed)
        new = [m["result"] for release, m in manifests(bed).items() if release not in before[bed.web]]
        assert set(new) <= {"failed"}


def test_an_app_that_ignores_sigterm_is_killed_and_told_of() -> None:
    changes = {"stop_timeout": 1, "drain_timeout": 1}
    good(deploy("1.1.0", ledger_env={"LEDGER_FAULT": "ignore_sigterm"}, ledger_changes=changes))
    with load() as users:
        done = good(deploy("1.2.0", ledger_changes=changes))
    for bed in BEDS:
        warned = done.warnings(bed)
        assert "did not end on SIGTERM within 1 s" in warned
        assert users[bed.web].failures == []
        assert bed.site.health()["version"] == "1.2.0"


def test_an_image_behind_a_login() -> None:
    login = {"username": "puller", "password": "s3ntinel-registry"}
    changes = {"image": "172.30.10.30:5001/ledger:1.1.0", "registry": login}
    good(deploy("1.1.0", ledger_changes=changes))
    for bed in BEDS:
        assert bed.site.health()["version"] == "1.1.0"
        assert bed.shell("grep -rls s3ntinel-registry /root /home /etc /var/lib/quayside || true") == ""
