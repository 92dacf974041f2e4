# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A deploy from start to end: look, get the image, migrate, switch, prune, record. The order behind app_release."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from . import _app_jobs_host, _preflight_host, _release_schema, _release_wanted
from ._app_containers import wanted_containers
from ._release import (
    SLOTS,
    Manifest,
    Plan,
    Stored,
    describe_diff,
    fingerprint,
    plan,
    prune,
    release_id,
    serving,
)
from ._release_host import AppHost, ReleaseError
from ._release_request import Request
from ._release_steps import Steps
from ._release_switch import Switch
from ._release_upstreams import Upstreams


@dataclass(frozen=True)
class State:
    """What was found on the host."""

    slot: str
    live: str
    """The release that has the traffic, or nothing."""
    plan: Plan
    stored: Stored
    manifest: Manifest
    """Of the planned release."""


class Deploy:
    """One deploy or rollback of one app.

    Args:
        host: the app's host.
        request: what is wanted.
        steps: where the time of each step goes.
        check: only look.
    """

    def __init__(self, host: AppHost, request: Request, steps: Steps, *, check: bool = False) -> None:
        self.host = host
        self.records = host.records
        self.request = request
        self.steps = steps
        self.check = check
        self.migration: dict[str, Any] = {}
        self.timers_changed = False
        self.upstreams_changed = False

    def run(self) -> dict[str, Any]:
        """Make what is wanted live, or with `check` tell what that would mean.

        Raises:
            ReleaseError: it could not be, and why.
        """
        stored, recorded = self._wanted()
        state = self._plan(stored, recorded)
        self.steps.about(state.plan.release)
        with self.steps("preflight"):
            self._preflight(state)
        if self.check:
            self._migrate(state)
            self._set_upstreams(state)
            self._set_timers(state)
            return self._result(state, removed=self._prunable(state)[1])
        if state.plan.switch:
            self.records.record(state.manifest, stored)
        switch = self._switch(state)
        try:
            self._migrate(state)
            if state.plan.changed:
                switch.run()
        except BaseException:
            # A release that has been live stays a good one to go back to, even if it does not start today.
            if state.plan.switch and state.manifest.result != "live":
                self.records.finish(state.manifest, "failed", steps=self.steps.seconds)
            raise
        removed = self._conclude(state, switch)
        try:
            self._set_upstreams(state)
            self._set_timers(state)
            if state.plan.switch and stored.app["hooks"]["post_deploy"]:
                with self.steps("post_deploy"):
                    self.host.run_hook(stored, state.plan.slot, state.plan.release, "post_deploy")
        except ReleaseError as error:
            raise ReleaseError(f'{error}\nRelease {state.plan.release} of app "{self.host.name}" is live.') from error
        return self._result(state, removed=removed, switch=switch)

    # What is there, and what follows

    def _wanted(self) -> tuple[Stored, str | None]:
        """Return what is to be live, and its id where it is an old release."""
        if self.request.release:
            return _release_wanted.recorded(self.host, self.request)
        with self.steps("image"):
            return _release_wanted.listed(self.host, self.request, check=self.check), None

    def slot_port(self) -> int:
        port = self.request.slot_port or self.records.slot_port()
        if port is None:
            raise ReleaseError(
                f'app "{self.host.name}": no ports are recorded for it on this host; run site.yml first.'
            )
        return port

    def _plan(self, stored: Stored, recorded: str | None) -> State:
        found, slot, slot_port = self.host.containers(), self.records.live_slot(), self.slot_port()
        traffic = serving(found, slot)
        mark = fingerprint(stored.app, stored.image_id, stored.secrets, slot_port)
        manifests = {manifest.release: manifest for manifest in self.records.manifests()}
        stamp = time.gmtime()
        planned = plan(
            slot,
            found,
            {release: manifest.fingerprint for release, manifest in manifests.items()},
            wanted={each: wanted_containers(stored.app, each, slot_port) for each in SLOTS},
            wanted_fingerprint=mark,
            new_release=recorded or release_id(time.strftime("%Y%m%dT%H%M%SZ", stamp), stored.image_id),
            warm=self.records.warm(time.time()),
        )
        manifest = manifests.get(planned.release) or Manifest(
            release=planned.release,
            app=self.host.name,
            image=stored.app["image"],
            image_id=stored.image_id,
            fingerprint=mark,
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", stamp),
            by=self.request.by,
            reason=self.request.reason,
            before=traffic[0].release if traffic else "",
        )
        return State(slot, traffic[0].release if traffic else "", planned, stored, manifest)

    def _preflight(self, state: State) -> None:
        if not state.plan.switch:
            return
        errors, warnings = _preflight_host.problems(
            self.host.api,
            state.stored.app,
            slot_port=self.slot_port(),
            slot=state.plan.slot,
            ready=state.plan.ready,
        )
        for warning in warnings:
            self.host.notify(warning)
        if errors:
            raise ReleaseError(" ".join(errors))

    # What is done

    def _migrate(self, state: State) -> None:
        """Bring the database to the schema of the image; never for a rollback, which must not change it."""
        if self.request.release or not self.request.database_url or not state.stored.app["migrate"]:
            return
        with self.steps("migrate"):
            try:
                self.migration = _release_schema.migrate(self.request, state.stored, check=self.check)
            except _release_schema.MigrationFailed as error:
                self.migration = error.result
                raise
        for warning in self.migration.get("warnings", ()):
            self.host.notify(warning)

    def _switch(self, state: State) -> Switch:
        return Switch(
            self.host,
            state.plan,
            state.stored,
            wanted_containers(state.stored.app, state.plan.slot, self.slot_port()),
            self.slot_port(),
            self.request.verify_port,
            self.steps,
            self._upstreams(state),
            before=state.live,
            again=bool(self.request.release) and state.manifest.result == "live",
        )

    def _conclude(self, state: State, switch: Switch) -> list[str]:
        """Record that the release is live, and forget what is too old."""
        after = self.migration.get("after")
        # A run that was killed after its last change has not recorded that the release is live.
        if state.plan.switch or state.manifest.result != "live" or self.migration.get("changed"):
            found: dict[str, Any] = {}
            if state.plan.switch:
                found = {"steps": self.steps.seconds, "proof": _proof(switch)}
            if after is not None:
                found["schema"] = tuple(after)
            self.records.finish(state.manifest, "live", **found)
        with self.steps("prune"):
            gone, images = self._prunable(state)
            removed = self.host.remove_images(images)
            self.records.forget(gone)
        return removed

    def _prunable(self, state: State) -> tuple[list[Manifest], list[str]]:
        gone, images = prune(self.records.manifests(), state.plan.release, self.request.keep_releases)
        return gone, sorted(images - {state.stored.image_id})

    def _set_timers(self, state: State) -> None:
        """Have the jobs run by their calendar. A schedule may have changed while the release has not."""
        with self.steps("jobs"):
            try:
                self.timers_changed = _app_jobs_host.apply(state.stored.app, check=self.check)
            except _app_jobs_host.JobsError as error:
                raise ReleaseError(str(error)) from error

    def _upstreams(self, state: State) -> Upstreams | None:
        if not self.request.verify_port:
            return None
        return Upstreams(self.host.name, self.slot_port(), state.stored.app["replicas"])

    def _set_upstreams(self, state: State) -> None:
        """Have both slots' upstreams list as many replicas as the release has, as site.yml would."""
        if upstreams := self._upstreams(state):
            self.upstreams_changed = upstreams.serve(check=self.check)

    def _result(self, state: State, *, removed: list[str], switch: Switch | None = None) -> dict[str, Any]:
        beside = self.timers_changed or self.upstreams_changed or bool(self.migration.get("changed"))
        changed = state.plan.changed or state.manifest.result != "live" or beside
        before = self.records.stored(state.live) if state.live else None
        diff: dict[str, Any] = describe_diff(before, state.stored) if state.plan.changed else {}
        if changed:
            diff = diff or {"before": {}, "after": {}}
            diff["before"].update(slot=state.slot, release=state.live)
            diff["after"].update(slot=state.plan.slot, release=state.plan.release)
            if self.migration.get("changed"):
                diff["after"]["migrations"] = self.migration.get("pending") or self.migration.get("msg", "")
            if removed:
                diff["after"]["pruned_images"] = removed
        return {
            "changed": changed,
            "msg": self._message(state, switch, changed=changed),
            "release": state.plan.release,
            "previous": state.live,
            "slot": state.plan.slot,
            "image_id": state.stored.image_id,
            "steps": self.steps.seconds,
            "proof": _proof(switch),
            "migration": {key: value for key, value in self.migration.items() if key != "diff"},
            "pruned": removed,
            "diff": diff,
        }

    def _message(self, state: State, switch: Switch | None, *, changed: bool) -> str:
        name, release = self.host.name, state.plan.release
        if self.check:
            return f'app "{name}": release {release} would be {"made live" if state.plan.switch else "completed"}.'
        if not state.plan.switch:
            return f'app "{name}": release {release} is live{", and is complete again" if changed else ""}.'
        seen = f", {switch.proof.sentence()}" if switch and switch.proof else ""
        return f'app "{name}": release {release} is live in slot {state.plan.slot}{seen}.'


def _proof(switch: Switch | None) -> dict[str, Any]:
    """What the probe saw, in the form of the result and the record."""
    found = asdict(switch.proof) if switch and switch.proof else {}
    found.pop("waiting_ms", None)
    return found
