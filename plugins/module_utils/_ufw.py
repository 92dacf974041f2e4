# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ufw should hold, what it holds, and the commands between the two. No I/O."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SSH_COMMENT = "quayside: ssh"
POLICIES = {"deny": "DROP", "reject": "REJECT", "allow": "ACCEPT"}
ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}

_PORT = re.compile(r"^(\d{1,5})(?::(\d{1,5}))?$")


class RuleError(ValueError):
    """A rule that ufw would not take, told in one sentence."""


@dataclass(frozen=True)
class Rule:
    """One opening: who may reach which port."""

    port: str
    proto: str = "tcp"
    source: str = "any"
    comment: str = ""
    action: str = "allow"

    @property
    def versions(self) -> tuple[int, ...]:
        """The IP versions that the rule is about."""
        return (4, 6) if self.source == "any" else (ipaddress.ip_network(self.source).version,)

    def command(self) -> str:
        """The rule as `ufw show added` prints it (without the leading `ufw`)."""
        if self.source == "any":
            text = f"{self.action} {self.port}" + ("" if self.proto == "any" else f"/{self.proto}")
        else:
            # ufw prints a whole address without its prefix length.
            network = ipaddress.ip_network(self.source)
            source = str(network.network_address) if network.num_addresses == 1 else str(network)
            text = f"{self.action} from {source} to any port {self.port}"
            text += "" if self.proto == "any" else f" proto {self.proto}"
        return text + (f" comment '{self.comment}'" if self.comment else "")

    def argv(self) -> list[str]:
        """The arguments that make ufw add the rule."""
        return shlex.split(self.command())

    def live(self, version: int) -> list[str]:
        """The lines that `iptables -S` shows while the rule is in force."""
        chain = "ufw-user-input" if version == 4 else "ufw6-user-input"
        source = "" if self.source == "any" else f" -s {ipaddress.ip_network(self.source)}"
        match = f"-m multiport --dports {self.port}" if ":" in self.port else "-m {proto} --dport " + self.port
        protos = ("tcp", "udp") if self.proto == "any" else (self.proto,)
        return [f"-A {chain}{source} -p {proto} {match.format(proto=proto)} -j ACCEPT" for proto in protos]


@dataclass(frozen=True)
class State:
    """What the host has now; `live` maps an IP version to its `iptables -S` lines."""

    installed: bool = False
    enabled: bool = False
    ipv6: bool = True
    boot: bool = True
    policies: Mapping[str, str] | None = None
    added: tuple[str, ...] = ()
    live: Mapping[int, tuple[str, ...]] | None = None


@dataclass(frozen=True)
class Plan:
    """The steps to take, in order; nothing to do when it is empty."""

    ipv6: bool = False
    rules: tuple[Rule, ...] = ()
    policies: tuple[tuple[str, str], ...] = ()
    boot: bool = False
    enable: bool = False
    reload: bool = False
    undeclared: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.ipv6 or self.rules or self.policies or self.boot or self.enable or self.reload)


def parse_rule(data: Mapping[str, Any]) -> Rule:
    """Check one rule of the user's and put it into ufw's own spelling."""
    port, proto = str(data["port"]), str(data.get("proto") or "tcp")
    source, comment = str(data.get("from") or "any"), str(data.get("comment") or "")
    found = _PORT.match(port)
    numbers = [int(number) for number in found.groups() if number] if found else []
    if not numbers or not all(1 <= number <= 65535 for number in numbers) or numbers != sorted(set(numbers)):
        raise RuleError(f"ufw rule for port '{port}': a port is a number from 1 to 65535 or a range such as 6000:6007.")
    if proto not in ("tcp", "udp", "any"):
        raise RuleError(f"ufw rule for port {port}: proto is '{proto}', accepted are tcp, udp and any.")
    if ":" in port and proto == "any":
        raise RuleError(f"ufw rule for ports {port}: a range needs proto tcp or udp, found '{proto}'; write two rules.")
    if source != "any":
        try:
            network = ipaddress.ip_network(source)
        except ValueError as error:
            raise RuleError(
                f"ufw rule for port {port}: from is '{source}', accepted are 'any', an address or a network ({error})."
            ) from error
        source = "any" if str(network) in ANYWHERE.values() else str(network)
    if re.search(r"['\"\\\x00-\x1f]", comment):
        raise RuleError(
            f"ufw rule for port {port}: its comment holds a quote, backslash or line break; leave them out."
        )
    return Rule(port=":".join(map(str, numbers)), proto=proto, source=source, comment=comment)


def wanted_rules(rules: Iterable[Mapping[str, Any]], ssh_ports: Iterable[int]) -> tuple[Rule, ...]:
    """SSH first, so that an interrupted run has it; each rule once."""
    ssh = [Rule(port=str(port), comment=SSH_COMMENT) for port in sorted(set(ssh_ports))]
    parsed = [parse_rule(rule) for rule in rules]
    by_match: dict[tuple[str, str, str], Rule] = {}
    for rule in (*ssh, *parsed):
        by_match[(rule.port, rule.proto, rule.source)] = rule
    return tuple(by_match.values())


def make_plan(state: State, rules: tuple[Rule, ...], policies: Mapping[str, str]) -> Plan:
    """Compare; `ufw show added` is asked for what is stored, iptables for what is in force."""
    commands = {_without_comment(rule.command()) for rule in rules}
    missing = tuple(rule for rule in rules if not _stored(rule, state))
    missing_live = tuple(rule for rule in rules if not _in_force(rule, state)) if state.enabled else ()
    stored = state.policies or {}
    wrong = tuple((way, policy) for way, policy in policies.items() if stored.get(way) != POLICIES[policy])
    return Plan(
        ipv6=not state.ipv6,
        rules=tuple(rule for rule in rules if rule in missing or rule in missing_live),
        policies=wrong,
        boot=not state.boot,
        enable=not state.enabled,
        reload=state.enabled and bool(missing_live or not state.ipv6 or not policy_in_force(state, policies)),
        undeclared=tuple(command for command in state.added if _without_comment(command) not in commands),
    )


def _without_comment(command: str) -> str:
    return command.split(" comment '", 1)[0]


def _stored(rule: Rule, state: State) -> bool:
    """A rule without a comment of its own is content with any: ufw keeps the old one."""
    stored = state.added if rule.comment else tuple(map(_without_comment, state.added))
    return rule.command() in stored


def _in_force(rule: Rule, state: State) -> bool:
    live = state.live or {}
    return all(line in live[version] for version in rule.versions if version in live for line in rule.live(version))


def policy_in_force(state: State, policies: Mapping[str, str]) -> bool:
    """Does the kernel's INPUT chain have the policy that is wanted?"""
    target = POLICIES[policies["incoming"]]
    # ufw spells reject as a DROP policy with a REJECT rule at the end of its chain.
    line = f"-P INPUT {'ACCEPT' if target == 'ACCEPT' else 'DROP'}"
    return all(line in lines for lines in (state.live or {}).values())


def not_in_force(state: State, rules: tuple[Rule, ...], policies: Mapping[str, str]) -> list[str]:
    """What should be in force by now and isn't, for the error message."""
    wrong = [rule.command() for rule in rules if not _in_force(rule, state)]
    return wrong if policy_in_force(state, policies) else [f"default {policies['incoming']} incoming", *wrong]


def describe(state: State, plan: Plan) -> dict[str, str]:
    """The plan as a diff of what an administrator would read."""
    head = [f"enabled: {state.enabled}".lower()]
    head += [f"default {way}: {target}" for way, target in sorted((state.policies or {}).items())]
    changed = {way: POLICIES[policy] for way, policy in plan.policies}
    after = ["enabled: true"]
    after += [f"default {way}: {target}" for way, target in sorted({**(state.policies or {}), **changed}.items())]
    new = [rule.command() for rule in plan.rules if not _stored(rule, state)]
    replaced = {_without_comment(command) for command in new}
    kept = [command for command in state.added if _without_comment(command) not in replaced]
    return {
        "before": "\n".join([*head, *state.added]) + "\n",
        "after": "\n".join([*after, *kept, *new]) + "\n",
    }


def parse_added(text: str) -> tuple[str, ...]:
    """`ufw show added`: one command a line, each beginning with `ufw `."""
    return tuple(line[4:].strip() for line in text.splitlines() if line.startswith("ufw "))


def parse_shell_file(text: str) -> dict[str, str]:
    """/etc/default/ufw and /etc/ufw/ufw.conf: NAME=value lines."""
    pairs = (
        line.strip().split("=", 1) for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#")
    )
    return {name.strip(): value.strip().strip("\"'") for name, value in pairs}


def stored_policies(defaults: Mapping[str, str]) -> dict[str, str]:
    """The default policies that /etc/default/ufw holds."""
    return {
        "incoming": defaults.get("DEFAULT_INPUT_POLICY", "DROP"),
        "outgoing": defaults.get("DEFAULT_OUTPUT_POLICY", "ACCEPT"),
    }


def ports_of_sshd_config(text: str) -> set[int]:
    """`sshd -T`: `port 22` and `listenaddress 0.0.0.0:2222` lines."""
    return {int(number) for number in re.findall(r"^(?:port |listenaddress \S*:)(\d+)$", text, re.MULTILINE)}


def ports_of_listeners(text: str) -> set[int]:
    """`ss -Hltnp`: the ports on which a process named sshd listens."""
    lines = (line.split() for line in text.splitlines() if '"sshd"' in line)
    return {int(fields[3].rsplit(":", 1)[1]) for fields in lines if fields[3].rsplit(":", 1)[-1].isdigit()}


def port_of_connection(value: str) -> set[int]:
    """SSH_CONNECTION: client address, client port, server address, server port."""
    fields = value.split()
    return {int(fields[3])} if len(fields) == 4 and fields[3].isdigit() else set()
