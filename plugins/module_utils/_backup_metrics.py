# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The state of the backups in Prometheus' text format, for the textfile collector of node_exporter."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ._backup_status import LastRun, Status
from ._files import write_atomically
from ._pg_repository import Backup, Manifest, parse_time

FILE = "quayside_backup.prom"
PREFIX = "quayside_backup_"


@dataclass(frozen=True)
class Facts:
    """What is known about the backups of one database. period: seconds from one scheduled run to the next."""

    name: str
    backups: Sequence[Backup] = ()
    status: Status = field(default_factory=Status)
    targets: Sequence[str] = ()
    period: int = 86400


@dataclass(frozen=True)
class Sample:
    """One line of a metric."""

    metric: str
    labels: Mapping[str, str]
    value: float


#: Every metric, in the order of the file; all are gauges.
HELP = {
    "schedule_seconds": "Longest time from one scheduled backup to the next.",
    "last_run_timestamp_seconds": "When the last run started; absent before the first.",
    "last_run_success": "1 when the last run went well: verified, copied, nothing in quarantine.",
    "last_run_seconds": "How long the last run took, with its copies.",
    "last_drill_timestamp_seconds": "When the last drill started; absent before the first.",
    "last_drill_success": "1 when the last drill restored every row.",
    "last_verified_timestamp_seconds": "When the newest verified backup was taken; 0 when there is none.",
    "last_proven_timestamp_seconds": "When the newest backup that a drill restored was taken; 0 when there is none.",
    "size_bytes": "Size of the newest verified backup.",
    "rows": "Rows in the newest verified backup.",
    "seconds": "How long it took to take and verify the newest verified backup.",
    "step_seconds": "How long each step of the newest verified backup took.",
    "drill_seconds": "How long the last successful restore for practice took: the measured recovery time.",
    "verified": "Number of verified backups on this host.",
    "quarantined": "Number of backups in quarantine, which freeze the retention until someone looks.",
    "damaged": "Number of backups that cannot be trusted, apart from those in quarantine.",
    "offsite_success": "1 when the newest verified backup has a copy at the target that was read back.",
    "offsite_last_timestamp_seconds": "When the newest backup with such a copy was taken; 0 when there is none.",
}


def samples(facts: Facts) -> Iterator[Sample]:
    """Every line about one database."""
    labels = {"name": facts.name}
    yield Sample("schedule_seconds", labels, facts.period)
    yield from _of_last("run", facts.status.run, labels)
    yield from _of_last("drill", facts.status.drill, labels)
    verified = [backup.manifest for backup in facts.backups if backup.verified and backup.manifest]
    proven = [backup.manifest for backup in facts.backups if backup.proven and backup.manifest]
    quarantined = sum(bool(backup.manifest and backup.manifest.quarantine) for backup in facts.backups)
    yield Sample("last_verified_timestamp_seconds", labels, _taken(_newest(verified)))
    yield Sample("last_proven_timestamp_seconds", labels, _taken(_newest(proven)))
    yield from _of_newest(_newest(verified), labels)
    proofs = [manifest.proof for manifest in proven if manifest.proof]
    if proofs:
        yield Sample("drill_seconds", labels, max(proofs, key=lambda proof: proof.at).seconds)
    yield Sample("verified", labels, len(verified))
    yield Sample("quarantined", labels, quarantined)
    yield Sample("damaged", labels, len(facts.backups) - len(verified) - quarantined)
    for target in facts.targets:
        copied = [manifest for manifest in verified if has_copy(manifest, target)]
        newest = _newest(verified)
        where = {**labels, "target": target}
        yield Sample("offsite_success", where, int(newest is not None and newest in copied))
        yield Sample("offsite_last_timestamp_seconds", where, _taken(_newest(copied)))


def has_copy(manifest: Manifest, target: str) -> bool:
    return any(copy.target == target and not copy.problem for copy in manifest.copies)


def _of_last(action: str, last: LastRun | None, labels: Mapping[str, str]) -> Iterator[Sample]:
    if last is None:
        return
    yield Sample(f"last_{action}_timestamp_seconds", labels, _seconds(parse_time(last.started)))
    if last.running:
        return
    yield Sample(f"last_{action}_success", labels, int(last.ok))
    if action == "run":
        yield Sample("last_run_seconds", labels, last.seconds)


def _of_newest(manifest: Manifest | None, labels: Mapping[str, str]) -> Iterator[Sample]:
    if manifest is None:
        return
    yield Sample("size_bytes", labels, manifest.size)
    yield Sample("rows", labels, manifest.rows)
    yield Sample("seconds", labels, manifest.duration)
    for step, seconds in manifest.seconds.items():
        yield Sample("step_seconds", {**labels, "step": step}, seconds)


def _newest(manifests: Iterable[Manifest]) -> Manifest | None:
    return max(manifests, key=lambda manifest: manifest.id, default=None)


def _taken(manifest: Manifest | None) -> float:
    return _seconds(parse_time(manifest.created_at)) if manifest else 0


def _seconds(moment: datetime) -> float:
    return int(moment.timestamp())


def render(everything: Iterable[Facts]) -> str:
    """The whole file: the lines of a metric stand together, below its HELP and TYPE."""
    lines: dict[str, list[str]] = {metric: [] for metric in HELP}
    for facts in everything:
        for sample in samples(facts):
            labels = ",".join(f'{key}="{_escape(value)}"' for key, value in sample.labels.items())
            lines[sample.metric].append(f"{PREFIX}{sample.metric}{{{labels}}} {_number(sample.value)}")
    return "".join(
        f"# HELP {PREFIX}{metric} {HELP[metric]}\n# TYPE {PREFIX}{metric} gauge\n" + "\n".join(found) + "\n"
        for metric, found in lines.items()
        if found
    )


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(round(value, 3))


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one process at a time reads the repository and writes the file, so that the last one wrote the newest."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write(folder: Path, text: str) -> None:
    """Write the file for a collector that runs as another user."""
    write_atomically(folder / FILE, text, 0o644)
