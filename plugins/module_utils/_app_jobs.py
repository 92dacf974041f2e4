# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a host needs for an app's jobs: the program that runs them, and a systemd timer and service for each. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ._systemd import HARDENING

UNITS = "/etc/systemd/system"
LIBRARY = "/usr/local/lib/quayside/quayside_job"
COMMAND = "/usr/local/bin/quayside-job"
#: The module utils that make up the program; they import each other and the standard library, nothing else.
SOURCES = ("_files.py", "_job_choice.py", "_job_runner.py")
EXAMPLE = "a calendar event of systemd.time(7) such as *:0/15 or 04:30"

_LAUNCHER = f"""\
#!/usr/bin/python3 -I
# Installed by quayside.web.app_release.
import sys

sys.path.insert(0, "{LIBRARY.rpartition("/")[0]}")

from quayside_job._job_runner import main

sys.exit(main())
"""

_SERVICE = (
    """\
# Installed by quayside.web.app_release.
[Unit]
Description=Job {job} of app {app}
Wants=docker.service
After=docker.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart={command} {app} {job} --timeout {timeout}
# The program ends its container itself; the container has {stop_timeout} s to do so.
KillMode=mixed
TimeoutStopSec={patience}
SyslogIdentifier={name}
UMask=0077
ReadWritePaths=/var/lib/quayside/apps/{app}
RestrictAddressFamilies=AF_UNIX
"""
    + HARDENING
)

_TIMER = """\
# Installed by quayside.web.app_release.
[Unit]
Description=Job {job} of app {app} by calendar

[Timer]
OnCalendar={schedule}
AccuracySec=1s
Persistent=true

[Install]
WantedBy=timers.target
"""


@dataclass(frozen=True)
class Found:
    """A host's files by path as (text, mode), and the timers of the app that are both enabled and active."""

    files: Mapping[str, tuple[str, int]]
    running: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plan:
    """What is to be done; empty when the host is as it should be."""

    write: Mapping[str, tuple[str, int]]
    remove: tuple[str, ...] = ()
    start: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.write or self.remove or self.start)


def unit_name(app: str, job: str) -> str:
    """Return the name of a job's units. The dot is in no name of an app or a job, so no two jobs share one."""
    return f"quayside-job-{app}.{job}"


def unit_pattern(app: str) -> str:
    """Return what matches the file names of all the app's units, and of no other app's."""
    return unit_name(app, "*")


def units(app: Mapping[str, Any]) -> dict[str, str]:
    """Return the units of an app's jobs by their paths: first the services, then the timers that need them."""
    services, timers = {}, {}
    for job in app["jobs"]:
        name = unit_name(app["name"], job["name"])
        services[f"{UNITS}/{name}.service"] = _SERVICE.format(
            app=app["name"],
            job=job["name"],
            name=name,
            command=COMMAND,
            timeout=job["timeout"],
            stop_timeout=app["stop_timeout"],
            patience=app["stop_timeout"] + 30,
        )
        # systemd would read a percent sign as the start of a specifier.
        timers[f"{UNITS}/{name}.timer"] = _TIMER.format(
            app=app["name"], job=job["name"], schedule=job["schedule"].replace("%", "%%")
        )
    return {**services, **timers}


def files(app: Mapping[str, Any], sources: Mapping[str, str]) -> dict[str, tuple[str, int]]:
    """Return every file for the app's jobs with its mode; none for an app without jobs. sources: of the program."""
    if not app["jobs"]:
        return {}
    program = {f"{LIBRARY}/{name}": (text, 0o644) for name, text in {"__init__.py": "", **sources}.items()}
    return {**program, COMMAND: (_LAUNCHER, 0o755), **{path: (text, 0o644) for path, text in units(app).items()}}


def timers(app: Mapping[str, Any]) -> list[str]:
    return [f"{unit_name(app['name'], job['name'])}.timer" for job in app["jobs"]]


def plan(app: Mapping[str, Any], wanted: Mapping[str, tuple[str, int]], found: Found) -> Plan:
    """Compare the host with what it should be."""
    write = {path: file for path, file in wanted.items() if found.files.get(path) != file}
    return Plan(
        write=write,
        remove=tuple(path for path in sorted(found.files) if path not in wanted),
        # A timer whose calendar changed has to be started again, or it waits for the old one.
        start=tuple(name for name in timers(app) if name not in found.running or f"{UNITS}/{name}" in write),
    )


def schedule_problem(app: str, job: Mapping[str, Any], reason: str) -> str:
    """Return one sentence on a schedule that systemd does not accept. reason: systemd's own words."""
    return (
        f'app "{app}": the schedule of job "{job["name"]}" is "{job["schedule"]}", which systemd does not accept '
        f"({reason}); accepted: {EXAMPLE}. Try yours with: systemd-analyze calendar '{job['schedule']}'."
    )
