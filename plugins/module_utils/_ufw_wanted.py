# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All rules that a firewall should have: those of SSH, those that were declared, and no contradiction. No I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ._ufw_rules import RANKS, Rule, RuleError, network_of, parse_rule

SSH_COMMENT = "quayside: ssh"


def ssh_rules(ports: Iterable[int], sources: Iterable[str], limit: bool) -> list[Rule]:
    """SSH from these networks; `limit` refuses a seventh connection within half a minute."""
    action = "limit" if limit else "allow"
    networks = [network_of("ufw_ssh_from", "an entry", source) for source in sources] or ["any"]
    return [
        Rule(str(port), source=network, comment=SSH_COMMENT, action=action)
        for port in sorted(set(ports))
        for network in networks
    ]


def wanted_rules(rules: Iterable[Mapping[str, Any]], ssh: Sequence[Rule], client: str = "") -> tuple[Rule, ...]:
    """All rules, each once and in the order in which they decide; SSH first among the openings.

    `client` is the address that this connection comes from, when it comes by SSH.
    """
    declared = [rule for data in rules for rule in parse_rule(data)]
    by_match: dict[tuple[object, ...], Rule] = {rule.match: rule for rule in ssh}
    for rule in declared:
        before = by_match.get(rule.match)
        if before and before in ssh and rule.action in ("allow", "limit"):
            before = None
        if before and before.action != rule.action:
            raise RuleError(
                f"ufw rules for {rule.title()}: one says {before.action} and another {rule.action}; keep one of them."
            )
        by_match[rule.match] = rule
    found = tuple(sorted(by_match.values(), key=lambda rule: RANKS[rule.action]))
    _check_reachable(found)
    _check_client(found, ssh, client)
    return found


def _check_reachable(rules: Sequence[Rule]) -> None:
    """What refuses goes first, so that an opening which it covers whole would never apply."""
    for refusal in rules:
        for opening in rules:
            if RANKS[refusal.action] == 0 < RANKS[opening.action] and not opening.docker and covers(refusal, opening):
                raise RuleError(
                    f"ufw rules: '{opening.command()}' never applies, because '{refusal.command()}' refuses all of it; "
                    "drop one of them (what is not declared is refused anyway)."
                )


def _check_client(rules: Sequence[Rule], ssh: Sequence[Rule], client: str) -> None:
    """Would this very connection still be let in?"""
    if not client or not ssh:
        return
    address = str(ipaddress.ip_network(client))
    for number in {rule.port for rule in ssh}:
        wanted = Rule(number, source=address)
        # On an interface of another network a rule may be about other people.
        decides = (rule for rule in rules if not rule.interface and not rule.docker and covers(rule, wanted))
        decision = next(decides, None)
        if decision is not None and RANKS[decision.action] == 0:
            raise RuleError(
                f"ufw rule '{decision.command()}' would lock out this very connection, which comes from {client}; "
                f"leave {client} out of it."
            )
    # Only the ports of these rules count that this address may use on any of them.
    if not any(
        rule.action in ("allow", "limit") and covers(rule, Rule(number.port, source=address))
        for number in ssh
        for rule in rules
        if not rule.docker
    ):
        raise RuleError(
            f"ufw_ssh_from leaves out {client}, where this connection comes from; add {client} or a network around it."
        )


def covers(rule: Rule, other: Rule) -> bool:
    """Does everything that `other` matches match `rule` too?"""
    return (
        rule.direction == other.direction
        and rule.docker == other.docker
        and rule.interface in ("", other.interface)
        and rule.proto in ("any", other.proto)
        and _range_covers(rule.port, other.port)
        and _network_covers(rule.source, other.source)
        and _network_covers(rule.destination, other.destination)
    )


def _range_covers(wide: str, narrow: str) -> bool:
    if wide == "any" or narrow == "any":
        return wide == "any"
    low, high = (int(number) for number in (wide.split(":") * 2)[:2])
    return all(low <= int(number) <= high for number in narrow.split(":"))


def _network_covers(wide: str, narrow: str) -> bool:
    if wide == "any" or narrow == "any":
        return wide == "any"
    outer, inner = ipaddress.ip_network(wide), ipaddress.ip_network(narrow)
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]
