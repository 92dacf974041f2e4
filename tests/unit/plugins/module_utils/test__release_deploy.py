# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A deploy: which release, whether anything has to change, in which order, what is refused, what is recorded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import (
    _apps,
    _release,
    _release_deploy,
    _release_schema,
    _release_wanted,
)
from ansible_collections.quayside.web.plugins.module_utils._app_containers import Container
from ansible_collections.quayside.web.plugins.module_utils._app_jobs_host import JobsError
from ansible_collections.quayside.web.plugins.module_utils._migration import MigrationError
from ansible_collections.quayside.web.plugins.module_utils._registry_answer import ImageError
from ansible_collections.quayside.web.plugins.module_utils._release import Manifest, Stored
from ansible_collections.quayside.web.plugins.module_utils._release_deploy import Deploy
from ansible_collections.quayside.web.plugins.module_utils._release_host import ReleaseError
from ansible_collections.quayside.web.plugins.module_utils._release_request import Request
from ansible_collections.quayside.web.plugins.module_utils._release_steps import Steps

IMAGE = f"sha256:{'a' * 64}"
ONE, TWO, THREE = (f"2026010{day}T000000Z-aaaaaaaa" for day in (1, 2, 3))
LISTED = {
    "name": "shop", "image": "shop:1", "port": 8000, "domains": ["a.test"], "env": {"A": "1"},
    "database_url": "postgresql://shop:s3ntinel@db/shop", "migrate": {"tool": "alembic"},
    "hooks": {"post_deploy": ["purge"]},
}  # fmt: skip
APP = _apps.public(_apps.normal([LISTED])[0])
SECRETS = {"TOKEN": "s3ntinel"}
MARK = _release.fingerprint(APP, IMAGE, SECRETS, 21000)
LIVE = Manifest(THREE, "shop", "shop:1", IMAGE, MARK, "live", before=ONE, schema=("0002",))
MIGRATED = {"changed": True, "before": ["0001"], "after": ["0002"], "pending": ["0002"], "diff": {}}


@dataclass
class Records:
    """What was recorded on a host: release THREE is live in the blue slot."""

    recorded: list[Manifest] = field(default_factory=lambda: [LIVE])
    kept: dict[str, Stored] = field(default_factory=lambda: {THREE: Stored(APP, SECRETS, IMAGE)})
    written: list[tuple[str, str]] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)

    def live_slot(self) -> str:
        return "blue"

    def warm(self, _now: float) -> str:
        return ""

    def slot_port(self) -> int | None:
        return 21000

    def manifests(self) -> list[Manifest]:
        return self.recorded

    def stored(self, release: str) -> Stored | None:
        return self.kept.get(release)

    def record(self, manifest: Manifest, _stored: Stored) -> None:
        self.first = manifest
        self.written.append((manifest.release, manifest.result))

    def finish(self, manifest: Manifest, result: str, **found: Any) -> None:
        self.written.append((manifest.release, result))
        self.last = found

    def forget(self, gone: Iterable[Manifest]) -> None:
        self.forgotten += [manifest.release for manifest in gone]


@dataclass
class Host:
    name: str = "shop"
    records: Records = field(default_factory=Records)
    images: dict[str, str] = field(default_factory=lambda: {"shop:1": IMAGE, IMAGE: IMAGE})
    found: list[Container] = field(
        default_factory=lambda: [Container("shop-blue-web-1", "blue", "web", 1, THREE, running=True)]
    )
    hook: ReleaseError | None = None
    notes: list[str] = field(default_factory=list)
    api: Any = None

    def notify(self, note: str) -> None:
        self.notes.append(note)

    def containers(self) -> list[Container]:
        return self.found

    def live(self) -> str:
        return self.found[0].release if self.found else ""

    def image_id(self, reference: str) -> str | None:
        return self.images.get(reference)

    def remove_images(self, images: Iterable[str]) -> list[str]:
        return list(images)

    def run_hook(self, _stored: Stored, _slot: str, _release: str, hook: str) -> None:
        assert hook == "post_deploy"
        if self.hook:
            raise self.hook


class World:
    """What the deploy asks of others; `broken` makes one of them fail."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.broken: dict[str, Exception] = {}
        self.switches: list[Any] = []
        self.migration: dict[str, Any] = {"changed": False, "after": ["0002"], "pending": []}
        self.state: tuple[str, ...] | None = ("0002",)
        self.image = SimpleNamespace(id=IMAGE, changed=False)
        self.preflight: tuple[list[str], list[str]] = ([], [])
        self.timers = False
        self.upstreams = False

    def _did(self, what: str) -> None:
        self.done.append(what)
        if what in self.broken:
            raise self.broken[what]

    def fetch(self, _api: object, name: str, *, auth: object, check: bool, min_free_bytes: int, notify: object) -> Any:
        assert (name, min_free_bytes) == ("shop:1", 7)
        self._did(f"{'ask' if check else 'pull'} as {auth['username']}" if isinstance(auth, dict) else "image")
        return self.image

    def migrate(self, request: Any, _session: object, *, check: bool) -> dict[str, Any]:
        assert (request.tool, request.image, request.backup_name) == ("alembic", IMAGE, "shop")
        assert request.secrets == SECRETS
        self._did("list migrations" if check else "migrate")
        return self.migration

    def switch(self, switch: Any) -> None:
        self.switches.append(switch)
        self._did("switch")

    def apply(self, _app: object, *, check: bool) -> bool:
        self._did("ask for timers" if check else "timers")
        return self.timers

    def serve(self, *, check: bool) -> bool:
        self._did("ask for upstreams" if check else "upstreams")
        return self.upstreams


class Session:
    def __init__(self, url: Any) -> None:
        assert url.database == "shop"

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_given: object) -> None:
        pass


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()

    def carry_out(switch: Any) -> None:
        made.switch(switch)

    monkeypatch.setattr(_release_deploy.Switch, "run", carry_out)
    monkeypatch.setattr(_release_deploy.Upstreams, "serve", made.serve)
    monkeypatch.setattr(_release_schema, "Session", Session)
    monkeypatch.setattr(_release_schema, "PSYCOPG2_ERROR", None)
    monkeypatch.setattr(_release_wanted._image_pull, "fetch", made.fetch)
    monkeypatch.setattr(_release_schema._migrate_run, "migrate", made.migrate)
    monkeypatch.setattr(_release_schema._migrate_run, "current_state", lambda *_given: made.state)
    monkeypatch.setattr(_release_deploy._preflight_host, "problems", lambda *_given, **_named: made.preflight)
    monkeypatch.setattr(_release_deploy._app_jobs_host, "apply", made.apply)
    monkeypatch.setattr(_release_wanted._app_jobs_host, "schedule_problems", lambda _app: [])
    return made


def run(host: Host, *, check: bool = False, **asked: Any) -> dict[str, Any]:
    given = {} if "release" in asked else {"app": APP, "secrets": SECRETS}
    request = Request(
        "shop", **{**given, "database_url": LISTED["database_url"], "min_free": 7, "slot_port": 21000, **asked}
    )
    return Deploy(host, request, Steps(), check=check).run()  # type: ignore[arg-type]


@pytest.mark.parametrize("check", [False, True])
def test_the_same_again_changes_nothing(world: World, check: bool) -> None:
    host = Host()
    result = run(host, check=check)
    assert (result["changed"], result["release"], result["slot"], result["diff"]) == (False, THREE, "blue", {})
    assert "switch" not in world.done
    assert host.records.written == []


@pytest.mark.parametrize("check", [False, True])
def test_replicas_that_nginx_does_not_know_are_a_change(world: World, check: bool) -> None:
    world.upstreams = True
    assert run(Host(), check=check)["changed"]


def test_without_a_vhost_nginx_is_left_alone(world: World) -> None:
    world.upstreams = True
    assert not run(Host(), verify_port=None)["changed"]
    assert "upstreams" not in world.done


OTHER = {"app": {**APP, "env": {"A": "2"}}}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(OTHER, id="environment"),
        pytest.param({"secrets": {"TOKEN": "s3ntinel-new"}}, id="secret"),
        pytest.param({"slot_port": 22000}, id="ports"),
    ],
)
def test_a_change_is_planned_in_a_check_and_carried_out_else(
    world: World, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    monkeypatch.setattr(_release_schema._migrate_run, "migrate", lambda *_given, check: MIGRATED)
    host = Host()
    result = run(host, check=True, **changes)
    assert (result["changed"], result["previous"], result["slot"]) == (True, THREE, "green")
    assert result["diff"]["after"]["migrations"] == ["0002"]
    assert (result["diff"]["before"]["slot"], result["diff"]["after"]["slot"]) == ("blue", "green")
    assert world.switches == []
    assert host.records.written == []
    assert "s3ntinel" not in str(result), "a secret in the result"
    result = run(host, **changes)
    assert result["changed"]
    assert [(switch.plan.slot, switch.plan.flip, switch.before) for switch in world.switches] == [
        ("green", True, THREE)
    ]


def test_the_order_of_a_deploy(world: World) -> None:
    host = Host()
    world.migration = MIGRATED
    result = run(host, **OTHER, registry={"username": "ada", "password": "s3ntinel"})
    assert world.done == ["pull as ada", "migrate", "switch", "upstreams", "timers"]
    new = result["release"]
    assert host.records.written == [(new, "started"), (new, "live")]
    assert host.records.last["schema"] == ("0002",)
    assert host.records.first.before == THREE
    assert list(result["steps"]) == ["image", "preflight", "migrate", "prune", "jobs", "post_deploy"]
    assert result["msg"] == f'app "shop": release {new} is live in slot green.'


def test_a_check_asks_and_does_nothing(world: World) -> None:
    run(Host(), check=True, **OTHER, registry={"username": "ada", "password": "s3ntinel"})
    assert world.done == ["ask as ada", "list migrations", "ask for upstreams", "ask for timers"]


def test_a_check_before_the_image_is_here_can_not_know_its_migrations(world: World) -> None:
    world.image = SimpleNamespace(id="", changed=True)
    result = run(Host(), check=True)
    assert result["changed"]
    assert result["diff"]["after"]["migrations"] == "not known before image and packages are on this host"


def test_pending_migrations_alone_are_a_change(world: World) -> None:
    world.migration = MIGRATED
    host = Host()
    result = run(host)
    assert result["changed"]
    assert world.done == ["image", "migrate", "upstreams", "timers"]
    assert host.records.written == [(THREE, "live")]
    assert host.records.last == {"schema": ("0002",)}, "the record of the deploy itself is lost"


def test_another_timer_alone_is_a_change(world: World) -> None:
    world.timers = True
    assert run(Host())["changed"]
    assert world.switches == []


def test_a_release_whose_run_was_killed_at_its_end_is_recorded_as_live(world: World) -> None:
    host = Host()
    host.records.recorded = [replace(LIVE, result="started")]
    assert run(host)["changed"]
    assert host.records.written == [(THREE, "live")]


@pytest.mark.parametrize("broken", ["migrate", "switch"])
def test_a_failed_release_is_recorded_as_failed(world: World, broken: str) -> None:
    world.broken = {"migrate": MigrationError("why"), "switch": ReleaseError("why")}
    del world.broken["migrate" if broken == "switch" else "switch"]
    host = Host()
    with pytest.raises(ReleaseError, match="why"):
        run(host, **OTHER)
    assert [result for _release, result in host.records.written] == ["started", "failed"]
    assert world.done[-1] == broken, "something went on after the failure"


def test_a_failed_rollback_leaves_a_good_release_a_good_one(world: World) -> None:
    world.broken = {"switch": ReleaseError("why")}
    host = older()
    with pytest.raises(ReleaseError):
        run(host, release=ONE)
    assert [result for _release, result in host.records.written] == ["live"]


def test_a_failed_hook_at_the_end_leaves_the_release_live(world: World) -> None:
    host = Host(hook=ReleaseError("hook post_deploy ended with exit code 1."))
    with pytest.raises(ReleaseError, match=r'exit code 1\.\nRelease \S+ of app "shop" is live\.'):
        run(host, **OTHER)
    assert host.records.written[-1][1] == "live"


def test_a_timer_that_systemd_refuses_leaves_the_release_live(world: World) -> None:
    world.broken = {"timers": JobsError("no such day")}
    host = Host()
    with pytest.raises(ReleaseError, match=r'no such day\nRelease \S+ of app "shop" is live\.'):
        run(host, **OTHER)
    assert host.records.written[-1][1] == "live"


def older() -> Host:
    """A host with an older release that was live, and one that was not."""
    host = Host()
    host.records = Records(
        recorded=[
            LIVE,
            replace(LIVE, release=TWO, fingerprint="b", result="failed"),
            replace(LIVE, release=ONE, fingerprint="c", before=""),
        ],
        kept={THREE: Stored(APP, SECRETS, IMAGE), ONE: Stored({**APP, "image": "shop:0"}, {}, "sha256:old")},
    )
    host.images["sha256:old"] = "sha256:old"
    return host


def test_previous_is_the_last_other_one_that_was_live(world: World) -> None:
    result = run(older(), release="previous")
    assert (result["release"], result["previous"], result["image_id"]) == (ONE, THREE, "sha256:old")
    assert world.switches[0].stored.app["image"] == "shop:0"
    assert world.done == ["switch", "upstreams", "timers"], "a rollback pulls and migrates nothing"


def test_a_rollback_across_schemas_has_to_be_asked_for(world: World) -> None:
    world.state = ("0003",)
    with pytest.raises(ReleaseError, match="only then: 0002; only now: 0003"):
        run(older(), release=ONE)
    assert world.done == []
    assert run(older(), release=ONE, allow_schema_ahead=True)["release"] == ONE


def gone() -> Host:
    host = Host()
    host.images.clear()
    return host


def unrecorded() -> Host:
    host = Host()
    host.records.recorded = []
    return host


@pytest.mark.parametrize(
    ("host", "asked", "said"),
    [
        pytest.param(Host(), {"release": "previous"}, "no release that was live before is recorded", id="none before"),
        pytest.param(Host(), {"release": "x"}, f'release "x" is not recorded; recorded are: {THREE}.', id="unknown"),
        pytest.param(unrecorded(), {"release": "x"}, "recorded are: none.", id="none at all"),
        pytest.param(gone(), {"release": THREE}, f'the image of release "{THREE}" is gone', id="its image is gone"),
        pytest.param(
            gone(),
            {"app": {**APP, "source": "archive"}},
            "image shop:1 is not on this host; get it first.",
            id="no image",
        ),
    ],
)
def test_what_is_refused(world: World, host: Host, asked: dict[str, Any], said: str) -> None:
    with pytest.raises(ReleaseError) as raised:
        run(host, **asked)
    assert said in str(raised.value)
    assert (world.switches, host.records.written) == ([], [])


def test_what_others_refuse_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    world.preflight = (["Port 21010 is taken."], ["Memory is scarce."])
    with pytest.raises(ReleaseError, match=r"Port 21010 is taken\."):
        run(host, **OTHER)
    assert host.notes == ["Memory is scarce."]
    world.broken = {"image": ImageError("no such tag")}
    with pytest.raises(ReleaseError, match="no such tag"):
        run(host)
    monkeypatch.setattr(_release_wanted._app_jobs_host, "schedule_problems", lambda _app: ["no such day"])
    with pytest.raises(ReleaseError, match="no such day"):
        run(host)
    assert (world.switches, host.records.written) == ([], [])
