# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Restoring a backup: into a new database, checked, and only then under the name that is wanted. I/O.

The module pg_restore and the host's own quayside-backup both call these functions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from ._database_url import DatabaseUrl
from ._pg_dump_sql import Needs, literal, quote, read_database, read_needs
from ._pg_facts import Target
from ._pg_load import load_rows, write_list
from ._pg_mark import OLD, RESTORE, Mark, expiry, temporary_name
from ._pg_programs import installed_clients
from ._pg_repository import DUMP, BackupError, Manifest, Table, format_time
from ._pg_restore_check import (
    final_name,
    find_problems,
    find_warnings,
    join,
    live_name,
    missing_tablespaces,
    untrusted_extensions,
)
from ._pg_restore_plan import Plan, Request, Result, choose_jobs, choose_restore_client, chosen_tables, summary
from ._pg_rights import Logins
from ._pg_scratch import (
    Timer,
    analyze,
    connected,
    create,
    differences,
    drop,
    ending_cleanly,
    fill,
    read_sql,
    sweep_locked,
)
from ._pg_source import check_readable, check_unchanged, find_backup, plain_dump, private_folder
from ._pg_store import Log, locked, quiet, utc_now
from ._pg_swap import Swap, put_in_place
from ._pg_target import Session, for_programs, inspect, maintenance, take_lock, this_host

#: What is said of objects that a restore cannot make although every row is there.
EXCEPTED = "cannot be made under an empty search_path, with every row there"


@dataclass(frozen=True)
class Job:
    """A restore that nothing speaks against: where it goes, what it makes, and from what."""

    logins: Logins
    session: Session
    name: str
    dump: Path
    sql: str
    needs: Needs
    target: Target
    plan: Plan
    request: Request
    private: Path
    log: Log
    timer: Timer
    notes: list[str] = field(default_factory=list)
    excepted: list[str] = field(default_factory=list)

    @property
    def tables(self) -> tuple[Table, ...]:
        return self.plan.tables

    def url(self, database: str, **settings: str) -> DatabaseUrl:
        """The login of the role that loads."""
        return for_programs(self.logins.owner, database, self.target.major, **settings)


def restore(root: str, name: str, wanted: str | Path, logins: Logins, request: Request, log: Log = quiet) -> Result:
    """Restore a backup of the repository (latest, an id, a time), or the one in a folder that lies elsewhere."""
    timer = Timer()
    with locked(root, name, request.wait) as folder, ending_cleanly(), private_folder(folder, "restore") as private:
        manifest, place = find_backup(root, name, wanted, request)
        check_readable(manifest, request.identity)
        with maintenance(logins.admin, avoid=(live_name(request, manifest), final_name(request, manifest))) as session:
            take_lock(session, name)
            with timer.step("check"):
                log(f"{name}: checking backup {manifest.id} and {logins.admin.redacted}")
                if manifest.encrypted:
                    # What the server lacks anyway is told before a large file is decrypted.
                    prepare(session, logins, manifest, Needs(), request, RESTORE)
                    check_unchanged(place, manifest)
                dump = plain_dump(place, manifest, request.identity, private)
                sql = read_structure(dump, place, manifest)
                needs = read_needs(sql)
                plan, target = prepare(session, logins, manifest, needs, request, RESTORE)
                if not manifest.encrypted:
                    check_unchanged(place, manifest)
            job = Job(logins, session, name, dump, sql, needs, target, plan, request, private, log, timer)
            for warning in plan.warnings:
                log(f"{name}: {warning}")
            return load_into(job) if request.data_only else replace_database(job)


def preflight(root: str, name: str, wanted: str | Path, logins: Logins, request: Request, log: Log = quiet) -> Plan:
    """Everything that can be found out without writing; BackupError with all that speaks against the restore."""
    manifest, place = find_backup(root, name, wanted, request)
    check_readable(manifest, request.identity)
    log(f"{name}: checking backup {manifest.id} and {logins.admin.redacted}")
    with maintenance(logins.admin, avoid=(live_name(request, manifest), final_name(request, manifest))) as session:
        if manifest.encrypted:
            plan, _target = prepare(session, logins, manifest, Needs(), request, RESTORE)
            check_unchanged(place, manifest)
            unknown = "the dump is encrypted: which roles and extensions it needs is only known when it is restored"
            return replace(plan, warnings=(*plan.warnings, unknown))
        needs = read_needs(read_structure(place / DUMP, place, manifest))
        plan, _target = prepare(session, logins, manifest, needs, request, RESTORE)
        check_unchanged(place, manifest)
        return plan


def read_structure(dump: Path, place: Path, manifest: Manifest) -> str:
    """The dump's own SQL; where it cannot be read, rather what became of the file."""
    try:
        return read_sql(dump, choose_restore_client(installed_clients(), manifest.client_version))
    except BackupError:
        check_unchanged(place, manifest)
        raise


def prepare(
    session: Session, logins: Logins, manifest: Manifest, needs: Needs, request: Request, kind: str
) -> tuple[Plan, Target]:
    """The plan, or BackupError with everything that speaks against it."""
    live, final = live_name(request, manifest), final_name(request, manifest)
    target = inspect(session, live, logins)
    drill = kind != RESTORE
    tables = chosen_tables(manifest, request.tables)
    problems = find_problems(manifest, needs, target, request, drill=drill)
    if problems:
        raise BackupError(join(problems))
    jobs, fewer = choose_jobs(request.jobs, os.cpu_count() or 1, target.free_connections)
    now = utc_now()
    replaced = final == live and target.live is not None and not drill and not request.data_only
    plan = Plan(
        manifest=manifest,
        scratch=temporary_name(final, kind, now, target.databases),
        final=final,
        old=temporary_name(final, OLD, now, target.databases) if replaced else "",
        jobs=jobs,
        client=choose_restore_client(installed_clients(), manifest.client_version),
        tables=tables,
        live=target.live,
        tablespaces=not missing_tablespaces(needs, target),
        extensions=untrusted_extensions(needs, target),
        warnings=tuple(filter(None, [*find_warnings(manifest, needs, target, request), fewer])),
    )
    return plan, target


def replace_database(job: Job) -> Result:
    """Build beside the live database, and put the new one in its place."""
    plan, request, log = job.plan, job.request, job.log
    sweep_locked(job.logins.admin, job.session, job.name, None, log, plan.final)
    with built(job, RESTORE):
        if job.excepted and plan.old and not request.accept_missing:
            raise BackupError(
                f"{plan.final} is as it was, because {len(job.excepted)} objects {EXCEPTED}: {summary(job.excepted)}; "
                "let their functions name the schema of all they call, restore beside it (into), or pass "
                "accept_missing and create them afterwards."
            )
        sql = read_database(job.sql, plan.scratch)
        with job.timer.step("analyze"):
            log(f"{job.name}: ANALYZE")
            analyze(job.url(plan.scratch), plan.client, plan.jobs)
        with connected(job.logins.owner, plan.scratch) as loader:
            for statement in sql.limits:
                loader.do(statement)
        _hand_over(job, _first_owner(job, sql.owner))
        expires = expiry(utc_now(), request.keep_old_days) if plan.old else ""
        live = job.target.live if plan.old else None
        comment = live.comment if live else ""
        now = format_time(utc_now())
        mark = Mark(OLD, job.name, plan.final, this_host(), now, expires, comment, plan.manifest.id)
        swap = Swap(plan.scratch, plan.final, plan.old, sql.comment, literal(mark.to_text()))
        with job.timer.step("swap"):
            refused = put_in_place(job.logins.admin, job.session, swap, live, log)
    kept = f"; sessions were refused for {refused:.2f} s; {plan.old} is kept until {expires}" if plan.old else ""
    log(f"{job.name}: {plan.final} is backup {plan.manifest.id}{kept}")
    return result(job, plan.old, expires)


@contextmanager
def built(job: Job, kind: str) -> Iterator[None]:
    """The scratch database, filled and counted; gone at the end of the block unless it has got another name by then."""
    plan, request, timer = job.plan, job.request, job.timer
    manifest = plan.manifest
    sql = read_database(job.sql, plan.scratch)
    url = job.url(plan.scratch)
    mark = Mark(kind, job.name, plan.final, this_host(), format_time(utc_now()), backup=manifest.id)
    try:
        with timer.step("create"):
            grants = not request.no_owner
            owner = _first_owner(job, sql.owner)
            job.notes.extend(create(job.session, job.logins.owner, sql, mark, plan, owner=owner, grants=grants))
        with timer.step("restore"):
            log_step(job, f"restoring into {plan.scratch} with {plan.jobs} jobs")
            _make_schemas(job, url)
            # What is written here is on disk at the latest when the swap is, which waits for it.
            hasty = job.url(plan.scratch, synchronous_commit="off")
            filled = fill(job.dump, hasty, plan.client, job.target.major, plan, _arguments(job))
            job.excepted.extend(filled.excepted)
            for text, found in (
                ("need what this backup of some tables lacks", filled.lacking),
                (EXCEPTED, filled.excepted),
            ):
                if found:
                    job.notes.append(f"{len(found)} objects {text}: {summary(found)}")
                    log_step(job, job.notes[-1])
        with timer.step("count"):
            log_step(job, f"counting {len(job.tables)} tables")
            wrong = differences(url, job.tables, hashed=any(table.hash for table in job.tables))
        if wrong:
            raise BackupError(f"The restored database is not what backup {manifest.id} holds: {wrong}.")
        yield
    finally:
        with suppress(BackupError):
            drop(job.session, plan.scratch)


def _first_owner(job: Job, dumped: str) -> str:
    """Whose the database is while it is loaded: the dump's owner, if the role that loads could be that role anyway."""
    role = job.target.role(job.request.owner if job.request.no_owner else dumped)
    return role.name if role and role.reachable and role.assignable else job.target.loader.name


def _hand_over(job: Job, first: str) -> None:
    """Give the new database to the owner of the one that it replaces."""
    live = job.target.live if job.plan.old else None
    if live is None or live.owner == first:
        return
    role = job.target.role(live.owner)
    if role and role.assignable:
        job.session.do(f"ALTER DATABASE {quote(job.plan.scratch)} OWNER TO {quote(live.owner)}")
    else:
        job.notes.append(f"{job.plan.final} belongs to {first} now, and no longer to {live.owner}")


def _make_schemas(job: Job, url: DatabaseUrl) -> None:
    """A dump of chosen tables lacks their schemas."""
    schemas = sorted({table.schema for table in job.tables} - {"public"}) if job.plan.manifest.include else []
    if schemas:
        with connected(url, url.database) as session:
            for schema in schemas:
                session.do(f"CREATE SCHEMA IF NOT EXISTS {quote(schema)}")


def _arguments(job: Job) -> list[str]:
    """What pg_restore has to be told beside where and from what."""
    request, arguments = job.request, []
    if request.no_owner:
        arguments += ["--no-owner", "--no-acl"]
        if request.owner not in ("", job.target.loader.name):
            arguments.append(f"--role={request.owner}")
    if not job.plan.tablespaces:
        arguments.append("--no-tablespaces")
    if request.tables or job.plan.extensions:
        tables = job.tables if request.tables else None
        entries = write_list(
            job.dump, job.plan.client, tables, job.needs.owners, job.private, left_out=job.plan.extensions
        )
        arguments.append(f"--use-list={entries}")
    return arguments


def load_into(job: Job) -> Result:
    """Rows into tables that are there."""
    plan, request = job.plan, job.request
    with job.timer.step("load"):
        log_step(job, f"loading {len(job.tables)} tables into {plan.final}")
        load_rows(job.dump, plan.client, job.url(plan.final), job.tables, job.needs.owners, request, job.private)
    job.log(f"{job.name}: {plan.final} has the rows of backup {plan.manifest.id}")
    return result(job, "", "")


def result(job: Job, old: str, expires: str) -> Result:
    return Result(
        id=job.plan.manifest.id,
        database=job.plan.final,
        tables=len(job.tables),
        rows=sum(table.rows for table in job.tables),
        seconds=job.timer.seconds,
        old_database=old,
        old_expires=expires,
        undo=f"quayside-backup undo {job.name}" if old else "",
        warnings=(*job.plan.warnings, *job.notes),
    )


def log_step(job: Job, text: str) -> None:
    job.log(f"{job.name}: {text}")
