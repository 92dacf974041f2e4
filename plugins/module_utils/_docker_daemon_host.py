# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Docker engine on this host: its configuration, a trial of another one, and the change. Only I/O."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from . import _docker_api
from ._docker_daemon import (
    DEFAULT_ROOT,
    DaemonError,
    Options,
    Plan,
    State,
    flags_of_unit,
    major,
    parse_version,
    reason,
    to_text,
    trial,
)
from ._docker_hold import held
from ._files import make_folder, write_atomically, write_json
from ._host_run import Run

FILE = Path("/etc/docker/daemon.json")
RECORD = Path("/var/lib/quayside/docker-daemon.json")
UNIT = "docker.service"
#: A trial that neither fails nor answers by then has not been refused.
TRIAL_TIMEOUT = 30


def read_state(run: Run) -> State:
    binary = shutil.which("dockerd", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if binary is None:
        return State(file=_read_file())
    show = run(["systemctl", "show", UNIT, "-p", "ActiveState,UnitFileState,ActiveEnterTimestampMonotonic"])[1]
    unit = dict(line.split("=", 1) for line in show.splitlines() if "=" in line)
    active = unit.get("ActiveState") == "active"
    file, record = _read_file(), _read_record()
    return State(
        version=parse_version(run([binary, "--version"])[1]),
        file=file,
        effective=_effective(file, record, int(unit.get("ActiveEnterTimestampMonotonic") or 0)) if active else None,
        ours=record.get("ours", {}),
        active=active,
        boot=unit.get("UnitFileState") == "enabled",
        info=(_docker_api.get("/info") or {}) if active else {},
    )


def _effective(file: Options | None, record: dict[str, Any], started: int) -> Options | None:
    """The engine has what stood in the file when it started, and what was reloaded since."""
    if file is None:
        return {}
    applied: Options = record.get("applied") or {}
    written = FILE.stat().st_mtime - (time.time() - time.monotonic())
    return file if file == applied or started / 1e6 > written else applied


def _read_file() -> Options | None:
    if not FILE.exists():
        return None
    text = FILE.read_text(encoding="utf-8")
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise DaemonError(f"{FILE} is not JSON ({error}); correct or remove it") from error
    if not isinstance(found, dict):
        raise DaemonError(f"{FILE} holds a {type(found).__name__}, accepted is an object; correct or remove it")
    return found


def _read_record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    return found


def try_out(plan: Plan, version: str, run: Run) -> None:
    """Have an engine of its own start with this configuration, where it can touch nothing.

    In a network of its own, with folders of its own, and stopped as soon as it is up. Costs about a second.

    Raises:
        DaemonError: it refuses, in its own words.
    """
    # The packages may have been installed without starting anything, and an engine waits long for its containerd.
    run(["systemctl", "start", "containerd.service"])
    root = Path(str(plan.content.get("data-root") or DEFAULT_ROOT))
    # On the file system that the containers are to live on, which decides about storage drivers.
    near = next(path for path in (root, *root.parents) if path.is_dir())
    with (
        tempfile.TemporaryDirectory(prefix="quayside-", dir="/run") as folder,
        tempfile.TemporaryDirectory(prefix=".quayside-trial-", dir=near, ignore_cleanup_errors=True) as trial_root,
    ):
        flags = flags_of_unit(run(["systemctl", "show", UNIT, "-p", "ExecStart"])[1])
        options, flags = trial(plan.content, flags, folder, trial_root)
        candidate = Path(folder) / "daemon.json"
        if major(version) >= 23:
            candidate.write_text(to_text(plan.content), encoding="utf-8")
            code, out, err = run(["dockerd", "--validate", "--config-file", str(candidate)])
            if code != 0:
                raise _refused(version, out + err)
        candidate.write_text(to_text(options), encoding="utf-8")
        said = _run_trial(["dockerd", "--config-file", str(candidate), *flags], Path(folder))
        if said is not None:
            raise _refused(version, said)


def _refused(version: str, said: str) -> DaemonError:
    return DaemonError(
        f"Docker {version} does not accept its configuration: {reason(said)}. Nothing was changed; correct "
        "docker_daemon_options, whose names are those of daemon.json for this version"
    )


def _run_trial(command: list[str], folder: Path) -> str | None:
    """Run it until it answers or ends; what it said where it ended."""
    up = ["unshare", "--net", "--mount", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", *command]
    with (folder / "log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(up, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + TRIAL_TIMEOUT
            while process.poll() is None and time.monotonic() < deadline:
                if _docker_api.answers(folder / "socket"):
                    return None
                time.sleep(0.1)
            if process.poll() is None:
                return None
            log.seek(0)
            return log.read()
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def apply_plan(plan: Plan, state: State, ours: Options, run: Run) -> None:
    """Write the configuration and have the engine take it over; on failure everything is as it was."""
    before = FILE.read_text(encoding="utf-8") if FILE.exists() else None
    containers = _running()
    make_folder(FILE.parent, repair=False)
    if plan.keep_running:
        _turn_live_restore_on(state, before, run)
    try:
        if plan.write:
            write_atomically(FILE, to_text(plan.content), mode=0o644)
        if plan.how == "restart":
            with held(plan.content.get("userland-proxy") is False, run):
                _systemctl(plan.how, run)
        elif plan.how:
            _systemctl(plan.how, run)
    except DaemonError:
        _restore(before, run)
        raise
    if plan.boot:
        run(["systemctl", "enable", "--quiet", UNIT])
    lost = containers - _running() if plan.how != "start" else set()
    make_folder(RECORD.parent)
    write_json(RECORD, {"ours": {k: v for k, v in ours.items() if v is not None}, "applied": dict(plan.content)})
    if lost:
        raise DaemonError(f"the restart of Docker ended {', '.join(sorted(lost))}; see `journalctl -u docker`")


def _running() -> set[str]:
    return {str(item["Names"][0]).lstrip("/") for item in _docker_api.get("/containers/json") or []}


def _turn_live_restore_on(state: State, before: str | None, run: Run) -> None:
    """The engine that runs decides what a restart ends, and this one option it takes over without one."""
    write_atomically(FILE, to_text({**(state.effective or {}), "live-restore": True}), mode=0o644)
    run(["systemctl", "reload", UNIT])
    deadline = time.monotonic() + 10
    while not (_docker_api.get("/info") or {}).get("LiveRestoreEnabled"):
        if time.monotonic() > deadline:
            _put_back(before)
            run(["systemctl", "reload", UNIT])
            raise DaemonError(
                "Docker did not take over live-restore at a reload, so that the restart which the new options need "
                "would stop running containers; nothing was changed"
            )
        time.sleep(0.1)


def _systemctl(how: str, run: Run) -> None:
    # As many restarts as there are tries; systemd's own limit is about crashes.
    run(["systemctl", "reset-failed", UNIT, "docker.socket"])
    code, out, err = run(["systemctl", how, UNIT])
    if code != 0:
        journal = run(["journalctl", "--unit", UNIT, "--output", "cat", "--lines", "40", "--no-pager"])[1]
        raise DaemonError(
            f"Docker does not {how} with its new configuration: {reason(journal or out + err)}. What was in force "
            "before is in force; correct docker_daemon_options"
        )


def _put_back(before: str | None) -> None:
    if before is None:
        FILE.unlink(missing_ok=True)
    else:
        write_atomically(FILE, before, mode=0o644)


def _restore(before: str | None, run: Run) -> None:
    _put_back(before)
    run(["systemctl", "reset-failed", UNIT, "docker.socket"])
    run(["systemctl", "restart", UNIT])
