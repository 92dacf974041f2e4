# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What the host's side warns of when containers end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _release_host
from ansible_collections.quayside.web.plugins.module_utils._release_host import AppHost


class NotFound(Exception):
    pass


class Api:
    """An engine with one container, `shop-blue-mail-1`, that ends with `code` when it is stopped."""

    def __init__(self, *, running: bool, code: int, restarts: int = 0) -> None:
        self.running = running
        self.code = code
        self.restarts = restarts
        self.calls: list[str] = []

    def _known(self, name: str) -> None:
        if name != "shop-blue-mail-1":
            raise NotFound(name)

    def inspect_container(self, name: str) -> dict[str, Any]:
        self._known(name)
        return {"State": {"Running": self.running, "ExitCode": self.code}, "RestartCount": self.restarts}

    def update_container(self, name: str, restart_policy: dict[str, str]) -> None:
        self._known(name)
        self.calls.append(f"restart: {restart_policy['Name']}")

    def stop(self, name: str, timeout: int) -> None:
        self.calls.append(f"stop within {timeout}")
        self.running = False

    def remove_container(self, name: str, **_options: Any) -> None:
        self._known(name)
        self.calls.append("remove")

    def logs(self, name: str, **_options: Any) -> bytes:
        return b"no such queue\n"


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in, for these tests run where the Docker SDK is not installed too."""
    errors = SimpleNamespace(NotFound=NotFound, APIError=RuntimeError)
    monkeypatch.setattr(_release_host, "docker", SimpleNamespace(errors=errors), raising=False)


def host(api: Api) -> tuple[AppHost, list[str]]:
    notes: list[str] = []
    made = AppHost.__new__(AppHost)
    made.name, made.api, made.notify = "shop", api, notes.append
    return made, notes


@pytest.mark.parametrize(
    ("running", "code", "calls", "warned"),
    [
        pytest.param(True, 0, ["restart: no", "stop within 9", "remove"], False, id="ends on SIGTERM"),
        pytest.param(True, 143, ["restart: no", "stop within 9", "remove"], False, id="ends by SIGTERM"),
        pytest.param(True, 137, ["restart: no", "stop within 9", "remove"], True, id="killed"),
        pytest.param(False, 137, ["restart: no", "remove"], False, id="killed long ago, for memory say"),
    ],
)
def test_retire(running: bool, code: int, calls: list[str], warned: bool) -> None:
    api = Api(running=running, code=code)
    made, notes = host(api)
    made.retire(["shop-blue-mail-1", "shop-blue-gone-1"], 9)
    assert api.calls == calls
    assert [note.startswith("container shop-blue-mail-1 did not end on SIGTERM within 9 s") for note in notes] == (
        [True] if warned else []
    )


@pytest.mark.parametrize(
    ("running", "restarts", "warned"),
    [(True, 0, False), (True, 2, True), (False, 0, True)],
    ids=["up", "loops", "gone"],
)
def test_a_worker_that_does_not_stay_up_is_told(running: bool, restarts: int, warned: bool) -> None:
    made, notes = host(Api(running=running, code=1, restarts=restarts))
    made.tell_exits(["shop-blue-mail-1"])
    told = "container shop-blue-mail-1 does not stay up (exit code 1). Last lines of shop-blue-mail-1:\nno such queue"
    assert notes == ([told] if warned else [])
