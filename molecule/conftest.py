# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Fixtures for the tests of every scenario; testinfra's own `host` is each of the scenario's hosts in turn."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import testinfra


@dataclass(frozen=True)
class PlaybookRun:
    """What ansible-playbook said of the hosts."""

    output: str
    stats: dict[str, dict[str, int]]
    changed: list[str]  # "host: task"
    failed: list[str]
    messages: dict[str, str]  # by host, what its last failed task said


def _read_report(output: str) -> PlaybookRun:
    # Other callbacks may print around it.
    report, _end = json.JSONDecoder().raw_decode(output, output.index("{\n"))
    changed, failed, messages = [], [], {}
    for play in report["plays"]:
        for task in play["tasks"]:
            for host, result in task["hosts"].items():
                entry = f"{host}: {task['task']['name']}"
                if result.get("changed"):
                    changed.append(f"{entry}: {json.dumps(result.get('diff', ''))[:500]}")
                if result.get("failed") or result.get("unreachable"):
                    failed.append(f"{entry}: {result.get('msg', '')}")
                    messages[host] = str(result.get("msg", ""))
    return PlaybookRun(output, report["stats"], changed, failed, messages)


@pytest.fixture(scope="session")
def scenario() -> str:
    """The scenario's name."""
    return os.environ["MOLECULE_SCENARIO_NAME"]


@pytest.fixture(scope="session")
def converge_playbook() -> Path:
    """The playbook that converges the scenario; override it where that is not converge.yml."""
    return Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / "converge.yml"


def _run_playbook(playbook: Path, *arguments: str) -> PlaybookRun:
    run = subprocess.run(
        [
            "ansible-playbook",
            f"--inventory={Path(os.environ['MOLECULE_EPHEMERAL_DIRECTORY']) / 'inventory'}",
            "--skip-tags=molecule-notest,notest",
            *arguments,
            str(playbook),
        ],
        env={
            **os.environ,
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_FORCE_COLOR": "false",
            "ANSIBLE_NOCOLOR": "true",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if "{\n" not in run.stdout:
        pytest.fail(f"ansible-playbook could not run:\n{run.stdout}{run.stderr}", pytrace=False)
    return _read_report(run.stdout)


@pytest.fixture(scope="session")
def check_run(converge_playbook: Path) -> PlaybookRun:
    """The scenario's playbook, run with --check --diff on the converged hosts."""
    return _run_playbook(converge_playbook, "--check", "--diff")


@pytest.fixture(scope="session")
def converge_with(converge_playbook: Path) -> Callable[..., PlaybookRun]:
    """The scenario's playbook, run again with other variables: `converge_with(docker_source="docker").messages`.

    `limit="debian12"` leaves the other hosts alone.
    """

    def run(limit: str = "all", **variables: Any) -> PlaybookRun:
        return _run_playbook(converge_playbook, f"--limit={limit}", "--extra-vars", json.dumps(variables))

    return run


@pytest.fixture(scope="session")
def run_playbook() -> Callable[..., PlaybookRun]:
    """A playbook that users type: `run_playbook("maintenance.yml", app="shop", state="on")`."""

    def run(name: str, limit: str = "all", **variables: Any) -> PlaybookRun:
        path = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / name
        return _run_playbook(path, f"--limit={limit}", "--extra-vars", json.dumps(variables))

    return run


@pytest.fixture(scope="session")
def here() -> Any:
    """The outer machine: `here.run("curl …")`."""
    return testinfra.get_host("local://")


@pytest.fixture(scope="session")
def network(scenario: str) -> str:
    """The docker network of the scenario's hosts; override it where the scenario has another."""
    return f"quayside-{scenario}"


@pytest.fixture(scope="session")
def container(network: str) -> Callable[[str], Any]:
    """Any of the scenario's hosts by its platform's name, through docker: `container("debian12").run("…")`."""
    return lambda name: testinfra.get_host(f"docker://{network}-{name}")


@pytest.fixture(scope="session")
def address_of(network: str, here: Any) -> Callable[[str], str]:
    """The address of a host on the scenario's network, by its platform's name."""

    def find(name: str) -> str:
        networks = json.loads(here.check_output("docker inspect %s-%s", network, name))[0]["NetworkSettings"][
            "Networks"
        ]
        return str(networks[network]["IPAddress"])

    return find


@pytest.fixture(scope="session")
def outside(network: str, here: Any) -> Iterator[Any]:
    """Another machine of the network, the world as a host sees it: `outside.run("curl …")`; curl, openssl, python3."""
    name = f"{network}-outside"
    here.run("docker rm -fv %s", name)
    here.check_output(
        "docker run -d --name %s --network %s --cap-add NET_ADMIN quayside/services:bookworm sleep infinity",
        name,
        network,
    )
    yield testinfra.get_host(f"docker://{name}")
    here.check_output("docker rm -fv %s", name)


_PROBE = """
import asyncio, sys
async def answers(port):
    try:
        _reader, writer = await asyncio.wait_for(asyncio.open_connection(sys.argv[1], port), 1)
    except (OSError, asyncio.TimeoutError):
        return False
    writer.close()
    return True
async def some(ports, found):
    for port in ports:
        if await answers(port):
            found.append(port)
async def main(ports):
    # A firewall that drops lets each try run into its timeout: hence so many at once. No task waits for its turn,
    # or tens of thousands of them would eat up the second of those that have begun.
    found = []
    await asyncio.gather(*(some(ports, found) for _ in range(1500)))
    print(*sorted(found))
asyncio.run(main(iter(range(int(sys.argv[2]), int(sys.argv[3]) + 1))))
"""


@pytest.fixture(scope="session")
def open_ports(outside: Any) -> Callable[..., list[int]]:
    """The TCP ports that another machine can reach: `open_ports(address)`, `open_ports(address, 1, 1024)`."""

    def probe(address: str, first: int = 1, last: int = 32767) -> list[int]:
        found = outside.check_output("python3 -c %s %s %s %s", _PROBE, address, str(first), str(last))
        return [int(port) for port in found.split()]

    return probe
