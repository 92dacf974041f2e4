# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A deploy under its lock: how it ends when it fails, is asked to end, or is killed. Real processes, no containers."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _apps, _release_records, _release_run
from ansible_collections.quayside.web.plugins.module_utils._app_containers import Container
from ansible_collections.quayside.web.plugins.module_utils._release import Manifest
from ansible_collections.quayside.web.plugins.module_utils._release_host import ReleaseError
from ansible_collections.quayside.web.plugins.module_utils._release_lock import Lease
from ansible_collections.quayside.web.plugins.module_utils._release_records import Records
from ansible_collections.quayside.web.plugins.module_utils._release_request import Request

APP = _apps.public(_apps.normal([{"name": "shop", "image": "shop:1", "port": 80, "domains": ["a.test"]}])[0])
REQUEST = Request("shop", app=APP, by="ada")
OLD, NEW = "20260101T000000Z-aaaaaaaa", "20260102T000000Z-bbbbbbbb"


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(_release_records, "app_directory", lambda name: str(tmp_path / name))
    return tmp_path / "shop"


class Host:
    """The release OLD has the traffic; a hook and the container of a killed run are left over."""

    def __init__(self, name: str, notify: Any) -> None:
        self.name = name
        self.records = Records(name)
        self.live_release = OLD

    def live(self) -> str:
        return self.live_release

    def containers(self) -> list[Container]:
        return [
            Container("shop-blue-web-1", "blue", "web", 1, OLD, running=True),
            Container("shop-green-pre_deploy-1", "green", "pre_deploy", 1, NEW, running=True, kind="hook"),
            Container("shop-green-web-1", "green", "web", 1, NEW, running=True),
        ]

    def remove(self, names: list[str]) -> None:
        (self.records.directory / "removed").write_text(" ".join(names))


class Deploy:
    """Does what `act` says; a deploy of a recorded release notes it."""

    act: Any = None

    def __init__(self, host: Host, request: Request, steps: Any) -> None:
        self.host, self.request, self.steps, self.migration = host, request, steps, {"before": ["1"]}

    def run(self) -> dict[str, Any]:
        if self.request.release:
            assert self.request.allow_schema_ahead
            (self.host.records.directory / "completed").write_text(self.request.release)
            return {"changed": True}
        self.steps.about(NEW)
        with self.steps("gate"):
            Deploy.act()
        return {"changed": True, "msg": "done"}


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_release_run, "AppHost", Host)
    monkeypatch.setattr(_release_run, "Deploy", Deploy)


def run(act: Any, notes: list[str] | None = None) -> dict[str, Any]:
    Deploy.act = staticmethod(act)
    return _release_run.run(REQUEST, lock_wait=0, notify=(notes if notes is not None else []).append)


def fail() -> None:
    raise ReleaseError("not healthy")


def test_it_ends_well_and_leaves_no_trace(folder: Path) -> None:
    result = run(lambda: None)
    assert (result["msg"], result["notes"]) == ("done", [])
    assert {path.name for path in folder.iterdir()} == {"lock", "releases"}
    assert (folder / "lock").read_text() == ""
    assert (folder.stat().st_mode & 0o777, (folder / "releases").stat().st_mode & 0o777) == (0o711, 0o700)


def test_a_failure_comes_with_what_is_known(folder: Path) -> None:
    result = run(fail)
    assert (result["failed"], result["msg"], result["migration"]) == (True, "not healthy", {"before": ["1"]})
    assert list(result["steps"]) == ["gate"]
    assert (folder / "lock").read_text() == ""


def test_a_signal_to_the_worker_is_told() -> None:
    result = run(lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert result["failed"]
    assert result["msg"] == 'app "shop": SIGTERM received; what was begun is undone: run again.'


def test_a_killed_worker_is_cleared_up_after(folder: Path) -> None:
    def die() -> None:
        records = Records("shop")
        records.record(Manifest(NEW, "shop", "shop:2", "sha256:b", "m"))
        (records.releases / f".{NEW}.json.77").touch()
        os.kill(os.getpid(), signal.SIGKILL)

    result = run(die)
    assert result["failed"]
    assert result["msg"].startswith('app "shop": the deploy by ada since ')
    assert result["msg"].endswith(f"was killed at step gate; release {OLD} has the traffic and is complete (SIGKILL)")
    assert (folder / "completed").read_text() == OLD
    assert (folder / "removed").read_text() == "shop-green-pre_deploy-1", "what runs is the plan's business"
    assert [manifest.result for manifest in Records("shop").manifests()] == ["failed"]
    assert not list((folder / "releases").glob(".*"))
    assert (folder / "lock").read_text() == ""


def test_the_next_run_clears_up_after_one_whose_processes_were_both_killed(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "lock").write_text(Lease(by="bob", since=1_800_000_000, expires=1, release=NEW, step="flip").to_text())
    result = run(lambda: None)
    assert result["msg"] == "done"
    assert result["notes"] == [
        f'app "shop": the deploy by bob since 2027-01-15T08:00:00Z was killed at step flip; '
        f"release {OLD} has the traffic and is complete"
    ]


def test_a_killed_first_deploy_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "live", lambda _self: "")
    result = run(lambda: os.kill(os.getpid(), signal.SIGKILL))
    assert "no release had the traffic (SIGKILL)" in result["msg"]
    assert (folder / "removed").read_text() == "shop-green-pre_deploy-1 shop-green-web-1"
    assert not (folder / "completed").exists()


def test_the_lease_covers_all_timeouts() -> None:
    patient = {**APP, "drain_timeout": 1000, "health": {**APP["health"], "timeout": 500}, "migrate": {"timeout": 600}}
    assert _release_run.longest(patient) >= 2 * 1000 + 500 + 600
    assert _release_run.longest(None) > 0
