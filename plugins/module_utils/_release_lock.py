# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The lock of an app's deploys: a lease with owner, start and expiry that no dead owner can leave behind.

The kernel's lock on the file says whether it is held, and lets go when its holders end, however they end. The line
in the file says who holds it, since when, until when at the latest, and how far it has come; a line that is still
there when the lock is free is the trace of a run that was killed.
"""

from __future__ import annotations

import calendar
import contextlib
import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

POLL_SECONDS = 0.2
#: Every line has this length, so that one write replaces another and nobody reads a mixture.
LINE = 500
#: A holder whose lease has expired is killed; this long it may take to be gone.
KILL_SECONDS = 5


class Locked(Exception):
    """Another run holds the lock; one sentence."""


@dataclass(frozen=True)
class Lease:
    """The line in the lock file. Times are seconds since the epoch."""

    by: str = ""
    pids: tuple[int, ...] = ()
    """The process that watches over the run, and the one that does the work."""
    since: float = 0
    expires: float = 0
    release: str = ""
    step: str = ""

    def to_text(self) -> str:
        data = {**asdict(self), "since": _stamp(self.since), "expires": _stamp(self.expires)}
        return json.dumps(data).ljust(LINE) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Lease | None:
        """Read the line, or return None where there is none, or half of one."""
        try:
            data = json.loads(text)
            times = {key: _seconds(data[key]) for key in ("since", "expires")}
            return cls(**{**data, **times, "pids": tuple(data["pids"])})
        except (ValueError, TypeError, KeyError):
            return None

    def describe(self) -> str:
        """Return who holds it and since when, for a sentence."""
        step = f", now at step {self.step}" if self.step else ""
        return f"{self._owner()}{step}, over by {_stamp(self.expires)}"

    def epitaph(self) -> str:
        """Return the same of a run that was killed."""
        return f"{self._owner()} was killed at step {self.step or 'one'}"

    def _owner(self) -> str:
        return f"by {self.by or 'an unknown user'} since {_stamp(self.since)}"


def _stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _seconds(stamp: str) -> float:
    return float(calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")))


class Lock:
    """The lock file of one app.

    Args:
        path: the file; its folder exists.
        app: the app's name, for messages.
    """

    def __init__(self, path: Path, app: str) -> None:
        self.path = path
        self.app = app
        self.lease = Lease()
        self.interrupted: Lease | None = None
        """The lease of a run that was killed before this one."""
        self._stream: IO[str] | None = None

    @contextlib.contextmanager
    def hold(self, lease: Lease, wait: float, notify: Callable[[str], None]) -> Iterator[Lock]:
        """Hold the lock, waiting for it up to `wait` seconds.

        Raises:
            Locked: another run holds it, and its lease has not expired.
        """
        # Not in append mode, in which the kernel would put every line behind the last.
        with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8") as self._stream:
            self._acquire(wait, notify)
            self.interrupted = self.read()
            self._write(replace(lease, since=time.time()))
            try:
                yield self
            finally:
                self.clear()

    def note(self, **changes: Any) -> None:
        """Write down how far the run has come: `step`, `release`, or `pids`."""
        self._write(replace(self.lease, **changes))

    def clear(self) -> None:
        """Leave no trace: the run has ended by itself."""
        self._write(None)

    def _acquire(self, wait: float, notify: Callable[[str], None]) -> None:
        deadline = time.monotonic() + wait
        while not self._try():
            holder = self.read()
            if holder and holder.expires < time.time():
                notify(f'app "{self.app}": took the deploy lock over; it was held {holder.describe()}')
                self._end(holder.pids)
            elif time.monotonic() >= deadline:
                who = holder.describe() if holder else "by the end of a release that was kept warm"
                raise Locked(
                    f'app "{self.app}": another deploy is running ({who}); wait for it to end and run again, or set '
                    "app_container_lock_wait to the seconds to wait."
                )
            time.sleep(POLL_SECONDS)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _end(self, pids: Iterable[int]) -> None:
        """Kill a run that hangs. A number that has gone to another process since is left alone."""
        deadline = time.monotonic() + KILL_SECONDS
        while (alive := [pid for pid in pids if has_open(pid, self.path)]) and time.monotonic() < deadline:
            for pid in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_SECONDS)

    def read(self) -> Lease | None:
        """Return what is written in the file, by whichever process."""
        self._file.seek(0)
        return Lease.from_text(self._file.read())

    def _write(self, lease: Lease | None) -> None:
        # In place: whoever looks must find the very file that is locked.
        if lease:
            os.pwrite(self._file.fileno(), lease.to_text().encode(), 0)
        else:
            os.ftruncate(self._file.fileno(), 0)
        self.lease = lease or Lease()

    @property
    def _file(self) -> IO[str]:
        if self._stream is None:
            raise AssertionError("only while the lock is held")
        return self._stream


def has_open(pid: int, path: Path) -> bool:
    """Whether a process has a file open."""
    with contextlib.suppress(OSError):
        return any(item.readlink() == path for item in Path(f"/proc/{pid}/fd").iterdir())
    return False
