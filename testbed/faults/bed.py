# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""A web host with one app on it, and what can be done to them: deploys, looks, restarts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load import LoadError, Site
from testbed.faults.state import Expected, Found, look, sessions

ROOT = Path(__file__).resolve().parents[2]
LOCK = "/var/lib/quayside/apps/{app}/lock"
COMES_BACK_WITHIN = 120.0
ENDS_WITHIN = 180.0


@dataclass
class Bed:
    """Where it all is."""

    web: str
    """The web host: its container, and its name in the inventory."""
    inventory: Path
    site: Site
    database_container: str
    database: str
    registry: str
    """Where this machine pushes images to."""
    expected: Expected
    app: str = "ledger"
    version_variable: str = "ledger_version"
    root: Path = ROOT
    """Where the playbooks are."""
    output: str = field(default="", repr=False)
    """What the last playbook said."""

    def playbook(self, name: str, *arguments: str, check: bool = False, **variables: Any) -> Playbook:
        """Begin to run a playbook on this host alone."""
        argv = [name, "-i", str(self.inventory), "--limit", self.web, "-e", json.dumps({"app": self.app, **variables})]
        return Playbook(self.root, [*argv, *(["--check", "--diff"] if check else []), *arguments])

    def deploy(self, version: str, **variables: Any) -> Playbook:
        return self.playbook("deploy.yml", **{self.version_variable: version, **variables})

    def rollback(self, **variables: Any) -> Playbook:
        return self.playbook("rollback.yml", **variables)

    def sql(self, command: str) -> str:
        psql = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.database, "-c", command]
        return run("docker", "exec", "--user", "postgres", self.database_container, *psql)

    def shell(self, command: str) -> str:
        """Run a command as root on the host, by another way than the one under test."""
        return run("docker", "exec", self.web, "sh", "-c", command)

    def found(self, live: str = "") -> Found:
        """What is there, from the outside and from the inside."""
        asked = sessions(self.database_container, self.database)
        return Found(live or self.site.health()["release"], self.app, look(self.web, self.app), asked)

    def restart(self) -> tuple[float, float]:
        """Take the host's power away and give it back; return the time from when to when it was away.

        Raises:
            LoadError: the site does not come back.
        """
        start = time.time()
        run("docker", "restart", "-t", "0", self.web)
        self.await_health(COMES_BACK_WITHIN)
        return start, time.time()

    def await_health(self, seconds: float) -> dict[str, str]:
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.site.health()
            except LoadError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


class Playbook:
    """A run of ansible-playbook with an SSH connection of its own."""

    def __init__(self, root: Path, arguments: list[str]) -> None:
        self._sockets = tempfile.TemporaryDirectory(prefix="qsf")
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self.began = time.time()
        self.process = subprocess.Popen(
            ["ansible-playbook", *arguments],
            cwd=root,
            env={
                **os.environ,
                "ANSIBLE_SSH_CONTROL_PATH_DIR": self._sockets.name,
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_FORCE_COLOR": "0",
            },
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        self._log.flush()
        self._log.seek(0)
        return self._log.read()

    @property
    def over(self) -> bool:
        return self.process.poll() is not None

    def wait(self, seconds: float = ENDS_WITHIN) -> int | None:
        """Wait for the end; return the exit code, or None where it had to be killed."""
        try:
            code: int | None = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = None
        self.kill()
        return code

    def kill(self) -> None:
        """End it at once with its connection, as when the controller's power fails."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for pid in self._connections():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        with contextlib.suppress(OSError):
            self._sockets.cleanup()

    def _connections(self) -> Iterator[int]:
        """The ssh processes that stay in the background to be used again; nobody else has this folder."""
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"{self._sockets.name}/".encode() in (process / "cmdline").read_bytes():
                    yield int(process.name)


def run(*argv: str) -> str:
    """Run a command that has to succeed, and return what it printed."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadError(f"{' '.join(argv)}: exit code {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout.strip()
