# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Watches the traffic after a switch, and says when the new release has to go. The I/O beside `_traffic_judge`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from ._access_log import AccessLog
from ._traffic import Request, Summary, baseline_of, patient_paths, sample_of
from ._traffic_judge import judge_watch

INTERVAL = 0.2
#: Requests that began earlier have no latency to judge: caches are cold, connections to the database are opened.
COLD_SECONDS = 2.0
#: Only this much of the past counts, so that what breaks late in a long watch is not lost among the good ones before.
WINDOW_SECONDS = 5.0


class Probe(Protocol):
    """What the watch needs of a TrafficProbe."""

    def mark(self) -> float: ...

    def summary(self, since: float | None = None) -> Summary: ...


class Watch:
    """Compares the new release with the old one by users' requests in the site's log, and by the probe.

    Make it right before the flip: it takes the baseline then.

    Args:
        app_name: the app, which is the site's name as well.
        old_upstream: nginx's name for the slot that loses the traffic, as the log has it: ledger_blue.
        new_upstream: the slot that gets it.
        probe: one that has been running for a while.
        log_path: the site's access log, if not the nginx role's.
    """

    def __init__(
        self,
        app_name: str,
        old_upstream: str,
        new_upstream: str,
        probe: Probe,
        log_path: str | Path | None = None,
    ) -> None:
        self._log = AccessLog(log_path or f"/var/log/nginx/{app_name}.access.log")
        baseline = baseline_of(self._log.tail(), old_upstream, new_upstream)
        self._new = new_upstream
        self._patient = patient_paths(baseline)
        self._baseline = sample_of(baseline, self._patient)
        self._probe = probe
        self._probe_before = probe.summary()
        self._seen: deque[tuple[float, Request]] = deque()
        self.flipped()

    def flipped(self) -> None:
        """Count the probe's requests from here on. Not needed where the flip comes right after the constructor."""
        self._mark = self._probe.mark()

    def run(self, seconds: float, clock: Callable[[], float], sleep: Callable[[float], None]) -> str | None:
        """Watch for this long. Return at once why the new release has to go, or None when the time is over."""
        start = clock()
        marks = deque([(start, self._mark)])
        # At least once more at the very end, or what the last moments brought would go unseen.
        while seconds > 0:
            now = clock()
            marks.append((now, self._probe.mark()))
            while marks[1][0] <= now - WINDOW_SECONDS:
                marks.popleft()
            if reason := self._look(now, start + COLD_SECONDS, marks[0][1]):
                return reason
            if now >= start + seconds:
                break
            sleep(min(INTERVAL, start + seconds - now))
        return None

    def close(self) -> None:
        self._log.close()

    def _look(self, now: float, warm: float, since: float) -> str | None:
        new = (request for request in self._log.read() if request.slot == self._new)
        self._seen.extend((now, _without_cold_time(request, now, warm)) for request in new)
        while self._seen and self._seen[0][0] < now - WINDOW_SECONDS:
            self._seen.popleft()
        return judge_watch(
            self._baseline,
            sample_of((request for _at, request in self._seen), self._patient),
            self._probe.summary(since),
            self._probe_before,
        )


def _without_cold_time(request: Request, now: float, warm: float) -> Request:
    """Take the time away that cannot be judged: the request began before `warm`. The log has it when it ends."""
    return replace(request, seconds=None) if now - (request.seconds or 0.0) < warm else request
