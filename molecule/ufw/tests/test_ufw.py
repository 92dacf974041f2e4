# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""The firewall as another machine sees it, and as the kernel has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

WEB = [{"port": "80", "comment": "HTTP"}, {"port": "443", "comment": "HTTPS"}]


def apply(host: Any, **options: Any) -> dict[str, Any]:
    """One run of the module, with what it returned or failed with."""
    try:
        return dict(host.ansible("quayside.web.ufw_rules", json.dumps(options), check=False))
    except host.ansible.AnsibleException as failed:
        return dict(failed.result)


def open_near(open_ports: Callable[..., list[int]], address: str) -> list[int]:
    """A dropped port takes a second to be told: the well-known ones, and those around our listener."""
    return [*open_ports(address, 1, 1024), *open_ports(address, 8000, 8100)]


@pytest.fixture
def converged(host: Any) -> Any:
    yield
    host.run("systemctl stop quayside-ufw-undo.timer")
    apply(host, rules=WEB, undo_timeout=0)


def test_only_declared_ports_are_open(
    host: Any, address_of: Callable[[str], str], open_ports: Callable[..., list[int]]
) -> None:
    assert host.socket("tcp://:::8080").is_listening
    assert open_near(open_ports, address_of(host.check_output("hostname"))) == [22, 80]


def test_the_kernel_has_the_rules_of_both_ip_versions(host: Any) -> None:
    for command, chain in (("iptables", "ufw-user-input"), ("ip6tables", "ufw6-user-input")):
        rules = host.check_output(f"{command} -S").splitlines()
        assert "-P INPUT DROP" in rules
        accepted = [rule for rule in rules if rule.startswith(f"-A {chain} ") and rule.endswith("-j ACCEPT")]
        assert accepted == [f"-A {chain} -p tcp -m tcp --dport {port} -j ACCEPT" for port in (22, 80, 443)]


def test_it_is_on_after_a_reboot_and_no_undo_is_pending(host: Any) -> None:
    assert "ENABLED=yes" in host.file("/etc/ufw/ufw.conf").content_string
    assert host.service("ufw.service").is_enabled
    assert host.run("systemctl is-active quayside-ufw-undo.timer").rc != 0


def test_a_port_of_ssh_that_only_a_socket_tells_is_kept(host: Any, converged: None) -> None:
    host.check_output("mkdir -p /run/sshd && systemd-run --unit=sshd-2222 /usr/sbin/sshd -D -p 2222")
    try:
        host.check_output(
            "for i in 1 2 3 4 5 6 7 8 9 10; do ss -Hltn sport = 2222 | grep -q . && exit 0; sleep 0.2; done; exit 1"
        )
        applied = apply(host, rules=WEB, undo_timeout=0)
    finally:
        host.check_output("systemctl stop sshd-2222")
    assert applied["ssh_ports"] == [22, 2222]
    assert applied["added"] == ["allow 2222/tcp comment 'quayside: ssh'"]
    host.check_output("ufw delete allow 2222/tcp")


def test_rules_lost_from_the_kernel_come_back(
    host: Any, converged: None, address_of: Callable[[str], str], open_ports: Callable[..., list[int]]
) -> None:
    host.check_output("iptables -F ufw-user-input")
    address = address_of(host.check_output("hostname"))
    assert open_ports(address, 80, 80) == []
    assert apply(host, rules=WEB, undo_timeout=0)["changed"] is True
    assert open_ports(address, 80, 80) == [80]
    assert apply(host, rules=WEB, undo_timeout=0)["changed"] is False


def test_a_second_enable_brings_all_of_it_back(
    host: Any, converged: None, address_of: Callable[[str], str], open_ports: Callable[..., list[int]]
) -> None:
    host.check_output("ufw --force disable")
    address = address_of(host.check_output("hostname"))
    assert open_ports(address, 8080, 8080) == [8080]
    assert apply(host, rules=WEB, undo_timeout=0)["changed"] is True
    assert open_ports(address, 8080, 8080) == []
    assert open_ports(address, 80, 80) == [80]


def test_a_change_that_nobody_confirms_is_undone(host: Any, converged: None) -> None:
    host.check_output("ufw --force disable")
    applied = apply(host, rules=WEB, undo_timeout=2)
    assert applied["undo_unit"] == "quayside-ufw-undo.timer"
    assert host.check_output("sleep 5; ufw status") == "Status: inactive"


def test_a_bad_rule_is_refused_before_anything_changes(host: Any) -> None:
    before = host.check_output("ufw show added")
    failed = apply(host, rules=[{"port": "9000"}, {"port": "9001", "from": "10.0.0.1/8"}], undo_timeout=0)
    assert failed["msg"].startswith("ufw rule for port 9001: from is '10.0.0.1/8'")
    assert host.check_output("ufw show added") == before
