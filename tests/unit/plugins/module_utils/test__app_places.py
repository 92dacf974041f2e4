# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Loopback ports: assigned once, never twice."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _app_places


@pytest.mark.parametrize(
    ("asked", "recorded", "in_use", "expected"),
    [
        ({"a": None, "b": None}, {}, (), {"a": 21000, "b": 21020}),
        ({"b": None}, {"a": 21000}, (), {"a": 21000, "b": 21020}),
        ({"a": None}, {"a": 21040}, (21040,), {"a": 21040}),
        ({"a": 22000}, {"a": 21000}, (), {"a": 22000}),
        ({"a": 21010, "b": None}, {}, (), {"a": 21010, "b": 21040}),
        ({"a": None}, {}, (21015,), {"a": 21020}),
    ],
)
def test_ports(
    asked: dict[str, int | None], recorded: dict[str, int], in_use: tuple[int, ...], expected: object
) -> None:
    apps = [{"name": name, "slot_port": port} for name, port in asked.items()]
    assert _app_places.assign_ports(apps, recorded, in_use) == expected


def test_a_port_recorded_for_another_app_is_refused() -> None:
    with pytest.raises(_app_places.PortError, match='recorded for app "a"'):
        _app_places.assign_ports([{"name": "b", "slot_port": 21005}], {"a": 21000})


def test_slots_never_share_a_port() -> None:
    slots = _app_places.slot_ports(21000, _app_places.MAX_REPLICAS)
    assert not set(slots["blue"]) & set(slots["green"])
    assert max(slots["blue"] + slots["green"]) < 21000 + _app_places.SLOT_BLOCK
