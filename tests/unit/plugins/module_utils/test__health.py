# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.quayside.web.plugins.module_utils._app_schema import APP
from ansible_collections.quayside.web.plugins.module_utils._health import (
    Attempt,
    Expectation,
    Health,
    Outcome,
    Streak,
    failure,
    json_at,
    judge,
    parse_address,
    parse_status,
    parse_url,
    wait,
)

ANSWER = Attempt(ok=True, target="http://app/health", status=200, body='{"status": "ok", "checks": [{"name": "db"}]}')


@pytest.mark.parametrize(
    ("attempt", "expectation", "error", "message"),
    [
        (ANSWER, Expectation(), "", ""),
        (ANSWER, Expectation(json={"status": "ok", "checks.0.name": "db", "checks[0].name": "db"}), "", ""),
        (replace(ANSWER, status=204), Expectation(status=frozenset({200, 204})), "", ""),
        (
            replace(ANSWER, status=503, body="<h1>\n  down</h1>"),
            Expectation(),
            "status",
            "http://app/health: answered 503, expected 200: <h1> down</h1>",
        ),
        (
            replace(ANSWER, status=301, body="", headers={"location": "https://app/"}),
            Expectation(status=frozenset({204, 200})),
            "status",
            "http://app/health: answered 301 (to https://app/), expected 200 or 204",
        ),
        (
            ANSWER,
            Expectation(json={"status": "fine"}),
            "body",
            'http://app/health: answered 200, but status is "ok", expected "fine"',
        ),
        (
            replace(ANSWER, body="{}"),
            Expectation(json={"release": 7}),
            "body",
            "http://app/health: answered 200, but its JSON has no release, expected 7: {}",
        ),
        (
            replace(ANSWER, body="ok"),
            Expectation(json={"status": "ok"}),
            "body",
            "http://app/health: answered 200, but its body is not JSON, expected JSON: ok",
        ),
        (
            replace(ANSWER, body='{"ready": 1}'),
            Expectation(json={"ready": True}),
            "body",
            "http://app/health: answered 200, but ready is 1, expected true",
        ),
    ],
)
def test_judge(attempt: Attempt, expectation: Expectation, error: str, message: str) -> None:
    judged = judge(attempt, expectation)
    assert (judged.ok, judged.error, judged.message) == (not error, error, message)


def test_judge_leaves_what_got_no_answer() -> None:
    refused = Attempt(ok=False, target="x", error="refused", message="x: no")
    assert judge(refused, Expectation()) is refused


def test_long_bodies_are_cut() -> None:
    assert len(judge(replace(ANSWER, status=500, body="x" * 9000), Expectation()).message) < 600


@pytest.mark.parametrize(
    ("path", "found"), [("a.b", 1), ("c.0.d", 2), ("c[0].d", 2), ("c.1", None), ("a.b.c", None), ("c.x", None)]
)
def test_json_at(path: str, found: object) -> None:
    value = json_at({"a": {"b": 1}, "c": [{"d": 2}]}, path)
    assert value == found if found is not None else value not in (1, 2, None)


@pytest.mark.parametrize(
    ("target", "address"),
    [
        ("http://app/x", "app:80"),
        ("https://app", "app:443"),
        ("https://app:8443/", "app:8443"),
        ("http://[::1]:81/", "[::1]:81"),
        ("db:5432", "db:5432"),
    ],
)
def test_failure_names_the_address(target: str, address: str) -> None:
    attempt = failure(target, ConnectionRefusedError(111, "no"), timeout=1, latency_ms=3)
    assert attempt.message == f"{target}: connection refused, expected a listener on {address}"


def test_streak_starts_again_after_a_failure() -> None:
    streak = Streak(needed=3)
    for ok in (True, True, False, True):
        streak = streak.after(replace(ANSWER, ok=ok))
    assert (streak.count, streak.best, streak.done) == (1, 2, False)
    assert streak.after(ANSWER).after(ANSWER).done


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def run(
    results: list[Attempt], *, successes: int = 2, timeout: float = 10, cost: float = 0.5, eager: bool = False
) -> tuple[Outcome, list[float]]:
    clock, allowed, script = Clock(), [], iter(results)

    def probe(seconds: float) -> Attempt:
        allowed.append(seconds)
        clock.sleep(cost)
        return next(script)

    outcome = wait(
        probe,
        successes=successes,
        interval=1,
        timeout=timeout,
        try_timeout=5,
        clock=clock,
        sleep=clock.sleep,
        eager=eager,
    )
    return outcome, allowed


BAD = Attempt(ok=False, target="http://app/health", error="status", message="http://app/health: answered 503")


def test_wait_passes_after_n_in_a_row() -> None:
    outcome, _allowed = run([BAD, ANSWER, BAD, ANSWER, ANSWER])
    assert (outcome.ok, outcome.attempts, outcome.elapsed) == (True, 5, 6.5)
    assert outcome.message == "http://app/health: healthy after 5 tries in 6.5 s"


def test_wait_gives_up_in_time_and_never_lets_a_try_exceed_it() -> None:
    outcome, allowed = run([BAD, ANSWER] * 10, timeout=4)
    assert not outcome.ok
    assert outcome.elapsed <= 4
    assert allowed == [4, 2.5, 1.0]
    assert outcome.message == "http://app/health: answered 503 (3 tries in 3.5 s, 1 of 2 in a row at best)"


def test_wait_tries_once_even_without_time() -> None:
    outcome, allowed = run([ANSWER], successes=1, timeout=0)
    assert (outcome.ok, outcome.attempts, allowed) == (True, 1, [0.05])


def test_wait_sees_what_is_healthy_soon_but_keeps_its_successes_apart() -> None:
    outcome, _allowed = run([*[BAD] * 10, ANSWER, ANSWER], cost=0, eager=True)
    assert (outcome.ok, outcome.attempts) == (True, 12)
    assert outcome.elapsed == pytest.approx(10 * 0.05 + 0.05 * 0.1 + 1, abs=0.1)


def test_wait_is_eager_only_at_first() -> None:
    outcome, _allowed = run([BAD] * 1000, cost=0, eager=True, timeout=60)
    assert outcome.elapsed == pytest.approx(60, abs=1)
    assert outcome.attempts < 110


def test_wait_stops_at_a_final_failure() -> None:
    outcome, _allowed = run([BAD, replace(BAD, final=True, message="app: the container exited with 1")])
    assert (outcome.ok, outcome.attempts, outcome.message) == (False, 2, "app: the container exited with 1")


def test_wait_tells_how_things_stand() -> None:
    seen: list[Outcome] = []
    clock, script = Clock(), iter([BAD, ANSWER, ANSWER])
    wait(
        lambda _seconds: next(script),
        successes=2,
        interval=1,
        timeout=9,
        try_timeout=5,
        clock=clock,
        sleep=clock.sleep,
        observe=seen.append,
    )
    assert [(outcome.ok, outcome.attempts, outcome.streak.count) for outcome in seen] == [
        (False, 1, 0),
        (False, 2, 1),
        (True, 3, 2),
    ]


def test_a_try_cut_short_does_not_hide_what_was_seen_before() -> None:
    late = replace(BAD, error="timeout", message="http://app/health: no answer")
    outcome, _allowed = run([late, BAD, late], timeout=6, cost=1)
    assert outcome.message == "http://app/health: answered 503 (3 tries in 5.0 s, 0 of 2 in a row at best)"
    outcome, _allowed = run([BAD, late], timeout=8, cost=3)
    assert outcome.message.startswith("http://app/health: no answer")


def test_passing_too_seldom_is_told() -> None:
    outcome, _allowed = run([ANSWER], timeout=1)
    assert outcome.message == (
        "http://app/health: passed, but not often enough yet (1 try in 0.5 s, 1 of 2 in a row at best)"
    )


def test_health_takes_the_key_of_an_app_as_it_is() -> None:
    assert Health.from_params(APP.keys["health"].rule.normal({})) == Health()


def test_health_from_params() -> None:
    health = Health.from_params({"path": "/up", "status": [200, 204], "expect": {"a.b": 1}, "timeout": "30"})
    assert health == Health(path="/up", expect=Expectation(frozenset({200, 204}), {"a.b": 1}), timeout=30)
    assert Health.from_params({"expect": None}) == Health()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"paht": "/"}, "health: unknown key 'paht', accepted are path, status, successes"),
        ({"path": "up"}, "health.path is 'up', expected a path that starts with /"),
        ({"path": 1}, "health.path is 1, expected"),
        ({"status": 42}, "health.status is 42, expected an HTTP status from 100 to 599"),
        ({"status": []}, "health.status is [], expected"),
        ({"status": [200, True]}, "health.status is [200, True], expected"),
        ({"successes": 0}, "health.successes is 0, expected a whole number of at least 1"),
        ({"successes": 1.5}, "health.successes is 1.5, expected a whole number"),
        ({"interval": -1}, "health.interval is -1, expected a number of seconds of at least 0"),
        ({"timeout": "soon"}, "health.timeout is 'soon', expected a number"),
        ({"timeout": True}, "health.timeout is True, expected a number"),
        ({"expect": ["status"]}, "health.expect is ['status'], expected a mapping"),
    ],
)
def test_health_refuses(params: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Health.from_params(params)
    assert message in str(caught.value)


def test_parse_status_takes_text() -> None:
    assert parse_status(["200", 301]) == frozenset({200, 301})


@pytest.mark.parametrize(("text", "address"), [("db:5432", ("db", 5432)), ("[::1]:80", ("::1", 80))])
def test_parse_address(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["db", "db:", ":80", "db:0", "db:65536", "db:x", "::1:80", ""])
def test_parse_address_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="expected host:port"):
        parse_address(text)


@pytest.mark.parametrize("text", ["ftp://x", "app/health", "http://", "http://x:port/", "http://user:Secret@"])
def test_parse_url_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="expected http") as caught:
        parse_url(text)
    assert "Secret" not in str(caught.value)
