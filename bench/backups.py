# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Backups and restores of a generated database, beside PostgreSQL's own programs and a peer, on a host of their own."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
INVENTORY = ROOT / "bench/backup"
HOST = "quayside-bench-backup"
PASSWORD = "bench-backup-password"  # noqa: S105
FOLDER = "/var/lib/postgresql/bench"
PEER = "/var/lib/autopostgresqlbackup"
COUNTS = tuple(f"SELECT count(*) FROM {table}" for table in ("account", "entry", "session", "event"))  # noqa: S608
MANIFESTS = 100_000
SESSIONS = 20
MEGABYTE = 1_000_000
SHARED_MEMORY = "/dev/shm"  # noqa: S108

#: Runs a command on the host: its seconds without docker's own, and the most memory that it itself has taken.
_WATCH = """
import json, subprocess, sys, tempfile, time
out, err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
start = time.monotonic()
process = subprocess.Popen(sys.argv[1:], stdout=out, stderr=err, stdin=subprocess.DEVNULL)
peak = 0
while process.poll() is None:
    try:
        status = open(f"/proc/{process.pid}/status").read()
        peak = max(peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")))
    except (OSError, TypeError, ValueError):
        pass
    time.sleep(0.005)
found = {"seconds": time.monotonic() - start, "peak": peak * 1024, "code": process.returncode}
for name, stream in (("out", out), ("err", err)):
    stream.seek(0)
    found[name] = stream.read(1000000)
print(json.dumps(found))
"""
_PLAN = """
import sys, time
sys.path.insert(0, "/usr/local/lib/quayside")
from datetime import datetime, timedelta, timezone
from quayside_backup._pg_repository import Backup, DumpFile, Manifest, format_time, new_id
from quayside_backup._pg_rotation import Keep, plan
start, backups = datetime(2000, 1, 1, tzinfo=timezone.utc), []
for number in range(int(sys.argv[1])):
    moment = start + timedelta(hours=2 * number)
    found = moment.strftime("%Y%m%dT%H%M%SZ")
    manifest = Manifest(id=found, name="shop", created_at=format_time(moment), database="shop", host="h", port=5432,
        server_version="15.1", client_version=15, compression="gzip:1", files=(DumpFile("dump.pgc", 1, "a" * 64),),
        verified_at=format_time(moment))
    backups.append(Backup(found, manifest))
began = time.monotonic()
decided = plan(backups, Keep(7, 4, 6, 3), 3)
print(time.monotonic() - began)
assert len(decided.kept) + len(decided.removed) == len(backups) and decided.removed
"""


class BackupBenchError(Exception):
    """Something does not work; the text says what."""


def on_host(*argv: str, text: str | None = None) -> str:
    """Run a command as root that has to succeed."""
    command = ["docker", "exec", *(["-i"] if text is not None else []), HOST, *argv]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackupBenchError(
            f"{' '.join(argv)[:300]}: exit code {done.returncode}: {(done.stdout + done.stderr)[-3000:]}"
        )
    return done.stdout.strip()


def sql(command: str, database: str = "postgres", user: str = "") -> str:
    options = ["env", f"PGOPTIONS=-c role={user}"] if user else []
    psql = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database]
    return on_host(*options, "runuser", "-u", "postgres", "--", *psql, text=command)


def timed(*argv: str) -> dict[str, Any]:
    """Run a command on a host that has nothing else to write; what it took."""
    sql("CHECKPOINT")
    on_host("sync")
    found: dict[str, Any] = json.loads(on_host("python3", "-c", _WATCH, *argv))
    if found["code"]:
        raise BackupBenchError(f"{' '.join(argv)[:300]}: exit code {found['code']}: {found['err'][-3000:]}")
    return found


def playbook(name: str, *arguments: str) -> None:
    command = ["ansible-playbook", name, "-i", str(INVENTORY / "hosts"), *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise BackupBenchError(f"{name}: {done.stdout[-4000:]}")


def start_host() -> None:
    """A database server with the data, our backups and the peer."""
    playbook("testbed/up.yml")
    playbook("bench/backup/site.yml")
    # A container has 64 MB for what parallel workers share, which is less than PostgreSQL takes on any server.
    on_host("mount", "-o", "remount,size=1g", SHARED_MEMORY)
    if not sql("SELECT to_regclass('public.item')", "small"):
        sql((INVENTORY / "data.sql").read_text(encoding="utf-8"), "shop", "bench")
        sql(
            "CREATE TABLE item AS SELECT n AS id, md5(n::text) AS text FROM generate_series(1, 20000) n",
            "small",
            "bench",
        )
    on_host("install", "-d", "-o", "postgres", FOLDER)


class Bench:
    """The samples by name, round after round."""

    def __init__(self, say: Callable[[str], None], samples: dict[str, list[float]]) -> None:
        self.say, self.samples = say, samples

    def add(self, name: str, value: float) -> None:
        self.samples.setdefault(name, []).append(value)
        self.say(f"  {name:<14} {value:8.3f}")

    # ------------------------------------------------------------------------------------------------------- dumping

    def bare_dump(self) -> None:
        self._dump("bare_dump", "--compress=1", "--lock-wait-timeout=60000")

    def default_dump(self) -> None:
        self.add("default_size", self._dump("default_dump") / MEGABYTE)

    def _dump(self, name: str, *options: str) -> int:
        path = f"/root/{name}.pgc"
        connection = ["--no-password", "--host=127.0.0.1", "--username=bench"]
        command = ["pg_dump", "--format=custom", *options, *connection, f"--file={path}", "shop"]
        self.add(name, timed("env", f"PGPASSWORD={PASSWORD}", "PGSSLMODE=prefer", *command)["seconds"])
        size = int(on_host("stat", "-c", "%s", path))
        on_host("rm", path)
        return size

    def ours(self) -> None:
        done = timed("quayside-backup", "run", "shop", "--json")
        (outcome,) = json.loads(done["out"])
        manifest = json.loads(on_host("cat", f"/var/backups/quayside/shop/{outcome['id']}/manifest.json"))
        seconds = manifest["seconds"]
        self.add("dump", seconds["dump"])
        # They read the file side by side: the longer of the two is what there is to wait for.
        self.add("verify", max(seconds["decode"], seconds.get("sha256", 0.0)))
        self.add("count", seconds["count"])
        self.add("run", done["seconds"])
        self.add("memory", done["peak"] / MEGABYTE)
        self.add("size", next(file["size"] for file in manifest["files"] if file["name"] == "dump.pgc") / MEGABYTE)

    def peer(self) -> None:
        self.add("peer", timed("autopostgresqlbackup")["seconds"])
        sizes = on_host("find", PEER, "-type", "f", "-name", "*shop*", "-printf", "%s\n").split()
        self.add("peer_size", max(map(int, sizes)) / MEGABYTE)
        on_host("find", PEER, "-type", "f", "-delete")

    # ------------------------------------------------------------------------------------------------------ restoring

    def bare_restore(self) -> None:
        """What an administrator would type, with every check that ours makes."""
        newest = on_host("sh", "-c", "ls -d /var/backups/quayside/shop/*Z | tail -n 1")
        dump = f"{FOLDER}/dump.pgc"
        on_host("install", "-o", "postgres", f"{newest}/dump.pgc", dump)
        sql("CREATE DATABASE bare OWNER bench")
        as_postgres = ["runuser", "-u", "postgres", "--"]
        jobs = f"--jobs={self.jobs()}"
        self.add(
            "bare_restore", timed(*as_postgres, "pg_restore", "--exit-on-error", jobs, "--dbname=bare", dump)["seconds"]
        )
        counts = " ".join(f"-c '{count}'" for count in COUNTS)
        hand = f"sha256sum {dump} && psql -Xqd bare {counts} && vacuumdb --analyze-only --quiet {jobs} bare"
        self.add("bare_checks", timed(*as_postgres, "sh", "-c", hand)["seconds"])
        sql("DROP DATABASE bare")
        on_host("rm", dump)

    def our_restore(self) -> None:
        done = timed("quayside-backup", "restore", "shop", "--into", "restored", "--json")
        self.add("restore", done["seconds"])
        self.add("memory_restore", done["peak"] / MEGABYTE)
        sql("DROP DATABASE restored")

    def jobs(self) -> int:
        planned = json.loads(on_host("quayside-backup", "restore", "shop", "--check", "--json"))
        return int(planned["jobs"])

    def swap(self) -> None:
        """From when to when the clients of a small database are refused while it is replaced."""
        url = f"postgresql://bench:{PASSWORD}@127.0.0.1/small"
        source = (ROOT / "bench/pg_clients.py").read_text(encoding="utf-8")
        found: dict[str, Any] = {}

        def clients() -> None:
            argv = ["python3", "-c", source, url, str(SESSIONS), "8", "SELECT count(*) FROM item"]
            found.update(json.loads(on_host(*argv)))

        thread = threading.Thread(target=clients)
        thread.start()
        time.sleep(2)
        on_host("quayside-backup", "restore", "small")
        thread.join()
        if not found["refused"] or found["windows"] != 1:
            raise BackupBenchError(f"the clients did not notice one swap: {found}")
        self.add("swap", found["longest"])

    # ------------------------------------------------------------------------------------------------------- planning

    def plan(self) -> None:
        self.add("plan", float(on_host("python3", "-c", _PLAN, str(MANIFESTS))))


def measure(rounds: int, say: Callable[[str], None], samples: dict[str, list[float]]) -> None:
    """Everything, in another order each round; samples takes what has been measured until something does not work."""
    say("start the host of the backups, and fill its database")
    start_host()
    say(f"  {sql('SELECT pg_size_pretty(pg_database_size($$shop$$))')}")
    bench = Bench(say, samples)
    on_host("quayside-backup", "run", "--all")
    dumps: Sequence[Callable[[], None]] = (bench.bare_dump, bench.ours, bench.default_dump, bench.peer)
    restores: Sequence[Callable[[], None]] = (bench.bare_restore, bench.our_restore)
    for number in range(rounds):
        for part in (dumps, restores):
            start = number % len(part)
            for work in (*part[start:], *part[:start]):
                work()
        bench.swap()
        bench.plan()


def stop_host() -> None:
    playbook("testbed/down.yml")
