# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""The firewall as another machine sees it, and as the kernel has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from firewall import apply

RULES = [
    {"port": ["80", "443"], "comment": "web"},
    {"port": "8082", "docker": True},
    {"port": "8085", "docker": True, "from": ["10.0.0.0/8"]},
    {"from": ["203.0.113.0/24", "2001:db8::/32"], "action": "deny"},
]


def open_near(open_ports: Callable[..., list[int]], address: str) -> list[int]:
    """A dropped port takes a second to be told: the well-known ones, and those around our listener."""
    return [*open_ports(address, 1, 1024), *open_ports(address, 8000, 8100)]


@pytest.fixture
def converged(host: Any) -> Iterator[None]:
    yield
    host.run("ufw delete allow 9999/tcp")
    apply(host, "undo_confirm", name="ufw")
    apply(host, rules=RULES, undo_timeout=0)


@pytest.fixture
def address(host: Any, address_of: Callable[[str], str]) -> str:
    return address_of(host.check_output("hostname"))


def added(host: Any) -> list[str]:
    return [line[4:] for line in host.check_output("ufw show added").splitlines() if line.startswith("ufw ")]


def test_only_declared_ports_are_open(host: Any, address: str, open_ports: Callable[..., list[int]]) -> None:
    assert host.socket("tcp://:::8090").is_listening
    assert open_near(open_ports, address) == [22, 80]
    assert open_near(open_ports, f"fd00:15::{host.check_output('hostname')[-2:]}") == [22, 80]


def test_the_kernel_has_the_rules_of_both_ip_versions(host: Any) -> None:
    for command, chain in (("iptables", "ufw-user-input"), ("ip6tables", "ufw6-user-input")):
        rules = host.check_output(f"{command} -S").splitlines()
        assert {"-P INPUT DROP", "-P FORWARD DROP"} <= set(rules)
        mine = [rule for rule in rules if rule.startswith(f"-A {chain} ")]
        assert mine[0].endswith("-j DROP"), "what refuses comes first"
        accepted = [rule for rule in mine if rule.endswith("-j ACCEPT")]
        assert accepted == [f"-A {chain} -p tcp -m tcp --dport {port} -j ACCEPT" for port in (22, 80, 443)]


def test_it_is_on_after_a_reboot_and_no_undo_is_pending(host: Any) -> None:
    assert "ENABLED=yes" in host.file("/etc/ufw/ufw.conf").content_string
    assert host.service("ufw.service").is_enabled
    assert host.run("systemctl is-active quayside-ufw-undo.timer").rc != 0
    assert not host.file("/etc/systemd/system/quayside-ufw-undo.timer").exists


def test_a_port_of_ssh_that_only_a_socket_tells_is_kept(host: Any, converged: None) -> None:
    host.check_output("mkdir -p /run/sshd && systemd-run --unit=sshd-2222 /usr/sbin/sshd -D -p 2222")
    try:
        host.check_output(
            "for i in 1 2 3 4 5 6 7 8 9 10; do ss -Hltn sport = 2222 | grep -q . && exit 0; sleep 0.2; done; exit 1"
        )
        applied = apply(host, rules=RULES, undo_timeout=0)
    finally:
        host.check_output("systemctl stop sshd-2222")
    assert applied["ssh_ports"] == [22, 2222]
    assert applied["added"] == ["allow 2222/tcp comment 'quayside: ssh'"]
    # And goes away with it.
    assert apply(host, rules=RULES, undo_timeout=0)["removed"] == ["allow 2222/tcp"]


def test_what_is_no_longer_declared_goes_and_what_was_set_by_hand_stays(host: Any, converged: None) -> None:
    host.check_output("ufw allow 9999/tcp comment 'by hand'")
    more = [
        *RULES,
        {"port": "6000:6007", "proto": "udp"},
        {"port": "5432", "from": ["10.0.0.0/8"], "interface": "eth0"},
    ]
    assert len(apply(host, rules=more, undo_timeout=0)["added"]) == 2
    applied = apply(host, rules=RULES, undo_timeout=0)
    assert sorted(applied["removed"]) == [
        "allow 6000:6007/udp",
        "allow in on eth0 from 10.0.0.0/8 to any port 5432 proto tcp",
    ]
    assert applied["undeclared"] == ["allow 9999/tcp comment 'by hand'"]
    assert "allow 9999/tcp comment 'by hand'" in added(host)
    told = apply(host, "exposure_audit", rules=RULES)["msg"]
    assert "9999/tcp: a rule that nobody declares lets it in" in told
    assert apply(host, rules=RULES, undo_timeout=0, purge=True)["removed"] == ["allow 9999/tcp"]


def test_what_refuses_comes_first_and_what_limits_last_however_they_are_declared(host: Any, converged: None) -> None:
    rules = [{"port": "8090", "action": "limit"}, *RULES, {"port": "8091"}]
    apply(host, rules=rules, undo_timeout=0)
    rules.append({"port": "8092", "from": ["198.51.100.0/24"], "action": "reject"})
    apply(host, rules=[*rules, {"port": "8093"}], undo_timeout=0)
    found = re.findall(
        r"-j (DROP|REJECT|ACCEPT|ufw-user-limit-accept)", host.check_output("iptables -S ufw-user-input")
    )
    order = [{"DROP": 0, "REJECT": 0, "ACCEPT": 1}.get(target, 2) for target in found]
    assert order == sorted(order)
    assert set(order) == {0, 1, 2}
    assert apply(host, rules=[*rules, {"port": "8093"}], undo_timeout=0)["changed"] is False


def test_rules_lost_from_the_kernel_come_back(
    host: Any, converged: None, address: str, open_ports: Callable[..., list[int]]
) -> None:
    host.check_output("iptables -F ufw-user-input")
    host.check_output("iptables -F DOCKER-USER")
    assert open_ports(address, 80, 80) == []
    assert apply(host, rules=RULES, undo_timeout=0)["changed"] is True
    assert open_ports(address, 80, 80) == [80]
    assert apply(host, rules=RULES, undo_timeout=0)["changed"] is False


def test_a_second_enable_brings_all_of_it_back(
    host: Any, converged: None, address: str, open_ports: Callable[..., list[int]]
) -> None:
    host.check_output("ufw --force disable")
    assert open_ports(address, 8090, 8090) == [8090]
    assert apply(host, rules=RULES, undo_timeout=0)["changed"] is True
    assert open_ports(address, 8090, 8090) == []
    assert open_ports(address, 80, 80) == [80]


def test_a_change_that_nobody_confirms_is_undone_to_what_was_there(host: Any, converged: None) -> None:
    before = added(host)
    applied = apply(host, rules=[*RULES, {"port": "7777"}], undo_timeout=3)
    assert applied["undo_unit"] == "quayside-ufw-undo.timer"
    assert "allow 7777/tcp" in added(host)
    host.check_output("sleep 10")
    assert added(host) == before
    assert host.check_output("ufw status").startswith("Status: active")
    failed = apply(host, "undo_confirm", name="ufw")
    assert failed["msg"].startswith(
        "the change of ufw was undone, because no new connection got in to confirm it in time"
    )


def test_a_firewall_that_was_off_is_off_again(host: Any, converged: None) -> None:
    host.check_output("ufw --force disable")
    apply(host, rules=RULES, undo_timeout=2)
    host.check_output("sleep 8")
    assert host.check_output("ufw status") == "Status: inactive"


@pytest.fixture
def bad_line(host: Any) -> Iterator[None]:
    host.check_output("cp -p /etc/ufw/after.rules /root/after.rules")
    host.check_output("sed -i '/^# End required lines/a -A ufw-after-input --bogus' /etc/ufw/after.rules")
    yield
    host.check_output("cp -p /root/after.rules /etc/ufw/after.rules")


def test_a_line_that_would_turn_the_firewall_off_for_good_is_named_first(
    host: Any, converged: None, bad_line: None
) -> None:
    """`ufw reload` would fail at it and set ENABLED=no."""
    before = host.check_output("iptables -S")
    failed = apply(host, rules=[*RULES, {"port": "7777"}], undo_timeout=0)
    assert "ufw could not load /etc/ufw/after.rules: line" in failed["msg"]
    assert "is '-A ufw-after-input --bogus'" in failed["msg"]
    assert "ENABLED=yes" in host.file("/etc/ufw/ufw.conf").content_string
    assert host.check_output("iptables -S") == before


def test_a_section_for_docker_of_somebody_else_is_not_overwritten(host: Any, converged: None) -> None:
    host.check_output("cp -p /etc/ufw/after.rules /root/after.rules")
    host.check_output("printf '*filter\\n:DOCKER-USER - [0:0]\\nCOMMIT\\n' >> /etc/ufw/after.rules")
    try:
        failed = apply(host, rules=RULES, undo_timeout=0)
    finally:
        host.check_output("cp -p /root/after.rules /etc/ufw/after.rules")
    assert "/etc/ufw/after.rules has a DOCKER-USER of its own" in failed["msg"]


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ([{"port": "9000"}, {"port": "9001", "from": ["10.0.0.1/8"]}], "ufw rule for port 9001: from is '10.0.0.1/8'"),
        ([{"port": "70000"}], "ufw rule for port 70000: a port is a number from 1 to 65535"),
        ([{"port": "80"}, {"port": "80", "action": "deny"}], "one says allow and another deny; keep one of them"),
        ([{"port": "22", "action": "reject"}], "port 22/tcp from any: one says allow and another reject"),
        ([{"port": "80", "form": "any"}], "rules.form"),
    ],
    ids=["cidr", "port", "contradiction", "ssh", "unknown-key"],
)
def test_a_bad_rule_is_refused_before_anything_changes(host: Any, rules: list[dict[str, Any]], told: str) -> None:
    before = host.check_output("ufw show added")
    failed = apply(host, rules=rules, undo_timeout=0)
    assert told in failed["msg"]
    assert "\n" not in failed["msg"]
    assert host.check_output("ufw show added") == before


def test_the_audit_fails_for_what_is_open_and_changes_nothing(host: Any, converged: None) -> None:
    host.check_output("iptables -I INPUT -p tcp --dport 4444 -j ACCEPT")
    before = host.check_output("iptables -S")
    try:
        found = apply(host, "exposure_audit", rules=RULES)
        assert host.check_output("iptables -S") == before
    finally:
        host.check_output("iptables -D INPUT -p tcp --dport 4444 -j ACCEPT")
    assert "1 difference: 4444/tcp: a rule beside ufw's own lets it in" in found["msg"]
    assert (
        "8090/tcp: python3 listens on every address and only the firewall hides it; bind it to 127.0.0.1"
        in found["notes"]
    )
    assert apply(host, "exposure_audit", rules=RULES)["drift"] == []


def test_the_audit_notices_a_firewall_that_is_off(host: Any, converged: None) -> None:
    host.check_output("ufw --force disable")
    told = apply(host, "exposure_audit", rules=RULES)["msg"]
    assert "ufw: it is not enabled, so that nothing is filtered after a reboot" in told
    assert "8090/tcp: python3 listens on every address, open to everybody and not declared" in told
