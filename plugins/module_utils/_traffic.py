# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The traffic of a site in figures: what the probe saw, and what users asked for. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

#: The User-Agent of our own requests through the vhost, which are not users' traffic.
PROBE_AGENT = "quayside-probe"

#: An unanswered request of the probe counts as hanging after this time (in a watch, three times the old p99 if longer).
HANGING_MS = 1000.0
#: A path where an answer has taken longer than this before is a long poll or a stream: it has no latency to judge.
PATIENT_SECONDS = 5.0


@dataclass(frozen=True)
class Request:
    """One line of a site's access log. `seconds` is the time that the app took, all tries together."""

    slot: str
    path: str
    status: int
    seconds: float | None
    ours: bool


@dataclass(frozen=True)
class Sample:
    """Requests of users to one release. `seconds` holds the times that can be judged, in any order."""

    requests: int = 0
    errors: int = 0
    seconds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    bad: int
    of: int

    def __str__(self) -> str:
        return f"{self.bad} of {self.of}"


@dataclass(frozen=True)
class Summary:
    """What the probe saw. `waiting_ms` are the ages of requests without an answer yet, in none of the other figures."""

    requests: int = 0
    failed: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    max_ms: float = 0.0
    first_failure: str = ""
    waiting_ms: tuple[float, ...] = field(default=(), compare=False)

    def sentence(self) -> str:
        """Return `0 of 53 requests failed, p99 12 ms`."""
        if not self.requests:
            return "no request was answered yet" if self.waiting_ms else "no request was made"
        cause = f" (first: {self.first_failure})" if self.first_failure else ""
        hanging = sum(age > HANGING_MS for age in self.waiting_ms)
        late = f", {hanging} without an answer yet" if hanging else ""
        return f"{Share(self.failed, self.requests)} requests failed{cause}, p99 {milliseconds(self.p99_ms)}{late}"


@dataclass(frozen=True)
class Probed:
    """One request of the probe. `failure` is empty where there was an answer below 500."""

    started: float
    ms: float
    failure: str = ""


def summary_of(probed: Iterable[Probed], waiting_ms: Iterable[float] = ()) -> Summary:
    """Return the figures of the probe's requests, which may come in any order."""
    items = sorted(probed, key=lambda item: item.started)
    waiting = tuple(waiting_ms)
    if not items:
        return Summary(waiting_ms=waiting)
    times = sorted(item.ms for item in items)
    failures = [item.failure for item in items if item.failure]
    return Summary(
        requests=len(items),
        failed=len(failures),
        p50_ms=round(percentile(times, 50), 1),
        p99_ms=round(percentile(times, 99), 1),
        max_ms=round(times[-1], 1),
        first_failure=failures[0] if failures else "",
        waiting_ms=waiting,
    )


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Return the nearest-rank percentile of values in ascending order, of which there is at least one."""
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def parse_line(line: bytes) -> Request | None:
    """Read one line of the access log; None where it is not one of a request that went to a slot."""
    try:
        entry = json.loads(line)
        slot, status = entry["slot"], int(entry["status"])
    except (ValueError, TypeError, KeyError):
        return None
    if not isinstance(slot, str) or slot in {"", "-"}:
        return None
    # One time for each server that was tried, "-" for one that did not answer.
    times = re.findall(r"\d+\.\d+", str(entry.get("upstream_seconds", "")))
    return Request(
        slot=slot,
        path=str(entry.get("path", "")),
        status=status,
        seconds=sum(map(float, times)) if times else None,
        ours=str(entry.get("agent", "")).startswith(PROBE_AGENT),
    )


def baseline_of(requests: Iterable[Request], old: str, new: str) -> list[Request]:
    """Return what users asked of the release in the slot `old`, out of the log's last part.

    It begins after the last request to the slot `new`: before that, another release may have been in `old`.
    """
    found: list[Request] = []
    for request in requests:
        if request.slot == old and not request.ours:
            found.append(request)
        elif request.slot == new:
            found.clear()
    return found


def patient_paths(requests: Iterable[Request]) -> frozenset[str]:
    """Return the paths where requests wait on purpose."""
    return frozenset(item.path for item in requests if item.seconds is not None and item.seconds > PATIENT_SECONDS)


def sample_of(requests: Iterable[Request], patient: Iterable[str] = ()) -> Sample:
    """Count users' requests; the times of WebSockets and of patient paths are left out.

    What a user gave up on (499) is no error, but took at least that long.
    """
    users = [request for request in requests if not request.ours]
    without = frozenset(patient)
    return Sample(
        requests=len(users),
        errors=sum(request.status >= 500 for request in users),
        seconds=tuple(
            request.seconds
            for request in users
            if request.seconds is not None and request.status != 101 and request.path not in without
        ),
    )


def milliseconds(ms: float) -> str:
    """Return a duration as people read it: 3.4 ms, 12 ms, 1.2 s."""
    if ms >= 1000:
        return f"{ms / 1000:.1f} s"
    return f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"
