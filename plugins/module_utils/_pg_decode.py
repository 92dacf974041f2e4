# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Reading a whole dump back: only that finds one that was cut or flipped, and it tells how many rows each table has."""

from __future__ import annotations

import codecs
import fcntl
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ._pg_programs import reading, run, tool
from ._pg_repository import BackupError, Key

_CHUNK = 1 << 20
_PAUSE = 0.001
_IDENTIFIER = rb'(?:"(?:[^"]|"")+"|[^\s".,()]+)'
#: A quoted name may hold anything, a line end and " FROM stdin;" too.
_COPY = re.compile(
    rb"\nCOPY (%(name)s)\.(%(name)s) (?:\(%(name)s(?:, %(name)s)*\))? FROM stdin;(?=\n)" % {b"name": _IDENTIFIER}
)
_BEGIN = b"\nCOPY "
#: 1600 columns with names of 63 letters need less.
_LONGEST_HEAD = 1 << 20
#: In a row a backslash is written twice, so that this can't be data.
_END = b"\n\\.\n"
_ENCODING = re.compile(rb"\nSET client_encoding = '([A-Za-z0-9_]+)';")
_TABLE_DATA = re.compile(r"(?m)^[0-9]+; 0 ([0-9]+) TABLE DATA ")


def decode(path: Path, client: int) -> dict[Key, int]:
    """Decode all data of a dump, and count the rows of each table in it; BackupError if that is not possible."""
    # The schema lies uncompressed at the head, which is read in any case. Without it in the stream no function's
    # body can be taken for data.
    command = [tool(client, "pg_restore"), "--data-only", "--file=-", str(path)]
    counter = Counter()
    try:
        with reading(command) as stream:
            _enlarge(stream)
            read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
            while chunk := read(_CHUNK):
                counter.feed(chunk)
                if len(chunk) < _CHUNK // 4:
                    # pg_restore writes 4 kB at a time: to wake up for each of them takes longer than to decode it.
                    time.sleep(_PAUSE)
    except BackupError as error:
        raise BackupError(f"The dump does not decode: {error}.") from None
    return counter.result()


def dumped_tables(path: Path, client: int) -> list[int]:
    """The oids of the tables that have data in a dump, from the list at its head."""
    if not path.stat().st_size:
        raise BackupError("pg_dump succeeded but wrote nothing; nothing was kept.")
    try:
        listing = run([tool(client, "pg_restore"), "--list", str(path)])
    except BackupError as error:
        raise BackupError(f"The dump cannot be read back: {error}.") from None
    return [int(oid) for oid in _TABLE_DATA.findall(listing)]


def _enlarge(stream: IO[bytes]) -> None:
    try:
        fcntl.fcntl(stream.fileno(), fcntl.F_SETPIPE_SZ, _CHUNK)
    except OSError:  # beyond what this user may have: it is slower, no more
        return


class Counter:
    """Counts the rows of each COPY in a script that comes in pieces; its memory does not grow with them."""

    def __init__(self) -> None:
        self._rows: dict[Key, int] = {}
        self._key: Key | None = None
        self._rest = b""
        self._codec = "utf-8"

    def feed(self, chunk: bytes) -> None:
        """Take the next piece in."""
        if self._key is not None and len(chunk) > len(_END):
            joint = self._rest + chunk[: len(_END)]
            if _END not in joint and _END not in chunk:
                kept = chunk[-len(_END) + 1 :]
                self._rows[self._key] += self._rest.count(b"\n") + chunk.count(b"\n") - kept.count(b"\n")
                self._rest = kept
                return
        text = self._rest + chunk
        self._rest = b""
        while text:
            text = self._head(text) if self._key is None else self._body(text, self._key)

    def result(self) -> dict[Key, int]:
        """The rows by table, once the script has ended."""
        if self._key is not None:
            raise BackupError(f"The dump does not decode: it ends in the middle of {'.'.join(self._key)}.")
        return self._rows

    def _head(self, text: bytes) -> bytes:
        """Look for the next COPY, and return what follows its first line, from the line end on."""
        if encoding := _ENCODING.search(text, 0, 2000):
            self._codec = python_codec(encoding[1].decode())
        at = text.find(_BEGIN)
        if at < 0:
            self._rest = text[-len(_BEGIN) + 1 :]
            return b""
        if match := _COPY.match(text, at):
            self._key = (self._name(match[1]), self._name(match[2]))
            self._rows.setdefault(self._key, 0)
            return text[match.end() :]
        if len(text) - at < _LONGEST_HEAD:
            self._rest = text[at:]
            return b""
        return text[at + 1 :]

    def _body(self, text: bytes, key: Key) -> bytes:
        """Count rows up to the end of the data, and return what follows it."""
        end = text.find(_END)
        if end < 0:
            kept = min(len(text), len(_END) - 1)
            self._rows[key] += text.count(b"\n", 0, len(text) - kept)
            self._rest = text[len(text) - kept :]
            return b""
        self._rows[key] += text.count(b"\n", 0, end)
        self._key = None
        return text[end + len(_END) - 1 :]

    def _name(self, identifier: bytes) -> str:
        text = identifier.decode(self._codec, "surrogateescape")
        return text[1:-1].replace('""', '"') if text.startswith('"') else text


def python_codec(encoding: str) -> str:
    """Python's name of a PostgreSQL encoding; one in which every byte is a letter where the database has none."""
    name = "latin1" if encoding == "SQL_ASCII" else encoding.lower()
    for candidate in (name, name.replace("win", "cp"), name.replace("koi8", "koi8_")):
        try:
            return codecs.lookup(candidate).name
        except LookupError:
            continue
    return "utf-8"
