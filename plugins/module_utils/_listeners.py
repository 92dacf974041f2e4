# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Who listens on a TCP port of this host, read from /proc: needs no tool, so it works on a bare host too."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"


@dataclass(frozen=True)
class Socket:
    address: str
    port: int
    inode: str


@dataclass(frozen=True)
class Listener:
    """A listening socket and its process; the process is None when it cannot be seen."""

    address: str
    port: int
    process: str | None = None
    pid: int | None = None
    unit: str | None = None


def _address(text: str) -> str:
    # The kernel prints each 32-bit word in the host's byte order, which is little-endian on what we support.
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))


def parse_tcp(text: str) -> list[Socket]:
    """The listening sockets in /proc/net/tcp or /proc/net/tcp6."""
    sockets = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == _LISTEN:
            address, port = fields[1].split(":")
            sockets.append(Socket(_address(address), int(port, 16), fields[9]))
    return sockets


def unit_of(cgroup: str) -> str | None:
    """The systemd service in /proc/PID/cgroup, if any."""
    match = re.search(r"/([^/\n]+\.service)(?:/|$)", cgroup, re.MULTILINE)
    return match[1] if match else None


def intruders(listeners: Iterable[Listener], allowed: Collection[str]) -> list[Listener]:
    """The listeners that are not one of the allowed processes, once per port and process."""
    strangers = [listener for listener in listeners if listener.process not in allowed]
    return list({(listener.port, listener.pid): listener for listener in reversed(strangers)}.values())[::-1]


def sentence(listener: Listener, wanted_by: str) -> str:
    """Names the process in the way and how to move it."""
    who = f"{listener.process} (pid {listener.pid})" if listener.process else "a process that only root can see"
    if listener.unit:
        fix = f"stop it with 'systemctl disable --now {listener.unit}'"
    elif listener.pid == 1:
        fix = "stop the socket unit that 'systemctl list-sockets' shows for it"
    elif listener.pid:
        fix = f"stop process {listener.pid}"
    else:
        fix = f"find it with 'ss -ltnp sport = :{listener.port}' and stop it"
    return (
        f"port {listener.port}: {who} listens on {_shown(listener.address)}:{listener.port}, but {wanted_by} "
        f"needs this port; {fix} or move it to another port, then run again"
    )


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _owners(inodes: Collection[str], proc: Path) -> dict[str, int]:
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    owners: dict[str, int] = {}
    for process in sorted((p for p in proc.iterdir() if p.name.isdigit()), key=lambda p: int(p.name)):
        for link in _links(process / "fd"):
            if link in wanted:
                owners.setdefault(wanted[link], int(process.name))
    return owners


def _links(folder: Path) -> list[str]:
    links = []
    with suppress(OSError):  # The process is gone meanwhile, or another user's.
        for link in folder.iterdir():
            with suppress(OSError):  # It closed this one meanwhile.
                links.append(str(link.readlink()))
    return links


def listeners_on(ports: Collection[int], proc: Path = Path("/proc")) -> list[Listener]:
    """Who listens on any of these ports, on any address."""
    tables = (parse_tcp(_read(proc / "net" / name)) for name in ("tcp", "tcp6"))
    sockets = [socket for table in tables for socket in table if socket.port in ports]
    if not sockets:
        return []
    owners = _owners({socket.inode for socket in sockets}, proc)
    found = []
    for socket in sockets:
        pid = owners.get(socket.inode)
        folder = proc / str(pid)
        found.append(
            Listener(
                socket.address,
                socket.port,
                process=_read(folder / "comm").strip() or None if pid else None,
                pid=pid,
                unit=unit_of(_read(folder / "cgroup")) if pid else None,
            )
        )
    return sorted(found, key=lambda listener: (listener.port, listener.address))
