# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""A database server that backs itself up, and what can be done to it: by docker, by nothing that is under test."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.faults.backups.state import GATHER, Found, read

STRIKER = Path(__file__).with_name("striker.py")
ROOT = "/var/backups/quayside"
CONFIG = "/etc/quayside/backup.json"
HEARD = "/srv/alerts.jsonl"


class BedError(Exception):
    """A command that has to succeed did not."""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str
    seconds: float = 0.0

    @property
    def said(self) -> str:
        return self.out + self.err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Host:
    """One server, by the name that it calls itself and the name of its container."""

    name: str
    container: str
    services: str = ""
    """The container that hears the alerts."""
    environment: tuple[str, ...] = field(default=(), repr=False)

    def run(self, *argv: str, text: str | None = None, timeout: float = 240) -> Done:
        """Run a command as root, whatever comes of it."""
        command = ["docker", "exec", *(["-i"] if text is not None else []), self.container, *argv]
        began = time.monotonic()
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=timeout)
        return Done(done.returncode, done.stdout, done.stderr, round(time.monotonic() - began, 3))

    def good(self, *argv: str, text: str | None = None) -> str:
        done = self.run(*argv, text=text)
        if done.code:
            raise BedError(f"{self.name}: {' '.join(argv)}: exit code {done.code}: {done.said[-2000:]}")
        return done.out.strip()

    def shell(self, command: str) -> str:
        return self.good("sh", "-c", command)

    def sql(self, command: str, database: str = "postgres", port: int = 5432) -> str:
        psql = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-p", str(port), "-d", database]
        return self.good("runuser", "-u", "postgres", "--", *psql, text=command)

    def backup(self, *arguments: str, timeout: float = 240) -> Done:
        """quayside-backup, as a person calls it."""
        return self.run("quayside-backup", *arguments, timeout=timeout)

    def backups(self, name: str, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.good("quayside-backup", "list", "--json", name, *arguments))
        return found

    def unit(self, name: str) -> Done:
        """The run that the timer starts."""
        return self.run("systemctl", "start", f"quayside-backup@{name}.service")

    def config(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.good("cat", CONFIG))
        return found

    def write(self, path: str, text: str, mode: str = "0600") -> None:
        self.good("sh", "-c", f"install -m {mode} /dev/stdin {path}", text=text)

    def manifest(self, name: str, backup_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.good("cat", f"{ROOT}/{name}/{backup_id}/manifest.json"))
        return found

    def look(self, name: str) -> Found:
        return read(json.loads(self.good("python3", "-c", GATHER, ROOT, name)))

    def heard(self, since: float, name: str = "") -> list[dict[str, Any]]:
        """The alerts of this host since a moment, of one database if named."""
        output = subprocess.run(
            ["docker", "exec", self.services, "cat", HEARD], capture_output=True, text=True, check=True
        ).stdout
        requests = [json.loads(line) for line in output.splitlines()]
        return [
            request
            for request in requests
            if request["at"] >= since and self.name in request["path"] + request["body"] and name in str(request)
        ]

    def failures(self, since: float, name: str) -> list[str]:
        """What failure pings said."""
        return [r["body"] for r in self.heard(since, name) if r["path"].endswith(f"/{self.name}/{name}/fail")]


class Striker:
    """Somebody on the host who waits for quayside-backup and does something to it."""

    def __init__(self, host: Host, command: Sequence[str], **settings: Any) -> None:
        plain = {"command": list(command), "program": "", "delay": 0.0, "signal": 0, "then": ""}
        self._process = subprocess.Popen(
            [
                "docker",
                "exec",
                "-i",
                host.container,
                "python3",
                "-c",
                STRIKER.read_text(),
                json.dumps({**plain, **settings}),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._process.stdout:
            self._process.stdout.readline()

    def end(self) -> str:
        """What the run was doing when it was struck; empty where it was not."""
        output, _none = self._process.communicate()
        return str(json.loads(output or "{}").get("struck", ""))


class Background:
    """A command that goes on beside another."""

    def __init__(self, host: Host, *argv: str) -> None:
        self.done: Done | None = None
        self._thread = threading.Thread(target=self._run, args=(host, argv), daemon=True)
        self._thread.start()

    def _run(self, host: Host, argv: Sequence[str]) -> None:
        self.done = host.run(*argv)

    def end(self, seconds: float = 240) -> Done:
        self._thread.join(seconds)
        if self.done is None:
            raise BedError("a command that runs in the background did not end")
        return self.done


def wait_for(what: Any, seconds: float, why: str) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            raise BedError(why)
        time.sleep(0.1)
    return found
