# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""What the bench makes of its samples of backups and of the edge: rows, ratios within one round, goals. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """What is measured, or the ratio of a sum to another; goal is the most that is good, or the least."""

    title: str
    unit: str = "s"
    goal: float | None = None
    over: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    places: int = 2
    more_is_better: bool = False

    @property
    def goal_text(self) -> str:
        if self.goal is None:
            return ""
        return f"{'>=' if self.more_is_better else '<='} {self.goal:g} {self.unit}".rstrip()


def _ratio(title: str, above: str, below: str, goal: float | None = None, **options: bool) -> Measure:
    return Measure(title, "", goal, ((above,), (below,)), **options)


#: In the order of the table. Seconds, megabytes (MB, a million bytes), or ratios of samples of the same round.
BACKUPS = {
    "bare_dump": Measure("bare pg_dump, the same options"),
    "dump": Measure("the dump of quayside-backup run"),
    "ratio_dump": _ratio("ratio of the two", "dump", "bare_dump", 1.05),
    "verify": Measure("its full decode and its sha256"),
    "ratio_verify": _ratio("ratio of that to the dump", "verify", "dump", 0.5),
    "count": Measure("its counts of every table, at the same time"),
    "run": Measure("quayside-backup run, all of it"),
    "default_dump": Measure("pg_dump -Fc, its default compression"),
    "peer": Measure("autopostgresqlbackup"),
    "ratio_default": _ratio("ratio of our dump to pg_dump -Fc", "dump", "default_dump", 0.5),
    "ratio_peer": _ratio("ratio of our dump to autopostgresqlbackup", "dump", "peer", 0.5),
    "ratio_run_default": _ratio("ratio of our whole run to pg_dump -Fc", "run", "default_dump"),
    "ratio_run_peer": _ratio("ratio of our whole run to autopostgresqlbackup", "run", "peer"),
    "size": Measure("size of our dump", "MB", places=0),
    "default_size": Measure("size by pg_dump -Fc", "MB", places=0),
    "peer_size": Measure("size by autopostgresqlbackup", "MB", places=0),
    "ratio_default_size": _ratio("ratio of our size to pg_dump -Fc", "size", "default_size", 1.1),
    "ratio_peer_size": _ratio("ratio of our size to autopostgresqlbackup", "size", "peer_size", 1.1),
    "bare_restore": Measure("bare pg_restore with as many jobs"),
    "bare_checks": Measure("by hand sha256sum, counts of every table, vacuumdb --analyze-only"),
    "restore": Measure("quayside-backup restore, all of it"),
    "ratio_restore": Measure("ratio of that to the two", "", 1.05, (("restore",), ("bare_restore", "bare_checks"))),
    "swap": Measure("refused connections at a swap with 20 live sessions", "s", 0.3),
    "plan": Measure("retention planned over 100,000 manifests", "s", 1.0),
    "memory": Measure("memory of quayside-backup run (VmHWM)", "MB", 64.0, places=1),
    "memory_restore": Measure("memory of quayside-backup restore (VmHWM)", "MB", 64.0, places=1),
}

#: The site that quayside makes of an app, and a minimal one by hand, both before the same server. Milliseconds (ms).
EDGE = {
    "hand_h1": Measure("a minimal nginx by hand, HTTP/1.1", "requests/s", places=0),
    "site_h1": Measure("the app's site, HTTP/1.1", "requests/s", places=0),
    "ratio_h1": _ratio("ratio of that to the minimal one", "site_h1", "hand_h1", 0.95, more_is_better=True),
    "hand_h1_p99": Measure("p99 by hand, HTTP/1.1", "ms", places=1),
    "site_h1_p99": Measure("p99 of the app's site, HTTP/1.1", "ms", places=1),
    "hand_h2": Measure("a minimal nginx by hand, HTTP/2", "requests/s", places=0),
    "site_h2": Measure("the app's site, HTTP/2", "requests/s", places=0),
    "ratio_h2": _ratio("ratio of that to the minimal one", "site_h2", "hand_h2", 0.95, more_is_better=True),
    "hand_h2_p99": Measure("p99 by hand, HTTP/2", "ms", places=1),
    "site_h2_p99": Measure("p99 of the app's site, HTTP/2", "ms", places=1),
    "memory_added": Measure("memory of our nginx more than of the minimal one (PSS)", "MB", 5.0, places=1),
}


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    measure: Measure
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def verdict(self) -> str:
        if self.measure.goal is None:
            return ""
        good = self.median >= self.measure.goal if self.measure.more_is_better else self.median <= self.measure.goal
        return "good" if good else "missed"


def figures(measures: Mapping[str, Measure], samples: Mapping[str, Sequence[float]]) -> list[Figure]:
    """The lines of what was measured; a ratio is that of one round's samples, for a round is one time and one load."""
    found = []
    for name, measure in measures.items():
        if measure.over is None:
            values = list(samples.get(name, ()))
        else:
            above, below = ([samples.get(part, ()) for part in parts] for parts in measure.over)
            values = [sum(one) / sum(other) for one, other in zip(zip(*above), zip(*below))]
        if values:
            found.append(Figure(measure, tuple(values)))
    return found


def table(title: str, found: Sequence[Figure]) -> str:
    """The lines as a markdown table."""
    text = [f"| {title} | median | min-max | n | goal | verdict |", "|---|---:|---:|---:|---:|---|"]
    for figure in found:
        measure = figure.measure
        unit = f" {measure.unit}" if measure.unit else ""
        median, low, high = (
            f"{value:.{measure.places}f}" for value in (figure.median, min(figure.values), max(figure.values))
        )
        cells = [
            measure.title,
            f"{median}{unit}",
            f"{low}-{high}",
            str(len(figure.values)),
            measure.goal_text,
            figure.verdict,
        ]
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text)
