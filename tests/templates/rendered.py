# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What the tests of the nginx role's templates share: hosts, a site, and how to read what was rendered."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.template import trust_as_template
from ansible_collections.quayside.web.plugins.module_utils._nginx_tree import Host, apply_gates

ROLE = Path(__file__).resolve().parents[2] / "roles" / "nginx"
BOOKWORM = Host(nginx=(1, 22, 1), openssl=(3, 0, 17), ipv6=True)
TRIXIE = Host(nginx=(1, 26, 3), openssl=(3, 5, 1), ipv6=True)
JAMMY = Host(nginx=(1, 18, 0), openssl=(3, 0, 2), ipv6=False)
OWNED = ["nginx.conf", "quayside/*.conf", "quayside/*.html", "quayside/sites/*.conf", "quayside/pages/*/*.html"]
HOSTS = pytest.mark.parametrize("host", [BOOKWORM, TRIXIE, JAMMY], ids=["bookworm", "trixie", "jammy"])

Site = dict[str, Any]
Render = Callable[..., dict[str, str]]


def a_site(**overrides: Any) -> Site:
    """A site as a user would declare it, with as little as possible."""
    return {
        "name": "shop",
        "domains": ["shop.test", "www.shop.test"],
        "certificate": "/etc/shop/fullchain.pem",
        "certificate_key": "/etc/shop/privkey.pem",
        "upstreams": {"blue": ["127.0.0.1:21000"], "green": ["127.0.0.1:21010"]},
        "flag": "/var/lib/quayside/apps/shop/green",
    } | overrides


def trusted(value: Any) -> Any:
    """Marks strings as templates, as Ansible does with what it reads from a role's files."""
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    return [trusted(item) for item in value] if isinstance(value, list) else value


def servers(text: str) -> list[str]:
    """The server blocks of a file, each with its lines' indentation and comments removed."""
    blocks = re.findall(r"^server \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    return [
        "\n".join(line.strip() for line in block.splitlines() if not line.strip().startswith("#")) for block in blocks
    ]


def site_servers(files: dict[str, str], host: Host = TRIXIE, name: str = "shop") -> list[str]:
    return servers(apply_gates(files[f"quayside/sites/{name}.conf"], host))
