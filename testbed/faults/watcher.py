# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Waits on a web host until a deploy comes to a step, and kills its processes there.

testbed/faults/rounds.py runs it in the host's container, hence only the standard library: `python3 -c SOURCE SETTINGS`.
Prints "ready", then one JSON object when it has struck. Ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.001


def read(path: Path) -> dict[str, Any]:
    """What the lock's line says; nothing where there is none."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8").strip().splitlines()[-1])
    except (OSError, ValueError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}


def parent_of(pid: int) -> int:
    # The name in brackets may hold spaces.
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


def holders(path: Path) -> list[int]:
    """The processes that have the lock's file open, parents first."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(item.readlink() == path for item in (process / "fd").iterdir()):
                found.append(int(process.name))
        except OSError:
            continue
    found = [pid for pid in found if pid != os.getpid()]
    return sorted(found, key=lambda pid: parent_of(pid) in found)


def victims(kind: str, found: list[int]) -> list[int]:
    """Whom to kill: a run that has not forked yet, or no longer, is one process and both parent and child."""
    return {"parent": found[:1], "child": found[-1:], "both": found}.get(kind, [])


def main() -> None:
    settings = json.loads(sys.argv[1])
    path, steps = Path(settings["lock"]), settings["steps"]
    wanted = steps.index(settings["step"])
    left_over = read(path)
    print("ready", flush=True)
    while not select.select([0], [], [], POLL_SECONDS)[0]:
        found = read(path)
        step = found.get("step", "")
        # A short step may go by between two looks; the next one will do, and is what the report names.
        if found == left_over or step not in steps or steps.index(step) < wanted:
            continue
        time.sleep(settings["delay"])
        alive = holders(path)
        step = read(path).get("step", "over")
        killed = victims(settings["kind"], alive)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        report = {"step": step, "at": time.time(), "alive": alive, "killed": killed, "lease": found}
        print(json.dumps(report), flush=True)
        return


if __name__ == "__main__":
    main()
