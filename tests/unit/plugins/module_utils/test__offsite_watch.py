# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from ansible_collections.quayside.web.plugins.module_utils._offsite_watch import (
    StandstillError,
    bytes_moved,
    run_watched,
)


def run(script: str, patience: float = 1.0, stdin: bytes = b"") -> tuple[int, str, str]:
    return run_watched(["/bin/sh", "-c", script], {"PATH": os.defpath}, (), stdin, patience)


def test_status_output_and_messages_are_returned() -> None:
    assert run("cat; echo oh >&2; exit 3", stdin=b"given") == (3, "given", "oh\n")


def test_what_stands_still_is_ended() -> None:
    started = time.monotonic()
    with pytest.raises(StandstillError):
        run("exec sleep 60", patience=0.5)
    assert time.monotonic() - started < 10


def test_what_moves_is_left_alone_however_long_it_takes() -> None:
    busy = "import sys, time\nfor _ in range(8): sys.stdout.write('x' * 40000), sys.stdout.flush(), time.sleep(0.3)"
    status, output, _messages = run_watched([sys.executable, "-c", busy], {}, (), b"", 1.0)
    assert (status, len(output)) == (0, 320000)


def test_a_process_that_is_gone_has_moved_nothing() -> None:
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    assert bytes_moved(child.pid) == 0
    assert bytes_moved(os.getpid()) > 0
