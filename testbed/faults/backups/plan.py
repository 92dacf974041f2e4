# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""What goes wrong with which backup and when, and the table of what came of it. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

#: How a run that meets the fault may end: it has to say that it failed, it has to succeed, or either.
FAILS, WORKS, EITHER = "fails", "works", "either"

#: Every kind of fault. Those that strike a moving target may come after its end, hence `either`.
KINDS = {
    "kill": EITHER,
    "terminate": EITHER,
    "backend": EITHER,
    "server": EITHER,
    "space-data": EITHER,
    "space-manifest": FAILS,
    "space-log": EITHER,
    "cut": EITHER,
    "flip": WORKS,
    "truncate": WORKS,
    "empty": WORKS,
    "delete": WORKS,
    "manifest": WORKS,
    "twice": WORKS,
    "later": WORKS,
    "earlier": WORKS,
    "summer-time": WORKS,
    "wrong-host": FAILS,
    "missing-role": FAILS,
    "denied-table": FAILS,
    "row-security": FAILS,
    "swap-kill": EITHER,
    "swap-terminate": EITHER,
    "deaf": WORKS,
}
#: Only the moment makes these what they are: they come more often than the others.
MOVING = (
    "kill",
    "kill",
    "kill",
    "terminate",
    "backend",
    "space-data",
    "cut",
    "swap-kill",
    "swap-kill",
    "swap-terminate",
)
#: What a run is doing, by the program that it waits for; the strike comes this much later, as a part of a whole run.
PROGRAMS = ("", "pg_dump", "pg_restore", "rclone")


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong. at is the moment as a part of a whole run, counted from the program's start if named.

    chance decides the rest: which byte, which backup.
    """

    kind: str
    at: float = 0.0
    program: str = ""
    chance: int = 0

    @property
    def may(self) -> str:
        return KINDS[self.kind]

    def __str__(self) -> str:
        after = f" after the start of {self.program}" if self.program else ""
        return f"{self.kind} at {self.at * 100:.0f} %{after}"


@dataclass(frozen=True)
class Outcome:
    """What came of a fault."""

    fault: Fault
    struck: str
    """What the run was doing; empty where it was over before, or where nothing had to be struck."""
    reported: bool
    """Whether the run said that it failed."""
    problems: tuple[str, ...]
    seconds: float


def faults(count: int, seed: int) -> list[Fault]:
    """Return that many faults: each kind once, in any order, then those that depend on the moment at any moment.

    Fewer than there are kinds are a sample of them.
    """
    chance = random.Random(seed)  # noqa: S311
    kinds = list(KINDS)
    chance.shuffle(kinds)
    while len(kinds) < count:
        kinds.append(chance.choice(MOVING if chance.random() < 0.8 else tuple(KINDS)))
    return [_fault(kind, chance) for kind in kinds[:count]]


def _fault(kind: str, chance: random.Random) -> Fault:
    if kind == "cut":
        return Fault(kind, round(chance.uniform(0, 0.4), 3), "rclone", chance.randrange(1 << 30))
    if kind in ("backend", "space-data", "server"):
        return Fault(kind, round(chance.uniform(0, 0.1), 3), "pg_dump", chance.randrange(1 << 30))
    if kind == "space-manifest":
        return Fault(kind, 0.0, "pg_restore", chance.randrange(1 << 30))
    program = chance.choice(PROGRAMS) if kind in ("kill", "terminate") else ""
    return Fault(kind, round(chance.uniform(0, 0.15 if program else 1.0), 3), program, chance.randrange(1 << 30))


def table(outcomes: Iterable[Outcome]) -> str:
    """Return a markdown table of the kinds: how many there were, in what they struck, how many went wrong."""
    found = list(outcomes)
    lines = ["| fault | rounds | the run was at | reported | bad |", "|---|---:|---|---:|---:|"]
    for kind in KINDS:
        those = [outcome for outcome in found if outcome.fault.kind == kind]
        if those:
            struck = [outcome.struck or "-" for outcome in those]
            where = ", ".join(f"{struck.count(name)} {name}" for name in sorted({*struck} - {"-"}))
            bad = sum(bool(outcome.problems) for outcome in those)
            told = sum(outcome.reported for outcome in those)
            lines.append(f"| {kind} | {len(those)} | {where} | {told} | {f'**{bad}**' if bad else 0} |")
    return "\n".join(lines)


def verdict(outcomes: Iterable[Outcome]) -> str:
    """Return one sentence on all of them."""
    found = list(outcomes)
    bad = sum(bool(outcome.problems) for outcome in found)
    told = sum(outcome.reported for outcome in found)
    return f"{len(found)} backups and restores met a fault; {told} failed and said so; {bad} went wrong"
