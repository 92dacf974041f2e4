# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A backup in the making, in a folder that nobody takes for one: dumped, checked against its source, tried, sealed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from ._age import seal
from ._database_url import DatabaseUrl
from ._pg_client import compress_argument
from ._pg_decode import decode, dumped_tables
from ._pg_fingerprint import Background, fingerprint
from ._pg_judgement import compare_rows
from ._pg_programs import Server, run, tool
from ._pg_relations import Selection
from ._pg_repository import DUMP, GLOBALS, BackupError, DumpFile, Manifest, Proof, Table, format_time
from ._pg_select import select
from ._pg_snapshot import Overtaken, cancel, count, exported, release, sources, watch
from ._pg_store import Log, utc_now

#: Tries a restore of a plain dump, before it is encrypted to keys that are not here.
Prove = Callable[[Path, Manifest], Proof]

#: Seconds between two looks at the session that holds the snapshot.
_LOOK = 1.0
#: How often a dump begins again after others' DDL, and after how many seconds.
_TRIES = 20
_PAUSE = 0.5


class Draft:
    """The steps of one backup in its folder, and the seconds that each took."""

    def __init__(self, folder: Path, url: DatabaseUrl, server: Server, log: Log) -> None:
        self._folder = folder
        self._url = url
        self._server = server
        self._log = log
        self.seconds: dict[str, float] = {}

    def dump(
        self, manifest: Manifest, connection: Any, lock_timeout: int, hashed: bool, tries: int = _TRIES
    ) -> Manifest:
        """Dump one snapshot, decode what was written, and find in it every row that the snapshot has."""
        try:
            return self._dump_once(manifest, connection, lock_timeout, hashed)
        except Overtaken as error:
            if tries == 1:
                raise
            self._log(f"{manifest.name}: {error}; it goes first, and the dump begins again")
        (self._folder / DUMP).unlink()
        time.sleep(_PAUSE)
        return self.dump(manifest, connection, lock_timeout, hashed, tries - 1)

    def _dump_once(self, manifest: Manifest, connection: Any, lock_timeout: int, hashed: bool) -> Manifest:
        chosen: list[Selection] = []

        def choose() -> Selection:
            chosen.append(select(connection, manifest.include, manifest.exclude))
            return chosen[-1]

        with exported(connection, lambda: choose().relations, lock_timeout) as snapshot:
            arguments = [f"--snapshot={snapshot}", f"--lock-wait-timeout={lock_timeout * 1000}"]
            with self._timed("dump"):
                self._write_dump(manifest, [*arguments, *_limits(chosen[-1])], connection)
            with self._timed("globals"):
                notes = self._write_globals(manifest)
            self._log(f"{manifest.name}: verifying {manifest.id}")
            tables, files = self._check(manifest, connection, hashed)
        now = format_time(utc_now())
        return replace(manifest, tables=tables, files=files, notes=notes, verified_at=now)

    def prove(self, manifest: Manifest, prove: Prove) -> Manifest:
        """Try a restore. One that fails is told in the manifest: the dump is what it is."""
        started = time.monotonic()
        with self._timed("drill"):
            try:
                proof = prove(self._folder / DUMP, manifest)
            except BackupError as error:
                took = round(time.monotonic() - started, 3)
                proof = Proof(format_time(utc_now()), took, "", 0, 0, problem=str(error))
        return replace(manifest, proof=proof)

    def seal(self, manifest: Manifest, recipients: tuple[str, ...]) -> Manifest:
        """Encrypt every file to age keys, and remove the plain ones."""
        with self._timed("encrypt"):
            sealed = [seal(self._folder / file.name, recipients) for file in manifest.files]
            files = tuple(fingerprint(path) for path in sealed)
        return replace(manifest, files=files, recipients=recipients)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.seconds[step] = round(time.monotonic() - started, 3)

    def _write_dump(self, manifest: Manifest, arguments: list[str], connection: Any) -> None:
        looked = time.monotonic()

        def look() -> None:
            nonlocal looked
            if time.monotonic() - looked > _LOOK:
                looked = time.monotonic()
                watch(connection)

        command = [tool(manifest.client_version, "pg_dump"), "--format=custom", "--no-password", *arguments]
        command.append(compress_argument(manifest.compression, manifest.client_version))
        try:
            with _private(self._folder / DUMP) as output:
                run(command, self._url, watch=look, output=output)
        except Overtaken:
            raise
        except BackupError as error:
            raise BackupError(f"pg_dump of {self._url.redacted} failed: {str(error).rstrip('.')}.") from None

    def _write_globals(self, manifest: Manifest) -> tuple[str, ...]:
        """Write roles and tablespaces where the server lets us; returns what a person should know."""
        command = [tool(manifest.client_version, "pg_dumpall"), "--globals-only", "--no-password"]
        command.append(f"--database={self._url.database}")
        if not self._server.superuser:
            command.append("--no-role-passwords")
        try:
            with _private(self._folder / GLOBALS) as output:
                run(command, self._url, output=output)
        except BackupError as error:
            (self._folder / GLOBALS).unlink()
            return (f"roles and tablespaces are not in it: {error}",)
        return () if self._server.superuser else ("roles are without passwords: only a superuser may read those",)

    def _check(
        self, manifest: Manifest, connection: Any, hashed: bool
    ) -> tuple[tuple[Table, ...], tuple[DumpFile, ...]]:
        """Decode, count in the same snapshot, and hash the file, all at the same time."""
        dump = self._folder / DUMP
        found = sources(connection, dumped_tables(dump, manifest.client_version))
        wanted = [Table(*source.key, 0) for source in found]
        counting = Background(lambda: _count_and_release(connection, wanted, hashed))
        reading = Background(lambda: fingerprint(dump))
        try:
            with self._timed("decode"):
                decoded = decode(dump, manifest.client_version)
            files = [reading.result()]
            counted = counting.result()
        except BaseException:
            cancel(connection)
            raise
        self.seconds["sha256"], self.seconds["count"] = round(reading.seconds, 3), round(counting.seconds, 3)
        if (self._folder / GLOBALS).exists():
            files.append(fingerprint(self._folder / GLOBALS))
        roots = {source.key: source.root for source in found if source.root is not None}
        return compare_rows(counted, roots, decoded), tuple(files)


def _count_and_release(connection: Any, tables: list[Table], hashed: bool) -> tuple[Table, ...]:
    counted = count(connection, tables, hashed)
    release(connection)
    return counted


def _limits(selection: Selection) -> list[str]:
    limits = [f"--table={pattern}" for pattern in selection.include]
    limits += [f"--exclude-table={pattern}" for pattern in selection.exclude]
    return [*limits, "--strict-names"] if limits else []


def _private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
