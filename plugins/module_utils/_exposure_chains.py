# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading the lines of `iptables -S` for what they let in. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Port:
    number: int
    proto: str

    def __str__(self) -> str:
        return f"{self.number}/{self.proto}"


#: What ufw's own before.rules let in: answers of DHCP, and multicast of mDNS and UPnP.
STOCK = frozenset(Port(number, "udp") for number in (68, 546, 1900, 5353))

_LINE = re.compile(r"^-A (\S+) (?:(.*) )?-j (\S+)")
_USER = re.compile(r"^ufw6?-user-(?:input|output)$")
_OURS = re.compile(r"^ufw6?-")
_HARMLESS = ("-i lo ", "RELATED,ESTABLISHED", "-p icmp ", "-p ipv6-icmp ")


def is_user_rule(line: str) -> bool:
    """Is it a line by which a rule of ufw's decides? A limit counts first and decides in its last line."""
    found = _LINE.match(line)
    return bool(found and _USER.match(found[1]) and re.match(r"ACCEPT|DROP|REJECT|ufw6?-user-limit-accept", found[3]))


def plain(line: str) -> str:
    """The line without its way of refusing."""
    return line.split(" --reject-with ", 1)[0]


def short(line: str) -> str:
    """The line in the spelling of IPv4, so that a rule of both versions is told once."""
    return line.replace(" ufw6-", " ufw-")


def effect(line: str) -> str:
    """What a rule of ufw's does, in two words."""
    found = _LINE.match(line)
    if not found or found[3] in ("DROP", "REJECT"):
        return "refuses it"
    return "lets it out" if found[1].endswith("-output") else "lets it in"


def subject(line: str) -> str:
    """What the line is about, as `80/tcp`."""
    port = re.search(r"--(?:dports?|ctorigdstport) (\S+)", line)
    proto = re.search(r"-p (\S+)", line)
    return f"{port[1] if port else 'every port'}/{proto[1] if proto else 'any'}"


def openings_beside_ufw(lines: Sequence[str]) -> Iterator[str]:
    """The lines that let somebody in through INPUT without being a rule of ufw's or of its stock files."""
    pending, known = ["INPUT"], {"INPUT"}
    while pending:
        chain = pending.pop(0)
        for line in lines:
            found = _LINE.match(line)
            if not found or found[1] != chain:
                continue
            target = found[3]
            if target == "ACCEPT" and not _is_stock(chain, f"{found[2] or ''} "):
                yield line
            elif target not in known and any(other.startswith(f"-A {target} ") for other in lines):
                known.add(target)
                if not _USER.match(target):
                    pending.append(target)


def _is_stock(chain: str, match: str) -> bool:
    if any(part in match for part in _HARMLESS):
        return True
    port = re.search(r"-p (\S+) .*--dport (\d+)", match)
    if not _OURS.match(chain):
        return False
    return Port(int(port[2]), port[1]) in STOCK if port else "--dports" not in match


def led_elsewhere(lines: Sequence[str]) -> Iterator[tuple[Port, str]]:
    """The ports that the table nat leads to another address, except those of loopback."""
    for line in lines:
        found = re.match(r"^-A \S+ (.*)-j DNAT ", line)
        port = re.search(r"-p (\S+) .*--dport (\d+)", line)
        if found and port and not re.search(r"-d (127\.|::1/)", found[1]):
            yield Port(int(port[2]), port[1]), line


def asked_first(lines: Sequence[str], chain: str) -> bool:
    """Does FORWARD jump to this chain before anything of Docker's could let a packet through?"""
    forward = [line for line in lines if line.startswith("-A FORWARD ")]
    # Docker's isolation of networks refuses and lets nothing in. Without ip6tables Docker forwards nothing over IPv6,
    # and ufw's policy is what stands there.
    letting = re.compile(r"-j (?:DOCKER(?!-ISOLATION)|ACCEPT$)")
    first = next((line for line in forward if letting.search(line)), None)
    return first in (None, f"-A FORWARD -j {chain}")
