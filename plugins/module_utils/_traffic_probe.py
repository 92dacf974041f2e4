# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A light probe through the public vhost, beside a deploy. The I/O beside `_traffic`."""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import threading
import time
from urllib.parse import urlsplit

from ._health import failure
from ._traffic import PROBE_AGENT, Probed, Summary, summary_of

INTERVAL = 0.1
TIMEOUT = 5.0
#: Requests under way at a time; more would only add to the load of an app that hangs.
LIMIT = 12
BODY_LIMIT = 256 * 1024
_TROUBLE = (OSError, http.client.HTTPException)


class TrafficProbe:
    """Asks for a site's health page ten times a second, in turn on a kept connection and on a fresh one.

    Each request begins on time, whether or not the ones before have an answer: an outage is counted in full. It does
    without `requests`, which reads all CA certificates anew for each connection: 25 ms of CPU on Debian 12, against 1.

    Begin it after a fork, never before: threads do not pass one.

    Args:
        url: the health page as users reach it. Its name goes into TLS and Host; the connection goes to this host.
        port: where nginx listens on loopback.
    """

    def __init__(
        self, url: str, port: int, *, address: str = "127.0.0.1", interval: float = INTERVAL, timeout: float = TIMEOUT
    ) -> None:
        parts = urlsplit(url)
        self.url = url
        self._address = (address, port)
        self._host = parts.netloc.rpartition("@")[2]
        self._name = parts.hostname or ""
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._interval = interval
        self._timeout = timeout
        self._tls = _any_certificate() if parts.scheme == "https" else None
        self._kept = self._connection()
        self._kept_is_free = threading.Lock()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._done: list[Probed] = []
        self._waiting: dict[int, float] = {}

    def start(self) -> None:
        # Daemons: nothing waits for a request that hangs, not even the end of the process.
        threading.Thread(target=self._run, name="traffic-probe", daemon=True).start()

    def stop(self) -> None:
        """Send no more requests. What is under way is not waited for, and not counted."""
        self._stopped.set()

    def mark(self) -> float:
        """Return the position that `summary` counts from: requests that begin from now on."""
        return time.monotonic()

    def summary(self, since: float | None = None) -> Summary:
        with self._lock:
            done, waiting = list(self._done), list(self._waiting.values())
        start, now = (float("-inf") if since is None else since), time.monotonic()
        return summary_of(
            (item for item in done if item.started >= start),
            [round((now - begun) * 1000, 1) for begun in waiting if begun >= start],
        )

    def _run(self) -> None:
        begun = time.monotonic()
        number = 0
        while not self._stopped.is_set():
            if len(self._waiting) < LIMIT:
                threading.Thread(target=self._ask, args=(number,), daemon=True).start()
            number += 1
            now = time.monotonic()
            due = begun + number * self._interval
            if due < now - self._interval:
                # The process was held up: what it missed is not made up for in a burst.
                begun, due = now - number * self._interval, now
            self._stopped.wait(max(due - now, 0))

    def _ask(self, number: int) -> None:
        started = time.monotonic()
        with self._lock:
            self._waiting[number] = started
        kept = number % 2 == 0 and self._kept_is_free.acquire(blocking=False)
        connection = self._kept if kept else self._connection()
        try:
            problem = self._try(connection, keep=kept)
        except _TROUBLE as error:
            connection.close()
            address = f"{self._address[0]}:{self._address[1]}"
            problem = failure(self.url, error, timeout=self._timeout, latency_ms=0, address=address).message
        finally:
            if kept:
                self._kept_is_free.release()
        done = Probed(started, (time.monotonic() - started) * 1000, problem)
        with self._lock:
            del self._waiting[number]
            if not self._stopped.is_set():
                self._done.append(done)

    def _try(self, connection: http.client.HTTPConnection, *, keep: bool) -> str:
        # As browsers do: a kept connection that the server has closed in the meantime is opened again.
        if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
            connection.close()
        headers = {"Host": self._host, "User-Agent": PROBE_AGENT, "Connection": "keep-alive" if keep else "close"}
        connection.request("GET", self._path, headers=headers)
        answer = connection.getresponse()
        answer.read(BODY_LIMIT)
        if not keep or not answer.isclosed():
            connection.close()
        return f"{self.url}: answered {answer.status}" if answer.status >= 500 else ""

    def _connection(self) -> http.client.HTTPConnection:
        return _Connection(self._address, self._name, self._timeout, self._tls)


class _Connection(http.client.HTTPConnection):
    """Goes to one address, and says another name in TLS."""

    def __init__(self, address: tuple[str, int], name: str, timeout: float, tls: ssl.SSLContext | None) -> None:
        super().__init__(*address, timeout=timeout)
        self._name = name
        self._tls = tls

    def connect(self) -> None:
        super().connect()
        if self._tls is not None:
            self.sock: socket.socket = self._tls.wrap_socket(self.sock, server_hostname=self._name)


def _any_certificate() -> ssl.SSLContext:
    """The route is probed, not the certificate: a private CA is none of this host's business."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
