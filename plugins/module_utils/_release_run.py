# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A deploy under its lock, in a process that can be killed: what module app_release calls."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ._app_containers import HOOK
from ._release_deploy import Deploy
from ._release_guard import Died, Interrupted, in_child, signals_raise
from ._release_host import EXPECTED, AppHost
from ._release_lock import Lease, Lock
from ._release_records import Records
from ._release_request import Request
from ._release_steps import Steps

#: Seconds for all that has no timeout of its own; a pull is the longest of it.
SLACK_SECONDS = 1800
NICE = 5


def run(request: Request, *, lock_wait: float, notify: Callable[[str], None]) -> dict[str, Any]:
    """Deploy, and return the module's result; with `failed` and `msg` where it could not be done.

    Raises:
        Locked: another deploy of the app is running.
    """
    records = Records(request.name)
    records.prepare()
    lock = Lock(records.lock_file, request.name)
    lease = Lease(by=request.by, pids=(os.getpid(),), expires=time.time() + longest(request.app))
    with lock.hold(lease, lock_wait, notify):
        try:
            return in_child(partial(_work, request, lock))
        except Died as death:
            return _after_death(request, lock, death)


def longest(app: Mapping[str, Any] | None) -> float:
    """Return the seconds after which a deploy of an app must be over, from its own timeouts."""
    if app is None:
        return 2 * SLACK_SECONDS
    found = [app["health"]["timeout"], app["watch"], 2 * app["drain_timeout"], 3 * app["stop_timeout"]]
    found += [2 * app["hooks"]["timeout"], 2 * (app["migrate"] or {}).get("timeout", 0)]
    return float(sum(found) + SLACK_SECONDS)


def _work(request: Request, lock: Lock) -> dict[str, Any]:
    """What the child does: clear up after a run that was killed, then deploy."""
    lock.note(pids=(os.getppid(), os.getpid()))
    # Behind the app that serves, while it does.
    os.nice(NICE)
    notes: list[str] = []
    steps = Steps(lock.note)
    deploy = None
    try:
        with signals_raise():
            host = AppHost(request.name, notes.append)
            if lock.interrupted:
                notes.append(heal(host, request, lock.interrupted))
            deploy = Deploy(host, request, steps)
            result = deploy.run()
    except EXPECTED as error:
        result = {"failed": True, "msg": str(error)}
    except Interrupted as signal:
        result = {
            "failed": True,
            "msg": f'app "{request.name}": {signal} received; what was begun is undone: run again.',
        }
    if deploy and result.get("failed"):
        result.update(steps=steps.seconds, migration=deploy.migration)
    # Here too, because the parent may be dead by now.
    lock.clear()
    return {**result, "notes": notes}


def _after_death(request: Request, lock: Lock, death: Died) -> dict[str, Any]:
    """What the parent does for a child that was killed."""
    notes: list[str] = []
    left = lock.read() or lock.lease
    try:
        with signals_raise():
            told = heal(AppHost(request.name, notes.append), request, left)
    except EXPECTED as error:
        told = f"{error}; run again"
    except Interrupted as signal:
        told = f'app "{request.name}": {signal} received while clearing up after a killed process; run again'
    return {"failed": True, "msg": f"{told} ({death})", "notes": notes}


def heal(host: AppHost, request: Request, interrupted: Lease) -> str:
    """Clear up after a run that was killed: the release that has the traffic is completed, everything else goes.

    Returns:
        A sentence that tells what was found.
    """
    live = host.live()
    host.records.sweep()
    stray = [c for c in host.containers() if c.kind == HOOK or (not live and c.release == interrupted.release)]
    host.remove([container.name for container in stray])
    for manifest in host.records.manifests():
        if (manifest.release, manifest.result) == (interrupted.release, "started") and manifest.release != live:
            host.records.finish(manifest, "failed")
    began = f'app "{host.name}": the deploy {interrupted.epitaph()}'
    if not live:
        return f"{began}; no release had the traffic"
    again = replace(request, app=None, release=live, allow_schema_ahead=True)
    Deploy(host, again, Steps()).run()
    return f"{began}; release {live} has the traffic and is complete"
