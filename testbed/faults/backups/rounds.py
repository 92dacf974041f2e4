# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""One round: a backup or a restore meets a fault, and the next one has to find everything as if nothing had been."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from testbed.faults.backups.bed import ROOT, Background, BedError, Done, Host, Striker, wait_for
from testbed.faults.backups.plan import FAILS, WORKS, Fault, Outcome
from testbed.faults.backups.state import Found, damage, leftovers

NAME = "faults"
FOLDER = f"{ROOT}/{NAME}"
BALLAST = f"{FOLDER}/.ballast"
MINIMUM = 3
#: Beside these the server has nothing.
DATABASES = frozenset({"postgres", "shop", "sealed", "managed", NAME})
COUNTS = "SELECT (SELECT count(*) FROM big) || ' ' || (SELECT count(*) FROM small)"
S3 = "to 172.30.12.30 ipproto tcp dport 9000 blackhole"
ALTERED = "/root/altered.json"

_FILL = f"head -c $(($(df --output=avail -B1 {FOLDER} | tail -n 1) - {{leave}})) /dev/zero > {BALLAST}"
#: What is done to the database first, and how it is undone.
_STATEMENTS = {
    "missing-role": ("ALTER ROLE faults RENAME TO faults_gone", "ALTER ROLE faults_gone RENAME TO faults"),
    "denied-table": ("ALTER TABLE small OWNER TO postgres", "ALTER TABLE small OWNER TO faults"),
    "row-security": (
        "ALTER TABLE small ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "ALTER TABLE small DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY",
    ),
}
_CLOCKS = {
    "later": ("env", "faketime", "+1 year"),
    "earlier": ("env", "faketime", "-1 year"),
    # The hour that this night has twice.
    "summer-time": ("env", "TZ=Europe/Berlin", "faketime", "2026-10-25 02:30:00"),
}
_FLIP = """import sys
with open(sys.argv[1], "r+b") as dump:
    dump.seek(int(sys.argv[2]))
    byte = dump.read(1)[0]
    dump.seek(int(sys.argv[2]))
    dump.write(bytes([byte ^ 16]))
"""
_DAMAGES = {
    "flip": "python3 -c '{flip}' {dump} {place}",
    "truncate": "truncate --size=-{place} {dump}",
    "empty": "truncate --size=0 {dump}",
    "delete": "rm {dump}",
    "manifest": "rm {folder}/manifest.json",
}


def prepare(host: Host) -> tuple[float, float]:
    """A small disk for the backups, and the same database on a wrong server; how long a run and a restore take."""
    host.shell(
        f"mountpoint -q {FOLDER} || {{ mkdir -p {FOLDER}; mount -t tmpfs -o size=200m,mode=0700 tmpfs {FOLDER}; }}"
    )
    if not host.sql("SELECT 1 FROM pg_roles WHERE rolname = 'faults'", port=5433):
        password = host.config()["databases"][-1]["url"].split(":")[2].partition("@")[0]
        host.sql(f"CREATE ROLE faults LOGIN PASSWORD '{password}'; ", port=5433)
        host.sql("CREATE DATABASE faults OWNER faults", port=5433)
    runs = [host.unit(NAME) for _time in range(MINIMUM)]
    restored = host.backup("restore", NAME)
    for done in (*runs, restored):
        if done.code:
            raise BedError(f"{host.name}: without any fault: {done.said}")
    return runs[-1].seconds, restored.seconds


@dataclass
class Round:
    """One fault on one host. duration: what a run takes without one, and restore what a restore takes."""

    host: Host
    fault: Fault
    duration: float
    restore: float
    struck: str = ""
    problems: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    spared: frozenset[str] = frozenset()

    def play(self) -> Outcome:
        """Do it all."""
        began = time.time()
        reported = False
        try:
            before = self.host.look(NAME)
            done = self._meet(before)
            reported = done.code != 0
            self.log.append(f"exit code {done.code}\n{done.said}")
            self._judge(done, before, began)
            self._heal()
        except (BedError, OSError, ValueError) as error:
            self.problems.append(f"{type(error).__name__}: {error}")
        return Outcome(self.fault, self.struck, reported, tuple(self.problems), round(time.time() - began, 1))

    # ------------------------------------------------------------------------------------------------------- meeting

    def _meet(self, before: Found) -> Done:
        kind = self.fault.kind
        if kind in _STATEMENTS:
            return self._with_statements(*_STATEMENTS[kind])
        if kind in _CLOCKS:
            return self.host.run(*_CLOCKS[kind], "quayside-backup", "run", NAME)
        if kind in _DAMAGES:
            return self._with_damage(before)
        meet: dict[str, Callable[[], Done]] = {
            "kill": lambda: self._struck(signal=signal.SIGKILL.value),
            "terminate": lambda: self._struck(signal=signal.SIGTERM.value),
            "backend": lambda: self._struck(then=_TERMINATE),
            "server": lambda: self._struck(then="pg_ctlcluster $(ls /etc/postgresql) main restart -m immediate"),
            "space-data": lambda: self._struck(then=_FILL.format(leave=self.fault.chance % 4_000_000)),
            "space-manifest": lambda: self._struck(then=_FILL.format(leave=0)),
            "space-log": lambda: self.host.run("sh", "-c", f"quayside-backup run {NAME} 2>/dev/full"),
            "cut": lambda: self._struck(then=f"ip rule add {S3}"),
            "twice": self._twice,
            "wrong-host": lambda: self._altered(":5432/", ":5433/"),
            "deaf": lambda: self._altered("172.30.12.30:8080", "127.0.0.1:9"),
            "swap-kill": lambda: self._struck_restore(signal.SIGKILL.value),
            "swap-terminate": lambda: self._struck_restore(signal.SIGTERM.value),
        }
        try:
            return meet[kind]()
        finally:
            self.host.run("rm", "-f", BALLAST)
            self.host.run("sh", "-c", f"ip rule del {S3}")

    def _struck(self, **action: object) -> Done:
        delay = self.fault.at * self.duration
        command = ["quayside-backup", "run", NAME]
        striker = Striker(self.host, command, program=self.fault.program, delay=delay, **action)
        done = self.host.unit(NAME)
        self.struck = striker.end()
        return done

    def _struck_restore(self, number: int) -> Done:
        command = ["quayside-backup", "restore", NAME]
        striker = Striker(self.host, command, delay=self.fault.at * self.restore, signal=number)
        done = self.host.backup("restore", NAME)
        self.struck = striker.end()
        return done

    def _twice(self) -> Done:
        first = Background(self.host, "systemctl", "start", f"quayside-backup@{NAME}.service")
        time.sleep(self.fault.at * self.duration)
        second = self.host.backup("run", NAME)
        done = first.end()
        return Done(done.code or second.code, done.out + second.out, done.err + second.err)

    def _altered(self, old: str, new: str) -> Done:
        self.host.write(ALTERED, json.dumps(self.host.config()).replace(old, new))
        return self.host.backup("--config", ALTERED, "run", NAME)

    def _with_statements(self, breaking: str, healing: str) -> Done:
        self.host.sql(breaking, NAME)
        try:
            return self.host.unit(NAME)
        finally:
            self.host.sql(healing, NAME)

    def _with_damage(self, before: Found) -> Done:
        """A backup that was fine is no longer: that has to be found, and must not touch the next run."""
        victim = before.verified[self.fault.chance % len(before.verified)]
        folder = f"{FOLDER}/{victim}"
        dump = f"{folder}/dump.pgc"
        place = self.fault.chance % int(self.host.shell(f"stat -c %s {dump}"))
        self.host.shell(_DAMAGES[self.fault.kind].format(dump=dump, folder=folder, place=max(1, place), flip=_FLIP))
        self.spared = frozenset({victim})
        found = self.host.backup("verify", NAME, victim)
        listed = next(backup for backup in self.host.backups(NAME) if backup["id"] == victim)
        if not found.code or listed["verified"] or not listed["problem"]:
            self.problems.append(f"the damage of {victim} was not found: {found.said} {listed}")
        return self.host.unit(NAME)

    # ------------------------------------------------------------------------------------------------------- judging

    def _judge(self, done: Done, before: Found, began: float) -> None:
        """Right after the fault: did it say so, and is everything that was there before as it was?"""
        expected = self.fault.may
        if expected == FAILS and not done.code:
            self.problems.append("it has to fail, and did not")
        if expected == WORKS and done.code:
            self.problems.append(f"it has to work, and failed: {done.said[-1500:]}")
        self._judge_alerts(done, began)
        wait_for(lambda: not self.host.look(NAME).held, 20, "the lock is held long after the end")
        after = self.host.look(NAME)
        self.problems += damage(before, after, MINIMUM, self.spared)
        fresh = [name for name in after.verified if name not in before.backups]
        if fresh and before.backups and min(fresh) < max(before.backups):
            self.problems.append(f"{min(fresh)} is new, and not later than {max(before.backups)}")
        if self.fault.kind.startswith("swap") and (held := self.host.sql(COUNTS, NAME)) != "500 20000":
            self.problems.append(f"after the restore the database holds {held} rows")

    def _judge_alerts(self, done: Done, began: float) -> None:
        if self.fault.kind.startswith("swap") or self.fault.kind == "deaf":
            return
        if done.code:
            try:
                told = wait_for(lambda: self.host.failures(began, NAME), 15, "it failed, and no alert has come")
                self.log.append(f"alerts: {told}")
            except BedError as error:
                self.problems.append(str(error))
        elif not done.code and (told := self.host.failures(began, NAME)):
            self.problems.append(f"it worked, and there was an alert: {told}")

    # -------------------------------------------------------------------------------------------------------- healing

    def _heal(self) -> None:
        """The next run, and a look at what it left."""
        self.host.run("systemctl", "reset-failed")
        for name in self.spared:
            # What a person does with a damaged one.
            self.host.shell(f"rm -r {FOLDER}/{name}")
        wait_for(
            lambda: self.host.run("runuser", "-u", "postgres", "--", "pg_isready", "-q").code == 0, 30, "no server"
        )
        before = self.host.look(NAME)
        if self.fault.kind.startswith("swap"):
            again = self.host.backup("restore", NAME)
            if again.code:
                self.problems.append(f"the next restore failed: {again.said[-1500:]}")
        done = self.host.unit(NAME)
        if done.code:
            said = self.host.shell(f"journalctl -q --no-pager -n 20 -u quayside-backup@{NAME}.service")
            self.problems.append(f"the next run failed: {said}")
        after = self.host.look(NAME)
        self.problems += [*damage(before, after, MINIMUM), *leftovers(after, DATABASES)]
        if not after.verified or after.verified[-1] in before.backups:
            self.problems.append("the next run has left no new backup")
        self._drop_old(after)

    def _drop_old(self, found: Found) -> None:
        for name in found.databases:
            if name.startswith(f"{NAME}_old_"):
                self.host.sql(f'DROP DATABASE "{name}"')


_TERMINATE = (
    'runuser -u postgres -- psql -XAtqc "SELECT pg_terminate_backend(pid) FROM pg_stat_activity '
    "WHERE datname = 'faults' AND usename = 'faults'\""
)
