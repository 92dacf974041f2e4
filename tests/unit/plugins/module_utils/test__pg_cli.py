# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The command on a repository without a server: what it prints, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _pg_cli_commands
from ansible_collections.quayside.web.plugins.module_utils._pg_cli import main
from ansible_collections.quayside.web.plugins.module_utils._pg_config import parse_config, to_json
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import DumpFile, Manifest, Table
from ansible_collections.quayside.web.plugins.module_utils._pg_run import Outcome
from ansible_collections.quayside.web.plugins.module_utils._pg_store import load, locked, update

SECRET = "s3ntinel"


class Host:
    """A configured host with two backups of ledger, of which the second is in quarantine."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.settings = folder / "backup.json"
        databases = [{"name": name, "url": f"postgresql://u:{SECRET}@h/{name}"} for name in ("ledger", "shop")]
        databases[1]["encrypt"] = {
            "recipients": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOj70RgLEf9bQZ5kNCAUZpxTXFftYfm935hj5mRZnYs5"]
        }  # type: ignore[assignment]
        config = parse_config({"root": str(self.root), "databases": databases})
        self.settings.write_text(to_json(config))
        self.add(1)
        self.add(2, quarantine="it has 1 row")

    def add(self, number: int, **more: Any) -> None:
        manifest = Manifest(
            id=f"2026112{number}T030000Z",
            name="ledger",
            created_at=f"2026-11-2{number}T03:00:00Z",
            database="ledger",
            host="h",
            port=5432,
            server_version="17.2",
            client_version=17,
            compression="zstd:3",
            tables=(Table("public", "entry", 7),),
            files=(DumpFile("dump.pgc", 4, "0" * 64),),
            verified_at="2026-11-21T03:00:05Z",
            **more,
        )
        with locked(str(self.root), "ledger", 1) as folder:
            (folder / manifest.id).mkdir()
            (folder / manifest.id / "dump.pgc").write_bytes(b"dump")
            update(str(self.root), "ledger", manifest)

    def __call__(self, *arguments: str) -> int:
        return main(["--config", str(self.settings), *arguments])


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_list_says_what_can_be_trusted(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert host("list") == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "ID", "AGE", "SIZE", "ROWS", "OFFSITE", "STATE"]
    assert rows[0].endswith("verified") and rows[1].endswith("QUARANTINED: it has 1 row")


def test_list_as_json(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert host("list", "ledger", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["id"], one["verified"]) for one in found] == [("20261121T030000Z", True), ("20261122T030000Z", False)]


def test_status_fails_while_someone_has_to_look(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert host("status", "--json") == 1
    ledger, shop = json.loads(capsys.readouterr().out)
    assert any("in quarantine: 20261122T030000Z" in problem for problem in ledger["problems"])
    assert shop["problems"] == ["there is no verified backup"] and shop["verified_age_hours"] is None


def test_accept_ends_a_quarantine(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    assert host("accept", "ledger", "20261122T030000Z") == 0
    assert [backup.verified for backup in load(str(host.root), "ledger")] == [True, True]
    assert host("accept", "ledger", "20261122T030000Z") == 1
    assert "not in quarantine" in capsys.readouterr().err


def test_rotate_check_removes_nothing_and_says_why_each_stays(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3, 7):
        host.add(number)
    assert host("accept", "ledger", "20261122T030000Z") == 0
    settings = json.loads(host.settings.read_text())
    settings["databases"][0].update(keep={"daily": 1, "weekly": 0, "monthly": 0, "yearly": 0}, minimum=2)
    host.settings.write_text(json.dumps(settings))
    assert host("rotate", "ledger", "--check", "--json") == 0
    decided = json.loads(capsys.readouterr().out)
    assert decided["kept"][0] == {"id": "20261126T030000Z", "reasons": ["newest", "day 2026-11-26"]}
    assert len(decided["removed"]) == 4 and len(load(str(host.root), "ledger")) == 6
    assert host("rotate", "ledger") == 0
    assert len(load(str(host.root), "ledger")) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["frobnicate"], 2, "invalid choice"),
        ([], 2, "COMMAND"),
        (["run"], 2, "name --all is required"),
        (["run", "ledger", "--all"], 2, "not allowed with"),
        (["fetch", "ledger", "20261121T030000Z"], 2, "--from"),
        (["restore", "ledger", "--jobs", "many"], 2, "invalid int"),
        (["run", "nosuch"], 1, "No database 'nosuch' is configured; these are: ledger, shop."),
        (["rotate", "nosuch"], 1, "these are: ledger, shop."),
        (["list", "../etc"], 1, "The backup name '../etc' is not accepted"),
        (["list", "ledger", "--from", "moon"], 1, "no offsite target 'moon'"),
        (["verify", "shop"], 1, "shop has no backups"),
        (["accept", "ledger", "20200101T000000Z"], 1, "there are: 20261122T030000Z"),
        (["undo", "nosuch"], 1, "say with --url"),
        (["restore", "nosuch"], 1, "say with --url"),
        (["restore", "nosuch", "--url", f"mysql://u:{SECRET}@h/d"], 1, "--url: The database URL's scheme is mysql"),
        (["restore", "ledger", "--url", f"postgresql://u:{SECRET}@h/d"], 1, "use --url - and write it to stdin"),
        (["restore", "ledger", "--truncate"], 1, "truncate"),
    ],
)
def test_refusals(host: Host, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        found = host(*arguments)
    except SystemExit as stop:
        found = int(str(stop.code))
    captured = capsys.readouterr()
    assert (found, captured.out) == (code, "")
    assert words in captured.err and SECRET not in captured.err


def test_a_host_without_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "none"), "list"]) == 1
    assert "run it as root, after the role pg_backup" in capsys.readouterr().err


def test_all_goes_on_after_a_failure(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = {"ledger": Outcome("ledger", error="no route"), "shop": Outcome("shop", id="20261121T030000Z")}
    monkeypatch.setattr(_pg_cli_commands, "run_one", lambda _config, database, _log, **_more: outcomes[database.name])
    assert host("run", "--all", "--json") == 1
    assert [(one["name"], one["ok"]) for one in json.loads(capsys.readouterr().out)] == [
        ("ledger", False),
        ("shop", True),
    ]
    assert host("run", "shop") == 0


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        (["drill", "ledger", "--unit"], ("drill_one", "ledger")),
        (["drill", "shop"], ("drill_one", "shop")),
        (["drill", "shop", "--unit"], ("run_one", "shop")),
    ],
    ids=["plain", "a person has the key", "a timer has no key"],
)
def test_the_timer_of_an_encrypted_database_proves_before_it_seals(
    host: Host, monkeypatch: pytest.MonkeyPatch, arguments: list[str], called: tuple[str, str]
) -> None:
    calls: list[tuple[str, str]] = []
    for name in ("run_one", "drill_one"):
        monkeypatch.setattr(
            _pg_cli_commands,
            name,
            lambda _config, database, _log, _name=name, **_more: calls.append((_name, database.name)) or Outcome("x"),
        )
    assert host(*arguments) == 0
    assert calls == [called]
