# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Running a program that talks to a network, and ending it when no byte has moved for a while.

rclone's own timeouts multiply with the retries of three layers: a network that swallows everything held it for twenty
minutes where its timeout was ten seconds.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

#: What a program moves in whatever time while it only waits: log lines, wake-ups of its threads.
_NOISE = 16 * 1024
_LOOK_EVERY = 0.25


class StandstillError(Exception):
    """The program moved nothing for too long and was ended."""


def run_watched(
    command: Sequence[str], env: Mapping[str, str], passed: Sequence[int], stdin: bytes, patience: float
) -> tuple[int, str, str]:
    """Exit status, output and messages; StandstillError after so many seconds in which nothing moved."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as messages:
        given.write(stdin)
        given.seek(0)
        with subprocess.Popen(
            command, env=env, pass_fds=passed, stdin=given, stdout=output, stderr=messages, umask=0o077
        ) as process:
            try:
                _wait(process, patience)
            except BaseException:
                process.kill()
                raise
        return process.returncode, _content(output), _content(messages)


def _wait(process: subprocess.Popen[bytes], patience: float) -> None:
    moved, since = 0, time.monotonic()
    while True:
        try:
            process.wait(_LOOK_EVERY)
            return
        except subprocess.TimeoutExpired:
            now_moved = bytes_moved(process.pid)
        if now_moved - moved > _NOISE:
            moved, since = now_moved, time.monotonic()
        elif time.monotonic() - since > patience:
            raise StandstillError


def bytes_moved(pid: int) -> int:
    """Bytes that a process has read and written, on sockets too."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text("ascii").splitlines()
    except OSError:
        return 0
    counts = dict(line.split(": ", 1) for line in lines)
    return int(counts.get("rchar", 0)) + int(counts.get("wchar", 0))


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")
