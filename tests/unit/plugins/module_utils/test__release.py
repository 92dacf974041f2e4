# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Releases: what the plan is for every state that a host can be found in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _apps, _release
from ansible_collections.quayside.web.plugins.module_utils._release import Container, Manifest, Plan

APP = _apps.public(
    _apps.normal(
        [
            {
                "name": "ledger",
                "image": "ledger:1",
                "port": 8000,
                "domains": ["ledger.example.com"],
                "replicas": 2,
                "workers": [{"name": "worker", "command": ["work"], "overlap": False}],
            }
        ]
    )[0]
)
WANTED = {slot: _release.wanted_containers(APP, slot, 21000) for slot in ("blue", "green")}
OLD, NEW = "20260101T000000Z-aaaaaaaa", "20260102T000000Z-bbbbbbbb"


def slot(name: str, release: str, running: bool = True, kept: bool = True) -> list[Container]:
    """The containers of a whole release in a slot."""
    return [
        Container(item.name("ledger", name), name, item.process, item.number, release, running, kept)
        for item in WANTED[name]
    ]


def names(containers: list[Container]) -> tuple[str, ...]:
    return tuple(container.name for container in containers)


def planned(live_slot: str, found: list[Container], marks: dict[str, str]) -> Plan:
    return _release.plan(live_slot, found, marks, wanted=WANTED, wanted_fingerprint="want", new_release=NEW)


BLUE, GREEN = slot("blue", OLD), slot("green", OLD)


@pytest.mark.parametrize(
    ("live_slot", "found", "marks", "expected"),
    [
        pytest.param("blue", [], {}, Plan(NEW, "blue", fresh=True), id="first deploy"),
        pytest.param("blue", BLUE, {OLD: "want"}, Plan(OLD, "blue"), id="the same again"),
        pytest.param(
            "blue", BLUE, {OLD: "had"}, Plan(NEW, "green", fresh=True, flip=True, retire=names(BLUE)), id="new version"
        ),
        pytest.param(
            "green", GREEN, {OLD: "had"}, Plan(NEW, "blue", fresh=True, flip=True, retire=names(GREEN)), id="and back"
        ),
        pytest.param(
            "blue",
            BLUE + slot("green", NEW),
            {OLD: "had", NEW: "want"},
            Plan(NEW, "green", fresh=True, flip=True, remove=names(GREEN), retire=names(BLUE)),
            id="killed before the flip",
        ),
        pytest.param(
            "green",
            BLUE + slot("green", NEW),
            {OLD: "had", NEW: "want"},
            Plan(NEW, "green", retire=names(BLUE)),
            id="killed after the flip",
        ),
        pytest.param(
            "green",
            BLUE + slot("green", NEW)[:2],
            {OLD: "had", NEW: "want"},
            Plan(NEW, "green", start=WANTED["green"][2:], retire=names(BLUE)),
            id="killed before the workers",
        ),
        pytest.param(
            "blue",
            slot("blue", NEW, kept=False),
            {NEW: "want"},
            Plan(NEW, "blue", keep=names(BLUE)),
            id="first deploy, killed before it was kept",
        ),
        pytest.param(
            "blue",
            slot("blue", OLD, running=False),
            {OLD: "want"},
            Plan(NEW, "blue", fresh=True, remove=names(BLUE)),
            id="live slot is down",
        ),
        pytest.param(
            "green",
            BLUE,
            {OLD: "had"},
            Plan(NEW, "green", fresh=True, retire=names(BLUE)),
            id="live slot is gone, the other runs",
        ),
        pytest.param(
            "blue",
            BLUE[:1] + BLUE[2:],
            {OLD: "want"},
            Plan(NEW, "green", fresh=True, flip=True, retire=names(BLUE[:1] + BLUE[2:])),
            id="a replica is missing: replaced beside the traffic, not under it",
        ),
        pytest.param(
            "blue",
            [*BLUE[:2], replace(BLUE[2], running=False)],
            {OLD: "want"},
            Plan(OLD, "blue", remove=(BLUE[2].name,), start=WANTED["blue"][2:]),
            id="a worker has died",
        ),
        pytest.param(
            "blue", BLUE, {}, Plan(NEW, "green", fresh=True, flip=True, retire=names(BLUE)), id="records are lost"
        ),
    ],
)
def test_plan(live_slot: str, found: list[Container], marks: dict[str, str], expected: Plan) -> None:
    assert planned(live_slot, found, marks) == expected


@pytest.mark.parametrize("live_slot", ["blue", "green"])
def test_no_plan_removes_what_has_the_traffic(live_slot: str) -> None:
    serving = slot(live_slot, OLD)
    plan = planned(live_slot, serving + slot(_release.other_slot(live_slot), NEW), {})
    assert not set(names(serving)) & set(plan.remove)
    assert plan.flip


def manifest(day: int, result: str = "live", image: str = "") -> Manifest:
    image = image or f"sha256:{day}"
    return Manifest(f"202601{day:02}T000000Z-aaaaaaaa", "ledger", "ledger:1", image, f"mark of {image}", result)


@pytest.mark.parametrize(
    ("manifests", "live", "keep", "gone", "images"),
    [
        ([manifest(1), manifest(2), manifest(3)], 3, 1, [1], {"sha256:1"}),
        ([manifest(1), manifest(2, "failed"), manifest(3)], 3, 1, [2], {"sha256:2"}),
        ([manifest(1, image="same"), manifest(2), manifest(3, image="same")], 3, 1, [1], set()),
        ([manifest(1), manifest(2)], 1, 3, [], set()),
        ([manifest(1), manifest(2, "started")], 1, 3, [2], {"sha256:2"}),
    ],
)
def test_prune(manifests: list[Manifest], live: int, keep: int, gone: list[int], images: set[str]) -> None:
    found, removed = _release.prune(manifests, manifest(live).release, keep)
    assert sorted(m.release for m in found) == [manifest(day).release for day in gone]
    assert removed == images


@pytest.mark.parametrize(
    ("manifests", "live", "expected"),
    [
        ([manifest(1), manifest(2)], 2, 1),
        ([manifest(1), manifest(2, "failed"), manifest(3)], 3, 1),
        ([manifest(1), manifest(2, image="same"), manifest(3, image="same")], 3, 1),
        ([manifest(1), manifest(2)], 1, None),
        ([], 1, None),
    ],
)
def test_previous(manifests: list[Manifest], live: int, expected: int | None) -> None:
    found = _release.previous(manifests, manifest(live).release)
    assert (found.release if found else None) == (manifest(expected).release if expected else None)


def test_fingerprint_sees_what_shapes_containers_and_nothing_else() -> None:
    def mark(app: dict[str, Any] | None = None, image: str = "i", secret: str = "s", port: int = 21000) -> str:
        return _release.fingerprint({**APP, **(app or {})}, image, {"KEY": secret}, port)

    same = mark()
    assert mark({"domains": ["x.example.com"], "drain_timeout": 1, "health": {}}) == same
    different = [mark({"env": {"A": "1"}}), mark(image="j"), mark(secret="t"), mark(port=1), mark({"replicas": 3})]
    assert same not in different
    assert len(set(different)) == len(different)


def test_the_sandbox_is_tight() -> None:
    web, worker = WANTED["green"][0], WANTED["green"][2]
    options = _release.host_options(APP, web)
    assert options["port_bindings"] == {8000: ("127.0.0.1", 21010)}
    assert options["cap_drop"] == ["ALL"]
    assert options["read_only"] is True
    assert options["security_opt"] == ["no-new-privileges"]
    assert options["restart_policy"] == {"Name": "no"}
    assert "port_bindings" not in _release.host_options(APP, worker)


def test_a_diff_names_secrets_and_never_shows_them() -> None:
    before = _release.Stored(APP, {"KEY": "s3ntinel-1", "SAME": "s3ntinel-2"}, "sha256:1")
    after = _release.Stored(APP, {"KEY": "s3ntinel-3", "SAME": "s3ntinel-2"}, "sha256:2")
    diff = _release.describe_diff(before, after)
    assert diff["after"]["secrets"] == {"KEY": "(another secret)", "SAME": "(secret)"}
    assert "s3ntinel" not in str(diff)
    assert "s3ntinel" not in repr(before)


def test_the_expected_release_is_filled_in() -> None:
    app = {**APP, "health": {**APP["health"], "expect": {"release": "{release}", "ok": True}}}
    assert _release.health_params(app, NEW)["expect"] == {"release": NEW, "ok": True}


def test_the_environment_tells_the_release() -> None:
    values = _release.environment({**APP, "env": {"A": "1", "B": "env"}}, {"B": "secret"}, NEW, "green")
    assert values == {
        "A": "1", "B": "secret", "QUAYSIDE_APP": "ledger", "QUAYSIDE_RELEASE": NEW, "QUAYSIDE_SLOT": "green",
    }  # fmt: skip
