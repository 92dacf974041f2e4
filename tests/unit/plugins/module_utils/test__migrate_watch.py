# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import threading

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _migrate_watch
from ansible_collections.quayside.web.plugins.module_utils._migrate_watch import LockWatch
from ansible_collections.quayside.web.plugins.module_utils._migration import MigrationError


class Server:
    """A database whose sessions wait for locks; it is its own session too."""

    url = "postgresql://shop@db/shop"

    def __init__(self, *waiting: list[int]) -> None:
        self.waiting = list(waiting)
        self.cancelled: list[int] = []
        self.looked = threading.Event()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_args: object) -> None:
        pass

    def now(self) -> str:
        return "2026-01-01"

    def stuck(self, since: str) -> list[int]:
        assert since == "2026-01-01"
        if not self.waiting:
            self.looked.set()
            return []
        return self.waiting.pop(0)

    def cancel(self, pid: int) -> None:
        self.cancelled.append(pid)


def watched(monkeypatch: pytest.MonkeyPatch, server: Server) -> int:
    clock = iter(range(1000))
    monkeypatch.setattr(_migrate_watch, "_POLL", 0.001)
    monkeypatch.setattr(_migrate_watch, "Session", lambda _url: server)
    monkeypatch.setattr(_migrate_watch.time, "monotonic", lambda: float(next(clock)))
    with LockWatch(server, "2s") as watch:
        server.looked.wait(5)
    return watch.cancelled


@pytest.mark.parametrize(
    ("waiting", "cancelled"),
    [
        ([[7], [7], [7], [7, 8], [8]], [7]),
        ([[7], [7], [], [7], [7]], []),
        ([[]], []),
    ],
    ids=["longer than it may", "it got its lock in between", "nobody waits"],
)
def test_only_who_waits_too_long_is_cancelled(
    monkeypatch: pytest.MonkeyPatch, waiting: list[list[int]], cancelled: list[int]
) -> None:
    server = Server(*waiting)
    assert watched(monkeypatch, server) == len(cancelled)
    assert server.cancelled == cancelled


def test_a_watch_that_cannot_connect_stops_no_migration(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_url: str) -> Server:
        raise MigrationError("too many clients")

    monkeypatch.setattr(_migrate_watch, "Session", refuse)
    with LockWatch(Server(), "2s") as watch:
        pass
    assert watch.cancelled == 0
