# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Which container a job runs in, and how a run ended. No I/O; part of the program that the host gets for its jobs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LAST_LINES = 50


@dataclass(frozen=True)
class Container:
    """A container of the app."""

    id: str
    running: bool
    slot: str
    process: str
    kind: str
    release: str


@dataclass(frozen=True)
class Record:
    """The last run of a job, in `jobs/<job>.json`. A run that was cut off stays `running`."""

    started: str
    release: str = ""
    slot: str = ""
    result: str = "running"
    """`running`, `ok`, `failed` or `timeout`."""
    finished: str = ""
    seconds: float = 0.0
    exit_code: int | None = None
    message: str = ""
    last_lines: Sequence[str] = ()
    skipped: int = 0
    """How many starts were skipped since, because this run was not over."""
    skipped_at: str = ""


def parse(listing: str) -> list[Container]:
    """Read what `docker ps` was asked for: id, state and labels, with tabs between."""
    rows = [line.split("\t") for line in listing.splitlines() if line]
    return [Container(row[0], row[1] == "running", *row[2:]) for row in rows]


def live_release(containers: Iterable[Container], slot: str) -> str:
    """Return the release whose web containers run in the live slot; the newest one there if none does."""
    here = [container for container in containers if container.slot == slot]
    serving = {container.release for container in here if container.process == "web" and container.running}
    return max(serving or {container.release for container in here}, default="")


def choose(containers: Iterable[Container], slot: str, job: str) -> Container | None:
    """Return the container to run, or one that is at work: its runner was killed, and two runs must not overlap."""
    containers = list(containers)
    mine = [container for container in containers if container.kind == "job" and container.process == job]
    busy = [container for container in mine if container.running]
    release = live_release(containers, slot)
    fit = [container for container in mine if container.slot == slot and container.release == release]
    return next(iter(busy + fit), None)


def result_of(code: int, timed_out: bool, oom: bool, timeout: float) -> tuple[str, str]:
    """Return a run's result, and why in words if it is not good."""
    if timed_out:
        return "timeout", f"it was stopped after {timeout:g} s"
    if code == 0:
        return "ok", ""
    why = ": it needed more memory than resources.memory allows" if oom else ""
    return "failed", f"it ended with exit code {code}{why}"


def last_lines(tail: bytes | bytearray) -> list[str]:
    return tail.decode("utf-8", errors="replace").splitlines()[-LAST_LINES:]
