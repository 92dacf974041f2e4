# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Ports of apps: recorded for good, and other listeners passed over."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.quayside.web.plugins.modules import app_ports


class Ended(Exception):
    pass


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "quayside/ports.json"
    monkeypatch.setattr(app_ports, "RECORD", path)
    monkeypatch.setattr(app_ports, "listeners_on", lambda _ports: [])
    return path


def run(monkeypatch: pytest.MonkeyPatch, apps: dict[str, int | None], *, check: bool = False) -> dict[str, Any]:
    result: dict[str, Any] = {}

    def end(_module: object, **values: Any) -> None:
        result.update(values)
        raise Ended

    monkeypatch.setattr(app_ports.AnsibleModule, "exit_json", end)
    monkeypatch.setattr(app_ports.AnsibleModule, "fail_json", end)
    with patch_module_args({"apps": apps, "_ansible_check_mode": check}), pytest.raises(Ended):
        app_ports.main()
    return result


def test_what_is_recorded_stays(monkeypatch: pytest.MonkeyPatch, record: Path) -> None:
    first = run(monkeypatch, {"shop": None, "blog": 22000})
    assert (first["changed"], first["ports"]) == (True, {"shop": 21000, "blog": 22000})
    assert record.stat().st_mode & 0o777 == 0o600
    # Another order, one more and one less.
    second = run(monkeypatch, {"news": None, "shop": None})
    assert second["ports"] == {"shop": 21000, "blog": 22000, "news": 21020}
    assert second["diff"] == {"before": first["ports"], "after": second["ports"]}
    third = run(monkeypatch, {"news": None})
    assert (third["changed"], third["ports"]) == (False, second["ports"])


def test_a_check_records_nothing(monkeypatch: pytest.MonkeyPatch, record: Path) -> None:
    result = run(monkeypatch, {"shop": None}, check=True)
    assert (result["changed"], result["ports"]) == (True, {"shop": 21000})
    assert not record.exists()


def test_nginx_reaches_the_flags_whatever_the_umask_is(monkeypatch: pytest.MonkeyPatch, record: Path) -> None:
    before = os.umask(0o077)
    try:
        run(monkeypatch, {"shop": None})
    finally:
        os.umask(before)
    apps = record.parent / "apps"
    assert [path.stat().st_mode & 0o777 for path in (record.parent, apps)] == [0o755, 0o755]
    # What an older version left under such an umask.
    (apps / "shop").mkdir()
    for folder in (record.parent, apps, apps / "shop"):
        folder.chmod(0o700)
    assert run(monkeypatch, {"shop": None}, check=True)["changed"] is True
    assert run(monkeypatch, {"shop": None})["changed"] is True
    found = [path.stat().st_mode & 0o777 for path in (record.parent, apps, apps / "shop")]
    assert found == [0o755, 0o755, 0o711]
    assert run(monkeypatch, {"shop": None})["changed"] is False


def test_a_block_that_something_listens_in_is_passed_over(monkeypatch: pytest.MonkeyPatch, record: Path) -> None:
    monkeypatch.setattr(app_ports, "listeners_on", lambda _ports: [SimpleNamespace(port=21013)])
    assert run(monkeypatch, {"shop": None})["ports"] == {"shop": 21020}
    # Its own containers listen there by now.
    monkeypatch.setattr(app_ports, "listeners_on", lambda _ports: [SimpleNamespace(port=21020)])
    assert run(monkeypatch, {"shop": None})["changed"] is False


def test_a_port_of_another_app_is_refused(monkeypatch: pytest.MonkeyPatch, record: Path) -> None:
    run(monkeypatch, {"shop": None})
    before = record.read_text()
    result = run(monkeypatch, {"blog": 21005})
    assert 'app "blog": slot_port is 21005, and 21000 is recorded for app "shop"' in result["msg"]
    assert record.read_text() == before
    assert json.loads(before) == {"shop": 21000}
