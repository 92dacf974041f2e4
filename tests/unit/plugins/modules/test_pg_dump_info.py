# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils._offsite import parse_target
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import Backup, BackupError
from ansible_collections.quayside.web.plugins.modules import pg_dump_info


@pytest.mark.parametrize(
    ("names", "found"),
    [([], {"ledger": 1, "shop": 0}), (["ledger"], {"ledger": 1}), (["moon"], {"moon": 0})],
    ids=["all", "one", "one without backups"],
)
def test_what_there_is_here(tmp_path: Path, names: list[str], found: dict[str, int]) -> None:
    (tmp_path / "ledger/20261121T030000Z").mkdir(parents=True)
    (tmp_path / "ledger/.tmp-20261121T030001Z").mkdir()
    (tmp_path / "shop").mkdir()
    assert {name: len(backups) for name, backups in pg_dump_info.find(str(tmp_path), names, None).items()} == found


def test_a_name_that_is_a_path(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="is not accepted"):
        pg_dump_info.find(str(tmp_path), ["../etc"], None)


@pytest.mark.parametrize(("names", "asked"), [([], ["ledger", "shop"]), (["shop"], ["shop"])])
def test_what_there_is_at_a_target(monkeypatch: pytest.MonkeyPatch, names: list[str], asked: list[str]) -> None:
    monkeypatch.setattr(pg_dump_info, "names_there", lambda _target: ["ledger", "shop"])
    monkeypatch.setattr(pg_dump_info, "listing", lambda target, name: [Backup(f"{name} at {target.name}")])
    target = parse_target({"name": "disk", "type": "local", "path": "/mnt/disk"})
    found = pg_dump_info.find("/b", names, target)
    assert [backups[0].id for backups in found.values()] == [f"{name} at disk" for name in asked]
