# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What _preflight asks of a host: its memory, disks, ports and machine. Only I/O, and little of it."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from . import _preflight
from ._app_places import APPS_DIRECTORY, slot_ports
from ._listeners import listeners_on
from ._preflight import Facts, Published, Space, available_memory

_CONTAINERD = "/var/lib/containerd"


def space(path: str) -> Space:
    """What is free where a path lies, or will lie."""
    found = os.statvfs(_existing(path))
    return Space(path, found.f_bavail * found.f_frsize, found.f_favail if found.f_files else None)


def image_folder(info: Mapping[str, Any]) -> str | None:
    """Return where the engine of this `docker info` keeps images; None if that is not on this machine."""
    driver = dict(info.get("DriverStatus") or [])
    # With containerd's image store the data root holds only containers.
    folder = _CONTAINERD if str(driver.get("driver-type", "")).startswith("io.containerd") else info["DockerRootDir"]
    return str(folder) if Path(folder).is_dir() else None


def platform(api: Any) -> str:
    """Return the engine's platform, such as linux/amd64."""
    host = api.version()
    return f"{host['Os']}/{host['Arch']}"


def image_platform(api: Any, image: str) -> str:
    """Return the platform of an image on this host; only a slash where it names none."""
    details = api.inspect_image(image)
    return f"{details.get('Os') or ''}/{details.get('Architecture') or ''}"


def look(api: Any, app: str, ports: Collection[int]) -> Facts:
    """Find out what `problems` judges."""
    folders = filter(None, [image_folder(api.info()), APPS_DIRECTORY])
    running = [(item, (item.get("Labels") or {}).get("quayside.app", "")) for item in api.containers()]
    published = {
        port["PublicPort"]: Published(port["PublicPort"], item["Names"][0].lstrip("/"), owner)
        for item, owner in running
        for port in item.get("Ports") or []
        if port.get("PublicPort") in ports and port["Type"] == "tcp"
    }
    return Facts(
        memory=available_memory(Path("/proc/meminfo").read_text(encoding="utf-8")),
        serving=any(owner == app for _item, owner in running),
        spaces=_one_each(list(folders)),
        listeners=tuple(listeners_on(set(ports) - published.keys())),
        published=tuple(published.values()),
    )


def problems(
    api: Any, app: Mapping[str, Any], *, slot_port: int, slot: str, ready: bool = False
) -> tuple[list[str], list[str]]:
    """Return what keeps an app from starting in a slot of this host, and what deserves a warning.

    Args:
        api: the low-level Docker client.
        app: an entry of `quayside_apps` in normal form.
        slot_port: the first port of the app's block.
        slot: the one that the new copy is for.
        ready: whether that copy runs there already.
    """
    ports = slot_ports(slot_port, app["replicas"])[slot]
    return _preflight.problems(app, look(api, app["name"], ports), ports=ports, ready=ready)


def _existing(path: str) -> Path:
    return next(place for place in (Path(path), *Path(path).parents) if place.exists())


def _one_each(folders: list[str]) -> tuple[Space, ...]:
    """One entry for each file system, since folders on the same one would say the same twice."""
    by_device = {_existing(folder).stat().st_dev: folder for folder in reversed(folders)}
    return tuple(space(folder) for folder in reversed(by_device.values()))
