# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules of a firewall as people write them, as ufw prints them, and as the kernel shows them. No I/O."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ACTIONS = ("allow", "deny", "reject", "limit")
ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
#: What refuses stands first and what counts stands last, so that the order in which rules are declared says nothing.
RANKS = {"deny": 0, "reject": 0, "allow": 1, "limit": 2}

_PORT = re.compile(r"^(\d{1,5})(?::(\d{1,5}))?$")
_INTERFACE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$")
_TARGETS = {"allow": "ACCEPT", "deny": "DROP", "reject": "REJECT"}


class RuleError(ValueError):
    """A rule that cannot be, told in one sentence."""


@dataclass(frozen=True)
class Rule:
    """Who may reach which port; `docker` is about a port that a container publishes."""

    port: str = "any"
    proto: str = "tcp"
    source: str = "any"
    comment: str = ""
    action: str = "allow"
    interface: str = ""
    direction: str = "in"
    destination: str = "any"
    docker: bool = False

    @property
    def match(self) -> tuple[object, ...]:
        """What the rule is about, without what it does to it."""
        return (self.port, self.proto, self.source, self.interface, self.direction, self.destination, self.docker)

    @property
    def versions(self) -> tuple[int, ...]:
        """The IP versions that the rule is about."""
        networks = [ipaddress.ip_network(text) for text in (self.source, self.destination) if text != "any"]
        return (networks[0].version,) if networks else (4, 6)

    def title(self) -> str:
        """The rule in a sentence: `port 80/tcp from any`."""
        what = f"port {self.port}" if self.port != "any" else "every port"
        where = f" on {self.interface}" if self.interface else ""
        return f"{what}/{self.proto} from {self.source}{where}"

    def command(self) -> str:
        """The rule as `ufw show added` prints it (without the leading `ufw`)."""
        if self.source == self.destination == "any" and not self.interface and self.port != "any":
            text = f"{self.action}{' out' if self.direction == 'out' else ''} {self.port}"
            text += "" if self.proto == "any" else f"/{self.proto}"
        else:
            text = self.action
            if self.interface or self.direction == "out":
                text += f" {self.direction}" + (f" on {self.interface}" if self.interface else "")
            text += "" if self.source == "any" else f" from {_short(self.source)}"
            if self.destination != "any" or self.port != "any":
                text += f" to {_short(self.destination)}" + ("" if self.port == "any" else f" port {self.port}")
            elif self.source == "any" and not self.interface:
                text += " to any"
            text += "" if self.proto == "any" else f" proto {self.proto}"
        return text + (f" comment '{self.comment}'" if self.comment else "")

    def argv(self) -> list[str]:
        """The arguments that make ufw add the rule, where its order puts it."""
        return [*(["prepend"] if RANKS[self.action] == 0 else []), *shlex.split(self.command())]

    def live(self, version: int) -> list[str]:
        """How the lines begin that `iptables -S` shows while the rule is in force."""
        family = "ufw" if version == 4 else "ufw6"
        chain = f"{family}-user-{'input' if self.direction == 'in' else 'output'}"
        target = _TARGETS.get(self.action, f"{family}-user-limit-accept")
        ends = "" if self.source == "any" else f" -s {ipaddress.ip_network(self.source)}"
        ends += "" if self.destination == "any" else f" -d {ipaddress.ip_network(self.destination)}"
        ends += f" -{self.direction[0]} {self.interface}" if self.interface else ""
        return [f"-A {chain}{ends}{match} -j {target}" for match in _matches(self)]


def _matches(rule: Rule) -> list[str]:
    """The `-p …` part of a rule in the kernel's spelling, one for each protocol."""
    if rule.port == "any":
        return [""] if rule.proto == "any" else [f" -p {rule.proto}"]
    protos = ("tcp", "udp") if rule.proto == "any" else (rule.proto,)
    if ":" in rule.port:
        return [f" -p {proto} -m multiport --dports {rule.port}" for proto in protos]
    return [f" -p {proto} -m {proto} --dport {rule.port}" for proto in protos]


def parse_rule(data: Mapping[str, Any]) -> list[Rule]:
    """Check one rule of the user's and put it into ufw's own spelling: one for each port and source."""
    rules = []
    for port in _several(data.get("port")) or ["any"]:
        for source in _several(data.get("from")) or ["any"]:
            rules.append(_parse_one(data, port, source))
    return rules


def _parse_one(data: Mapping[str, Any], port: str, source: str) -> Rule:
    name = f"ufw rule for port {port}" if port != "any" else "ufw rule for every port"
    action, direction = str(data.get("action") or "allow"), str(data.get("direction") or "in")
    interface, comment = str(data.get("interface") or ""), str(data.get("comment") or "")
    docker, proto = bool(data.get("docker")), str(data.get("proto") or ("tcp" if port != "any" else "any"))
    _check_choice(name, "action", action, ACTIONS)
    _check_choice(name, "proto", proto, ("tcp", "udp", "any"))
    _check_choice(name, "direction", direction, ("in", "out"))
    numbers = _numbers(name, port)
    if len(numbers) == 2 and proto == "any":
        raise RuleError(f"{name}: a range needs proto tcp or udp, found '{proto}'; write two rules.")
    if interface and not _INTERFACE.match(interface):
        raise RuleError(f"{name}: interface is '{interface}', accepted is the name of one such as eth0.")
    if re.search(r"['\"\\\x00-\x1f]", comment):
        raise RuleError(f"{name}: its comment holds a quote, backslash or line break; leave them out.")
    rule = Rule(
        port=":".join(map(str, numbers)) or "any",
        proto=proto,
        source=network_of(name, "from", source),
        comment=comment,
        action=action,
        interface=interface,
        direction=direction,
        destination=network_of(name, "to", str(data.get("to") or "any")),
        docker=docker,
    )
    _check_whole(name, rule)
    return rule


def _check_whole(name: str, rule: Rule) -> None:
    """What each key allows and the keys together do not."""
    ends = [ipaddress.ip_network(text).version for text in (rule.source, rule.destination) if text != "any"]
    if len(set(ends)) > 1:
        raise RuleError(f"{name}: from is '{rule.source}' and to is '{rule.destination}', one IPv4 and one IPv6.")
    if rule.docker and (rule.action != "allow" or rule.direction != "in" or rule.port == "any"):
        raise RuleError(
            f"{name}: docker: true opens one port that a container publishes, so action is allow, direction is in "
            f"and a port is given; found {rule.action} {rule.direction}, {rule.title()}."
        )
    if rule.match == Rule(proto="any").match and rule.action != "allow":
        raise RuleError(
            f"{name}: {rule.action} without port, from, to or interface is about everything; set ufw_incoming instead."
        )


def _several(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    items = value if isinstance(value, (list, tuple)) else str(value).split(",")
    return [str(item).strip() for item in items]


def _check_choice(name: str, key: str, value: str, accepted: Sequence[str]) -> None:
    if value not in accepted:
        raise RuleError(f"{name}: {key} is '{value}', accepted are {', '.join(accepted[:-1])} and {accepted[-1]}.")


def _numbers(name: str, port: str) -> list[int]:
    if port == "any":
        return []
    found = _PORT.match(port)
    numbers = [int(number) for number in found.groups() if number] if found else []
    if not numbers or not all(1 <= number <= 65535 for number in numbers) or numbers != sorted(set(numbers)):
        raise RuleError(f"{name}: a port is a number from 1 to 65535 or a range such as 6000:6007.")
    return numbers


def network_of(name: str, key: str, text: str) -> str:
    if text == "any":
        return "any"
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise RuleError(f"{name}: {key} is '{text}', accepted are 'any', an address or a network ({error}).") from error
    return "any" if str(network) in ANYWHERE.values() else str(network)


def _short(text: str) -> str:
    """ufw prints a whole address without its prefix length."""
    if text == "any":
        return text
    network = ipaddress.ip_network(text)
    return str(network.network_address) if network.num_addresses == 1 else str(network)
