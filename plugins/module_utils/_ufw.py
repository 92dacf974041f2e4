# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What ufw should hold, what it holds, and the steps between the two. No I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from . import _ufw_docker
from ._ufw_rules import RANKS, Rule

POLICIES = {"deny": "DROP", "reject": "REJECT", "allow": "ACCEPT"}
#: The chain of the kernel that a default policy of ufw is about.
CHAINS = {"incoming": "INPUT", "outgoing": "OUTPUT", "routed": "FORWARD"}
AFTER = {4: "/etc/ufw/after.rules", 6: "/etc/ufw/after6.rules"}


@dataclass(frozen=True)
class State:
    """What the host has now.

    Attributes:
        live: by IP version the lines of `iptables -S`.
        order: by IP version the rules in the order in which they decide, in the words of ufw's own files.
        after: by IP version the text of after.rules.
        recorded: the rules that an earlier run declared, as commands.
    """

    installed: bool = False
    enabled: bool = False
    ipv6: bool = True
    boot: bool = True
    policies: Mapping[str, str] | None = None
    logging: str = "low"
    added: tuple[str, ...] = ()
    live: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    order: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    after: Mapping[int, str] = field(default_factory=dict)
    recorded: Collection[str] = ()


@dataclass(frozen=True)
class Wanted:
    """What was declared; without `docker` DOCKER-USER is left alone."""

    rules: tuple[Rule, ...] = ()
    policies: Mapping[str, str] = field(default_factory=dict)
    logging: str = "low"
    docker: bool = True
    bridges: tuple[str, ...] = ()
    purge: bool = False

    @property
    def own(self) -> tuple[Rule, ...]:
        """The rules that ufw itself holds."""
        return tuple(rule for rule in self.rules if not rule.docker)

    def chain(self, version: int) -> list[str]:
        """DOCKER-USER as it should be; without us it lets everything through."""
        if not self.docker:
            return [f"-A {_ufw_docker.CHAIN} -j RETURN"]
        return _ufw_docker.chain_lines(self.rules, version, self.bridges)


@dataclass(frozen=True)
class Plan:
    """The steps to take, in order; nothing to do when it is empty."""

    ipv6: bool = False
    rules: tuple[Rule, ...] = ()
    removed: tuple[str, ...] = ()
    moved: tuple[Rule, ...] = ()
    files: Mapping[int, str] = field(default_factory=dict)
    chains: tuple[int, ...] = ()
    policies: tuple[tuple[str, str], ...] = ()
    logging: str = ""
    boot: bool = False
    enable: bool = False
    reload: bool = False
    undeclared: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return any(value for name, value in vars(self).items() if name != "undeclared")


def make_plan(state: State, wanted: Wanted) -> Plan:
    """Compare; ufw is asked for what is stored, iptables for what is in force."""
    stored_matches = {match_of(command) for command in state.added}
    wanted_matches = {match_of(rule.command()) for rule in wanted.own}
    strangers = [command for command in state.added if match_of(command) not in wanted_matches]
    ours = [command for command in strangers if wanted.purge or without_comment(command) in state.recorded]
    # Nothing but its match says that a rule is there, and ufw keeps its place when what it does is changed.
    turned = _turned(state.added, wanted.own)
    missing = [rule for rule in wanted.own if not _stored(rule, state) or rule.command() in turned.values()]
    fresh = [r for r in missing if match_of(r.command()) not in stored_matches or r.command() in turned.values()]
    lost = [rule for rule in wanted.own if not in_force(rule, state)] if state.enabled else []
    stored = state.policies or {}
    files = _files(state, wanted)
    chains = tuple(v for v in state.live if list(_chain(state, v)) != wanted.chain(v) and (wanted.docker or files))
    return Plan(
        ipv6=not state.ipv6,
        rules=tuple(rule for rule in wanted.own if rule in missing or rule in lost),
        removed=tuple(without_comment(command) for command in [*ours, *turned]),
        moved=_misplaced(state, wanted.own, fresh),
        files=files,
        chains=chains if state.installed else (),
        policies=tuple(item for item in wanted.policies.items() if stored.get(item[0]) != POLICIES[item[1]]),
        logging=wanted.logging if state.logging != wanted.logging else "",
        boot=not state.boot,
        enable=not state.enabled,
        reload=state.enabled and not (set(lost) <= set(missing) and policies_in_force(state, wanted) and state.ipv6),
        undeclared=tuple(command for command in strangers if command not in ours),
    )


def without_comment(command: str) -> str:
    return command.split(" comment '", 1)[0]


def match_of(command: str) -> str:
    """What a rule is about, without what it does to it."""
    return _rest(without_comment(command))


def _rest(text: str) -> str:
    return text.partition(" ")[2]


def stored_form(rule: Rule, version: int) -> str:
    """The rule as the comment in ufw's own user.rules names it."""
    anywhere = "0.0.0.0/0" if version == 4 else "::/0"
    ends = [anywhere if text == "any" else _short(text) for text in (rule.destination, rule.source)]
    way = rule.direction + (f"_{rule.interface}" if rule.interface else "")
    return f"{rule.action} {rule.proto} {rule.port} {ends[0]} any {ends[1]} {way}"


def _short(text: str) -> str:
    network = ipaddress.ip_network(text)
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def _turned(added: Sequence[str], rules: Sequence[Rule]) -> dict[str, str]:
    """Stored rules that are to do the opposite: such a one has to be made anew, at another place."""
    stored = {match_of(command): command for command in added}
    found = {}
    for rule in rules:
        before = stored.get(match_of(rule.command()))
        if before and (RANKS.get(before.split(" ", 1)[0], 1) == 0) != (RANKS[rule.action] == 0):
            found[before] = rule.command()
    return found


def _misplaced(state: State, rules: Sequence[Rule], new: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules that would not be where their order puts them once the new ones are in."""
    moved: set[Rule] = set()
    for version, stored in state.order.items():
        for direction in ("in", "out"):
            mine = [r for r in rules if version in r.versions and r.direction == direction]
            # Without the action, which ufw changes in place.
            by_form = {_rest(stored_form(rule, version)): rule for rule in mine if rule not in new}
            there = [by_form[_rest(form)] for form in stored if _rest(form) in by_form]
            first = [rule for rule in mine if rule in new and RANKS[rule.action] == 0]
            last = [rule for rule in mine if rule in new and RANKS[rule.action] > 0]
            ranks = [RANKS[rule.action] for rule in (*first, *there, *last)]
            for rank, rule in zip(ranks[len(first) :], there):
                position = len(first) + there.index(rule)
                late = rank == 0 and any(ranks[:position])
                early = rank == 2 and any(other < 2 for other in ranks[position:])
                moved |= {rule} if late or early else set()
    return tuple(rule for rule in rules if rule in moved)


def _stored(rule: Rule, state: State) -> bool:
    """A rule without a comment of its own is content with any: ufw keeps the old one."""
    stored = state.added if rule.comment else tuple(map(without_comment, state.added))
    return rule.command() in stored


def _chain(state: State, version: int) -> list[str]:
    return [line for line in state.live.get(version, ()) if line.startswith(f"-A {_ufw_docker.CHAIN} ")]


def _files(state: State, wanted: Wanted) -> dict[int, str]:
    files = {}
    for version, text in state.after.items():
        if wanted.docker:
            after = _ufw_docker.with_block(text, wanted.chain(version), AFTER[version])
        else:
            after = _ufw_docker.without_block(text)
        if after != text:
            files[version] = after
    return files


def in_force(rule: Rule, state: State) -> bool:
    """Does the kernel have the rule? A refusal's way of refusing stands behind its target."""
    for version in set(rule.versions) & set(state.live):
        if not all(any(_same(line, found) for found in state.live[version]) for line in rule.live(version)):
            return False
    return True


def _same(line: str, found: str) -> bool:
    return found == line or found.startswith(f"{line} --reject-with ")


def policies_in_force(state: State, wanted: Wanted) -> bool:
    """Do the kernel's chains have the policies that are wanted?"""
    # ufw spells reject as a DROP policy with a REJECT rule at the end of its chain.
    lines = [f"-P {CHAINS[way]} {'ACCEPT' if policy == 'allow' else 'DROP'}" for way, policy in wanted.policies.items()]
    return all(line in found for found in state.live.values() for line in lines)


def not_in_force(state: State, wanted: Wanted) -> list[str]:
    """What should be in force by now and isn't, for the error message."""
    wrong = [rule.command() for rule in wanted.own if not in_force(rule, state)]
    wrong += [
        f"the chain {_ufw_docker.CHAIN}" for v in state.live if wanted.docker and _chain(state, v) != wanted.chain(v)
    ]
    if not policies_in_force(state, wanted):
        wrong.insert(0, "default " + ", ".join(f"{policy} {way}" for way, policy in wanted.policies.items()))
    return wrong


def describe(state: State, wanted: Wanted, plan: Plan) -> dict[str, str]:
    """The plan as a diff of what an administrator would read."""
    stored = dict(state.policies or {})
    after = {**stored, **{way: POLICIES[policy] for way, policy in plan.policies}}
    new = [rule.command() for rule in plan.rules if not _stored(rule, state)]
    replaced = {match_of(command) for command in new}
    kept = [c for c in state.added if match_of(c) not in replaced and without_comment(c) not in plan.removed]
    return {
        "before": _text(state.enabled, state.logging, stored, state.added, {v: _chain(state, v) for v in plan.chains}),
        "after": _text(True, wanted.logging, after, [*kept, *new], {v: wanted.chain(v) for v in plan.chains}),
    }


def _text(
    enabled: bool,
    logging: str,
    policies: Mapping[str, str],
    commands: Sequence[str],
    chains: Mapping[int, Sequence[str]],
) -> str:
    lines = [f"enabled: {enabled}".lower(), f"logging: {logging}"]
    lines += [f"default {way}: {target}" for way, target in sorted(policies.items())]
    lines += [*commands, *(f"ipv{version} {line}" for version, found in chains.items() for line in found)]
    return "\n".join(lines) + "\n"
