# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Ports that containers publish, from another machine, over IPv4 and IPv6, whatever was restarted before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from firewall import CONTAINERS, apply, wait_until

IPV4_PORTS, PORTS = range(8080, 8086), range(8080, 8088)
#: See converge.yml.
OVER_IPV6 = ("debian13",)
RULES = [
    {"port": ["80", "443"], "comment": "web"},
    {"port": ["8082", "8087"], "docker": True},
    {"port": "8085", "docker": True, "from": ["10.0.0.0/8"]},
    {"from": ["203.0.113.0/24", "2001:db8::/32"], "action": "deny"},
]

pytestmark = pytest.mark.usefixtures("publishing")


def restart_the_host(here: Any, host: Any, name: str) -> None:
    here.check_output("docker restart --time 10 %s", name)
    wait_until(lambda: host.run("systemctl is-system-running").stdout.strip() in {"running", "degraded"})
    wait_until(lambda: len(host.run("docker ps --quiet").stdout.split()) == len(CONTAINERS))


@pytest.fixture
def name(host: Any) -> str:
    return str(host.check_output("hostname"))


@pytest.mark.parametrize(
    "event", ["nothing", "ufw reload", "systemctl restart docker", "docker restart allowed", "host"]
)
def test_only_what_is_declared_is_reached(
    host: Any, name: str, event: str, here: Any, network: str, answers: Callable[..., dict[str, list[int]]]
) -> None:
    if event == "host":
        restart_the_host(here, host, f"{network}-{name}")
    elif event != "nothing":
        host.check_output(event)
    wait_until(lambda: 8082 in answers(name, 8082)["ipv4"])
    assert answers(name, *PORTS) == {"ipv4": [8082], "ipv6": [8087] if name in OVER_IPV6 else []}
    assert reached_from_the_host(host) == dict.fromkeys(IPV4_PORTS, True)


def reached_from_the_host(host: Any) -> dict[int, bool]:
    fetch = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).status)"
    return {
        port: host.run("python3 -c %s %s", fetch, f"http://127.0.0.1:{port}/").stdout.strip() == "200"
        for port in IPV4_PORTS
    }


@pytest.fixture
def unguarded(host: Any) -> Iterator[None]:
    apply(host, rules=RULES, docker=False, undo_timeout=0)
    yield
    apply(host, rules=RULES, undo_timeout=0)


def test_without_the_guard_they_are_open_to_everybody(
    host: Any, name: str, unguarded: None, answers: Callable[..., dict[str, list[int]]]
) -> None:
    """The probe sees what there is to see: ufw alone does not close them."""
    assert host.run("ufw status").stdout.startswith("Status: active")
    assert answers(name, *PORTS) == {
        "ipv4": [8080, 8082, 8083, 8084, 8085],
        "ipv6": [8086, 8087] if name in OVER_IPV6 else [],
    }


@pytest.mark.parametrize("published", ["named-bridge", "own-network", "loopback"])
def test_a_container_reaches_the_world(host: Any, published: str, address_of: Callable[[str], str]) -> None:
    other = {"debian12": "debian13", "debian13": "debian12"}[host.check_output("hostname")]
    greet = "import socket, sys; print(socket.create_connection((sys.argv[1], 22), 5).recv(4).decode())"
    assert host.check_output("docker exec %s /usr/bin/python3 -c %s %s", published, greet, address_of(other)) == "SSH-"


def test_the_audit_names_every_container_that_publishes_without_being_declared(host: Any) -> None:
    before = host.check_output("iptables-save | grep -v '^[#:]'")
    found = apply(host, "exposure_audit", rules=RULES)
    undeclared = {text.split(": ", 1)[0] for text in found["drift"] if "container " in text}
    assert undeclared == {"8080/tcp", "8083/tcp", "8084/tcp", "8086/tcp"}
    assert all("DOCKER-USER keeps it closed for now" in text for text in found["drift"] if "container every" in text)
    assert "127.0.0.1:8081/tcp loopback" in found["published"]
    assert host.check_output("iptables-save | grep -v '^[#:]'") == before
    apply(host, rules=RULES, undo_timeout=0)
    declared = [*RULES, {"port": ["8080", "8083", "8084", "8086"], "docker": True}]
    apply(host, rules=declared, undo_timeout=0)
    assert apply(host, "exposure_audit", rules=declared)["drift"] == []
    apply(host, rules=RULES, undo_timeout=0)
