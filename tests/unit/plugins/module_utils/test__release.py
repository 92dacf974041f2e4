# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Releases: what the plan is for every state that a host can be found in."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _app_containers, _apps, _release
from ansible_collections.quayside.web.plugins.module_utils._app_containers import Container
from ansible_collections.quayside.web.plugins.module_utils._release import Manifest, Plan

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
                "jobs": [{"name": "report", "command": ["report"], "schedule": "daily"}],
            }
        ]
    )[0]
)
WANTED = {slot: _app_containers.wanted_containers(APP, slot, 21000) for slot in ("blue", "green")}
OLD, NEW = "20260101T000000Z-aaaaaaaa", "20260102T000000Z-bbbbbbbb"


def slot(name: str, release: str, running: bool = True, kept: bool = True) -> list[Container]:
    """The containers of a whole release in a slot."""
    return [
        Container(
            item.name("ledger", name, release), name, item.process, item.number, release,
            running and item.kind != "job", kept and item.kind != "job", item.kind,
        )
        for item in WANTED[name]
    ]  # fmt: skip


def names(containers: list[Container]) -> tuple[str, ...]:
    return tuple(container.name for container in containers)


def planned(live_slot: str, found: list[Container], marks: dict[str, str], warm: str = "") -> Plan:
    return _release.plan(live_slot, found, marks, wanted=WANTED, wanted_fingerprint="want", new_release=NEW, warm=warm)


BLUE, GREEN = slot("blue", OLD), slot("green", OLD)
WEB, WORKER, JOB = slice(0, 2), 2, 3
ALL = WANTED["green"]
AT_WORK = replace(BLUE[JOB], running=True)

SAME = {OLD: "want"}
OTHER = {OLD: "had"}
BOTH = {OLD: "had", NEW: "want"}
SWITCH = Plan(NEW, "green", switch=True, flip=True, start=ALL, retire=names(BLUE))


@pytest.mark.parametrize(
    ("live_slot", "found", "marks", "expected"),
    [
        pytest.param("blue", [], {}, Plan(NEW, "blue", switch=True, start=WANTED["blue"]), id="first deploy"),
        pytest.param("blue", BLUE, SAME, Plan(OLD, "blue"), id="the same again"),
        pytest.param("blue", BLUE, OTHER, SWITCH, id="new version"),
        pytest.param(
            "green",
            GREEN,
            OTHER,
            Plan(NEW, "blue", switch=True, flip=True, start=WANTED["blue"], retire=names(GREEN)),
            id="and back",
        ),
        pytest.param(
            "blue",
            BLUE + slot("green", "third"),
            OTHER,
            replace(SWITCH, remove=names(slot("green", "third"))),
            id="something else in the way",
        ),
        pytest.param(
            "blue", BLUE + slot("green", NEW), BOTH, replace(SWITCH, start=()), id="it is there and lacks the traffic"
        ),
        pytest.param(
            "blue",
            BLUE + slot("green", NEW)[WEB],
            BOTH,
            replace(SWITCH, start=ALL[WORKER:]),
            id="kept warm: its web containers alone",
        ),
        pytest.param(
            "green",
            BLUE + slot("green", NEW),
            BOTH,
            Plan(NEW, "green", retire=names(BLUE)),
            id="killed after the flip",
        ),
        pytest.param(
            "green",
            BLUE + slot("green", NEW)[WEB],
            BOTH,
            Plan(NEW, "green", start=ALL[WORKER:], retire=names(BLUE)),
            id="killed before the workers",
        ),
        pytest.param(
            "blue",
            slot("blue", NEW, kept=False),
            {NEW: "want"},
            Plan(NEW, "blue", keep=names(BLUE[:JOB])),
            id="first deploy, killed before it was kept",
        ),
        pytest.param(
            "blue",
            slot("blue", OLD, running=False),
            SAME,
            Plan(NEW, "blue", switch=True, remove=names(BLUE), start=WANTED["blue"]),
            id="live slot is down",
        ),
        pytest.param("green", BLUE, OTHER, replace(SWITCH, flip=False), id="live slot is gone, the other runs"),
        pytest.param(
            "blue",
            BLUE[:1] + BLUE[2:],
            SAME,
            replace(SWITCH, retire=names(BLUE[:1] + BLUE[2:])),
            id="a replica is missing: replaced beside the traffic, not under it",
        ),
        pytest.param(
            "blue",
            [*BLUE[WEB], replace(BLUE[WORKER], running=False), BLUE[JOB]],
            SAME,
            Plan(OLD, "blue", remove=(BLUE[WORKER].name,), start=(WANTED["blue"][WORKER],)),
            id="a worker has died",
        ),
        pytest.param(
            "blue", BLUE[:JOB], SAME, Plan(OLD, "blue", start=(WANTED["blue"][JOB],)), id="a job's container is gone"
        ),
        pytest.param(
            "blue", [*BLUE[:JOB], AT_WORK], OTHER, replace(SWITCH, retire=names(BLUE[:JOB])), id="a job is at work"
        ),
        pytest.param(
            "green",
            [AT_WORK, *slot("green", NEW)],
            {NEW: "want"},
            Plan(NEW, "green"),
            id="the job of an older release is still at work",
        ),
        pytest.param("blue", BLUE, {}, SWITCH, id="records are lost"),
    ],
)
def test_plan(live_slot: str, found: list[Container], marks: dict[str, str], expected: Plan) -> None:
    assert planned(live_slot, found, marks) == expected


@pytest.mark.parametrize(
    ("warm", "retired"), [(OLD, names(BLUE[2:])), ("", names(BLUE)), ("another", names(BLUE))], ids=str
)
def test_a_warm_release_is_left_until_its_time_is_over(warm: str, retired: tuple[str, ...]) -> None:
    plan = planned("green", BLUE + slot("green", NEW), BOTH, warm)
    assert plan == Plan(NEW, "green", retire=retired)


def test_only_what_was_kept_warm_is_ready() -> None:
    assert planned("blue", BLUE + slot("green", NEW)[WEB], BOTH).ready
    assert not planned("blue", BLUE + slot("green", NEW)[:1], BOTH).ready
    assert not planned("blue", BLUE, SAME).ready


@pytest.mark.parametrize("live_slot", ["blue", "green"])
def test_no_plan_removes_what_has_the_traffic(live_slot: str) -> None:
    serving = slot(live_slot, OLD)
    plan = planned(live_slot, serving + slot(_release.other_slot(live_slot), NEW), {})
    assert not set(names(serving)) & set(plan.remove)
    assert plan.flip


def manifest(day: int, result: str = "live", image: str = "", before: int = 0, finished: int = 0) -> Manifest:
    image = image or f"sha256:{day}"
    ends = f"2026-01-{finished or day:02}T00:00:09Z"
    return Manifest(
        the(day), "ledger", "ledger:1", image, f"mark of {image}", result, finished=ends, before=the(before or day - 1)
    )


def the(day: int) -> str:
    return f"202601{day:02}T000000Z-aaaaaaaa"


@pytest.mark.parametrize(
    ("manifests", "live", "keep", "gone", "images"),
    [
        pytest.param([manifest(1), manifest(2), manifest(3)], 3, 1, [1], {"sha256:1"}, id="the oldest"),
        pytest.param(
            [manifest(1), manifest(2, "failed"), manifest(3)], 3, 1, [2], {"sha256:2"}, id="a failed one first"
        ),
        pytest.param(
            [manifest(1, image="same"), manifest(2), manifest(3, image="same")], 3, 1, [1], set(), id="an image in use"
        ),
        pytest.param([manifest(1), manifest(2)], 1, 3, [], set(), id="fewer than may be kept"),
        pytest.param([manifest(1), manifest(2, "started")], 1, 3, [2], {"sha256:2"}, id="one that never was live"),
        pytest.param(
            [manifest(1, finished=3), manifest(2), manifest(4)], 4, 1, [2], {"sha256:2"}, id="rolled back from"
        ),
    ],
)
def test_prune(manifests: list[Manifest], live: int, keep: int, gone: list[int], images: set[str]) -> None:
    found, removed = _release.prune(manifests, the(live), keep)
    assert sorted(m.release for m in found) == [the(day) for day in gone]
    assert removed == images


@pytest.mark.parametrize(
    ("manifests", "live", "expected"),
    [
        pytest.param([manifest(1), manifest(2)], 2, 1, id="the one before"),
        pytest.param([manifest(1), manifest(2, "failed"), manifest(3, before=1)], 3, 1, id="over a failed one"),
        pytest.param(
            [manifest(1), manifest(2, image="same"), manifest(3, image="same")], 3, 1, id="over the same one again"
        ),
        pytest.param([manifest(1), manifest(2)], 1, None, id="nothing was before"),
        pytest.param([manifest(1), manifest(2), manifest(3, before=1)], 3, 1, id="not what was rolled back from"),
        pytest.param([manifest(1), manifest(2), manifest(3)], 2, 1, id="further back after a rollback"),
        pytest.param([manifest(2)], 2, None, id="it is forgotten"),
        pytest.param([manifest(2, image="x", before=3), manifest(3, image="x", before=2)], 3, None, id="a circle"),
        pytest.param([], 1, None, id="nothing is recorded"),
    ],
)
def test_previous(manifests: list[Manifest], live: int, expected: int | None) -> None:
    found = _release.previous(manifests, the(live))
    assert (found.release if found else None) == (the(expected) if expected else None)


def test_fingerprint_sees_what_shapes_containers_and_nothing_else() -> None:
    def mark(app: dict[str, Any] | None = None, image: str = "i", secret: str = "s", port: int = 21000) -> str:
        return _release.fingerprint({**APP, **(app or {})}, image, {"KEY": secret}, port)

    same = mark()
    assert mark({"domains": ["x.example.com"], "drain_timeout": 1, "health": {}}) == same
    assert mark({"jobs": [{**APP["jobs"][0], "schedule": "weekly"}]}) == same
    different = [
        mark({"env": {"A": "1"}}),
        mark(image="j"),
        mark(secret="t"),
        mark(port=1),
        mark({"replicas": 3}),
        mark({"jobs": []}),
    ]
    assert same not in different
    assert len(set(different)) == len(different)


def test_the_sandbox_is_tight() -> None:
    web, worker = WANTED["green"][0], WANTED["green"][2]
    options = _app_containers.host_options(APP, web)
    assert options["port_bindings"] == {8000: ("127.0.0.1", 21010)}
    assert options["cap_drop"] == ["ALL"]
    assert options["read_only"] is True
    assert options["security_opt"] == ["no-new-privileges"]
    assert options["restart_policy"] == {"Name": "no"}
    assert options["cpu_shares"] < _app_containers.LIVE_WEIGHT, "a start would take time from what serves"
    assert "port_bindings" not in _app_containers.host_options(APP, worker)


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
    values = _app_containers.environment({**APP, "env": {"A": "1", "B": "env"}}, {"B": "secret"}, NEW, "green")
    assert values == {
        "A": "1", "B": "secret", "QUAYSIDE_APP": "ledger", "QUAYSIDE_RELEASE": NEW, "QUAYSIDE_SLOT": "green",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        pytest.param(("0002",), ("0002",), None, id="the same"),
        pytest.param(("a", "b"), ("b", "a"), None, id="in another order"),
        pytest.param(None, ("0002",), None, id="not recorded"),
        pytest.param(("0002",), None, None, id="not known"),
        pytest.param(("0002",), ("0003",), "(only then: 0002; only now: 0003)", id="a revision further"),
        pytest.param(("a",), ("a", "b", "c"), "(only now: b, c)", id="two applied since"),
        pytest.param((), ("0001",), "(only now: 0001)", id="from nothing"),
    ],
)
def test_a_schema_that_has_moved_on(
    then: tuple[str, ...] | None, now: tuple[str, ...] | None, said: str | None
) -> None:
    found = _release.schema_problem(replace(manifest(1), schema=then), now, "live-one")
    assert (said is None) == (found is None)
    assert said is None or (said in str(found) and "app_container_allow_schema_ahead" in str(found))


def test_a_record_is_read_as_it_was_written() -> None:
    written = replace(manifest(1), schema=("0001",), steps={"gate": 1.5})
    assert Manifest.from_json({**json.loads(json.dumps(asdict(written))), "of another version": 1}) == written
    assert Manifest.from_json(json.loads(json.dumps(asdict(manifest(1))))) == manifest(1)
