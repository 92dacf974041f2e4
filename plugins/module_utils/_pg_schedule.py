# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""When backups and drills run: a time of day, or a calendar of systemd's."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from datetime import datetime
from functools import cache

from ._pg_repository import BackupError

DAY = 86400

_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_CLOCK_LIKE = re.compile(r"[0-9]+:[0-9]+")
_CALENDAR = re.compile(r"[A-Za-z0-9*:.,/~ +_-]{1,100}")
#: Lines of systemd-analyze calendar such as "Iteration #2: Sun 2026-11-29 04:30:00 UTC".
_ELAPSE = re.compile(r"^\s*(?:Next elapse|Iter[^:]*): \w+ ([0-9-]{10} [0-9:]{8}) UTC$", re.MULTILINE)


def check_schedule(schedule: object, key: str = "schedule") -> str:
    """HH:MM or something that systemd may understand, which the host is asked about later."""
    if isinstance(schedule, str):
        if _CLOCK.fullmatch(schedule):
            return schedule
        if _CALENDAR.fullmatch(schedule) and not _CLOCK_LIKE.fullmatch(schedule):
            return schedule
    raise BackupError(schedule_error(schedule, key))


def is_clock(schedule: str) -> bool:
    """Whether it is a time of day, which systemd needs not be asked about."""
    return bool(_CLOCK.fullmatch(schedule))


def schedule_error(schedule: object, key: str = "schedule") -> str:
    return (
        f'{key} is {str(schedule)[:60]!r}; HH:MM from "00:00" to "23:59" (quoted, YAML reads 3:00 as a number) '
        "or a systemd calendar such as 'Sun 03:00' is accepted."
    )


def on_calendar(schedule: str) -> str:
    """The schedule as systemd's OnCalendar."""
    match = _CLOCK.fullmatch(schedule)
    return f"*-*-* {int(match[1]):02}:{match[2]}:00" if match else schedule


def longest_gap(moments: Iterable[datetime]) -> int:
    """The seconds of the longest pause between moments; a day where there are fewer than two."""
    ordered = sorted(moments)
    gaps = [(later - earlier).total_seconds() for earlier, later in zip(ordered, ordered[1:])]
    return int(max(gaps, default=DAY))


def read_elapses(output: str) -> list[datetime]:
    """The moments in what systemd-analyze calendar printed with TZ=UTC."""
    return [datetime.strptime(moment, "%Y-%m-%d %H:%M:%S") for moment in _ELAPSE.findall(output)]


@cache
def period(schedule: str) -> int:
    """Seconds that may pass between two runs of a schedule; systemd knows, and without it a day is taken."""
    analyze = shutil.which("systemd-analyze")
    if is_clock(schedule) or analyze is None:
        return DAY
    command = [analyze, "calendar", "--iterations=15", "--", schedule]
    environment = {"TZ": "UTC", "LC_ALL": "C"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=20, check=False, text=True)
    except (OSError, subprocess.TimeoutExpired):
        return DAY
    return longest_gap(read_elapses(done.stdout))
