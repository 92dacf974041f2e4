# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What the ufw role opens where nobody declares anything."""

from __future__ import annotations

from typing import Any

import pytest
import rendered
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

DEFAULTS = rendered.ROLE.parent / "ufw" / "defaults" / "main.yml"
WEB = {"port": [80, 443], "comment": "web"}
HTTP3 = {"port": [443], "proto": "udp", "comment": "HTTP/3"}


@pytest.mark.parametrize(
    ("variables", "opened"),
    [({}, [WEB]), ({"nginx_http3": False}, [WEB]), ({"nginx_http3": True}, [WEB, HTTP3])],
    ids=["by itself", "without", "with"],
)
def test_http3_is_opened_where_nginx_speaks_it(variables: dict[str, Any], opened: list[dict[str, Any]]) -> None:
    expression = trust_as_template(yaml.safe_load(DEFAULTS.read_text())["ufw_rules"])
    assert Templar(loader=DataLoader(), variables=variables).template(expression) == opened
