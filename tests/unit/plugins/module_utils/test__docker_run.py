# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import io
import tarfile
from types import SimpleNamespace
from typing import Any

import docker.errors
import pytest
import requests
from ansible_collections.quayside.web.plugins.module_utils import _docker_run
from ansible_collections.quayside.web.plugins.module_utils._docker_run import (
    RunError,
    RunTimeout,
    image_config,
    image_id,
    read_files,
    remove_leftovers,
    run_once,
)


class Container:
    """Stands in for the SDK's container and keeps what was asked of it."""

    id = "0123abcd"

    def __init__(self, labels: dict[str, str] | None = None, *, end: Any = 0) -> None:
        self.labels = labels or {}
        self.end = end
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")
        if isinstance(self.end, docker.errors.APIError):
            raise self.end

    def wait(self, timeout: float) -> dict[str, int]:
        if isinstance(self.end, BaseException):
            raise self.end
        return {"StatusCode": self.end}

    def logs(self, *, stdout: bool, stderr: bool) -> bytes:
        return b"out \xff" if stdout else b"err"

    def remove(self, **_options: bool) -> None:
        self.calls.append("remove")


class Engine:
    def __init__(self, *containers: Container) -> None:
        self.made = containers
        self.asked: dict[str, Any] = {}
        self.containers = SimpleNamespace(create=self.create, list=lambda **_options: list(containers))

    def create(self, image: str, **options: Any) -> Container:
        self.asked = {"image": image, **options}
        return self.made[0]


@pytest.fixture(autouse=True)
def watcher(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    told: list[bytes] = []
    monkeypatch.setattr(
        _docker_run.subprocess, "Popen", lambda *_args, **_options: SimpleNamespace(communicate=told.append)
    )
    return told


def run(engine: Engine, **options: Any) -> tuple[int, str, str]:
    return run_once(engine, "sha256:1", ["tool", "up"], env={"A": "b"}, timeout=5, labels={"l": "1"}, **options)


def test_a_run_is_sandboxed_and_leaves_nothing(watcher: list[bytes]) -> None:
    container = Container(end=3)
    engine = Engine(container)
    assert run(engine, network="net") == (3, "out \ufffd", "err")
    assert container.calls == ["start", "remove"]
    assert watcher == [b"removed\n"]
    asked = engine.asked
    assert (asked["entrypoint"], asked["command"], asked["network"]) == (["tool"], ["up"], "net")
    assert asked["read_only"] and asked["init"] and asked["cap_drop"] == ["ALL"]
    assert asked["security_opt"] == ["no-new-privileges"]
    assert asked["labels"]["l"] == "1" and asked["labels"]["quayside.until"].isdigit()
    assert "b" not in " ".join(asked["labels"].values())


@pytest.mark.parametrize("exc", [requests.exceptions.ReadTimeout(), requests.exceptions.ConnectionError()])
def test_a_run_that_takes_too_long_is_removed_and_its_output_kept(exc: Exception) -> None:
    container = Container(end=exc)
    with pytest.raises(RunTimeout, match="`tool up` was killed after 5 s") as caught:
        run(Engine(container))
    assert (caught.value.stdout, caught.value.stderr) == ("out \ufffd", "err")
    assert container.calls[-1] == "remove"


def test_a_command_that_cannot_start_is_named() -> None:
    container = Container(end=docker.errors.APIError("400", explanation='exec: "tool": not found'))
    with pytest.raises(RunError, match=r'`tool` could not be started in image sha256:1 .exec: "tool": not found'):
        run(Engine(container))
    assert container.calls[-1] == "remove"


def test_any_other_end_removes_it_too() -> None:
    container = Container(end=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run(Engine(container))
    assert container.calls[-1] == "remove"


def test_leftovers_are_those_of_this_database_and_those_out_of_time() -> None:
    labels = {"quayside.role": "migrate", "quayside.database": "db:5432/shop"}
    ours = Container({**labels, "quayside.until": "900"})
    old = Container({"quayside.role": "migrate", "quayside.database": "other", "quayside.until": "99"})
    other = Container({"quayside.role": "migrate", "quayside.database": "other", "quayside.until": "900"})
    assert remove_leftovers(Engine(ours, old, other), labels, now=100) == 2
    assert [bool(container.calls) for container in (ours, old, other)] == [True, True, False]


def test_a_missing_image_is_named() -> None:
    def get(_image: str) -> None:
        raise docker.errors.ImageNotFound("404")

    with pytest.raises(RunError, match="image shop:2 is not on this host; pull, build or load it first"):
        image_id(SimpleNamespace(images=SimpleNamespace(get=get)), "shop:2")


def archive(*members: tuple[str, bytes | None]) -> list[bytes]:
    """A tar as the engine streams it, in small chunks; None makes a folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            info.size = len(content or b"")
            tar.addfile(info, io.BytesIO(content or b""))
    data = stream.getvalue()
    return [data[start : start + 700] for start in range(0, len(data), 700)]


class Files(Container):
    """A container that never runs and has these paths."""

    def get_archive(self, path: str) -> tuple[list[bytes], dict[str, Any]]:
        known = {
            "/srv/sql": (archive(("sql", None), ("sql/1.sql", b"one" * 500), ("sql/old/0.sql", b"")), ""),
            "/srv/current": ([], "sql"),
            "/srv/a.ini": (archive(("a.ini", b"[a]")), ""),
        }
        if path not in known:
            raise docker.errors.NotFound("404")
        chunks, link = known[path]
        return iter(chunks), {"size": 0, "linkTarget": link}


def test_files_are_read_without_running_anything(watcher: list[bytes]) -> None:
    container = Files()
    engine = Engine(container)
    found = read_files(engine, "sha256:1", ["/srv/current", "/srv/a.ini"], labels={"l": "1"})
    assert found == [{"1.sql": b"one" * 500, "old/0.sql": b""}, {"": b"[a]"}]
    assert container.calls == ["remove"]
    assert engine.asked["network"] == "none" and engine.asked["labels"]["l"] == "1"


def test_a_path_that_is_not_in_the_image_is_named() -> None:
    container = Files()
    with pytest.raises(FileNotFoundError, match="/srv/none"):
        read_files(Engine(container), "sha256:1", ["/srv/none"], labels={})
    assert container.calls == ["remove"]


def test_layers_say_what_an_image_holds() -> None:
    attrs = {"Config": {"WorkingDir": "/app"}, "RootFS": {"Layers": ["sha256:1", "sha256:2"]}}
    client = SimpleNamespace(images=SimpleNamespace(get=lambda _image: SimpleNamespace(attrs=attrs)))
    assert image_config(client, "x") == ("/app", ("sha256:1", "sha256:2"))
    attrs["Config"] = {"WorkingDir": ""}
    del attrs["RootFS"]
    assert image_config(client, "x") == ("/", ())
