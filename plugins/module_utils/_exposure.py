# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is declared against what can be reached: the comparison, on facts that were read before. No I/O."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from . import _exposure_chains as chains
from . import _ufw_docker
from ._exposure_chains import Port
from ._ufw_rules import RANKS, Rule


@dataclass(frozen=True)
class Published:
    """A port of a container on an address of the host."""

    container: str
    address: str
    port: Port


@dataclass(frozen=True)
class Seen:
    """What the host has.

    Attributes:
        enabled: whether ufw will be in force after a reboot.
        filter: by IP version the lines of `iptables -S`; `nat` those of its table nat.
        listeners: who listens on an address that is not loopback, with the name of the process where it is known.
        engine: whether Docker runs.
    """

    enabled: bool
    filter: Mapping[int, tuple[str, ...]]
    nat: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    listeners: Mapping[Port, str] = field(default_factory=dict)
    published: tuple[Published, ...] = ()
    bridges: tuple[str, ...] = ()
    engine: bool = False


@dataclass(frozen=True)
class Declared:
    """What the host should offer."""

    rules: tuple[Rule, ...]
    docker: bool = True
    closed: bool = True
    strict: bool = False
    ignored: Collection[str] = ()


@dataclass(frozen=True)
class Finding:
    """One difference; `drift` is what fails an audit, the others are told."""

    subject: str
    text: str
    drift: bool = True

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}"


def audit(declared: Declared, seen: Seen) -> list[Finding]:
    """Every difference, each subject's first one, those that open something before the others."""
    found: dict[tuple[str, str], Finding] = {}
    guarded = _guarded(declared, seen)
    for finding in (
        *_firewall(declared, seen),
        *_published(declared, seen),
        *_openings(declared, seen),
        *_docker_user(declared, seen),
        *_listeners(declared, seen, guarded),
        *_unused(declared, seen),
    ):
        if finding.subject not in declared.ignored:
            found.setdefault((finding.subject, finding.text), finding)
    return sorted(found.values(), key=lambda finding: not finding.drift)


def _guarded(declared: Declared, seen: Seen) -> bool:
    return declared.closed and bool(seen.filter) and not list(_firewall(declared, seen))


def _firewall(declared: Declared, seen: Seen) -> Iterator[Finding]:
    if not declared.closed:
        return
    if not seen.enabled:
        yield Finding("ufw", "it is not enabled, so that nothing is filtered after a reboot; run site.yml")
    if not seen.filter:
        yield Finding("iptables", "the kernel's rules cannot be read, or iptables is missing; run site.yml")
    for version, lines in seen.filter.items():
        if "-P INPUT DROP" not in lines:
            yield Finding(f"IPv{version}", "the kernel lets in what no rule refuses (INPUT has no DROP); run site.yml")
        elif not any(re.match(r"-A INPUT -j ufw6?-before-input$", line) for line in lines):
            yield Finding(f"IPv{version}", "ufw's chains are not asked by INPUT; run `ufw reload`")


def _openings(declared: Declared, seen: Seen) -> Iterator[Finding]:
    for version, lines in seen.filter.items():
        wanted = {line for rule in declared.rules if version in rule.versions for line in _user_lines(rule, version)}
        live = [chains.plain(line) for line in lines if chains.is_user_rule(line)]
        for line in live:
            if line not in wanted:
                text = f"a rule that nobody declares {chains.effect(line)}: `{chains.short(line)}`; {_FIX_RULE}"
                yield Finding(chains.subject(line), text)
        for line in sorted(wanted - set(live)):
            yield Finding(chains.subject(line), f"declared, and not in force over IPv{version}: `{line}`; run site.yml")
        for line in chains.openings_beside_ufw(lines):
            yield Finding(
                chains.subject(line), f"a rule beside ufw's own lets it in: `{chains.short(line)}`; {_FIX_RULE}"
            )


_FIX_RULE = "declare it in ufw_rules, or remove it"


def _user_lines(rule: Rule, version: int) -> list[str]:
    return [] if rule.docker else rule.live(version)


def _published(declared: Declared, seen: Seen) -> Iterator[Finding]:
    by_port = {item.port: item for item in reversed(seen.published) if not _is_loopback(item.address)}
    led = {port: line for lines in seen.nat.values() for port, line in chains.led_elsewhere(lines)}
    for port in sorted({*by_port, *led}):
        if opening_of(declared.rules, port, docker=True):
            continue
        closed = declared.docker and not list(_docker_user(declared, seen))
        state = "DOCKER-USER keeps it closed for now" if closed else "it is open to everybody"
        item = by_port.get(port)
        if item:
            fix = f"publish it on 127.0.0.1, or declare {{port: {port.number}, docker: true}} in ufw_rules"
            text = f"container {item.container} publishes it on {item.address}, which nobody declares ({state}); {fix}"
        else:
            text = f"a rule that nobody declares leads it elsewhere: `{led[port]}` ({state}); remove it or declare it"
        yield Finding(str(port), text)


def _docker_user(declared: Declared, seen: Seen) -> Iterator[Finding]:
    if not declared.docker:
        return
    for version, lines in seen.filter.items():
        live = [line for line in lines if line.startswith(f"-A {_ufw_docker.CHAIN} ")]
        if live != _ufw_docker.chain_lines(declared.rules, version, seen.bridges):
            yield Finding(_ufw_docker.CHAIN, f"it is not as declared over IPv{version}; run site.yml")
        elif seen.engine and not chains.asked_first(lines, _ufw_docker.CHAIN):
            yield Finding(
                _ufw_docker.CHAIN, f"FORWARD does not ask it before it lets containers' traffic in over IPv{version}"
            )


def _listeners(declared: Declared, seen: Seen, guarded: bool) -> Iterator[Finding]:
    published = {item.port for item in seen.published} | {
        port for lines in seen.nat.values() for port, _line in chains.led_elsewhere(lines)
    }
    for port, process in sorted(seen.listeners.items()):
        if port in published or opening_of(declared.rules, port, docker=False) or port in chains.STOCK:
            continue
        who = process or "a process"
        if guarded:
            text = f"{who} listens on every address and only the firewall hides it; bind it to 127.0.0.1"
        else:
            text = f"{who} listens on every address, open to everybody and not declared; {_FIX_RULE}"
        yield Finding(str(port), text, drift=declared.strict or not guarded)


def _unused(declared: Declared, seen: Seen) -> Iterator[Finding]:
    behind = [*seen.listeners, *(item.port for item in seen.published)]
    for rule in declared.rules:
        if rule.direction != "in" or RANKS[rule.action] == 0 or rule.port == "any":
            continue
        if not any(_about(rule, port) for port in behind):
            yield Finding(f"{rule.port}/{rule.proto}", "declared open, and nothing listens", drift=declared.strict)


def opening_of(rules: Iterable[Rule], port: Port, docker: bool) -> Rule | None:
    """The rule that opens this port to anybody, if there is one."""
    openings = (r for r in rules if r.docker is docker and r.direction == "in" and RANKS[r.action] > 0)
    return next((rule for rule in openings if _about(rule, port)), None)


def _about(rule: Rule, port: Port) -> bool:
    if rule.proto not in ("any", port.proto):
        return False
    low, high = (rule.port.split(":") * 2)[:2] if rule.port != "any" else ("1", "65535")
    return int(low) <= port.number <= int(high)


def _is_loopback(address: str) -> bool:
    return bool(address) and ipaddress.ip_address(address).is_loopback


def parse_sockets(text: str, proto: str) -> list[tuple[str, Port]]:
    """The listening sockets in /proc/net/tcp, tcp6, udp or udp6: address and port."""
    # A UDP socket that has no peer takes from anybody.
    state = "0A" if proto == "tcp" else "07"
    rows = (line.split() for line in text.splitlines()[1:])
    return [_endpoint(row[1], proto) for row in rows if len(row) > 3 and row[3] == state]


def _endpoint(text: str, proto: str) -> tuple[str, Port]:
    # The kernel prints each 32-bit word in the host's byte order, which is little-endian on what we support.
    address, number = text.split(":")
    words = [bytes.fromhex(address[start : start + 8])[::-1] for start in range(0, len(address), 8)]
    return str(ipaddress.ip_address(b"".join(words))), Port(int(number, 16), proto)


def public_ports(sockets: Iterable[tuple[str, Port]]) -> set[Port]:
    """The ports that others than this host could reach. A client's own UDP ports are none that anybody offers."""
    return {
        port
        for address, port in sockets
        if not _is_loopback(address) and not (port.proto == "udp" and port.number >= 32768)
    }
