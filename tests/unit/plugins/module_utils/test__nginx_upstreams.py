# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The ports in a site's upstreams follow the release; nothing else in the text changes."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from ansible_collections.quayside.web.plugins.module_utils._nginx_upstreams import site_file, upstream_name, with_ports

REST = """\
server {
    server 127.0.0.1:1;
    location / { proxy_pass http://my_shop_blue; }
}
"""


def upstream(name: str, *ports: int) -> str:
    servers = "".join(f"    server 127.0.0.1:{port} max_fails=0;\n" for port in ports)
    return f"upstream {name} {{\n    # Never held back.\n{servers}    keepalive 32;\n    # Shorter.\n}}\n\n"


BEFORE = upstream("my_shop_blue", 21000) + upstream("my_shop_green", 21010) + upstream("my_shop_blue2", 1) + REST


@pytest.mark.parametrize(
    ("ports", "blue", "green"),
    [
        pytest.param({}, [21000], [21010], id="nothing asked for"),
        pytest.param({"blue": [21000], "green": [21010]}, [21000], [21010], id="as it was"),
        pytest.param({"green": [21010, 21011, 21012]}, [21000], [21010, 21011, 21012], id="one slot grows"),
        pytest.param({"blue": [21000, 21001], "green": [21010, 21011]}, [21000, 21001], [21010, 21011], id="both grow"),
    ],
)
def test_ports(ports: Mapping[str, list[int]], blue: list[int], green: list[int]) -> None:
    after = upstream("my_shop_blue", *blue) + upstream("my_shop_green", *green) + upstream("my_shop_blue2", 1) + REST
    assert with_ports(BEFORE, "my-shop", ports) == after
    # And back: the number can shrink too.
    assert with_ports(after, "my-shop", {"blue": [21000], "green": [21010]}) == BEFORE


def test_a_slot_without_an_upstream_stays_without() -> None:
    text = upstream("shop_blue", 21000) + REST
    assert with_ports(text, "shop", {"blue": [21000], "green": [21010]}) == text


def test_names() -> None:
    assert site_file("my-shop") == "quayside/sites/my-shop.conf"
    assert upstream_name("my-shop", "green") == "my_shop_green"
