# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._traffic import (
    Probed,
    Request,
    Sample,
    Summary,
    baseline_of,
    milliseconds,
    parse_line,
    patient_paths,
    percentile,
    sample_of,
    summary_of,
)


def line(**fields: Any) -> bytes:
    """A line as the nginx role's log_format writes it."""
    entry = {
        "path": "/",
        "status": "200",
        "slot": "ledger_green",
        "upstream_status": "200",
        "upstream_seconds": "0.012",
        "agent": "Mozilla/5.0",
    }
    return json.dumps(entry | fields).encode()


def request(
    slot: str = "blue", path: str = "/", status: int = 200, seconds: float | None = 0.01, ours: bool = False
) -> Request:
    return Request(slot, path, status, seconds, ours)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (line(), request("ledger_green", seconds=0.012)),
        (line(status="502", upstream_seconds="0.001, 0.002"), request("ledger_green", status=502, seconds=0.003)),
        (line(upstream_seconds="0.001, - : 0.002"), request("ledger_green", seconds=0.003)),
        (line(upstream_seconds="-"), request("ledger_green", seconds=None)),
        (line(upstream_seconds=""), request("ledger_green", seconds=None)),
        (line(agent="quayside-probe"), request("ledger_green", seconds=0.012, ours=True)),
        (line(path="/poll"), request("ledger_green", "/poll", seconds=0.012)),
        (line(slot=""), None),
        (line(slot="-"), None),
        (line(slot=None), None),
        (line(status="-"), None),
        (b'{"slot":"ledger_green","stat', None),
        (b'203.0.113.9 - - "GET / HTTP/1.1" 200 5', None),
        (b"\xff\xfe", None),
        (b"[]", None),
        (b"7", None),
        (b"{}", None),
        (b"", None),
    ],
)
def test_lines_of_the_log(text: bytes, expected: Request | None) -> None:
    assert parse_line(text) == expected


@pytest.mark.parametrize(
    ("slots", "kept"),
    [
        ([], 0),
        (["old", "old"], 2),
        (["old", "new", "old"], 1),
        (["old", "old", "new"], 0),
        (["other", "old"], 1),
    ],
    ids=["empty", "old only", "another release was in old before", "flipped back", "the app before a new name"],
)
def test_the_baseline_is_of_one_release(slots: list[str], kept: int) -> None:
    assert baseline_of(map(request, slots), "old", "new") == [request("old")] * kept


def test_our_own_requests_are_no_users() -> None:
    mixed = [request(), request(status=500, ours=True)]
    assert baseline_of(mixed, "blue", "green") == [request()]
    assert sample_of(mixed) == Sample(1, 0, (0.01,))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (request(), Sample(1, 0, (0.01,))),
        (request(status=500), Sample(1, 1, (0.01,))),
        (request(status=504, seconds=None), Sample(1, 1, ())),
        (request(status=404), Sample(1, 0, (0.01,))),
        (request(status=101, seconds=600.0), Sample(1, 0, ())),
        (request(status=499, seconds=2.0), Sample(1, 0, (2.0,))),
        (request(path="/poll", seconds=25.0), Sample(1, 0, ())),
    ],
    ids=["good", "error", "no time", "not found", "a WebSocket", "the user left", "a long poll"],
)
def test_what_counts_of_a_request(item: Request, expected: Sample) -> None:
    assert sample_of([item], {"/poll"}) == expected


def test_paths_that_wait_on_purpose() -> None:
    seen = [request(path="/poll", seconds=25.0), request(path="/poll"), request(path="/report", seconds=4.9)]
    assert patient_paths([*seen, request(path="/gone", seconds=None)]) == {"/poll"}


@pytest.mark.parametrize(
    ("count", "percent", "expected"), [(1, 50, 1), (1, 99, 1), (100, 50, 50), (100, 99, 99), (101, 99, 100), (3, 0, 1)]
)
def test_percentile(count: int, percent: int, expected: int) -> None:
    assert percentile(range(1, count + 1), percent) == expected


def test_summary() -> None:
    probed = [Probed(number, 1.0 + number) for number in range(100)]
    probed[60] = Probed(60, 5000.0, "later")
    probed[50] = Probed(50, 4000.0, "first")
    found = summary_of(reversed(probed), [20.0])
    assert found == Summary(requests=100, failed=2, p50_ms=50.0, p99_ms=4000.0, max_ms=5000.0, first_failure="first")
    assert found.waiting_ms == (20.0,)


@pytest.mark.parametrize(
    ("summary", "sentence"),
    [
        (Summary(53, 0, 4.0, 12.3, 30.0), "0 of 53 requests failed, p99 12 ms"),
        (Summary(53, 0, 1.0, 3.42, 30.0), "0 of 53 requests failed, p99 3.4 ms"),
        (
            Summary(9, 2, 4.0, 1250.0, 1250.0, "https://a.test/health: answered 502"),
            "2 of 9 requests failed (first: https://a.test/health: answered 502), p99 1.2 s",
        ),
        (
            Summary(9, 0, 4.0, 12.0, 12.0, waiting_ms=(1500.0, 1400.0, 20.0)),
            "0 of 9 requests failed, p99 12 ms, 2 without an answer yet",
        ),
        (Summary(), "no request was made"),
        (Summary(waiting_ms=(3.0,)), "no request was answered yet"),
    ],
)
def test_the_sentence_of_the_proof(summary: Summary, sentence: str) -> None:
    assert summary.sentence() == sentence


@pytest.mark.parametrize(
    ("value", "text"), [(0.04, "0.0 ms"), (9.94, "9.9 ms"), (10.0, "10 ms"), (999.0, "999 ms"), (1000.0, "1.0 s")]
)
def test_durations(value: float, text: str) -> None:
    assert milliseconds(value) == text
