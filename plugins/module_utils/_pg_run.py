# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A whole run for one database: backup, copies, retention, and whoever is to know. Timers and modules come here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ._backup_status import DRILL, RUN
from ._offsite import Target
from ._offsite_copy import copy
from ._offsite_copy import rotate as rotate_copies
from ._offsite_plan import pending
from ._pg_backup import Options, Quarantined, rotate, take
from ._pg_backup import rehearse as rehearse_dump
from ._pg_config import Config, Database
from ._pg_drill import drill, prove_file
from ._pg_options import options_of
from ._pg_report import Recorder
from ._pg_repository import Backup, BackupError, Copy, Manifest, Proof
from ._pg_scratch import sweep
from ._pg_store import find, load, locked, update, utc_now

Log = Callable[[str], None]
Step = Callable[[str], None]

_WAIT = 300


@dataclass(frozen=True)
class Outcome:
    """How a run ended: error is empty when all of it went well. seconds of the whole, in rehearsals 0."""

    name: str
    id: str = ""
    error: str = ""
    size: int = 0
    rows: int = 0
    seconds: float = 0.0
    removed: tuple[str, ...] = ()
    copies: tuple[Copy, ...] = ()
    proof: Proof | None = field(default=None)

    @property
    def ok(self) -> bool:
        return not self.error

    def to_dict(self) -> dict[str, Any]:
        """For people and programs: JSON knows lists and no tuples."""
        return {
            **{key: getattr(self, key) for key in ("name", "ok", "id", "error", "size", "rows", "seconds")},
            "removed": list(self.removed),
            "copies": [asdict(copied) for copied in self.copies],
            "proof": asdict(self.proof) if self.proof else None,
        }


def run_one(
    config: Config,
    database: Database,
    log: Log,
    *,
    drill: bool = False,
    allow_other_cluster: bool = False,
    mail: bool = True,
) -> Outcome:
    """Back a database up, copy it, apply the retention here and there. Raises nothing that a backup can fail with."""
    recorder = Recorder(config, database, (RUN, DRILL) if drill else (RUN,), log, mail)
    options = options_of(config, database, allow_other_cluster=allow_other_cluster)
    return _recorded(recorder, lambda: _run(config, database, options, log, recorder.step, drill))


def drill_one(
    config: Config,
    database: Database,
    log: Log,
    *,
    backup_id: str = "",
    identity: Path | None = None,
    mail: bool = True,
) -> Outcome:
    """Restore a backup for practice, by default the newest verified one; its manifest says what came of it."""
    recorder = Recorder(config, database, (DRILL,), log, mail)
    return _recorded(recorder, lambda: _drill(config, database, log, backup_id, identity))


def rehearse(config: Config, database: Database, log: Log) -> Outcome:
    """All of a run that writes nothing: what there is to refuse is refused, before any dump."""
    name, url = database.name, database.parsed_url
    try:
        ready = rehearse_dump(config.root, name, url, options_of(config, database))
    except BackupError as error:
        return Outcome(name, error=str(error))
    log(f"{name}: would dump {url.redacted} (PostgreSQL {ready.server.version}, {ready.compression})")
    return Outcome(name)


def _recorded(recorder: Recorder, work: Callable[[], Outcome]) -> Outcome:
    try:
        recorder.begin()
        outcome = work()
    except Quarantined as error:
        kept = error.manifest
        outcome = Outcome(kept.name, id=kept.id, error=str(error), size=kept.size, rows=kept.rows)
    except BackupError as error:
        outcome = Outcome(recorder.database.name, error=str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        outcome = Outcome(recorder.database.name, error=f"{where}{error.strerror or type(error).__name__}")
    except BaseException as error:
        # A signal, or a mistake of ours: whoever waits for a word gets it, and the caller what was raised.
        recorder.end(error=f"it was stopped by {_name(error)} at the step {recorder.last.step or 'start'}")
        raise
    outcome = replace(outcome, seconds=recorder.seconds())
    recorder.end(
        error=outcome.error,
        backup_id=outcome.id,
        size=outcome.size,
        seconds=outcome.seconds,
    )
    return outcome


def _name(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "SIGTERM"
    return "a person (Ctrl-C)" if isinstance(error, KeyboardInterrupt) else f"an unexpected {type(error).__name__}"


def _run(config: Config, database: Database, options: Options, log: Log, step: Step, drill: bool) -> Outcome:
    root, name = config.root, database.name
    step("backup")

    def prove(dump: Path, manifest: Manifest) -> Proof:
        step("drill")
        return prove_file(dump, manifest, database.drill_logins, log, hashed=database.hashed)

    manifest = take(root, name, database.parsed_url, options, log, prove if drill else None)
    problems = [f"the drill failed: {manifest.proof.problem}"] if manifest.proof and manifest.proof.problem else []
    copies: list[Copy] = []
    complete: list[Target] = []
    for target in database.offsite:
        step(f"copy to {target.name}")
        made = _copy_all(config.root, name, target, log)
        copies += made[-1:]
        complete += [] if any(one.problem for one in made) else [target]
        problems += [f"the copy to {target.name} failed: {one.problem}" for one in made if one.problem]
    step("retention")
    decided = rotate(root, name, database.keep, database.minimum, wait=_WAIT, log=log)
    for target in complete:
        # Only after a success there as well: copies of old backups may be all that is left.
        problems += _rotate_copies(target, name, log)
    step("old databases")
    _sweep(database, log)
    return Outcome(
        name,
        id=manifest.id,
        error="; ".join(problems),
        size=manifest.size,
        rows=manifest.rows,
        removed=decided.removed,
        copies=tuple(copies),
        proof=manifest.proof,
    )


def _copy_all(root: str, name: str, target: Target, log: Log) -> list[Copy]:
    """Copy what has been taken since the newest copy, so that an outage is made up for; the first failure ends it."""
    made = []
    waiting = pending(load(root, name), target)
    for manifest in waiting:
        made.append(copy(target, root, manifest, log))
        _remember(root, name, manifest.id, made[-1])
        if made[-1].problem:
            break
    for manifest in waiting[len(made) :]:
        # What was not even tried isn't there either, and for the same reason.
        _remember(root, name, manifest.id, replace(made[-1], path=""))
    return made


def _remember(root: str, name: str, backup_id: str, made: Copy) -> None:
    """Write into the manifest where a copy is, or why it is not there."""
    with locked(root, name, _WAIT):
        manifest = find(root, name, backup_id).manifest
        if manifest is None:
            raise BackupError(f"The backup {backup_id} of {name} vanished while it was copied to {made.target}.")
        others = tuple(other for other in manifest.copies if other.target != made.target)
        update(root, name, replace(manifest, copies=(*others, made)))


def _rotate_copies(target: Target, name: str, log: Log) -> list[str]:
    try:
        rotate_copies(target, name, log)
    except BackupError as error:
        return [f"the retention at {target.name} failed: {error}"]
    return []


def _sweep(database: Database, log: Log) -> None:
    """What restores left beside the database. That it can't be looked at is no reason to doubt a backup."""
    try:
        sweep(database.admin, database.name, utc_now(), log, database.parsed_url.database)
    except BackupError as error:
        log(f"{database.name}: old databases were not looked at: {error}")


def _drill(config: Config, database: Database, log: Log, backup_id: str, identity: Path | None) -> Outcome:
    backup = newest(load(config.root, database.name)) if not backup_id else find(config.root, database.name, backup_id)
    if backup is None:
        raise BackupError(f"{database.name} has no verified backup to restore; quayside-backup run {database.name}.")
    proof = drill(
        config.root, database.name, backup.id, database.drill_logins, hashed=database.hashed, identity=identity, log=log
    )
    manifest = backup.manifest
    return Outcome(
        database.name,
        id=backup.id,
        error=proof.problem,
        size=manifest.size if manifest else 0,
        rows=proof.rows,
        proof=proof,
    )


def newest(backups: list[Backup]) -> Backup | None:
    """The newest backup that can be trusted."""
    return max((backup for backup in backups if backup.verified), key=lambda backup: backup.id, default=None)
