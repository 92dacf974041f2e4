# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Where an app lives on a host: its folder, its flag, and its loopback ports."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

#: Loopback ports of the slots. They lie below Linux's default ip_local_port_range (32768-60999), so that no
#: outgoing connection takes one. Each app owns a block: the first half is blue's, the second green's.
FIRST_SLOT_PORT = 21000
LAST_SLOT_PORT = 29999
SLOT_BLOCK = 20
MAX_REPLICAS = SLOT_BLOCK // 2

APPS_DIRECTORY = "/var/lib/quayside/apps"
#: Where the role app_container keeps what images are built from: `<app>.git` or `<app>.copy`.
SOURCES_DIRECTORY = "/var/lib/quayside/sources"
#: Where a host records the first slot port of each app.
PORTS_RECORD = "/var/lib/quayside/ports.json"


class PortError(ValueError):
    """An app can't have its ports; the text names the app, what was found and what is accepted."""


def app_directory(name: str) -> str:
    return f"{APPS_DIRECTORY}/{name}"


def flag_path(name: str) -> str:
    """Return the file whose presence makes the green slot live; without it blue is."""
    return f"{app_directory(name)}/green"


def maintenance_path(name: str) -> str:
    """Return the file whose presence makes nginx answer 503 for the app."""
    return f"{app_directory(name)}/maintenance"


def slot_ports(base: int, replicas: int) -> dict[str, list[int]]:
    """Return the loopback ports of both slots in an app's block of ports."""
    return {
        "blue": [base + n for n in range(replicas)],
        "green": [base + MAX_REPLICAS + n for n in range(replicas)],
    }


def assign_ports(
    apps: Iterable[Mapping[str, Any]], recorded: Mapping[str, int], in_use: Collection[int] = ()
) -> dict[str, int]:
    """Return the first slot port of every app: the one it asks for, the one recorded, or the next free block.

    What was recorded for apps that are no longer listed stays theirs: their containers may still run. A block with a
    port of `in_use` is passed over.

    Raises:
        PortError: a port asked for is recorded for another app, or no block is free.
    """
    ports = dict(recorded)
    listed = list(apps)
    for app in listed:
        if app["slot_port"] is not None:
            ports[app["name"]] = app["slot_port"]
    for app in listed:
        if app["name"] not in ports:
            ports[app["name"]] = _free_block(app["name"], ports.values(), in_use)
    for app in listed:
        base = ports[app["name"]]
        for other, taken in ports.items():
            if other != app["name"] and abs(taken - base) < SLOT_BLOCK:
                raise PortError(
                    f'app "{app["name"]}": slot_port is {base}, and {taken} is recorded for app "{other}"; '
                    f"accepted: ports at least {SLOT_BLOCK} apart."
                )
    return ports


def _free_block(name: str, taken: Iterable[int], in_use: Collection[int]) -> int:
    taken = list(taken)
    for base in range(FIRST_SLOT_PORT, LAST_SLOT_PORT, SLOT_BLOCK):
        if all(abs(base - other) >= SLOT_BLOCK for other in taken) and not any(
            base <= port < base + SLOT_BLOCK for port in in_use
        ):
            return base
    raise PortError(f'app "{name}": no block of slot ports is free from {FIRST_SLOT_PORT} to {LAST_SLOT_PORT}.')
