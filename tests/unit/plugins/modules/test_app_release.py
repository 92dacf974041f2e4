# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What app_release decides before it switches: which release, whether anything has to change, and what it refuses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.quayside.web.plugins.module_utils import _apps, _release
from ansible_collections.quayside.web.plugins.module_utils._release import Container, Manifest, Stored
from ansible_collections.quayside.web.plugins.module_utils._release_host import ReleaseError
from ansible_collections.quayside.web.plugins.modules import app_release

IMAGE = f"sha256:{'a' * 64}"
ONE, TWO, THREE = (f"2026010{day}T000000Z-aaaaaaaa" for day in (1, 2, 3))
APP = _apps.public(
    _apps.normal([{"name": "shop", "image": "shop:1", "port": 8000, "domains": ["a.test"], "env": {"A": "1"}}])[0]
)
SECRETS = {"TOKEN": "s3ntinel"}
MARK = _release.fingerprint(APP, IMAGE, SECRETS, 21000)
LIVE = Manifest(THREE, "shop", "shop:1", IMAGE, MARK, "live")


class Ended(Exception):
    pass


@dataclass
class Host:
    """What was found on a host: release THREE is live in the blue slot."""

    name: str = "shop"
    recorded: list[Manifest] = field(default_factory=lambda: [LIVE])
    kept: dict[str, Stored] = field(default_factory=lambda: {THREE: Stored(APP, SECRETS, IMAGE)})
    images: dict[str, str] = field(default_factory=lambda: {"shop:1": IMAGE, IMAGE: IMAGE})
    found: list[Container] = field(
        default_factory=lambda: [Container("shop-blue-web-1", "blue", "web", 1, THREE, running=True)]
    )
    busy: bool = False

    def containers(self) -> list[Container]:
        return self.found

    def live_slot(self) -> str:
        return "blue"

    def manifests(self) -> list[Manifest]:
        return self.recorded

    def stored(self, release: str) -> Stored | None:
        return self.kept.get(release)

    def image_id(self, reference: str) -> str | None:
        return self.images.get(reference)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        if self.busy:
            raise ReleaseError('app "shop": another deploy is running (since noon)')
        yield


@pytest.fixture
def switched(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The switches that were carried out."""
    done: list[Any] = []

    def carry_out(switch: Any) -> None:
        done.append(switch)

    monkeypatch.setattr(app_release.Switch, "run", carry_out)
    monkeypatch.setattr(app_release, "prune", lambda _host, _keep: [])
    return done


def run(monkeypatch: pytest.MonkeyPatch, host: Host | None, *, check: bool = False, **args: Any) -> dict[str, Any]:
    result: dict[str, Any] = {}

    def end(failed: bool) -> Any:
        def ended(_module: object, **values: Any) -> None:
            result.update(values, failed=failed)
            raise Ended

        return ended

    monkeypatch.setattr(app_release.AnsibleModule, "exit_json", end(False))
    monkeypatch.setattr(app_release.AnsibleModule, "fail_json", end(True))
    monkeypatch.setattr(app_release, "open_host", lambda _name, _notify: host)
    given = {
        "name": "shop",
        "slot_port": 21000,
        **({} if "release" in args else {"app": APP, "secrets": SECRETS}),
        **args,
    }
    with patch_module_args({**given, "_ansible_check_mode": check}), pytest.raises(Ended):
        app_release.main()
    return result


@pytest.mark.parametrize("check", [False, True])
def test_the_same_again_changes_nothing(monkeypatch: pytest.MonkeyPatch, switched: list[Any], check: bool) -> None:
    result = run(monkeypatch, Host(), check=check)
    assert (result["changed"], result["release"], result["slot"], result["diff"]) == (False, THREE, "blue", {})
    assert switched == []


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"app": {**APP, "env": {"A": "2"}}}, id="environment"),
        pytest.param({"secrets": {"TOKEN": "s3ntinel-new"}}, id="secret"),
        pytest.param({"slot_port": 22000}, id="ports"),
    ],
)
def test_a_change_is_planned_in_a_check_and_carried_out_else(
    monkeypatch: pytest.MonkeyPatch, switched: list[Any], changes: dict[str, Any]
) -> None:
    result = run(monkeypatch, Host(), check=True, **changes)
    assert (result["changed"], result["previous"], result["slot"]) == (True, THREE, "green")
    assert switched == []
    assert "s3ntinel" not in str(result), "a secret in the result"
    result = run(monkeypatch, Host(), **changes)
    assert result["changed"]
    assert [(switch.plan.slot, switch.plan.flip) for switch in switched] == [("green", True)]


def test_a_release_whose_run_was_killed_at_its_end_is_recorded_as_live(
    monkeypatch: pytest.MonkeyPatch, switched: list[Any]
) -> None:
    host = Host(recorded=[replace(LIVE, result="started")])
    assert run(monkeypatch, host)["changed"]
    assert [switch.plan.changed for switch in switched] == [False]


def test_previous_is_the_last_other_one_that_was_live(monkeypatch: pytest.MonkeyPatch, switched: list[Any]) -> None:
    old = Stored({**APP, "image": "shop:0"}, {}, "sha256:old")
    host = Host(
        recorded=[
            LIVE,
            replace(LIVE, release=TWO, fingerprint="b", result="failed"),
            replace(LIVE, release=ONE, fingerprint="c"),
        ],
        kept={THREE: Stored(APP, SECRETS, IMAGE), ONE: old},
    )
    host.images["sha256:old"] = "sha256:old"
    result = run(monkeypatch, host, release="previous")
    assert (result["release"], result["previous"], result["image_id"]) == (ONE, THREE, "sha256:old")
    assert switched[0].stored is old


def gone() -> Host:
    host = Host()
    host.images.clear()
    return host


@pytest.mark.parametrize(
    ("host", "args", "said"),
    [
        pytest.param(Host(), {"release": "previous"}, "no release that was live before is recorded", id="none before"),
        pytest.param(Host(), {"release": "x"}, f'release "x" is not recorded; recorded are: {THREE}.', id="unknown"),
        pytest.param(Host(recorded=[]), {"release": "x"}, "recorded are: none.", id="none at all"),
        pytest.param(gone(), {"release": THREE}, f'the image of release "{THREE}" is gone', id="its image is gone"),
        pytest.param(gone(), {}, "image shop:1 is not on this host; get it first.", id="no image"),
        pytest.param(Host(busy=True), {}, "another deploy is running (since noon)", id="locked"),
        pytest.param(None, {}, "run the docker role", id="no Docker"),
    ],
)
def test_what_is_refused(
    monkeypatch: pytest.MonkeyPatch, switched: list[Any], host: Host | None, args: dict[str, Any], said: str
) -> None:
    result = run(monkeypatch, host, **args)
    assert result["failed"]
    assert said in result["msg"]
    assert switched == []


@pytest.mark.parametrize("host", [None, gone()], ids=["no Docker", "no image"])
def test_a_check_bears_a_host_that_is_not_ready(
    monkeypatch: pytest.MonkeyPatch, switched: list[Any], host: Host | None
) -> None:
    result = run(monkeypatch, host, check=True)
    assert (result["failed"], result["changed"]) == (False, True)


def test_a_check_needs_no_lock(monkeypatch: pytest.MonkeyPatch, switched: list[Any]) -> None:
    assert run(monkeypatch, Host(busy=True), check=True)["failed"] is False
