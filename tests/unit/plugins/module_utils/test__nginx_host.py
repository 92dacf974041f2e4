# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Swapping a tree of files, and asking nginx, with a stand-in for its commands."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _nginx_host as host
from ansible_collections.quayside.web.plugins.module_utils._nginx_tree import (
    REVISION_FILE,
    UNMANAGED,
    Host,
    Plan,
    make_plan,
)

SITES = ["quayside/sites/*.conf"]


class Commands:
    """Answers commands by their last-but-one word, and keeps what was asked."""

    def __init__(self, **answers: tuple[int, str, str]) -> None:
        self.answers = answers
        self.asked: list[list[str]] = []

    def __call__(self, argv: list[str]) -> tuple[int, str, str]:
        self.asked.append(argv)
        return next((answer for word, answer in self.answers.items() if word in argv), (0, "", ""))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "nginx"
    for path, text in {
        "nginx.conf": "http {}\n",
        "mime.types": "types {}\n",
        "conf.d/other.conf": "server {}\n",
        "quayside/sites/a.conf": "a\n",
        "quayside/sites/b.conf": "b\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    (root / "modules-enabled").mkdir()
    (root / "modules-enabled" / "x.conf").symlink_to("/usr/share/nginx/x.conf")
    return root


def files(root: Path) -> dict[str, str]:
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_text() for path in paths}


@pytest.fixture
def plan(root: Path) -> Plan:
    wanted = {"quayside/sites/b.conf": "b2\n", "quayside/sites/c.conf": "c\n"}
    return make_plan(host.read_tree(root), wanted, SITES, Host())


def test_only_our_files_are_read(root: Path) -> None:
    assert set(host.read_tree(root)) == {"nginx.conf", "quayside/sites/a.conf", "quayside/sites/b.conf"}


def test_a_bare_host_has_no_tree(tmp_path: Path) -> None:
    assert host.read_tree(tmp_path / "absent") == {}
    assert host.read_host(None, Commands()).nginx is None


def test_the_candidate_is_whole_and_leaves_nothing_behind(root: Path, plan: Plan) -> None:
    before = files(root)
    with host.candidate(root, plan) as copy:
        assert files(copy) == {
            "nginx.conf": "http {}\n",
            "mime.types": "types {}\n",
            "conf.d/other.conf": "server {}\n",
            "quayside/sites/b.conf": "b2\n",
            "quayside/sites/c.conf": "c\n",
            REVISION_FILE: plan.tree[REVISION_FILE],
        }
        assert (copy / "modules-enabled" / "x.conf").is_symlink()
    assert files(root) == before
    assert not list(root.glob(".quayside-*"))


def test_a_swap_puts_the_plan_in_place(root: Path, plan: Plan) -> None:
    with host.candidate(root, plan) as copy, host.swapped(root, copy, plan):
        pass
    assert host.read_tree(root) == plan.tree
    assert (root / "quayside/sites/c.conf").stat().st_mode & 0o777 == 0o644
    assert (root / "conf.d/other.conf").read_text() == "server {}\n"


def test_a_failed_swap_puts_the_old_files_back(root: Path, plan: Plan) -> None:
    before = files(root)
    with pytest.raises(KeyboardInterrupt), host.candidate(root, plan) as copy, host.swapped(root, copy, plan):
        assert host.read_tree(root) == plan.tree
        raise KeyboardInterrupt
    assert files(root) == before


def test_a_swap_that_breaks_off_half_way_puts_the_old_files_back(root: Path, plan: Plan) -> None:
    before = files(root)
    with pytest.raises(FileNotFoundError), host.candidate(root, plan) as copy:
        (copy / "quayside/sites/c.conf").unlink()
        with host.swapped(root, copy, plan):
            pytest.fail("the body must not run")
    assert files(root) == before


def test_a_fault_names_the_live_path(root: Path, plan: Plan) -> None:
    with host.candidate(root, plan) as copy:
        line = f'nginx: [emerg] unknown directive "b2" in {copy}/quayside/sites/b.conf:1\n'
        commands = Commands(**{"-t": (1, "", line)})
        fault = host.fault_of("/usr/sbin/nginx", copy, root, plan.tree, commands)
        assert commands.asked == [["/usr/sbin/nginx", "-t", "-c", f"{copy}/nginx.conf"]]
    assert fault == f'site "b": unknown directive "b2" in {root}/quayside/sites/b.conf:1, where it says: b2'


@pytest.mark.parametrize(
    ("output", "service"),
    [
        ("ActiveState=active\nUnitFileState=enabled\n", host.Service(active=True, enabled=True)),
        ("ActiveState=failed\nUnitFileState=disabled\n", host.Service(active=False, enabled=False)),
        ("ActiveState=inactive\nUnitFileState=\n", host.Service(active=False, enabled=False)),
    ],
)
def test_service(output: str, service: host.Service) -> None:
    assert host.read_service("nginx", Commands(show=(0, output, ""))) == service


@pytest.fixture
def status_port() -> Iterator[int]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"old\n")

        def log_message(self, *args: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_the_revision_is_read_from_the_running_nginx(status_port: int) -> None:
    assert host.live_revision(status_port) == "old"


def test_no_answer_is_no_revision() -> None:
    assert host.live_revision(1) is None


def test_a_reload_that_keeps_the_old_configuration_fails(
    status_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "error.log"
    log.write_text("2026/11/20 [emerg] 1#1: an old line\n")
    monkeypatch.setattr(host, "ERROR_LOG", log)

    def run(argv: list[str]) -> tuple[int, str, str]:
        if "reload" in argv:
            with log.open("a") as stream:
                stream.write("2026/11/21 [emerg] 1#1: bind() to 0.0.0.0:80 failed (98: Address already in use)\n")
        return (0, "ActiveState=active", "")

    with pytest.raises(host.NginxError, match=r"systemctl reload nginx did not .*: bind\(\) to 0.0.0.0:80 failed"):
        host.activate("nginx", "new", status_port, 0.1, run)
    host.activate("nginx", "old", status_port, 0.1, run)


def test_a_failed_start_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "ERROR_LOG", tmp_path / "absent.log")
    commands = Commands(start=(1, "", "Job for nginx.service failed."))
    with pytest.raises(host.NginxError, match=r"systemctl start nginx did not .*: Job for nginx.service failed"):
        host.activate("nginx", "new", 1, 60, commands)


def test_sites_of_others_go_in_the_same_change_where_that_is_asked_for(root: Path) -> None:
    purged = host.read_tree(root, [UNMANAGED])
    plan = make_plan(purged, {"quayside/sites/a.conf": "a\n"}, [*SITES, UNMANAGED], Host())
    assert plan.removed == ("conf.d/other.conf", "quayside/sites/b.conf")
    with host.candidate(root, plan) as copy:
        assert not (copy / "conf.d/other.conf").exists()
        with host.swapped(root, copy, plan):
            assert not (root / "conf.d/other.conf").exists()
    kept = make_plan(host.read_tree(root), {"quayside/sites/a.conf": "a\n"}, SITES, Host())
    assert kept.revision == plan.revision, "the next run, which does not look there, sees the same revision"
