# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The host's own command, quayside-backup: what the timers call, without Ansible."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from ._pg_backup import Options, rotate, take, verify
from ._pg_config import PATH, Config, from_json
from ._pg_repository import Backup, BackupError
from ._pg_store import list_names, load, utc_now


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all went well, 1 something failed, 2 wrong usage."""
    args = _parser().parse_args(argv)
    # So that a stop from systemd or a person removes the unfinished folder.
    signal.signal(signal.SIGTERM, _stop)
    try:
        config = _read_config(args.config)
        status: int = args.command(args, config)
    except BackupError as error:
        _log(f"error: {error}")
        return 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="quayside-backup", description="Verified PostgreSQL backups of this host.")
    parser.add_argument("--config", default=PATH, help=argparse.SUPPRESS)
    commands = parser.add_subparsers(required=True, metavar="run|list|verify")

    run = commands.add_parser("run", help="take a verified backup now, then apply the retention")
    which = run.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", help="a configured database")
    which.add_argument("--all", action="store_true", help="every configured database, one after another")
    run.set_defaults(command=_run)

    listing = commands.add_parser("list", help="show the backups there are and whether they can be trusted")
    listing.add_argument("name", nargs="?", help="only this database")
    listing.set_defaults(command=_list)

    check = commands.add_parser("verify", help="read backups again: sizes, checksums, full decode")
    check.add_argument("name", help="a database with backups")
    check.add_argument("id", nargs="?", help="one backup, by default all of them")
    check.set_defaults(command=_verify)

    for command in (run, listing, check):
        command.add_argument("--json", action="store_true", help="print JSON on standard output")
    return parser


def _read_config(path: str) -> Config:
    try:
        return from_json(Path(path).read_text("utf-8"))
    except OSError as error:
        raise BackupError(f"Cannot read {path}: {error.strerror}; run it as root, after the role pg_backup.") from None


def _run(args: argparse.Namespace, config: Config) -> int:
    options = Options(compression=config.compression, lock_wait_timeout=config.lock_wait_timeout)
    databases = config.databases if args.all else (config.find(args.name),)
    results: list[dict[str, Any]] = []
    for database in databases:
        # One database that fails must not keep the others from their backup.
        try:
            manifest = take(config.root, database.name, database.parsed_url, options, _log)
            decided = rotate(config.root, database.name, database.keep, database.minimum, log=_log)
        except BackupError as error:
            _log(f"error: {database.name}: {error}")
            results.append({"name": database.name, "ok": False, "error": str(error)})
        else:
            results.append(
                {
                    "name": database.name,
                    "ok": True,
                    "id": manifest.id,
                    "size": manifest.size,
                    "duration": manifest.duration,
                    "removed": list(decided.removed),
                }
            )
    if args.json:
        _print_json(results)
    return 0 if all(result["ok"] for result in results) else 1


def _list(args: argparse.Namespace, config: Config) -> int:
    names = [args.name] if args.name else list_names(config.root)
    found = [(name, backup) for name in names for backup in load(config.root, name)]
    if args.json:
        _print_json([_describe(name, backup) for name, backup in found])
        return 0
    rows = [("NAME", "ID", "AGE", "SIZE", "STATE")]
    rows += [
        (
            name,
            backup.id,
            _age(utc_now() - backup.created),
            _bytes(backup.manifest.size) if backup.manifest else "?",
            "verified" if backup.verified else f"NOT VERIFIED: {backup.problem}",
        )
        for name, backup in found
    ]
    _print_table(rows)
    return 0


def _verify(args: argparse.Namespace, config: Config) -> int:
    ids = [args.id] if args.id else [backup.id for backup in load(config.root, args.name)]
    results = [verify(config.root, args.name, backup_id, _log) for backup_id in ids]
    if args.json:
        _print_json([_describe(args.name, backup) for backup in results])
    return 0 if results and all(backup.verified for backup in results) else 1


def _describe(name: str, backup: Backup) -> dict[str, Any]:
    manifest = backup.manifest
    return {
        "name": name,
        "id": backup.id,
        "verified": backup.verified,
        "problem": backup.problem,
        "created_at": manifest.created_at if manifest else "",
        "verified_at": manifest.verified_at if manifest else "",
        "size": manifest.size if manifest else 0,
        "sha256": manifest.sha256 if manifest else "",
        "tables": len(manifest.tables) if manifest else 0,
        "server_version": manifest.server_version if manifest else "",
        "notes": list(manifest.notes) if manifest else [],
    }


def _stop(_number: int, _frame: object) -> None:
    raise SystemExit(143)


def _log(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def _print_json(data: object) -> None:
    sys.stdout.write(json.dumps(data, indent=2) + "\n")


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        sys.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n")


def _age(age: timedelta) -> str:
    minutes = int(age.total_seconds()) // 60
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 60 * 48 else f"{minutes // 1440} d"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
