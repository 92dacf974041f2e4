# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What `health_wait` is asked to wait for, checked. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union
from urllib.parse import quote, unquote

from ._database_url import DatabaseUrl, parse
from ._health import Expectation, parse_address, parse_status, parse_url
from ._health_explain import redacted

KINDS = ("url", "tcp", "container", "postgres")
PACE = ("successes", "interval", "try_timeout")
HTTP_ONLY = ("expect", "headers", "host", "connect_to", "ca_path")
_CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_SERVER = re.compile(r"[\w.-]+:\d+|\[[0-9a-fA-F:.]+\]:\d+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SECRET_HEADER = re.compile(r"auth|cookie|credential|key|pass|secret|session|sign|token", re.IGNORECASE)


@dataclass(frozen=True)
class HttpCheck:
    url: str = field(repr=False)
    expectation: Expectation
    headers: Mapping[str, str] = field(repr=False)
    host: str | None
    connect_to: tuple[str, int] | None
    ca_path: str | None


@dataclass(frozen=True)
class TcpCheck:
    host: str
    port: int


@dataclass(frozen=True)
class ContainerCheck:
    container: str


@dataclass(frozen=True)
class PostgresCheck:
    """A login and a query, or the mere readiness of a server where no login is given."""

    server: DatabaseUrl | tuple[str, int]


Check = Union[HttpCheck, TcpCheck, ContainerCheck, PostgresCheck]


@dataclass(frozen=True)
class Target:
    """One thing to wait for. `name` is how messages call it, and holds no secret."""

    kind: str
    name: str
    check: Check
    successes: int
    interval: float
    try_timeout: float


def parse_targets(params: Mapping[str, Any]) -> tuple[Target, ...]:
    """The targets of the module's parameters; a ValueError says in one sentence what is wrong."""
    single = [kind for kind in KINDS if params[kind] is not None]
    items = params["targets"]
    timeout = params["timeout"]
    if not timeout >= 0:
        raise ValueError(f"timeout is {timeout:g}, expected seconds of at least 0.")
    if items is None:
        if len(single) != 1:
            raise ValueError(f"{_named(single)}; give exactly one of {', '.join(KINDS)}, or several as targets.")
        return (_target("", params, timeout),)
    if single:
        raise ValueError(
            f"targets and {' and '.join(single)} are both given; move {' and '.join(single)} into targets."
        )
    if not items:
        raise ValueError("targets is an empty list, expected at least one; leave the task out where there is none.")
    found = []
    for index, item in enumerate(items):
        given = {key: value for key, value in item.items() if value is not None}
        where = f"targets[{index}]: "
        kinds = [kind for kind in KINDS if kind in given]
        if len(kinds) != 1:
            raise ValueError(f"{where}{_named(kinds)}; exactly one of {', '.join(KINDS)} is accepted.")
        for key in ("status", *HTTP_ONLY):
            if key in given and kinds != ["url"]:
                raise ValueError(f"{where}{key} is given for {kinds[0]}; it goes with url only, leave it out.")
        # What a target does not say is taken from beside the list.
        found.append(_target(where, {**params, **given}, timeout))
    return tuple(found)


def secrets(params: Mapping[str, Any]) -> set[str]:
    """Every text of the parameters that nothing may show: logins in URLs, and headers such as Authorization."""
    found: set[str] = set()
    for item in [params, *(params["targets"] or [])]:
        found |= _secrets_of_url(item.get("url") or "") | _secrets_of_database(item.get("postgres") or "")
        for name, value in (item.get("headers") or {}).items():
            if _SECRET_HEADER.search(str(name)):
                found |= {str(value), str(value).split()[-1] if str(value).strip() else ""}
    return found - {""}


def _target(where: str, params: Mapping[str, Any], timeout: float) -> Target:
    kind = next(kind for kind in KINDS if params[kind] is not None)
    for key in HTTP_ONLY:
        if not where and kind != "url" and params[key]:
            raise ValueError(f"{key} is given for {kind}; it goes with url only, leave it out.")
    successes, interval, try_timeout = (params[key] for key in PACE)
    if successes < 1:
        raise ValueError(f"{where}successes is {successes}, expected a whole number of at least 1.")
    if not interval >= 0:
        raise ValueError(f"{where}interval is {interval:g}, expected seconds of at least 0.")
    if not try_timeout > 0:
        raise ValueError(f"{where}try_timeout is {try_timeout:g}, expected seconds above 0.")
    least = (successes - 1) * interval
    if least > 0 and least >= timeout:
        raise ValueError(
            f"{where}successes is {successes} and interval {interval:g}, which takes {least:g} s, but timeout is "
            f"{timeout:g}; raise timeout above that."
        )
    try:
        name, check = _CHECKS[kind](params)
    except ValueError as exc:
        raise ValueError(f"{where}{str(exc).rstrip('.')}.") from exc
    return Target(kind, name, check, successes, interval, try_timeout)


def _http(params: Mapping[str, Any]) -> tuple[str, Check]:
    url = parse_url(params["url"])
    headers = {str(name): str(value) for name, value in params["headers"].items()}
    for name, value in [*headers.items(), ("Host", params["host"] or "")]:
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"headers has the name {name!r}, expected letters, digits and hyphens")
        if not value.isprintable() or not value.isascii() or value != value.strip():
            raise ValueError(
                f"the header {name} has a line break, a space at an end or a character beyond ASCII, expected none"
            )
    connect_to = _address(params["connect_to"]) if params["connect_to"] else None
    expectation = Expectation(status=parse_status(params["status"], "status"), json=params["expect"])
    return redacted(url), HttpCheck(url, expectation, headers, params["host"], connect_to, params["ca_path"])


def _tcp(params: Mapping[str, Any]) -> tuple[str, Check]:
    host, port = _address(params["tcp"])
    return _shown(host, port), TcpCheck(host, port)


def _container(params: Mapping[str, Any]) -> tuple[str, Check]:
    name = params["container"]
    if not _CONTAINER_NAME.fullmatch(name):
        raise ValueError(f"container is {name!r}, expected the name or id of a container, such as web-1")
    return f"container {name}", ContainerCheck(name)


def _postgres(params: Mapping[str, Any]) -> tuple[str, Check]:
    text = params["postgres"]
    if _SERVER.fullmatch(text.strip()):
        host, port = _address(text)
        return f"PostgreSQL at {_shown(host, port)}", PostgresCheck((host, port))
    if "://" not in text:
        raise ValueError(
            "postgres is neither a URL nor an address, expected postgresql://user:password@host:5432/name or host:port"
        )
    database = parse(text)
    return database.redacted, PostgresCheck(database)


_CHECKS = {"url": _http, "tcp": _tcp, "container": _container, "postgres": _postgres}


def _address(text: str) -> tuple[str, int]:
    host, port = parse_address(text)
    try:
        host.encode("idna")
    except UnicodeError as exc:
        raise ValueError(f"the address is {text!r}, whose name cannot exist, expected host:port") from exc
    return host, port


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _named(kinds: Sequence[str]) -> str:
    return f"{' and '.join(kinds)} are given together" if kinds else "nothing to wait for is given"


def _secrets_of_url(url: str) -> set[str]:
    password = url.partition("://")[2].partition("/")[0].rpartition("@")[0].partition(":")[2]
    return {password, unquote(password)}


def _secrets_of_database(text: str) -> set[str]:
    if _SERVER.fullmatch(text.strip()):
        return set()
    try:
        password = parse(text).password
    except ValueError:
        return {text}
    # The URL itself only where it holds something: without a password it is what messages call the target.
    return {text, password, quote(password, safe="")} if password else set()
