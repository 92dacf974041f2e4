# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The switch itself: a plan carried out on the host, undone where it fails before it is done."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from ._app_containers import JOB, WEB, WORKER, Wanted
from ._app_places import MAX_REPLICAS, slot_ports
from ._nginx_upstreams import upstream_name
from ._release import Plan, Stored, other_slot
from ._release_checks import Checks, public_url
from ._release_host import AppHost, ReleaseError
from ._release_steps import Steps
from ._release_upstreams import Upstreams
from ._traffic import Summary
from ._traffic_probe import TrafficProbe
from ._traffic_watch import Watch


@dataclass
class Switch:
    """One plan for one app, carried out once."""

    host: AppHost
    plan: Plan
    stored: Stored
    wanted: tuple[Wanted, ...]
    slot_port: int
    verify_port: int | None
    """The port nginx serves HTTPS on, or None where there is no vhost to verify through."""
    steps: Steps
    upstreams: Upstreams | None = None
    """What nginx sends the requests to, or None where there is no vhost."""
    before: str = ""
    """The release that was live before."""
    again: bool = False
    """The release has been live before, and someone has a reason to go back to it: it is asked once whether it is
    healthy, and not watched, for what it would flip back to may be worse."""
    proof: Summary | None = None
    paused: list[str] = field(default_factory=list)
    """Workers of the old slot that had to stop before their new selves start."""

    def run(self) -> None:
        """Make the plan's release live.

        Raises:
            ReleaseError: it could not be; the release that was live before still is.
        """
        # Only where one release replaces another is there something to prove.
        probe = (
            TrafficProbe(public_url(self.stored.app), self.verify_port) if self.plan.flip and self.verify_port else None
        )
        if probe:
            probe.start()
        try:
            self._clear()
            if self.plan.switch:
                self._switch(probe)
            else:
                self._complete()
            self._retire()
        finally:
            if probe:
                probe.stop()
                self.proof = probe.summary()
        self.host.tell_exits(self._names(WORKER))

    def _clear(self) -> None:
        """Remove what is in the way. It may have been live not long ago, so it ends like everything that was."""
        if self.plan.switch:
            # What was kept warm is part of the plan by now: it goes, or gets the traffic.
            self.host.retire_now_instead()
        if self.plan.remove:
            with self.steps("clear"):
                if self.plan.switch:
                    self._drain(self.plan.slot)
                self.host.retire(self.plan.remove, self.stored.app["stop_timeout"])

    def _complete(self) -> None:
        """Give the live release what it lacks."""
        names = [self._create(item) for item in self.plan.start]
        for item, name in zip(self.plan.start, names):
            if item.kind != JOB:
                self.host.start(name)
        self.host.keep([*self.plan.keep, *(n for item, n in zip(self.plan.start, names) if item.kind != JOB)])

    def _switch(self, probe: TrafficProbe | None) -> None:
        """Start the release beside the live one, and move the traffic when it is healthy."""
        flipped = False
        try:
            self._bring_up()
            # Its view of the traffic before the flip is what it compares with.
            watch = self._watch(probe) if probe and self.stored.app["watch"] and not self.again else None
            if self.upstreams:
                # The other slot's follow when it has no more traffic to lose.
                self.upstreams.serve([self.plan.slot])
            if self.plan.flip:
                with self.steps("flip"):
                    flipped = True
                    self.host.records.flip(self.plan.slot)
                    # A reboot from here on must bring back the new release alone.
                    self.host.keep(self.plan.retire, kept=False)
            if self.verify_port:
                with self.steps("verify"):
                    self._checks().verify(self.verify_port)
            if watch:
                self._observe(watch)
            with self.steps("workers"):
                self._replace_workers()
        except BaseException as error:
            self._undo(flipped)
            if isinstance(error, ReleaseError):
                raise ReleaseError(f"{error}\n{self._aftermath(flipped)}") from error
            raise

    def _bring_up(self) -> None:
        """Everything up to the flip: afterwards the release is healthy and lacks only the traffic."""
        app, checks = self.stored.app, self._checks()
        if app["hooks"]["pre_deploy"]:
            with self.steps("pre_deploy"):
                self.host.run_hook(self.stored, self.plan.slot, self.plan.release, "pre_deploy")
        if not self.plan.ready:
            with self.steps("start"):
                for item in self.plan.start:
                    if item.kind == WEB:
                        self.host.start(self._create(item))
        with self.steps("gate"):
            # While the app comes up there is time for what else has to be made.
            for item in self.plan.start:
                if item.kind != WEB:
                    self._create(item)
            checks.gate(self._web(), known=self.again)
        if app["warm_up"]:
            with self.steps("warm"):
                checks.warm_up(self._web())
        # Before the flip, so that a reboot right after it finds a release that comes back.
        self.host.keep(self._names(WEB))

    def _checks(self) -> Checks:
        return Checks(self.host, self.stored.app, self.plan.release, self.plan.slot)

    def _watch(self, probe: TrafficProbe) -> Watch:
        old, new = (upstream_name(self.host.name, slot) for slot in (other_slot(self.plan.slot), self.plan.slot))
        return Watch(self.host.name, old, new, probe)

    def _observe(self, watch: Watch) -> None:
        """Look at the traffic for a while, now that it goes to the new release."""
        with self.steps("watch"):
            try:
                found = watch.run(self.stored.app["watch"], time.monotonic, time.sleep)
            finally:
                watch.close()
        if found:
            raise ReleaseError(f"after the switch: {found}\n{self.host.last_lines(self._names(WEB)[0])}")

    def _create(self, item: Wanted) -> str:
        return self.host.create(self.stored, item, self.plan.slot, self.plan.release)

    def _replace_workers(self) -> None:
        """Start the workers; one that must not run twice only after its old self has stopped."""
        workers = [item for item in self.wanted if item.kind == WORKER]
        singletons = {item.process for item in workers if not item.overlap}
        old = other_slot(self.plan.slot)
        self.paused += [
            container.name
            for container in self.host.containers()
            if container.slot == old and container.process in singletons and container.running
        ]
        self.host.stop(self.paused, self.stored.app["stop_timeout"])
        names = self._names(WORKER)
        for name in names:
            self.host.start(name)
        self.host.keep(names)

    def _retire(self) -> None:
        """Let the slot that lost the traffic finish its work, then stop it; or keep it warm for a while."""
        names, app = list(self.plan.retire), self.stored.app
        if not names:
            return
        if app["keep_warm"] and self.plan.flip:
            web = [c.name for c in self.host.containers() if c.name in names and c.kind == WEB and c.running]
            if web:
                names = [name for name in names if name not in web]
                self.host.retire_later(web, self.before, app["keep_warm"], app["stop_timeout"])
        else:
            with self.steps("drain"):
                self._drain(other_slot(self.plan.slot))
        with self.steps("stop"):
            self.host.retire(names, app["stop_timeout"])

    def _drain(self, slot: str) -> None:
        # All ports that the slot may have: the old release can have had more replicas.
        ports, seconds = slot_ports(self.slot_port, MAX_REPLICAS)[slot], self.stored.app["drain_timeout"]
        left = self.host.drain(ports, seconds)
        if left:
            self.host.notify(f"{left} connections were still open after drain_timeout ({seconds} s)")

    def _undo(self, flipped: bool) -> None:
        """Leave the release that was live before as it was."""
        with self.steps("undo"):
            names = self._names()
            if flipped:
                self.host.records.flip(other_slot(self.plan.slot))
                self.host.keep(self._running_before())
                self.host.keep(names, kept=False)
                # It has had requests, and some may still be at work.
                self._drain(self.plan.slot)
            self.host.remove(names)
            self.host.resume(self.paused)

    def _running_before(self) -> list[str]:
        """What runs of the release that was to be retired; a job is not kept, its timer starts it."""
        return [c.name for c in self.host.containers() if c.name in self.plan.retire and c.running and c.kind != JOB]

    def _aftermath(self, flipped: bool) -> str:
        name = self.host.name
        if flipped:
            return f'App "{name}" serves its release from before again; fix the cause and run again.'
        if self.plan.flip:
            return f'App "{name}" still serves its release from before; fix the cause and run again.'
        return f'App "{name}" has no release live; fix the cause and run again.'

    def _web(self) -> tuple[Wanted, ...]:
        return tuple(item for item in self.wanted if item.kind == WEB)

    def _names(self, kind: str = "") -> list[str]:
        wanted: Iterable[Wanted] = (item for item in self.wanted if kind in ("", item.kind))
        return [item.name(self.host.name, self.plan.slot, self.plan.release) for item in wanted]
