# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What the role makes of pg_backup_databases."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._backup_role import drills_here


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, True),
        ({"drill": None}, True),
        ({"drill": {"schedule": "Sun 05:00"}}, True),
        ({"drill": {"server": "local"}}, True),
        ({"drill": {"server": "same"}}, False),
        ({"drill": {"url": "postgresql://a@h/d"}}, False),
        ({"drill": {"enabled": False}}, False),
        ({"drill": False}, False),
    ],
)
def test_drills_are_made_here_unless_another_server_is_named(entry: dict[str, object], expected: bool) -> None:
    assert drills_here([entry]) is expected
    assert drills_here([{"drill": False}, entry]) is expected
    assert not drills_here([])
