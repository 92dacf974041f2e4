# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Jobs run for real, against a docker command that stands in for the engine's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _job_runner
from ansible_collections.quayside.web.plugins.module_utils._app_jobs import SOURCES

OLD, NEW = "20261121T000001Z-aaaaaaaa", "20261121T000002Z-bbbbbbbb"

# Containers are files <id> of labels in $FAKE/containers, and shell scripts <id>.sh; a running one has <id>.pid.
DOCKER = r"""#!/bin/bash
cd "$FAKE/containers" || exit 1
id=${!#}
echo "$1 $id" >> ../calls
case $1 in
ps)
    [ ! -e ../down ] || { echo "Cannot connect to the Docker daemon" >&2; exit 1; }
    for item in $(ls | grep -v '[.]'); do
        [ -e "$item.pid" ] && state=running || state=exited
        printf '%s\t%s\t%s\n' "$item" "$state" "$(cat "$item")"
    done ;;
start)
    [ ! -e ../gone ] || { rm ../gone "$id"; echo "Error: No such container: $id"; exit 1; }
    if [ ! -e "$id.pid" ]; then
        bash "$id.sh" & echo $! > "$id.pid"
        wait $!; code=$?
        [ -e ../detached ] || { echo $code > "$id.code"; rm -f "$id.pid"; }
        exit $code
    fi
    while [ -e "$id.pid" ]; do sleep 0.05; done ;;
inspect)
    [ -e "$id" ] || { echo "Error: No such container: $id" >&2; exit 1; }
    [ -e "$id.pid" ] && running=true || running=false
    code=$(cat "$id.code" 2>/dev/null || echo 0)
    oom=$(cat "$id.oom" 2>/dev/null || echo false)
    echo "[{\"State\": {\"Running\": $running, \"ExitCode\": $code, \"OOMKilled\": $oom, \"Error\": \"\"}}]" ;;
stop)
    kill "$(cat "$id.pid")"; while [ -e "$id.pid" ]; do sleep 0.05; done ;;
rm)
    rm "$id" ;;
esac
"""


class Engine:
    """The stand-in, and the folder of an app."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.containers = root / "containers"
        self.containers.mkdir()
        self.app = root / "apps" / "shop"
        (self.app / "jobs").mkdir(parents=True)
        binary = root / "bin" / "docker"
        binary.parent.mkdir()
        binary.write_text(DOCKER)
        binary.chmod(0o755)

    def web(self, slot: str, release: str) -> None:
        (self.containers / f"web-{slot}").write_text(f"{slot}\tweb\tweb\t{release}")
        (self.containers / f"web-{slot}.pid").touch()

    def job(self, slot: str, release: str, script: str) -> Path:
        path = self.containers / f"report-{release[-8:]}"
        path.write_text(f"{slot}\treport\tjob\t{release}")
        path.with_suffix(".sh").write_text(script)
        return path

    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.app / "jobs" / "report.json").read_text())
        return found

    def calls(self, command: str) -> list[str]:
        lines = (self.root / "calls").read_text().splitlines()
        return [line.split()[1] for line in lines if line.split()[0] == command]

    def work(self, timeout: float = 30) -> int:
        return _job_runner.work("shop", "report", timeout, self.app)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    found = Engine(tmp_path)
    monkeypatch.setenv("FAKE", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setattr(_job_runner, "APPS", str(tmp_path / "apps"))
    monkeypatch.setattr(_job_runner, "FIND_SECONDS", 0.0)
    found.web("blue", OLD)
    return found


@pytest.mark.parametrize(
    ("script", "code", "result"), [("echo one; echo two >&2", 0, "ok"), ("echo one; echo two; exit 7", 7, "failed")]
)
def test_a_run_is_recorded(
    engine: Engine, capfdbinary: pytest.CaptureFixture[bytes], script: str, code: int, result: str
) -> None:
    engine.job("blue", OLD, script)
    assert engine.work() == code
    record = engine.record()
    assert (record["result"], record["exit_code"]) == (result, code)
    assert (record["release"], record["slot"], record["last_lines"]) == (OLD, "blue", ["one", "two"])
    assert record["started"] <= record["finished"]
    assert bool(record["message"]) is bool(code)
    assert capfdbinary.readouterr().out == b"one\ntwo\n"
    assert (engine.app / "jobs" / "report.json").stat().st_mode & 0o777 == 0o600
    assert engine.calls("rm") == [], "the live release keeps its container"


def test_a_run_that_takes_too_long_is_stopped(engine: Engine) -> None:
    engine.job("blue", OLD, "trap 'echo bye; exit 3' TERM; echo begin; while :; do sleep 0.05; done")
    assert engine.work(timeout=0.7) == 124
    record = engine.record()
    assert (record["result"], record["exit_code"], record["last_lines"]) == ("timeout", 3, ["begin", "bye"])


def test_memory(engine: Engine) -> None:
    engine.job("blue", OLD, "exit 137").with_suffix(".oom").write_text("true")
    assert engine.work() == 137
    assert "resources.memory" in engine.record()["message"]


def test_a_release_that_is_no_longer_live_loses_its_container_after_the_run(engine: Engine) -> None:
    flag = engine.app / "green"
    container = engine.job("blue", OLD, f"touch {flag}; echo done")
    engine.web("green", NEW)
    assert engine.work() == 0
    assert engine.record()["last_lines"] == ["done"]
    assert engine.calls("rm") == [container.name]
    new = engine.job("green", NEW, "echo new")
    assert engine.work() == 0
    assert (engine.record()["release"], engine.record()["last_lines"]) == (NEW, ["new"])
    assert engine.calls("start") == [container.name, new.name]


def test_a_run_whose_runner_was_killed_is_waited_for_and_not_doubled(engine: Engine) -> None:
    engine.job("blue", OLD, "echo old")
    new = engine.job("green", NEW, "echo new")
    pid = engine.containers / "report-aaaaaaaa.pid"
    pid.write_text("1")
    with subprocess.Popen(["bash", "-c", f"sleep 0.5; rm {pid}"]):
        assert engine.work() == 0
    assert engine.calls("start") == ["report-aaaaaaaa"]
    assert new.exists()


def test_an_engine_that_restarts_under_a_run_does_not_end_it(engine: Engine) -> None:
    (engine.root / "detached").touch()  # the attached command ends, its container goes on
    container = engine.job("blue", OLD, "echo one")
    ended = f"echo 5 > {container}.code; rm {container}.pid"
    with subprocess.Popen(["bash", "-c", f"sleep 0.7; {ended}"]):
        assert engine.work() == 5
    assert engine.record()["result"] == "failed"


def test_a_container_that_a_deploy_removes_first_is_no_failure(engine: Engine) -> None:
    engine.job("blue", NEW, "echo gone")
    engine.web("blue", NEW)
    (engine.root / "gone").touch()
    engine.job("blue", OLD, "echo here")
    engine.web("green", OLD)
    assert engine.work() == 1
    assert "has no container for it" in engine.record()["message"]
    assert engine.calls("start") == ["report-bbbbbbbb"], "it was looked for again"


@pytest.mark.parametrize(
    ("down", "said"),
    [(False, "the live release (slot blue) has no container for it; deploy the app again"), (True, "Cannot connect")],
)
def test_what_cannot_run_is_told(engine: Engine, capfd: pytest.CaptureFixture[str], down: bool, said: str) -> None:
    if down:
        (engine.root / "down").touch()
    assert engine.work() == 1
    record = engine.record()
    assert (record["result"], record["exit_code"]) == ("failed", None)
    assert said in record["message"]
    assert said in capfd.readouterr().err


def test_a_container_is_waited_for_in_a_deploy(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_job_runner, "FIND_SECONDS", 5.0)
    monkeypatch.setattr(_job_runner.time, "sleep", lambda seconds: engine.job("blue", OLD, "true"))
    assert _job_runner.find("shop", "report", engine.app).release == OLD


@pytest.fixture
def program(engine: Engine) -> list[str]:
    """The program as it is installed: without the collection, and with nothing but the standard library."""
    library = engine.root / "library" / "quayside_job"
    library.mkdir(parents=True)
    for name in SOURCES:
        (library / name).write_bytes((Path(_job_runner.__file__).parent / name).read_bytes())
    start = (
        f"import sys; sys.path.insert(0, {str(library.parent)!r}); from quayside_job import _job_runner as r; "
        f"r.APPS = {_job_runner.APPS!r}; sys.exit(r.main())"
    )
    return [sys.executable, "-I", "-S", "-c", start, "shop", "report"]


def until(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def running(engine: Engine) -> bool:
    return (engine.containers / "report-aaaaaaaa.pid").exists() and (engine.app / "jobs" / "report.json").exists()


def test_the_program_needs_nothing_but_its_own_files(program: list[str], engine: Engine) -> None:
    engine.job("blue", OLD, "echo hello")
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")
    assert engine.record()["result"] == "ok"


def test_a_start_while_a_run_is_not_over_is_skipped_and_counted(program: list[str], engine: Engine) -> None:
    engine.job("blue", OLD, "while [ ! -e ../go ]; do sleep 0.05; done; echo done")
    with subprocess.Popen(program) as first:
        until(lambda: running(engine))
        for _time in range(2):
            second = subprocess.run(program, capture_output=True, text=True, check=False)
            assert (second.returncode, second.stdout) == (
                0,
                "job report of app shop is still running: this start is skipped\n",
            )
        assert (engine.record()["result"], engine.record()["skipped"]) == ("running", 2)
        (engine.root / "go").touch()
    assert first.returncode == 0
    record = engine.record()
    assert (record["result"], record["skipped"], record["last_lines"]) == ("ok", 2, ["done"])
    assert record["skipped_at"]
    subprocess.run(program, check=True, capture_output=True)
    assert engine.record()["skipped"] == 0, "they belong to the run that they met"


def test_systemd_stops_a_run(program: list[str], engine: Engine) -> None:
    engine.job("blue", OLD, "trap 'echo bye; exit 3' TERM; echo begin; while :; do sleep 0.05; done")
    with subprocess.Popen(program, stderr=subprocess.DEVNULL) as process:
        until(lambda: running(engine))
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 143
    record = engine.record()
    assert (record["result"], record["message"]) == ("failed", "it was stopped by systemd")
    assert record["last_lines"][-1] == "bye"
    assert not running(engine)


def test_a_run_that_was_cut_off_stays_running_until_the_next(program: list[str], engine: Engine) -> None:
    engine.job("blue", OLD, "sleep 0.6")
    with subprocess.Popen(program, stdout=subprocess.DEVNULL) as process:
        until(lambda: running(engine))
        process.kill()
    assert (engine.record()["result"], engine.record()["finished"]) == ("running", "")
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert engine.record()["result"] == "ok"


def test_an_app_that_is_not_here_is_refused(program: list[str], engine: Engine) -> None:
    done = subprocess.run([*program[:-2], "nosuch", "report"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no app nosuch on this host" in done.stderr
