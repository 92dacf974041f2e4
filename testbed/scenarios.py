#!/usr/bin/env python3
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Run molecule's scenarios, all of them or those named, several at a time.

A line for each when it is done, its whole log when it failed, and one line of sums like pytest's at the end.
The logs stay in .cache/molecule.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / ".cache/molecule"
#: The hosts mostly wait for the network and for each other, so two scenarios fit on two cores.
AT_A_TIME = int(os.environ.get("SCENARIOS_AT_A_TIME", "2"))
#: They begin first, so that no core is idle at the end.
LONG = ("edge", "deploy", "backup", "ufw", "site", "app_container", "db_migrate")


@dataclass(frozen=True)
class Result:
    scenario: str
    ok: bool
    passed: int
    seconds: float
    log: str


def scenarios() -> list[str]:
    """All of them, the longest ones first."""
    names = sorted(path.parent.name for path in ROOT.glob("molecule/*/molecule.yml"))
    return sorted(names, key=lambda name: LONG.index(name) if name in LONG else len(LONG))


def passed_tests(log: str) -> int:
    return sum(int(count) for count in re.findall(r"^=+ .*?(\d+) passed.* in [\d.]+s", log, re.MULTILINE))


def run(scenario: str) -> Result:
    start = time.monotonic()
    process = subprocess.run(
        ["molecule", "test", "--scenario-name", scenario],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_FORCE_COLOR": "false", "NO_COLOR": "1", "COLUMNS": "140"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    log = process.stdout
    (LOGS / f"{scenario}.log").write_text(log)
    result = Result(scenario, process.returncode == 0, passed_tests(log), time.monotonic() - start, log)
    if not result.ok:
        print(f"{result.log}\n^ {scenario}", flush=True)
    verdict = "ok  " if result.ok else "FAIL"
    print(f"{verdict}  {scenario:<24} {result.passed:>3} passed {result.seconds:>5.0f}s", flush=True)
    return result


def main(names: list[str]) -> int:
    known = scenarios()
    unknown = sorted(set(names) - set(known))
    if unknown:
        sys.exit(f"there is no scenario {', '.join(unknown)}; there are: {', '.join(known)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        results = list(pool.map(run, names or known))
    failed = [result.scenario for result in results if not result.ok]
    passed = sum(result.passed for result in results)
    sums = f"{len(failed)} failed, " * bool(failed) + f"{passed} passed in {time.monotonic() - start:.2f}s"
    print(f"{f' {sums} ':=^80}")
    if failed:
        print(f"failed scenarios: {', '.join(failed)}; their logs are in .cache/molecule")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
