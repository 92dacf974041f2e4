# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Whether a host has what a second copy of an app needs: memory, disk, ports, the right machine. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ._listeners import Listener, sentence

MIB, GIB = 1 << 20, 1 << 30
#: Logs, manifests and the containers' own files need some room in every deploy, with or without a new image.
LEAST_FREE = 128 * MIB
COMFORTABLE_FREE = GIB
#: An image of a Node or Python app holds 20,000 to 60,000 files.
LEAST_INODES = 20_000
#: No app starts in a tenth of its own limit: below that the kernel would kill it, or the release that has the traffic.
LEAST_MEMORY_SHARE = 0.1

_ENGINE = "dockerd"
_UNITS = {"k": 1 << 10, "m": MIB, "g": GIB}


@dataclass(frozen=True)
class Space:
    """What is free on the file system of a path; inodes are None where the file system makes them as needed."""

    path: str
    free: int
    inodes: int | None = None


@dataclass(frozen=True)
class Published:
    """A container that publishes a port of this host; app is empty where the container is none of an app."""

    port: int
    container: str
    app: str = ""


@dataclass(frozen=True)
class Facts:
    """A host as it was found. memory is None where the kernel does not tell; serving: a copy of the app runs."""

    memory: int | None = None
    serving: bool = False
    spaces: tuple[Space, ...] = ()
    listeners: tuple[Listener, ...] = ()
    published: tuple[Published, ...] = ()


def size_bytes(size: str) -> int:
    """Return the bytes of a size such as 512k, 10m or 1g."""
    return int(size[:-1]) * _UNITS[size[-1]]


def size_words(size: int) -> str:
    """Return a size as people say it: 1.5 GiB, 300 MiB."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size // MIB} MiB"


def available_memory(meminfo: str) -> int | None:
    """Return the bytes that /proc/meminfo calls available."""
    for line in meminfo.splitlines():
        name, _colon, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def platform_problem(image: str, found: str, wanted: str) -> str:
    """Return what is wrong with an image's platform (os/architecture); empty if nothing is, or it names none."""
    if found.strip("/") in {"", wanted}:
        return ""
    return f"{image} is for {found}; this host needs {wanted}: build it for that platform."


def space_problem(space: Space, needed: int, what_for: str, inodes: int = LEAST_INODES) -> str:
    """Return one sentence where a file system has too little room; empty if it has enough."""
    fix = (
        'remove what is not needed ("docker system df" shows what Docker holds, "docker builder prune" empties its '
        "build cache, a smaller app_container_keep_releases keeps fewer images), or enlarge the disk"
    )
    if space.free < needed:
        return f"{space.path} has {size_words(space.free)} free, and {what_for} needs {size_words(needed)}; {fix}."
    if space.inodes is not None and space.inodes < inodes:
        return f"{space.path} has {space.inodes} inodes free, and {what_for} needs {inodes}; {fix}."
    return ""


def problems(
    app: Mapping[str, Any], facts: Facts, *, ports: Collection[int], ready: bool = False
) -> tuple[list[str], list[str]]:
    """Return what keeps a deploy from starting, and what deserves a warning, one sentence each.

    Args:
        app: an entry of `quayside_apps` in normal form.
        facts: of the host.
        ports: those that the new copy will publish.
        ready: whether the new copy runs already, so that it takes nothing more.
    """
    errors, warnings = ([], []) if ready else _memory(app, facts)
    for space in facts.spaces:
        if problem := space_problem(space, LEAST_FREE, "a deploy", inodes=LEAST_INODES // 20):
            errors.append(problem)
        elif problem := space_problem(space, COMFORTABLE_FREE, "a deploy in comfort"):
            warnings.append(problem)
    if not ready:
        errors += _ports(app["name"], facts, set(ports))
    label = f'app "{app["name"]}"'
    return [f"{label}: {error}" for error in errors], [f"{label}: {warning}" for warning in warnings]


def _memory(app: Mapping[str, Any], facts: Facts) -> tuple[list[str], list[str]]:
    """The limits are for the worst hour; most apps use a fraction. So a shortage of the whole is but a warning."""
    copy = size_bytes(app["resources"]["memory"]) * app["replicas"]
    if facts.memory is None or facts.memory >= copy:
        return [], []
    beside = " beside the one that has the traffic" if facts.serving else ""
    said = (
        f"{size_words(facts.memory)} of memory are available, and a new copy{beside} may use {size_words(copy)} "
        f'(replicas: {app["replicas"]}, resources.memory: "{app["resources"]["memory"]}"); '
        "stop what is not needed, lower resources.memory or replicas, or use a larger host."
    )
    return ([said], []) if facts.memory < copy * LEAST_MEMORY_SHARE else ([], [said])


def _ports(app: str, facts: Facts, ports: Collection[int]) -> Iterable[str]:
    publishers = {item.port: item for item in facts.published if item.port in ports}
    for port, item in sorted(publishers.items()):
        if item.app != app:
            yield (
                f"port {port}: container {item.container} publishes it, but the app's idle slot needs it; "
                f'remove the container ("docker rm --force {item.container}") or give it another port, then run again.'
            )
    taken = {item.port: item for item in facts.listeners if item.port in ports and item.port not in publishers}
    for port, listener in sorted(taken.items()):
        if listener.process == _ENGINE:
            # Seen with Docker 26 after a power cut in mid-start. It can't be freed in any other way.
            yield (
                f"port {port}: Docker holds it for a container that is gone, but the app's idle slot needs it; "
                'run "systemctl restart docker" at a quiet hour (the apps go on running, but can\'t be reached for '
                "some seconds), then run again."
            )
        else:
            yield sentence(listener, "the app's idle slot") + "."
