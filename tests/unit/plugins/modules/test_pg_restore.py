# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.quayside.web.plugins.module_utils._database_url import DatabaseUrl
from ansible_collections.quayside.web.plugins.module_utils._pg_facts import Live
from ansible_collections.quayside.web.plugins.module_utils._pg_mark import OLD, Mark
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import Backup, BackupError, Manifest, Table
from ansible_collections.quayside.web.plugins.module_utils._pg_restore_plan import Plan, Request, Result
from ansible_collections.quayside.web.plugins.modules import pg_restore

SECRET, ADMIN_SECRET, KEY = "s3ntinel", "4dmin-sentinel", "k3y-sentinel"
URL = f"postgresql://app:{SECRET}@h/ledger"
ADMIN = f"postgresql://admin:{ADMIN_SECRET}@h/postgres"
MANIFEST = Manifest("20261121T030000Z", "ledger", "2026-11-21T03:00:00Z", "ledger", "h", 1, "15", 15, "none")
TABLES = (Table("public", "t", 3),)


def run(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    with patch_module_args({"name": "ledger", "url": URL, "admin_url": ADMIN, **arguments}), pytest.raises(SystemExit):
        pg_restore.main()
    output = capsys.readouterr().out
    for secret in (SECRET, ADMIN_SECRET, KEY):
        assert secret not in output
    result: dict[str, Any] = json.loads(output)
    return result


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []

    def restore(*given: Any) -> Result:
        calls.append(given)
        seconds = {"restore": 2.0, "swap": 0.25}
        expires = "2026-11-28T03:00:00Z"
        undo = "quayside-backup undo ledger"
        return Result(MANIFEST.id, "ledger", 1, 3, seconds, "ledger_old_x", expires, undo, ("the disk is not known",))

    monkeypatch.setattr(pg_restore, "restore", restore)
    return calls


def test_a_restore_tells_what_it_did(
    capsys: pytest.CaptureFixture[str], restored: list[tuple[Any, ...]], warned: list[str]
) -> None:
    result = run(capsys, backup="2026-11-21T03:00", root="/r", jobs=3, keep_old_days=2)
    assert result["changed"] and result["id"] == MANIFEST.id and result["duration"] == 2.25
    assert (result["old_database"], result["undo"]) == ("ledger_old_x", "quayside-backup undo ledger")
    assert "ledger: the disk is not known" in " ".join(warned)
    root, name, wanted, logins, request = restored[0]
    assert (root, name, wanted, logins.admin.user, logins.admin.database) == (
        "/r",
        "ledger",
        "2026-11-21T03:00",
        "admin",
        "postgres",
    )
    assert request == Request(database="ledger", jobs=3, keep_old_days=2)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"no_owner": True}, {"no_owner": True, "owner": "app"}, id="owner-is-the-apps-role"),
        pytest.param({"no_owner": True, "owner": "x"}, {"no_owner": True, "owner": "x"}, id="owner-is-named"),
        pytest.param({"identity": "/k"}, {"identity": Path("/k")}, id="identity"),
        pytest.param(
            {"data_only": True, "tables": ["a", "b"], "truncate": True},
            {"data_only": True, "tables": ("a", "b"), "truncate": True},
            id="rows",
        ),
    ],
)
def test_requests(
    capsys: pytest.CaptureFixture[str], restored: list[tuple[Any, ...]], given: dict[str, Any], expected: dict[str, Any]
) -> None:
    run(capsys, **given)
    assert restored[0][4] == Request(database="ledger", **expected)


def test_without_an_admin_the_app_restores(capsys: pytest.CaptureFixture[str], restored: list[tuple[Any, ...]]) -> None:
    run(capsys, admin_url=None)
    assert (restored[0][3].admin.user, restored[0][3].owner.user) == ("app", "app")


def test_the_owner_loads(capsys: pytest.CaptureFixture[str], restored: list[tuple[Any, ...]]) -> None:
    run(capsys, owner_url=f"postgresql://owner:{KEY}@h/ledger")
    assert (restored[0][3].admin.user, restored[0][3].owner.user) == ("admin", "owner")


def test_check_mode_shows_the_plan(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, restored: list[tuple[Any, ...]]
) -> None:
    live = Live("ledger", sessions=20)
    plan = Plan(MANIFEST, "ledger_restore_x", "ledger", "ledger_old_x", 2, 15, TABLES, live)
    monkeypatch.setattr(pg_restore, "preflight", lambda *_: plan)
    result = run(capsys, _ansible_check_mode=True)
    assert result["changed"] and (result["sessions"], result["rows"], result["seconds"]) == (20, 3, {})
    assert result["diff"]["after"].startswith("ledger: backup 20261121T030000Z, 1 tables, 3 rows\n")
    assert restored == []


def test_a_backup_is_fetched_first(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, restored: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    brought: list[tuple[Any, ...]] = []

    def bring(target: Any, *given: Any) -> str:
        brought.append((target.name, *given))
        return MANIFEST.id

    monkeypatch.setattr(pg_restore, "bring", bring)
    target = {"name": "vault", "type": "local", "path": str(tmp_path)}
    run(capsys, backup="latest", root="/r", **{"from": target})
    assert brought == [("vault", "/r", "ledger", "latest", False)]
    assert restored[0][2] == MANIFEST.id


def test_check_mode_fetches_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, restored: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    monkeypatch.setattr(pg_restore, "choose_remote", lambda *_: Backup(MANIFEST.id, MANIFEST))
    target = {"name": "vault", "type": "local", "path": str(tmp_path)}
    result = run(capsys, _ansible_check_mode=True, **{"from": target})
    assert (result["id"], result["database"]) == (MANIFEST.id, "ledger")
    assert restored == []


def test_undo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []

    def undo(root: str, name: str, admin: DatabaseUrl, **more: Any) -> Result:
        calls.append((root, name, admin.user, more))
        return Result(MANIFEST.id, "ledger", 0, 0, {"swap": 0.1}, "ledger_undone_x")

    monkeypatch.setattr(pg_restore, "undo", undo)
    result = run(capsys, undo=True, root="/r")
    assert result["changed"] and result["old_database"] == "ledger_undone_x"
    assert "rows" not in result
    assert calls == [("/r", "ledger", "admin", {"database": "ledger", "keep_days": 7, "wait": 300})]


def test_undo_in_check_mode(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    mark = Mark(OLD, "ledger", "ledger", "web1", "2026-11-21T03:00:00Z", backup=MANIFEST.id)
    monkeypatch.setattr(pg_restore, "look_for_old", lambda *_: ("ledger_old_x", mark))
    result = run(capsys, undo=True, _ansible_check_mode=True)
    assert result["changed"] and result["id"] == MANIFEST.id
    assert result["diff"]["after"] == "ledger: ledger_old_x\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"name": "../x"}, "Restore of ../x: The backup name '../x' is not accepted", id="name"),
        pytest.param({"url": "mysql://x"}, "scheme is mysql", id="url"),
        pytest.param({"keep_old_days": -1}, "keep_old_days is -1", id="days"),
        pytest.param({"wait": -1}, "wait is", id="wait"),
        pytest.param({"truncate": True}, "it needs data_only", id="truncate"),
        pytest.param({"from": {"name": "vault", "type": "ftp", "secret_key": KEY}}, "type is 'ftp'", id="target"),
        pytest.param({"admin_url": f"postgresql://a:{ADMIN_SECRET}@h:99999/d"}, "port is not a number", id="admin-url"),
    ],
)
def test_bad_input_is_refused(
    capsys: pytest.CaptureFixture[str], restored: list[tuple[Any, ...]], given: dict[str, Any], message: str
) -> None:
    result = run(capsys, **given)
    assert result["failed"] and message in result["msg"]
    assert restored == []


@pytest.mark.parametrize(("undo", "word"), [(False, "Restore"), (True, "Undo")], ids=["restore", "undo"])
def test_failures_name_what_failed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, undo: bool, word: str
) -> None:
    def fail(*_: Any, **__: Any) -> Result:
        raise BackupError("There is nothing to undo.")

    monkeypatch.setattr(pg_restore, "restore", fail)
    monkeypatch.setattr(pg_restore, "undo", fail)
    result = run(capsys, undo=undo)
    assert result["failed"] and result["msg"] == f"{word} of ledger: There is nothing to undo."
