# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a host remembers about its certificates: which are ours, and what failed when. No I/O, the clock passed in."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ._certbot import Source, Step

#: Let's Encrypt lets five validations fail in an hour for a name and an account.
PAUSE = 3600


@dataclass(frozen=True)
class Failure:
    """The last failure of a certificate: when, of which request, and what was said."""

    at: float
    request: str
    said: str


@dataclass(frozen=True)
class Record:
    """The certificates that were issued from here, and the failures since their last success."""

    issued: frozenset[str] = frozenset()
    failed: Mapping[str, Failure] = field(default_factory=dict)

    def after_success(self, name: str) -> Record:
        failed = {other: failure for other, failure in self.failed.items() if other != name}
        return replace(self, issued=self.issued | {name}, failed=failed)

    def after_failure(self, name: str, failure: Failure) -> Record:
        return replace(self, failed={**self.failed, name: failure})

    def without(self, names: Collection[str]) -> Record:
        failed = {name: failure for name, failure in self.failed.items() if name not in names}
        return Record(self.issued - set(names), failed)

    def as_json(self) -> dict[str, Any]:
        return {
            "issued": sorted(self.issued),
            "failed": {name: vars(failure) for name, failure in sorted(self.failed.items())},
        }


def from_json(data: object) -> Record:
    """Read a record; what is not understood is forgotten, since nothing but a pause depends on it."""
    if not isinstance(data, Mapping):
        return Record()
    failed = data.get("failed")
    failures = {
        str(name): Failure(float(item["at"]), str(item["request"]), str(item["said"]))
        for name, item in (failed.items() if isinstance(failed, Mapping) else ())
        if isinstance(item, Mapping) and {"at", "request", "said"} <= set(item) and isinstance(item["at"], (int, float))
    }
    issued = data.get("issued")
    return Record(frozenset(map(str, issued)) if isinstance(issued, list) else frozenset(), failures)


def request_of(step: Step, source: Source) -> str:
    """What makes two requests the same to an ACME server."""
    told = "\0".join([source.directory_url, source.account, step.certificate.dns, *sorted(step.certificate.domains)])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def held_back(record: Record, step: Step, source: Source, now: float) -> str | None:
    """Say why a certificate is not asked for again yet, or None."""
    failure = record.failed.get(step.certificate.name)
    if failure is None or failure.request != request_of(step, source) or not 0 <= now - failure.at < PAUSE:
        return None
    ago, left = int((now - failure.at) / 60), max(1, round((failure.at + PAUSE - now) / 60))
    return (
        f"Certificate '{step.certificate.name}' was refused {ago} minutes ago and is not asked for again for {left}, "
        "so that the limits of the ACME server are kept; with the cause gone, run with letsencrypt_retry=true. "
        f"It said: {failure.said}"
    )


def given_up(record: Record, wanted: Collection[str], found: Collection[str]) -> list[str]:
    """The certificates of ours that nobody declares any more and that certbot still has."""
    return sorted((record.issued & set(found)) - set(wanted))
