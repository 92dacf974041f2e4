# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A site's access log, followed across rotations. The I/O beside `_traffic`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from ._traffic import Request, parse_line

#: How much of the log before a deploy makes its baseline: some 500 requests.
TAIL_BYTES = 256 * 1024
#: What one reading takes in at most, so that a flood of requests does not keep the deploy busy: some 2,000 requests.
READ_BYTES = 1024 * 1024


class AccessLog:
    """Reads what is appended to a log, a file that may be missing, cut or replaced at any time.

    The file stays open: what nginx still writes into one that was renamed, until it opens the new one, is read too.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file: BinaryIO | None = None

    def tail(self, size: int = TAIL_BYTES) -> list[Request]:
        """Return the requests of the last `size` bytes, and go to the end, where `read` goes on."""
        self.close()
        self._file = self._open()
        earlier = b""
        there = os.fstat(self._file.fileno()).st_size if self._file else 0
        if there < size:
            # Rotated not long ago, or empty since: logrotate leaves the last one uncompressed.
            with contextlib.suppress(FileNotFoundError), Path(f"{self.path}.1").open("rb") as stream:
                earlier = _last(stream, size - there)
        return _requests([*earlier.splitlines(), *self._lines(size)])

    def read(self) -> list[Request]:
        """Return the requests that were appended since the last call."""
        lines = self._lines(READ_BYTES)
        if self._was_replaced():
            self.close()
        if self._file is None:
            self._file = self._open()
            lines += self._lines(READ_BYTES)
        return _requests(lines)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> BinaryIO | None:
        with contextlib.suppress(FileNotFoundError):
            return self.path.open("rb")
        return None

    def _was_replaced(self) -> bool:
        if self._file is None:
            return False
        with contextlib.suppress(FileNotFoundError):
            here, there = os.fstat(self._file.fileno()), self.path.stat()
            return (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino)
        # Renamed, and the new one is not there yet: this one may still grow.
        return False

    def _lines(self, limit: int) -> list[bytes]:
        """Return the complete lines from here on, of the last `limit` bytes, and go behind them."""
        if self._file is None:
            return []
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            # Cut to nothing in place (logrotate's copytruncate).
            self._file.seek(0)
        data = _last(self._file, limit)
        whole, newline, begun = data.rpartition(b"\n")
        self._file.seek(-len(begun), os.SEEK_CUR)
        return whole.splitlines() if newline else []


def _last(stream: BinaryIO, limit: int) -> bytes:
    """Read to the end: the last `limit` bytes of it, from the beginning of a line."""
    start, end = stream.tell(), os.fstat(stream.fileno()).st_size
    if end - start <= limit:
        return stream.read()
    # One more: the line begins here where that one is a line's end.
    stream.seek(end - limit - 1)
    stream.readline()
    return stream.read()


def _requests(lines: Iterable[bytes]) -> list[Request]:
    return [request for line in lines if (request := parse_line(line)) is not None]
