# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The units of an app's jobs, and how a host gets and loses them."""

from __future__ import annotations

import fnmatch
import os
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _app_jobs, _app_jobs_host
from ansible_collections.quayside.web.plugins.module_utils._app_jobs import (
    COMMAND,
    LIBRARY,
    SOURCES,
    UNITS,
    Found,
    files,
    plan,
    timers,
    unit_pattern,
    units,
)
from ansible_collections.quayside.web.plugins.module_utils._app_jobs_host import JobsError, apply, schedule_problems

REPORT = {"name": "report", "command": ["report"], "schedule": "*:0/15", "timeout": 90}
TIDY = {"name": "tidy", "command": ["tidy", "--all"], "schedule": "04:30", "timeout": 3600}
SERVICE, TIMER = f"{UNITS}/quayside-job-shop.report.service", f"{UNITS}/quayside-job-shop.report.timer"
PROGRAM = dict.fromkeys(SOURCES, "# program")


def app(*jobs: dict[str, Any], name: str = "shop") -> dict[str, Any]:
    return {"name": name, "stop_timeout": 20, "jobs": list(jobs)}


def parsed(text: str) -> RawConfigParser:
    parser = RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


# What a host should have


def test_units() -> None:
    found = units(app(REPORT, TIDY))
    assert [path.rpartition(".")[2] for path in found] == ["service", "service", "timer", "timer"], "timers come last"
    service, timer = parsed(found[SERVICE]), parsed(found[TIMER])
    assert service["Service"]["ExecStart"] == f"{COMMAND} shop report --timeout 90"
    assert service["Service"]["Type"] == "oneshot"
    assert int(service["Service"]["TimeoutStopSec"]) > 20, "the container's own time comes first"
    assert service["Service"]["ReadWritePaths"] == "/var/lib/quayside/apps/shop"
    assert timer["Timer"]["OnCalendar"] == "*:0/15"
    assert timer["Timer"]["Persistent"] == "true"
    assert "RandomizedDelaySec" not in timer["Timer"]


def test_a_percent_sign_is_no_specifier() -> None:
    found = units(app({**REPORT, "schedule": "%h"}))
    assert "OnCalendar=%%h\n" in found[TIMER]


def test_no_two_jobs_share_a_unit_and_no_app_owns_anothers() -> None:
    first = units(app({**REPORT, "name": "b-c"}, name="a"))
    second = units(app({**REPORT, "name": "c"}, name="a-b"))
    assert not first.keys() & second.keys()
    names = [Path(path).name for path in (*first, *second)]
    assert fnmatch.filter(names, unit_pattern("a")) == [Path(path).name for path in first]


def test_an_app_without_jobs_needs_nothing() -> None:
    assert files(app(), PROGRAM) == {}
    wanted = files(app(REPORT), PROGRAM)
    assert {f"{LIBRARY}/__init__.py", f"{LIBRARY}/_job_runner.py", COMMAND, SERVICE, TIMER} <= wanted.keys()
    assert wanted[COMMAND][1] == 0o755


# What is done


WANTED = files(app(REPORT, TIDY), PROGRAM)
ALL = frozenset(timers(app(REPORT, TIDY)))


def test_a_bare_host_gets_everything() -> None:
    decided = plan(app(REPORT, TIDY), WANTED, Found({}))
    assert (decided.write, set(decided.start), decided.remove, decided.changed) == (WANTED, ALL, (), True)


def test_nothing_to_do() -> None:
    assert not plan(app(REPORT, TIDY), WANTED, Found(WANTED, ALL)).changed
    assert not plan(app(), {}, Found({})).changed


@pytest.mark.parametrize(
    ("path", "found", "start"),
    [
        pytest.param(TIMER, ("[Timer]\n", 0o644), ("quayside-job-shop.report.timer",), id="schedule"),
        pytest.param(SERVICE, ("[Service]\n", 0o644), (), id="service"),
        pytest.param(COMMAND, (WANTED[COMMAND][0], 0o644), (), id="mode of the program"),
    ],
)
def test_one_difference(path: str, found: tuple[str, int], start: tuple[str, ...]) -> None:
    decided = plan(app(REPORT, TIDY), WANTED, Found({**WANTED, path: found}, ALL))
    assert (list(decided.write), decided.start) == ([path], start)


def test_a_timer_that_does_not_run_is_started() -> None:
    decided = plan(app(REPORT, TIDY), WANTED, Found(WANTED, ALL - {"quayside-job-shop.tidy.timer"}))
    assert (decided.write, decided.start) == ({}, ("quayside-job-shop.tidy.timer",))


def test_what_is_no_longer_listed_goes() -> None:
    decided = plan(app(TIDY), files(app(TIDY), PROGRAM), Found(WANTED, ALL))
    assert (decided.remove, decided.write, decided.start) == ((SERVICE, TIMER), {}, ())
    everything = plan(app(), {}, Found(units_only(WANTED), ALL))
    assert len(everything.remove) == 4


def units_only(found: dict[str, tuple[str, int]]) -> dict[str, tuple[str, int]]:
    return {path: file for path, file in found.items() if path.startswith(UNITS)}


# On a host


class Host:
    """A host's folders and a systemctl that tells what it was asked, below a folder of the test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "systemctl.log"
        self.units = root / "units"
        self.command("systemctl", f'echo "$@" >> {self.log}; [ "$1" != show ] || cat {root}/states 2>/dev/null; true')

    def command(self, name: str, script: str) -> None:
        path = self.root / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def calls(self) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines

    def started(self, *names: str) -> None:
        states = [f"Id={name}\nActiveState=active\nUnitFileState=enabled\n" for name in names]
        (self.root / "states").write_text("\n".join(states))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for module in (_app_jobs, _app_jobs_host):
        monkeypatch.setattr(module, "UNITS", str(found.units))
    monkeypatch.setattr(_app_jobs, "LIBRARY", str(tmp_path / "library" / "quayside_job"))
    monkeypatch.setattr(_app_jobs, "COMMAND", str(tmp_path / "local" / "quayside-job"))
    monkeypatch.setattr(_app_jobs_host, "_STAMPS", str(tmp_path / "stamps"))
    monkeypatch.setattr(_app_jobs_host, "APPS_DIRECTORY", str(tmp_path / "apps"))
    # Here the collection is no package whose data could be asked for.
    monkeypatch.setattr(_app_jobs_host, "program_sources", lambda: PROGRAM)
    return found


def test_jobs_come_and_go(host: Host) -> None:
    assert apply(app(REPORT, TIDY), check=True)
    assert not host.units.exists(), "a check writes nothing"
    host.calls()
    assert apply(app(REPORT, TIDY), check=False)
    both = "quayside-job-shop.report.timer quayside-job-shop.tidy.timer"
    assert host.calls()[1:] == ["daemon-reload", f"enable {both}", f"restart {both}"]
    assert len(list(host.units.iterdir())) == 4

    host.started(*both.split())
    assert not apply(app(REPORT, TIDY), check=False)
    assert [call.split()[0] for call in host.calls()] == ["show"]

    (host.units / "quayside-job-shop.tidy.service.d").mkdir()
    (host.units / "quayside-job-shop-two.report.timer").touch()
    stamp = host.root / "stamps" / "stamp-quayside-job-shop.report.timer"
    record = host.root / "apps" / "shop" / "jobs" / "report.json"
    for path in (stamp, record):
        path.parent.mkdir(parents=True)
        path.touch()
    assert apply(app(TIDY), check=False)
    assert host.calls()[1:] == [
        "disable --now quayside-job-shop.report.timer",
        "daemon-reload",
        "reset-failed quayside-job-shop.report.service",
    ]
    assert sorted(path.name for path in host.units.iterdir()) == [
        "quayside-job-shop-two.report.timer",
        "quayside-job-shop.tidy.service",
        "quayside-job-shop.tidy.service.d",
        "quayside-job-shop.tidy.timer",
    ]
    assert not stamp.exists()
    assert not record.exists()


def test_an_app_without_jobs_asks_systemd_nothing(host: Host) -> None:
    assert not apply(app(), check=False)
    assert schedule_problems(app()) == []
    assert host.calls() == []


def test_what_systemd_refuses_is_told(host: Host) -> None:
    host.command("systemctl", '[ "$1" = show ] || { echo "Access denied" >&2; exit 1; }')
    with pytest.raises(JobsError, match="systemctl daemon-reload failed: Access denied"):
        apply(app(REPORT), check=False)


def test_a_bare_host_is_checked_without_systemd(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(host.root / "nothing"))
    assert apply(app(REPORT), check=True)
    assert schedule_problems(app(REPORT)) == []


def test_schedules_are_judged_by_systemd(host: Host) -> None:
    host.command(
        "systemd-analyze",
        f'echo "$3" >> {host.root}/asked\n'
        'case $3 in never*) echo "Next elapse: never" ;; bad*) echo "Failed to parse: $3" >&2; exit 1 ;; esac',
    )
    jobs = [{**REPORT, "name": name, "schedule": name} for name in ("bad", "never", "good")]
    bad, never = schedule_problems(app(*jobs))
    assert bad.startswith(
        'app "shop": the schedule of job "bad" is "bad", which systemd does not accept (Failed to parse'
    )
    assert "systemd.time(7)" in bad
    assert '"never", which systemd does not accept (it lies in the past)' in never
    (host.root / "asked").unlink()
    apply(app(jobs[2]), check=False)
    assert schedule_problems(app(jobs[2])) == []
    assert not (host.root / "asked").exists(), "what is in place was accepted before"
