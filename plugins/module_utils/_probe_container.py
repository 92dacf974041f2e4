# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""One look at a container through the Docker API, as an Attempt. The I/O beside `_health_container`."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

from ._health import Attempt
from ._health_container import TELLING, absent, judge_container

try:
    import docker
    import docker.errors
    import requests
except ImportError as error:
    DOCKER_ERROR: str | None = str(error)
else:
    DOCKER_ERROR = None

LOG_LINES = 50


class ContainerProbe:
    """Looks at one container again and again. It remembers the number of restarts from one look to the next."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._api: Any = None
        self._restarts: int | None = None

    def __call__(self, seconds: float) -> Attempt:
        start = time.monotonic()
        return replace(self._look(seconds), latency_ms=round((time.monotonic() - start) * 1000, 1))

    def _look(self, seconds: float) -> Attempt:
        try:
            if self._api is None:
                self._api = docker.from_env(version="auto", timeout=math.ceil(seconds)).api
            self._api.timeout = seconds
            details = self._api.inspect_container(self.name)
        except docker.errors.NotFound:
            return absent(self.name)
        except (docker.errors.DockerException, requests.RequestException, OSError) as exc:
            return _engine_failure(f"container {self.name}", exc, seconds)
        attempt = judge_container(self.name, details, now=time.time(), restarts_before=self._restarts)
        self._restarts = details.get("RestartCount")
        return replace(attempt, body=self._log()) if attempt.error in TELLING else attempt

    def _log(self) -> str:
        try:
            return str(self._api.logs(self.name, tail=LOG_LINES).decode("utf-8", errors="replace")).strip()
        except (docker.errors.DockerException, requests.RequestException, OSError):
            return ""  # its logging driver keeps nothing here


def _engine_failure(target: str, exc: Exception, seconds: float) -> Attempt:
    text = str(getattr(exc, "explanation", None) or exc) or type(exc).__name__
    if isinstance(exc, requests.Timeout):
        said = f"the Docker engine did not answer within {round(seconds, 1):g} s, expected it to"
    elif "Permission denied" in text:
        said = "this user may not ask the Docker engine, expected root; give the task become: true"
    elif "No such file" in text or "Connection refused" in text:
        said = "no Docker engine runs on this host, expected one"
    else:
        said = f"the Docker engine does not answer ({text.splitlines()[0][:300]}), expected it to"
    return Attempt(ok=False, target=target, error="engine", message=f"{target}: {said}")
