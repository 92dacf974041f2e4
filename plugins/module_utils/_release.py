# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Releases of an app: what runs in which slot, and what has to happen so that a wanted release is live.

A slot (blue or green) is one whole copy of an app: its web containers and its workers. The live slot is the one
that the flag file names. Pure: no I/O, the clock is passed in.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._apps import APPS_DIRECTORY, slot_ports

WEB = "web"
LABEL = "quayside."

#: Keys of an app that shape its containers; a change of any other key needs no new release.
_CONTAINER_KEYS = (
    "image_id", "command", "port", "replicas", "env", "workers", "resources", "volumes", "user", "read_only",
    "cap_add", "stop_timeout",
)  # fmt: skip


@dataclass(frozen=True)
class Container:
    """A container of this app as it was found on the host."""

    name: str
    slot: str
    process: str
    number: int
    release: str
    running: bool
    kept: bool = True
    """Whether its restart policy brings it back at boot, as it must be for a live one."""


@dataclass(frozen=True)
class Wanted:
    """A container that a release needs."""

    process: str
    number: int
    command: tuple[str, ...] | None
    port: int | None = None
    overlap: bool = True

    def name(self, app: str, slot: str) -> str:
        return f"{app}-{slot}-{self.process}-{self.number}"


@dataclass(frozen=True)
class Manifest:
    """What is recorded of a release, in `releases/<id>.json`; it holds no secret."""

    release: str
    app: str
    image: str
    image_id: str
    fingerprint: str
    result: str = "started"
    """`started`, `live` (it has been live), or `failed`."""
    started: str = ""
    finished: str = ""
    by: str = ""
    reason: str = ""
    schema: str = ""
    steps: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Stored:
    """All that a release is made of, kept in `releases/<id>.env.json` so that a rollback restores it whole."""

    app: Mapping[str, Any]
    """One entry of `quayside_apps` in normal form, without its secrets."""
    secrets: Mapping[str, str] = field(repr=False)
    image_id: str = ""


@dataclass(frozen=True)
class Plan:
    """What to do. Nothing to do: every field but `release` and `slot` is empty."""

    release: str
    slot: str
    """The slot that is live afterwards."""
    fresh: bool = False
    """The whole release is to be started in `slot`, gated, and made live."""
    flip: bool = False
    """The flag has to change."""
    remove: tuple[str, ...] = ()
    """Leftovers in the way: containers without traffic, removed first."""
    start: tuple[Wanted, ...] = ()
    """Containers that the live release lacks."""
    keep: tuple[str, ...] = ()
    """Live containers that would not come back at boot yet."""
    retire: tuple[str, ...] = ()
    """Containers of the slot that is not live afterwards: drained, stopped, removed."""

    @property
    def changed(self) -> bool:
        return bool(self.fresh or self.flip or self.remove or self.start or self.keep or self.retire)


def app_directory(name: str) -> str:
    return posixpath.join(APPS_DIRECTORY, name)


def other_slot(slot: str) -> str:
    return "green" if slot == "blue" else "blue"


def release_id(stamp: str, image_id: str) -> str:
    """Return an id that sorts by time and tells the image: `20261121T030000Z-1f2e3d4c`."""
    return f"{stamp}-{image_id.rpartition(':')[2][:8]}"


def fingerprint(app: Mapping[str, Any], image_id: str, secret: Mapping[str, str], slot_port: int) -> str:
    """Return a hash over all that shapes the containers; the same fingerprint means nothing to deploy.

    It covers secrets, so it belongs in 0600 files only.
    """
    shape = {key: app.get(key) for key in _CONTAINER_KEYS}
    shape.update({"image_id": image_id, "secrets": dict(secret), "slot_port": slot_port})
    text = json.dumps(shape, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def wanted_containers(app: Mapping[str, Any], slot: str, slot_port: int) -> tuple[Wanted, ...]:
    """Return the containers of a release in a slot: the web replicas first, then the workers."""
    command = tuple(app["command"]) if app["command"] else None
    ports = slot_ports(slot_port, app["replicas"])[slot]
    web = [Wanted(WEB, number, command, port) for number, port in enumerate(ports, 1)]
    workers = [
        Wanted(worker["name"], number, tuple(worker["command"]), None, worker["overlap"])
        for worker in app["workers"]
        for number in range(1, worker["replicas"] + 1)
    ]
    return tuple(web + workers)


def plan(
    live_slot: str,
    found: Iterable[Container],
    fingerprints: Mapping[str, str],
    *,
    wanted: Mapping[str, tuple[Wanted, ...]],
    wanted_fingerprint: str,
    new_release: str,
) -> Plan:
    """Decide how the wanted release becomes the live one.

    Args:
        live_slot: the slot the flag names.
        found: the app's containers on the host.
        fingerprints: of every recorded release, by its id.
        wanted: the containers of the wanted release, for each slot.
        wanted_fingerprint: of the wanted release.
        new_release: the id to use if a new release must start.
    """
    found = list(found)
    live = [container for container in found if container.slot == live_slot]
    other = [container for container in found if container.slot != live_slot]
    serving = [container for container in live if container.process == WEB and container.running]
    web_wanted = [item for item in wanted[live_slot] if item.process == WEB]
    releases = {container.release for container in serving}
    if len(releases) == 1 and len(serving) == len(web_wanted):
        release = next(iter(releases))
        if fingerprints.get(release) == wanted_fingerprint:
            return _converged(release, live_slot, live, other, wanted[live_slot])
    # Where nothing of the live slot runs there is no traffic to keep, and so no slot to switch away from.
    target = other_slot(live_slot) if serving else live_slot
    return Plan(
        release=new_release,
        slot=target,
        fresh=True,
        flip=target != live_slot,
        remove=tuple(container.name for container in found if container.slot == target),
        retire=tuple(container.name for container in found if container.slot != target),
    )


def _converged(
    release: str, slot: str, live: list[Container], other: list[Container], wanted: tuple[Wanted, ...]
) -> Plan:
    """The wanted release has the traffic: finish what an interrupted run may have left undone."""
    good = {(c.process, c.number) for c in live if c.running and c.release == release}
    missing = tuple(item for item in wanted if (item.process, item.number) not in good)
    in_the_way = tuple(c.name for c in live if not (c.running and c.release == release))
    return Plan(
        release=release,
        slot=slot,
        remove=in_the_way,
        start=missing,
        keep=tuple(c.name for c in live if c.running and c.release == release and not c.kept),
        retire=tuple(c.name for c in other),
    )


def previous(manifests: Iterable[Manifest], live_release: str) -> Manifest | None:
    """Return the newest release before the live one that has been live and is not the same under another id."""
    recorded = {manifest.release: manifest for manifest in manifests}
    live = recorded.get(live_release)
    candidates = [
        m
        for m in recorded.values()
        if m.result == "live" and m.release < live_release and not (live and m.fingerprint == live.fingerprint)
    ]
    return max(candidates, key=lambda m: m.release, default=None)


def prune(manifests: Iterable[Manifest], live_release: str, keep: int) -> tuple[list[Manifest], set[str]]:
    """Return the releases to forget and the image ids that they alone used.

    The live release and the newest `keep` others that have been live stay, and with them their images. A failed
    release never pushes out a good one.
    """
    ordered = sorted(manifests, key=lambda m: m.release, reverse=True)
    good = [m for m in ordered if m.result == "live" and m.release != live_release][:keep]
    kept = {m.release for m in good} | {live_release}
    gone = [m for m in ordered if m.release not in kept]
    kept_images = {m.image_id for m in ordered if m.release in kept}
    return gone, {m.image_id for m in gone} - kept_images


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
    return {LABEL + key: value for key, value in values.items()}


def health_params(app: Mapping[str, Any], release: str) -> dict[str, Any]:
    """Return the app's `health`, with the placeholder `{release}` in expected values replaced by the release's id."""
    expect = {
        path: value.replace("{release}", release) if isinstance(value, str) else value
        for path, value in app["health"]["expect"].items()
    }
    return {**app["health"], "expect": expect}


def summary(app: Mapping[str, Any], image_id: str, secret: Mapping[str, str]) -> dict[str, Any]:
    """Return what a diff may show of a release: secrets by name only."""
    shape: dict[str, Any] = {key: app.get(key) for key in _CONTAINER_KEYS}
    shape.update({"image": app["image"], "image_id": image_id, "secrets": dict.fromkeys(sorted(secret), "(secret)")})
    return shape


def describe_diff(before: Stored | None, after: Stored) -> dict[str, dict[str, Any]]:
    """Return a diff of two releases that names the secrets and never shows them."""
    new = summary(after.app, after.image_id, after.secrets)
    if before is None:
        return {"before": {}, "after": new}
    for name, value in after.secrets.items():
        if before.secrets.get(name, value) != value:
            new["secrets"][name] = "(another secret)"
    return {"before": summary(before.app, before.image_id, before.secrets), "after": new}
