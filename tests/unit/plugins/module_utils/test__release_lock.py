# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The lock: real files, real kernel locks, real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _release_lock
from ansible_collections.quayside.web.plugins.module_utils._release_lock import Lease, Lock, Locked, has_open

LEASE = Lease(by="ada", pids=(1, 2), since=1_800_000_000, expires=1_800_003_600, release="r1", step="gate")
HOLD = """
import fcntl, sys, time
stream = open(sys.argv[1], "a+")
fcntl.flock(stream, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    path.touch()
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def test_a_lease_is_read_as_it_was_written() -> None:
    assert Lease.from_text(LEASE.to_text()) == LEASE
    assert len(LEASE.to_text()) == len(Lease().to_text()), "a shorter line would leave the end of a longer one"


@pytest.mark.parametrize("text", ["", "{", "since 2026-11-21T00:00:00Z", "{}", "[]", '{"since": 1}'])
def test_a_line_that_is_no_lease_is_none(text: str) -> None:
    assert Lease.from_text(text) is None


def test_the_line_tells_how_far_the_run_is_and_goes_with_it(path: Path) -> None:
    lock = Lock(path, "shop")
    with lock.hold(LEASE, 0, pytest.fail):
        lock.note(step="flip", release="r2")
        seen = Lease.from_text(path.read_text())
        assert seen is not None
        assert (seen.by, seen.step, seen.release) == ("ada", "flip", "r2")
        assert seen.since > LEASE.since - 86400 * 3650
        assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == ""
    assert lock.interrupted is None


def test_the_trace_of_a_killed_run_is_handed_to_the_next(path: Path) -> None:
    path.write_text(LEASE.to_text())
    lock = Lock(path, "shop")
    with lock.hold(Lease(), 0, pytest.fail):
        assert lock.interrupted == LEASE


def test_a_second_run_is_told_who_holds_it(path: Path, holder: subprocess.Popen[str]) -> None:
    until = time.time() + 3600
    path.write_text(Lease(by="ada", pids=(holder.pid,), since=1_800_000_000, expires=until, step="gate").to_text())
    with pytest.raises(Locked) as raised, Lock(path, "shop").hold(Lease(), 0, pytest.fail):
        pytest.fail("two at once")
    said = str(raised.value)
    assert 'app "shop": another deploy is running (by ada since 2027-01-15T08:00:00Z, now at step gate' in said
    assert "app_container_lock_wait" in said
    assert Lease.from_text(path.read_text()), "the holder's line is gone"


def test_a_second_run_can_wait(path: Path, holder: subprocess.Popen[str]) -> None:
    path.write_text(Lease(by="ada", pids=(holder.pid,), expires=time.time() + 3600).to_text())
    ending = subprocess.Popen(["sh", "-c", f"sleep 0.4; kill -KILL {holder.pid}"])
    with Lock(path, "shop").hold(Lease(), 20, pytest.fail):
        assert holder.wait(5) == -9
    ending.wait(5)


def test_a_run_that_has_outlived_its_lease_is_ended(path: Path, holder: subprocess.Popen[str]) -> None:
    path.write_text(Lease(by="ada", pids=(holder.pid, os.getppid()), expires=time.time() - 1).to_text())
    notes: list[str] = []
    with Lock(path, "shop").hold(Lease(), 0, notes.append) as lock:
        assert holder.wait(5) == -9
        assert lock.interrupted, "nobody would clear up after it"
    assert 'app "shop": took the deploy lock over; it was held by ada' in notes[0]


def test_a_number_that_another_process_has_now_is_left_alone(
    path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_release_lock, "KILL_SECONDS", 0.1)
    with subprocess.Popen(["sleep", "30"]) as other:
        path.write_text(Lease(pids=(other.pid,), expires=time.time() - 1).to_text())
        lock = Lock(path, "shop")
        lock._stream = path.open("r+")
        lock._end((other.pid,))
        assert other.poll() is None
        other.kill()
        lock._stream.close()


def test_has_open(path: Path, holder: subprocess.Popen[str]) -> None:
    assert has_open(holder.pid, path)
    assert not has_open(os.getppid(), path)
    assert not has_open(2**22 + 1, path)
