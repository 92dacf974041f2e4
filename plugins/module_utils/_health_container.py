# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Whether a container is healthy, by what the engine says of it. Pure: the time is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ._health import BODY_SHOWN, Attempt

#: A container that was restarted is up again once it has been for so long; Docker counts the same way.
STEADY_SECONDS = 10.0
#: What the container's own last lines help to understand.
TELLING = ("exited", "restarted", "unhealthy")


def absent(name: str) -> Attempt:
    return _bad(name, "absent", "is not on this host, expected a running one")


def judge_container(name: str, details: Mapping[str, Any], *, now: float, restarts_before: int | None) -> Attempt:
    """Hold what `docker inspect` tells against: running, not restarted, and healthy if there is a HEALTHCHECK.

    `restarts_before` is the number of restarts at the last look, or None at the first.
    """
    state = details["State"]
    status = str(state["Status"])
    restarts = int(details.get("RestartCount") or 0)
    code = _exit_code(state)
    if state.get("Restarting"):
        text = f"exited with {code} and is being restarted ({_times(restarts)} so far), expected it to stay up"
        return _bad(name, "restarted", text)
    if state.get("Error") and not state["Running"]:
        return _bad(name, "exited", f"could not be started ({_line(state['Error'])}), expected it to run", final=True)
    if status in ("exited", "dead", "removing"):
        return _bad(name, "exited", f"exited with {code}, expected it to run", final=True)
    if status != "running":
        found = "was created but not started" if status == "created" else f"is {status}"
        return _bad(name, "stopped", f"{found}, expected it to run")
    up = now - _seconds(state["StartedAt"])
    if restarts and (up < STEADY_SECONDS or restarts_before not in (None, restarts)):
        text = f"was restarted {_times(restarts)} and is up for {max(up, 0):.0f} s"
        return _bad(name, "restarted", f"{text}, expected {STEADY_SECONDS:g} s without a restart")
    return _judge_healthcheck(name, state.get("Health") or {})


def _judge_healthcheck(name: str, health: Mapping[str, Any]) -> Attempt:
    verdict = health.get("Status", "none")
    if verdict in ("none", "healthy"):
        return Attempt(ok=True, target=f"container {name}")
    # The newest is the last.
    said = _line((health.get("Log") or [{}])[-1].get("Output", ""))
    text = f"its HEALTHCHECK says {verdict}, expected healthy{f': {said}' if said else ''}"
    return _bad(name, "unhealthy" if verdict == "unhealthy" else "starting", text)


def _bad(name: str, error: str, text: str, *, final: bool = False) -> Attempt:
    target = f"container {name}"
    return Attempt(ok=False, target=target, error=error, message=f"{target}: {text}", final=final)


def _exit_code(state: Mapping[str, Any]) -> str:
    return f"code {state['ExitCode']}{' (out of memory)' if state.get('OOMKilled') else ''}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _line(text: str) -> str:
    return " ".join(text.split())[:BODY_SHOWN]


def _seconds(stamp: str) -> float:
    """The engine writes nanoseconds, which Python does not read."""
    return datetime.fromisoformat(f"{stamp[:19]}+00:00").timestamp()
