# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The switch itself: a plan carried out on the host, undone where it fails before it is done."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ._apps import MAX_REPLICAS, slot_ports
from ._health import Health
from ._release import WEB, Manifest, Plan, Stored, Wanted, environment, health_params, other_slot
from ._release import prune as plan_prune
from ._release_host import AppHost, ReleaseError

VERIFY_SECONDS = 10


class Interrupted(BaseException):
    """A signal asks this process to end; like KeyboardInterrupt it passes every `except Exception`."""


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Turn the signals that end a process into `Interrupted`, so that what was begun gets undone."""

    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

    def interrupt(number: int, _frame: object) -> NoReturn:
        # Once: another signal must not interrupt the undoing.
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(signal.Signals(number).name)

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class Switch:
    """One plan for one app, carried out once."""

    host: AppHost
    plan: Plan
    stored: Stored
    manifest: Manifest
    wanted: tuple[Wanted, ...]
    slot_port: int
    verify_port: int | None
    """The port nginx serves HTTPS on, or None where there is no vhost to verify through."""
    steps: dict[str, float] = field(default_factory=dict)
    paused: list[str] = field(default_factory=list)
    """Workers of the old slot that had to stop before their new selves start."""

    def run(self) -> None:
        """Make the plan's release live.

        Raises:
            ReleaseError: it could not be; the release that was live before still is.
        """
        with self._timed("clear"):
            self.host.remove(self.plan.remove)
        if self.plan.fresh:
            self._switch()
        else:
            self._start(self.plan.start)
            self.host.keep([*self.plan.keep, *self._names(self.plan.start)])
        self._retire()
        self.host.tell_exits(self._names(tuple(item for item in self.wanted if item.process != WEB)))
        self.host.finish(self.manifest, "live", self.steps)

    def _switch(self) -> None:
        """Start the release beside the live one, and move the traffic when it is healthy."""
        app = self.stored.app
        health = Health.from_params(health_params(app, self.plan.release))
        web = tuple(item for item in self.wanted if item.process == WEB)
        self.host.record(self.manifest, self.stored)
        flipped = False
        try:
            with self._timed("start"):
                self._start(web)
            with self._timed("gate"):
                self.host.gate(web, self.plan.slot, app, health)
            # Before the flip, so that a reboot right after it finds a release that comes back.
            self.host.keep(self._names(web))
            if self.plan.flip:
                self.host.flip(self.plan.slot)
                flipped = True
            if self.verify_port is not None:
                with self._timed("verify"):
                    self.host.verify(app, health, self.verify_port, VERIFY_SECONDS)
            with self._timed("workers"):
                self._start_workers()
        except BaseException as error:
            self._undo(flipped)
            if isinstance(error, ReleaseError):
                raise ReleaseError(f"{error}\n{self._aftermath()}") from error
            raise

    def _start(self, items: tuple[Wanted, ...]) -> None:
        for item in items:
            values = environment(self.stored.app, self.stored.secrets, self.plan.release, self.plan.slot)
            self.host.start(self.stored, item, self.plan.slot, self.plan.release, values)

    def _start_workers(self) -> None:
        """Start the workers; one that must not run twice only after its old self has stopped."""
        workers = tuple(item for item in self.wanted if item.process != WEB)
        singletons = {item.process for item in workers if not item.overlap}
        old = other_slot(self.plan.slot)
        self.paused += [
            container.name
            for container in self.host.containers()
            if container.slot == old and container.process in singletons and container.running
        ]
        self.host.stop(self.paused, self.stored.app["stop_timeout"])
        self._start(workers)
        self.host.keep(self._names(workers))

    def _retire(self) -> None:
        """Let the slot that lost the traffic finish its work, then stop it."""
        if not self.plan.retire:
            return
        app = self.stored.app
        # All that the slot may have: the old release can have had more replicas.
        ports = slot_ports(self.slot_port, MAX_REPLICAS)[other_slot(self.plan.slot)]
        with self._timed("drain"):
            left = self.host.drain(ports, app["drain_timeout"])
        if left:
            self.host.notify(f"{left} connections were still open after drain_timeout ({app['drain_timeout']} s)")
        with self._timed("stop"):
            self.host.retire(self.plan.retire, app["stop_timeout"])

    def _undo(self, flipped: bool) -> None:
        if flipped:
            self.host.flip(other_slot(self.plan.slot))
        self.host.remove(self._names(self.wanted))
        self.host.resume(self.paused)
        # A release that has been live stays a good one to go back to, even if it does not start today.
        if self.manifest.result != "live":
            self.host.finish(self.manifest, "failed", self.steps)

    def _aftermath(self) -> str:
        name = self.host.name
        if self.plan.flip:
            return f'App "{name}" still serves its release from before; fix the cause and run again.'
        return f'App "{name}" has no release live; fix the cause and run again.'

    def _names(self, items: tuple[Wanted, ...]) -> list[str]:
        return [item.name(self.host.name, self.plan.slot) for item in items]

    @contextlib.contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.steps[step] = round(time.monotonic() - start, 3)


def prune(host: AppHost, keep: int) -> list[str]:
    """Forget old releases and remove their images; return the ids of the images removed."""
    live = [container.release for container in host.containers() if container.slot == host.live_slot()]
    if not live:
        return []
    gone, images = plan_prune(host.manifests(), live[0], keep)
    return host.forget(gone, images)


def result_of(switch: Switch, removed: list[str], previous: str) -> dict[str, Any]:
    """Return what the module tells about a switch."""
    return {
        "release": switch.plan.release,
        "previous": previous,
        "slot": switch.plan.slot,
        "image_id": switch.stored.image_id,
        "steps": switch.steps,
        "pruned": removed,
    }
