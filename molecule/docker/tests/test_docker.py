# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""A hardened engine that runs containers, and that no wrong option can stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

CONFIG = "/etc/docker/daemon.json"
# Only what a process that serves one page needs, from the host's own files.
IMAGE = """
set -e
mkdir -p /tmp/image/tmp /tmp/image/etc
for file in /usr/bin/python3 /bin/sleep /bin/sh; do
    cp --parents -L $file $(ldd $file | grep -o '/[^ ]*') /tmp/image/
done
cp -r --parents /usr/lib/python3.*/ /tmp/image/
tar -C /tmp/image -c . | docker import - tiny:test
rm -r /tmp/image
"""


@pytest.fixture(scope="module")
def wrong_option(converge_with: Callable[..., Any]) -> dict[str, str]:
    return dict(converge_with(docker_daemon_options={"bogus": True}).messages)


@pytest.fixture(scope="module")
def wrong_source(converge_with: Callable[..., Any]) -> dict[str, str]:
    return dict(converge_with(docker_source="docker").messages)


@pytest.fixture
def container(host: Any) -> Any:
    if host.run("docker image inspect tiny:test").rc != 0:
        host.check_output(IMAGE)
    host.check_output(
        "docker run --detach --name web --publish 8080:8080 --memory 64m --read-only --cap-drop ALL tiny:test "
        "/usr/bin/python3 -m http.server 8080"
    )
    host.check_output("for i in 1 2 3 4 5 6 7 8 9 10; do ss -Hltn sport = 8080; sleep 0.2; done")
    yield "web"
    host.check_output("docker rm --force web")


def test_the_engine_runs_and_starts_at_boot(host: Any) -> None:
    service = host.service("docker.service")
    assert service.is_running
    assert service.is_enabled


def test_the_hardened_options_are_in_force(host: Any) -> None:
    info = json.loads(host.check_output("docker info --format '{{json .}}'"))
    assert info["LiveRestoreEnabled"] is True
    assert info["LoggingDriver"] == "local"
    assert info["DefaultAddressPools"][0] == {"Base": "172.30.0.0/16", "Size": 24}
    bridge = json.loads(host.check_output("docker network inspect bridge"))[0]["Options"]
    assert bridge["com.docker.network.bridge.host_binding_ipv4"] == "127.0.0.1"
    assert bridge["com.docker.network.bridge.enable_icc"] == "false"


def test_networks_of_ones_own_publish_on_loopback_where_the_engine_can(host: Any) -> None:
    major = int(host.check_output("docker version --format '{{.Server.Version}}'").split(".", maxsplit=1)[0])
    assert ("default-network-opts" in json.loads(host.file(CONFIG).content_string)) is (major >= 24)


def test_a_container_answers_on_loopback_and_nowhere_else(
    host: Any, container: str, outside: Any, address_of: Any
) -> None:
    fetch = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).status)"
    assert host.check_output("python3 -c %s %s", fetch, "http://127.0.0.1:8080/") == "200"
    address = address_of(host.check_output("hostname"))
    assert outside.run("curl --max-time 2 http://%s:8080/", address).rc != 0


def test_a_container_cannot_gain_privileges(host: Any, container: str) -> None:
    status = f"docker exec {container} /usr/bin/python3 -c \"print(open('/proc/self/status').read())\""
    assert "NoNewPrivs:\t1" in host.check_output(status)


def test_a_restart_of_the_engine_leaves_containers_running(host: Any, container: str) -> None:
    inspect = "docker inspect --format '{{.State.Pid}} {{.State.Running}}' " + container
    before = host.check_output(inspect)
    host.check_output("systemctl restart docker.service")
    assert host.check_output(inspect) == before


def test_a_rejected_option_never_stays(host: Any, wrong_option: dict[str, str]) -> None:
    told = wrong_option[host.check_output("hostname")]
    assert "the following directives don't match any configuration option: bogus. Nothing was changed" in told
    assert "bogus" not in host.file(CONFIG).content_string
    assert host.run("docker info").rc == 0


def test_one_sources_engine_is_not_swapped_for_the_others(host: Any, wrong_source: dict[str, str]) -> None:
    told = wrong_source[host.check_output("hostname")]
    assert told.startswith("docker_source is 'docker' but this host has docker.io installed")
    assert not host.file("/etc/apt/sources.list.d/docker.sources").exists
