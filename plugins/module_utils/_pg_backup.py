# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Taking, proving and removing backups: all that touches disk, processes and the server.

The modules pg_dump and pg_dump_rotate and the host's own quayside-backup both call these functions.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ._database_url import DatabaseUrl
from ._files import flush_directory, write_atomically
from ._pg_client import choose_compression, choose_major, compress_argument, count_tables
from ._pg_programs import Server, installed_clients, probe, run, tool
from ._pg_repository import (
    DRAFT_PREFIX,
    DUMP,
    GLOBALS,
    MANIFEST,
    TRASH_PREFIX,
    Backup,
    BackupError,
    DumpFile,
    Manifest,
    Proof,
    Table,
    check_content,
    check_name,
    format_time,
    new_id,
)
from ._pg_rotation import Keep, Plan, plan
from ._pg_store import Log, find, load, load_one, locked, quiet, update, utc_now

_CHUNK = 1 << 20

Prove = Callable[[Path, Manifest], Proof]


@dataclass(frozen=True)
class Options:
    """How to dump. Times in seconds; wait is for another run on the same name to end.

    include and exclude are pg_dump's patterns of tables; recipients are age keys that _age.check_recipients() accepted;
    a dump of less than shrink_percent of the one before goes into quarantine, 0 accepts any.
    """

    compression: str = "auto"
    lock_wait_timeout: int = 60
    wait: int = 300
    allow_empty: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hashed: bool = False
    recipients: tuple[str, ...] = ()
    shrink_percent: int = 50
    allow_other_cluster: bool = False


def take(
    root: str, name: str, url: DatabaseUrl, options: Options, log: Log = quiet, prove: Prove | None = None
) -> Manifest:
    """One verified backup, complete under its id or not there at all; earlier ones are left as they are."""
    check_name(name)
    started = time.monotonic()
    server = probe(url)
    client = choose_major(installed_clients(), server.major)
    compression = choose_compression(options.compression, client, server.major)
    with locked(root, name, options.wait) as folder:
        earlier = load(root, name)
        now = utc_now()
        manifest = Manifest(
            id=new_id(now, (backup.id for backup in earlier)),
            name=name,
            created_at=format_time(now),
            database=url.database,
            host=url.host,
            port=url.port,
            server_version=server.version,
            client_version=client,
            compression=compression,
            system_identifier=server.system_identifier,
        )
        draft = folder / (DRAFT_PREFIX + manifest.id)
        try:
            draft.mkdir(mode=0o700)
            log(f"{name}: dumping {url.redacted} (PostgreSQL {server.version}, {compression})")
            notes = _dump(draft, manifest, url, server, options)
            manifest = replace(manifest, tables=_list_tables(draft, client), notes=notes)
            check_content(len(manifest.tables), earlier, options.allow_empty)
            log(f"{name}: verifying {manifest.id}")
            manifest = replace(_prove(draft, manifest), duration=round(time.monotonic() - started, 3))
            write_atomically(draft / MANIFEST, manifest.to_json())
            draft.rename(folder / manifest.id)
            flush_directory(folder)
        except OSError as error:
            raise BackupError(f"The backup of {name} in {folder} failed: {error.strerror}.") from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    log(f"{name}: {manifest.id} is verified: {manifest.size} bytes, {len(manifest.tables)} tables")
    return manifest


def _dump(draft: Path, manifest: Manifest, url: DatabaseUrl, server: Server, options: Options) -> tuple[str, ...]:
    """Write the dump and, where the server lets us, the globals; returns what a person should know."""
    old_umask = os.umask(0o077)
    try:
        try:
            run(
                [
                    tool(manifest.client_version, "pg_dump"),
                    "--format=custom",
                    compress_argument(manifest.compression, manifest.client_version),
                    f"--lock-wait-timeout={options.lock_wait_timeout * 1000}",
                    "--no-password",
                    f"--file={draft / DUMP}",
                ],
                url,
            )
        except BackupError as error:
            raise BackupError(f"pg_dump of {url.redacted} failed: {error}.") from None
        command = [tool(manifest.client_version, "pg_dumpall"), "--globals-only", "--no-password"]
        command += [f"--database={url.database}", f"--file={draft / GLOBALS}"]
        if not server.superuser:
            command.append("--no-role-passwords")
        try:
            run(command, url)
        except BackupError as error:
            (draft / GLOBALS).unlink(missing_ok=True)
            return (f"roles and tablespaces are not in it: {error}",)
    finally:
        os.umask(old_umask)
    return () if server.superuser else ("roles are without passwords: only a superuser may read those",)


def _list_tables(folder: Path, client: int) -> tuple[Table, ...]:
    if not (folder / DUMP).stat().st_size:
        raise BackupError("pg_dump succeeded but wrote nothing; nothing was kept.")
    try:
        listing = run([tool(client, "pg_restore"), "--list", str(folder / DUMP)])
        return tuple(Table("", "", 0) for _ in range(count_tables(listing)))
    except BackupError as error:
        raise BackupError(f"The dump cannot be read back: {error}.") from None


def _prove(folder: Path, manifest: Manifest) -> Manifest:
    """Everything on disk, every file hashed, the whole dump decoded; else BackupError."""
    names = [name for name in (DUMP, GLOBALS) if (folder / name).exists()]
    files = tuple(_fingerprint(folder / name) for name in names)
    _decode(folder / DUMP, manifest.client_version)
    return replace(manifest, files=files, verified_at=format_time(utc_now()), damage="")


def _fingerprint(path: Path) -> DumpFile:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for chunk in iter(lambda: stream.read(_CHUNK), b""):
            digest.update(chunk)
        os.fsync(stream.fileno())
        return DumpFile(path.name, stream.tell(), digest.hexdigest())


def _decode(path: Path, client: int) -> None:
    """Only this finds a custom dump that was cut or flipped: pg_restore --list reads no further than its head."""
    try:
        run([tool(client, "pg_restore"), "--file=/dev/null", str(path)])
    except BackupError as error:
        raise BackupError(f"The dump does not decode: {error}.") from None


def verify(root: str, name: str, backup_id: str, log: Log = quiet, identity: Path | None = None) -> Backup:
    """Prove a backup again, and write into its manifest what was found, so that rotation knows."""
    with locked(root, name, wait=60) as folder:
        backup = find(root, name, backup_id)
        if backup.manifest is None:
            return backup
        damage = _find_damage(folder / backup_id, backup.manifest)
        proven = replace(backup.manifest, damage=damage, verified_at=format_time(utc_now()))
        if damage:
            proven = replace(proven, verified_at=backup.manifest.verified_at)
        update(root, name, proven)
        log(f"{name}: {backup_id} {'is damaged: ' + damage if damage else 'is verified'}")
        return load_one(folder / backup_id)


def _find_damage(folder: Path, manifest: Manifest) -> str:
    try:
        for file in manifest.files:
            if _fingerprint(folder / file.name) != file:
                return f"{file.name} is not the file that was proven: size or sha256 differ"
        _decode(folder / DUMP, choose_major(installed_clients(), manifest.client_version))
    except OSError as error:
        return f"a file cannot be read: {error.strerror}"
    except BackupError as error:
        return str(error).rstrip(".")
    return ""


def accept(root: str, name: str, backup_id: str, log: Log = quiet) -> Backup:
    """End a quarantine: a person has looked at it, and it counts from now on."""
    with locked(root, name, wait=60) as folder:
        manifest = find(root, name, backup_id).manifest
        if manifest is None or not manifest.quarantine:
            raise BackupError(f"{name}: {backup_id} is not in quarantine; there is nothing to accept.")
        update(root, name, replace(manifest, quarantine=""))
        log(f"{name}: {backup_id} is accepted")
        return load_one(folder / backup_id)


def rotate(root: str, name: str, keep: Keep, minimum: int, *, wait: int = 300, log: Log = quiet) -> Plan:
    """Remove what the policy doesn't keep; each folder loses its name before its files."""
    with locked(root, name, wait) as folder:
        decided = plan(load(root, name), keep, minimum)
        for backup_id in decided.removed:
            trash = folder / (TRASH_PREFIX + backup_id)
            try:
                (folder / backup_id).rename(trash)
                shutil.rmtree(trash)
            except OSError as error:
                raise BackupError(f"Cannot remove {folder / backup_id}: {error.strerror}.") from None
            log(f"{name}: {backup_id} is removed")
        if decided.removed:
            flush_directory(folder)
        return decided
