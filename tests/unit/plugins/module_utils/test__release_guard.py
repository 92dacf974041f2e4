# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Work that ends well however its process ends: real processes, really killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _release_guard
from ansible_collections.quayside.web.plugins.module_utils._release_guard import (
    Died,
    Interrupted,
    in_child,
    signals_raise,
)


def test_the_result_comes_back() -> None:
    assert in_child(lambda: {"pid": os.getpid()})["pid"] != os.getpid()


def test_a_large_result_does_not_block() -> None:
    assert len(in_child(lambda: {"text": "x" * 1_000_000})["text"]) == 1_000_000


def test_a_killed_child_is_told_with_its_signal() -> None:
    def work() -> dict[str, int]:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}

    with pytest.raises(Died, match="SIGKILL") as raised:
        in_child(work)
    assert raised.value.signal == signal.SIGKILL


def test_a_crash_does_not_return_twice(capfd: pytest.CaptureFixture[str]) -> None:
    parent = os.getpid()

    def work() -> dict[str, int]:
        raise RuntimeError("a bug")

    with pytest.raises(Died, match="exit code 1"):
        in_child(work)
    assert os.getpid() == parent
    assert "RuntimeError: a bug" in capfd.readouterr().err


def test_a_signal_raises_once() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="SIGTERM"), signals_raise():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


PROGRAM = """
import sys, time
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[3]).parent))
from _release_guard import Interrupted, in_child, signals_raise
folder = Path(sys.argv[1])
def work():
    try:
        with signals_raise():
            (folder / "begun").touch()
            time.sleep(float(sys.argv[2]))
            (folder / "done").touch()
    except Interrupted as signal:
        (folder / "undone").write_text(str(signal))
    return {}
in_child(work)
"""


@pytest.mark.parametrize(
    ("number", "seconds", "left"),
    [
        pytest.param(signal.SIGKILL, 0.5, "done", id="the child of a killed parent goes on to the end"),
        pytest.param(signal.SIGTERM, 30, "undone", id="a signal to the parent reaches the child"),
        pytest.param(signal.SIGHUP, 30, "undone", id="and so does a hangup"),
    ],
)
def test_what_becomes_of_the_work(tmp_path: Path, number: int, seconds: float, left: str) -> None:
    arguments = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tmp_path), str(seconds), _release_guard.__file__]
    with subprocess.Popen(arguments) as process:
        wait_for(tmp_path / "begun")
        process.send_signal(number)
        wait_for(tmp_path / left)
        assert process.wait(5) == (-number if number == signal.SIGKILL else 0)
    assert {path.name for path in tmp_path.iterdir()} == {"begun", left}


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} never came"
        time.sleep(0.02)
