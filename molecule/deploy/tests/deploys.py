# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""What the tests of deploys share: the two hosts, playbooks that are run on both at once, and what they said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
sys.path.insert(0, str(ROOT))

from bench.load import Load, Site  # noqa: E402
from testbed.faults.bed import Bed  # noqa: E402
from testbed.faults.state import Expected, look  # noqa: E402

EPHEMERAL = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
SENTINEL = "s3ntinel"
REGISTRY = "172.30.10.30:5000/ledger"
APP = "/var/lib/quayside/apps/ledger"
#: Steps of every deploy of a new version, in the order of their beginning.
STEPS = {"preflight", "image", "migrate", "pre_deploy", "start", "gate", "warm", "flip", "verify", "workers", "jobs"}
STEPS |= {"post_deploy", "watch", "drain", "stop", "prune"}


def _bed(release: str) -> Bed:
    ca = (EPHEMERAL / "bed/acme-root.pem").read_text(encoding="utf-8")
    return Bed(
        web=f"deploy-web{release}",
        inventory=EPHEMERAL / "inventory",
        site=Site("deploy-services", f"172.30.10.{release}", f"ledger.web{release}.deploy.test", ca),
        database_container="deploy-db",
        database=f"ledger{release}",
        registry="127.0.0.1:5010",
        expected=Expected(frozenset({("web", 1), ("worker", 1)}), jobs=frozenset({"report"})),
    )


BEDS = [_bed("12"), _bed("13")]


@dataclass(frozen=True)
class Run:
    """A playbook that was run on both hosts."""

    code: int
    output: str
    seconds: float
    results: dict[str, list[dict[str, Any]]]
    """By host, what its tasks returned, in order."""
    changed: dict[str, int]

    def result(self, bed: Bed) -> dict[str, Any]:
        """What app_release returned."""
        found = [result for result in self.results[bed.web] if "steps" in result]
        assert found, self.output[-3000:]
        return found[-1]

    def message(self, bed: Bed) -> str:
        """What the last task that failed said, on one line."""
        failed = [result for result in self.results[bed.web] if result.get("failed") or result.get("unreachable")]
        assert failed, f"nothing failed on {bed.web}: {self.output[-3000:]}"
        return " ".join(str(failed[-1]["msg"]).split())

    def warnings(self, bed: Bed) -> str:
        return " ".join(str(result.get("warnings", "")) for result in self.results[bed.web])


class Began:
    """A playbook that is running on both hosts."""

    def __init__(self, name: str, *arguments: str, **variables: Any) -> None:
        self._start = time.monotonic()
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self._process = subprocess.Popen(
            [
                "ansible-playbook",
                f"--inventory={EPHEMERAL / 'inventory'}",
                # As much as it can say, so that every run of the scenario is a search for secrets too.
                "-vvv",
                "--diff",
                *arguments,
                "-e",
                json.dumps({"app": "ledger", **variables}),
                name,
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
                "ANSIBLE_FORCE_COLOR": "false",
                "ANSIBLE_NOCOLOR": "true",
            },
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @property
    def over(self) -> bool:
        return self._process.poll() is not None

    def end(self, seconds: float = 240) -> Run:
        try:
            code = self._process.wait(seconds)
        finally:
            self._process.kill()
        self._log.seek(0)
        output = self._log.read()
        assert SENTINEL not in output, f"a secret was shown: {output[output.index(SENTINEL) - 500 :][:600]}"
        return Run(code, output, time.monotonic() - self._start, *_read(output))


def _read(output: str) -> tuple[dict[str, list[dict[str, Any]]], dict[str, int]]:
    assert "\n{\n" in f"\n{output}", output[-3000:]
    report, _end = json.JSONDecoder().raw_decode(output, f"\n{output}".index("\n{\n"))
    results: dict[str, list[dict[str, Any]]] = {}
    for play in report["plays"]:
        for task in play["tasks"]:
            for host, result in task["hosts"].items():
                results.setdefault(host, []).append(result)
    return results, {host: stats["changed"] for host, stats in report["stats"].items()}


def deploy(version: str, *arguments: str, **variables: Any) -> Run:
    return Began("deploy.yml", *arguments, ledger_version=version, **variables).end()


def rollback(**variables: Any) -> Run:
    return Began("rollback.yml", **variables).end()


def good(run: Run) -> Run:
    assert run.code == 0, run.output[-6000:]
    return run


def refused(run: Run) -> Run:
    """It failed on both hosts; what it left is checked where it is called."""
    assert run.code != 0, run.output[-3000:]
    assert all(run.message(bed) for bed in BEDS)
    return run


def live() -> dict[str, dict[str, str]]:
    """What the app says of itself, by host."""
    return {bed.web: bed.site.health() for bed in BEDS}


@contextmanager
def load(rate: float = 20, *, websockets: int = 0, slow_seconds: float = 0) -> Iterator[dict[str, Load]]:
    """Users on both sites."""
    with ExitStack() as stack:
        yield {
            bed.web: stack.enter_context(Load(bed.site, rate, websockets=websockets, slow_seconds=slow_seconds))
            for bed in BEDS
        }


def manifests(bed: Bed) -> dict[str, dict[str, Any]]:
    """The recorded releases by their id."""
    return {manifest["release"]: manifest for manifest in look(bed.web, bed.app)["manifests"]}


def containers(bed: Bed, *, running: bool = True) -> list[str]:
    """The app's containers, without those that wait for a timer."""
    found = look(bed.web, bed.app)["containers"]
    return sorted(
        c["name"] for c in found if (c["running"] or not running) and c["labels"].get("quayside.kind") != "job"
    )


def lock_step(bed: Bed) -> str:
    """The step that a running deploy is at."""
    try:
        return str(json.loads(bed.shell(f"cat {APP}/lock"))["step"])
    except ValueError:
        return ""


def wait_for(what: Callable[[], Any], seconds: float, why: str) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, why
        time.sleep(0.02)
    return found
