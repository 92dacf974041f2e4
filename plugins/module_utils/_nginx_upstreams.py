# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The servers that a site's upstreams list, changed in the text that the role nginx has written. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ._nginx_tree import TREE

#: Up to its first server, and all of its servers.
_BLOCK = (
    r"(?m)^upstream {name} \{{\n(?:(?!\}}| *server ).*\n)*"
    r"(?P<servers>(?:(?P<before> *server )\S+(?P<after>.*\n))+)"
)


def site_file(app: str) -> str:
    """Return where an app's site lies in nginx's folder."""
    return f"{TREE}/sites/{app}.conf"


def upstream_name(app: str, slot: str) -> str:
    """Return the upstream of an app's slot, as nginx sees it in `$proxy_host`."""
    return f"{app.replace('-', '_')}_{slot}"


def with_ports(text: str, app: str, ports: Mapping[str, Iterable[int]]) -> str:
    """Return a site's text with these loopback ports, by slot, in the app's upstreams.

    A slot without an upstream in the text stays without one.
    """
    for slot, numbers in ports.items():
        block = re.compile(_BLOCK.format(name=re.escape(upstream_name(app, slot))))
        if found := block.search(text):
            start, end = found.span("servers")
            servers = "".join(f"{found['before']}127.0.0.1:{number}{found['after']}" for number in numbers)
            text = text[:start] + servers + text[end:]
    return text
