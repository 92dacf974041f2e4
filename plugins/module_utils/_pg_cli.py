# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The host's own command, quayside-backup: what the timers call, without Ansible."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from . import _pg_cli_commands as commands
from ._pg_cli_output import Progress
from ._pg_config import PATH, Config, from_json
from ._pg_connect import let_signals_in
from ._pg_repository import BackupError


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 all went well, 1 something failed, 2 wrong usage."""
    args = _parser().parse_args(argv)
    # So that a stop from systemd or a person removes the unfinished folder.
    signal.signal(signal.SIGTERM, _stop)
    let_signals_in()
    try:
        config = _read_config(args.config)
        progress = Progress(config.root, sys.stderr)
        with progress.watching():
            return int(args.command(args, config, progress.log))
    except BackupError as error:
        _say(f"error: {error}")
    except KeyboardInterrupt:
        _say("error: stopped")
    except BrokenPipeError:
        # Whoever read the table has seen enough.
        sys.stderr.close()
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quayside-backup",
        description="PostgreSQL backups of this host that are verified, and proven by real restores.",
        epilog="Exit status: 0 all went well, 1 something failed, 2 wrong usage.",
    )
    parser.add_argument("--config", default=PATH, help=argparse.SUPPRESS)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_add_reading, _add_taking, _add_restoring, _add_keeping):
        add(verbs)
    return parser


def _command(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, action: commands.Command, words: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
    parser.add_argument("--json", action="store_true", help="print JSON on standard output")
    parser.set_defaults(command=action)
    return parser


def _add_reading(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    listing = _command(verbs, "list", commands.list_backups, "show the backups there are and whether to trust them")
    listing.add_argument("name", nargs="?", help="only this database")
    listing.add_argument("--from", dest="source", metavar="TARGET", help="the copies at this offsite target")
    _command(verbs, "status", commands.show_status, "one line a database; fails when someone has to look")


def _add_taking(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = _command(verbs, "run", commands.run, "take a verified backup, copy it, apply the retention")
    which = run.add_mutually_exclusive_group(required=True)
    which.add_argument("name", nargs="?", help="a configured database")
    which.add_argument("--all", action="store_true", help="every configured database, one after another")
    run.add_argument("--drill", action="store_true", help="prove it by a restore, also before it is encrypted")
    run.add_argument("--allow-other-cluster", action="store_true", help="once, after a server was moved or upgraded")

    check = _command(verbs, "verify", commands.verify_backups, "read backups again: sizes, checksums, full decode")
    check.add_argument("name", help="a database with backups")
    check.add_argument("id", nargs="?", help="one backup, by default all of them")
    _add_identity(check)

    drill = _command(
        verbs, "drill", commands.drill, "prove a backup: restore it into a scratch database, count all rows"
    )
    drill.add_argument("name", help="a configured database")
    drill.add_argument("id", nargs="?", default="", help="one backup, by default the newest verified one")
    _add_identity(drill)

    for parser in (run, drill):
        parser.add_argument("--unit", action="store_true", help=argparse.SUPPRESS)
    report = _command(
        verbs, "report", commands.report_failure, "mail a failure that nobody was told of; the units call it"
    )
    report.add_argument("name")


def _add_restoring(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    restore = _command(verbs, "restore", commands.restore, "put a backup in place of the database, or beside it")
    restore.add_argument("name", help="a database with backups")
    restore.add_argument("backup", nargs="?", default="latest", help="latest (default), an id, or a time")
    restore.add_argument("--into", default="", metavar="DATABASE", help="a new database of this name, and no swap")
    restore.add_argument("--from", dest="source", metavar="TARGET", help="fetch it from this offsite target first")
    restore.add_argument(
        "--url",
        metavar="SERVER",
        help="another server, by a role that may create databases; - reads it from standard input",
    )
    restore.add_argument(
        "--owner-url", metavar="SERVER", help="the role that loads the backup, and owns what it loads; - as for --url"
    )
    restore.add_argument("--tables", nargs="+", default=[], metavar="SCHEMA.TABLE", help="only these")
    restore.add_argument("--data-only", action="store_true", help="rows into tables that exist already")
    restore.add_argument("--truncate", action="store_true", help="with --data-only, empty these tables first")
    restore.add_argument(
        "--no-owner", action="store_true", help="neither owners nor grants of the dump; all belongs to the app's role"
    )
    restore.add_argument("--force", action="store_true", help="also a backup in quarantine, named by its id")
    restore.add_argument("--allow-other-cluster", action="store_true", help="also a backup of another server")
    restore.add_argument("--ignore-space", action="store_true", help="go on where the disk seems too small")
    restore.add_argument(
        "--accept-missing", action="store_true", help="also without an index or view that cannot be made there"
    )
    restore.add_argument("--jobs", type=int, default=0, help="how many tables at a time; as many as fit by default")
    restore.add_argument("--check", action="store_true", help="say what would be done, and what is in the way")
    _add_identity(restore)

    undo = _command(verbs, "undo", commands.undo, "put the database back that the last restore replaced")
    undo.add_argument("name", help="a database that was restored")
    undo.add_argument("--url", metavar="SERVER", help="another server, as for the restore")
    undo.set_defaults(owner_url=None)


def _add_keeping(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    accept = _command(verbs, "accept", commands.accept, "end the quarantine of a backup that someone has looked at")
    accept.add_argument("name", help="a database with backups")
    accept.add_argument("id", help="the backup")

    rotate = _command(verbs, "rotate", commands.rotate, "remove the backups that no rule keeps")
    rotate.add_argument("name", help="a configured database")
    rotate.add_argument("--check", action="store_true", help="only list what would go, and why each other stays")

    fetch = _command(verbs, "fetch", commands.fetch, "bring a copy back from an offsite target")
    fetch.add_argument("name", help="a configured database")
    fetch.add_argument("id", help="the backup")
    fetch.add_argument("--from", dest="source", metavar="TARGET", required=True, help="where it is")


def _add_identity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--identity", type=Path, metavar="FILE", help="age's private key, for an encrypted backup")


def _read_config(path: str) -> Config:
    try:
        return from_json(Path(path).read_text("utf-8"))
    except OSError as error:
        raise BackupError(f"Cannot read {path}: {error.strerror}; run it as root, after the role pg_backup.") from None


def _stop(_number: int, _frame: object) -> None:
    raise SystemExit(143)


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()
