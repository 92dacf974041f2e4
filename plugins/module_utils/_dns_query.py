# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Asks name servers directly, past /etc/hosts: a certificate authority does not read that file either."""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from ._dns_message import DnsError, parse, question

TIMEOUT = 3.0


def system_servers() -> list[str]:
    """The name servers of this host, each as ADDRESS."""
    try:
        lines = Path("/etc/resolv.conf").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1]


def records(name: str, kind: str, servers: Sequence[str]) -> tuple[str, ...]:
    """The records of a name, from the first server that answers. A server is ADDRESS or ADDRESS:PORT of IPv4.

    Raises:
        DnsError: none answered.
    """
    last: Exception = DnsError("has no server to ask: /etc/resolv.conf names none")
    for server in servers:
        host, _colon, port = server.partition(":") if server.count(":") == 1 else (server, "", "")
        try:
            return _ask(name, kind, (host, int(port or 53)))
        except (OSError, DnsError) as error:
            last = error
    if isinstance(last, DnsError):
        raise last
    raise DnsError(f"does not answer: {', '.join(servers)} ({last})")


def _ask(name: str, kind: str, server: tuple[str, int]) -> tuple[str, ...]:
    number = secrets.randbelow(65536)
    asked = question(name, kind, number)
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.settimeout(TIMEOUT)
        udp.connect(server)
        udp.send(asked)
        answer = parse(udp.recv(4096), kind, number)
    if not answer.truncated:
        return answer.records
    with socket.create_connection(server, timeout=TIMEOUT) as tcp:
        tcp.sendall(struct.pack("!H", len(asked)) + asked)
        with tcp.makefile("rb") as stream:
            size = struct.unpack("!H", stream.read(2))[0]
            return parse(stream.read(size), kind, number).records
