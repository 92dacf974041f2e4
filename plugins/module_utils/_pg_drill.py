# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Drills: a real restore into a scratch database that is counted and dropped, and the proof of it. I/O.

By default into a throw-away server on this host, which needs no right on any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

from ._pg_cluster import choose_server, local_cluster
from ._pg_dump_sql import Needs, read_needs
from ._pg_mark import DRILL
from ._pg_programs import installed_clients
from ._pg_repository import BackupError, Manifest, Proof, format_time
from ._pg_restore import Job, built, prepare
from ._pg_restore_check import owner_problems
from ._pg_restore_plan import Request, choose_restore_client, estimate_size, major_of
from ._pg_rights import Logins
from ._pg_scratch import Timer, ending_cleanly, make_roles, read_sql, sweep_locked
from ._pg_source import check_readable, check_unchanged, find_backup, plain_dump, private_folder
from ._pg_store import Log, locked, quiet, update, utc_now
from ._pg_target import maintenance, take_lock

#: Bytes that a throw-away server may use for the smallest of dumps.
LEAST_DISK = 1 << 30


def drill(
    root: str,
    name: str,
    wanted: str,
    logins: Logins | None,
    *,
    hashed: bool = False,
    identity: Path | None = None,
    log: Log = quiet,
    wait: int = 300,
) -> Proof:
    """Prove a backup (latest, an id, a time) by restoring it; its manifest keeps what came of it.

    Without logins it is restored in a throw-away server here.
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


def prove_file(
    dump: Path, manifest: Manifest, logins: Logins | None, log: Log = quiet, *, hashed: bool = True
) -> Proof:
    """The same for a plain dump that is not sealed yet; for one who holds the repository's lock, and writes nothing."""
    with ending_cleanly():
        return _prove(dump, manifest, logins, Request(), hashed, log, dump.parent, Timer())


def _prove(
    dump: Path,
    manifest: Manifest,
    logins: Logins | None,
    request: Request,
    hashed: bool,
    log: Log,
    private: Path,
    timer: Timer,
) -> Proof:
    name = manifest.name
    if not hashed:
        manifest = replace(manifest, tables=tuple(replace(table, hash="") for table in manifest.tables))
    local = logins is None
    with (
        nullcontext(logins) if logins else _own_server(manifest, private) as roles,
        maintenance(roles.admin) as session,
    ):
        take_lock(session, name)
        with timer.step("check"):
            _plan, target = prepare(session, roles, manifest, Needs(), request, DRILL)
            client = choose_restore_client(installed_clients(), manifest.client_version)
            try:
                sql = read_sql(dump, client)
            except BackupError as error:
                return _failed(str(error), target.version, timer.total)
            needs = read_needs(sql)
            if local:
                request = replace(request, no_owner=True)
                make_roles(session, needs.named)
            elif owner_problems(needs, target):
                log(
                    f"{name}: the server lacks roles of the dump, or rights on them: drilling without owners and grants"
                )
                request = replace(request, no_owner=True)
            plan, target = prepare(session, roles, manifest, needs, request, DRILL)
        plan = replace(plan, local=local)
        sweep_locked(roles.admin, session, name, None, log, plan.final)
        job = Job(roles, session, name, dump, sql, needs, target, plan, request, private, log, timer)
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
        excepted=tuple(job.excepted),
    )


@contextmanager
def _own_server(manifest: Manifest, private: Path) -> Iterator[Logins]:
    """A throw-away server for a dump, which hides the repository from it."""
    major = choose_server(major_of(manifest.server_version))
    with local_cluster(major, disk_limit(manifest), hidden=(str(private.parents[1]),)) as logins:
        yield logins


def disk_limit(manifest: Manifest) -> int:
    """Bytes that a restored database may take, its indexes and what a sort needs included."""
    return max(LEAST_DISK, estimate_size(manifest) * 2)


def _failed(problem: str, version: str, seconds: float) -> Proof:
    return Proof(format_time(utc_now()), seconds, version, 0, 0, problem=problem.rstrip("."))
