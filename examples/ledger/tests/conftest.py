# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Real processes against a real PostgreSQL: a scratch database beside the one that DATABASE_URL names."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

ROOT = Path(__file__).parent.parent
RELEASE = "r-test"


class App:
    """A process of the app, web or worker, started as its container would start it."""

    def __init__(self, module: str, log: Path, env: dict[str, str]) -> None:
        self.log = log
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        with log.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], "PORT": str(self.port), "QUAYSIDE_RELEASE": RELEASE, **env},
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, line: str) -> None:
        for _ in range(200):
            if line in self.output:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"{line!r} is not in the output: {self.output}")

    def term(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    base = os.environ.get("DATABASE_URL")
    if not base:
        pytest.exit("set DATABASE_URL to a PostgreSQL whose user may create databases", returncode=4)
    name = f"ledger_test_{os.getpid()}"
    url = base.rpartition("/")[0] + f"/{name}"
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def alembic(database: str, *arguments: str) -> None:
    command = [sys.executable, "-m", "alembic", *arguments]
    env = {**os.environ, "DATABASE_URL": database}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def migrated(database: str) -> str:
    alembic(database, "upgrade", "heads")
    return database


@pytest.fixture
def start(migrated: str, tmp_path: Path) -> Iterator[Callable[..., App]]:
    running: list[App] = []

    def run(module: str = "ledger", **env: str) -> App:
        app = App(module, tmp_path / f"{len(running)}.log", {"DATABASE_URL": migrated, **env})
        running.append(app)
        return app

    yield run
    for app in running:
        app.kill()


@pytest.fixture(scope="session")
def web(migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    app = App("ledger", tmp_path_factory.mktemp("web") / "log", {"DATABASE_URL": migrated})
    app.wait_for("running on")
    yield app
    app.kill()


@pytest.fixture
def client(web: App) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=web.url, timeout=10) as client:
        yield client
