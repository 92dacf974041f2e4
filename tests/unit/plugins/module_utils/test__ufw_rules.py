# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._ufw_rules import Rule, RuleError, parse_rule

USER = "-A ufw-user-input"


def case(data: dict[str, Any], command: str, *live: str) -> Any:
    return pytest.param(data, command, list(live), id=command.replace(" ", "_"))


@pytest.mark.parametrize(
    ("data", "command", "live4"),
    [
        case({"port": 80}, "allow 80/tcp", f"{USER} -p tcp -m tcp --dport 80 -j ACCEPT"),
        case(
            {"port": "53", "proto": "any"},
            "allow 53",
            f"{USER} -p tcp -m tcp --dport 53 -j ACCEPT",
            f"{USER} -p udp -m udp --dport 53 -j ACCEPT",
        ),
        case(
            {"port": "6000:6007", "proto": "udp", "comment": "media"},
            "allow 6000:6007/udp comment 'media'",
            f"{USER} -p udp -m multiport --dports 6000:6007 -j ACCEPT",
        ),
        case(
            {"port": "5432", "from": "10.0.0.0/8", "interface": "eth1"},
            "allow in on eth1 from 10.0.0.0/8 to any port 5432 proto tcp",
            f"{USER} -s 10.0.0.0/8 -i eth1 -p tcp -m tcp --dport 5432 -j ACCEPT",
        ),
        case(
            {"port": "5432", "from": "192.0.2.7", "to": "198.51.100.1"},
            "allow from 192.0.2.7 to 198.51.100.1 port 5432 proto tcp",
            f"{USER} -s 192.0.2.7/32 -d 198.51.100.1/32 -p tcp -m tcp --dport 5432 -j ACCEPT",
        ),
        case({"port": "80", "from": "0.0.0.0/0"}, "allow 80/tcp", f"{USER} -p tcp -m tcp --dport 80 -j ACCEPT"),
        case(
            {"port": 22, "action": "limit"}, "limit 22/tcp", f"{USER} -p tcp -m tcp --dport 22 -j ufw-user-limit-accept"
        ),
        case(
            {"from": "203.0.113.0/24", "action": "deny"},
            "deny from 203.0.113.0/24",
            f"{USER} -s 203.0.113.0/24 -j DROP",
        ),
        case({"interface": "wg0"}, "allow in on wg0", f"{USER} -i wg0 -j ACCEPT"),
        case({"port": 25, "action": "reject"}, "reject 25/tcp", f"{USER} -p tcp -m tcp --dport 25 -j REJECT"),
        case(
            {"port": 25, "direction": "out", "to": "1.2.3.4", "interface": "eth0", "action": "deny"},
            "deny out on eth0 to 1.2.3.4 port 25 proto tcp",
            "-A ufw-user-output -d 1.2.3.4/32 -o eth0 -p tcp -m tcp --dport 25 -j DROP",
        ),
        case(
            {"port": 53, "direction": "out", "proto": "udp"},
            "allow out 53/udp",
            "-A ufw-user-output -p udp -m udp --dport 53 -j ACCEPT",
        ),
    ],
)
def test_a_rule_in_the_words_of_ufw_and_of_iptables(data: dict[str, Any], command: str, live4: list[str]) -> None:
    (rule,) = parse_rule(data)
    assert rule.command() == command
    assert rule.live(4) == live4


def test_a_rule_for_an_ipv6_network_is_about_ipv6_only() -> None:
    (rule,) = parse_rule({"port": 443, "from": ["2001:DB8::/32"]})
    assert rule.versions == (6,)
    assert rule.live(6) == ["-A ufw6-user-input -s 2001:db8::/32 -p tcp -m tcp --dport 443 -j ACCEPT"]


def test_lists_are_one_rule_for_each_port_and_source() -> None:
    found = parse_rule({"port": ["80", 443], "from": "10.0.0.0/8,fd00::/8", "comment": "web"})
    assert [(rule.port, rule.source) for rule in found] == [
        ("80", "10.0.0.0/8"),
        ("80", "fd00::/8"),
        ("443", "10.0.0.0/8"),
        ("443", "fd00::/8"),
    ]


def test_a_refusal_is_put_before_what_is_there() -> None:
    assert Rule("25", action="deny").argv() == ["prepend", "deny", "25/tcp"]
    assert Rule("25", comment="two words").argv() == ["allow", "25/tcp", "comment", "two words"]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"port": 0}, "from 1 to 65535"),
        ({"port": 65536}, "from 1 to 65535"),
        ({"port": "http"}, "port http: a port is a number"),
        ({"port": "70:60", "proto": "tcp"}, "range"),
        ({"port": "60:70", "proto": "any"}, "write two rules"),
        ({"port": 80, "proto": "icmp"}, "proto is 'icmp', accepted are tcp, udp and any"),
        ({"port": 80, "action": "drop"}, "action is 'drop', accepted are allow, deny, reject and limit"),
        ({"port": 80, "from": "10.0.0.1/8"}, "has host bits set"),
        ({"port": 80, "from": "10.0.0.0/33"}, "from is '10.0.0.0/33'"),
        ({"port": 80, "from": "example.com"}, "from is 'example.com'"),
        ({"port": 80, "to": "300.1.1.1"}, "to is '300.1.1.1'"),
        ({"port": 80, "from": "10.0.0.0/8", "to": "fd00::1"}, "one IPv4 and one IPv6"),
        ({"port": 80, "interface": "eth0;reboot"}, "interface is 'eth0;reboot'"),
        ({"port": 80, "comment": "it's"}, "quote"),
        ({"port": 80, "comment": "a\nb"}, "line break"),
        ({"port": 80, "docker": True, "action": "limit"}, "docker: true opens one port"),
        ({"from": "10.0.0.0/8", "docker": True}, "a port is given"),
        ({"action": "deny"}, "set ufw_incoming instead"),
    ],
)
def test_a_bad_rule_is_refused_in_one_sentence(data: dict[str, Any], told: str) -> None:
    with pytest.raises(RuleError, match=r"^ufw rule for ") as error:
        parse_rule(data)
    assert told in str(error.value)
