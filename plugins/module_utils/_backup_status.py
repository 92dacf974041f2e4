# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""How the last run and the last drill of a database ended, or that they never did: <root>/<name>/status.json."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ._files import write_json
from ._pg_repository import check_name, parse_time

STATUS = "status.json"
FORMAT = 1
RUN, DRILL = "run", "drill"

Log = Callable[[str], None]

_STALE_DRAFT = 60


def process_mark(pid: int) -> str:
    """The boot and the moment in it at which a process began; empty where there is none. Source: proc_pid_stat(5)."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        after_name = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return f"{boot}:{after_name[19]}"
    except (OSError, IndexError):
        return ""


@dataclass(frozen=True)
class LastRun:
    """Times are UTC; finished stays empty while it runs, and for ever where it was killed. seconds of the whole.

    mailed: a failure has been told by mail already, or there was none.
    """

    started: str
    finished: str = ""
    ok: bool = False
    error: str = ""
    step: str = ""
    id: str = ""
    seconds: float = 0.0
    pid: int = 0
    process: str = ""
    """What tells the process from a later one with its pid; empty in records of before."""
    mailed: bool = False

    @property
    def running(self) -> bool:
        found = process_mark(self.pid)
        return not self.finished and found != "" and self.process in ("", found)

    @property
    def killed(self) -> bool:
        return not self.finished and not self.running

    @property
    def failed(self) -> bool:
        return (bool(self.finished) and not self.ok) or self.killed

    @property
    def problem(self) -> str:
        """Why it failed; empty when it did not, or has not ended yet."""
        if self.killed:
            return f"it was ended from outside at the step {self.step or 'start'} (killed, or the host went down)"
        return self.error if self.finished and not self.ok else ""


@dataclass(frozen=True)
class Status:
    """The last run and the last drill of one database; None where there was none."""

    run: LastRun | None = None
    drill: LastRun | None = None

    def of(self, action: str) -> LastRun | None:
        return self.drill if action == DRILL else self.run

    def with_last(self, action: str, last: LastRun) -> Status:
        return replace(self, drill=last) if action == DRILL else replace(self, run=last)

    def problems(self, drills: bool) -> list[str]:
        """What is wrong at the moment; drills: whether the database has any."""
        found = [f"the last backup failed: {self.run.problem}"] if self.run and self.run.failed else []
        if drills and self.drill and self.drill.failed:
            found.append(f"the last drill failed: {self.drill.problem}")
        return found

    def to_dict(self) -> dict[str, Any]:
        return {"format": FORMAT, RUN: _to_dict(self.run), DRILL: _to_dict(self.drill)}


def _to_dict(last: LastRun | None) -> dict[str, Any] | None:
    return None if last is None else asdict(last)


def parse(text: str) -> Status:
    """The state in text; an empty one where that is damaged: the next run writes it again."""
    try:
        data = json.loads(text)
        return Status(_parse_one(data.get(RUN)), _parse_one(data.get(DRILL)))
    except (ValueError, TypeError, AttributeError):
        return Status()


def _parse_one(data: Mapping[str, Any] | None) -> LastRun | None:
    if data is None:
        return None
    last = LastRun(**{key: data[key] for key in LastRun.__dataclass_fields__ if key in data})
    for moment in filter(None, (last.started, last.finished)):
        parse_time(moment)
    return last


def read(root: str, name: str) -> Status:
    try:
        return parse((Path(root) / check_name(name) / STATUS).read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return Status()


def write(root: str, name: str, action: str, last: LastRun, log: Log) -> None:
    """Record a run beside what is known of the other action. A full disk must not hide why the run itself failed."""
    folder = Path(root) / check_name(name)
    try:
        for path in (Path(root), folder):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(folder)
        write_json(folder / STATUS, read(root, name).with_last(action, last).to_dict())
    except OSError as error:
        log(f"{name}: cannot write {folder / STATUS}: {error.strerror}")


def _sweep(folder: Path) -> None:
    """Remove what a process left that was killed while it wrote."""
    for path in folder.glob(f".{STATUS}.*"):
        with suppress(FileNotFoundError):
            if path.name == f".{STATUS}.{os.getpid()}" or path.stat().st_mtime < time.time() - _STALE_DRAFT:
                path.unlink()
