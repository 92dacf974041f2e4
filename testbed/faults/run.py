#!/usr/bin/env python3
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Strike deploys many times, at every step and in every way, while users are on the site: `make test-faults`.

FAULTS=200 sets how many, SEED=1 which ones at random; the seed is printed. Ends with a table of steps and kinds. What
each run said is in .cache/faults; the hosts stay up with --keep.
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

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.load import Load, Site
from testbed.faults.bed import ROOT, Bed
from testbed.faults.images import migration, push_base, push_variant
from testbed.faults.plan import KINDS, STEPS, Outcome, Strike, strikes, table, verdict
from testbed.faults.rounds import Round
from testbed.faults.state import Expected

INVENTORY = ROOT / "testbed/faults/inventory"
KEYS = ROOT / ".cache/testbed/faults"
LOGS = ROOT / ".cache/faults"
REGISTRY = "127.0.0.1:5011"
NETWORK, RELEASES = "quayside-faults", {"12": "172.30.11.12", "13": "172.30.11.13"}
VERSIONS = ("2.0.0", "2.1.0")
EXPECTED = Expected(frozenset({("web", 1), ("web", 2), ("worker", 1), ("second", 1)}), jobs=frozenset({"report"}))
RATE = 30.0


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def start_hosts(root: Path) -> None:
    """Hosts with a live app, and two versions of it to go to and fro between."""
    subprocess.run(
        ["ansible-playbook", "testbed/up.yml", "-i", INVENTORY], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )
    push_base(REGISTRY)
    extra = migration("0004", "0003", "SELECT pg_sleep(0.3); CREATE TABLE IF NOT EXISTS extra (id int)")
    for version in VERSIONS:
        push_variant(REGISTRY, version, files=extra)
    for playbook, version in (("site.yml", VERSIONS[0]), ("deploy.yml", VERSIONS[1])):
        arguments = [playbook, "-i", str(INVENTORY), "-e", f"ledger_version={version}"]
        subprocess.run(["ansible-playbook", *arguments], cwd=root, check=True)


def bed(release: str, root: Path) -> Bed:
    """One of the hosts."""
    ca = (KEYS / "acme-root.pem").read_text(encoding="utf-8")
    site = Site(f"{NETWORK}-services", RELEASES[release], f"ledger.web{release}.faults.test", ca)
    name, database = f"{NETWORK}-web{release}", f"{NETWORK}-db"
    return Bed(name, INVENTORY, site, database, f"ledger{release}", REGISTRY, EXPECTED, root=root)


def strike_all(
    host: Bed, todo: queue.SimpleQueue[tuple[int, Strike]], outcomes: list[Outcome], lost: list[int]
) -> None:
    """Play rounds on one host until none is left; the users stay all the time."""
    with Load(host.site, RATE) as load:
        while True:
            try:
                number, strike = todo.get_nowait()
            except queue.Empty:
                break
            game = Round(host, load, strike, VERSIONS, number)
            outcome = game.play()
            outcomes.append(outcome)
            (LOGS / f"{number:03}.log").write_text("\n\n".join([str(strike), *game.problems, *game.log]))
            told = "ok  " if outcome.good else "FAIL"
            say(f"{told} {number:3} {host.web[-5:]} {strike}: in {outcome.struck or 'nothing'}, {outcome.seconds} s")
            for problem in outcome.problems:
                say(f"       {problem}")
    lost.append(max(0, load.posted - load.booked(host.database_container, host.database)))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=int(os.environ.get("FAULTS", "120")), help="how many (120)")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED", "0")), help="which; 0: by chance")
    parser.add_argument("--step", action="append", choices=STEPS, help="only in this step; may be repeated")
    parser.add_argument("--kind", action="append", choices=KINDS, help="only of this kind; may be repeated")
    parser.add_argument("--keep", action="store_true", help="leave the hosts up, and use them again")
    parser.add_argument("--root", type=Path, default=ROOT, help="where the playbooks are")
    options = parser.parse_args()
    seed = options.seed or secrets.randbelow(10**6)
    steps, kinds = options.step or STEPS, options.kind or KINDS
    chosen = [s for s in strikes(max(options.count, 1000), seed) if s.step in steps and s.kind in kinds][
        : options.count
    ]
    say(f"{len(chosen)} strikes, SEED={seed}")
    LOGS.mkdir(parents=True, exist_ok=True)
    todo: queue.SimpleQueue[tuple[int, Strike]] = queue.SimpleQueue()
    for item in enumerate(chosen, 1):
        todo.put(item)
    outcomes: list[Outcome] = []
    lost: list[int] = []
    try:
        start_hosts(options.root)
        hosts = [bed(release, options.root) for release in RELEASES]
        threads = [threading.Thread(target=strike_all, args=(host, todo, outcomes, lost)) for host in hosts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        if not options.keep:
            subprocess.run(["ansible-playbook", "testbed/down.yml", "-i", INVENTORY], cwd=ROOT, check=False)
    print(table(outcomes))
    print(f"{verdict(outcomes)}; {sum(lost)} entries were confirmed and lost (SEED={seed})")
    (LOGS / "outcomes.json").write_text(json.dumps([[str(o.strike), o.struck, o.problems] for o in outcomes], indent=1))
    complete = len(outcomes) == len(chosen) and len(lost) == len(RELEASES)
    return 0 if complete and not sum(lost) and all(outcome.good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
