# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a run says while it goes on and when it has ended: its status file, the alerts, the metrics."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from . import _backup_metrics as metrics
from . import _backup_status as status
from ._backup_alerts import FAILURE, START, SUCCESS, Alerts, Event, send
from ._backup_status import DRILL, RUN, LastRun
from ._pg_config import Config, Database
from ._pg_repository import format_time
from ._pg_schedule import period
from ._pg_store import load, utc_now

Log = Callable[[str], None]


class Recorder:
    """Keeps the record of one run. mail=False where the run's unit has another one that mails when it failed."""

    def __init__(self, config: Config, database: Database, actions: Sequence[str], log: Log, mail: bool) -> None:
        self.config, self.database, self.actions, self.log, self.mail = config, database, actions, log, mail
        self.started = time.monotonic()
        self.last = LastRun(started=format_time(utc_now()), pid=os.getpid(), process=status.process_mark(os.getpid()))

    def begin(self) -> None:
        self._write()
        self._tell(Event(START, self.database.name, host_name(), action=self._action))

    def step(self, name: str) -> None:
        self.last = replace(self.last, step=name)
        self._write()

    def seconds(self) -> float:
        return round(time.monotonic() - self.started, 3)

    def end(self, *, error: str = "", backup_id: str = "", size: int = 0, seconds: float = 0.0) -> None:
        self.last = replace(
            self.last,
            finished=format_time(utc_now()),
            ok=not error,
            error=error,
            id=backup_id,
            seconds=seconds or self.seconds(),
            mailed=self.mail or not error,
        )
        self._write()
        if error:
            self.log(f"error: {self.database.name}: {error}")
        write_metrics(self.config, self.log)
        event = event_of(self.config, self.database, self._action, self.last, size)
        self._tell(event)

    @property
    def _action(self) -> str:
        return "backup" if RUN in self.actions else "drill"

    def _write(self) -> None:
        for action in self.actions:
            status.write(self.config.root, self.database.name, action, self.last, self.log)

    def _tell(self, event: Event) -> None:
        send(self.config.alerts, event, self.log, mail=self.mail)


def event_of(config: Config, database: Database, action: str, last: LastRun, size: int = 0) -> Event:
    """The end of a run as it is told."""
    return Event(
        event=FAILURE if last.failed else SUCCESS,
        name=database.name,
        host=host_name(),
        action=action,
        id=last.id,
        ok=not last.failed,
        error=last.problem,
        seconds=last.seconds,
        size=size,
        all_well=all_well(config, database),
    )


def all_well(config: Config, database: Database) -> bool:
    """Whether a ping URL may hear of success: a URL that several databases share, only when all of them are fine."""
    sharing = (database,) if "{name}" in config.alerts.ping else config.databases
    return not any(status.read(config.root, other.name).problems(drills=other.drill is not None) for other in sharing)


def host_name() -> str:
    return socket.gethostname()


def report(config: Config, database: Database, log: Log) -> None:
    """For the unit that systemd starts when a run's own has failed: mail, and what a killed run could not tell."""
    found = status.read(config.root, database.name)
    for action, word in ((RUN, "backup"), (DRILL, "drill")):
        last = found.of(action)
        if last is None or not last.failed or last.mailed:
            continue
        killed = last.killed
        if killed:
            last = replace(last, finished=format_time(utc_now()), error=last.problem)
        status.write(config.root, database.name, action, replace(last, mailed=True), log)
        event = event_of(config, database, word, last)
        send(config.alerts if killed else Alerts(mail=config.alerts.mail), event, log)
    write_metrics(config, log)


def gather(config: Config) -> list[metrics.Facts]:
    """What there is to know about every configured database."""
    return [
        metrics.Facts(
            name=database.name,
            backups=load(config.root, database.name),
            status=status.read(config.root, database.name),
            targets=[target.name for target in database.offsite],
            period=period(database.schedule),
        )
        for database in config.databases
    ]


def write_metrics(config: Config, log: Log) -> None:
    """Bring the metrics up to date, if they are wanted; that they can't be written fails no backup."""
    if not config.metrics:
        return
    folder = Path(config.metrics)
    try:
        with metrics.alone(folder):
            metrics.write(folder, metrics.render(gather(config)))
    except OSError as error:
        log(f"cannot write {folder / metrics.FILE}: {error.strerror}")
