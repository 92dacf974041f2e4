# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Finds the apps that a host has, and removes one. Only I/O."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import _app_jobs_host
from ._app_jobs import UNITS, unit_pattern
from ._app_places import APPS_DIRECTORY, PORTS_RECORD, SOURCES_DIRECTORY
from ._app_removal import Left
from ._files import write_json
from ._release_host import ReleaseError, open_host
from ._release_lock import Lease, Lock
from ._release_records import Records

STOP_TIMEOUT = 30
"""Seconds that a container without a recorded `stop_timeout` has to end."""
LEASE_SECONDS = 1800


def names() -> list[str]:
    """Return the names of the apps that this host has a folder or ports for."""
    folders = Path(APPS_DIRECTORY)
    found = {path.name for path in folders.iterdir() if path.is_dir()} if folders.is_dir() else set()
    return sorted(found | set(_recorded_ports()))


def look(name: str, notify: Callable[[str], None]) -> Left:
    """Return what there is of an app."""
    host, stored = open_host(name, notify), _last(name)
    return Left(
        name,
        domains=tuple(stored["domains"]) if stored else (),
        containers=tuple(container.name for container in host.containers()) if host else (),
        timers=tuple(sorted(path.stem for path in Path(UNITS).glob(f"{unit_pattern(name)}.timer"))),
    )


def remove(name: str, by: str, notify: Callable[[str], None]) -> None:
    """Remove all of an app but its site, its certificate, its database and its backups; the folder goes last.

    Raises:
        ReleaseError: Docker does not answer.
        Locked: a deploy of the app is running.
    """
    host = open_host(name, notify)
    if host is None:
        raise ReleaseError(f'app "{name}": Docker does not answer on this host, so its containers cannot be removed.')
    host.records.prepare()
    lease = Lease(by=by, pids=(os.getpid(),), expires=time.time() + LEASE_SECONDS)
    with Lock(host.records.lock_file, name).hold(lease, 0, notify):
        _app_jobs_host.apply({"name": name, "jobs": []}, check=False)
        host.retire_now_instead()
        stored = _last(name)
        host.retire([c.name for c in host.containers()], stored["stop_timeout"] if stored else STOP_TIMEOUT)
        host.remove_images({manifest.image_id for manifest in host.records.manifests()})
        host.remove_network()
        for kind in ("git", "copy"):
            shutil.rmtree(f"{SOURCES_DIRECTORY}/{name}.{kind}", ignore_errors=True)
        ports = _recorded_ports()
        if ports.pop(name, None) is not None:
            write_json(Path(PORTS_RECORD), ports)
        shutil.rmtree(host.records.directory)


def _last(name: str) -> dict[str, Any] | None:
    """Return the app as the release says that was recorded last."""
    records = Records(name)
    for manifest in sorted(records.manifests(), key=lambda manifest: manifest.release, reverse=True):
        if stored := records.stored(manifest.release):
            return dict(stored.app)
    return None


def _recorded_ports() -> dict[str, int]:
    record = Path(PORTS_RECORD)
    ports: dict[str, int] = json.loads(record.read_text()) if record.exists() else {}
    return ports
