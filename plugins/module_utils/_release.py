# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Releases of an app: what runs in which slot, and what has to happen so that a wanted release is live.

A slot (blue or green) is one whole copy of an app: its web containers, its workers and its jobs. The live slot is
the one that the flag file names. Pure: no I/O, the clock is passed in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ._app_containers import JOB, WEB, Container, Wanted

SLOTS = ("blue", "green")

#: Keys of an app that shape its containers; a change of any other key needs no new release.
_CONTAINER_KEYS = (
    "image_id", "command", "port", "replicas", "env", "workers", "jobs", "resources", "volumes", "user", "read_only",
    "cap_add", "stop_timeout",
)  # fmt: skip


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
    """When it failed, or became live for the last time."""
    by: str = ""
    reason: str = ""
    before: str = ""
    """The release that had the traffic when this one was brought out; where a rollback goes."""
    schema: tuple[str, ...] | None = None
    """The state of the database that the release was brought out with, as db_migrate tells it; None if unknown."""
    steps: Mapping[str, float] = field(default_factory=dict)
    proof: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        """Read a record; keys of other versions of this collection are passed over."""
        known = {item.name: data[item.name] for item in fields(cls) if item.name in data}
        schema = data.get("schema")
        return cls(**{**known, "schema": tuple(schema) if isinstance(schema, list) else None})


@dataclass(frozen=True)
class Stored:
    """All that a release is made of, kept in `releases/<id>.env.json` so that a rollback restores it whole."""

    app: Mapping[str, Any]
    """One entry of `quayside_apps` in normal form, without its secrets."""
    secrets: Mapping[str, str] = field(repr=False)
    image_id: str = ""


@dataclass(frozen=True)
class Plan:
    """What to do. Nothing to do: every field but `release`, `slot` and `warm` is empty."""

    release: str
    slot: str
    """The slot that is live afterwards."""
    switch: bool = False
    """The release is not live yet: it is to be gated and made live."""
    flip: bool = False
    """The flag has to change."""
    remove: tuple[str, ...] = ()
    """Leftovers in the way: containers without traffic, removed first."""
    start: tuple[Wanted, ...] = ()
    """Containers that the release lacks in its slot."""
    keep: tuple[str, ...] = ()
    """Live containers that would not come back at boot yet."""
    retire: tuple[str, ...] = ()
    """Containers of the slot that is not live afterwards: drained, stopped, removed."""

    @property
    def changed(self) -> bool:
        return bool(self.switch or self.flip or self.remove or self.start or self.keep or self.retire)

    @property
    def ready(self) -> bool:
        """The release was kept warm: its web containers run and only lack the traffic."""
        return self.switch and not any(item.kind == WEB for item in self.start)


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
    # When a job runs is its timer's business, not its container's.
    shape["jobs"] = [{"name": job["name"], "command": job["command"]} for job in app["jobs"]]
    shape.update({"image_id": image_id, "secrets": dict(secret), "slot_port": slot_port})
    text = json.dumps(shape, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def serving(found: Iterable[Container], live_slot: str) -> list[Container]:
    """Return the containers that have the traffic."""
    return [c for c in found if c.slot == live_slot and c.kind == WEB and c.running]


def plan(
    live_slot: str,
    found: Iterable[Container],
    fingerprints: Mapping[str, str],
    *,
    wanted: Mapping[str, tuple[Wanted, ...]],
    wanted_fingerprint: str,
    new_release: str,
    warm: str = "",
) -> Plan:
    """Decide how the wanted release becomes the live one.

    Args:
        live_slot: the slot the flag names.
        found: the app's containers on the host.
        fingerprints: of every recorded release, by its id.
        wanted: the containers of the wanted release, for each slot.
        wanted_fingerprint: of the wanted release.
        new_release: the id to use if the release is not live yet.
        warm: the id of a release whose web containers stay up beside the live one for now.
    """
    found = list(found)
    traffic = serving(found, live_slot)
    releases = {container.release for container in traffic}
    web = [item for item in wanted[live_slot] if item.kind == WEB]
    if len(releases) == 1 and len(traffic) == len(web):
        release = next(iter(releases))
        if fingerprints.get(release) == wanted_fingerprint:
            return _converged(release, live_slot, found, wanted[live_slot], warm)
    # Where nothing of the live slot runs there is no traffic to keep, and so no slot to switch away from.
    target = other_slot(live_slot) if traffic else live_slot
    there = [container for container in found if container.slot == target]
    # Only a release that is asked for by its id can be there already: kept warm, or from a run that was killed.
    same = fingerprints.get(new_release) == wanted_fingerprint
    good = [c for c in there if same and any(c.is_(item, new_release) for item in wanted[target])]
    return Plan(
        release=new_release,
        slot=target,
        switch=True,
        flip=target != live_slot,
        remove=tuple(c.name for c in there if c not in good and not c.busy),
        start=_missing(wanted[target], good, new_release),
        retire=tuple(c.name for c in found if c.slot != target and not c.busy),
    )


def _converged(release: str, slot: str, found: list[Container], wanted: tuple[Wanted, ...], warm: str) -> Plan:
    """The wanted release has the traffic: finish what an interrupted run may have left undone."""
    live = [container for container in found if container.slot == slot]
    good = [c for c in live if any(c.is_(item, release) for item in wanted)]
    stays = [c for c in found if c.slot != slot and c.kind == WEB and c.running and c.release == warm]
    return Plan(
        release=release,
        slot=slot,
        remove=tuple(c.name for c in live if c not in good and not c.busy),
        start=_missing(wanted, good, release),
        keep=tuple(c.name for c in good if not c.kept and c.kind != JOB),
        retire=tuple(c.name for c in found if c.slot != slot and c not in stays and not c.busy),
    )


def _missing(wanted: Iterable[Wanted], good: Iterable[Container], release: str) -> tuple[Wanted, ...]:
    good = list(good)
    return tuple(item for item in wanted if not any(c.is_(item, release) for c in good))


def previous(manifests: Iterable[Manifest], live_release: str) -> Manifest | None:
    """Return the release that was live before the live one and is not the same under another id.

    Not the one with the next older id: that may be one which was rolled back from, for good reasons.
    """
    recorded = {manifest.release: manifest for manifest in manifests}
    live = here = recorded.get(live_release)
    seen: set[str] = set()
    while live and here and here.before not in seen:
        seen.add(here.before)
        here = recorded.get(here.before)
        if here and here.result == "live" and here.fingerprint != live.fingerprint:
            return here
    return None


def prune(manifests: Iterable[Manifest], live_release: str, keep: int) -> tuple[list[Manifest], set[str]]:
    """Return the releases to forget and the image ids that they alone used.

    The live release and the `keep` others that have been live most recently stay, and with them their images. A
    failed release never pushes out a good one.
    """
    manifests = list(manifests)
    others = [m for m in manifests if m.result == "live" and m.release != live_release]
    kept = {m.release for m in sorted(others, key=lambda m: (m.finished, m.release), reverse=True)[:keep]}
    kept.add(live_release)
    gone = [m for m in manifests if m.release not in kept]
    return gone, {m.image_id for m in gone} - {m.image_id for m in manifests if m.release in kept}


def schema_problem(manifest: Manifest, state: tuple[str, ...] | None, live_release: str) -> str | None:
    """Return why a recorded release can't work with the database as it is now, or None if it can as far as known."""
    if manifest.schema is None or state is None or set(manifest.schema) == set(state):
        return None
    found = [
        f"only {when}: {', '.join(sorted(items))}"
        for when, items in (("then", set(manifest.schema) - set(state)), ("now", set(state) - set(manifest.schema)))
        if items
    ]
    return (
        f'app "{manifest.app}": release "{manifest.release}" was brought out with another schema than the database has '
        f"now ({'; '.join(found)}); if it works with that all the same, set app_container_allow_schema_ahead, else "
        f'stay with "{live_release}" or bring out a version that does.'
    )


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
