# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._exposure import (
    Declared,
    Finding,
    Published,
    Seen,
    audit,
    parse_sockets,
    public_ports,
)
from ansible_collections.quayside.web.plugins.module_utils._exposure_chains import Port
from ansible_collections.quayside.web.plugins.module_utils._ufw_docker import chain_lines
from ansible_collections.quayside.web.plugins.module_utils._ufw_rules import Rule

SSH, WEB = Rule("22", comment="quayside: ssh"), Rule("80")
BOX = Rule("8443", docker=True)
RULES = (SSH, WEB, BOX)
#: What ufw's own files let in, as Debian ships them.
STOCK = (
    "-P INPUT DROP",
    "-A INPUT -j ufw-before-logging-input",
    "-A INPUT -j ufw-before-input",
    "-A FORWARD -j DOCKER-USER",
    "-A FORWARD -j DOCKER-FORWARD",
    "-A ufw-before-input -i lo -j ACCEPT",
    "-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT",
    "-A ufw-before-input -p udp -m udp --sport 67 --dport 68 -j ACCEPT",
    "-A ufw-before-input -d 224.0.0.251/32 -p udp -m udp --dport 5353 -j ACCEPT",
    "-A ufw-before-input -j ufw-user-input",
)
NAT = (
    "-A DOCKER -i docker0 -j RETURN",
    "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8443 -j DNAT --to-destination 172.30.0.2:443",
    "-A DOCKER -d 127.0.0.1/32 ! -i docker0 -p tcp -m tcp --dport 21000 -j DNAT --to-destination 172.30.0.3:8000",
    "-A DOCKER_OUTPUT -d 127.0.0.11/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:40285",
)


def kernel(*more: str, rules: tuple[Rule, ...] = RULES) -> dict[int, tuple[str, ...]]:
    user = [line for rule in rules if not rule.docker for line in rule.live(4)]
    return {4: (*STOCK, *user, *chain_lines(rules, 4), *more)}


def ports(*texts: str, process: str = "") -> dict[Port, str]:
    return {Port(int(text.split("/")[0]), text.split("/")[1]): process for text in texts}


GOOD = Seen(
    enabled=True,
    filter=kernel(),
    nat={4: NAT},
    listeners=ports("22/tcp", "80/tcp", "8443/tcp"),
    published=(
        Published("box", "0.0.0.0", Port(8443, "tcp")),
        Published("shop-blue-1", "127.0.0.1", Port(21000, "tcp")),
    ),
    engine=True,
)


def seen(**changes: Any) -> Seen:
    return replace(GOOD, **changes)


def drift(state: Seen, **options: Any) -> list[str]:
    return [str(finding) for finding in audit(Declared(RULES, **options), state) if finding.drift]


def test_what_is_as_declared_is_not_talked_about() -> None:
    assert audit(Declared(RULES, strict=True), GOOD) == []


@pytest.mark.parametrize(
    ("state", "subject", "told"),
    [
        pytest.param(seen(enabled=False), "ufw", "not enabled", id="off-after-a-reboot"),
        pytest.param(seen(filter={}), "iptables", "cannot be read", id="no-iptables"),
        pytest.param(
            seen(filter={4: ("-P INPUT ACCEPT", *GOOD.filter[4][1:])}), "IPv4", "INPUT has no DROP", id="policy"
        ),
        pytest.param(
            seen(filter={4: tuple(line for line in GOOD.filter[4] if "INPUT -j" not in line)}),
            "IPv4",
            "ufw's chains are not asked",
            id="unhooked",
        ),
        pytest.param(
            seen(filter=kernel("-A ufw-user-input -p tcp -m tcp --dport 9999 -j ACCEPT")),
            "9999/tcp",
            "a rule that nobody declares lets it in",
            id="a-rule-by-hand",
        ),
        pytest.param(
            seen(filter=kernel("-A ufw-user-input -s 10.0.0.0/8 -j ufw-user-limit-accept")),
            "every port/any",
            "lets it in",
            id="a-limit-by-hand",
        ),
        pytest.param(
            seen(filter=kernel("-A ufw-user-output -p tcp -m tcp --dport 25 -j REJECT --reject-with tcp-reset")),
            "25/tcp",
            "refuses it",
            id="a-refusal-by-hand",
        ),
        pytest.param(
            seen(filter={4: tuple(line for line in GOOD.filter[4] if "--dport 80 " not in line)}),
            "80/tcp",
            "declared, and not in force over IPv4",
            id="a-rule-lost",
        ),
        pytest.param(
            seen(filter=kernel("-A ufw-before-input -p tcp -m tcp --dport 2375 -j ACCEPT")),
            "2375/tcp",
            "a rule beside ufw's own lets it in",
            id="in-before.rules",
        ),
        pytest.param(
            seen(filter=kernel("-A INPUT -j mine", "-A mine -s 192.0.2.0/24 -j ACCEPT")),
            "every port/any",
            "`-A mine -s 192.0.2.0/24 -j ACCEPT`",
            id="a-chain-of-somebodys",
        ),
        pytest.param(
            seen(published=(Published("db", "0.0.0.0", Port(5432, "tcp")),)),
            "5432/tcp",
            "container db publishes it on 0.0.0.0, which nobody declares (DOCKER-USER keeps it closed for now)",
            id="published-to-everybody",
        ),
        pytest.param(
            seen(published=(Published("db", "::", Port(5432, "tcp")),), filter={4: GOOD.filter[4][:-7]}),
            "5432/tcp",
            "(it is open to everybody)",
            id="published-and-unguarded",
        ),
        pytest.param(
            seen(nat={4: (*NAT, "-A PREROUTING -p tcp -m tcp --dport 2222 -j DNAT --to-destination 10.0.0.5:22")}),
            "2222/tcp",
            "leads it elsewhere",
            id="dnat-by-hand",
        ),
        pytest.param(
            seen(filter={4: (*GOOD.filter[4][:-1], "-A DOCKER-USER -j ACCEPT")}),
            "DOCKER-USER",
            "not as declared over IPv4",
            id="docker-user-changed",
        ),
        pytest.param(
            seen(bridges=("shop0",)), "DOCKER-USER", "not as declared over IPv4", id="a-bridge-that-it-does-not-know"
        ),
        pytest.param(
            seen(filter={4: tuple(line for line in GOOD.filter[4] if line != "-A FORWARD -j DOCKER-USER")}),
            "DOCKER-USER",
            "FORWARD does not ask it",
            id="docker-user-not-asked",
        ),
        pytest.param(
            seen(enabled=False, listeners={**GOOD.listeners, **ports("9100/tcp", process="exporter")}),
            "9100/tcp",
            "exporter listens on every address, open to everybody",
            id="a-listener-without-a-firewall",
        ),
    ],
)
def test_drift_is_told_with_its_subject(state: Seen, subject: str, told: str) -> None:
    (found,) = [text for text in drift(state) if text.startswith(f"{subject}: ") and told in text]
    assert subject in found


HIDDEN = Finding(
    "9100/tcp", "exporter listens on every address and only the firewall hides it; bind it to 127.0.0.1", drift=False
)
UNUSED = Finding("80/tcp", "declared open, and nothing listens", drift=False)


@pytest.mark.parametrize(
    ("state", "finding"),
    [
        (seen(listeners={**GOOD.listeners, **ports("9100/tcp", process="exporter")}), HIDDEN),
        (seen(listeners=ports("22/tcp", "8443/tcp")), UNUSED),
    ],
    ids=["hidden-listener", "unused-opening"],
)
def test_what_opens_nothing_is_a_note_and_fails_only_when_strict(state: Seen, finding: Finding) -> None:
    assert audit(Declared(RULES), state) == [finding]
    assert audit(Declared(RULES, strict=True), state) == [replace(finding, drift=True)]
    assert audit(Declared(RULES, ignored=[finding.subject]), state) == []


def test_without_owning_docker_user_its_content_is_nobodys_business() -> None:
    lines = tuple(line for line in GOOD.filter[4] if "DOCKER-USER" not in line)
    assert drift(seen(filter={4: lines}), docker=False) == []
    opened = seen(filter={4: lines}, published=(Published("db", "0.0.0.0", Port(5432, "tcp")),))
    assert "it is open to everybody" in drift(opened, docker=False)[0]


def test_a_host_that_lets_everything_in_is_asked_about_containers_only() -> None:
    state = seen(enabled=False, filter={4: ("-P INPUT ACCEPT", *GOOD.filter[4][1:])})
    assert drift(state, closed=False) == []


def test_docker_without_ip6tables_forwards_nothing_over_ipv6() -> None:
    lines = (
        "-P INPUT DROP",
        "-A INPUT -j ufw6-before-input",
        "-A FORWARD -j ufw6-before-forward",
        *(line for rule in (SSH, WEB) for line in rule.live(6)),
        *chain_lines(RULES, 6),
    )
    assert drift(seen(filter={**GOOD.filter, 6: lines})) == []


def test_a_rule_of_both_versions_is_told_once() -> None:
    by_hand = "-A {}-user-input -p tcp -m tcp --dport 9999 -j ACCEPT"
    lines = (
        "-P INPUT DROP",
        "-A INPUT -j ufw6-before-input",
        *(line for rule in (SSH, WEB) for line in rule.live(6)),
        *chain_lines(RULES, 6),
        by_hand.format("ufw6"),
    )
    assert len(drift(seen(filter={4: (*GOOD.filter[4], by_hand.format("ufw")), 6: lines}))) == 1


def test_sockets_of_proc() -> None:
    head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
    tcp = f"{head}   0: 00000000:0016 00000000:0000 0A 0\n   1: 0100007F:1F90 00000000:0000 0A 0\n"
    tcp += "   2: 0242A8C0:0016 0142A8C0:D431 01 0\n"
    udp = f"{head}   0: 00000000:14E9 00000000:0000 07 0\n   1: 00000000:C001 00000000:0000 07 0\n"
    tcp6 = f"{head}   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0\n"
    found = [*parse_sockets(tcp, "tcp"), *parse_sockets(udp, "udp"), *parse_sockets(tcp6, "tcp")]
    assert ("127.0.0.1", Port(8080, "tcp")) in found
    assert public_ports(found) == {Port(22, "tcp"), Port(80, "tcp"), Port(5353, "udp")}
