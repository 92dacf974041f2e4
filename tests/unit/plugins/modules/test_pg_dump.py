# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.quayside.web.plugins.module_utils._pg_backup import Options, Quarantined, Ready
from ansible_collections.quayside.web.plugins.module_utils._pg_programs import Server
from ansible_collections.quayside.web.plugins.module_utils._pg_relations import Relation, Selection
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import (
    DUMP,
    BackupError,
    DumpFile,
    Manifest,
    Table,
)
from ansible_collections.quayside.web.plugins.modules import pg_dump

SECRET = "s3ntinel"
AGE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
URL = f"postgresql://u:{SECRET}@h/d"


def run(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        pg_dump.main()
    output = capsys.readouterr().out
    # The arguments themselves come back too, and there the URL must be masked.
    assert SECRET not in output
    result: dict[str, Any] = json.loads(output)
    return result


MANIFEST = Manifest(
    id="20261121T030000Z",
    name="ledger",
    created_at="2026-11-21T03:00:00Z",
    database="d",
    host="h",
    port=5432,
    server_version="15.8",
    client_version=15,
    compression="gzip:1",
    duration=2.5,
    seconds={"dump": 2.0},
    tables=(Table("public", "entry", 20), Table("s", "t", 1)),
    files=(DumpFile(DUMP, 100, "ab"),),
    verified_at="2026-11-21T03:00:02Z",
)
RELATIONS = (
    Relation(1, "public", "entry", "r", True, False, True),
    Relation(2, "public", "seq", "S", True, False, True),
)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pg_dump, "installed_clients", lambda: [15])


def test_check_mode_names_what_would_be_dumped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, installed: None
) -> None:
    ready = Ready(Server("15.8", 15, False), 15, "gzip:1", Selection(RELATIONS))
    monkeypatch.setattr(pg_dump, "rehearse", lambda *_: ready)
    result = run(capsys, name="ledger", url=URL, root=str(tmp_path / "root"), _ansible_check_mode=True)
    assert result["changed"] and result["server_version"] == "15.8" and result["id"] == ""
    assert (result["table_names"], result["tables"], result["encrypted"]) == (["public.entry"], 1, False)
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("missing", ["installed_clients", "driver_installed"])
def test_check_mode_on_a_bare_host(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    installed: None,
    warned: list[str],
    missing: str,
) -> None:
    monkeypatch.setattr(pg_dump, missing, list)
    result = run(capsys, name="ledger", url=URL, root=str(tmp_path), _ansible_check_mode=True)
    assert result["changed"] and not result.get("failed") and "was not tried" in " ".join(warned)


def test_check_mode_fails_where_the_run_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, installed: None
) -> None:
    def refuse(*_: object) -> None:
        raise BackupError("Cannot use postgresql://u:***@h:5432/d: it is down.")

    monkeypatch.setattr(pg_dump, "rehearse", refuse)
    result = run(capsys, name="ledger", url=URL, root=str(tmp_path), _ansible_check_mode=True)
    assert result["failed"] and "it is down" in result["msg"]


def test_a_dump_is_described(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    (tmp_path / "ledger/20261121T030000Z").mkdir(parents=True)
    monkeypatch.setattr(pg_dump, "take", lambda *arguments: asked.extend(arguments) or MANIFEST)
    result = run(
        capsys,
        name="ledger",
        url=URL,
        root=str(tmp_path),
        tables={"include": ["public.*"], "exclude": ["log"]},
        hashed=True,
        encrypt={"recipients": [AGE]},
        shrink_percent=10,
    )
    assert asked[3] == Options(
        include=("public.*",), exclude=("log",), hashed=True, recipients=(AGE,), shrink_percent=10
    )
    assert result["folder"] == f"{tmp_path}/ledger/20261121T030000Z"
    assert (result["size"], result["sha256"]) == (100, "ab")
    assert (result["rows"], result["tables"], result["table_names"]) == (21, 2, ["public.entry", "s.t"])
    assert result["changed"] and result["verified"] and result["seconds"] == {"dump": 2.0}


def test_a_backup_in_quarantine_fails_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def take(*_: object) -> Manifest:
        raise Quarantined(replace(MANIFEST, quarantine="it shrank"))

    monkeypatch.setattr(pg_dump, "take", take)
    result = run(capsys, name="ledger", url=URL, root=str(tmp_path))
    assert result["failed"] and result["changed"] and not result["verified"]
    assert "in quarantine: it shrank" in result["msg"] and result["id"] == MANIFEST.id


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"url": f"mysql://u:{SECRET}@h/d"}, "Backup of ledger: The database URL's scheme is mysql"),
        ({"url": f"postgresql://u:{SECRET}@/d"}, "names no host"),
        ({"compression": "best"}, "compression is 'best'"),
        ({"lock_wait_timeout": -1}, "lock_wait_timeout is '-1'"),
        ({"name": "Ledger"}, "backup name"),
        ({"shrink_percent": 101}, "shrink_percent is '101'"),
        ({"tables": {"include": [""]}}, "tables.include is not accepted"),
        ({"encrypt": {"recipients": []}}, "recipients is empty"),
        ({"encrypt": {}}, "missing required arguments: recipients"),
        ({"encrypt": {"recipients": ["me"]}}, "Recipient 1"),
    ],
)
def test_refusals(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: dict[str, Any], words: str) -> None:
    result = run(capsys, **{"name": "ledger", "url": URL, "root": str(tmp_path), **arguments})
    assert result["failed"] and words in result["msg"]
