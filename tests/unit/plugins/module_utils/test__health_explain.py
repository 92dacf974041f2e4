# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import socket
import ssl

import pytest
from ansible_collections.quayside.web.plugins.module_utils._health_explain import explain, redacted


def wrapped(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__context__ = inner
    return outer


class ConnectTimeout(OSError):
    """Named as the one of requests, which is an OSError too."""


@pytest.mark.parametrize(
    ("exc", "kind", "text"),
    [
        (
            wrapped(OSError("max retries"), socket.gaierror(-2, "Name or service not known")),
            "dns",
            "the name app does not resolve (Name or service not known), expected an address",
        ),
        (
            wrapped(OSError(), ConnectionRefusedError(111, "Connection refused")),
            "refused",
            "connection refused, expected a listener on app:80",
        ),
        (ConnectTimeout(), "timeout", "no connection to app:80 within 2 s"),
        (wrapped(OSError(), socket.timeout("timed out")), "timeout", "no answer from app:80 within 2 s"),
        (
            wrapped(OSError(), ConnectionResetError(104, "reset")),
            "closed",
            "app:80 closed the connection without an answer, expected one",
        ),
        (OSError(113, "No route to host"), "unreachable", "no connection to app:80 (No route to host)"),
        (ValueError("odd"), "unreachable", "no usable answer from app:80 (ValueError: odd)"),
        (
            OSError(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")),
            "tls",
            "the TLS handshake with app:80 failed ([SSL: WRONG_VERSION_NUMBER] wrong version number), "
            "expected HTTPS there",
        ),
        (
            OSError(ssl.SSLCertVerificationError("self-signed certificate")),
            "tls",
            "the certificate is not accepted (self-signed certificate), expected a valid one for this name",
        ),
    ],
)
def test_explain(exc: BaseException, kind: str, text: str) -> None:
    found = explain(exc, timeout=2, address="app:80")
    assert found[0] == kind
    assert found[1].replace("('self-signed certificate',)", "self-signed certificate") == text


def test_urls_are_shown_without_login() -> None:
    assert redacted("https://me:Secret@app:1/x?y=1") == "https://app:1/x?y=1"
