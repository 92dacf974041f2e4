# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""One HTTP or TCP try, as an Attempt. The I/O beside `_health`."""

from __future__ import annotations

import socket
import time
import traceback
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ._health import Attempt, failure
from ._health_explain import redacted

try:
    import requests
    from requests.adapters import HTTPAdapter
except ImportError:
    REQUESTS_ERROR: str | None = traceback.format_exc()
    HTTPAdapter = object  # type: ignore[assignment,misc]
else:
    REQUESTS_ERROR = None

BODY_LIMIT = 256 * 1024


class _NameAdapter(HTTPAdapter):
    """Verifies TLS for `name` (SNI and certificate) whatever address the URL holds."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, server_hostname=self.name, assert_hostname=self.name, **kwargs)


def new_session() -> requests.Session:
    """A session that ignores proxies and .netrc: a probe must reach the very target it names."""
    session = requests.Session()
    session.trust_env = False
    return session


def probe_http(
    url: str,
    *,
    session: requests.Session | None = None,
    host_header: str | None = None,
    headers: Mapping[str, str] | None = None,
    ca_path: str | None = None,
    timeout: float = 5.0,
    connect_to: tuple[str, int] | None = None,
    verify: bool = True,
) -> Attempt:
    """GET `url` once and return the answer, not judged yet: `ok` means that there is one. Never raises for the network.

    `connect_to` sends the request to that address while the URL's own name stays in Host, SNI and the certificate
    check. `verify=False` accepts any certificate. Redirects are not followed. A session keeps its connections from one
    try to the next.
    """
    parts = urlsplit(url)
    target = redacted(url)
    sent = dict(headers or {})
    address = ""
    if host_header:
        sent["Host"] = host_header
    own = session is None
    session = session or new_session()
    if connect_to is not None:
        host = f"[{connect_to[0]}]" if ":" in connect_to[0] else connect_to[0]
        address = f"{host}:{connect_to[1]}"
        sent.setdefault("Host", parts.netloc.rpartition("@")[2])
        url = urlunsplit(parts._replace(netloc=address))
        if parts.scheme == "https":
            _mount(session, f"https://{address}/", parts.hostname or "")
    start = time.monotonic()
    try:
        answer = session.get(
            url, headers=sent, verify=verify and (ca_path or True), timeout=timeout, allow_redirects=False, stream=True
        )
        with answer:
            body = _body(answer, deadline=start + timeout)
        return Attempt(
            ok=True,
            target=target,
            status=answer.status_code,
            latency_ms=_since(start),
            body=body.decode("utf-8", errors="replace"),
            headers=dict(answer.headers),
        )
    except (requests.RequestException, OSError) as exc:
        return failure(target, exc, timeout=timeout, latency_ms=_since(start), address=address)
    finally:
        if own:
            session.close()


def probe_tcp(host: str, port: int, *, timeout: float = 5.0) -> Attempt:
    """Connect once and close again."""
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    start = time.monotonic()
    try:
        with socket.create_connection((host, port), timeout=timeout):
            return Attempt(ok=True, target=target, latency_ms=_since(start))
    except OSError as exc:
        return failure(target, exc, timeout=timeout, latency_ms=_since(start))


def _mount(session: requests.Session, prefix: str, name: str) -> None:
    adapter = session.adapters.get(prefix)
    if not isinstance(adapter, _NameAdapter) or adapter.name != name:
        session.mount(prefix, _NameAdapter(name))


def _body(answer: requests.Response, *, deadline: float) -> bytes:
    body = b""
    for chunk in answer.iter_content(16384):
        body += chunk
        if len(body) >= BODY_LIMIT:
            break
        # The timeout of requests is one for each read, and a slow body comes in many.
        if time.monotonic() > deadline:
            raise TimeoutError
    return body


def _since(start: float) -> float:
    return round((time.monotonic() - start) * 1000, 1)
