# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError
from ansible_collections.quayside.web.plugins.module_utils._pg_schedule import (
    DAY,
    check_schedule,
    longest_gap,
    on_calendar,
    period,
    read_elapses,
)

BOOKWORM = """\
  Original form: Mon,Thu 04:30
Normalized form: Mon,Thu *-*-* 04:30:00
    Next elapse: Thu 2026-11-19 04:30:00 UTC
       From now: 16h left
       Iter. #2: Mon 2026-11-23 04:30:00 UTC
       From now: 1 week 0 days left
       Iter. #3: Thu 2026-11-26 04:30:00 UTC
       From now: 2 weeks 0 days left
"""
OLDER = BOOKWORM.replace("Iter. #", "Iteration #")


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("03:00", "*-*-* 03:00:00"), ("3:05", "*-*-* 03:05:00"), ("Sun 04:00", "Sun 04:00"), ("daily", "daily")],
)
def test_on_calendar(schedule: str, expected: str) -> None:
    assert on_calendar(schedule) == expected


@pytest.mark.parametrize(
    ("schedule", "key"),
    [("25:00", "schedule"), ("03:60", "drill.schedule"), (180, "schedule"), ("03:00\nExecStart=x", "schedule")],
)
def test_what_no_clock_and_no_calendar_is(schedule: object, key: str) -> None:
    with pytest.raises(BackupError, match=f"^{key} is "):
        check_schedule(schedule, key)


@pytest.mark.parametrize("output", [BOOKWORM, OLDER], ids=["systemd 252", "another spelling"])
def test_the_longest_pause_counts(output: str) -> None:
    assert longest_gap(read_elapses(output)) == 4 * DAY


@pytest.mark.parametrize("output", ["", "Next elapse: never\n", "    Next elapse: Thu 2026-11-19 04:30:00 UTC\n"])
def test_a_day_where_nothing_is_known(output: str) -> None:
    assert longest_gap(read_elapses(output)) == DAY


def test_a_time_of_day_needs_no_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert period("03:00") == period("Sun 04:31") == DAY
