# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Apps from three sources, deployed, broken, interrupted and rolled back, as both hosts see it.

The tests stand in the order of a life: each starts from where the one before it ended, and the last one leaves
what the scenario converged to.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HOSTS = ("debian12", "debian13")
SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
INVENTORY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory"
APPS = "/var/lib/quayside/apps"
LEDGER = "172.30.5.30:5000/ledger"
DATABASE = "172.30.5.20"
SENTINEL = "s3ntinel"
ENVIRONMENT = {**os.environ, "ANSIBLE_FORCE_COLOR": "false", "ANSIBLE_NOCOLOR": "true"}

every_host = pytest.mark.parametrize("name", HOSTS)
Container = Callable[[str], Any]
Converge = Callable[..., Any]


def health(host: Any, port: int, path: str = "/health") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        host.check_output("curl -fsS --max-time 5 http://127.0.0.1:%s%s", str(port), path)
    )
    return found


def slot_port(host: Any, app: str) -> int:
    """The loopback port of the app's live slot."""
    base = json.loads(host.check_output("cat /var/lib/quayside/ports.json"))[app]
    return int(base) + (10 if host.file(f"{APPS}/{app}/green").exists else 0)


def ledger(host: Any) -> dict[str, Any]:
    return health(host, slot_port(host, "ledger"))


def tiny(host: Any, app: str = "tiny") -> dict[str, Any]:
    return health(host, slot_port(host, app), "/cgi-bin/health")


def containers(host: Any, label: str = "quayside.app=ledger") -> list[str]:
    found: str = host.check_output("docker ps -a --filter label=%s --format '{{.Names}}'", label)
    return sorted(found.split())


def manifests(host: Any, app: str = "ledger") -> list[dict[str, Any]]:
    """The recorded releases, the oldest first."""
    listed = host.check_output("ls %s/%s/releases", APPS, app).split()
    names = sorted(name for name in listed if re.fullmatch(r"[0-9TZ]+-[0-9a-f]{8}\.json", name))
    return [json.loads(host.check_output("cat %s/%s/releases/%s", APPS, app, name)) for name in names]


def module(name: str, module_name: str, *, vault: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Run one module on one host, and return its result and all that was printed at -vvv."""
    run = subprocess.run(
        ["ansible", f"--inventory={INVENTORY}", name, "-m", f"quayside.web.{module_name}", "-a", json.dumps(vault)],
        env={**ENVIRONMENT, "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true", "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    report, _end = json.JSONDecoder().raw_decode(run.stdout, run.stdout.index("{\n"))
    result: dict[str, Any] = report["plays"][0]["tasks"][0]["hosts"][name]
    return result, run.stdout + run.stderr


def begin_deploy(**variables: Any) -> subprocess.Popen[str]:
    """A deploy in the background."""
    return subprocess.Popen(
        ["ansible-playbook", f"--inventory={INVENTORY}", "-e", json.dumps(variables), str(SCENARIO / "converge.yml")],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def lease(host: Any, app: str = "ledger") -> dict[str, Any]:
    """Who deploys, since when, and how far it is; nothing if nobody does."""
    text = host.run("cat %s/%s/lock", APPS, app).stdout.strip()
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def wait_for(what: Callable[[], Any], seconds: float, why: str) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, why
        time.sleep(0.2)
    return found


# Three sources


@every_host
def test_an_app_from_each_source_answers_on_its_loopback_port(container: Container, name: str) -> None:
    host = container(name)
    found = ledger(host)
    assert (found["version"], found["environment"], found["database"]) == ("1.0.0", "molecule", "reachable")
    assert tiny(host)["version"] == "1"
    assert tiny(host, "local")["version"] == "1"
    port = slot_port(host, "local")
    assert health(host, port + 1, "/cgi-bin/health") == tiny(host, "local"), "the second replica is another release"


@every_host
def test_ports_are_pinned_or_recorded_and_on_loopback_only(container: Container, name: str) -> None:
    host = container(name)
    assert json.loads(host.check_output("cat /var/lib/quayside/ports.json")) == {
        "ledger": 21000,
        "local": 21020,
        "tiny": 22000,
    }
    published = host.check_output("docker ps --format '{{.Ports}}'").split()
    bound = [item for item in published if "->" in item]
    assert len(bound) == 4
    assert all(item.startswith("127.0.0.1:2") for item in bound)


@every_host
def test_files_are_for_root_alone(container: Container, name: str) -> None:
    host = container(name)
    found = host.check_output("find %s -printf '%%m %%P\\n'", APPS).splitlines()
    modes = {path: mode for mode, _space, path in (line.partition(" ") for line in found)}
    for app in ("ledger", "tiny", "local"):
        assert modes[app] == "711"
        assert modes[f"{app}/releases"] == "700"
    records = [path for path in modes if path.endswith(".json")]
    assert len(records) == 6
    assert {modes[path] for path in records} == {"600"}
    assert host.check_output("stat -c %a /var/lib/quayside/sources") == "700"
    assert not host.file("/var/lib/quayside/tiny.tar").exists, "the archive was left behind"


@every_host
def test_secrets_reach_the_process_and_nothing_that_others_see(container: Container, name: str) -> None:
    host = container(name)
    for process in ("web", "worker"):
        running = host.check_output("docker exec ledger-blue-%s-1 env", process)
        assert "LEDGER_API_TOKEN=s3ntinel-token" in running
        details = json.loads(host.check_output("docker inspect ledger-blue-%s-1", process))[0]
        assert SENTINEL not in json.dumps(
            [details["Config"]["Labels"], details["Args"], details["Path"], details["Name"]]
        )
    assert SENTINEL not in host.check_output("ps -eo args")
    assert SENTINEL not in host.check_output("docker events --since 1h --until 0s")
    assert SENTINEL not in host.check_output("journalctl --no-pager --quiet || true")
    assert all(SENTINEL not in json.dumps(manifest) for manifest in manifests(host))


@every_host
def test_the_sandbox_is_tight(container: Container, name: str) -> None:
    details = json.loads(container(name).check_output("docker inspect ledger-blue-web-1"))[0]
    config = details["HostConfig"]
    assert (config["ReadonlyRootfs"], config["CapDrop"], config["Init"]) == (True, ["ALL"], True)
    assert config["RestartPolicy"]["Name"] == "unless-stopped"
    assert details["RestartCount"] == 0


@every_host
def test_migrations_left_no_container(container: Container, name: str) -> None:
    assert containers(container(name), "quayside.role=migrate") == []


# A life of deploys


def test_an_update_changes_the_slot_and_replaces_the_worker(container: Container, converge_with: Converge) -> None:
    before = {name: ledger(container(name))["release"] for name in HOSTS}
    run = converge_with(app_container_only="ledger", version="1.1.0", app_container_reason="the new one")
    assert run.failed == []
    for name in HOSTS:
        host = container(name)
        assert host.file(f"{APPS}/ledger/green").exists
        assert containers(host) == ["ledger-green-web-1", "ledger-green-worker-1"]
        found = ledger(host)
        assert found["version"] == "1.1.0"
        old, new = manifests(host)
        assert old["release"] == before[name]
        assert (new["release"], new["result"], new["reason"]) == (found["release"], "live", "the new one")
        assert new["schema"] == ["0003"]
    assert SENTINEL not in run.output


def test_a_rollback_restores_the_release_before(container: Container, converge_with: Converge) -> None:
    run = converge_with(entry_point="rollback", app_container_only="ledger")
    assert run.failed == []
    for name in HOSTS:
        found = ledger(container(name))
        assert found["version"] == "1.0.0"
        assert found["release"] == manifests(container(name))[0]["release"]
        assert not container(name).file(f"{APPS}/ledger/green").exists


def test_a_rollback_to_an_unknown_release_lists_the_known_ones(container: Container, converge_with: Converge) -> None:
    run = converge_with(entry_point="rollback", app_container_only="ledger", app_container_release="yesterday")
    for name in HOSTS:
        known = ", ".join(manifest["release"] for manifest in manifests(container(name)))
        assert run.messages[name] == f'app "ledger": release "yesterday" is not recorded; recorded are: {known}.'


def test_a_rollback_of_an_unknown_app_lists_the_known_ones(converge_with: Converge) -> None:
    run = converge_with(entry_point="rollback", app_container_only="legder")
    assert run.messages["debian12"] == 'app is "legder"; accepted: -e app= with one of ledger, tiny, local.'


def test_killed_or_asked_to_end_in_the_gate_and_a_second_deploy_meanwhile(
    container: Container, converge_with: Converge
) -> None:
    before = {name: ledger(container(name))["release"] for name in HOSTS}
    deploy = begin_deploy(
        app_container_only="ledger",
        ledger_env={"LEDGER_FAULT": "slow_start:60"},
        ledger_health={"timeout": 90},
        app_container_install_packages=False,
    )
    try:
        for name in HOSTS:
            wait_for(
                lambda name=name: lease(container(name)).get("step") == "gate",  # type: ignore[misc]
                60,
                f"{name}: the deploy never came to its gate",
            )
        leases = {name: lease(container(name)) for name in HOSTS}
        second = converge_with(app_container_only="ledger", app_container_install_packages=False, version="1.1.0")
        for name in HOSTS:
            assert re.search(
                r'app "ledger": another deploy is running \(by .+ since [0-9TZ:-]+, now at step gate, over by ',
                second.messages[name],
            )
            assert ledger(container(name))["release"] == before[name]
        # Both processes of the one, so that nobody is left to clear up; the other is asked to end.
        container("debian12").check_output("kill -KILL %s %s", *map(str, leases["debian12"]["pids"]))
        container("debian13").check_output("kill -TERM %s", str(leases["debian13"]["pids"][0]))
        output, _none = deploy.communicate(timeout=60)
    finally:
        deploy.kill()
        deploy.wait()
    assert deploy.returncode != 0
    assert "SIGTERM received; what was begun is undone" in " ".join(output.split())
    killed, ended = container("debian12"), container("debian13")
    for host, name in ((killed, "debian12"), (ended, "debian13")):
        assert ledger(host)["release"] == before[name]
        assert "ledger-blue-worker-1" in containers(host), "the old worker is gone"
    assert containers(ended) == ["ledger-blue-web-1", "ledger-blue-worker-1"]
    assert manifests(ended)[-1]["result"] == "failed"
    left = json.loads(killed.check_output("docker inspect ledger-green-web-1"))[0]
    assert left["HostConfig"]["RestartPolicy"]["Name"] == "no", "a half-deployed container would come back at boot"
    assert lease(killed)["step"] == "gate", "the next deploy can't tell that this one was killed"

    healed = converge_with(app_container_only="ledger")
    assert healed.failed == []
    assert "was killed at step gate" in healed.output, "the interrupted deploy is not told of"
    assert lease(killed) == {}
    for name in HOSTS:
        assert ledger(container(name))["release"] == before[name], "a healthy release was replaced"
        assert containers(container(name)) == ["ledger-blue-web-1", "ledger-blue-worker-1"]


def test_a_release_that_is_never_healthy_says_why(container: Container, converge_with: Converge) -> None:
    before = {name: ledger(container(name))["release"] for name in HOSTS}
    run = converge_with(
        app_container_only="ledger", ledger_env={"LEDGER_FAULT": "never_healthy"}, ledger_health={"timeout": 15}
    )
    for name in HOSTS:
        said = run.messages[name]
        assert "503" in said
        assert '"status":"degraded"' in said, "the body is missing"
        assert "LEDGER_FAULT=never_healthy is set" in said, "the container's log is missing"
        assert 'App "ledger" still serves its release from before' in said
        assert ledger(container(name))["release"] == before[name]
        assert containers(container(name)) == ["ledger-blue-web-1", "ledger-blue-worker-1"]


def test_an_app_that_ignores_sigterm_is_told_of_and_replaced(container: Container, converge_with: Converge) -> None:
    run = converge_with(app_container_only="ledger", ledger_env={"LEDGER_FAULT": "ignore_sigterm"}, stop_timeout=1)
    assert run.failed == []
    run = converge_with(app_container_only="ledger", version="1.1.0", stop_timeout=1)
    assert run.failed == []
    assert "ledger-green-web-1 did not end on SIGTERM within" in run.output
    for name in HOSTS:
        assert ledger(container(name))["version"] == "1.1.0"


@every_host
def test_as_many_releases_are_kept_as_asked(container: Container, name: str) -> None:
    host = container(name)
    kept = [manifest["result"] for manifest in manifests(host)]
    assert kept == ["live", "live"], "one beside the live one, and no failed one"
    pulled = host.check_output("docker images --quiet --no-trunc %s", LEDGER).split()
    assert set(pulled) == {manifest["image_id"] for manifest in manifests(host)}


def test_other_archives_and_sources_under_the_same_names(container: Container, converge_with: Converge) -> None:
    run = converge_with(archive="tiny-2.tar", build_version="2", listed=["tiny", "local"])
    assert run.failed == []
    for name in HOSTS:
        assert tiny(container(name))["version"] == "2"
        assert tiny(container(name), "local")["version"] == "2"
        assert ledger(container(name))["version"] == "1.1.0", "an app that is not listed was touched"


def test_an_archive_that_was_there_before_gets_its_name_back(container: Container, converge_with: Converge) -> None:
    assert converge_with(app_container_only="tiny").failed == []
    for name in HOSTS:
        assert tiny(container(name))["version"] == "1"


def test_a_build_from_a_repository(container: Container, converge_with: Converge) -> None:
    for name in HOSTS:
        container(name).check_output(
            "mkdir -p /srv/git/app && cp -r /var/lib/quayside/sources/local.copy/. /srv/git/app && cd /srv/git"
            " && git init -q -b main && git add . && git -c user.name=a -c user.email=a@b.test commit -q -m one"
        )
    source = {"repo": "file:///srv/git", "version": "main", "path": "app"}
    run = converge_with(build_from=source, build_version="3", app_container_only="local")
    assert run.failed == []
    for name in HOSTS:
        assert tiny(container(name), "local")["version"] == "3"
    assert converge_with(build_from=source, build_version="3", app_container_only="local").changed == []


def test_a_rollback_without_its_image_is_refused(container: Container, converge_with: Converge) -> None:
    for name in HOSTS:
        previous, _live = manifests(container(name), "tiny")
        container(name).check_output("docker rmi %s", previous["image_id"])
    run = converge_with(entry_point="rollback", app_container_only="tiny")
    for name in HOSTS:
        assert "is gone; deploy that version again" in run.messages[name]
        assert tiny(container(name))["version"] == "1"


# The database


def migrate(name: str, url: str, **options: Any) -> tuple[dict[str, Any], str]:
    return module(name, "db_migrate", vault={"url": url, "image": f"{LEDGER}:1.1.0", **options})


@every_host
def test_a_database_at_the_schema_is_left_alone(name: str) -> None:
    result, _output = migrate(name, f"postgresql://ledger:s3ntinel-db@{DATABASE}/{name}")
    assert (result["changed"], result["before"], result["after"]) == (False, ["0003"], ["0003"])


def test_a_wrong_password_is_told_and_not_shown() -> None:
    result, output = migrate("debian12", f"postgresql://ledger:s3ntinel-wrong@{DATABASE}/debian12")
    assert result["failed"]
    assert result["msg"] == (
        "Database debian12: PostgreSQL at 172.30.5.20:5432 refused the password of user ledger; "
        "check the user and password in the URL."
    )
    assert "s3ntinel-wrong" not in output


@pytest.fixture(scope="module")
def one_revision_behind(container: Container) -> None:
    for name in HOSTS:
        container(name).check_output(
            "docker run --rm --env DATABASE_URL=postgresql://ledger:s3ntinel-db@%s/%s %s:1.1.0 alembic downgrade 0002",
            DATABASE,
            name,
            LEDGER,
        )


def test_a_migration_does_not_queue_behind_a_lock_for_long(one_revision_behind: None, container: Container) -> None:
    sql = "BEGIN; LOCK TABLE entries IN ACCESS SHARE MODE; SELECT pg_sleep(30)"
    url = f"postgresql://ledger:s3ntinel-db@{DATABASE}/debian12"
    psql = "runuser -u postgres -- psql -XAtqc %s debian12"
    container("db").check_output(f"setsid --fork {psql} > /dev/null 2>&1 < /dev/null", sql)
    held = "SELECT pid FROM pg_locks JOIN pg_class ON oid = relation WHERE relname = 'entries'"
    pid = wait_for(lambda: container("db").check_output(psql, held), 10, "nobody holds the lock")
    result, _output = migrate("debian12", url, lock_timeout="300ms")
    container("db").check_output(psql, f"SELECT pg_terminate_backend({pid})")
    assert result["failed"]
    assert "Migration 0003" in result["msg"]
    assert "lock timeout" in result["msg"]
    assert (result["after"], result["applied"]) == (["0002"], [])
    assert containers(container("debian12"), "quayside.role=migrate") == []


def test_a_dump_is_taken_before_a_migration(
    one_revision_behind: None, container: Container, converge_with: Converge
) -> None:
    run = converge_with(app_container_only="ledger", version="1.1.0", stop_timeout=1)
    assert run.failed == []
    for name in HOSTS:
        host = container(name)
        dumps = host.check_output("find /var/backups/quayside/ledger -name '*dump*' -type f").split()
        assert len(dumps) == 1
        assert "alembic_version" in host.check_output("pg_restore --list %s", dumps[0])
        assert containers(host, "quayside.role=migrate") == []
        assert ledger(host)["database"] == "reachable"


def test_database_check_names_what_does_not_work() -> None:
    urls = {
        "good": f"postgresql://ledger:s3ntinel-db@{DATABASE}/debian12",
        "wrong": f"postgresql://ledger:s3ntinel-wrong@{DATABASE}/debian12",
        "none": f"postgresql://ledger:s3ntinel-db@{DATABASE}/nowhere",
    }
    result, output = module("debian12", "database_check", vault={"databases": urls})
    assert 'app "wrong": database_url leads to postgresql://ledger:***@172.30.5.20:5432/debian12' in result["msg"]
    assert 'database "nowhere" does not exist' in result["msg"]
    assert 'app "good"' not in result["msg"]
    assert "s3ntinel-wrong" not in output


# The registry


def test_a_missing_tag_is_named() -> None:
    result, _output = module("debian12", "image_pull", vault={"name": f"{LEDGER}:9.9.9"})
    assert f'image "{LEDGER}:9.9.9": the registry has none by that name and tag' in result["msg"]


@pytest.fixture
def registry_down(container: Container) -> Iterator[None]:
    container("services").check_output("systemctl stop testbed-registry")
    yield
    container("services").check_output("systemctl start testbed-registry")


def test_without_the_registry_an_image_that_is_there_will_do(registry_down: None) -> None:
    result, output = module("debian13", "image_pull", vault={"name": f"{LEDGER}:1.1.0"})
    assert result["changed"] is False
    assert result["id"].startswith("sha256:")
    assert "the registry does not answer" in output
    result, _output = module("debian13", "image_pull", vault={"name": f"{LEDGER}:9.9.9"})
    assert "the registry does not answer" in result["msg"]


# And back


def test_all_of_it_converges_again(container: Container, converge_with: Converge) -> None:
    run = converge_with()
    assert run.failed == []
    for name in HOSTS:
        host = container(name)
        assert (ledger(host)["version"], tiny(host)["version"], tiny(host, "local")["version"]) == ("1.0.0", "1", "1")
        assert len(containers(host, "quayside.app")) == 5
