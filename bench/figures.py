# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""What the bench makes of output and samples: figures, goals, tables. Pure."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

#: What issues 2 and 3 ask for, in seconds; for "ratio" site.yml against baseline.sh.
GOALS = {"ratio": 1.5, "noop": 15.0, "deploy": 4.5, "rollback": 3.0, "warm": 2.0, "crash": 3.0}
#: The peer that the goals come from was measured with an app of one web process.
GOALS.update({f"lone {name}": GOALS[name] for name in ("deploy", "rollback", "warm")})
WATCH = 5
TITLES = {
    "baseline": "bare host to live app, baseline.sh",
    "site": "bare host to live app, site.yml",
    "noop": "site.yml with nothing to do",
    "deploy": "deploy.yml of a new version, watch: 0",
    "watched": f"deploy.yml of a new version, watch: {WATCH}",
    "rollback": "rollback.yml to the release before",
    "warm": "rollback.yml while that is warm",
    "lone deploy": "deploy.yml of an app without a worker, watch: 0",
    "lone watched": f"deploy.yml of an app without a worker, watch: {WATCH}",
    "lone rollback": "rollback.yml of an app without a worker",
    "lone warm": "rollback.yml of an app without a worker while that is warm",
    "crash": "from a crash at start to the end of deploy.yml",
}


@dataclass(frozen=True)
class Sample:
    """One measured run."""

    seconds: float
    tasks: Mapping[str, float] = field(default_factory=dict)
    """Seconds of each task, or of each step of baseline.sh."""
    steps: Mapping[str, float] = field(default_factory=dict)
    """Seconds of the steps inside the module app_release."""
    load: float = 0.0
    """The machine's load average when the run began: others disturb."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    median: float
    low: float
    high: float
    count: int
    goal: float | None = None

    @property
    def verdict(self) -> str:
        if self.goal is None:
            return ""
        return "good" if self.median <= self.goal else "too slow"


def task_seconds(output: str) -> dict[str, float]:
    """Return the seconds of each task from the list that ansible.posix.profile_tasks prints at the end."""
    found: dict[str, float] = {}
    for name, seconds in re.findall(r"^(\S.*?) -{2,} *([0-9.]+)s$", output, re.MULTILINE):
        short = name.rpartition(" : ")[2]
        found[short] = round(found.get(short, 0.0) + float(seconds), 2)
    return found


def changed_count(output: str) -> int:
    """Return the sum of `changed=` over the hosts of a play recap."""
    return sum(map(int, re.findall(r"\bchanged=(\d+)", output)))


def script_seconds(output: str) -> dict[str, float]:
    """Return the seconds of each step from baseline.sh's lines `@ <time> <step>`."""
    marks = [(float(at), name) for at, name in re.findall(r"^@ ([0-9.]+) (\S+)$", output, re.MULTILINE)]
    return {name: round(end - at, 2) for (at, name), (end, _) in zip(marks, marks[1:])}


def medians(samples: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each key over the samples that have it, the largest first."""
    columns: dict[str, list[float]] = {}
    for sample in samples:
        for name, seconds in sample.items():
            columns.setdefault(name, []).append(seconds)
    found = {name: round(statistics.median(values), 3) for name, values in columns.items()}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def rows(samples: Mapping[str, Sequence[Sample]]) -> list[Row]:
    """Return the lines of the table, the ratio of site.yml to baseline.sh after the two."""
    table = []
    for name, title in TITLES.items():
        seconds = [sample.seconds for sample in samples.get(name, ())]
        if seconds:
            table.append(
                Row(title, statistics.median(seconds), min(seconds), max(seconds), len(seconds), GOALS.get(name))
            )
        pairs = [(site.seconds, base.seconds) for site, base in zip(samples["site"], samples["baseline"])]
        if name == "site" and pairs:
            ratios = [site / base for site, base in pairs]
            middle = statistics.median(s for s, _ in pairs) / statistics.median(b for _, b in pairs)
            table.append(
                Row("ratio site.yml / baseline.sh", middle, min(ratios), max(ratios), len(pairs), GOALS["ratio"])
            )
    return table


def table(lines: Sequence[Row]) -> str:
    """Return the lines as a markdown table."""
    text = ["| what | median | min-max | n | goal | verdict |", "|---|---:|---:|---:|---:|---|"]
    for row in lines:
        unit = "" if row.name.startswith("ratio") else " s"
        goal = "" if row.goal is None else f"{row.goal:g}{unit}"
        figures = f"{row.median:.2f}{unit} | {row.low:.2f}-{row.high:.2f}"
        text.append(f"| {row.name} | {figures} | {row.count} | {goal} | {row.verdict} |")
    return "\n".join(text)


def profile(title: str, figures: Mapping[str, float], least: float) -> str:
    """Return one line with the largest figures."""
    shown = [f"{name} {seconds:.2f}" for name, seconds in figures.items() if seconds >= least]
    return f"{title}: {', '.join(shown)}"
