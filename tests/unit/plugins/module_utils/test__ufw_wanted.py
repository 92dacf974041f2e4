# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._ufw_rules import Rule, RuleError
from ansible_collections.quayside.web.plugins.module_utils._ufw_wanted import covers, ssh_rules, wanted_rules

SSH = ssh_rules([22], ["any"], False)


def commands(*rules: dict[str, Any], ssh: Any = SSH, client: str = "") -> list[str]:
    return [rule.command() for rule in wanted_rules(rules, ssh, client)]


def test_refusals_come_first_then_ssh_then_openings_then_what_limits() -> None:
    assert commands(
        {"port": 80}, {"port": 8080, "action": "limit"}, {"from": "203.0.113.0/24", "action": "deny"}, {"port": 443}
    ) == [
        "deny from 203.0.113.0/24",
        "allow 22/tcp comment 'quayside: ssh'",
        "allow 80/tcp",
        "allow 443/tcp",
        "limit 8080/tcp",
    ]


def test_each_rule_once_and_ones_own_words_for_ssh() -> None:
    assert commands({"port": 22, "comment": "mine"}, {"port": 80}, {"port": 80, "comment": "web"}) == [
        "allow 22/tcp comment 'mine'",
        "allow 80/tcp comment 'web'",
    ]
    assert commands({"port": 22, "action": "limit"}) == ["limit 22/tcp"]


def test_ssh_from_networks_only() -> None:
    ssh = ssh_rules([2222, 22], ["10.0.0.0/8", "fd00::/8"], True)
    assert commands(ssh=ssh, client="10.2.3.4") == [
        "limit from 10.0.0.0/8 to any port 22 proto tcp comment 'quayside: ssh'",
        "limit from fd00::/8 to any port 22 proto tcp comment 'quayside: ssh'",
        "limit from 10.0.0.0/8 to any port 2222 proto tcp comment 'quayside: ssh'",
        "limit from fd00::/8 to any port 2222 proto tcp comment 'quayside: ssh'",
    ]


@pytest.mark.parametrize(
    ("rules", "ssh", "told"),
    [
        pytest.param(
            [{"port": 80}, {"port": 80, "action": "deny"}],
            SSH,
            "port 80/tcp from any: one says allow and another deny",
            id="the-same",
        ),
        pytest.param([{"port": 22, "action": "deny"}], SSH, "port 22/tcp from any: one says", id="ssh-denied"),
        pytest.param(
            [{"port": 5432, "from": "10.1.0.0/16"}, {"port": 5432, "from": "10.0.0.0/8", "action": "reject"}],
            SSH,
            "never applies, because 'reject from 10.0.0.0/8 to any port 5432 proto tcp'",
            id="covered-by-network",
        ),
        pytest.param(
            [{"port": "6000:6007", "action": "deny"}, {"port": 6001}],
            SSH,
            "'allow 6001/tcp' never applies",
            id="by-range",
        ),
        pytest.param(
            [{"from": "198.51.100.0/24", "action": "deny"}],
            SSH,
            "would lock out this very connection, which comes from 198.51.100.7",
            id="the-client-denied",
        ),
        pytest.param(
            [], ssh_rules([22], ["10.0.0.0/8"], False), "ufw_ssh_from leaves out 198.51.100.7", id="client-out"
        ),
    ],
)
def test_contradictions_are_refused(rules: list[dict[str, Any]], ssh: list[Rule], told: str) -> None:
    with pytest.raises(RuleError) as error:
        wanted_rules(rules, ssh, "198.51.100.7")
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("rules", "client"),
    [
        pytest.param([{"from": "203.0.113.0/24", "action": "deny"}], "198.51.100.7", id="others-denied"),
        pytest.param([{"port": 22, "from": "198.51.100.9", "action": "deny"}], "198.51.100.7", id="a-neighbour-denied"),
        pytest.param(
            [{"port": 5432, "from": "10.0.0.0/8"}, {"port": 5432, "from": "10.9.0.0/16", "action": "deny"}],
            "2001:db8::1",
            id="a-part-denied",
        ),
        pytest.param(
            [{"port": 8443, "docker": True}, {"port": 8443, "action": "deny"}], "", id="own-port-and-containers"
        ),
    ],
)
def test_a_refusal_of_a_part_is_none(rules: list[dict[str, Any]], client: str) -> None:
    assert len(wanted_rules(rules, SSH, client)) == len(rules) + 1


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        (Rule("any", "any"), Rule("80"), True),
        (Rule("80"), Rule("80", "any"), False),
        (Rule("80", "any"), Rule("80", "udp"), True),
        (Rule("1:100"), Rule("50:60"), True),
        (Rule("1:55"), Rule("50:60"), False),
        (Rule("80", source="10.0.0.0/8"), Rule("80", source="fd00::/8"), False),
        (Rule("80", interface="eth0"), Rule("80"), False),
        (Rule("80"), Rule("80", interface="eth0"), True),
        (Rule("80", direction="out"), Rule("80"), False),
    ],
)
def test_what_covers_what(wide: Rule, narrow: Rule, expected: bool) -> None:
    assert covers(wide, narrow) is expected
