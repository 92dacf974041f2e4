# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What this host offers: listeners, ports that containers publish, rules in force. Only I/O, and all of it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import _docker_api, _ufw_host, _ufw_output
from ._exposure import Published, Seen, parse_sockets, public_ports
from ._exposure_chains import Port
from ._host_run import Run
from ._listeners import listeners_on
from ._ufw_docker import names_of_bridges


def read_seen(run: Run, known: set[int], proc: Path = Path("/proc")) -> Seen:
    """Read everything; the processes are looked up only behind ports that are not `known`."""
    live = _ufw_host.read_live(run)
    containers = _docker_api.get("/containers/json")
    config = _ufw_host.CONFIG.read_text(encoding="utf-8") if _ufw_host.CONFIG.exists() else ""
    boot = _ufw_host.output(run, "systemctl", "is-enabled", "ufw.service").strip() == "enabled"
    return Seen(
        enabled=boot and _ufw_output.parse_shell_file(config).get("ENABLED") == "yes",
        filter=live,
        nat={version: _nat(run, version) for version in live},
        listeners=_listeners(known, proc),
        published=tuple(_published(containers or [])),
        bridges=tuple(names_of_bridges(_docker_api.get("/networks") or [])),
        engine=containers is not None,
    )


def _nat(run: Run, version: int) -> tuple[str, ...]:
    return tuple(_ufw_host.output(run, _ufw_host.TOOLS[version], "-t", "nat", "-S").splitlines())


def _listeners(known: set[int], proc: Path) -> dict[Port, str]:
    sockets = []
    for name in ("tcp", "tcp6", "udp", "udp6"):
        table = proc / "net" / name
        if table.exists():
            sockets += parse_sockets(table.read_text(encoding="utf-8"), name[:3])
    ports = public_ports(sockets)
    strange = {port.number for port in ports if port.proto == "tcp"} - known
    names = {listener.port: listener.process or "" for listener in listeners_on(strange, proc)} if strange else {}
    return {port: names.get(port.number, "") if port.proto == "tcp" else "" for port in ports}


def _published(containers: list[dict[str, Any]]) -> list[Published]:
    return [
        Published(
            container=str((container.get("Names") or ["?"])[0]).lstrip("/"),
            address=str(port.get("IP") or "::"),
            port=Port(int(port["PublicPort"]), str(port["Type"])),
        )
        for container in containers
        for port in container.get("Ports") or []
        if port.get("PublicPort")
    ]
