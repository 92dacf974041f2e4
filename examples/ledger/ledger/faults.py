# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Ways to misbehave on purpose (LEDGER_FAULT), so that deploys can be tested against a bad release."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

PLAIN = ("crash_at_start", "never_healthy", "ignore_sigterm")
TIMED = ("slow_start", "fail_after")

log = logging.getLogger("ledger.faults")


@dataclass(frozen=True)
class Fault:
    name: str = ""
    seconds: float = 0

    @classmethod
    def parse(cls, text: str) -> Fault:
        name, colon, seconds = text.partition(":")
        if (name in PLAIN or not name) and not colon:
            return cls(name)
        if name in TIMED and seconds.replace(".", "", 1).isdecimal():
            return cls(name, float(seconds))
        accepted = ", ".join([*PLAIN, *(f"{timed}:<seconds>" for timed in TIMED)])
        raise ValueError(f"is {text!r}; accepted: {accepted}")

    def at_start(self) -> None:
        if self.name:
            log.warning("LEDGER_FAULT=%s is set: this process misbehaves on purpose", self.name)
        if self.name == "crash_at_start":
            raise SystemExit("ledger: crashing at start, as LEDGER_FAULT asks")
        if self.name == "slow_start":
            time.sleep(self.seconds)


class FailAfter:
    """Answers every HTTP request with 500 once the time is up."""

    def __init__(self, app: Any, seconds: float) -> None:
        self.app = app
        self.deadline = time.monotonic() + seconds

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or time.monotonic() < self.deadline:
            await self.app(scope, receive, send)
            return
        body = b'{"detail":"failing, as LEDGER_FAULT asks"}'
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        await send({"type": "http.response.body", "body": body})
