# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _backup_status as status
from ansible_collections.quayside.web.plugins.module_utils._backup_status import DRILL, RUN, LastRun, Status

START = "2026-11-21T03:00:00Z"
FINE = LastRun(
    START, "2026-11-21T03:00:09Z", ok=True, step="retention", id="20261121T030000Z", seconds=9.0, mailed=True
)
FAILED = LastRun(START, "2026-11-21T03:00:09Z", error="no route to host")
RUNNING = LastRun(START, step="backup", pid=os.getpid())
#: Larger than any pid of Linux.
KILLED = LastRun(START, step="copy to bucket", pid=2**22 + 1)
#: Another process has its pid by now, perhaps since the host was started again.
REPLACED = replace(KILLED, pid=os.getpid(), process="another boot:1")


@pytest.mark.parametrize(
    ("last", "running", "failed", "problem"),
    [
        (FINE, False, False, ""),
        (FAILED, False, True, "no route to host"),
        (RUNNING, True, False, ""),
        (replace(RUNNING, process=status.process_mark(os.getpid())), True, False, ""),
        (KILLED, False, True, "it was ended from outside at the step copy to bucket (killed, or the host went down)"),
        (REPLACED, False, True, "it was ended from outside at the step copy to bucket (killed, or the host went down)"),
    ],
    ids=["fine", "failed", "running", "running, by its mark", "killed", "its pid is another's"],
)
def test_what_a_record_says(last: LastRun, running: bool, failed: bool, problem: str) -> None:
    assert (last.running, last.failed, last.problem) == (running, failed, problem)


@pytest.mark.parametrize(
    ("found", "drills", "problems"),
    [
        (Status(), True, []),
        (Status(FINE, FINE), True, []),
        (Status(FAILED, FINE), True, ["the last backup failed: no route to host"]),
        (Status(FINE, FAILED), True, ["the last drill failed: no route to host"]),
        (Status(FINE, FAILED), False, []),
        (Status(RUNNING, RUNNING), True, []),
    ],
    ids=["none yet", "fine", "backup", "drill", "drills were turned off", "running"],
)
def test_problems(found: Status, drills: bool, problems: list[str]) -> None:
    assert found.problems(drills) == problems


def test_run_and_drill_are_kept_side_by_side(tmp_path: Path) -> None:
    said: list[str] = []
    root = str(tmp_path / "new")
    status.write(root, "ledger", RUN, FINE, said.append)
    status.write(root, "ledger", DRILL, FAILED, said.append)
    assert status.read(root, "ledger") == Status(FINE, FAILED)
    file = tmp_path / "new/ledger/status.json"
    assert file.stat().st_mode & 0o777 == 0o600 and (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert said == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"run": 1}', '{"run": {"started": "yesterday"}}', '{"run": {"ok": true}}', "\\x00"]
)
def test_a_damaged_file_is_an_empty_state(text: str, tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger/status.json").write_text(text)
    assert status.read(str(tmp_path), "ledger") == Status()


def test_keys_of_a_later_program_are_no_damage() -> None:
    assert status.parse('{"format": 1, "run": {"started": "2026-11-21T03:00:00Z", "mood": "good"}}').run == LastRun(
        START
    )


def test_what_a_killed_writer_left_goes(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    folder.mkdir()
    old, ours, fresh = (folder / f".status.json.{pid}" for pid in (1, os.getpid(), 2))
    for path in (old, ours, fresh):
        path.write_text("half")
    os.utime(old, (0, 0))
    status.write(str(tmp_path), "ledger", RUN, FINE, print)
    assert sorted(path.name for path in folder.iterdir()) == [".status.json.2", "status.json"]


def test_a_disk_that_takes_nothing_is_said_and_raises_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "root").write_text("a file")
    status.write(str(tmp_path / "root"), "ledger", RUN, FINE, said.append)
    assert len(said) == 1 and "cannot write" in said[0]
