# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""One round: a deploy is struck, users must not notice, and the next deploy has to leave the host as if nothing was."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.load import Load, LoadError, during, outside
from testbed.faults.bed import LOCK, Bed, Playbook
from testbed.faults.images import push_variant
from testbed.faults.plan import STEPS, Outcome, Strike
from testbed.faults.state import LABEL, Found, problems

WATCHER = Path(__file__).with_name("watcher.py")
LOCK_WAIT = 90
#: Large enough that a pull of it can be struck.
BIG_LAYER = "RUN head -c 30000000 /dev/urandom > /tmp/big"
#: What a strike in the middle of a migration finds; both versions of the app have this revision.
REARM = "DROP TABLE IF EXISTS extra; UPDATE alembic_version SET version_num = '0003'"


@dataclass
class Round:
    """One strike on one host."""

    bed: Bed
    load: Load
    strike: Strike
    versions: tuple[str, str]
    number: int
    struck: str = ""
    problems: list[str] = field(default_factory=list)
    windows: list[tuple[float, float]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def play(self) -> Outcome:
        """Do it all."""
        start = time.time()
        try:
            before = self.bed.site.health()["version"]
            other = next(version for version in self.versions if version != before)
            target = self._prepare(other)
            with self._watcher() as watcher:
                self._strike(watcher, self.bed.rollback() if self.strike.back else self.bed.deploy(target))
            self._heal(target if self.strike.heal == "same" else before)
        except (LoadError, subprocess.CalledProcessError, OSError) as error:
            self.problems.append(f"{type(error).__name__}: {error}")
        # What users do right afterwards counts too.
        time.sleep(0.3)
        requests = outside(during(list(self.load.requests), [(start, time.time())]), self.windows)
        failures = [request for request in requests if request.error]
        self.problems += [f"a user saw {request.kind}: {request.error} at {request.due}" for request in failures[:3]]
        return Outcome(
            self.strike, self.struck, tuple(self.problems), len(requests), len(failures), round(time.time() - start, 1)
        )

    def _prepare(self, version: str) -> str:
        """Make sure that the step has something to do; return the version to deploy."""
        if self.strike.step == "migrate":
            self.bed.sql(REARM)
        if self.strike.step != "image":
            return version
        fresh = f"{version}-{self.number}"
        push_variant(self.bed.registry, fresh, base=version, instructions=BIG_LAYER)
        return fresh

    @contextlib.contextmanager
    def _watcher(self) -> Iterator[subprocess.Popen[str]]:
        settings = {
            "lock": LOCK.format(app=self.bed.app),
            "steps": STEPS,
            "step": self.strike.step,
            "kind": self.strike.kind,
            "delay": self.strike.delay,
        }
        watcher = subprocess.Popen(
            ["docker", "exec", "-i", self.bed.web, "python3", "-c", WATCHER.read_text(), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert watcher.stdin
        assert watcher.stdout
        with watcher:
            watcher.stdout.readline()
            yield watcher
            with contextlib.suppress(BrokenPipeError):
                watcher.stdin.close()

    def _strike(self, watcher: subprocess.Popen[str], playbook: Playbook) -> None:
        """Wait for the moment, strike, and let what is left of the deploy come to its end."""
        assert watcher.stdin
        assert watcher.stdout
        while watcher.poll() is None and not playbook.over:
            time.sleep(0.001)
        if watcher.poll() is None:
            watcher.stdin.close()
        report: dict[str, Any] = json.loads(watcher.stdout.read() or "{}")
        self.log.append(f"watcher: {report}")
        self.struck = report.get("step", "")
        if self.strike.kind == "controller":
            playbook.kill()
        elif self.strike.kind == "restart":
            self.windows.append(self.bed.restart())
            self._look_after_boot()
        code = playbook.wait()
        self.log.append(f"struck: exit code {code}\n{playbook.output}")
        if code is None:
            self.problems.append("the struck deploy never ended")
        if not self.struck and code:
            self.problems.append(f"a deploy that was not struck failed: {playbook.output[-1500:]}")

    def _look_after_boot(self) -> None:
        found = self.bed.found()
        slot = "green" if found.host["green"] else "blue"
        strangers = [c["name"] for c in found.containers if c["running"] and c["labels"].get(LABEL + "slot") != slot]
        if strangers:
            self.problems.append(f"after the restart these run besides the live release: {', '.join(strangers)}")

    def _heal(self, version: str) -> None:
        # What was struck may have left another process at work.
        playbook = self.bed.deploy(version, app_container_lock_wait=LOCK_WAIT)
        code = playbook.wait()
        self.log.append(f"heal: exit code {code}\n{playbook.output}")
        if code != 0:
            self.problems.append(f"the next deploy failed with {code}: {playbook.output[-1500:]}")
        health = self.bed.site.health()
        if health["version"] != version:
            self.problems.append(f"version {health['version']} is live instead of {version}")
        found = self.bed.found(health["release"])
        self.problems += problems(found, self.bed.expected)
        self.log.append(_short(found))
        if not self.problems and self.number % 8 == 0:
            self._converge(version)

    def _converge(self, version: str) -> None:
        playbook = self.bed.deploy(version)
        code = playbook.wait()
        self.log.append(f"once more: exit code {code}\n{playbook.output}")
        if code != 0 or "changed=0" not in playbook.output:
            self.problems.append(f"the same once more changed something or failed ({code})")


def _short(found: Found) -> str:
    host = {**found.host, "manifests": [(m["release"], m["result"]) for m in found.host["manifests"]]}
    return f"live {found.live}: {json.dumps(host)}"
