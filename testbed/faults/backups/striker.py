# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Waits on a host until quayside-backup is at work, and does something to it at a given moment.

testbed/faults/backups/bed.py runs it in the host's container, hence only the standard library. Settings: command (the
words that the process is known by), program (wait for this child of it, too), delay (seconds from then), signal (for
the process; 0 for none), then (a shell command to run). Prints "ready", then one JSON object. Ends when its standard
input does.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

POLL_SECONDS = 0.001


def words(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def pids() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").glob("[0-9]*"))


def find(wanted: list[str]) -> int:
    """The process whose words contain these, one after another."""
    for pid in pids():
        found = words(pid)
        for start in range(len(found) - len(wanted) + 1):
            if found[start].endswith(wanted[0]) and found[start + 1 : start + len(wanted)] == wanted[1:]:
                return pid
    return 0


def children(parent: int) -> list[str]:
    found = []
    for pid in pids():
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            continue
        # The name in brackets may hold spaces.
        if int(stat.rpartition(")")[2].split()[1]) == parent:
            found.append(stat.partition("(")[2].rpartition(")")[0])
    return found


def main() -> None:
    settings = json.loads(sys.argv[1])
    print("ready", flush=True)
    pid = 0
    while not select.select([0], [], [], POLL_SECONDS)[0]:
        pid = pid if pid and words(pid) else find(settings["command"])
        if not pid or (settings["program"] and settings["program"] not in children(pid)):
            continue
        time.sleep(settings["delay"])
        at_work = bool(words(pid))
        doing = ", ".join(sorted(children(pid))) or "python"
        if at_work and settings["signal"]:
            os.kill(pid, settings["signal"])
        if at_work and settings["then"]:
            subprocess.run(["sh", "-c", settings["then"]], check=False, stdout=subprocess.DEVNULL)
        print(json.dumps({"struck": doing if at_work else "", "at": time.time()}), flush=True)
        return


if __name__ == "__main__":
    main()
