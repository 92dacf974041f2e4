# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Waits for several targets at once, each in a thread. The I/O beside `_health_targets`."""

from __future__ import annotations

import functools
import queue
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence

from ._database_url import DatabaseUrl
from ._health import Attempt, Outcome, Streak, judge, wait
from ._health_targets import ContainerCheck, HttpCheck, PostgresCheck, Target, TcpCheck
from ._http_probe import REQUESTS_ERROR, new_session, probe_http, probe_tcp
from ._probe_container import DOCKER_ERROR, ContainerProbe
from ._probe_postgres import PSYCOPG2_ERROR, probe_greeting, probe_login

Probe = Callable[[float], Attempt]

#: How long a try may overrun the end, because a name server does not answer, before it is left alone.
GRACE = 1.0


class _Stopped(Exception):
    """There is nothing to wait for any more."""


def missing_library(target: Target) -> str:
    """A sentence for a Python library that this target needs and this host lacks, or nothing."""
    check = target.check
    if isinstance(check, HttpCheck):
        library, lacking = "requests", REQUESTS_ERROR
    elif isinstance(check, ContainerCheck):
        library, lacking = "docker", DOCKER_ERROR
    elif isinstance(check, PostgresCheck) and isinstance(check.server, DatabaseUrl):
        library, lacking = "psycopg2", PSYCOPG2_ERROR
    else:
        return ""
    if not lacking:
        return ""
    return (
        f"{target.name}: {sys.executable} on this host has no library {library}, which this check needs; "
        f"install the Debian package python3-{library}"
    )


def certificates_problem(path: str) -> str:
    """Why a file cannot serve as certificate authorities, or nothing."""
    try:
        ssl.create_default_context(cafile=path)
    except FileNotFoundError:
        return f"ca_path is {path}, which is not on this host, expected a file with certificates."
    except OSError as exc:  # SSLError is one
        found = "holds no certificate" if isinstance(exc, ssl.SSLError) else f"cannot be read ({exc.strerror})"
        return f"ca_path is {path}, which {found}, expected a file with certificates in PEM form."
    return ""


def probe_for(target: Target) -> Probe:
    """What tries a target once, within the seconds it is given."""
    lacking = missing_library(target)
    if lacking:
        return lambda _seconds: Attempt(False, target.name, error="library", message=lacking)
    check = target.check
    if isinstance(check, HttpCheck):
        return _http(check)
    if isinstance(check, TcpCheck):
        return lambda seconds: probe_tcp(check.host, check.port, timeout=seconds)
    if isinstance(check, ContainerCheck):
        return ContainerProbe(check.container)
    if isinstance(check.server, DatabaseUrl):
        return functools.partial(probe_login, check.server)
    return functools.partial(probe_greeting, *check.server)


def wait_for_all(
    targets: Sequence[Target], probes: Sequence[Probe], *, timeout: float, give_up: bool = True
) -> list[Outcome]:
    """Wait until all are healthy, or time is over, or, with `give_up`, one can never be healthy."""
    start = time.monotonic()
    stop = threading.Event()
    seen: dict[int, Outcome] = {}
    ended: queue.SimpleQueue[tuple[int, BaseException | None]] = queue.SimpleQueue()

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise _Stopped

    def follow(index: int) -> None:
        target = targets[index]
        problem: BaseException | None = None
        try:
            wait(
                probes[index],
                successes=target.successes,
                interval=target.interval,
                timeout=timeout,
                try_timeout=target.try_timeout,
                clock=time.monotonic,
                sleep=sleep,
                observe=functools.partial(seen.__setitem__, index),
            )
        except _Stopped:
            pass
        except Exception as exc:  # a defect, which must end the module and not just a thread
            problem = exc
        ended.put((index, problem))

    for index in range(len(targets)):
        # As a daemon, so that a try that hangs in a name server cannot hold this process.
        threading.Thread(target=follow, args=(index,), daemon=True).start()
    try:
        for _target in targets:
            index, problem = ended.get(timeout=max(start + timeout + GRACE - time.monotonic(), 0))
            if problem is not None:
                raise problem
            if give_up and seen[index].last.final:
                break
    except queue.Empty:
        pass
    finally:
        stop.set()
    elapsed = time.monotonic() - start
    return [seen.get(index) or _silent(target, elapsed) for index, target in enumerate(targets)]


def _silent(target: Target, elapsed: float) -> Outcome:
    """How a wait ended whose very first try did not."""
    message = f"{target.name}: no answer yet, expected one"
    attempt = Attempt(False, target.name, latency_ms=round(elapsed * 1000, 1), error="timeout", message=message)
    return Outcome(False, 1, elapsed, Streak(target.successes), attempt, attempt)


def _http(check: HttpCheck) -> Probe:
    session = new_session()

    def probe(seconds: float) -> Attempt:
        answer = probe_http(
            check.url,
            session=session,
            host_header=check.host,
            headers=check.headers,
            ca_path=check.ca_path,
            timeout=seconds,
            connect_to=check.connect_to,
        )
        return judge(answer, check.expectation)

    return probe
