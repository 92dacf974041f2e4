# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Asking a release how it is: at its own ports before it gets traffic, and through the public site after. Only I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._app_containers import Wanted
from ._health import Attempt, Health, Outcome, judge, wait
from ._http_probe import new_session, probe_http
from ._nginx_upstreams import upstream_name
from ._release import health_params
from ._release_host import AppHost, ReleaseError
from ._traffic import PROBE_AGENT

VERIFY_SECONDS = 10
#: What nginx answers to this host with: the upstream that it chose.
SLOT_HEADER = "X-Quayside-Slot"
#: Where an app answers with it, it must be the id of the release that is asked.
RELEASE_HEADER = "X-Quayside-Release"
# What the app would see behind nginx, so that ALLOWED_HOSTS and redirects to HTTPS do not get in the way.
_FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "127.0.0.1"}


class Checks:
    """One release of an app, asked from its own host."""

    def __init__(self, host: AppHost, app: Mapping[str, Any], release: str, slot: str) -> None:
        self.host = host
        self.app = app
        self.release = release
        self.slot = slot
        self.health = Health.from_params(health_params(app, release))

    def gate(self, items: Sequence[Wanted], *, known: bool = False) -> None:
        """Wait until every web replica is healthy. For a release that was `known` to be, once will do.

        Raises:
            ReleaseError: one has exited, or is not healthy in time.
        """
        health = replace(self.health, successes=1) if known else self.health
        session = new_session()
        asked = ""

        def probe_one(item: Wanted, limit: float) -> Attempt:
            nonlocal asked
            asked = item.name(self.host.name, self.slot, self.release)
            state = self.host.state(asked)
            if not state["Running"] or state["RestartCount"]:
                message = f"container {asked} exited with code {state['ExitCode']}"
                return Attempt(ok=False, target=asked, error="exited", message=message, final=True)
            url = f"http://127.0.0.1:{item.port}{health.path}"
            domain = self.app["domains"][0]
            answer = probe_http(url, session=session, host_header=domain, headers=_FORWARDED, timeout=limit)
            return _answered_by(judge(answer, health.expect), RELEASE_HEADER, self.release)

        def probe(limit: float) -> Attempt:
            """A pass is one of all replicas together, so that more of them take no longer."""
            for item in items:
                attempt = probe_one(item, limit)
                if not attempt.ok:
                    break
            return attempt

        # The answer before the exit says more than the exit: a status and a body.
        before: list[Attempt] = []

        def remembering(limit: float) -> Attempt:
            attempt = probe(limit)
            if attempt.status is not None:
                before[:] = [attempt]
            return attempt

        outcome = _wait(remembering, health)
        session.close()
        if not outcome.ok:
            last = before[0] if before and outcome.last.final else None
            said = f"\nBefore that: {last.message or f'it answered {last.status}'}" if last else ""
            raise ReleaseError(f"{outcome.message}{said}\n{self.host.last_lines(asked)}")

    def warm_up(self, items: Sequence[Wanted]) -> None:
        """Ask every web replica for the app's `warm_up` paths, once each.

        Raises:
            ReleaseError: one does not answer, or with a status of 500 and more.
        """
        session = new_session()
        for item in items:
            for path in self.app["warm_up"]:
                url = f"http://127.0.0.1:{item.port}{path}"
                domain, limit = self.app["domains"][0], self.health.timeout
                answer = probe_http(url, session=session, host_header=domain, headers=_FORWARDED, timeout=limit)
                if answer.status is None or answer.status >= 500:
                    name = item.name(self.host.name, self.slot, self.release)
                    found = answer.message or f"{url}: answered {answer.status}: {answer.body[:500]}"
                    raise ReleaseError(f"warm_up of {path}: {found}\n{self.host.last_lines(name)}")
        session.close()

    def verify(self, port: int) -> None:
        """Ask through the public vhost, as a user would.

        Raises:
            ReleaseError: the answer is not the expected one, or not this slot's.
        """
        session = new_session()
        url = public_url(self.app)
        upstream = upstream_name(self.app["name"], self.slot)

        def probe(limit: float) -> Attempt:
            # On loopback the route is to be proved, not the certificate: a private CA is none of this host's business.
            to, agent = ("127.0.0.1", port), {"User-Agent": PROBE_AGENT}
            answer = probe_http(url, session=session, connect_to=to, headers=agent, timeout=limit, verify=False)
            judged = _answered_by(judge(answer, self.health.expect), SLOT_HEADER, upstream)
            return _answered_by(judged, RELEASE_HEADER, self.release)

        outcome = _wait(probe, replace(self.health, successes=1, interval=0.1, timeout=VERIFY_SECONDS))
        session.close()
        if not outcome.ok:
            raise ReleaseError(f"through nginx: {outcome.message}")


def public_url(app: Mapping[str, Any]) -> str:
    """Return the health check's address as users have it."""
    return f"https://{app['domains'][0]}{app['health']['path']}"


def _answered_by(attempt: Attempt, header: str, expected: str) -> Attempt:
    """Hold a header against what it must say, where it is there at all."""
    found = next((value for key, value in attempt.headers.items() if key.lower() == header.lower()), expected)
    if not attempt.ok or found == expected:
        return attempt
    message = f"{attempt.target}: answered by {found} ({header}), expected {expected}"
    return replace(attempt, ok=False, error="body", message=message)


def _wait(probe: Callable[[float], Attempt], health: Health) -> Outcome:
    return wait(
        probe,
        successes=health.successes,
        interval=health.interval,
        timeout=health.timeout,
        try_timeout=health.try_timeout,
        clock=time.monotonic,
        sleep=time.sleep,
        eager=True,
    )
