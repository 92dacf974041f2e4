# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import DUMP, DumpFile, Manifest
from ansible_collections.quayside.web.plugins.modules import pg_dump_rotate


def make_backup(root: Path, day: int, quarantine: str = "") -> str:
    backup_id = f"202611{day:02}T030000Z"
    folder = root / "ledger" / backup_id
    folder.mkdir(parents=True)
    (folder / DUMP).write_text("dump")
    manifest = Manifest(
        id=backup_id,
        name="ledger",
        created_at=f"2026-11-{day:02}T03:00:00Z",
        database="d",
        host="h",
        port=5432,
        server_version="15.8",
        client_version=15,
        compression="none",
        files=(DumpFile(DUMP, 4, "aa"),),
        verified_at="2026-11-30T00:00:00Z",
        quarantine=quarantine,
    )
    (folder / "manifest.json").write_text(manifest.to_json())
    return backup_id


def run(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        pg_dump_rotate.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_check_mode_says_what_the_run_then_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = [make_backup(tmp_path, day) for day in (1, 2, 3, 4)]
    wanted = {"name": "ledger", "root": str(tmp_path), "minimum": 1, "keep": {"daily": 2, "weekly": 0, "monthly": 0}}
    rehearsed = run(capsys, **wanted, _ansible_check_mode=True, _ansible_diff=True)
    assert rehearsed["removed"] == [ids[1], ids[0]] and rehearsed["changed"]
    assert f"{ids[0]}  no rule keeps it\n" in rehearsed["diff"]["before"] and ids[0] not in rehearsed["diff"]["after"]
    assert len(list((tmp_path / "ledger").glob("2026*"))) == 4

    done = run(capsys, **wanted)
    assert (done["removed"], done["kept"]) == (rehearsed["removed"], rehearsed["kept"])
    assert sorted(path.name for path in (tmp_path / "ledger").glob("2026*")) == ids[2:]
    assert run(capsys, **wanted)["changed"] is False


@pytest.mark.parametrize("check", [True, False])
def test_a_quarantine_freezes_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], warned: list[str], check: bool
) -> None:
    ids = [make_backup(tmp_path, day) for day in (1, 2)] + [make_backup(tmp_path, 3, "it shrank")]
    wanted = {"name": "ledger", "root": str(tmp_path), "minimum": 1, "keep": {"daily": 1, "weekly": 0, "monthly": 0}}
    result = run(capsys, **wanted, _ansible_check_mode=check)
    assert not result["changed"] and result["removed"] == [] and result["frozen"] == f"{ids[2]} is in quarantine"
    assert result["kept"][2] == {"id": ids[0], "reasons": [result["frozen"]]}
    assert result["frozen"] in " ".join(warned)
    assert len(list((tmp_path / "ledger").glob("2026*"))) == 3


def test_check_mode_of_a_repository_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(capsys, name="ledger", root=str(tmp_path / "none"), _ansible_check_mode=True)
    assert result["kept"] == [] and not result["changed"] and not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"keep": {"daily": -1}}, "keep.daily is '-1'"),
        ({"minimum": 0}, "minimum is '0'"),
        ({"name": "../etc"}, "backup name"),
        ({"wait": 0}, "wait is '0'"),
    ],
)
def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: dict[str, Any], words: str) -> None:
    result = run(capsys, **{"name": "ledger", "root": str(tmp_path), **arguments})
    assert result["failed"] and words in result["msg"]
