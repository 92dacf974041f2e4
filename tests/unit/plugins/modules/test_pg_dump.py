# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.quayside.web.plugins.module_utils._pg_programs import Server
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError
from ansible_collections.quayside.web.plugins.modules import pg_dump

SECRET = "s3ntinel"
URL = f"postgresql://u:{SECRET}@h/d"


def run(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        pg_dump.main()
    output = capsys.readouterr().out
    # The arguments themselves come back too, and there the URL must be masked.
    assert SECRET not in output
    result: dict[str, Any] = json.loads(output)
    return result


def test_check_mode_connects_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pg_dump, "installed_clients", lambda: [15])
    monkeypatch.setattr(pg_dump, "probe", lambda url: Server("15.8", 15, False))
    result = run(capsys, name="ledger", url=URL, root=str(tmp_path / "root"), _ansible_check_mode=True)
    assert result["changed"] and result["server_version"] == "15.8" and result["id"] == ""
    assert not (tmp_path / "root").exists()


def test_check_mode_on_a_bare_host(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pg_dump, "installed_clients", list)
    result = run(capsys, name="ledger", url=URL, root=str(tmp_path), _ansible_check_mode=True)
    assert result["changed"] and not result.get("failed")


def test_check_mode_fails_where_the_run_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_url: object) -> Server:
        raise BackupError("Cannot use postgresql://u:***@h:5432/d: it is down.")

    monkeypatch.setattr(pg_dump, "installed_clients", lambda: [15])
    monkeypatch.setattr(pg_dump, "probe", refuse)
    result = run(capsys, name="ledger", url=URL, root=str(tmp_path), _ansible_check_mode=True)
    assert result["failed"] and "it is down" in result["msg"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"url": f"mysql://u:{SECRET}@h/d"}, "Backup of ledger: The database URL's scheme is mysql"),
        ({"url": f"postgresql://u:{SECRET}@/d"}, "names no host"),
        ({"compression": "best"}, "compression is 'best'"),
        ({"lock_wait_timeout": -1}, "lock_wait_timeout is '-1'"),
        ({"name": "Ledger"}, "backup name"),
    ],
)
def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: dict[str, Any], words: str) -> None:
    result = run(capsys, **{"name": "ledger", "url": URL, "root": str(tmp_path), **arguments})
    assert result["failed"] and words in result["msg"]
