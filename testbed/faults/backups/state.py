# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""What is on a host after a backup or a restore, and what of it should not be. Pure but for the script that looks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

ID = re.compile(r"[0-9]{8}T[0-9]{6}Z")
KEPT = re.compile(r"\.lock|status\.json|\.offsite-[a-z0-9_-]+\.lock")
#: Databases that a restore or its undo has put aside, and that stay for some days.
ASIDE = re.compile(r"_(old|undone)_")

#: Runs on the host with the root and a name. A lock that can be taken is free.
GATHER = r"""
import fcntl, hashlib, json, pathlib, re, subprocess, sys
folder = pathlib.Path(sys.argv[1]) / sys.argv[2]
held, backups, entries = False, {}, []
if folder.exists():
    entries = sorted(path.name for path in folder.iterdir())
    with (folder / ".lock").open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = True
for path in sorted(folder / name for name in entries if re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", name)):
    files, manifest = {}, None
    for file in path.iterdir():
        if file.name == "manifest.json":
            try:
                manifest = json.loads(file.read_text())
            except ValueError:
                manifest = {}
        else:
            data = file.read_bytes()
            files[file.name] = [len(data), hashlib.sha256(data).hexdigest()]
    backups[path.name] = {"files": files, "manifest": manifest}
processes = []
for path in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        name = (path / "comm").read_text().strip()
    except OSError:
        continue
    if name in ("quayside-backup", "pg_dump", "pg_dumpall", "pg_restore", "rclone", "age"):
        processes.append(name)
psql = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-c"]
def ask(command):
    found = subprocess.run([*psql, command], capture_output=True, text=True, cwd="/")
    return found.stdout.splitlines() if not found.returncode else ["?" + found.stderr]
print(json.dumps({
    "entries": entries, "held": held, "backups": backups, "processes": sorted(processes),
    "sessions": ask("SELECT datname || ': ' || left(query, 60) FROM pg_stat_activity WHERE application_name LIKE "
                    "'quayside%' OR application_name IN ('pg_dump', 'pg_restore')"),
    "databases": ask("SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1"),
    "closed": ask("SELECT datname FROM pg_database WHERE NOT datallowconn AND datname <> 'template0'"),
}))
"""


@dataclass(frozen=True)
class Found:
    """What a look at a host has found."""

    entries: tuple[str, ...] = ()
    held: bool = False
    backups: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    processes: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()

    @property
    def verified(self) -> list[str]:
        """The backups that are what their manifests say, the newest last."""
        return [name for name, backup in sorted(self.backups.items()) if not complaint(backup)]


def read(data: Mapping[str, Any]) -> Found:
    return Found(**{key: value if key in ("held", "backups") else tuple(value) for key, value in data.items()})


def complaint(backup: Mapping[str, Any]) -> str:
    """Why a folder with the name of a backup is none; empty where it is one."""
    manifest = backup["manifest"]
    if not manifest:
        return "it has no manifest"
    said = {file["name"]: [file["size"], file["sha256"]] for file in manifest["files"]}
    if said != backup["files"]:
        return "its files are not those of its manifest"
    return "" if manifest["verified_at"] else "it was never verified"


def damage(before: Found, after: Found, minimum: int, spared: frozenset[str] = frozenset()) -> Iterator[str]:
    """What a run has done to the backups that it must not do; spared are those that the fault itself has damaged."""
    for name, backup in after.backups.items():
        if name not in spared and (why := complaint(backup)):
            yield f"{name} bears a final name, but {why}"
    for name in before.verified:
        if (
            name in after.backups
            and name not in spared
            and before.backups[name]["files"] != after.backups[name]["files"]
        ):
            yield f"{name}, an earlier backup, has been changed"
    fresh = [name for name in after.verified if name not in before.backups]
    expected = before.verified if not fresh else sorted({*before.verified, *fresh})[-minimum:]
    lost = [name for name in expected if name not in after.backups]
    if lost:
        yield f"{', '.join(lost)} is gone, though {'nothing new had come' if not fresh else f'{minimum} have to stay'}"
    # What a person has to look at, nobody removes.
    gone = [name for name, backup in before.backups.items() if complaint(backup) and name not in after.backups]
    if gone:
        yield f"{', '.join(gone)} was damaged, and is gone"


def leftovers(found: Found, expected_databases: frozenset[str]) -> Iterator[str]:
    """What is left over once the next run has ended."""
    if found.held:
        yield "the lock is held"
    for name in found.entries:
        if not (ID.fullmatch(name) or KEPT.fullmatch(name)):
            yield f"{name} is left over in the repository"
    yield from (f"the process {name} is still there" for name in found.processes)
    yield from (f"there is still a session: {session}" for session in found.sessions)
    strangers = [name for name in found.databases if name not in expected_databases and not ASIDE.search(name)]
    if strangers:
        yield f"the databases {', '.join(strangers)} are left over"
    missing = expected_databases - {*found.databases}
    if missing:
        yield f"the databases {', '.join(sorted(missing))} are missing"
    yield from (f"the database {name} takes no connection" for name in found.closed)
