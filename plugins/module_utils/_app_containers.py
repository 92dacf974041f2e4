# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The containers of a release: which there are, how they are recognised, and the sandbox they run in. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._app_places import slot_ports

WEB = "web"
WORKER = "worker"
JOB = "job"
HOOK = "hook"
LABEL = "quayside."
#: What containers weigh against each other while the processors are busy; 1024 is Docker's default. A release that is
#: starting, a hook and a job stand back behind what serves users.
STARTING_WEIGHT, LIVE_WEIGHT = 256, 1024


@dataclass(frozen=True)
class Container:
    """A container of an app as it was found on the host."""

    name: str
    slot: str
    process: str
    number: int
    release: str
    running: bool
    kept: bool = True
    """Whether its restart policy brings it back at boot, as it must be for a live one."""
    kind: str = WEB

    @property
    def busy(self) -> bool:
        """A job in the middle of its work; it is left to finish, whatever becomes of its release."""
        return self.kind == JOB and self.running

    def is_(self, wanted: Wanted, release: str) -> bool:
        """Whether it is there as wanted. A job only has to exist: its timer starts it."""
        same = (self.process, self.number, self.release) == (wanted.process, wanted.number, release)
        return same and (self.running or wanted.kind == JOB)


@dataclass(frozen=True)
class Wanted:
    """A container that a release needs."""

    process: str
    number: int
    command: tuple[str, ...] | None
    port: int | None = None
    overlap: bool = True
    kind: str = WEB

    def name(self, app: str, slot: str, release: str) -> str:
        """Return its name. A job's has the release in it, because the job of an older one may still be at work."""
        return f"{app}-{slot}-{self.process}-{release if self.kind == JOB else self.number}"


def wanted_containers(app: Mapping[str, Any], slot: str, slot_port: int) -> tuple[Wanted, ...]:
    """Return the containers of a release in a slot: the web replicas first, then the workers, then the jobs."""
    command = tuple(app["command"]) if app["command"] else None
    ports = slot_ports(slot_port, app["replicas"])[slot]
    web = [Wanted(WEB, number, command, port) for number, port in enumerate(ports, 1)]
    workers = [
        Wanted(worker["name"], number, tuple(worker["command"]), None, worker["overlap"], WORKER)
        for worker in app["workers"]
        for number in range(1, worker["replicas"] + 1)
    ]
    jobs = [Wanted(job["name"], 1, tuple(job["command"]), kind=JOB) for job in app["jobs"]]
    return (*web, *workers, *jobs)


def environment(app: Mapping[str, Any], secret: Mapping[str, str], release: str, slot: str) -> dict[str, str]:
    """Return the environment of a release's containers."""
    own = {"QUAYSIDE_APP": app["name"], "QUAYSIDE_RELEASE": release, "QUAYSIDE_SLOT": slot}
    return {**app["env"], **secret, **own}


def host_options(app: Mapping[str, Any], item: Wanted) -> dict[str, Any]:
    """Return the sandbox of a container, as arguments of the Docker SDK's `create_host_config`."""
    resources = app["resources"]
    options: dict[str, Any] = {
        "init": True,
        # Not before it is live: a half-deployed container must not come back at boot.
        "restart_policy": {"Name": "no"},
        "read_only": app["read_only"],
        "tmpfs": {"/tmp": "rw,nosuid,nodev,mode=1777,size=64m"} if app["read_only"] else None,  # noqa: S108
        "cap_drop": ["ALL"],
        "cap_add": app["cap_add"],
        "security_opt": ["no-new-privileges"],
        "mem_limit": resources["memory"],
        "memswap_limit": resources["memory"],
        "pids_limit": resources["pids"],
        "cpu_shares": STARTING_WEIGHT,
        "binds": app["volumes"],
    }
    if resources["cpus"]:
        options["nano_cpus"] = int(resources["cpus"] * 1_000_000_000)
    if item.port is not None:
        options["port_bindings"] = {app["port"]: ("127.0.0.1", item.port)}
    return options


def labels(app: str, slot: str, item: Wanted, release: str) -> dict[str, str]:
    """Return what `Container`s are recognised by later."""
    values = {"app": app, "slot": slot, "process": item.process, "number": str(item.number), "release": release}
    return {LABEL + key: value for key, value in {**values, "kind": item.kind}.items()}


def recognised(details: Mapping[str, Any]) -> Container | None:
    """Return the container that the Docker API describes, or None if it is no part of a slot."""
    found = details["Config"]["Labels"] or {}
    label = {key[len(LABEL) :]: value for key, value in found.items() if key.startswith(LABEL)}
    if "slot" not in label:
        return None
    state = details["State"]
    return Container(
        name=details["Name"].lstrip("/"),
        slot=label["slot"],
        process=label["process"],
        number=int(label["number"]),
        release=label["release"],
        running=state["Running"] and not state["Restarting"],
        kept=details["HostConfig"]["RestartPolicy"]["Name"] != "no",
        kind=label.get("kind", WEB if label["process"] == WEB else WORKER),
    )
