# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""What is on a web host and in its database after a deploy, and what of it should not be."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

RELEASE_FILE = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}(\.env)?\.json")
KEPT_POLICIES = {"unless-stopped", "always"}
LABEL = "quayside."

#: Runs on the host. A lock that can be taken is free, whatever its file says.
_GATHER = """
import fcntl, json, pathlib, subprocess, sys
app = sys.argv[1]
folder = pathlib.Path("/var/lib/quayside/apps") / app
def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
names = run("docker", "ps", "-aq", "--filter", "label=quayside.app=" + app)
found = json.loads(subprocess.run(["docker", "inspect", *names], capture_output=True, text=True).stdout or "[]")
held = False
with (folder / "lock").open("a") as stream:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held = True
backups = pathlib.Path("/var/backups/quayside") / app
print(json.dumps({
    "containers": [{
        "name": item["Name"].lstrip("/"), "running": item["State"]["Running"], "restarts": item["RestartCount"],
        "policy": item["HostConfig"]["RestartPolicy"]["Name"], "image": item["Image"],
        "labels": {k: v for k, v in item["Config"]["Labels"].items() if k.startswith("quayside.")},
    } for item in found],
    "green": (folder / "green").exists(),
    "held": held,
    "lock": (folder / "lock").read_text(),
    "files": sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()),
    "manifests": [json.loads(p.read_text()) for p in folder.glob("releases/*Z-????????.json")],
    "images": run("docker", "images", "-q", "--no-trunc"),
    "timers": run("systemctl", "list-units", "--plain", "--no-legend", "--type=timer", "quayside-job-" + app + ".*"),
    "backups": sorted(path.name for path in backups.iterdir()) if backups.exists() else [],
}))
"""

_SESSIONS = """SELECT application_name || ': ' || left(query, 60) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'ledger'
UNION ALL SELECT 'advisory lock of ' || pid FROM pg_locks WHERE locktype = 'advisory'
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@dataclass(frozen=True)
class Expected:
    """What an app consists of."""

    processes: frozenset[tuple[str, int]]
    """Of every web and worker container, what it does and its number."""
    jobs: frozenset[str] = frozenset()
    """The jobs, each with a timer and a container that waits for it."""


@dataclass(frozen=True)
class Found:
    """What is there."""

    live: str
    """The release that answers users."""
    app: str
    host: Mapping[str, Any]
    sessions: tuple[str, ...] = ()
    """Who else than the app is at work in its database."""
    containers: tuple[Mapping[str, Any], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "containers", tuple(self.host["containers"]))


def problems(found: Found, expected: Expected) -> list[str]:
    """Return a sentence for each thing that is not as a finished deploy leaves it."""
    return [*_container_problems(found, expected), *_record_problems(found), *_other_problems(found, expected)]


def _container_problems(found: Found, expected: Expected) -> Iterator[str]:
    slot = "green" if found.host["green"] else "blue"
    processes, jobs = set(), []
    for container in found.containers:
        name, label = container["name"], container["labels"]
        if label.get(LABEL + "slot") != slot or label.get(LABEL + "release") != found.live:
            yield f"container {name} is left over (live is {found.live} in {slot}): {label}"
            continue
        if label.get(LABEL + "kind") == "job":
            jobs.append(label[LABEL + "process"])
            if container["policy"] in KEPT_POLICIES:
                yield f"the container of a job, {name}, would start at boot"
            continue
        processes.add((label[LABEL + "process"], int(label[LABEL + "number"])))
        if not container["running"]:
            yield f"container {name} does not run"
        if container["restarts"]:
            yield f"container {name} has restarted {container['restarts']} times"
        if container["policy"] not in KEPT_POLICIES:
            yield f'container {name} would not come back at boot: its restart policy is "{container["policy"]}"'
    if processes != expected.processes:
        yield f"the live release has {sorted(processes)} instead of {sorted(expected.processes)}"
    if sorted(jobs) != sorted(expected.jobs):
        yield f"there are containers of the jobs {jobs} instead of {sorted(expected.jobs)}"


def _record_problems(found: Found) -> Iterator[str]:
    manifests = {manifest["release"]: manifest for manifest in found.host["manifests"]}
    if manifests.get(found.live, {}).get("result") != "live":
        yield f"release {found.live} answers, and its record says {manifests.get(found.live)}"
    targets = [m for m in manifests.values() if m["result"] == "live" and m["release"] != found.live]
    if not any(target["image_id"] in found.host["images"] for target in targets):
        yield "there is no release to go back to"
    yield from (
        f"release {target['release']} could be gone back to, but its image is gone"
        for target in targets
        if target["image_id"] not in found.host["images"]
    )
    unfinished = [release for release, manifest in manifests.items() if manifest["result"] == "started"]
    if unfinished:
        yield f"records of releases that never ended: {unfinished}"
    for name in found.host["files"]:
        known = {"lock", "green"}
        folder, _slash, file = name.rpartition("/")
        if not (name in known or folder == "jobs" or (folder == "releases" and RELEASE_FILE.fullmatch(file))):
            yield f"file {name} is left over"


def _other_problems(found: Found, expected: Expected) -> Iterator[str]:
    if found.host["held"]:
        yield f"the lock is held: {found.host['lock'].strip()}"
    elif found.host["lock"].strip():
        yield f"the lock's file still says {found.host['lock'].strip()}"
    timers = [name for name in found.host["timers"] if name.endswith(".timer")]
    if sorted(timers) != sorted(f"quayside-job-{found.app}.{job}.timer" for job in expected.jobs):
        yield f"there are the timers {timers} for the jobs {sorted(expected.jobs)}"
    yield from (f"in the database there is still {session}" for session in found.sessions)
    yield from (f"backup {name} is half done" for name in found.host["backups"] if name.startswith((".tmp", ".trash")))


def look(web: str, app: str) -> dict[str, Any]:
    """Look at a host."""
    found: dict[str, Any] = json.loads(_run("docker", "exec", web, "python3", "-c", _GATHER, app))
    return found


def sessions(container: str, database: str) -> tuple[str, ...]:
    """Look at a database: who else than the app is at work in it."""
    psql = ["docker", "exec", "--user", "postgres", container, "psql", "-XAtq", "-d", database, "-c", _SESSIONS]
    return tuple(_run(*psql).splitlines())


def _run(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
