# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Work that ends well however its process ends: signals undo it, and a second process takes over from a dead one.

The work runs in a child. If the child is killed, the parent, which has waited, clears up after it. If the parent is
killed, with the SSH connection or by hand, the child goes on to the end. Only the death of both, as in a power cut,
leaves something to the next run.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


class Interrupted(BaseException):
    """A signal asks this process to end; like KeyboardInterrupt it passes every `except Exception`."""


class Died(Exception):
    """The working process ended without a word; `signal` is what killed it, or 0."""

    def __init__(self, status: int) -> None:
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        super().__init__(signal.Signals(self.signal).name if self.signal else f"exit code {os.WEXITSTATUS(status)}")


@contextlib.contextmanager
def signals_raise() -> Iterator[None]:
    """Turn the signals that end a process into `Interrupted`, so that what was begun gets undone."""

    def interrupt(number: int, _frame: object) -> NoReturn:
        # Once: another signal must not interrupt the undoing.
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(signal.Signals(number).name)

    before = {number: signal.signal(number, interrupt) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def in_child(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run `work` in a child process and return its result.

    Args:
        work: returns something that JSON can hold, and raises only what it means to be a crash.

    Raises:
        Died: the child ended without a result.
    """
    reader, writer = os.pipe()
    # A signal that comes before there is somebody to pass it on waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.close(reader)
        _run_child(work, writer)
    os.close(writer)

    def pass_on(number: int, _frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    before = {number: signal.signal(number, pass_on) for number in SIGNALS}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        with os.fdopen(reader, encoding="utf-8") as stream:
            said = stream.read()
        _pid, status = os.waitpid(child, 0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if not said:
        raise Died(status)
    result: dict[str, Any] = json.loads(said)
    return result


def _run_child(work: Callable[[], dict[str, Any]], writer: int) -> NoReturn:
    """Do the work, write its result into the pipe, and end without the parent's own clearing up."""
    code = 1
    try:
        data = json.dumps(work()).encode()
        # The parent may be gone; then there is nobody to tell.
        with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "wb") as stream:
            stream.write(data)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)
