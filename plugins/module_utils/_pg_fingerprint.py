# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Files that are on the disk for good, with their size and checksum; and work beside other work."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from ._pg_repository import DumpFile

_CHUNK = 1 << 20
_Result = TypeVar("_Result")


def fingerprint(path: Path) -> DumpFile:
    """Flush a file to its disk, and read it once."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        buffer = memoryview(bytearray(_CHUNK))
        while read := stream.readinto(buffer):
            digest.update(buffer[:read])
        return DumpFile(path.name, stream.tell(), digest.hexdigest())


def free_bytes(folder: Path) -> int:
    """What may still be written where a folder is, or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class Background(Generic[_Result]):
    """A function that runs beside its caller, which is not kept from ending by it."""

    def __init__(self, work: Callable[[], _Result]) -> None:
        self._work = work
        self._results: list[_Result] = []
        self._error: BaseException | None = None
        self.seconds = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> _Result:
        """Wait for its end; what it raised is raised here."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _run(self) -> None:
        started = time.monotonic()
        try:
            self._results.append(self._work())
        except BaseException as error:  # for result() to raise
            self._error = error
        self.seconds = time.monotonic() - started
