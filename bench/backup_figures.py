# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""What the bench makes of its samples of backups: rows, ratios within one round, goals. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """What is measured, or the ratio of a sum to another; goal is the most that is good."""

    title: str
    unit: str = "s"
    goal: float | None = None
    over: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    places: int = 2


#: In the order of the table. Seconds, megabytes (MB, a million bytes), or ratios of samples of the same round.
MEASURES = {
    "bare_dump": Measure("bare pg_dump, the same options"),
    "dump": Measure("the dump of quayside-backup run"),
    "ratio_dump": Measure("ratio of the two", "", 1.05, (("dump",), ("bare_dump",))),
    "verify": Measure("its full decode and its sha256"),
    "ratio_verify": Measure("ratio of that to the dump", "", 0.5, (("verify",), ("dump",))),
    "count": Measure("its counts of every table, at the same time"),
    "run": Measure("quayside-backup run, all of it"),
    "default_dump": Measure("pg_dump -Fc, its default compression"),
    "peer": Measure("autopostgresqlbackup"),
    "ratio_default": Measure("ratio of our dump to pg_dump -Fc", "", 0.5, (("dump",), ("default_dump",))),
    "ratio_peer": Measure("ratio of our dump to autopostgresqlbackup", "", 0.5, (("dump",), ("peer",))),
    "ratio_run_default": Measure("ratio of our whole run to pg_dump -Fc", "", None, (("run",), ("default_dump",))),
    "ratio_run_peer": Measure("ratio of our whole run to autopostgresqlbackup", "", None, (("run",), ("peer",))),
    "size": Measure("size of our dump", "MB", places=0),
    "default_size": Measure("size by pg_dump -Fc", "MB", places=0),
    "peer_size": Measure("size by autopostgresqlbackup", "MB", places=0),
    "ratio_default_size": Measure("ratio of our size to pg_dump -Fc", "", 1.1, (("size",), ("default_size",))),
    "ratio_peer_size": Measure("ratio of our size to autopostgresqlbackup", "", 1.1, (("size",), ("peer_size",))),
    "bare_restore": Measure("bare pg_restore with as many jobs"),
    "bare_checks": Measure("by hand sha256sum, counts of every table, vacuumdb --analyze-only"),
    "restore": Measure("quayside-backup restore, all of it"),
    "ratio_restore": Measure("ratio of that to the two", "", 1.05, (("restore",), ("bare_restore", "bare_checks"))),
    "swap": Measure("refused connections at a swap with 20 live sessions", "s", 0.3),
    "plan": Measure("retention planned over 100,000 manifests", "s", 1.0),
    "memory": Measure("memory of quayside-backup run (VmHWM)", "MB", 64.0, places=1),
    "memory_restore": Measure("memory of quayside-backup restore (VmHWM)", "MB", 64.0, places=1),
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
        return "good" if self.median <= self.measure.goal else "missed"


def figures(samples: Mapping[str, Sequence[float]]) -> list[Figure]:
    """The lines of what was measured; a ratio is that of one round's samples, for a round is one time and one load."""
    found = []
    for name, measure in MEASURES.items():
        if measure.over is None:
            values = list(samples.get(name, ()))
        else:
            above, below = ([samples.get(part, ()) for part in parts] for parts in measure.over)
            values = [sum(one) / sum(other) for one, other in zip(zip(*above), zip(*below))]
        if values:
            found.append(Figure(measure, tuple(values)))
    return found


def table(found: Sequence[Figure]) -> str:
    """The lines as a markdown table."""
    text = ["| backups | median | min-max | n | goal | verdict |", "|---|---:|---:|---:|---:|---|"]
    for figure in found:
        measure = figure.measure
        unit = f" {measure.unit}" if measure.unit else ""
        median, low, high = (
            f"{value:.{measure.places}f}" for value in (figure.median, min(figure.values), max(figure.values))
        )
        goal = "" if measure.goal is None else f"<= {measure.goal:g}{unit}"
        cells = [measure.title, f"{median}{unit}", f"{low}-{high}", str(len(figure.values)), goal, figure.verdict]
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text)
