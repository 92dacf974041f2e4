# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._ufw import (
    Rule,
    RuleError,
    State,
    describe,
    make_plan,
    not_in_force,
    parse_added,
    parse_rule,
    parse_shell_file,
    port_of_connection,
    ports_of_listeners,
    ports_of_sshd_config,
    stored_policies,
    wanted_rules,
)

POLICIES = {"incoming": "deny", "outgoing": "allow"}
STORED = {"incoming": "DROP", "outgoing": "ACCEPT"}
SSH = Rule(port="22", comment="quayside: ssh")
WEB = Rule(port="80", comment="HTTP")


def live_of(*rules: Rule) -> dict[int, tuple[str, ...]]:
    return {
        version: ("-P INPUT DROP", *(line for rule in rules if version in rule.versions for line in rule.live(version)))
        for version in (4, 6)
    }


def converged(*rules: Rule) -> State:
    return State(
        installed=True, enabled=True, policies=STORED, added=tuple(r.command() for r in rules), live=live_of(*rules)
    )


@pytest.mark.parametrize(
    ("data", "command", "live4"),
    [
        ({"port": 80}, "allow 80/tcp", ["-A ufw-user-input -p tcp -m tcp --dport 80 -j ACCEPT"]),
        (
            {"port": "53", "proto": "any"},
            "allow 53",
            [
                "-A ufw-user-input -p tcp -m tcp --dport 53 -j ACCEPT",
                "-A ufw-user-input -p udp -m udp --dport 53 -j ACCEPT",
            ],
        ),
        (
            {"port": "6000:6007", "proto": "udp", "comment": "media"},
            "allow 6000:6007/udp comment 'media'",
            ["-A ufw-user-input -p udp -m multiport --dports 6000:6007 -j ACCEPT"],
        ),
        (
            {"port": "5432", "from": "10.0.0.0/8"},
            "allow from 10.0.0.0/8 to any port 5432 proto tcp",
            ["-A ufw-user-input -s 10.0.0.0/8 -p tcp -m tcp --dport 5432 -j ACCEPT"],
        ),
        (
            {"port": "5432", "from": "192.0.2.7"},
            "allow from 192.0.2.7 to any port 5432 proto tcp",
            ["-A ufw-user-input -s 192.0.2.7/32 -p tcp -m tcp --dport 5432 -j ACCEPT"],
        ),
        ({"port": "80", "from": "0.0.0.0/0"}, "allow 80/tcp", ["-A ufw-user-input -p tcp -m tcp --dport 80 -j ACCEPT"]),
    ],
)
def test_a_rule_in_the_words_of_ufw_and_of_iptables(data: dict[str, Any], command: str, live4: list[str]) -> None:
    rule = parse_rule(data)
    assert rule.command() == command
    assert rule.live(4) == live4


def test_a_rule_for_an_ipv6_network_is_about_ipv6_only() -> None:
    rule = parse_rule({"port": 443, "from": "2001:DB8::/32"})
    assert rule.versions == (6,)
    assert rule.live(6) == ["-A ufw6-user-input -s 2001:db8::/32 -p tcp -m tcp --dport 443 -j ACCEPT"]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"port": 0}, "from 1 to 65535"),
        ({"port": 65536}, "from 1 to 65535"),
        ({"port": "http"}, "port 'http'"),
        ({"port": "70:60", "proto": "tcp"}, "range"),
        ({"port": "60:70", "proto": "any"}, "write two rules"),
        ({"port": 80, "proto": "icmp"}, "proto is 'icmp'"),
        ({"port": 80, "from": "10.0.0.1/8"}, "has host bits set"),
        ({"port": 80, "from": "example.com"}, "from is 'example.com'"),
        ({"port": 80, "comment": "it's"}, "quote"),
        ({"port": 80, "comment": "a\nb"}, "line break"),
    ],
)
def test_a_bad_rule_is_refused_in_one_sentence(data: dict[str, Any], told: str) -> None:
    with pytest.raises(RuleError, match="ufw rule for port") as error:
        parse_rule(data)
    assert told in str(error.value)


def test_ssh_comes_first_and_each_rule_once() -> None:
    rules = wanted_rules([{"port": 80, "comment": "HTTP"}, {"port": 22, "comment": "mine"}, {"port": 80}], {2222, 22})
    assert [rule.command() for rule in rules] == [
        "allow 22/tcp comment 'mine'",
        "allow 2222/tcp comment 'quayside: ssh'",
        "allow 80/tcp",
    ]


def test_a_bare_host_gets_everything() -> None:
    plan = make_plan(State(), (SSH, WEB), POLICIES)
    assert plan.changed
    assert plan.rules == (SSH, WEB)
    assert plan.enable
    assert not plan.reload


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (converged(SSH, WEB), {}),
        (converged(SSH), {"rules": (WEB,), "reload": True}),
        (State(**{**vars(converged(SSH, WEB)), "enabled": False}), {"enable": True}),
        (State(**{**vars(converged(SSH, WEB)), "boot": False}), {"boot": True}),
        (State(**{**vars(converged(SSH, WEB)), "ipv6": False}), {"ipv6": True, "reload": True}),
        (
            State(**{**vars(converged(SSH, WEB)), "policies": {"incoming": "ACCEPT", "outgoing": "ACCEPT"}}),
            {"policies": (("incoming", "deny"),)},
        ),
        # Flushed by hand: stored, and not in force.
        (State(**{**vars(converged(SSH, WEB)), "live": live_of(SSH)}), {"rules": (WEB,), "reload": True}),
        (
            State(**{**vars(converged(SSH, WEB)), "live": {4: ("-P INPUT ACCEPT", *live_of(SSH, WEB)[4][1:])}}),
            {"reload": True},
        ),
        # Somebody else's rule is reported and stays.
        (
            State(**{**vars(converged(SSH, WEB)), "added": (*converged(SSH, WEB).added, "allow 8080/tcp comment 'x'")}),
            {"undeclared": ("allow 8080/tcp comment 'x'",)},
        ),
        # A new comment is an update of the same rule.
        (
            State(**{**vars(converged(SSH, WEB)), "added": (SSH.command(), "allow 80/tcp comment 'old'")}),
            {"rules": (WEB,)},
        ),
    ],
)
def test_only_what_differs_is_planned(state: State, expected: dict[str, Any]) -> None:
    plan = make_plan(state, (SSH, WEB), POLICIES)
    found = {name: value for name, value in vars(plan).items() if value}
    assert found == expected
    assert plan.changed is bool(set(expected) - {"undeclared"})


def test_a_rule_without_a_comment_is_content_with_any() -> None:
    state = State(**{**vars(converged(WEB)), "added": ("allow 80/tcp comment 'old'",)})
    assert not make_plan(state, (Rule(port="80"),), POLICIES).changed


def test_the_diff_shows_what_an_administrator_would_read() -> None:
    state = State(installed=True, policies=STORED, added=("allow 80/tcp comment 'old'",))
    diff = describe(state, make_plan(state, (SSH, WEB), POLICIES))
    assert "enabled: false" in diff["before"]
    assert diff["after"].splitlines()[-2:] == ["allow 22/tcp comment 'quayside: ssh'", "allow 80/tcp comment 'HTTP'"]
    assert "old" not in diff["after"]


def test_what_is_not_in_force_is_named() -> None:
    state = State(**{**vars(converged(SSH)), "live": {4: ("-P INPUT ACCEPT", *SSH.live(4))}})
    assert not_in_force(state, (SSH, WEB), POLICIES) == ["default deny incoming", "allow 80/tcp comment 'HTTP'"]
    assert not_in_force(converged(SSH), (SSH,), POLICIES) == []


def test_reading_what_tools_print() -> None:
    added = "Added user rules (see 'ufw status' for running firewall):\nufw allow 22/tcp comment 'quayside: ssh'\n"
    assert parse_added(added) == ("allow 22/tcp comment 'quayside: ssh'",)
    assert parse_added("Added user rules (see 'ufw status' for running firewall):\n(None)\n") == ()
    assert parse_shell_file('# c\nENABLED=no\nIPV6="yes"\n')["IPV6"] == "yes"
    assert stored_policies({"DEFAULT_INPUT_POLICY": "ACCEPT"}) == {"incoming": "ACCEPT", "outgoing": "ACCEPT"}
    assert ports_of_sshd_config("port 22\nport 2222\nlistenaddress [::]:22\nlistenaddress 0.0.0.0:2200\n") == {
        22,
        2222,
        2200,
    }
    listeners = (
        'LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3))\n'
        'LISTEN 0 128 [::]:2022 [::]:* users:(("sshd",pid=1,fd=4))\n'
        'LISTEN 0 511 0.0.0.0:80 0.0.0.0:* users:(("nginx",pid=2,fd=6))\n'
    )
    assert ports_of_listeners(listeners) == {22, 2022}
    assert port_of_connection("192.0.2.1 50000 198.51.100.2 2222") == {2222}
    assert port_of_connection("") == set()
