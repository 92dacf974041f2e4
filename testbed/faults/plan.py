# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Which deploy is struck where and how, and the table of what came of it. Pure."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: What a deploy's lock says of how far it has come, in order.
STEPS = (
    "image", "preflight", "migrate", "pre_deploy", "start", "gate", "warm", "flip", "verify", "watch", "workers",
    "drain", "stop", "jobs", "prune", "post_deploy",
)  # fmt: skip
#: A way back has neither of these steps.
FORWARD_ONLY = {"image", "migrate", "pre_deploy", "post_deploy"}
#: Who is killed: one of the two processes on the host, both, the controller with its connection, or the host.
KINDS = ("child", "parent", "both", "controller", "restart")
LONGEST_DELAY = 0.3


@dataclass(frozen=True)
class Strike:
    """One thing that goes wrong."""

    step: str
    kind: str
    delay: float = 0.0
    """Seconds after the step has begun."""
    back: bool = False
    """Whether it hits a rollback instead of a deploy."""
    heal: str = "same"
    """What comes next: the `same` version again, or an `other` one."""

    def __str__(self) -> str:
        where = f"{self.step}+{self.delay * 1000:.0f}ms" if self.delay else self.step
        return f"{'rollback' if self.back else 'deploy'} {where} {self.kind}, then the {self.heal}"


@dataclass(frozen=True)
class Outcome:
    """What came of a strike."""

    strike: Strike
    struck: str
    """The step in which it hit; empty where the run was over before."""
    problems: tuple[str, ...]
    requests: int
    failed: int
    """Requests of users that failed, other than while the host was down."""
    seconds: float

    @property
    def good(self) -> bool:
        return not self.problems and not self.failed


def strikes(count: int, seed: int) -> list[Strike]:
    """Return that many strikes: each kind at the boundary of each step first, then any at any time.

    Fewer than all boundaries are a sample of them.
    """
    chance = random.Random(seed)  # noqa: S311
    boundaries = [_any_other(Strike(step, kind), chance) for step in STEPS for kind in KINDS]
    chance.shuffle(boundaries)
    later = [
        _any_other(
            Strike(chance.choice(STEPS), chance.choice(KINDS), round(chance.uniform(0, LONGEST_DELAY), 3)), chance
        )
        for _ in range(count - len(boundaries))
    ]
    return (boundaries + later)[:count]


def _any_other(strike: Strike, chance: random.Random) -> Strike:
    back = strike.step not in FORWARD_ONLY and chance.random() < 0.25
    return Strike(strike.step, strike.kind, strike.delay, back, "same" if chance.random() < 0.7 else "other")


def table(outcomes: Iterable[Outcome]) -> str:
    """Return a markdown table of steps and kinds: how many were struck there, and how many of them went wrong."""
    found = list(outcomes)
    lines = [f"| struck in | {' | '.join(KINDS)} |", "|---|" + "---:|" * len(KINDS)]
    names = [step for step in (*STEPS, "over", "") if any(outcome.struck == step for outcome in found)]
    for step in names:
        cells = [_cell([o for o in found if o.struck == step and o.strike.kind == kind]) for kind in KINDS]
        lines.append(f"| {step or '(not at all)'} | {' | '.join(cells)} |")
    totals = [_cell([o for o in found if o.strike.kind == kind]) for kind in KINDS]
    lines.append(f"| all | {' | '.join(totals)} |")
    return "\n".join(lines)


def _cell(outcomes: Sequence[Outcome]) -> str:
    bad = sum(not outcome.good for outcome in outcomes)
    return f"{len(outcomes)}, **{bad} bad**" if bad else str(len(outcomes) or "")


def verdict(outcomes: Iterable[Outcome]) -> str:
    """Return one sentence on all of them."""
    found = list(outcomes)
    struck = sum(bool(outcome.struck) for outcome in found)
    bad = sum(not outcome.good for outcome in found)
    requests, failed = sum(o.requests for o in found), sum(o.failed for o in found)
    return f"{struck} of {len(found)} runs were struck; {bad} went wrong; {failed} of {requests} requests failed"
