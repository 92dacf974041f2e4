# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import random

import pytest
from ansible_collections.quayside.web.plugins.module_utils._traffic import Sample, Share, Summary
from ansible_collections.quayside.web.plugins.module_utils._traffic_judge import judge_watch, worse

QUICK = (0.02,) * 380
GOOD_PROBE = Summary(50, 0, 4.0, 12.0, 12.0)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (Share(0, 380), Share(1, 1), False),
        (Share(0, 380), Share(2, 2), False),
        (Share(0, 380), Share(3, 3), True),
        (Share(0, 380), Share(3, 10), True),
        (Share(0, 380), Share(3, 100), False),
        (Share(0, 380), Share(12, 40), True),
        (Share(0, 500), Share(6, 100), True),
        (Share(0, 500), Share(20, 2000), False),
        (Share(19, 380), Share(3, 40), False),
        (Share(19, 380), Share(5, 40), False),
        (Share(19, 380), Share(20, 40), True),
        (Share(190, 380), Share(40, 60), False),
        (Share(380, 380), Share(40, 40), False),
        (Share(0, 0), Share(3, 3), True),
        (Share(0, 0), Share(3, 60), False),
        (Share(0, 0), Share(0, 0), False),
        (Share(5, 10), Share(5, 10), False),
        (Share(1, 10), Share(3, 10), False),
        (Share(1, 10), Share(10, 10), True),
        (Share(0, 500), Share(20000, 20000), True),
    ],
    ids=[
        "one stray 500",
        "the same user again",
        "all of three",
        "three of ten within a second",
        "three of a hundred",
        "30 % broken",
        "one page broken",
        "less than 2 % broken",
        "as many as always",
        "some more by chance",
        "half, where there was always 5 %",
        "broken before as well",
        "all broken before as well",
        "no baseline, nothing works",
        "no baseline, some errors",
        "no requests",
        "few before, the same now",
        "few before, three times as many now",
        "few before, all now",
        "a flood",
    ],
)
def test_errors(before: Share, now: Share, expected: bool) -> None:
    found = judge_watch(Sample(before.of, before.bad), Sample(now.of, now.bad), GOOD_PROBE, GOOD_PROBE)
    assert (found is not None) is expected, found


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05, 0.3])
def test_releases_alike_are_told_apart_in_less_than_one_watch_of_a_thousand(share: float) -> None:
    chance = random.Random(7)
    alarms = 0
    for _watch in range(1000):
        before = Share(sum(chance.random() < share for _before in range(400)), 400)
        bad = 0
        for look in range(1, 26):
            bad += sum(chance.random() < share for _now in range(20))
            if worse(before, Share(bad, 20 * look), 0.02):
                alarms += 1
                break
    assert alarms <= 1


def times(quick: int, slow: int, seconds: float) -> Sample:
    return Sample(quick + slow, 0, (0.02,) * quick + (seconds,) * slow)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (times(380, 0, 0), times(30, 0, 0), False),
        (times(380, 0, 0), times(8, 2, 3.0), False),
        (times(380, 0, 0), times(0, 3, 3.0), True),
        (times(380, 0, 0), times(10, 10, 0.4), True),
        (times(380, 0, 0), times(0, 50, 0.24), False),
        (times(380, 0, 0), times(90, 10, 3.0), False),
        (times(19, 0, 0), times(0, 30, 3.0), False),
        (times(20, 0, 0), times(0, 30, 3.0), True),
        (times(300, 80, 3.0), times(20, 8, 3.0), False),
        (times(0, 380, 1.0), times(0, 30, 2.9), False),
        (times(0, 380, 1.0), times(0, 30, 3.1), True),
        (Sample(380, 0, ()), times(0, 30, 3.0), False),
    ],
    ids=[
        "as quick as before",
        "two slow ones",
        "three of three slow",
        "half is slow",
        "slower, but still quick",
        "a tenth is slow",
        "too few before to know",
        "just enough before",
        "a fifth was always slow",
        "an app that is slow",
        "an app that is slow gets slower",
        "only WebSockets before",
    ],
)
def test_latency(before: Sample, now: Sample, expected: bool) -> None:
    assert (judge_watch(before, now, GOOD_PROBE, GOOD_PROBE) is not None) is expected


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (GOOD_PROBE, GOOD_PROBE, False),
        (GOOD_PROBE, Summary(5, 2, 4.0, 9.0, 9.0), False),
        (GOOD_PROBE, Summary(3, 3, 4.0, 9.0, 9.0), True),
        (GOOD_PROBE, Summary(10, 4, 4.0, 9.0, 9.0), True),
        (GOOD_PROBE, Summary(50, 3, 4.0, 9.0, 9.0), False),
        (Summary(50, 50, 4.0, 9.0, 9.0), Summary(50, 50, 4.0, 9.0, 9.0), False),
        (Summary(), Summary(4, 4, 4.0, 9.0, 9.0), True),
        (GOOD_PROBE, Summary(waiting_ms=(900.0, 800.0, 700.0)), False),
        (GOOD_PROBE, Summary(waiting_ms=(1200.0, 1100.0, 1001.0)), True),
        (Summary(50, 0, 900.0, 1500.0, 1500.0), Summary(waiting_ms=(1700.0, 1600.0, 1500.0)), False),
        (GOOD_PROBE, Summary(10, 0, 260.0, 300.0, 300.0), True),
        (GOOD_PROBE, Summary(9, 0, 260.0, 300.0, 300.0), False),
        (GOOD_PROBE, Summary(10, 0, 240.0, 3000.0, 3000.0), False),
        (Summary(50, 0, 100.0, 120.0, 120.0), Summary(10, 0, 260.0, 300.0, 300.0), False),
        (Summary(), Summary(10, 0, 2600.0, 3000.0, 3000.0), False),
    ],
    ids=[
        "the same",
        "two failures",
        "all of three",
        "four of ten",
        "three of fifty",
        "broken before as well",
        "no baseline",
        "not waiting for long",
        "three hang",
        "an app that answers late",
        "slow",
        "too few to know",
        "one that took long",
        "less than three times as slow",
        "no baseline for slowness",
    ],
)
def test_probe(before: Summary, now: Summary, expected: bool) -> None:
    users = Sample(380, 0, QUICK)
    assert (judge_watch(users, users, now, before) is not None) is expected


@pytest.mark.parametrize(
    ("now", "probe", "sentence"),
    [
        (Sample(40, 12, ()), GOOD_PROBE, "12 of 40 requests answered 5xx (30 %), before 0 of 380"),
        (
            Sample(20, 0, (0.02,) * 10 + (0.4,) * 10),
            GOOD_PROBE,
            "10 of 20 requests took more than 250 ms (50 %), before 0 of 380",
        ),
        (
            Sample(),
            Summary(4, 4, 3.0, 9.0, 9.0, "https://a.test/health: answered 502"),
            "4 of 4 requests of the probe failed (100 %; first: https://a.test/health: answered 502), before 0 of 50",
        ),
        (
            Sample(),
            Summary(waiting_ms=(1300.0, 1200.0, 1100.0)),
            "3 of 3 requests of the probe failed (100 %; no answer within 1.0 s), before 0 of 50",
        ),
        (
            Sample(5, 5, ()),
            Summary(10, 0, 600.0, 700.0, 700.0),
            "5 of 5 requests answered 5xx (100 %), before 0 of 380; "
            "half of the 10 requests of the probe took 600 ms or more, before 4.0 ms",
        ),
    ],
)
def test_the_reason_gives_the_figures(now: Sample, probe: Summary, sentence: str) -> None:
    assert judge_watch(Sample(380, 0, QUICK), now, probe, GOOD_PROBE) == sentence
