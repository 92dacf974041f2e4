# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Many deploys under a constant load of every kind of client, and what their users saw."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.load import Figures, Load, LoadError, Request, Site, during, figures, outside

#: Requests a second: of load_client.py, and of each of h2load's clients.
RATE, H2_RATE, H2_CLIENTS = 160, 20, 2
WEBSOCKETS, SLOW_SECONDS = 2, 4
#: nginx ends a connection after 1000 requests, and h2load does not get over that.
H2_SECONDS = 40
#: Users and controllers have processors of their own, and here the same two as the web host: so users come first, as
#: the scheduler weighs it, and the controller last.
USERS_WEIGHT, CONTROLLER_NICE = 8192, 15
#: Without a deploy: before the first, and after each, when what it has begun is over.
FIRST_PAUSE, PAUSE = 30.0, 3.0

GOALS = {"deploys": 20, "requests": 50_000, "ratio": 2.0}


@dataclass(frozen=True)
class Proof:
    """What the users of all deploys saw."""

    deploys: int
    seconds: Sequence[float]
    """Of each deploy."""
    all: Figures
    quiet: Figures
    """Without a deploy."""
    busy: Figures
    """While a deploy was running."""
    kinds: dict[str, Figures]
    lost: int
    """Entries that the app has confirmed and its database does not have."""
    failures: Sequence[str] = ()
    """The first of them."""

    @property
    def ratio(self) -> float:
        return round(self.busy.p99 / self.quiet.p99, 2) if self.quiet.p99 else 0.0


class Http2:
    """h2load in the users' container, in stretches, until the block ends."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.requests: list[Request] = []
        self.stop = False

    def __enter__(self) -> Http2:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop = True
        self._thread.join()

    def _run(self) -> None:
        log = "/tmp/h2load.log"  # noqa: S108 in a container of ours
        options = f"-c {H2_CLIENTS} --rps={H2_RATE} --log-file={log} --connect-to={self.site.address}:443"
        while not self.stop:
            command = f"rm -f {log}; h2load {options} -D {H2_SECONDS} https://{self.site.name}/health; cat {log} >&2"
            done = subprocess.run(
                ["docker", "exec", self.site.client, "sh", "-c", command], capture_output=True, text=True, check=False
            )
            if "Application protocol: h2" not in done.stdout:
                self.requests.append(Request(time.time(), 0, "h2", f"no HTTP/2: {done.stdout[-500:]}"))
                break
            self.requests += read_h2load(done.stderr)


# Pure: from records to a table


def read_h2load(log: str) -> list[Request]:
    """Return the requests of h2load's log: start and duration in microseconds, and the status between them."""
    found = []
    for line in log.splitlines():
        start, status, lasted = line.split("\t")[:3]
        error = "" if status == "200" else f"status {status}"
        found.append(Request(int(start) / 1e6, int(lasted) / 1e6, "h2", error))
    return found


def proof(requests: Sequence[Request], windows: Sequence[tuple[float, float]], lost: int) -> Proof:
    """Sum up what users saw, in the windows of deploys and between them."""
    failures = [request for request in requests if request.error]
    kinds = sorted({request.kind for request in requests})
    return Proof(
        deploys=len(windows),
        seconds=[round(end - start, 2) for start, end in windows],
        all=figures(requests),
        quiet=figures(outside(requests, windows)),
        busy=figures(during(requests, windows)),
        kinds={kind: figures(request for request in requests if request.kind == kind) for kind in kinds},
        lost=lost,
        failures=[f"{request.kind} at {request.due}: {request.error}" for request in failures[:20]],
    )


def table(found: Proof) -> str:
    """Return the figures as a markdown table with their goals."""
    lines = ["| under load | value | goal | verdict |", "|---|---:|---:|---|"]

    def line(what: str, value: str, goal: str = "", good: bool | None = None) -> None:
        lines.append(f"| {what} | {value} | {goal} | {'' if good is None else 'good' if good else 'missed'} |")

    line("deploys", str(found.deploys), f">= {GOALS['deploys']}", found.deploys >= GOALS["deploys"])
    line("requests", str(found.all.count), f">= {GOALS['requests']}", found.all.count >= GOALS["requests"])
    line("failed", str(found.all.failed), "0", found.all.failed == 0)
    line("confirmed, and lost", str(found.lost), "0", found.lost == 0)
    line("p50 / p99 / max without a deploy", _times(found.quiet))
    line("p50 / p99 / max while deploying", _times(found.busy))
    line("p99 while deploying / without", f"{found.ratio:g}", f"<= {GOALS['ratio']:g}", found.ratio <= GOALS["ratio"])
    for kind, its in found.kinds.items():
        line(f"- {kind}", f"{its.count}, {its.failed} failed" + (f", p99 {its.p99:g} ms" if its.p99 else ""))
    return "\n".join(lines)


def _times(found: Figures) -> str:
    return f"{found.p50:g} / {found.p99:g} / {found.longest:g} ms"


# Running it


def deploys_under_load(site: Site, actions: Iterable[Callable[[], object]], database: str) -> Proof:
    """Carry out deploys one after the other while users are on the site.

    Args:
        site: what they use.
        actions: each a deploy.
        database: the container of the database's server.

    Raises:
        LoadError: there is no load.
    """
    windows = []
    subprocess.run(
        ["docker", "update", "--cpu-shares", str(USERS_WEIGHT), site.client], check=True, stdout=subprocess.DEVNULL
    )
    with Load(site, RATE, websockets=WEBSOCKETS, slow_seconds=SLOW_SECONDS) as load, Http2(site) as http2:
        time.sleep(FIRST_PAUSE)
        for action in actions:
            start = time.time()
            action()
            windows.append((start, time.time()))
            time.sleep(PAUSE)
    requests = sorted([*load.requests, *http2.requests], key=lambda request: request.due)
    if not requests:
        raise LoadError(f"nobody was on https://{site.name}")
    return proof(requests, windows, max(0, load.posted - load.booked(database)))
