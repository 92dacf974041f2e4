# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The chain DOCKER-USER: what may reach the ports that containers publish. No I/O.

Docker sends such a connection to its container before ufw sees it. This chain is the one that Docker asks first, and
ufw's after.rules is where it survives a reload, a restart of either, and a reboot.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from ._ufw_rules import Rule

CHAIN = "DOCKER-USER"
BEGIN = "# BEGIN quayside: ports that containers publish"
END = "# END quayside: ports that containers publish"
#: The names that Docker gives its bridges; every other one has to be listed.
BRIDGES = ("docker0", "br-+")


class DockerFirewallError(ValueError):
    """DOCKER-USER cannot be owned here, told in one sentence."""


def chain_lines(rules: Iterable[Rule], version: int, bridges: Iterable[str] = ()) -> list[str]:
    """The chain as `iptables -S DOCKER-USER` prints it."""
    inside = [*BRIDGES, *sorted(set(bridges) - {"docker0"})]
    lines = ["-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN", *(f"-i {bridge} -j RETURN" for bridge in inside)]
    for rule in rules:
        if rule.docker and version in rule.versions:
            lines += _openings(rule)
    # By what became of its destination, a published port is known on a bridge of any name.
    lines += ["-m conntrack --ctstate DNAT -j DROP"]
    # And nobody who routes to a container's own address gets in beside the published ports.
    lines += [f"-o {bridge} -m conntrack --ctstate NEW -j DROP" for bridge in inside]
    return [f"-A {CHAIN} {line}" for line in (*lines, "-j RETURN")]


def _openings(rule: Rule) -> list[str]:
    ends = "" if rule.source == "any" else f" -s {ipaddress.ip_network(rule.source)}"
    # The destination is the container's by now, and the one that was asked for stands with the connection.
    asked = "" if rule.destination == "any" else f" --ctorigdst {_bare(rule.destination)}"
    ends += f" -i {rule.interface}" if rule.interface else ""
    protos = ("tcp", "udp") if rule.proto == "any" else (rule.proto,)
    return [
        f"{ends} -p {proto} -m conntrack{asked} --ctorigdstport {rule.port} --ctdir ORIGINAL -j RETURN".strip()
        for proto in protos
    ]


def _bare(text: str) -> str:
    network = ipaddress.ip_network(text)
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def block(lines: Sequence[str]) -> str:
    """The chain as a section of its own for iptables-restore; declaring the chain empties it first."""
    return "\n".join([BEGIN, "*filter", f":{CHAIN} - [0:0]", *lines, "COMMIT", END]) + "\n"


def without_block(text: str) -> str:
    """An after.rules as it would be without us."""
    head, begin, rest = text.partition(BEGIN)
    if not begin:
        return text
    _ours, end, tail = rest.partition(END)
    return head.rstrip("\n") + "\n" + (tail.lstrip("\n") if end else "")


def with_block(text: str, lines: Sequence[str], path: str) -> str:
    """An after.rules with our section at its end.

    Raises:
        DockerFirewallError: it has lines of its own for the same chain.
    """
    rest = without_block(text)
    foreign = [line.strip() for line in rest.splitlines() if CHAIN in line and not line.lstrip().startswith("#")]
    if foreign:
        raise DockerFirewallError(
            f"{path} has a {CHAIN} of its own ('{foreign[0]}'), which this one would empty; remove that section "
            "(its openings become ufw_rules with docker: true), or set ufw_docker to false to keep it."
        )
    return rest.rstrip("\n") + "\n\n" + block(lines)


def check_backend(driver: str) -> None:
    """Refuse an engine whose rules this chain cannot come before."""
    if driver.startswith("nftables"):
        raise DockerFirewallError(
            f"Docker's firewall backend is '{driver}', which has no {CHAIN}: its published ports would be open to "
            "everybody; set 'firewall-backend' to 'iptables' in docker_daemon_options."
        )


def names_of_bridges(networks: Iterable[dict[str, object]]) -> list[str]:
    """The bridges with names of their own among Docker's networks (`GET /networks`)."""
    names = set()
    for network in networks:
        options = network.get("Options")
        name = str(options.get("com.docker.network.bridge.name") or "") if isinstance(options, dict) else ""
        if network.get("Driver") == "bridge" and name and name != "docker0" and not name.startswith("br-"):
            names.add(name)
        if network.get("Name") == "docker_gwbridge":
            names.add("docker_gwbridge")
    return sorted(names)
