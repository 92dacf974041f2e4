#!/usr/bin/env python3
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Let backups and restores meet every fault, on the hosts of the molecule scenario backup: `make test-faults`.

BACKUP_FAULTS=100 sets how many, SEED=1 which ones at random; the seed is printed. Ends with a table of the kinds. What
each run said is in .cache/faults/backups; the hosts stay up with --keep.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from testbed.faults.backups.bed import BedError, Host
from testbed.faults.backups.plan import KINDS, Fault, Outcome, faults, table, verdict
from testbed.faults.backups.rounds import Round, prepare

ROOT = Path(__file__).resolve().parents[3]
LOGS = ROOT / ".cache/faults/backups"
NETWORK = "quayside-backup"
HOSTS = [Host(name, f"{NETWORK}-{name}", f"{NETWORK}-services") for name in ("debian12", "debian13")]


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def molecule(action: str) -> None:
    """One step of the scenario, whose hosts these are."""
    command = ["molecule", action, "--scenario-name", "backup"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    (LOGS / f"{action}.log").write_text(done.stdout)
    if done.returncode:
        raise BedError(f"{' '.join(command)}: {done.stdout[-4000:]}")


def meet_all(host: Host, todo: queue.SimpleQueue[tuple[int, Fault]], outcomes: list[Outcome]) -> None:
    """Play rounds on one host until none is left."""
    duration, restore = prepare(host)
    say(f"{host.name}: a run takes {duration:.1f} s, a restore {restore:.1f} s")
    while True:
        try:
            number, fault = todo.get_nowait()
        except queue.Empty:
            return
        game = Round(host, fault, duration, restore)
        outcome = game.play()
        outcomes.append(outcome)
        (LOGS / f"{number:03}.log").write_text("\n\n".join([f"{host.name}: {fault}", *game.problems, *game.log]))
        told = "FAIL" if outcome.problems else "ok  "
        end = "failed and said so" if outcome.reported else "worked"
        say(f"{told} {number:3} {host.name[-2:]} {fault}: in {outcome.struck or '-'}, {end}, {outcome.seconds} s")
        for problem in outcome.problems:
            say(f"       {problem}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    count = int(os.environ.get("BACKUP_FAULTS", "60"))
    parser.add_argument("--count", type=int, default=count, help="how many (60)")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED", "0")), help="which; 0: by chance")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only of this kind; may be repeated")
    parser.add_argument("--keep", action="store_true", help="leave the hosts up")
    parser.add_argument("--use", action="store_true", help="use the hosts that are up")
    options = parser.parse_args()
    seed = options.seed or secrets.randbelow(10**6)
    wanted = options.kind or KINDS
    chosen = [fault for fault in faults(max(options.count, 2000), seed) if fault.kind in wanted][: options.count]
    say(f"{len(chosen)} faults of backups, SEED={seed}")
    LOGS.mkdir(parents=True, exist_ok=True)
    todo: queue.SimpleQueue[tuple[int, Fault]] = queue.SimpleQueue()
    for item in enumerate(chosen, 1):
        todo.put(item)
    outcomes: list[Outcome] = []
    try:
        for action in () if options.use else ("destroy", "create", "prepare", "converge"):
            molecule(action)
        threads = [threading.Thread(target=meet_all, args=(host, todo, outcomes)) for host in HOSTS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        if not (options.keep or options.use):
            molecule("destroy")
    print(table(outcomes))
    print(f"{verdict(outcomes)} (SEED={seed})")
    found = [[str(o.fault), o.struck, o.reported, o.problems, o.seconds] for o in outcomes]
    (LOGS / "outcomes.json").write_text(json.dumps(found, indent=1))
    return 0 if len(outcomes) == len(chosen) and not any(outcome.problems for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
