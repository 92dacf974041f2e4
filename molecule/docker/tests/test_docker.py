# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""A hardened engine that runs containers, and that no wrong option can stop."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
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


# Asks every 20 ms until it is stopped; its last line is the sum.
ASK = """
import signal, sys, time, urllib.request
asked, failed = 0, []
def end(*_):
    print(asked, failed)
    sys.exit()
signal.signal(signal.SIGTERM, end)
while True:
    asked += 1
    try:
        urllib.request.urlopen("http://127.0.0.1:8080/", timeout=2).read()
    except OSError as error:
        failed.append(str(error))
    time.sleep(0.02)
"""


def apply(host: Any, **options: Any) -> dict[str, Any]:
    """One run of the module with other options over those in force, and what it returned or failed with."""
    now = json.loads(host.file(CONFIG).content_string)
    arguments = {"options": {**now, **{name.replace("_", "-"): value for name, value in options.items()}}}
    try:
        return dict(host.ansible("quayside.web.docker_daemon", json.dumps(arguments), check=False))
    except host.ansible.AnsibleException as failed:
        return dict(failed.result)


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


@pytest.fixture
def back(host: Any) -> Iterator[None]:
    before = json.loads(host.file(CONFIG).content_string)
    yield
    host.ansible("quayside.web.docker_daemon", json.dumps({"options": before}), check=False)


@pytest.fixture
def asking(host: Any, container: str) -> Callable[[], tuple[int, str]]:
    """Requests to the container from now on; called, they end and say how many there were and which failed."""
    host.check_output("systemctl reset-failed asking 2>/dev/null || true")
    host.check_output("printf %%s %s > /run/ask.py", ASK)
    host.check_output(
        "systemd-run --quiet --unit=asking --property=StandardOutput=file:/run/asked /usr/bin/python3 /run/ask.py"
    )
    host.check_output("sleep 1")

    def end() -> tuple[int, str]:
        host.check_output("sleep 1; systemctl stop asking")
        asked, failed = host.check_output("cat /run/asked").split(" ", 1)
        return int(asked), failed

    return end


@pytest.mark.parametrize(
    ("options", "how"),
    [({"debug": True}, "reload"), ({"icc": True}, "restart")],
    ids=["reload-where-that-is-enough", "restart-elsewhere"],
)
def test_a_change_drops_neither_a_container_nor_a_request(
    host: Any, container: str, back: None, asking: Callable[[], tuple[int, str]], options: dict[str, Any], how: str
) -> None:
    inspect = "docker inspect --format '{{.State.Pid}} {{.State.Running}}' " + container
    before = host.check_output(inspect)
    assert apply(host, **options)["how"] == how
    asked, failed = asking()
    assert host.check_output(inspect) == before
    assert failed == "[]"
    assert asked > 50
    assert "QUAYSIDE-HOLD" not in host.check_output("iptables-save")


def test_what_is_in_force_is_not_restarted(host: Any) -> None:
    assert (apply(host)["changed"], apply(host)["how"]) == (False, "")


def test_containers_of_an_engine_that_would_stop_them_survive_its_first_configuration(host: Any, back: None) -> None:
    """A host that had Docker before: live-restore is turned on before the restart that the rest needs."""
    hardened = json.loads(host.file(CONFIG).content_string)
    host.check_output("printf '{}' > /etc/docker/daemon.json && rm -f /var/lib/quayside/docker-daemon.json")
    host.check_output("systemctl restart docker.service")
    if host.run("docker image inspect tiny:test").rc != 0:
        host.check_output(IMAGE)
    host.check_output("docker run --detach --name old tiny:test /bin/sleep infinity")
    inspect = "docker inspect --format '{{.State.Pid}} {{.State.Running}}' old"
    before = host.check_output(inspect)
    try:
        assert apply(host, **{name.replace("-", "_"): value for name, value in hardened.items()})["how"] == "restart"
        assert host.check_output(inspect) == before
    finally:
        host.check_output("docker rm --force old")


def test_an_option_that_somebody_else_has_put_there_stays(host: Any, converge_with: Callable[..., Any]) -> None:
    before = json.loads(host.file(CONFIG).content_string)
    text = json.dumps({**before, "max-concurrent-uploads": 2})
    host.check_output("printf %%s %s > /etc/docker/daemon.json", text)
    name = host.check_output("hostname")
    assert not converge_with(limit=name).failed
    assert json.loads(host.file(CONFIG).content_string)["max-concurrent-uploads"] == 2
    assert not converge_with(limit=name, docker_daemon_options={"max-concurrent-uploads": None}).failed
    assert "max-concurrent-uploads" not in host.file(CONFIG).content_string


def test_a_version_is_pinned_and_let_go(host: Any, converge_with: Callable[..., Any]) -> None:
    name = host.check_output("hostname")
    version = ".".join(host.check_output("docker version --format '{{.Server.Version}}'").split(".")[:2])
    pinned = r"(?m)^ \*\*\* \S+ 1001$"
    assert not converge_with(limit=name, docker_version=version).failed
    assert re.search(pinned, host.check_output("apt-cache policy docker.io"))
    assert not converge_with(limit=name).failed
    assert not re.search(pinned, host.check_output("apt-cache policy docker.io"))
    told = converge_with(limit=name, docker_version="99").messages[name]
    assert told == "no available installation candidate for docker.io=99*"
    host.check_output("rm /etc/apt/preferences.d/quayside-docker")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"log_driver": "nope"}, "does not accept its configuration: failed to set log opts"),
        ({"bip": "10.300.1.1/24"}, "invalid CIDR address: 10.300.1.1/24. Nothing was changed"),
        ({"storage_driver": "nope"}, "driver not supported"),
        ({"userland_proxy": "maybe"}, "cannot unmarshal string"),
        ({"hosts": ["fd://"]}, "specified both as a flag and in the configuration file: hosts"),
        ({"firewall_backend": "nftables"}, "firewall-backend is 'nftables', accepted is iptables"),
        ({"hosts": ["tcp://0.0.0.0:2375"]}, "tcp://0.0.0.0:2375 without tlsverify"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_the_engine_refuses_never_lands(host: Any, options: dict[str, Any], told: str) -> None:
    before = host.file(CONFIG).content_string
    started = (
        "systemctl show docker.service -p ActiveEnterTimestampMonotonic; ip -brief link; iptables-save | grep -c ."
    )
    state = host.check_output(started)
    assert told in apply(host, **options)["msg"]
    assert host.file(CONFIG).content_string == before
    assert host.check_output(started) == state, "the trial has touched the host"


def test_containers_are_not_left_behind_in_another_folder(host: Any, container: str) -> None:
    told = apply(host, data_root="/srv/docker")["msg"]
    assert told.startswith("docker_data_root is /srv/docker, but 1 container of this host live in /var/lib/docker")


def test_a_restart_that_would_stop_containers_is_refused(host: Any, container: str) -> None:
    told = apply(host, live_restore=False, icc=True)["msg"]
    assert "which without live-restore stops 1 container" in told


def test_a_rejected_option_never_stays(host: Any, wrong_option: dict[str, str]) -> None:
    told = wrong_option[host.check_output("hostname")]
    assert "the following directives don't match any configuration option: bogus. Nothing was changed" in told
    assert "bogus" not in host.file(CONFIG).content_string
    assert host.run("docker info").rc == 0


def test_one_sources_engine_is_not_swapped_for_the_others(host: Any, wrong_source: dict[str, str]) -> None:
    told = wrong_source[host.check_output("hostname")]
    assert told.startswith("docker_source is 'docker' but this host has docker.io installed")
    assert not host.file("/etc/apt/sources.list.d/docker.sources").exists
