# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a host must have for a second copy of an app, and what is said where it has not."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _preflight_host as host
from ansible_collections.quayside.web.plugins.module_utils._listeners import Listener
from ansible_collections.quayside.web.plugins.module_utils._preflight import (
    GIB,
    MIB,
    Facts,
    Published,
    Space,
    available_memory,
    platform_problem,
    problems,
    size_bytes,
    size_words,
    space_problem,
)

APP = {"name": "shop", "replicas": 2, "resources": {"memory": "512m"}}
ROOMY = Space("/var/lib/docker", 50 * GIB, 1_000_000)


def found(**facts: Any) -> tuple[list[str], list[str]]:
    return problems(APP, Facts(**{"memory": 8 * GIB, "spaces": (ROOMY,), **facts}), ports=[21000, 21001])


def test_a_host_with_room_for_all_is_fine() -> None:
    assert found() == ([], [])
    assert found(memory=None, spaces=(Space("/", 2 * GIB, None),)) == ([], [])


@pytest.mark.parametrize(
    ("memory", "errors", "warnings"),
    [
        pytest.param(1024 * MIB, 0, 0, id="room for both limits"),
        pytest.param(1023 * MIB, 0, 1, id="less than the limits"),
        pytest.param(103 * MIB, 0, 1, id="a tenth"),
        pytest.param(102 * MIB, 1, 0, id="less than a tenth"),
    ],
)
def test_memory_for_a_second_copy(memory: int, errors: int, warnings: int) -> None:
    said = found(memory=memory, serving=True)
    assert (len(said[0]), len(said[1])) == (errors, warnings)
    for sentence in said[0] + said[1]:
        assert sentence.startswith(f'app "shop": {memory // MIB} MiB of memory are available, and a new copy beside')
        assert "may use 1.0 GiB" in sentence


def test_the_first_copy_stands_beside_none() -> None:
    (warning,) = found(memory=500 * MIB)[1]
    assert "and a new copy may use" in warning


@pytest.mark.parametrize(
    ("free", "inodes", "error", "warning"),
    [
        pytest.param(127 * MIB, 1_000_000, "127 MiB free, and a deploy needs 128 MiB", "", id="no room"),
        pytest.param(500 * MIB, None, "", "500 MiB free, and a deploy in comfort needs 1.0 GiB", id="little room"),
        pytest.param(50 * GIB, 999, "999 inodes free, and a deploy needs 1000", "", id="no inodes"),
        pytest.param(50 * GIB, 5000, "", "5000 inodes free", id="few inodes"),
    ],
)
def test_disk(free: int, inodes: int | None, error: str, warning: str) -> None:
    errors, warnings = found(spaces=(Space("/var", free, inodes),))
    assert [len(errors), len(warnings)] == [bool(error), bool(warning)]
    assert error in "".join(errors)
    assert warning in "".join(warnings)
    assert "/var has" in "".join(errors + warnings)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        pytest.param({"published": (Published(21001, "shop-green-web-2", "shop"),)}, "", id="its own container"),
        pytest.param(
            {"published": (Published(21001, "metabase"),)},
            "port 21001: container metabase publishes it, but the app's idle slot needs it; remove the",
            id="a container of nobody",
        ),
        pytest.param(
            {"published": (Published(21000, "wiki-blue-web-1", "wiki"),)},
            "port 21000: container wiki-blue-web-1 publishes it",
            id="a container of another app",
        ),
        pytest.param(
            {"listeners": (Listener("127.0.0.1", 21000, "dockerd", 130, "docker.service"),)},
            "port 21000: Docker holds it for a container that is gone, but the app's idle slot needs it; "
            'run "systemctl restart docker" at a quiet hour',
            id="held by the engine itself",
        ),
        pytest.param(
            {"listeners": (Listener("127.0.0.1", 21000, "node", 812, "legacy.service"),)},
            "port 21000: node (pid 812) listens on 127.0.0.1:21000, but the app's idle slot needs this port",
            id="a process",
        ),
        pytest.param(
            {
                "published": (Published(21000, "metabase"),),
                "listeners": (
                    Listener("127.0.0.1", 21000, "docker-proxy", 9),
                    Listener("::1", 21000, "docker-proxy", 8),
                ),
            },
            "container metabase",
            id="a container is told once, by its name",
        ),
        pytest.param({"published": (Published(8080, "metabase"),)}, "", id="another port"),
    ],
)
def test_ports_of_the_idle_slot(facts: dict[str, Any], said: str) -> None:
    errors, warnings = found(**facts)
    assert warnings == []
    assert len(errors) == bool(said)
    assert said in "".join(errors)


def test_a_copy_that_runs_already_takes_nothing_more() -> None:
    facts = Facts(memory=0, spaces=(Space("/", 0),), published=(Published(21000, "metabase"),))
    errors, warnings = problems(APP, facts, ports=[21000], ready=True)
    assert len(errors) == 1
    assert "free, and a deploy needs" in errors[0]
    assert warnings == []


@pytest.mark.parametrize(("text", "size"), [("512k", 512 << 10), ("10m", 10 << 20), ("2g", 2 << 30)])
def test_sizes(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize(("size", "words"), [(0, "0 MiB"), (GIB - 1, "1023 MiB"), (GIB * 3 // 2, "1.5 GiB")])
def test_sizes_in_words(size: int, words: str) -> None:
    assert size_words(size) == words


@pytest.mark.parametrize(
    ("text", "size"),
    [("MemTotal: 10 kB\nMemAvailable:    2048 kB\n", 2 * MIB), ("MemTotal: 10 kB\n", None), ("", None)],
)
def test_available_memory(text: str, size: int | None) -> None:
    assert available_memory(text) == size


@pytest.mark.parametrize(
    ("platform", "good"), [("linux/amd64", True), ("/", True), ("linux/arm64", False), ("windows/amd64", False)]
)
def test_platforms(platform: str, good: bool) -> None:
    problem = platform_problem('image "shop:1"', platform, "linux/amd64")
    assert (problem == "") is good
    assert good or f'image "shop:1" is for {platform}; this host needs linux/amd64' in problem


def test_space_is_told_with_what_helps() -> None:
    assert space_problem(ROOMY, GIB, "the pull") == ""
    said = space_problem(Space("/var/lib/docker", 300 * MIB), 2 * GIB, "the pull")
    assert said.startswith("/var/lib/docker has 300 MiB free, and the pull needs 2.0 GiB; remove what is not needed")


def test_the_space_of_a_folder_that_is_not_there_yet_is_that_of_its_parent(tmp_path: Path) -> None:
    there, missing = host.space(str(tmp_path)), host.space(str(tmp_path / "a" / "b"))
    assert missing.path == str(tmp_path / "a" / "b")
    assert there.free > 0
    assert missing.free == pytest.approx(there.free, rel=0.05)


@pytest.mark.parametrize(
    ("info", "folder"),
    [
        ({"DockerRootDir": "{tmp}", "DriverStatus": [["Backing Filesystem", "extfs"]]}, "{tmp}"),
        ({"DockerRootDir": "{tmp}/elsewhere", "DriverStatus": None}, None),
        ({"DockerRootDir": "{tmp}", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]}, "{tmp}/store"),
    ],
)
def test_where_images_are_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, info: dict[str, Any], folder: str | None
) -> None:
    (tmp_path / "store").mkdir()
    monkeypatch.setattr(host, "_CONTAINERD", str(tmp_path / "store"))
    info = {**info, "DockerRootDir": info["DockerRootDir"].replace("{tmp}", str(tmp_path))}
    assert host.image_folder(info) == (folder and folder.replace("{tmp}", str(tmp_path)))


class Api:
    """An engine with the given containers, and a data root that is not on this machine."""

    def __init__(self, *containers: tuple[str, str, int]) -> None:
        self.running = containers

    def info(self) -> dict[str, Any]:
        return {"DockerRootDir": "/nowhere", "DriverStatus": []}

    def containers(self) -> list[dict[str, Any]]:
        return [
            {
                "Names": [f"/{name}"],
                "Labels": {"quayside.app": app} if app else None,
                "Ports": [
                    {"IP": "127.0.0.1", "PrivatePort": 80, "PublicPort": port, "Type": "tcp"},
                    {"PrivatePort": 9},
                ],
            }
            for name, app, port in self.running
        ]


def test_a_host_is_looked_at_for_real() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        api = Api(("shop-blue-web-1", "shop", 21000))
        app = {"name": "shop", "replicas": 1, "resources": {"memory": "1m"}}
        free, _warnings = host.problems(api, app, slot_port=port + 1, slot="blue")
        taken, _warnings = host.problems(api, app, slot_port=port, slot="blue")
        other, _warnings = host.problems(api, app, slot_port=port - 10, slot="green")
        own, _warnings = host.problems(Api(("shop-blue-web-1", "shop", port)), app, slot_port=port, slot="blue")
    assert (free, own) == ([], [])
    assert f"(pid {os.getpid()}) listens on 127.0.0.1:{port}" in taken[0]
    assert other == taken
