# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a network exception means, in a sentence. Pure."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any, Callable
from urllib.parse import urlsplit, urlunsplit


def _named(*names: str) -> Callable[[BaseException], bool]:
    return lambda exc: type(exc).__name__ in names


def _is(*types: type[BaseException]) -> Callable[[BaseException], bool]:
    return lambda exc: isinstance(exc, types)


# Told apart by the builtin exception at the root, because requests and urllib3 wrap differently from version to
# version; by name where the root is urllib3's own. The first row that matches anything in the chain wins.
_CAUSES: tuple[tuple[str, Callable[[BaseException], bool], str], ...] = (
    ("dns", _is(socket.gaierror), "the name {host} does not resolve ({reason}), expected an address"),
    (
        "tls",
        lambda exc: isinstance(exc, ssl.SSLCertVerificationError) or type(exc).__name__ == "CertificateError",
        "the certificate is not accepted ({reason}), expected a valid one for this name",
    ),
    ("tls", _is(ssl.SSLError), "the TLS handshake with {address} failed ({reason}), expected HTTPS there"),
    ("refused", _is(ConnectionRefusedError), "connection refused, expected a listener on {address}"),
    ("timeout", _is(TimeoutError, socket.timeout), "no {doing} {address} within {timeout:g} s"),
    (
        "timeout",
        _named("ConnectTimeout", "ReadTimeout", "ReadTimeoutError"),
        "no {doing} {address} within {timeout:g} s",
    ),
    (
        "closed",
        _is(ConnectionResetError, ConnectionAbortedError, BrokenPipeError),
        "{address} closed the connection without an answer, expected one",
    ),
    (
        "unreachable",
        lambda exc: isinstance(exc, OSError) and bool(exc.errno and exc.strerror),
        "no connection to {address} ({reason})",
    ),
)


def explain(exc: BaseException, *, timeout: float, address: str) -> tuple[str, str]:
    """Kind and sentence for a network exception, whatever libraries have wrapped around the real one."""
    chain = list(_causes(exc))
    host = address.rpartition(":")[0].strip("[]") or address
    doing = "connection to" if any("Connect" in type(cause).__name__ for cause in chain) else "answer from"
    for kind, matches, text in _CAUSES:
        for cause in chain:
            if matches(cause):
                return kind, text.format(
                    address=address, host=host, timeout=round(timeout, 1), doing=doing, reason=_reason(cause)
                )
    return "unreachable", f"no usable answer from {address} ({type(chain[-1]).__name__}: {chain[-1]})"


def redacted(url: str) -> str:
    """The URL without the user and password it may carry."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """The exception and everything it wraps, outermost first: by cause, context, `reason` or as an argument."""
    seen: set[int] = set()
    queue: list[Any] = [exc]
    while queue:
        here = queue.pop(0)
        if isinstance(here, BaseException) and id(here) not in seen:
            seen.add(id(here))
            yield here
            queue += [getattr(here, "reason", None), *here.args, here.__cause__, here.__context__]


def _reason(exc: BaseException) -> str:
    if isinstance(exc, ssl.SSLCertVerificationError):
        return getattr(exc, "verify_message", "") or str(exc)
    if isinstance(exc, ssl.SSLError) and getattr(exc, "reason", None):  # unset where Python code raised it
        return exc.reason.replace("_", " ").lower()
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc)


def address_of(target: str) -> str:
    """Host and port of an URL; anything else is an address already."""
    parts = urlsplit(target)
    if not parts.netloc:
        return target
    host = parts.netloc.rpartition("@")[2]
    port = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return host if parts.port else host + port
