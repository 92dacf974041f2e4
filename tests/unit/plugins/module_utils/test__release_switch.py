# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The switch: which steps in which order, and what is undone where one of them fails."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _app_containers, _apps, _release_switch
from ansible_collections.quayside.web.plugins.module_utils._app_containers import JOB, WEB, Container
from ansible_collections.quayside.web.plugins.module_utils._release import Plan, Stored
from ansible_collections.quayside.web.plugins.module_utils._release_guard import Interrupted
from ansible_collections.quayside.web.plugins.module_utils._release_host import ReleaseError
from ansible_collections.quayside.web.plugins.module_utils._release_steps import Steps
from ansible_collections.quayside.web.plugins.module_utils._release_switch import Switch
from ansible_collections.quayside.web.plugins.module_utils._traffic import Summary

APP = _apps.public(
    _apps.normal(
        [
            {
                "name": "shop",
                "image": "shop:2",
                "port": 8000,
                "domains": ["shop.example.com"],
                "replicas": 2,
                "env": {"COLOUR": "red"},
                "workers": [
                    {"name": "mail", "command": ["mail"], "overlap": False},
                    {"name": "thumbs", "command": ["thumbs"]},
                ],
                "jobs": [{"name": "report", "command": ["report"], "schedule": "daily"}],
                "hooks": {"pre_deploy": ["collect"]},
                "warm_up": ["/"],
                "drain_timeout": 7,
                "stop_timeout": 9,
            }
        ]
    )[0]
)
OLD, NEW = "20260101T000000Z-aaaaaaaa", "20260102T000000Z-bbbbbbbb"
STORED = Stored(APP, {"TOKEN": "s3ntinel"}, "sha256:bbbbbbbb")
WANTED = _app_containers.wanted_containers(APP, "green", 21000)
BLUE = [item.name("shop", "blue", OLD) for item in WANTED]
GREEN = [item.name("shop", "green", NEW) for item in WANTED]
ONE, TWO, MAIL, THUMBS, REPORT = GREEN
FLIP = Plan(NEW, "green", switch=True, flip=True, start=WANTED, remove=("left",), retire=tuple(BLUE))

# All of the old slot's, whatever number of replicas either release has.
BLUE_PORTS = list(range(21000, 21010))
GREEN_PORTS = list(range(21010, 21020))


class FakeHost:
    """Writes down what it is asked to do; `broken` names the step that fails, and with what."""

    name = "shop"

    def __init__(self, broken: dict[str, BaseException] | None = None) -> None:
        self.calls: list[str] = []
        self.broken = broken or {}
        self.notes: list[str] = []
        self.left = 0
        self.notify = self.notes.append
        self.records = self

    def call(self, step: str, names: Iterable[str] = ()) -> None:
        names = list(names)
        if names or step not in {"remove", "keep", "do not keep", "stop", "resume", "retire"}:
            self.calls.append(" ".join([step, *names]))
        for broken, error in self.broken.items():
            if self.calls and self.calls[-1].startswith(broken):
                del self.broken[broken]
                raise error

    def create(self, _stored: Stored, item: Any, slot: str, release: str) -> str:
        assert (slot, release) == ("green", NEW)
        name = str(item.name("shop", slot, release))
        self.call("create", [name])
        return name

    def start(self, name: str) -> None:
        self.call("start", [name])

    def run_hook(self, _stored: Stored, slot: str, release: str, hook: str) -> None:
        assert (slot, release) == ("green", NEW)
        self.call(f"hook {hook}")

    def keep(self, names: Iterable[str], *, kept: bool = True) -> None:
        self.call("keep" if kept else "do not keep", names)

    def remove(self, names: Iterable[str]) -> None:
        self.call("remove", names)

    def stop(self, names: Iterable[str], _timeout: int) -> None:
        self.call("stop", names)

    def resume(self, names: Iterable[str]) -> None:
        self.call("resume", names)

    def retire(self, names: Iterable[str], timeout: int) -> None:
        assert timeout == 9
        self.call("retire", names)

    def retire_later(self, names: Iterable[str], release: str, seconds: int, _timeout: int) -> None:
        self.call(f"retire in {seconds} s {release}", names)

    def retire_now_instead(self) -> None:
        self.call("nothing is warm")

    def flip(self, slot: str) -> None:
        self.call(f"flip {slot}")

    def drain(self, ports: Iterable[int], seconds: float) -> int:
        self.call(f"drain {sorted(ports)} {seconds}")
        return self.left

    def last_lines(self, name: str) -> str:
        return f"Last lines of {name}"

    def tell_exits(self, names: Iterable[str]) -> None:
        self.call("tell exits of", names)

    def containers(self) -> list[Container]:
        found = [
            Container(name, "blue", item.process, item.number, OLD, item.kind != JOB, kind=item.kind)
            for name, item in zip(BLUE, WANTED)
        ]
        return [*found, Container("shop-blue-mail-2", "blue", "mail", 2, OLD, running=False, kind="worker")]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    return stand_in(monkeypatch, FakeHost())


def stand_in(monkeypatch: pytest.MonkeyPatch, host: FakeHost, bad: str | None = None) -> FakeHost:
    """Checks, probe and watch that write down what they are asked to do; the watch finds what is `bad`."""

    class Checks:
        def __init__(self, *_given: object) -> None:
            pass

        def gate(self, items: Iterable[Any], *, known: bool) -> None:
            assert [item.kind for item in items] == [WEB, WEB]
            host.call(f"gate{', once' if known else ''}")

        def warm_up(self, _items: object) -> None:
            host.call("warm up")

        def verify(self, port: int) -> None:
            host.call(f"verify {port}")

    class Probe:
        def __init__(self, url: str, port: int) -> None:
            assert (url, port) == ("https://shop.example.com/health", 443)

        def start(self) -> None:
            host.call("probe")

        def stop(self) -> None:
            host.call("no more probe")

        def summary(self) -> Summary:
            return Summary(requests=53, p99_ms=12)

    class Watch:
        def __init__(self, app: str, old: str, new: str, _probe: Probe) -> None:
            assert (app, old, new) == ("shop", "shop_blue", "shop_green")
            host.call("look at the traffic")

        def run(self, seconds: float, _clock: object, _sleep: object) -> str | None:
            host.call(f"watch {seconds}")
            return bad

        def close(self) -> None:
            pass

    for name, kind in {"Checks": Checks, "TrafficProbe": Probe, "Watch": Watch}.items():
        monkeypatch.setattr(_release_switch, name, kind)
    return host


def switch(host: FakeHost, plan: Plan = FLIP, verify_port: int | None = 443, again: bool = False, **app: Any) -> Switch:
    stored = replace(STORED, app={**APP, **app})
    return Switch(host, plan, stored, WANTED, 21000, verify_port, Steps(), before=OLD, again=again)  # type: ignore[arg-type]


UP = [
    "probe",
    "nothing is warm",
    f"drain {GREEN_PORTS} 7",
    "retire left",
    "hook pre_deploy",
    f"create {ONE}",
    f"start {ONE}",
    f"create {TWO}",
    f"start {TWO}",
    f"create {MAIL}",
    f"create {THUMBS}",
    f"create {REPORT}",
    "gate",
    "warm up",
    f"keep {ONE} {TWO}",
    "look at the traffic",
    "flip green",
    f"do not keep {' '.join(BLUE)}",
    "verify 443",
    "watch 5",
    "stop shop-blue-mail-1",
    f"start {MAIL}",
    f"start {THUMBS}",
    f"keep {MAIL} {THUMBS}",
]
RETIRED = [f"drain {BLUE_PORTS} 7", f"retire {' '.join(BLUE)}"]
END = ["no more probe", f"tell exits of {MAIL} {THUMBS}"]
UNDO = f"remove {' '.join(GREEN)}"
FLIP_BACK = [
    "flip blue",
    f"keep {' '.join(BLUE[:4])}",
    f"do not keep {' '.join(GREEN)}",
    f"drain {GREEN_PORTS} 7",
    UNDO,
]


def test_the_traffic_moves_after_the_gate_and_the_old_slot_goes_last(host: FakeHost) -> None:
    done = switch(host)
    done.run()
    assert host.calls == [*UP, *RETIRED, *END]
    assert list(done.steps.seconds) == [
        "clear", "pre_deploy", "start", "gate", "warm", "flip", "verify", "watch", "workers", "drain", "stop",
    ]  # fmt: skip
    assert done.proof
    assert done.proof.sentence() == "0 of 53 requests failed, p99 12 ms"
    assert host.notes == []


class FakeUpstreams:
    def __init__(self, host: FakeHost) -> None:
        self.host = host

    def serve(self, slots: list[str]) -> None:
        self.host.call(f"upstream {' '.join(slots)}")


def test_nginx_knows_every_replica_before_the_flip(host: FakeHost) -> None:
    done = switch(host)
    done.upstreams = FakeUpstreams(host)  # type: ignore[assignment]
    done.run()
    at = UP.index("flip green")
    assert host.calls == [*UP[:at], "upstream green", *UP[at:], *RETIRED, *END]


def test_an_nginx_that_refuses_the_replicas_leaves_the_old_release(monkeypatch: pytest.MonkeyPatch) -> None:
    host = stand_in(monkeypatch, FakeHost({"upstream green": ReleaseError("why")}))
    done = switch(host)
    done.upstreams = FakeUpstreams(host)  # type: ignore[assignment]
    with pytest.raises(ReleaseError, match='App "shop" still serves its release from before'):
        done.run()
    assert host.calls[-3:] == ["upstream green", UNDO, "no more probe"]


def test_without_a_vhost_nothing_is_probed_verified_and_watched(host: FakeHost) -> None:
    switch(host, verify_port=None).run()
    assert not [call for call in host.calls if call.startswith(("probe", "verify", "watch", "look"))]
    assert "flip green" in host.calls


def test_a_watch_of_no_time_is_none(host: FakeHost) -> None:
    switch(host, watch=0).run()
    assert not [call for call in host.calls if call.startswith(("watch", "look"))]


def test_the_first_release_flips_and_drains_nothing(host: FakeHost) -> None:
    switch(host, Plan(NEW, "green", switch=True, start=WANTED)).run()
    assert not [call for call in host.calls if call.startswith(("flip", "drain", "retire", "watch", "probe"))]
    assert host.calls[-1] == END[-1]


def test_connections_that_outlast_the_drain_are_told(host: FakeHost) -> None:
    host.left = 3
    switch(host, replace(FLIP, remove=())).run()
    assert host.notes == ["3 connections were still open after drain_timeout (7 s)"]
    assert host.calls[-1] == END[-1]


def test_a_release_that_was_kept_warm_only_gets_the_traffic_and_its_workers(host: FakeHost) -> None:
    plan = replace(FLIP, start=WANTED[2:], remove=())
    done = switch(host, plan, again=True, hooks={"pre_deploy": None}, warm_up=[])
    done.run()
    assert "start" not in done.steps.seconds
    assert host.calls == [
        "probe",
        "nothing is warm",
        f"create {MAIL}",
        f"create {THUMBS}",
        f"create {REPORT}",
        "gate, once",
        *UP[UP.index(f"keep {ONE} {TWO}") : UP.index("look at the traffic")],
        "flip green",
        f"do not keep {' '.join(BLUE)}",
        "verify 443",
        *UP[UP.index("stop shop-blue-mail-1") :],
        *RETIRED,
        *END,
    ]


def test_a_release_is_kept_warm_without_its_workers(host: FakeHost) -> None:
    switch(host, keep_warm=60).run()
    assert host.calls[len(UP) :] == [
        f"retire in 60 s {OLD} {BLUE[0]} {BLUE[1]}",
        f"retire {' '.join(BLUE[2:])}",
        *END,
    ]


@pytest.mark.parametrize(
    ("broken", "undone"),
    [
        pytest.param("hook pre_deploy", [UNDO], id="a hook fails"),
        pytest.param(f"start {TWO}", [UNDO], id="a container does not start"),
        pytest.param("gate", [UNDO], id="it is not healthy"),
        pytest.param("warm up", [UNDO], id="a path does not answer"),
        pytest.param("flip green", FLIP_BACK, id="halfway through the flip"),
        pytest.param("verify 443", FLIP_BACK, id="the public site does not answer"),
        pytest.param("stop shop-blue-mail-1", [*FLIP_BACK, "resume shop-blue-mail-1"], id="stopping a worker"),
        pytest.param(f"start {THUMBS}", [*FLIP_BACK, "resume shop-blue-mail-1"], id="a worker does not start"),
    ],
)
@pytest.mark.parametrize(
    "error", [ReleaseError("why"), OSError("why"), Interrupted("SIGTERM")], ids=["own", "os", "signal"]
)
def test_a_failure_is_undone(
    monkeypatch: pytest.MonkeyPatch, broken: str, undone: list[str], error: BaseException
) -> None:
    host = stand_in(monkeypatch, FakeHost({broken: error}))
    with pytest.raises(type(error), match=r"why|SIGTERM") as raised:
        switch(host).run()
    assert host.calls == [*UP[: UP.index(broken) + 1], *undone, "no more probe"]
    if isinstance(error, ReleaseError):
        again = "flip blue" in undone
        assert f'App "shop" {"serves" if again else "still serves"} its release from before' in str(raised.value)


def test_what_the_watch_finds_moves_the_traffic_back(monkeypatch: pytest.MonkeyPatch) -> None:
    host = stand_in(monkeypatch, FakeHost(), bad="12 of 40 requests failed")
    with pytest.raises(ReleaseError) as raised:
        switch(host).run()
    assert host.calls == [*UP[: UP.index("watch 5") + 1], *FLIP_BACK, "no more probe"]
    assert str(raised.value) == (
        f"after the switch: 12 of 40 requests failed\nLast lines of {ONE}\n"
        'App "shop" serves its release from before again; fix the cause and run again.'
    )


def test_a_first_release_that_fails_leaves_none_live(monkeypatch: pytest.MonkeyPatch) -> None:
    host = stand_in(monkeypatch, FakeHost({"gate": ReleaseError("why")}))
    with pytest.raises(ReleaseError, match='App "shop" has no release live'):
        switch(host, Plan(NEW, "green", switch=True, start=WANTED)).run()
    assert not [call for call in host.calls if call.startswith("flip")]


def test_a_converged_release_is_only_completed(host: FakeHost) -> None:
    plan = Plan(NEW, "green", start=(WANTED[2], WANTED[4]), keep=(ONE,), remove=(MAIL,), retire=(BLUE[0],))
    switch(host, plan).run()
    assert host.calls == [
        f"retire {MAIL}",
        f"create {MAIL}",
        f"create {REPORT}",
        f"start {MAIL}",
        f"keep {ONE} {MAIL}",
        f"drain {BLUE_PORTS} 7",
        f"retire {BLUE[0]}",
        END[-1],
    ]
