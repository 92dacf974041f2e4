# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Runs one job of an app in its live release. Installed on the host; needs the standard library and the docker CLI."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ._files import write_json
from ._job_choice import Container, Record, choose, last_lines, live_release, parse, result_of

APPS = "/var/lib/quayside/apps"
_TAIL_BYTES = 1 << 16
#: A deploy moves the flag a moment before it makes the new release's jobs.
FIND_SECONDS = 60.0
_TIMED_OUT, _STOPPED = 124, 143
_FIELDS = ("slot", "process", "kind", "release")


class JobError(Exception):
    """The job could not be run; one sentence."""


class Gone(JobError):
    """A deploy has removed the container before it could be started."""


class Stopped(Exception):
    """systemd wants the job to end, because of `systemctl stop` or a shutdown."""


# What is there


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise JobError(f"docker {arguments[0]} failed: {' '.join(done.stderr.split())[:300]}")
    return done.stdout


def containers_of(app: str) -> list[Container]:
    fields = "\t".join(["{{.ID}}", "{{.State}}", *(f'{{{{.Label "quayside.{name}"}}}}' for name in _FIELDS)])
    listing = docker("ps", "--all", "--no-trunc", "--filter", f"label=quayside.app={app}", "--format", fields)
    return parse(listing)


def find(app: str, job: str, folder: Path) -> Container:
    """Return the container to run, and wait for it while a deploy or a boot is about to bring it.

    Raises:
        JobError: there is none.
    """
    deadline = time.monotonic() + FIND_SECONDS
    while True:
        slot = live_slot(folder)
        try:
            found = choose(containers_of(app), slot, job)
            reason = f"the live release (slot {slot}) has no container for it; deploy the app again"
        except JobError as error:
            found, reason = None, str(error)
        if found:
            return found
        if time.monotonic() > deadline:
            raise JobError(reason)
        time.sleep(1)


def live_slot(folder: Path) -> str:
    return "green" if (folder / "green").exists() else "blue"


def state(container: str) -> Mapping[str, Any]:
    """Return the state of a container; empty if it is gone."""
    try:
        found: Mapping[str, Any] = json.loads(docker("inspect", "--type", "container", container))[0]["State"]
    except JobError as error:
        if "No such" not in str(error):
            raise
        return {}
    return found


# The run


def run(container: Container, timeout: float, tail: bytearray) -> tuple[int, bool, bool]:
    """Run a container to its end, with its output on ours and the last of it in `tail`.

    Returns:
        The exit code, whether it ran out of time, and whether it ran out of memory.
    """
    deadline = time.monotonic() + timeout
    command = ["docker", "start", "--attach", container.id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL) as cli:
        try:
            _relay(cli, deadline, tail)
            ended = _ended(container.id, deadline)
            if not ended:
                _stop(container, cli, tail)
            with suppress(subprocess.TimeoutExpired):
                cli.wait(10)
        except Stopped:
            _stop(container, cli, tail)
            raise
        finally:
            cli.kill()
    found = state(container.id)
    if not found and b"No such container" in tail:
        raise Gone(f"container {container.id[:12]} was removed before it could be started")
    code = int(found.get("ExitCode", cli.returncode))
    # The engine could not start it at all: then it has no exit code of its own.
    return code or (1 if found.get("Error") else 0), not ended, bool(found.get("OOMKilled"))


def _stop(container: Container, cli: subprocess.Popen[bytes], tail: bytearray) -> None:
    docker("stop", container.id)
    _relay(cli, time.monotonic() + 10, tail)


def _relay(cli: subprocess.Popen[bytes], deadline: float, tail: bytearray) -> None:
    """Pass output on until it ends or time is over."""
    output = cli.stdout
    if output is None:
        raise AssertionError("the container's output goes into a pipe")
    while (left := deadline - time.monotonic()) > 0:
        if select.select([output], [], [], left)[0]:
            chunk = os.read(output.fileno(), 1 << 16)
            if not chunk:
                break
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            tail += chunk
            del tail[:-_TAIL_BYTES]


def _ended(container: str, deadline: float) -> bool:
    """Wait for the end: the engine may be restarted under a job that it keeps alive, and the output ends then."""
    while True:
        try:
            if not state(container).get("Running"):
                return True
        except JobError:
            pass
        if time.monotonic() >= deadline:
            return False
        time.sleep(1)


def clean(app: str, container: Container, folder: Path) -> None:
    """Remove a container that has outlived its release: the deploy left it to finish."""
    slot = live_slot(folder)
    if container.slot != slot or container.release != live_release(containers_of(app), slot):
        docker("rm", container.id)


def work(app: str, job: str, timeout: float, folder: Path) -> int:
    """Run a job and record it; returns what to exit with."""
    jobs = folder / "jobs"
    began = time.monotonic()
    record = Record(started=_now())
    container, tail = None, bytearray()
    write(jobs, job, record, first=True)
    try:
        while record.exit_code is None:
            container = find(app, job, folder)
            record = replace(record, release=container.release, slot=container.slot)
            write(jobs, job, record)
            with suppress(Gone):
                code, timed_out, oom = run(container, timeout, tail)
                result, message = result_of(code, timed_out, oom, timeout)
                record = replace(record, result=result, message=message, exit_code=code)
    except Stopped:
        record = replace(record, result="failed", message="it was stopped by systemd", exit_code=_STOPPED)
    except JobError as error:
        record = replace(record, result="failed", message=str(error))
    seconds = round(time.monotonic() - began, 3)
    write(jobs, job, replace(record, finished=_now(), seconds=seconds, last_lines=last_lines(tail)))
    if record.message:
        sys.stderr.write(f"job {job} of app {app}: {record.message}\n")
    if container:
        with suppress(JobError):
            clean(app, container, folder)
    if record.result == "timeout":
        return _TIMED_OUT
    return 1 if record.exit_code is None else record.exit_code


# Records


def write(jobs: Path, job: str, record: Record, *, first: bool = False) -> None:
    """Replace the record. Starts that were skipped since the first record of this run are counted in it."""
    with _alone(jobs):
        before = _read(jobs, job)
        if before and not first:
            record = replace(record, skipped=before["skipped"], skipped_at=before["skipped_at"])
        write_json(jobs / f"{job}.json", asdict(record))


def skip(jobs: Path, job: str) -> None:
    """Note a start while a run is not over."""
    with _alone(jobs):
        before = _read(jobs, job)
        if before:
            write_json(jobs / f"{job}.json", {**before, "skipped": before["skipped"] + 1, "skipped_at": _now()})


def _read(jobs: Path, job: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((jobs / f"{job}.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _told_to_stop(_signal: int, _frame: object) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    raise Stopped


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="quayside-job", description=__doc__)
    parser.add_argument("app")
    parser.add_argument("job")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds (3600)")
    options = parser.parse_args(arguments)
    folder = Path(APPS) / options.app
    if not folder.is_dir():
        parser.error(f"there is no app {options.app} on this host")
    jobs = folder / "jobs"
    jobs.mkdir(mode=0o700, exist_ok=True)
    with (jobs / f"{options.job}.lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            skip(jobs, options.job)
            sys.stdout.write(f"job {options.job} of app {options.app} is still running: this start is skipped\n")
            return 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _told_to_stop)
        return work(options.app, options.job, options.timeout, folder)
