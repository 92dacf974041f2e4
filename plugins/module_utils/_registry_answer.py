# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What an image registry answers, as Docker's engine passes it on: which kind of failure, and what to do. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping

Auth = Mapping[str, str]
"""A login: `username` and `password`."""

_KINDS = (
    (
        "refused",
        r"no basic auth credentials|unauthorized|authentication required|(?<!permission )denied\b|incorrect user",
    ),
    ("limited", r"toomanyrequests|rate limit"),
    ("missing", r"manifest unknown|name unknown|repository name not known"),
    ("full", r"no space left on device"),
    ("untrusted", r"x509:|server gave HTTP response to HTTPS client"),
    ("platform", r"no matching manifest for|no match for platform"),
)


class ImageError(Exception):
    """An image cannot be had; one sentence says which, why, and what to do."""


def split(name: str) -> tuple[str, str]:
    """Return repository and tag of a reference."""
    head, slash, tail = name.partition("@")[0].rpartition("/")
    return head + slash + tail.partition(":")[0], tail.partition(":")[2]


def kind(status: int | None, text: str) -> str:
    """Return what a failure is about; engines report most refusals of a registry as their own error 500."""
    known = {401: "refused", 403: "refused", 404: "missing", 429: "limited"}
    found = next((name for name, pattern in _KINDS if re.search(pattern, text, re.IGNORECASE)), "network")
    return found if found != "network" or status is None else known.get(status, found)


def explain(name: str, failure: str, text: str, auth: Auth | None) -> str:
    """Return one sentence on a failure that trying again does not cure."""
    image = f'image "{name}": '
    if failure == "refused" and auth:
        return (
            f'{image}the registry refuses the login of "{auth["username"]}" ({text}); correct registry.username and '
            'registry.password, let it read this repository, or correct "image".'
        )
    if failure == "refused":
        return (
            f'{image}the registry refuses access ({text}); give "registry" with username and password, or run '
            '"docker login" for it on this host, or correct "image".'
        )
    host = split(name)[0].partition("/")[0]
    return image + {
        "missing": f'the registry has none by that name and tag ({text}); push it, or correct "image".',
        "limited": f'the registry allows no more pulls for now ({text}); log in with "registry", or wait.',
        "full": f"the disk is full ({text}); make room, then run again.",
        "untrusted": (
            f"the registry's TLS is not trusted ({text}); put its CA into /etc/docker/certs.d/{host}/ca.crt, or add "
            f'"{host}" to insecure-registries in docker_daemon_options.'
        ),
        "platform": f"the registry has none for this host's platform ({text}); build it for that platform.",
    }.get(failure, f"the pull failed: {text}")
