# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils._traffic import Probed, Summary, summary_of
from ansible_collections.quayside.web.plugins.module_utils._traffic_watch import Watch

OLD, NEW = "ledger_blue", "ledger_green"


def entry(slot: str, status: int = 200, seconds: float = 0.02, path: str = "/", agent: str = "Mozilla/5.0") -> str:
    fields = {"slot": slot, "status": str(status), "upstream_seconds": str(seconds), "path": path, "agent": agent}
    return json.dumps(fields) + "\n"


class World:
    """A clock that sleeping moves on, with requests and answers of the probe that happen at their time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 100.0
        self.events: list[tuple[float, str]] = []
        self.probed: list[Probed] = []
        self.waiting: list[float] = []
        self.log([entry(OLD)] * 100)
        for number in range(50):
            self.probed.append(Probed(95 + number / 10, 4.0))

    def log(self, lines: Iterable[str]) -> None:
        with self.path.open("a") as stream:
            stream.writelines(lines)

    def at(self, seconds: float, *lines: str) -> None:
        self.events.append((100 + seconds, "".join(lines)))

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        due = [text for at, text in self.events if at <= self.now]
        self.events = [event for event in self.events if event[0] > self.now]
        self.log(due)

    def mark(self) -> float:
        return self.now

    def summary(self, since: float | None = None) -> Summary:
        start = since or 0
        done = [item for item in self.probed if start <= item.started <= self.now]
        return summary_of(done, [1000 * (self.now - at) for at in self.waiting if start <= at <= self.now])

    def watch(self) -> Watch:
        return Watch("ledger", OLD, NEW, self, self.path)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "access.log")


def test_a_good_release_is_watched_to_the_end(world: World) -> None:
    for tenth in range(50):
        world.at(tenth / 10, entry(NEW), entry(NEW, 404))
    assert world.watch().run(5, world.clock, world.sleep) is None
    assert world.now == pytest.approx(105)


def test_without_any_traffic_there_is_no_reason(world: World) -> None:
    world.path.unlink()
    assert world.watch().run(1, world.clock, world.sleep) is None


def test_no_time_to_watch_is_no_watch(world: World) -> None:
    watch = world.watch()
    world.log([entry(NEW, 500)] * 50)
    assert watch.run(0, world.clock, world.sleep) is None


def some_errors(world: World) -> None:
    for tenth in range(50):
        world.at(tenth / 10, entry(NEW, 500 if tenth % 3 == 0 else 200))


def hanging(world: World) -> None:
    world.waiting = [100 + tenth / 10 for tenth in range(12)]


def failing_probe(world: World) -> None:
    world.probed += [Probed(100 + tenth / 10, 4.0, "answered 502") for tenth in range(50)]


def before_the_watch_began(world: World) -> None:
    world.log([entry(NEW, 500)] * 3)


@pytest.mark.parametrize(
    ("trouble", "within", "words"),
    [
        (some_errors, 1.0, "4 of 11 requests answered 5xx (36 %), before 0 of 100"),
        (hanging, 1.6, "3 of 3 requests of the probe failed (100 %; no answer within 1.0 s), before 0 of 50"),
        (failing_probe, 0.5, "(100 %; first: answered 502), before 0 of 50"),
        (before_the_watch_began, 0.0, "3 of 3 requests answered 5xx (100 %), before 0 of 100"),
    ],
    ids=["a third of the users' requests", "the probe's requests hang", "the probe's fail", "between flip and watch"],
)
def test_a_broken_release_is_seen_soon(
    world: World, trouble: Callable[[World], None], within: float, words: str
) -> None:
    watch = world.watch()
    trouble(world)
    assert words in str(watch.run(5, world.clock, world.sleep))
    assert world.now - 100 <= within + 0.01


@pytest.mark.parametrize(
    ("first", "last", "found"), [(0.0, 1.9, False), (2.5, 3.5, True)], ids=["while caches are cold", "afterwards"]
)
def test_slow_answers(world: World, first: float, last: float, found: bool) -> None:
    for tenth in range(50):
        slow = first <= tenth / 10 <= last
        world.at(tenth / 10, entry(NEW, seconds=0.4 if slow else 0.02))
    assert (world.watch().run(5, world.clock, world.sleep) is not None) is found


def test_long_polls_and_websockets_are_not_slow(world: World) -> None:
    world.log([entry(OLD, seconds=25.0, path="/poll")])
    for fifth in range(25):
        world.at(fifth / 5, entry(NEW, seconds=1.2, path="/poll"), entry(NEW, 101, seconds=2.5))
    assert world.watch().run(5, world.clock, world.sleep) is None


def test_the_old_slot_and_our_own_requests_do_not_count(world: World) -> None:
    watch = world.watch()
    world.log([entry(OLD, 500), entry(NEW, 500, agent="quayside-probe")] * 50)
    assert watch.run(1, world.clock, world.sleep) is None


def test_what_breaks_late_in_a_long_watch_is_seen(world: World) -> None:
    for tenth in range(400):
        world.at(tenth / 10, *[entry(NEW)] * 20)
        world.probed.append(Probed(100 + tenth / 10, 4.0))
    for tenth in range(400, 600):
        world.at(tenth / 10, *[entry(NEW)] * 14, *[entry(NEW, 500)] * 6)
    assert "answered 5xx" in str(world.watch().run(60, world.clock, world.sleep))
    assert world.now < 100 + 40 + 3


def test_what_the_probe_saw_before_the_flip_is_the_old_releases(world: World) -> None:
    watch = world.watch()
    world.probed += [Probed(100.0 + tenth / 10, 4.0, "answered 502") for tenth in range(5)]
    world.now = 101.0
    watch.flipped()
    assert watch.run(1, world.clock, world.sleep) is None


def test_the_log_may_be_rotated_meanwhile(world: World) -> None:
    watch = world.watch()
    world.path.rename(world.path.with_suffix(".log.1"))
    world.log([entry(NEW, 500)] * 5)
    assert "5 of 5 requests" in str(watch.run(1, world.clock, world.sleep))
