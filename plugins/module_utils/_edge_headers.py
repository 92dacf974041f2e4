# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Response headers that may be set by hand: the known ones, and names of one's own that begin with X-."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._rules import Problem, shown

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,99}")
#: Printable ASCII on one line. A dollar would be a variable of nginx.
_VALUE = re.compile(r"[ -#%-~]*")

KNOWN = (
    "Accept-CH",
    "Accept-Patch",
    "Accept-Ranges",
    "Age",
    "Alt-Svc",
    "Cache-Control",
    "CDN-Cache-Control",
    "Clear-Site-Data",
    "Cloudflare-CDN-Cache-Control",
    "Content-Disposition",
    "Content-Language",
    "Content-Security-Policy",
    "Content-Security-Policy-Report-Only",
    "Critical-CH",
    "Cross-Origin-Embedder-Policy",
    "Cross-Origin-Embedder-Policy-Report-Only",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Opener-Policy-Report-Only",
    "Cross-Origin-Resource-Policy",
    "Document-Policy",
    "Expires",
    "Integrity-Policy",
    "Link",
    "NEL",
    "No-Vary-Search",
    "Onion-Location",
    "Origin-Agent-Cluster",
    "Permissions-Policy",
    "Pragma",
    "Referrer-Policy",
    "Report-To",
    "Reporting-Endpoints",
    "Server-Timing",
    "Service-Worker-Allowed",
    "SourceMap",
    "Speculation-Rules",
    "Strict-Transport-Security",
    "Supports-Loading-Mode",
    "Surrogate-Control",
    "Timing-Allow-Origin",
    "Tk",
    "Warning",
    "X-Accel-Buffering",
    "X-Content-Type-Options",
    "X-DNS-Prefetch-Control",
    "X-Download-Options",
    "X-Frame-Options",
    "X-Permitted-Cross-Domain-Policies",
    "X-Robots-Tag",
    "X-UA-Compatible",
    "X-XSS-Protection",
)
_BY_LOWER = {name.lower(): name for name in KNOWN}
#: Set by nginx or the app for each answer; one fixed value for all of them would break answers.
_OWNED = (
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "keep-alive",
    "location",
    "retry-after",
    "server",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "www-authenticate",
    "x-quayside-release",
    "x-quayside-slot",
)


def name_fault(name: object) -> str | None:
    """Say what is accepted instead of a header's name that can't be used, or None."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "names of response headers such as X-Frame-Options"
    lower = name.lower()
    if lower.startswith("access-control-"):
        return "the key cors, which sets the headers of this name as each request needs them"
    if lower in _OWNED:
        return "other headers, for this one is set for each answer by nginx or the app"
    if lower in _BY_LOWER:
        return None
    near = difflib.get_close_matches(lower, list(_BY_LOWER), n=1, cutoff=0.6 if not lower.startswith("x-") else 0.85)
    if near:
        return f"a known response header (did you mean {_BY_LOWER[near[0]]}?), or a name that begins with X-"
    return None if lower.startswith("x-") else "a known response header, or a name that begins with X-"


class Headers:
    """A rule: response headers by their names; an empty value or null takes one of nginx's away."""

    accepted = "a mapping of response headers"
    secret = False

    def problems(self, path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, Mapping):
            yield Problem(path, shown(value), self.accepted)
            return
        seen: set[str] = set()
        for name, item in value.items():
            fault = name_fault(name)
            if fault:
                yield Problem(path, f"a mapping with the header {shown(name)}", fault)
            elif str(name).lower() in seen:
                yield Problem(path, f"a mapping with the header {shown(name)} twice", "each header once")
            elif item is not None and not (isinstance(item, str) and _VALUE.fullmatch(item)):
                yield Problem(
                    f"{path}.{name}",
                    shown(item),
                    "a value on one line, in quotes and without a dollar sign; null to take the header away",
                )
            seen.add(str(name).lower())

    def normal(self, value: Any) -> Any:
        return {_BY_LOWER.get(str(name).lower(), str(name)): item or "" for name, item in value.items()}
