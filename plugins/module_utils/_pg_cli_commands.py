# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What each command of quayside-backup does; all of them return an exit status."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import asdict, replace

from . import _pg_cli_output as output
from ._database_url import DatabaseUrl, DatabaseUrlError, parse
from ._offsite_copy import fetch as fetch_copy
from ._offsite_copy import listing
from ._pg_backup import accept as accept_backup
from ._pg_backup import rotate as rotate_backups
from ._pg_backup import verify
from ._pg_bring import bring, choose_remote
from ._pg_config import Config, Database
from ._pg_report import gather, report
from ._pg_repository import BackupError, check_name
from ._pg_restore import preflight
from ._pg_restore import restore as restore_backup
from ._pg_restore_plan import Request
from ._pg_rights import Logins
from ._pg_rotation import plan
from ._pg_run import Outcome, drill_one, run_one
from ._pg_store import list_names, load, utc_now
from ._pg_swap import undo as undo_restore

Log = Callable[[str], None]
Command = Callable[[Namespace, Config, Log], int]


def list_backups(args: Namespace, config: Config, _log: Log) -> int:
    now = utc_now()
    if args.source:
        databases = [config.find(args.name)] if args.name else [one for one in config.databases if one.offsite]
        found = [(one.name, copy) for one in databases for copy in listing(one.target(args.source), one.name)]
    else:
        names = [check_name(args.name)] if args.name else list_names(config.root)
        found = [(name, backup) for name in names for backup in load(config.root, name)]
    if args.json:
        output.print_json([output.describe(name, backup, now) for name, backup in found])
    else:
        output.print_table([output.LIST_HEAD, *(output.list_row(name, backup, now) for name, backup in found)])
    return 0


def show_status(args: Namespace, config: Config, _log: Log) -> int:
    now = utc_now()
    drills = {database.name: database.drill is not None for database in config.databases}
    judged = [(facts, output.judge_facts(facts, drills[facts.name], now)) for facts in gather(config)]
    if args.json:
        output.print_json([output.status_dict(facts, problems, now) for facts, problems in judged])
    else:
        output.print_table([output.STATUS_HEAD, *(output.status_row(facts, found, now) for facts, found in judged)])
    return 1 if any(problems for _facts, problems in judged) else 0


def run(args: Namespace, config: Config, log: Log) -> int:
    databases = config.databases if args.all else (config.find(args.name),)
    # One database that fails does not keep the others from their backup: run_one raises none of its failures.
    more = {"drill": args.drill, "allow_other_cluster": args.allow_other_cluster, "mail": not args.unit}
    return _show([run_one(config, one, log, **more) for one in databases], args)


def drill(args: Namespace, config: Config, log: Log) -> int:
    database = config.find(args.name)
    if args.unit and database.recipients:
        # The private key is never here: what is encrypted is proven before it is.
        outcome = run_one(config, database, log, drill=True, mail=False)
    else:
        outcome = drill_one(config, database, log, backup_id=args.id, identity=args.identity, mail=not args.unit)
    return _show([outcome], args)


def _show(outcomes: list[Outcome], args: Namespace) -> int:
    if args.json:
        output.print_json([outcome.to_dict() for outcome in outcomes])
    return 0 if all(outcome.ok for outcome in outcomes) else 1


def report_failure(args: Namespace, config: Config, log: Log) -> int:
    report(config, config.find(args.name), log)
    return 0


def verify_backups(args: Namespace, config: Config, log: Log) -> int:
    name = check_name(args.name)
    ids = [args.id] if args.id else [backup.id for backup in load(config.root, name)]
    if not ids:
        raise BackupError(f"{name} has no backups in {config.root}.")
    results = [verify(config.root, name, backup_id, log, identity=args.identity) for backup_id in ids]
    if args.json:
        output.print_json([output.describe(name, backup, utc_now()) for backup in results])
    return 0 if all(backup.verified for backup in results) else 1


def restore(args: Namespace, config: Config, log: Log) -> int:
    name = check_name(args.name)
    database = next((one for one in config.databases if one.name == name), None)
    logins, wanted = _logins(args, database), args.backup
    request = Request(
        database=database.parsed_url.database if database else "",
        into=args.into,
        identity=args.identity,
        no_owner=args.no_owner,
        owner=logins.owner.user if args.no_owner else "",
        jobs=args.jobs,
        keep_old_days=database.keep_old_days if database else 7,
        data_only=args.data_only,
        tables=tuple(args.tables),
        truncate=args.truncate,
        force=args.force,
        allow_other_cluster=args.allow_other_cluster,
        ignore_space=args.ignore_space,
        accept_missing=args.accept_missing,
    )
    if args.source:
        target = config.find(name).target(args.source)
        if not args.check:
            wanted = bring(target, config.root, name, wanted, args.force, log)
        else:
            wanted = choose_remote(target, name, wanted, args.force).id
            if wanted not in [backup.id for backup in load(config.root, name)]:
                output.print_lines([f"{wanted} would be fetched from {target.place}; --check says more once it is"])
                return 0
    if args.check:
        planned = preflight(config.root, name, wanted, logins, request, log)
        if args.json:
            output.print_json(asdict(planned))
        else:
            output.print_lines(output.restore_plan(planned))
        return 0
    result = restore_backup(config.root, name, wanted, logins, request, log)
    if args.json:
        output.print_json(result.to_dict())
    return 0


def undo(args: Namespace, config: Config, log: Log) -> int:
    name = check_name(args.name)
    database = next((one for one in config.databases if one.name == name), None)
    keep = database.keep_old_days if database else 7
    live = database.parsed_url.database if database else ""
    result = undo_restore(config.root, name, _logins(args, database).admin, log, database=live, keep_days=keep)
    if args.json:
        output.print_json(result.to_dict())
    return 0


def _logins(args: Namespace, database: Database | None) -> Logins:
    """The roles of a restore: those of the settings, or those of another server."""
    admin, owner = _given_url("--url", args.url), _given_url("--owner-url", args.owner_url)
    if admin:
        return Logins(admin, owner or admin)
    if database is None:
        raise BackupError(f"{args.name} is not configured here; say with --url which server is meant.")
    return replace(database.logins, owner=owner) if owner else database.logins


def _given_url(option: str, given: str | None) -> DatabaseUrl | None:
    if not given:
        return None
    try:
        url = parse(sys.stdin.readline() if given == "-" else given)
    except DatabaseUrlError as error:
        raise BackupError(f"{option}: {error}") from None
    if url.password and given != "-":
        raise BackupError(
            f"{option} holds a password, which others can read there; use {option} - and write it to stdin."
        )
    return url


def accept(args: Namespace, config: Config, log: Log) -> int:
    backup = accept_backup(config.root, check_name(args.name), args.id, log)
    if args.json:
        output.print_json(output.describe(args.name, backup, utc_now()))
    return 0


def rotate(args: Namespace, config: Config, log: Log) -> int:
    database = config.find(args.name)
    if args.check:
        decided = plan(load(config.root, database.name), database.keep, database.minimum)
    else:
        decided = rotate_backups(config.root, database.name, database.keep, database.minimum, log=log)
    if args.json:
        output.print_json(output.rotation_dict(decided))
    elif args.check:
        output.print_table(output.rotation_rows(decided))
    return 0


def fetch(args: Namespace, config: Config, log: Log) -> int:
    database = config.find(args.name)
    backup = fetch_copy(database.target(args.source), config.root, database.name, args.id, log)
    if args.json:
        output.print_json(output.describe(database.name, backup, utc_now()))
    return 0 if backup.verified else 1
