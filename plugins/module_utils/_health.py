# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What counts as healthy, and how to say why something is not. Pure: no I/O, the clock is passed in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Callable
from urllib.parse import urlsplit

from ._health_explain import address_of, explain, redacted

BODY_SHOWN = 500
EAGER_PAUSE = 0.05
_MISSING = object()


@dataclass(frozen=True)
class Expectation:
    """What an HTTP answer must look like: one of these statuses, and these values at these JSON paths."""

    status: frozenset[int] = frozenset({200})
    json: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempt:
    """One try. A probe fills it in; `judge` decides about answers.

    `error` is empty or one of dns, refused, tls, timeout, closed, unreachable, status, body, and whatever the
    caller's own probes add. `final` means that no later try can succeed (a container that has exited).
    """

    ok: bool
    target: str
    status: int | None = None
    latency_ms: float = 0.0
    error: str = ""
    message: str = ""
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    final: bool = False


@dataclass(frozen=True)
class Health:
    """The `health` key of an app, checked."""

    path: str = "/health"
    expect: Expectation = field(default_factory=Expectation)
    successes: int = 2
    interval: float = 0.25
    timeout: float = 60.0
    try_timeout: float = 5.0

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Health:
        """Build from `{path: /health, status: 200, expect: {status: ok}, …}`; a ValueError says what is wrong."""
        known = ("path", "status", "successes", "interval", "timeout", "try_timeout", "expect")
        for key in params:
            if key not in known:
                raise ValueError(f"health: unknown key {key!r}, accepted are {', '.join(known)}")
        given = {key: value for key, value in params.items() if value is not None}
        path = given.get("path", cls.path)
        if not isinstance(path, str) or not path.startswith("/"):
            raise ValueError(f"health.path is {path!r}, expected a path that starts with /")
        expected = given.get("expect", {})
        if not isinstance(expected, Mapping):
            raise ValueError(f"health.expect is {expected!r}, expected a mapping of JSON path to value")
        return cls(
            path=path,
            expect=Expectation(status=parse_status(given.get("status", 200)), json=dict(expected)),
            successes=int(_number(given, "successes", cls.successes, minimum=1, whole=True)),
            interval=_number(given, "interval", cls.interval, minimum=0),
            timeout=_number(given, "timeout", cls.timeout, minimum=0),
            try_timeout=_number(given, "try_timeout", cls.try_timeout, minimum=0.001),
        )


@dataclass(frozen=True)
class Streak:
    """Counts successes in a row."""

    needed: int
    count: int = 0
    best: int = 0

    @property
    def done(self) -> bool:
        return self.count >= self.needed

    def after(self, attempt: Attempt) -> Streak:
        count = self.count + 1 if attempt.ok else 0
        return replace(self, count=count, best=max(self.best, count))


@dataclass(frozen=True)
class Outcome:
    """How a wait ended."""

    ok: bool
    attempts: int
    elapsed: float
    streak: Streak
    last: Attempt
    last_failure: Attempt | None

    @property
    def message(self) -> str:
        tries = f"{self.attempts} {'try' if self.attempts == 1 else 'tries'} in {self.elapsed:.1f} s"
        if self.ok:
            return f"{self.last.target}: healthy after {tries}"
        why = (self.last_failure or self.last).message or f"{self.last.target}: passed, but not often enough yet"
        if self.last.final:
            return why
        row = f", {self.streak.best} of {self.streak.needed} in a row at best" if self.streak.needed > 1 else ""
        return f"{why} ({tries}{row})"


def wait(
    probe: Callable[[float], Attempt],
    *,
    successes: int,
    interval: float,
    timeout: float,
    try_timeout: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    eager: bool = False,
    observe: Callable[[Outcome], None] = lambda _outcome: None,
) -> Outcome:
    """Call `probe(seconds it may take)` until it passed `successes` times in a row, or time is over, or a try is final.

    There is always at least one try, and none starts after `timeout`. With `eager` the first tries come faster than
    `interval`, so that what is healthy soon is also seen soon; the successes are `interval` apart all the same.
    `observe` is told how things stand after each try.
    """
    start = clock()
    streak, attempts, last_failure = Streak(successes), 0, None
    while True:
        left = start + timeout - clock()
        attempt = probe(max(min(try_timeout, left), 0.05))
        attempts += 1
        streak = streak.after(attempt)
        # The last try may have too little time left to see what those before it saw.
        cut_short = attempt.error == "timeout" and left < min(try_timeout, timeout) / 2 and last_failure is not None
        if not attempt.ok and not cut_short:
            last_failure = attempt
        elapsed = clock() - start
        # A tenth of the time gone by: noticed late by so much at most, and soon as rare as any other try.
        pause = min(interval, max(EAGER_PAUSE, elapsed / 10)) if eager and not streak.count else interval
        outcome = Outcome(streak.done, attempts, elapsed, streak, attempt, last_failure)
        observe(outcome)
        if streak.done or attempt.final or elapsed + pause >= timeout:
            return outcome
        sleep(pause)


def judge(attempt: Attempt, expectation: Expectation) -> Attempt:
    """Hold an answer against what was expected; an attempt that got no answer is returned as it is."""
    if attempt.status is None:
        return attempt
    for error, text in (("status", _wrong_status(attempt, expectation)), ("body", _wrong_body(attempt, expectation))):
        if text:
            message = f"{attempt.target}: answered {attempt.status}{text}"
            return replace(attempt, ok=False, error=error, message=message)
    return replace(attempt, ok=True, error="", message="")


def json_at(document: Any, path: str) -> Any:
    """The value at a dotted path (`checks.0.name` or `checks[0].name`), or a marker that equals nothing."""
    here = document
    for part in path.replace("[", ".").replace("]", "").split("."):
        if isinstance(here, Mapping) and part in here:
            here = here[part]
        elif isinstance(here, list) and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        else:
            return _MISSING
    return here


def parse_status(value: Any, name: str = "health.status") -> frozenset[int]:
    """A status code or a list of them. `name` is how the message calls it."""
    codes = value if isinstance(value, (list, tuple, set, frozenset)) else [value]
    try:
        numbers = frozenset(int(code) for code in codes if not isinstance(code, bool))
    except (TypeError, ValueError):
        numbers = frozenset()
    if not numbers or len(numbers) != len(codes) or not all(100 <= number <= 599 for number in numbers):
        raise ValueError(f"{name} is {value!r}, expected an HTTP status from 100 to 599 or a list of them")
    return numbers


def parse_address(text: str) -> tuple[str, int]:
    """Host and port from `host:port` or `[::1]:port`."""
    host, colon, port = text.strip().rpartition(":")
    bare = host.strip("[]")
    if not colon or not bare or (":" in bare and host == bare) or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError(f"the address is {text!r}, expected host:port with a port from 1 to 65535")
    return bare, int(port)


def parse_url(text: str) -> str:
    """The URL itself, if a probe can use it."""
    parts = urlsplit(text.strip())
    try:
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number
        usable = False
    if not usable:
        raise ValueError(f"url is {redacted(text)!r}, expected http:// or https:// and a host")
    return text.strip()


def failure(target: str, exc: BaseException, *, timeout: float, latency_ms: float, address: str = "") -> Attempt:
    """The attempt that ended in this exception, with its cause told apart. `address` is what was connected to."""
    kind, text = explain(exc, timeout=timeout, address=address or address_of(target))
    return Attempt(ok=False, target=target, latency_ms=latency_ms, error=kind, message=f"{target}: {text}")


def _wrong_status(attempt: Attempt, expectation: Expectation) -> str:
    if attempt.status in expectation.status:
        return ""
    wanted = " or ".join(str(code) for code in sorted(expectation.status))
    where = next((value for key, value in attempt.headers.items() if key.lower() == "location"), "")
    return f"{f' (to {where})' if where else ''}, expected {wanted}{_shown(attempt.body)}"


def _wrong_body(attempt: Attempt, expectation: Expectation) -> str:
    if not expectation.json:
        return ""
    try:
        document = json.loads(attempt.body)
    except ValueError:
        return f", but its body is not JSON, expected JSON{_shown(attempt.body)}"
    for path, wanted in expectation.json.items():
        found = json_at(document, path)
        if found is _MISSING:
            return f", but its JSON has no {path}, expected {_json(wanted)}{_shown(attempt.body)}"
        if not _same(found, wanted):
            return f", but {path} is {_json(found)}, expected {_json(wanted)}"
    return ""


def _shown(body: str) -> str:
    text = " ".join(body.split())[:BODY_SHOWN]
    return f": {text}" if text else ""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _same(found: Any, wanted: Any) -> bool:
    # True == 1 in Python, but not in JSON.
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)


def _number(params: Mapping[str, Any], key: str, default: float, *, minimum: float, whole: bool = False) -> float:
    value = params.get(key, default)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or not number >= minimum or (whole and not number.is_integer()):
        kind = "a whole number" if whole else "a number of seconds"
        raise ValueError(f"health.{key} is {value!r}, expected {kind} of at least {minimum:g}")
    return number
