# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What quayside-backup shows: tables for people, JSON for programs, a growing size on a terminal."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

from ._backup_metrics import Facts, has_copy
from ._pg_repository import DRAFT_PREFIX, Backup, Copy, parse_time
from ._pg_restore_plan import Plan as RestorePlan
from ._pg_rotation import Plan

LATE_PERIODS = 2


def describe(name: str, backup: Backup, now: datetime) -> dict[str, Any]:
    """One backup for programs: pg_dump_info returns it and list --json prints it."""
    manifest = backup.manifest
    return {
        "name": name,
        "id": backup.id,
        "verified": backup.verified,
        "proven": backup.proven,
        "problem": backup.problem,
        "quarantine": manifest.quarantine if manifest else "",
        "created_at": manifest.created_at if manifest else "",
        "age_hours": round((now - backup.created).total_seconds() / 3600, 2),
        "verified_at": manifest.verified_at if manifest else "",
        "proof": asdict(manifest.proof) if manifest and manifest.proof else None,
        "size": manifest.size if manifest else 0,
        "rows": manifest.rows if manifest else 0,
        "tables": len(manifest.tables) if manifest else 0,
        "seconds": manifest.duration if manifest else 0.0,
        "sha256": manifest.sha256 if manifest else "",
        "encrypted": manifest.encrypted if manifest else False,
        "partial": manifest.partial if manifest else False,
        "copies": [asdict(copy) for copy in manifest.copies] if manifest else [],
        "server_version": manifest.server_version if manifest else "",
        "notes": list(manifest.notes) if manifest else [],
    }


LIST_HEAD = ("NAME", "ID", "AGE", "SIZE", "ROWS", "OFFSITE", "STATE")


def list_row(name: str, backup: Backup, now: datetime) -> tuple[str, ...]:
    """One backup for a person."""
    manifest = backup.manifest
    return (
        name,
        backup.id,
        age(now - backup.created),
        size(manifest.size) if manifest else "?",
        str(manifest.rows) if manifest else "?",
        ", ".join(map(_copy, manifest.copies)) if manifest and manifest.copies else "-",
        state(backup),
    )


def state(backup: Backup) -> str:
    """Whether a backup can be trusted, and how far that goes."""
    manifest = backup.manifest
    if manifest is None or (backup.problem and not manifest.quarantine):
        return f"NOT VERIFIED: {backup.problem or 'it has no manifest'}"
    if manifest.quarantine:
        return f"QUARANTINED: {manifest.quarantine}"
    about = [word for word, true in (("encrypted", manifest.encrypted), ("partial", manifest.partial)) if true]
    more = f" ({', '.join(about)})" if about else ""
    proof = manifest.proof
    if proof is None:
        return f"verified{more}"
    if proof.problem:
        return f"verified, but the drill of {proof.at} FAILED: {proof.problem}{more}"
    return f"PROVEN {proof.at} in {proof.seconds:.0f} s{more}"


def _copy(copy: Copy) -> str:
    return f"{copy.target} {'FAILED' if copy.problem else 'ok'}"


def judge_facts(facts: Facts, drills: bool, now: datetime) -> list[str]:
    """What is wrong with the backups of a database at the moment; nothing when a person may sleep."""
    problems = [problem.rstrip(".") for problem in facts.status.problems(drills)]
    verified = [backup for backup in facts.backups if backup.verified]
    newest = max(verified, key=lambda backup: backup.id, default=None)
    if newest is None or newest.manifest is None:
        problems.insert(0, "there is no verified backup")
    else:
        old = now - newest.created
        if old > timedelta(seconds=LATE_PERIODS * facts.period):
            problems.insert(
                0, f"the last verified backup is {age(old)} old, and one is due every {age_of(facts.period)}"
            )
        missing = [target for target in facts.targets if not has_copy(newest.manifest, target)]
        told = facts.status.run is not None and facts.status.run.failed
        problems += [f"{newest.id} has no copy at {', '.join(missing)}"] if missing and not told else []
    waiting = [backup.id for backup in facts.backups if backup.manifest and backup.manifest.quarantine]
    waiting = [backup_id for backup_id in waiting if not any(backup_id in problem for problem in problems)]
    problems += [f"in quarantine: {', '.join(waiting)}; look at it, then quayside-backup accept"] if waiting else []
    return problems


STATUS_HEAD = ("NAME", "VERIFIED", "PROVEN", "LAST RUN", "STATE")


def status_row(facts: Facts, problems: Sequence[str], now: datetime) -> tuple[str, ...]:
    verified = [backup.created for backup in facts.backups if backup.verified]
    proven = [backup.created for backup in facts.backups if backup.proven]
    last = facts.status.run
    ended = "-"
    if last is not None:
        word = "running since" if last.running else ("failed" if last.failed else "ok")
        ended = f"{word} {age(now - parse_time(last.started))}" + ("" if last.running else " ago")
    return (
        facts.name,
        f"{age(now - max(verified))} ago" if verified else "never",
        f"{age(now - max(proven))} ago" if proven else "never",
        ended,
        "ok" if not problems else "PROBLEM: " + "; ".join(problems),
    )


def status_dict(facts: Facts, problems: Sequence[str], now: datetime) -> dict[str, Any]:
    def hours(backups: Sequence[Backup]) -> float | None:
        newest = max((backup.created for backup in backups), default=None)
        return round((now - newest).total_seconds() / 3600, 2) if newest else None

    return {
        "name": facts.name,
        "ok": not problems,
        "problems": list(problems),
        "verified_age_hours": hours([backup for backup in facts.backups if backup.verified]),
        "proven_age_hours": hours([backup for backup in facts.backups if backup.proven]),
        "backups": len(facts.backups),
        "schedule_seconds": facts.period,
        **{key: value for key, value in facts.status.to_dict().items() if key != "format"},
    }


def rotation_rows(decided: Plan) -> list[tuple[str, ...]]:
    """What goes, and why each of the others stays."""
    rows = [("ID", "WHAT", "WHY")]
    rows += [(kept.id, "stays", ", ".join(kept.reasons)) for kept in decided.kept]
    rows += [(backup_id, "GOES", "no rule keeps it") for backup_id in decided.removed]
    return [rows[0], *sorted(rows[1:], reverse=True)]


def rotation_dict(decided: Plan) -> dict[str, Any]:
    kept = [{"id": one.id, "reasons": list(one.reasons)} for one in decided.kept]
    return {"kept": kept, "removed": list(decided.removed), "frozen": decided.frozen}


def restore_plan(planned: RestorePlan) -> list[str]:
    """What a restore would do."""
    manifest = planned.manifest
    what = f"{planned.final} becomes backup {manifest.id} of {manifest.created_at}: {manifest.rows} rows"
    lines = [f"{what}, restored by {planned.jobs} jobs"]
    if planned.old:
        lines.append(f"the present {planned.final} is kept as {planned.old}")
    return [*lines, *(f"warning: {warning}" for warning in planned.warnings)]


def print_lines(lines: Sequence[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def print_json(data: object) -> None:
    sys.stdout.write(json.dumps(data, indent=2) + "\n")


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n")


def age(passed: timedelta) -> str:
    return age_of(passed.total_seconds())


def age_of(seconds: float) -> str:
    minutes = int(seconds) // 60
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 60 * 48 else f"{minutes // 1440} d"


def size(count: int) -> str:
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


class Progress:
    """The log of a person at a terminal: steps as lines, and below them the size of what is being written."""

    def __init__(self, root: str, stream: TextIO) -> None:
        self.root, self.stream, self.lock, self.shown = Path(root), stream, threading.Lock(), False

    def log(self, message: str) -> None:
        # A log that is full or that nobody reads any more is no reason to have no backup, nor to tell nobody of it.
        with self.lock, suppress(OSError):
            self._clear()
            self.stream.write(f"{message}\n")
            self.stream.flush()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Nothing but log lines where no person looks."""
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(done,), daemon=True)
        if self.stream.isatty():
            watcher.start()
        try:
            yield
        finally:
            done.set()
            with self.lock:
                self._clear()

    def _watch(self, done: threading.Event) -> None:
        while not done.wait(1):
            written = drafts_size(self.root)
            with self.lock:
                if written and not done.is_set():
                    self.stream.write(f"\r\x1b[K  {size(written)}")
                    self.stream.flush()
                    self.shown = True

    def _clear(self) -> None:
        if self.shown:
            self.stream.write("\r\x1b[K")
            self.shown = False


def drafts_size(root: Path) -> int:
    """Bytes in the unfinished backups below a root."""
    total = 0
    for path in root.glob(f"*/{DRAFT_PREFIX}*/*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
