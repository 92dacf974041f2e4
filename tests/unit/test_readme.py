# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The README's table of `quayside_apps` against the rules that check the list."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _apps

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \|([^|]*)\|", README, re.MULTILINE))


def test_the_table_has_the_accepted_keys_and_no_others() -> None:
    assert sorted(ROWS) == sorted(_apps.APP.keys)


@pytest.mark.parametrize("name", [name for name in _apps.APP.keys if name in ROWS])
def test_the_default_in_the_table_is_the_one_in_force(name: str) -> None:
    key, shown = _apps.APP.keys[name], ROWS[name].strip()
    if shown in {"see right", "the image's", "assigned", ""}:
        assert not key.required
        assert key.default in ({}, None)
    elif shown == "required":
        assert key.required
    else:
        assert shown.strip("`") == json.dumps(key.default).strip('"'), name
