# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Puts an app's jobs on the host: the program, the units, the timers. Only I/O."""

from __future__ import annotations

import functools
import pkgutil
import shutil
import stat
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import _job_runner
from ._app_jobs import SOURCES, UNITS, Found, Plan, files, plan, schedule_problem, timers, unit_pattern, units
from ._app_places import APPS_DIRECTORY
from ._files import make_folder, write_atomically

_STAMPS = "/var/lib/systemd/timers"


class JobsError(Exception):
    """The jobs could not be set up; one sentence."""


def schedule_problems(app: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each schedule that this host's systemd does not accept."""
    if not app["jobs"]:
        return []
    # Read now: what the module came in may be gone when a deploy that has lost its controller gets to `apply`.
    program_sources()
    if not shutil.which("systemd-analyze"):
        return []
    wanted = units(app)
    problems = []
    for job, timer in zip(app["jobs"], timers(app)):
        path = f"{UNITS}/{timer}"
        # What is in place already was accepted when it came there.
        if _read([path]).get(path, ("", 0))[0] == wanted[path]:
            continue
        done = _run("systemd-analyze", "calendar", "--", job["schedule"])
        never = "Next elapse: never" in done.stdout
        if done.returncode or never:
            reason = "it lies in the past" if never else " ".join(done.stderr.split())[:200]
            problems.append(schedule_problem(app["name"], job, reason))
    return problems


def apply(app: Mapping[str, Any], *, check: bool) -> bool:
    """Bring the host's units for the app's jobs to what the app says, and return whether anything differed.

    Raises:
        JobsError: systemd refuses.
        OSError: a file cannot be written.
    """
    wanted = files(app, program_sources() if app["jobs"] else {})
    owned = [str(path) for path in Path(UNITS).glob(unit_pattern(app["name"])) if path.suffix in {".service", ".timer"}]
    found = Found(_read({*wanted, *owned}), _running(timers(app)))
    decided = plan(app, wanted, found)
    if decided.changed and not check:
        _apply(app["name"], decided)
    return decided.changed


def _apply(app: str, decided: Plan) -> None:
    gone = [path.rpartition("/")[2] for path in decided.remove]
    stopped = [name for name in gone if name.endswith(".timer")]
    if stopped:
        _systemctl("disable", "--now", *stopped)
    for path in decided.remove:
        Path(path).unlink(missing_ok=True)
    for path, (text, mode) in decided.write.items():
        make_folder(Path(path).parent, repair=False)
        write_atomically(Path(path), text, mode)
    if any(path.startswith(UNITS) for path in (*decided.write, *decided.remove)):
        _systemctl("daemon-reload")
    for name in gone:
        _forget(app, name)
    if decided.start:
        _systemctl("enable", *decided.start)
        _systemctl("restart", *decided.start)


def _forget(app: str, unit: str) -> None:
    """Remove what a job that is no longer listed has left, so that it neither fails nor is late if it comes back."""
    name, _dot, kind = unit.rpartition(".")
    if kind == "timer":
        (Path(_STAMPS) / f"stamp-{unit}").unlink(missing_ok=True)
        return
    _run("systemctl", "reset-failed", unit)
    record = Path(APPS_DIRECTORY) / app / "jobs" / f"{name.rpartition('.')[2]}.json"
    record.unlink(missing_ok=True)


@functools.cache
def program_sources() -> dict[str, str]:
    """This collection's code of the program, as it travelled here with the module."""
    package = _job_runner.__name__.rpartition(".")[0]
    found = {name: pkgutil.get_data(package, name) for name in SOURCES}
    if missing := [name for name, text in found.items() if not text]:
        raise JobsError(f"this collection's copy lacks {', '.join(missing)}; install quayside.web again.")
    return {name: (text or b"").decode() for name, text in found.items()}


def _read(paths: Iterable[str]) -> dict[str, tuple[str, int]]:
    found = {}
    for path in paths:
        with suppress(FileNotFoundError):
            found[path] = (Path(path).read_text("utf-8", errors="replace"), stat.S_IMODE(Path(path).stat().st_mode))
    return found


def _running(names: list[str]) -> frozenset[str]:
    """Return which of these timers are enabled and active; one question for all, and none where there are none."""
    if not names or not shutil.which("systemctl"):
        return frozenset()
    done = _run("systemctl", "show", *names, "--property=Id,ActiveState,UnitFileState")
    states = [dict(line.partition("=")[::2] for line in unit.splitlines()) for unit in done.stdout.split("\n\n")]
    good = {"ActiveState": "active", "UnitFileState": "enabled"}
    return frozenset(state["Id"] for state in states if good.items() <= state.items())


def _systemctl(*arguments: str) -> None:
    done = _run("systemctl", *arguments)
    if done.returncode:
        raise JobsError(f"systemctl {' '.join(arguments)} failed: {' '.join(done.stderr.split())[:300]}")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
