# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Taking, verifying, accepting and removing backups.

The modules pg_dump and pg_dump_rotate and the host's own quayside-backup both call these functions.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ._age import check_ready
from ._database_url import DatabaseUrl
from ._files import flush_directory, write_atomically
from ._pg_client import choose_compression, choose_major
from ._pg_connect import connect
from ._pg_draft import Draft, Prove
from ._pg_fingerprint import free_bytes
from ._pg_judgement import check_cluster, check_space, needed_space, newest_alike, reason_for_quarantine
from ._pg_programs import Server, installed_clients, probe
from ._pg_relations import Selection, check_readable
from ._pg_repository import (
    DRAFT_PREFIX,
    MANIFEST,
    TRASH_PREFIX,
    Backup,
    BackupError,
    Manifest,
    check_name,
    format_time,
    new_id,
)
from ._pg_rotation import Keep, Plan, plan
from ._pg_select import select
from ._pg_snapshot import database_size
from ._pg_store import Log, find, load, load_one, locked, quiet, update, utc_now
from ._pg_verify import find_damage


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


@dataclass(frozen=True)
class Ready:
    """What a dump will be made of: the server, the client for it, and the tables."""

    server: Server
    client: int
    compression: str
    selection: Selection


class Quarantined(BackupError):
    """The backup is there and whole, but so unlike the one before that a person has to look at it."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(
            f"Backup {manifest.id} is kept, but in quarantine: {manifest.quarantine}; until somebody has looked it "
            f"does not count, and no backup of {manifest.name} is removed; if it is right, run "
            f"'quayside-backup accept {manifest.name} {manifest.id}', else remove its folder."
        )
        self.manifest = manifest


def take(
    root: str, name: str, url: DatabaseUrl, options: Options, log: Log = quiet, prove: Prove | None = None
) -> Manifest:
    """One verified backup, complete under its id or not there at all; earlier ones are left as they are."""
    started = time.monotonic()
    with _prepared(root, name, url, options) as (connection, ready):
        server, compression = ready.server, ready.compression
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
                client_version=ready.client,
                compression=compression,
                system_identifier=server.system_identifier,
                include=options.include,
                exclude=options.exclude,
            )
            path = folder / (DRAFT_PREFIX + manifest.id)
            draft = Draft(path, url, server, log)
            try:
                path.mkdir(mode=0o700)
                log(f"{name}: dumping {url.redacted} (PostgreSQL {server.version}, {compression})")
                manifest = draft.dump(manifest, connection, options.lock_wait_timeout, options.hashed)
                manifest = replace(manifest, quarantine=_reason(manifest, earlier, options))
                manifest = draft.prove(manifest, prove) if prove else manifest
                manifest = draft.seal(manifest, options.recipients) if options.recipients else manifest
                duration = round(time.monotonic() - started, 3)
                manifest = replace(manifest, seconds=draft.seconds, duration=duration)
                write_atomically(path / MANIFEST, manifest.to_json())
                path.rename(folder / manifest.id)
                flush_directory(folder)
            except OSError as error:
                raise BackupError(f"The backup of {name} in {folder} failed: {error.strerror or error}.") from None
            finally:
                shutil.rmtree(path, ignore_errors=True)
    if manifest.quarantine:
        raise Quarantined(manifest)
    log(
        f"{name}: {manifest.id} is verified: {manifest.size} bytes, {len(manifest.tables)} tables, {manifest.rows} rows"
    )
    return manifest


def rehearse(root: str, name: str, url: DatabaseUrl, options: Options) -> Ready:
    """Everything that take() checks before it writes anything."""
    with _prepared(root, name, url, options) as (_connection, ready):
        return ready


@contextmanager
def _prepared(root: str, name: str, url: DatabaseUrl, options: Options) -> Iterator[tuple[Any, Ready]]:
    check_name(name)
    if options.recipients:
        check_ready(options.recipients)
    server = probe(url)
    client = choose_major(installed_clients(), server.major)
    compression = choose_compression(options.compression, client, server.major)
    with closing(connect(url)) as connection:
        earlier = load(root, name)
        check_cluster(server.system_identifier, earlier, options.allow_other_cluster)
        selection = select(connection, options.include, options.exclude)
        check_readable(selection.relations, url.user)
        _check_disk(root, name, connection, earlier, compression, options)
        yield connection, Ready(server, client, compression, selection)


def _reason(manifest: Manifest, earlier: list[Backup], options: Options) -> str:
    newest = newest_alike(earlier, options.include, options.exclude)
    return reason_for_quarantine(manifest, newest, allow_empty=options.allow_empty, percent=options.shrink_percent)


def _check_disk(
    root: str, name: str, connection: Any, earlier: list[Backup], compression: str, options: Options
) -> None:
    newest = newest_alike(earlier, options.include, options.exclude)
    needed = needed_space(
        newest,
        0 if newest else database_size(connection),
        compressed=compression != "none",
        partial=bool(options.include or options.exclude),
        encrypted=bool(options.recipients),
    )
    why = f"the newest backup has {newest.size} bytes" if newest else "by the size of the database"
    check_space(free_bytes(Path(root) / name), needed, root, why)


def verify(root: str, name: str, backup_id: str, log: Log = quiet, identity: Path | None = None) -> Backup:
    """Prove a backup again, and write into its manifest what was found, so that rotation knows.

    Of an encrypted one only sizes and checksums can be told without the identity file of its key.
    """
    with locked(root, name, wait=60) as folder:
        backup = find(root, name, backup_id)
        if backup.manifest is None:
            log(f"{name}: {backup_id} cannot be verified: {backup.problem or 'it has no manifest'}")
            return backup
        damage = find_damage(folder, backup.manifest, identity)
        found = replace(backup.manifest, damage=damage)
        if not damage:
            found = replace(found, verified_at=format_time(utc_now()))
        update(root, name, found)
        waits = f", and in quarantine: {found.quarantine}" if found.quarantine else ""
        log(f"{name}: {backup_id} {'is damaged: ' + damage if damage else 'is verified' + waits}")
        return load_one(folder / backup_id)


def accept(root: str, name: str, backup_id: str, log: Log = quiet) -> Backup:
    """End a quarantine: a person has looked at it, and it counts from now on."""
    with locked(root, name, wait=60) as folder:
        manifest = find(root, name, backup_id).manifest
        if manifest is None or not manifest.quarantine:
            raise BackupError(f"Backup {backup_id} of {name} is not in quarantine; there is nothing to accept.")
        update(root, name, replace(manifest, quarantine=""))
        log(f"{name}: {backup_id} is accepted")
        return load_one(folder / backup_id)


def rotate(root: str, name: str, keep: Keep, minimum: int, *, wait: int = 300, log: Log = quiet) -> Plan:
    """Remove what the policy doesn't keep; each folder loses its name before its files."""
    with locked(root, name, wait) as folder:
        decided = plan(load(root, name), keep, minimum)
        if decided.frozen:
            log(f"{name}: nothing is removed, as {decided.frozen}")
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
