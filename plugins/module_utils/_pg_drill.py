# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Drills: a real restore into a scratch database that is counted and dropped, and the proof of it. I/O."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ._pg_dump_sql import Needs, read_needs
from ._pg_mark import DRILL
from ._pg_programs import installed_clients
from ._pg_repository import BackupError, Manifest, Proof, format_time
from ._pg_restore import Job, built, prepare
from ._pg_restore_check import owner_problems
from ._pg_restore_plan import Request, choose_restore_client
from ._pg_rights import Logins
from ._pg_scratch import Timer, ending_cleanly, read_sql, sweep_locked
from ._pg_source import check_readable, check_unchanged, find_backup, plain_dump, private_folder
from ._pg_store import Log, locked, quiet, update, utc_now
from ._pg_target import maintenance, take_lock


def drill(
    root: str,
    name: str,
    wanted: str,
    logins: Logins,
    *,
    hashed: bool = False,
    identity: Path | None = None,
    log: Log = quiet,
    wait: int = 300,
) -> Proof:
    """Prove a backup (latest, an id, a time) by restoring it on this server; its manifest keeps what came of it.

    What keeps a drill from beginning is a BackupError and says nothing about the backup; what goes wrong in it does.
    """
    request = Request(identity=identity, wait=wait)
    with locked(root, name, wait) as folder, ending_cleanly(), private_folder(folder, "drill") as private:
        manifest, place = find_backup(root, name, wanted, request)
        if manifest.encrypted and identity is None:
            raise BackupError(
                f"Backup {manifest.id} is encrypted, and the key is not here; pass the identity, or let "
                f"'quayside-backup run {name} --drill' prove the next one before it is encrypted."
            )
        check_readable(manifest, identity)
        timer = Timer()
        try:
            with timer.step("check"):
                check_unchanged(place, manifest)
        except BackupError as error:
            proof = _failed(str(error), "", 0.0)
        else:
            # A wrong key says nothing about a file that is as it was proven.
            with timer.step("check"):
                dump = plain_dump(place, manifest, identity, private)
            proof = _prove(dump, manifest, logins, request, hashed, log, private, timer)
        update(root, name, replace(manifest, proof=proof))
    return proof


def prove_file(dump: Path, manifest: Manifest, logins: Logins, log: Log = quiet, *, hashed: bool = True) -> Proof:
    """The same for a plain dump that is not sealed yet; for one who holds the repository's lock, and writes nothing."""
    with ending_cleanly():
        return _prove(dump, manifest, logins, Request(), hashed, log, dump.parent, Timer())


def _prove(
    dump: Path,
    manifest: Manifest,
    logins: Logins,
    request: Request,
    hashed: bool,
    log: Log,
    private: Path,
    timer: Timer,
) -> Proof:
    name = manifest.name
    if not hashed:
        manifest = replace(manifest, tables=tuple(replace(table, hash="") for table in manifest.tables))
    with maintenance(logins.admin) as session:
        take_lock(session, name)
        with timer.step("check"):
            _plan, target = prepare(session, logins, manifest, Needs(), request, DRILL)
            client = choose_restore_client(installed_clients(), manifest.client_version)
            try:
                sql = read_sql(dump, client)
            except BackupError as error:
                return _failed(str(error), target.version, timer.total)
            needs = read_needs(sql)
            if owner_problems(needs, target):
                log(
                    f"{name}: the server lacks roles of the dump, or rights on them: drilling without owners and grants"
                )
                request = replace(request, no_owner=True)
            plan, target = prepare(session, logins, manifest, needs, request, DRILL)
        sweep_locked(logins.admin, session, name, None, log, plan.final)
        job = Job(logins, session, name, dump, sql, needs, target, plan, request, private, log, timer)
        try:
            with built(job, DRILL):
                seconds = timer.total
        except BackupError as error:
            log(f"{name}: the drill of {manifest.id} failed: {error}")
            return _failed(str(error), target.version, timer.total)
    log(f"{name}: {manifest.id} is proven: {manifest.rows} rows of {len(manifest.tables)} tables in {seconds:.1f} s")
    compared = hashed and all(table.hash for table in manifest.tables)
    return Proof(
        at=format_time(utc_now()),
        seconds=seconds,
        server_version=target.version,
        tables=len(manifest.tables),
        rows=manifest.rows,
        hashed=compared and bool(manifest.tables),
    )


def _failed(problem: str, version: str, seconds: float) -> Proof:
    return Proof(format_time(utc_now()), seconds, version, 0, 0, problem=problem.rstrip("."))
