# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reading what ufw, sshd and the shell's files say. No I/O."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

_TUPLE = re.compile(r"^### tuple ### (.*?)(?: comment=\S+)?$", re.MULTILINE)


@dataclass(frozen=True)
class Connection:
    """The SSH connection that brought this process here."""

    client: str
    port: int
    client_port: int = 0
    user: str = ""


def parse_added(text: str) -> tuple[str, ...]:
    """`ufw show added`: one command a line, each beginning with `ufw `."""
    return tuple(line[4:].strip() for line in text.splitlines() if line.startswith("ufw "))


def parse_order(text: str) -> tuple[str, ...]:
    """user.rules: above each rule stands a comment that names it, in the order in which they decide."""
    return tuple(_TUPLE.findall(text))


def with_chains(text: str) -> tuple[str, int]:
    """A file of rules with the chains that ufw makes before it loads the file, and how many lines that added."""
    declared = set(re.findall(r"(?m)^:(\S+)", text))
    missing = sorted(set(re.findall(r"(?m)^-A .*-j (ufw\S+)", text)) - declared)
    added = "".join(f":{name} - [0:0]\n" for name in missing)
    return text.replace("*filter\n", f"*filter\n{added}", 1), len(missing)


def refused_line(said: str, text: str, added: int) -> str:
    """What iptables-restore objects to: its own words, and the line of the file."""
    words = " ".join(said.split("Try `", 1)[0].split())
    number = re.search(r"line:? (\d+)", said)
    lines = text.splitlines()
    index = int(number[1]) - added if number else 0
    if not 0 < index <= len(lines):
        return words
    return f"line {index} is '{lines[index - 1].strip()}' ({words})"


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
        "routed": defaults.get("DEFAULT_FORWARD_POLICY", "DROP"),
    }


def ports_of_sshd_config(text: str) -> set[int]:
    """`sshd -T`: `port 22` and `listenaddress 0.0.0.0:2222` lines."""
    return {int(number) for number in re.findall(r"^(?:port |listenaddress \S*:)(\d+)$", text, re.MULTILINE)}


def ports_of_listeners(text: str) -> set[int]:
    """`ss -Hltnp`: the ports on which a process named sshd listens."""
    lines = (line.split() for line in text.splitlines() if '"sshd"' in line)
    return {int(fields[3].rsplit(":", 1)[1]) for fields in lines if fields[3].rsplit(":", 1)[-1].isdigit()}


def ports_of_socket(text: str) -> set[int]:
    """`systemctl show ssh.socket`: where systemd listens for sshd, as Ubuntu has it."""
    if "ActiveState=active" not in text.splitlines():
        return set()
    return {int(number) for number in re.findall(r"^Listen=\S*?:?(\d+) \(Stream\)$", text, re.MULTILINE)}


def parse_connection(value: str) -> Connection | None:
    """SSH_CONNECTION: client address, client port, server address, server port."""
    fields = value.split()
    if len(fields) != 4 or not fields[3].isdigit():
        return None
    # An address of one link carries the interface; one of IPv4 may come in the form of IPv6.
    text = fields[0].split("%", 1)[0]
    with suppress(ValueError):
        address = ipaddress.ip_address(text)
        text = str(getattr(address, "ipv4_mapped", None) or address)
    return Connection(text, int(fields[3]), int(fields[1]) if fields[1].isdigit() else 0)
