# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._ufw_docker import (
    DockerFirewallError,
    block,
    chain_lines,
    check_backend,
    names_of_bridges,
    with_block,
    without_block,
)
from ansible_collections.quayside.web.plugins.module_utils._ufw_rules import Rule

CHAIN, END = "-A DOCKER-USER", "--ctdir ORIGINAL -j RETURN"
AFTER = "*filter\n:ufw-after-input - [0:0]\nCOMMIT\n"
CLOSED = [
    "-A DOCKER-USER -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
    "-A DOCKER-USER -i docker0 -j RETURN",
    "-A DOCKER-USER -i br-+ -j RETURN",
    "-A DOCKER-USER -m conntrack --ctstate DNAT -j DROP",
    "-A DOCKER-USER -o docker0 -m conntrack --ctstate NEW -j DROP",
    "-A DOCKER-USER -o br-+ -m conntrack --ctstate NEW -j DROP",
    "-A DOCKER-USER -j RETURN",
]


def openings(*rules: Rule, version: int = 4) -> list[str]:
    return [line for line in chain_lines(rules, version) if line not in CLOSED]


def test_without_openings_nobody_gets_in() -> None:
    assert chain_lines([Rule("80")], 4) == chain_lines([], 6) == CLOSED


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param(
            Rule("8443", docker=True),
            ["-A DOCKER-USER -p tcp -m conntrack --ctorigdstport 8443 --ctdir ORIGINAL -j RETURN"],
            id="to-everybody",
        ),
        pytest.param(
            Rule("6000:6007", "udp", "10.0.0.0/8", interface="eth1", docker=True),
            [f"{CHAIN} -s 10.0.0.0/8 -i eth1 -p udp -m conntrack --ctorigdstport 6000:6007 {END}"],
            id="a-range-from-a-network",
        ),
        pytest.param(
            Rule("53", "any", destination="192.0.2.1", docker=True),
            [
                f"{CHAIN} -p tcp -m conntrack --ctorigdst 192.0.2.1 --ctorigdstport 53 {END}",
                f"{CHAIN} -p udp -m conntrack --ctorigdst 192.0.2.1 --ctorigdstport 53 {END}",
            ],
            id="both-protocols-of-one-address",
        ),
        pytest.param(Rule("80", source="fd00::/8", docker=True), [], id="another-ip-version"),
    ],
)
def test_openings_by_the_port_that_was_asked_for(rule: Rule, expected: list[str]) -> None:
    assert openings(rule) == expected


def test_a_bridge_of_its_own_name_is_inside_too() -> None:
    lines = chain_lines([], 4, ["shop0"])
    assert "-A DOCKER-USER -i shop0 -j RETURN" in lines
    assert "-A DOCKER-USER -o shop0 -m conntrack --ctstate NEW -j DROP" in lines


def test_the_section_comes_goes_and_changes_and_nothing_else_does() -> None:
    once = with_block(AFTER, CLOSED, "after.rules")
    assert once.startswith(AFTER)
    assert once.endswith(block(CLOSED))
    assert with_block(once, CLOSED, "after.rules") == once
    assert with_block(once, CLOSED[:1], "after.rules").count("*filter") == 2
    assert without_block(once).rstrip("\n") + "\n" == AFTER
    assert without_block(AFTER) == AFTER
    more = once + "# mine\n"
    assert "# mine" in with_block(more, CLOSED, "after.rules")


def test_a_section_of_somebody_else_is_not_emptied() -> None:
    theirs = AFTER + "# BEGIN UFW AND DOCKER\n*filter\n:DOCKER-USER - [0:0]\nCOMMIT\n"
    with pytest.raises(DockerFirewallError, match=r"a DOCKER-USER of its own \(.:DOCKER-USER - "):
        with_block(theirs, CLOSED, "after.rules")
    assert "# DOCKER-USER" in with_block(AFTER + "# DOCKER-USER is below\n", CLOSED, "after.rules")


@pytest.mark.parametrize("driver", ["nftables", "nftables+firewalld"])
def test_the_backend_without_the_chain_is_refused(driver: str) -> None:
    with pytest.raises(
        DockerFirewallError, match=f"backend is '{driver.replace('+', '[+]')}', which has no DOCKER-USER"
    ):
        check_backend(driver)


@pytest.mark.parametrize("driver", ["", "iptables", "iptables+firewalld"])
def test_the_other_backends_have_it(driver: str) -> None:
    check_backend(driver)


def test_bridges_that_docker_did_not_name() -> None:
    def network(name: str, bridge: str = "", driver: str = "bridge") -> dict[str, object]:
        return {
            "Name": name,
            "Driver": driver,
            "Options": {"com.docker.network.bridge.name": bridge} if bridge else None,
        }

    found = [
        network("bridge", "docker0"),
        network("shop", "shop0"),
        network("plain"),
        network("odd", "br-odd"),
        network("docker_gwbridge", "docker_gwbridge"),
        network("host", driver="host"),
    ]
    assert names_of_bridges(found) == ["docker_gwbridge", "shop0"]
