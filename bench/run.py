#!/usr/bin/env python3
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Measure what users wait for: bare host to live app, nothing to do, a deploy, a rollback; and what users see of them.

Hosts, certificate authority and database are the testbed's, in an inventory of their own; each bare host is a new
container, and making it is not in the time. Every run pays for its own SSH connection. Backups have another host, and
nothing else to do with it. The medians go to the screen as a table, everything to .cache/bench/<date>.json. Slowness is
no failure: only what does not work ends with an error.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import backups, edge, measures, under_load
from bench.figures import (
    TITLES,
    WATCH,
    Sample,
    changed_count,
    medians,
    profile,
    rows,
    script_seconds,
    table,
    task_seconds,
)
from bench.load import LoadError, Site

ROOT = Path(__file__).resolve().parents[1]
INVENTORY = ROOT / "bench/inventory"
KEYS = ROOT / ".cache/testbed/bench"
WEB, DB = "quayside-bench-web", "quayside-bench-db"
ADDRESS, REGISTRY, PUSHED_TO = "172.30.6.10", "172.30.6.30:5000", "127.0.0.1:5006"
DOMAINS = ("ledger.bench.test", "www.ledger.bench.test")
HEALTH_SECONDS = 60
FIRST_VERSION = "1.0.0"
CHOICES = ("live", "noop", "deploy", "rollback", "warm", "lone", "crash", "edge", "load", "backup")

LOAD_DEPLOYS = 24


class BenchError(Exception):
    """Something does not work; the text says what."""


# Running things


def run(argv: Sequence[str], **options: Any) -> str:
    """Run a command and return its output.

    Raises:
        BenchError: it failed.
    """
    done = subprocess.run(
        argv, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options
    )
    if done.returncode:
        raise BenchError(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stdout[-6000:]}")
    return str(done.stdout)


def playbook(name: str, *arguments: str, nice: int = 0) -> str:
    """Run a playbook on the bench's inventory, over an SSH connection of its own."""
    with tempfile.TemporaryDirectory(prefix="qsb") as sockets:
        environment = {
            **os.environ,
            "ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.profile_tasks",
            "PROFILE_TASKS_TASK_OUTPUT_LIMIT": "all",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": sockets,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_FORCE_COLOR": "0",
        }
        try:
            argv = ["nice", "-n", str(nice), "ansible-playbook", name, "-i", str(INVENTORY), *arguments]
            return run(argv, env=environment)
        finally:
            for path in Path(sockets).iterdir():
                subprocess.run(
                    ["ssh", "-o", f"ControlPath={path}", "-O", "exit", ADDRESS], capture_output=True, check=False
                )


def healthy() -> bool:
    """Whether the app answers over HTTPS with a certificate of the ACME root."""
    context = ssl.create_default_context(cafile=str(KEYS / "acme-root.pem"))
    request = f"GET /health HTTP/1.1\r\nHost: {DOMAINS[0]}\r\nConnection: close\r\n\r\n"
    with (
        contextlib.suppress(OSError),
        socket.create_connection((ADDRESS, 443), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=DOMAINS[0]) as stream,
    ):
        stream.sendall(request.encode())
        return stream.recv(64).startswith(b"HTTP/1.1 200")
    return False


def measure(action: Callable[[], str], parse: Callable[[str], dict[str, float]]) -> tuple[Sample, str]:
    """Time an action until it has ended and the app answers.

    Raises:
        BenchError: the action failed, or the app does not answer.
    """
    load = os.getloadavg()[0]
    start = time.monotonic()
    output = action()
    deadline = time.monotonic() + HEALTH_SECONDS
    while not healthy():
        if time.monotonic() > deadline:
            raise BenchError(f"https://{DOMAINS[0]}/health does not answer")
        time.sleep(0.05)
    seconds = round(time.monotonic() - start, 2)
    return Sample(seconds, parse(output), load=round(load, 2)), output


def baseline() -> str:
    """Run baseline.sh as root on the web host."""
    variables = {
        "image": f"{REGISTRY}/ledger:1.0.0",
        "domains": " ".join(DOMAINS),
        "acme_url": "https://acme.bench.test:14000/dir",
        "acme_ca": (KEYS / "acme-ca.pem").read_text(encoding="utf-8").strip(),
        "registry": REGISTRY,
        "database_url": "postgresql://ledger:bench-ledger-password@172.30.6.20/ledger",
        "api_token": "bench-ledger-token",
    }
    head = "".join(f"{name}='{value}'\n" for name, value in variables.items())
    script = (ROOT / "bench/baseline.sh").read_text(encoding="utf-8")
    # From a file, because what the script starts might read its standard input.
    remote = "sudo sh -c 'cat >/root/baseline.sh && exec bash /root/baseline.sh </dev/null'"
    options = ["-i", str(KEYS / "id_ed25519"), "-o", f"UserKnownHostsFile={KEYS}/known_hosts", "-o", "BatchMode=yes"]
    return run(["ssh", "-F", "none", *options, f"deploy@{ADDRESS}", remote], input=head + script)


def site() -> str:
    return playbook("site.yml")


def deploy(version: str, nice: int = 0, **variables: Any) -> str:
    found = {"app": "ledger", "ledger_version": version, **variables}
    return playbook("deploy.yml", "-e", json.dumps(found), nice=nice)


def rollback() -> str:
    return playbook("rollback.yml", "-e", "app=ledger")


# The hosts


def start_hosts() -> None:
    run(["ansible-playbook", "testbed/up.yml", "-i", str(INVENTORY)])


def bare_host() -> None:
    """A new web host and an empty database."""
    run(["docker", "rm", "--force", "--volumes", WEB])
    psql = ["docker", "exec", "--user", "postgres", DB, "psql", "-q", "-c"]
    run([*psql, "DROP DATABASE IF EXISTS ledger WITH (FORCE)"])
    start_hosts()


def packages() -> set[str]:
    """The packages on the web host, with their versions."""
    return set(run(["docker", "exec", WEB, "dpkg-query", "-W", "-f", "${Package} ${Version}\n"]).splitlines())


def release_steps() -> dict[str, float]:
    """What the live release's manifest says of its steps; the one written last is it."""
    shell = "cat $(ls -t /var/lib/quayside/apps/ledger/releases/*Z-????????.json | head -n 1)"
    steps: dict[str, float] = json.loads(run(["docker", "exec", WEB, "sh", "-c", shell]))["steps"]
    return steps


def push_versions(versions: Sequence[str]) -> None:
    """Push versions of the app that differ in their files, as real ones do, and so in a layer."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(ROOT / "examples/ledger", copy, dirs_exist_ok=True)
        for version in versions:
            (Path(copy) / "ledger/build.txt").write_text(f"{version}\n", encoding="utf-8")
            tag = f"{PUSHED_TO}/ledger:{version}"
            arguments = ["--build-arg", "BASE_IMAGE=quayside/base:bookworm", "--build-arg", f"VERSION={version}"]
            run(["docker", "build", "-q", "-t", tag, *arguments, copy])
            run(["docker", "push", "-q", tag])
            if version != FIRST_VERSION:
                # The first one stays, and with it the layer of the dependencies, which versions of an app share.
                run(["docker", "rmi", tag])


# The bench


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def told(name: str, sample: Sample) -> Sample:
    say(f"  {name:<9} {sample.seconds:6.2f} s   (load {sample.load})")
    return sample


def bare_to_live(rounds: int, samples: dict[str, list[Sample]]) -> set[str]:
    """Both ways on a bare host each, in turn first and second; return the packages that only one of them installs."""
    installed: dict[str, set[str]] = {}
    ways: dict[str, tuple[Callable[[], str], Callable[[str], dict[str, float]]]] = {
        "baseline": (baseline, script_seconds),
        "site": (site, task_seconds),
    }
    for number in range(rounds):
        # In the last round site.yml comes last, so that what follows finds a converged host.
        for name in sorted(ways, reverse=(rounds - number) % 2 == 0):
            bare_host()
            sample, _output = measure(*ways[name])
            samples[name].append(told(name, sample))
            installed[name] = packages()
    return installed["baseline"] ^ installed["site"]


def nothing_to_do(rounds: int, samples: dict[str, list[Sample]]) -> None:
    """site.yml on a converged host; the first run, not measured, makes sure that it is one."""
    site()
    for _ in range(rounds):
        sample, output = measure(site, task_seconds)
        if changed := changed_count(output):
            raise BenchError(f"site.yml changed {changed} things where there was nothing to do:\n{output[-6000:]}")
        samples["noop"].append(told("noop", sample))


def deploys(rounds: int, samples: dict[str, list[Sample]], wanted: Iterable[str], kind: str = "", **app: Any) -> None:
    """A new version each time, and the ways back; the host ends each round with the version that it had before."""
    versions, base = [f"1.1.{number}" for number in range(rounds)], f"1.1.{rounds}"
    say("push the versions")
    push_versions([*versions, base])
    # One unmeasured, so that all of them replace a release of the same app.
    deploy(FIRST_VERSION, **app)

    def measured(name: str, action: Callable[[], str]) -> None:
        sample, output = measure(action, task_seconds)
        if not changed_count(output):
            raise BenchError(f"{name} changed nothing:\n{output[-6000:]}")
        found = Sample(sample.seconds, sample.tasks, release_steps(), sample.load)
        samples[kind + name].append(told(kind + name, found))

    for version in versions:
        if {"deploy", "rollback"} & {*wanted}:
            measured("deploy", partial(deploy, version, **app))
            measured("rollback", rollback)
        if "deploy" in wanted:
            measured("watched", partial(deploy, version, ledger_watch=WATCH, **app))
            rollback()
    if "warm" in wanted:
        # A release brings its own settings back: both have to be of an app that keeps releases warm.
        deploy(base, ledger_keep_warm=60, **app)
        for version in versions:
            deploy(version, ledger_keep_warm=60, **app)
            measured("warm", rollback)


def crashes(rounds: int, samples: dict[str, list[Sample]]) -> None:
    """Versions that crash at their start: how long until their owner knows."""
    for _ in range(rounds):
        load = os.getloadavg()[0]
        try:
            deploy("1.0.0", ledger_fault="crash_at_start")
        except BenchError as error:
            end = time.time()
            if "exited with code 1" not in str(error):
                raise
        else:
            raise BenchError("a deploy of a version that crashes at start did not fail")
        events = ["docker", "events", "--since", "5m", "--until", str(time.time()), "--filter", "event=die"]
        web = ["--filter", "label=quayside.process=web", "--format", "{{.TimeNano}}"]
        died = int(run(["docker", "exec", WEB, *events, *web]).split()[-1]) / 1e9
        samples["crash"].append(told("crash", Sample(round(end - died, 2), load=round(load, 2))))


def users() -> Site:
    return Site(WEB.replace("web", "services"), ADDRESS, DOMAINS[0], (KEYS / "acme-root.pem").read_text("utf-8"))


def load() -> under_load.Proof:
    """Deploys and ways back while users of all kinds are on the site."""
    versions = [f"1.2.{number}" for number in range(LOAD_DEPLOYS)]
    say("push the versions")
    push_versions(versions)

    def one(version: str) -> None:
        say(f"  under load: {version}")
        deploy(version, nice=under_load.CONTROLLER_NICE, ledger_drain_timeout=5)

    return under_load.deploys_under_load(users(), [partial(one, version) for version in versions], DB)


def report(
    samples: Mapping[str, Sequence[Sample]], empty_task: float, differ: set[str], proof: under_load.Proof | None
) -> dict[str, Any]:
    """Print the tables and the profile, and return everything for the JSON."""
    lines = rows(samples)
    print(table(lines))
    if proof:
        print(f"\n{under_load.table(proof)}")
        for failure in proof.failures:
            print(f"failed: {failure}")
    print(f"\nAn empty task over SSH costs {empty_task:.2f} s. Median seconds of the tasks and steps:")
    profiles = {}
    for name in TITLES:
        if samples.get(name):
            tasks, steps = medians(s.tasks for s in samples[name]), medians(s.steps for s in samples[name])
            profiles[name] = {"tasks": tasks, "steps": steps}
            print(profile(f"- {name}", tasks, 0.1))
            if steps:
                print(profile(f"  - steps of app_release in {name}", steps, 0.0))
    if differ:
        print(f"\nNot the same packages on both: {', '.join(sorted(differ))}")
    return {
        "table": [{**asdict(row), "verdict": row.verdict} for row in lines],
        "empty_task": empty_task,
        "profile": profiles,
        "packages_differ": sorted(differ),
        "load": asdict(proof) if proof else None,
        "samples": {name: [asdict(sample) for sample in found] for name, found in samples.items()},
    }


def machine() -> dict[str, Any]:
    """Where and of what the figures are."""
    try:
        git = run(["git", "describe", "--always", "--dirty"]).strip()
    except BenchError:
        git = "not a git checkout"
    return {
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "commit": git,
        "ansible": run(["ansible", "--version"]).splitlines()[0],
    }


def measure_apps(rounds: int, wanted: Sequence[str], keep: bool) -> dict[str, Any]:
    """Everything about apps, on the fleet of the bench."""
    samples: dict[str, list[Sample]] = {name: [] for name in TITLES}
    differ: set[str] = set()
    try:
        say("start the hosts")
        start_hosts()
        push_versions([FIRST_VERSION])
        if "live" in wanted:
            differ = bare_to_live(rounds, samples)
        else:
            site()
        empty_task = task_seconds(playbook("bench/empty.yml"))["Empty task"] / 10
        if "noop" in wanted:
            nothing_to_do(rounds, samples)
        if {"deploy", "rollback", "warm"} & {*wanted}:
            deploys(rounds, samples, wanted)
        if "lone" in wanted:
            deploys(rounds, samples, ("deploy", "rollback", "warm"), "lone ", ledger_workers=[])
        if "crash" in wanted:
            crashes(rounds, samples)
        before = edge.measure(WEB, users(), "ledger", rounds, say) if "edge" in wanted else {}
        found = report(samples, empty_task, differ, load() if "load" in wanted else None)
        return {**found, "edge": compared("edge", measures.EDGE, before)}
    finally:
        if not keep:
            run(["ansible-playbook", "testbed/down.yml", "-i", str(INVENTORY)])


def compared(
    title: str, what: Mapping[str, measures.Measure], samples: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    """Print the table of what has goals as ratios, and return it with its samples."""
    found = measures.figures(what, samples)
    if found:
        print(f"\n{measures.table(title, found)}")
    return {"table": [{**asdict(one), "verdict": one.verdict} for one in found], "samples": samples}


def measure_backups(rounds: int, keep: bool) -> dict[str, Any]:
    """Everything about backups, on a host of its own."""
    samples: dict[str, list[float]] = {}
    try:
        backups.measure(rounds, say, samples)
    finally:
        found = compared("backups", measures.BACKUPS, samples)
        if not keep:
            backups.stop_host()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--only", action="append", choices=CHOICES, help="only this part; may be repeated")
    parser.add_argument("--keep", action="store_true", help="leave the hosts up")
    options = parser.parse_args()
    wanted = options.only or CHOICES
    began = time.strftime("%Y-%m-%dT%H%M%SZ", time.gmtime())
    result: dict[str, Any] = {"began": began, **machine()}
    try:
        if {*wanted} - {"backup"}:
            result.update(measure_apps(options.rounds, wanted, options.keep))
        if "backup" in wanted:
            result["backups"] = measure_backups(options.rounds, options.keep)
        path = ROOT / f".cache/bench/{began}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        say(f"\nwritten to {path.relative_to(ROOT)}")
    except (BenchError, LoadError, edge.EdgeBenchError, backups.BackupBenchError) as error:
        say(f"bench: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
