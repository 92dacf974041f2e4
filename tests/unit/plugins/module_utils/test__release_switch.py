# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The switch: which steps in which order, and what is undone where one of them fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _apps, _release
from ansible_collections.quayside.web.plugins.module_utils._release import Container, Manifest, Plan, Stored
from ansible_collections.quayside.web.plugins.module_utils._release_host import ReleaseError
from ansible_collections.quayside.web.plugins.module_utils._release_switch import (
    Interrupted,
    Switch,
    prune,
    signals_raise,
)

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
                "drain_timeout": 7,
                "stop_timeout": 9,
            }
        ]
    )[0]
)
RELEASE = "20260102T000000Z-bbbbbbbb"
STORED = Stored(APP, {"TOKEN": "s3ntinel"}, "sha256:bbbbbbbb")
MANIFEST = Manifest(RELEASE, "shop", "shop:2", "sha256:bbbbbbbb", "mark")
PROCESSES = ["web-1", "web-2", "mail-1", "thumbs-1"]
BLUE = [f"shop-blue-{process}" for process in PROCESSES]
GREEN = [f"shop-green-{process}" for process in PROCESSES]
FLIP = Plan(RELEASE, "green", fresh=True, flip=True, remove=("left",), retire=tuple(BLUE))


# All of the old slot's, whatever number of replicas either release has.
BLUE_PORTS = list(range(21000, 21010))


class FakeHost:
    """Writes down what it is asked to do; `broken` names the step that fails, and with what."""

    name = "shop"

    def __init__(self, broken: dict[str, BaseException] | None = None) -> None:
        self.calls: list[str] = []
        self.broken = broken or {}
        self.results: list[tuple[str, list[str]]] = []
        self.environments: list[dict[str, str]] = []
        self.notes: list[str] = []
        self.left = 0
        self.notify = self.notes.append

    def _call(self, step: str, names: Iterable[str] = ()) -> None:
        names = list(names)
        if names or step not in {"remove", "keep", "stop", "resume", "retire"}:
            self.calls.append(" ".join([step, *names]))
        for broken, error in self.broken.items():
            if self.calls and self.calls[-1].startswith(broken):
                del self.broken[broken]
                raise error

    def remove(self, names: Iterable[str]) -> None:
        self._call("remove", names)

    def keep(self, names: Iterable[str]) -> None:
        self._call("keep", names)

    def stop(self, names: Iterable[str], _timeout: int) -> None:
        self._call("stop", names)

    def resume(self, names: Iterable[str]) -> None:
        self._call("resume", names)

    def retire(self, names: Iterable[str], timeout: int) -> None:
        assert timeout == 9
        self._call("retire", names)

    def record(self, manifest: Manifest, stored: Stored) -> None:
        assert (manifest.release, stored) == (RELEASE, STORED)
        self._call("record")

    def finish(self, _manifest: Manifest, result: str, steps: dict[str, float]) -> None:
        self.results.append((result, list(steps)))
        self._call(f"finish {result}")

    def start(self, _stored: Stored, item: Any, slot: str, release: str, environment: dict[str, str]) -> str:
        assert release == RELEASE
        self.environments.append(environment)
        name = str(item.name("shop", slot))
        self._call("start", [name])
        return name

    def gate(self, items: Iterable[Any], slot: str, _app: object, _health: object) -> None:
        assert [item.process for item in items] == ["web", "web"]
        self._call(f"gate {slot}")

    def flip(self, slot: str) -> None:
        self._call(f"flip {slot}")

    def verify(self, _app: object, _health: object, port: int, _seconds: float) -> None:
        self._call(f"verify {port}")

    def drain(self, ports: Iterable[int], seconds: float) -> int:
        self._call(f"drain {sorted(ports)} {seconds}")
        return self.left

    def tell_exits(self, names: Iterable[str]) -> None:
        self._call("tell exits of", names)

    def containers(self) -> list[Container]:
        release = "20260101T000000Z-aaaaaaaa"
        found = [
            Container(name, "blue", process.rpartition("-")[0], int(process[-1]), release, True)
            for name, process in zip(BLUE, PROCESSES)
        ]
        return [*found, Container("shop-blue-mail-2", "blue", "mail", 2, release, running=False)]


def switch(host: FakeHost, plan: Plan = FLIP, **changes: Any) -> Switch:
    wanted = _release.wanted_containers(APP, plan.slot, 21000)
    given = {"manifest": MANIFEST, "verify_port": 443, **changes}
    return Switch(host, plan, STORED, wanted=wanted, slot_port=21000, **given)  # type: ignore[arg-type]


START = [
    "remove left",
    "record",
    "start shop-green-web-1",
    "start shop-green-web-2",
    "gate green",
    "keep shop-green-web-1 shop-green-web-2",
    "flip green",
    "verify 443",
    "stop shop-blue-mail-1",
    "start shop-green-mail-1",
    "start shop-green-thumbs-1",
    "keep shop-green-mail-1 shop-green-thumbs-1",
]
UNDO = "remove " + " ".join(GREEN)


def up_to(step: str) -> list[str]:
    return START[: START.index(step) + 1]


def test_the_traffic_moves_after_the_gate_and_the_old_slot_goes_last() -> None:
    host = FakeHost()
    switch(host).run()
    assert host.calls == [
        *START,
        f"drain {BLUE_PORTS} 7",
        "retire " + " ".join(BLUE),
        "tell exits of shop-green-mail-1 shop-green-thumbs-1",
        "finish live",
    ]
    assert host.results == [("live", ["clear", "start", "gate", "verify", "workers", "drain", "stop"])]
    assert host.notes == []


def test_containers_get_environment_secrets_and_their_release() -> None:
    host = FakeHost()
    switch(host).run()
    assert host.environments[0] == {
        "COLOUR": "red",
        "TOKEN": "s3ntinel",
        "QUAYSIDE_APP": "shop",
        "QUAYSIDE_RELEASE": RELEASE,
        "QUAYSIDE_SLOT": "green",
    }


def test_without_a_vhost_nothing_is_verified() -> None:
    host = FakeHost()
    switch(host, verify_port=None).run()
    assert not [call for call in host.calls if call.startswith("verify")]


def test_the_first_release_flips_and_drains_nothing() -> None:
    host = FakeHost()
    switch(host, Plan(RELEASE, "blue", fresh=True)).run()
    assert not [call for call in host.calls if call.startswith(("flip", "drain", "retire"))]
    assert host.calls[-1] == "finish live"


def test_connections_that_outlast_the_drain_are_told() -> None:
    host = FakeHost()
    host.left = 3
    switch(host).run()
    assert host.notes == ["3 connections were still open after drain_timeout (7 s)"]
    assert host.calls[-1] == "finish live"


@pytest.mark.parametrize(
    ("broken", "undone"),
    [
        pytest.param("start shop-green-web-2", [UNDO], id="a container does not start"),
        pytest.param("gate green", [UNDO], id="it is not healthy"),
        pytest.param("verify 443", ["flip blue", UNDO], id="the public site does not answer"),
        pytest.param("stop shop-blue-mail-1", ["flip blue", UNDO, "resume shop-blue-mail-1"], id="stopping a worker"),
        pytest.param(
            "start shop-green-thumbs-1", ["flip blue", UNDO, "resume shop-blue-mail-1"], id="a worker does not start"
        ),
    ],
)
@pytest.mark.parametrize(
    "error", [ReleaseError("why"), OSError("why"), Interrupted("SIGTERM")], ids=["own", "os", "signal"]
)
def test_a_failure_is_undone(broken: str, undone: list[str], error: BaseException) -> None:
    host = FakeHost({broken: error})
    with pytest.raises(type(error), match=r"why|SIGTERM") as raised:
        switch(host).run()
    assert host.calls == [*up_to(broken), *undone, "finish failed"]
    if isinstance(error, ReleaseError):
        assert 'App "shop" still serves its release from before' in str(raised.value)


def test_a_first_release_that_fails_leaves_none_live() -> None:
    host = FakeHost({"gate blue": ReleaseError("why")})
    with pytest.raises(ReleaseError, match='App "shop" has no release live'):
        switch(host, Plan(RELEASE, "blue", fresh=True)).run()
    assert "flip green" not in host.calls


def test_a_release_that_was_live_once_is_not_downgraded() -> None:
    host = FakeHost({"gate": ReleaseError("why")})
    with pytest.raises(ReleaseError):
        switch(host, manifest=replace(MANIFEST, result="live")).run()
    assert host.results == []


def test_a_converged_release_is_only_completed() -> None:
    host = FakeHost()
    wanted = _release.wanted_containers(APP, "green", 21000)
    plan = Plan(RELEASE, "green", start=wanted[2:3], keep=("shop-green-web-1",), retire=("shop-blue-web-1",))
    switch(host, plan).run()
    assert host.calls == [
        "start shop-green-mail-1",
        "keep shop-green-web-1 shop-green-mail-1",
        f"drain {BLUE_PORTS} 7",
        "retire shop-blue-web-1",
        "tell exits of shop-green-mail-1 shop-green-thumbs-1",
        "finish live",
    ]


def test_a_signal_raises_once() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="SIGTERM"), signals_raise():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def pruning(live: str, keep: int) -> tuple[list[str], list[str]]:
    """What `prune` asks the host to forget: releases and images."""
    asked: list[Any] = []

    class Host(FakeHost):
        def live_slot(self) -> str:
            return "blue"

        def containers(self) -> list[Container]:
            return [Container("shop-blue-web-1", "blue", "web", 1, live, True)] if live else []

        def manifests(self) -> list[Manifest]:
            return [
                Manifest("1", "shop", "shop:1", "sha256:a", "m", "live"),
                Manifest("2", "shop", "shop:2", "sha256:b", "m", "live"),
                Manifest("3", "shop", "shop:3", "sha256:c", "m", "failed"),
                Manifest("4", "shop", "shop:1", "sha256:a", "m", "live"),
            ]

        def forget(self, gone: list[Manifest], images: set[str]) -> list[str]:
            asked.append(([manifest.release for manifest in gone], sorted(images)))
            return sorted(images)

    prune(Host(), keep)  # type: ignore[arg-type]
    return asked[0] if asked else ([], [])


@pytest.mark.parametrize(
    ("live", "keep", "expected"),
    [
        pytest.param("4", 3, (["3"], ["sha256:c"]), id="a failed one goes first"),
        pytest.param("4", 1, (["3", "1"], ["sha256:c"]), id="an image still in use stays"),
        pytest.param("2", 0, (["4", "3", "1"], ["sha256:a", "sha256:c"]), id="none but the live one"),
        pytest.param("", 0, ([], []), id="nothing live, nothing forgotten"),
    ],
)
def test_prune(live: str, keep: int, expected: tuple[list[str], list[str]]) -> None:
    assert pruning(live, keep) == expected
