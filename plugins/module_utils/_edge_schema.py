# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The keys by which an app, or a site of nginx, says how it meets the internet: what each accepts, and its default."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._edge_headers import Headers
from ._rules import Key, ListOf, Problem, Record, Rule, boolean, choice, integer, shown, text

_HEADER = r"[A-Za-z][A-Za-z0-9-]{0,99}"
_SEGMENT = r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*|\.well-known"
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ERROR_CODES = ("401", "403", "404", "413", "429", "500", "502", "503", "504")

SIZE = text("a size such as 512k, 10m or 1g", r"[1-9][0-9]*[kmg]")
PREFIX = text("a path such as / or /api, without a slash at its end", rf"/|(?:/(?:{_SEGMENT}))+")


def _is_network(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        ipaddress.ip_network(value, strict=True)
    except ValueError:
        return False
    return True


NETWORK = Rule(
    "an address or a network such as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32 (no bits set right of the prefix)",
    _is_network,
    convert=lambda value: ipaddress.ip_network(value).with_prefixlen,
)


def _is_origin(value: object) -> bool:
    if value == "*":
        return True
    if not isinstance(value, str) or not _ORIGIN.fullmatch(value):
        return False
    default_port = _DEFAULT_PORTS.get(value.partition(":")[0])
    return default_port is None or not value.endswith(default_port)


ORIGIN = Rule(
    "an origin as browsers send it, such as https://app.example.com: in lower case, without a path, and without the "
    'default port; or "*" alone. null is nobody in particular and can\'t be allowed',
    _is_origin,
    convert=str,
)

CORS = Record(
    {
        "origins": Key(ListOf(ORIGIN, least=1), required=True),
        "methods": Key(ListOf(choice(*METHODS), least=1), ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
        "headers": Key(
            ListOf(text("the name of a request header", rf"{_HEADER}|\*")), ["Authorization", "Content-Type"]
        ),
        "credentials": Key(boolean(), False),
        "expose": Key(ListOf(text("the name of a response header", rf"{_HEADER}|\*")), []),
        "max_age": Key(integer(0, 86400, "seconds"), 600),
    }
)

RATE_LIMIT = Record(
    {
        "rate": Key(text("a rate such as 10r/s or 30r/m", r"[1-9][0-9]{0,5}r/[sm]"), required=True),
        "burst": Key(integer(0, 100000, "requests"), 20),
        "by": Key(text("ip, or header:NAME such as header:X-Api-Key", rf"ip|header:{_HEADER}"), "ip"),
        "exempt": Key(ListOf(PREFIX), []),
    }
)

STATIC = Record(
    {
        "path": Key(PREFIX, required=True),
        "root": Key(text("a folder on the host such as /srv/shop/static", r"/[A-Za-z0-9._/-]*")),
        "volume": Key(text("a folder in the container that `volumes` mounts from the host", r"/[A-Za-z0-9._/-]*")),
        "cache": Key(integer(0, 315360000, "seconds"), 3600),
    }
)

MAINTENANCE = Record(
    {
        "allow": Key(ListOf(NETWORK), []),
        "retry_after": Key(integer(1, 86400, "seconds"), 300),
    }
)

AUTH = {
    # For nginx `off` is no realm: it would let everybody in.
    "realm": Key(text('a text without ", \\ and $, and not off', r'(?!(?i:off)$)[^"\\$\0-\x1f]+'), "Restricted"),
    "exempt": Key(ListOf(PREFIX), []),
}


class ErrorPages:
    """A rule: the file on the controller for each status code."""

    accepted = "a mapping of status codes to files on the controller, for " + ", ".join(ERROR_CODES)
    secret = False

    def problems(self, path: str, value: Any) -> Iterator[Problem]:
        if not isinstance(value, Mapping):
            yield Problem(path, shown(value), self.accepted)
            return
        for code, file in value.items():
            if str(code) not in ERROR_CODES:
                yield Problem(path, f"a mapping with the code {shown(code)}", ", ".join(ERROR_CODES))
            elif not isinstance(file, str) or not file:
                yield Problem(f"{path}.{code}", shown(file), "the path of a file on the controller")

    def normal(self, value: Any) -> Any:
        return {str(code): str(file) for code, file in value.items()}


class _Proxies:
    """A rule: the networks of the proxies in front, or the name of a known one."""

    accepted = "cloudflare, or a list of networks"
    secret = False

    def problems(self, path: str, value: Any) -> Iterator[Problem]:
        if value != "cloudflare":
            yield from (
                ListOf(NETWORK, least=1).problems(path, value)
                if isinstance(value, list)
                else [Problem(path, shown(value), self.accepted)]
            )

    def normal(self, value: Any) -> Any:
        return value if value == "cloudflare" else [NETWORK.normal(item) for item in value]


REAL_IP = Record(
    {
        "from": Key(_Proxies(), required=True),
        "header": Key(text("the name of a request header such as X-Forwarded-For", _HEADER)),
    }
)

#: What an app and a site have in common.
EDGE_KEYS = {
    "serve_all": Key(boolean(), False),
    "paths": Key(ListOf(PREFIX, least=1), ["/"]),
    "websockets": Key(boolean(), False),
    "sse": Key(ListOf(PREFIX), []),
    "body_limit": Key(SIZE, "1m"),
    "request_buffering": Key(boolean(), True),
    "read_timeout": Key(integer(1, 86400, "seconds"), 60),
    "cors": Key(CORS),
    "rate_limit": Key(RATE_LIMIT),
    "headers": Key(Headers(), {}),
    "allow_from": Key(ListOf(NETWORK), []),
    "static": Key(ListOf(STATIC), []),
    "error_pages": Key(ErrorPages(), {}),
    "real_ip": Key(REAL_IP),
}
