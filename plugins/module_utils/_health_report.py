# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What `health_wait` says at the end. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._health import Attempt, Outcome
from ._health_targets import Target


def results(targets: Sequence[Target], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The module's return values: one entry for each target, and their sum."""
    entries = [_entry(target, outcome) for target, outcome in zip(targets, outcomes)]
    # One target is its own sum; of several, the first that is not healthy speaks for them.
    worst = next((entry for entry in entries if not entry["healthy"]), entries[0])
    return {
        "healthy": all(entry["healthy"] for entry in entries),
        "attempts": sum(entry["attempts"] for entry in entries),
        "elapsed": max(entry["elapsed"] for entry in entries),
        "latency_ms": max(entry["latency_ms"] for entry in entries),
        **{key: worst[key] for key in ("status", "last_error", "error", "log")},
        "results": entries,
    }


def message(outcomes: Sequence[Outcome]) -> str:
    """What the user reads: all that is wrong, and the last lines of containers that are."""
    bad = [outcome for outcome in outcomes if not outcome.ok]
    logs = [f"\nThe last lines of {outcome.last.target}:\n{outcome.last.body}" for outcome in bad if _log(outcome.last)]
    if len(outcomes) == 1:
        return outcomes[0].message + "".join(logs)
    if not bad:
        return f"All {len(outcomes)} targets are healthy after {max(outcome.elapsed for outcome in outcomes):.1f} s"
    verb = "is" if len(bad) == 1 else "are"
    why = "; ".join(outcome.message for outcome in bad)
    return f"{len(bad)} of {len(outcomes)} targets {verb} not healthy: {why}{''.join(logs)}"


def _entry(target: Target, outcome: Outcome) -> dict[str, Any]:
    failed = outcome.last_failure
    return {
        "target": target.name,
        "kind": target.kind,
        "healthy": outcome.ok,
        "attempts": outcome.attempts,
        "elapsed": round(outcome.elapsed, 2),
        "latency_ms": outcome.last.latency_ms,
        "status": outcome.last.status,
        "last_error": failed.message if failed else "",
        "error": failed.error if failed else "",
        "log": outcome.last.body if _log(outcome.last) else "",
    }


def _log(attempt: Attempt) -> bool:
    return attempt.target.startswith("container ") and bool(attempt.body)
