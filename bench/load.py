# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""A constant load on a site from another machine, every request of it recorded; and figures of such records."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

CLIENT = Path(__file__).with_name("load_client.py")
STARTS_WITHIN = 20.0


class LoadError(Exception):
    """There is no load; the text says why."""


@dataclass(frozen=True)
class Site:
    """An app as its users reach it."""

    client: str
    """The container in which the users are."""
    address: str
    name: str
    ca: str
    """The root certificate, PEM."""

    def get(self, path: str, timeout: float = 10) -> tuple[int, bytes]:
        """Ask from this machine."""
        connection = _Pinned(self.name, timeout=timeout, context=ssl.create_default_context(cadata=self.ca))
        connection.address = self.address
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def health(self) -> dict[str, str]:
        """What the app says of itself.

        Raises:
            LoadError: it is not healthy.
        """
        try:
            status, body = self.get("/health")
        except (OSError, http.client.HTTPException) as error:
            raise LoadError(f"https://{self.name}/health does not answer: {error!r}") from error
        if status != 200:
            raise LoadError(f"https://{self.name}/health answers {status}: {body[:200]!r}")
        found: dict[str, str] = json.loads(body)
        return found


@dataclass(frozen=True)
class Request:
    """A request that has ended, or a WebSocket (`websocket open` when it is, `websocket` when it no longer is)."""

    due: float
    seconds: float
    kind: str
    error: str = ""
    release: str = ""

    @property
    def ended(self) -> float:
        return self.due + self.seconds


@dataclass(frozen=True)
class Figures:
    """What a number of requests were like; the times in milliseconds, of short requests only."""

    count: int
    failed: int
    p50: float
    p99: float
    longest: float


class _Pinned(http.client.HTTPSConnection):
    """Connects to a fixed address, while name and certificate check stay those of the site: curl's --resolve."""

    address = ""

    def connect(self) -> None:
        plain = socket.create_connection((self.address, 443), self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)  # type: ignore[attr-defined]


# Pure: from records to figures


def percentile(values: Sequence[float], part: float) -> float:
    """Return the smallest value that at least that part of all values does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, -int(-part * len(ordered) // 1) - 1)] if ordered else 0.0


def is_short(request: Request) -> bool:
    return request.kind.startswith(("get", "post", "h2"))


def figures(requests: Iterable[Request]) -> Figures:
    """Return count and failures of all requests, and the times of the short ones."""
    found = list(requests)
    times = [request.seconds * 1000 for request in found if is_short(request)]
    return Figures(
        len(found),
        sum(bool(request.error) for request in found),
        round(percentile(times, 0.5), 1),
        round(percentile(times, 0.99), 1),
        round(max(times, default=0.0), 1),
    )


def during(requests: Iterable[Request], windows: Iterable[tuple[float, float]]) -> list[Request]:
    """Return the requests that were on their way at some time in one of the windows."""
    spans = list(windows)
    return [request for request in requests if any(request.due < end and request.ended > start for start, end in spans)]


def outside(requests: Iterable[Request], windows: Iterable[tuple[float, float]]) -> list[Request]:
    """Return the requests that were on their way in none of the windows."""
    spans = list(windows)
    return [
        request for request in requests if all(request.due >= end or request.ended <= start for start, end in spans)
    ]


# Running it


class Load:
    """Users of a site, from entering the block until leaving it.

    Args:
        site: what they use, and where they are.
        rate: requests a second, half of them POST, every fourth on a connection of its own.
        websockets: how many of them stay connected all the time.
        slow_seconds: how long the long requests take that follow each other; 0 for none.
    """

    def __init__(self, site: Site, rate: float = 40, *, websockets: int = 0, slow_seconds: float = 0) -> None:
        self.site = site
        self.requests: list[Request] = []
        self.account = 0
        self.prefix = f"load-{time.time_ns():x}"
        self._settings = {
            "address": site.address,
            "name": site.name,
            "ca": site.ca,
            "rate": rate,
            "websockets": websockets,
            "slow_seconds": slow_seconds,
            "prefix": self.prefix,
        }

    @property
    def failures(self) -> list[Request]:
        return [request for request in list(self.requests) if request.error]

    @property
    def releases(self) -> set[str]:
        """The releases that have answered."""
        return {request.release for request in list(self.requests)} - {""}

    @property
    def posted(self) -> int:
        """How many entries the app has confirmed."""
        return sum(request.kind.startswith("post") and not request.error for request in list(self.requests))

    def booked(self, database: str, name: str = "ledger") -> int:
        """How many entries are in the database, asked in the container of its server."""
        query = f"SELECT count(*) FROM entries WHERE account_id = {int(self.account)}"  # noqa: S608
        done = subprocess.run(
            ["docker", "exec", "--user", "postgres", database, "psql", "-XAtq", "-d", name, "-c", query],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    def __enter__(self) -> Load:
        argv = ["docker", "exec", "-i", self.site.client, "python3", "-c", CLIENT.read_text(encoding="utf-8")]
        self._process = subprocess.Popen(
            [*argv, json.dumps(self._settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        deadline = time.monotonic() + STARTS_WITHIN
        while not self.requests:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                complaint = self._process.stderr.read() if self._process.stderr else ""
                raise LoadError(f"no load on https://{self.site.name}: {complaint[-2000:]}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(timeout=STARTS_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            found = json.loads(line)
            if isinstance(found, dict):
                self.account = found["account"]
            else:
                self.requests.append(Request(*found))
