# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import Backup, BackupError, Manifest, Proof
from ansible_collections.quayside.web.plugins.modules import pg_dump_verify

SECRET = "s3ntinel"
URL = f"postgresql://admin:{SECRET}@h/postgres"
PROOF = Proof("2026-11-21T04:00:00Z", 24.6, "15.8", 1, 3)


def backup(day: int, problem: str = "", proof: Proof | None = None) -> Backup:
    backup_id = f"202611{day}T030000Z"
    manifest = Manifest(backup_id, "ledger", f"2026-11-{day}T03:00:00Z", "d", "h", 1, "15", 15, "none", proof=proof)
    return Backup(backup_id, manifest, problem)


def run(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    with patch_module_args({"name": "ledger", **arguments}), pytest.raises(SystemExit):
        pg_dump_verify.main()
    output = capsys.readouterr().out
    assert SECRET not in output
    result: dict[str, Any] = json.loads(output)
    return result


class Repository:
    """Backups before, what verify finds, and what a drill leaves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, before: list[Backup]) -> None:
        self.backups = {one.id: one for one in before}
        self.found: dict[str, Backup] = {}
        self.proof: Proof | None = PROOF
        self.verified: list[str] = []
        self.drilled: list[str] = []
        monkeypatch.setattr(pg_dump_verify, "load", lambda *_: list(self.backups.values()))
        monkeypatch.setattr(pg_dump_verify, "find", lambda _root, _name, backup_id: self.backups[backup_id])
        monkeypatch.setattr(pg_dump_verify, "verify", self.verify)
        monkeypatch.setattr(pg_dump_verify, "drill", self.drill)

    def verify(self, _root: str, _name: str, backup_id: str, **_: Any) -> Backup:
        self.verified.append(backup_id)
        self.backups.update(self.found)
        return self.backups[backup_id]

    def drill(self, _root: str, _name: str, backup_id: str, *_: Any, **__: Any) -> None:
        self.drilled.append(backup_id)
        one = self.backups[backup_id]
        assert one.manifest
        self.backups[backup_id] = replace(one, manifest=replace(one.manifest, proof=self.proof))


def test_nothing_new_is_no_change(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    there = Repository(monkeypatch, [backup(20), backup(21)])
    result = run(capsys)
    assert not result["changed"]
    assert [one["id"] for one in result["backups"]] == there.verified == ["20261120T030000Z", "20261121T030000Z"]


def test_damage_is_found_in_all_of_them(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    there = Repository(monkeypatch, [backup(20), backup(21)])
    there.found = {"20261120T030000Z": backup(20, "dump.pgc is not the file that was proven")}
    result = run(capsys)
    assert result["failed"] and result["changed"] and len(there.verified) == 2
    assert "20261120T030000Z: dump.pgc is not the file that was proven" in result["msg"]
    assert result["diff"]["before"].startswith("20261120T030000Z  verified\n")
    assert result["diff"]["after"].startswith("20261120T030000Z  not to be trusted: dump.pgc")


def test_a_damaged_one_that_is_named_is_looked_at_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Repository(monkeypatch, [backup(20, "dump.pgc is missing")])
    there.found = {"20261120T030000Z": backup(20)}
    result = run(capsys, backup="20261120T030000Z")
    assert result["changed"] and result["backups"][0]["verified"]


def test_a_drill_proves_the_latest(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    there = Repository(monkeypatch, [backup(20), backup(21)])
    result = run(capsys, drill=True, url=URL)
    assert result["changed"] and there.drilled == there.verified == ["20261121T030000Z"]
    assert result["backups"] == [
        {"id": "20261121T030000Z", "verified": True, "proven": True, "problem": "", "seconds": 24.6}
    ]
    assert result["diff"]["after"] == "20261121T030000Z  proven\n"


def test_a_drill_that_fails_is_a_failure(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    there = Repository(monkeypatch, [backup(21, proof=PROOF)])
    there.proof = replace(PROOF, problem="public.t has 2 rows instead of 3")
    result = run(capsys, drill=True, url=URL)
    assert result["failed"] and "its drill failed: public.t has 2 rows instead of 3" in result["msg"]


def test_what_is_damaged_is_not_drilled(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    there = Repository(monkeypatch, [backup(21)])
    there.found = {"20261121T030000Z": backup(21, "it does not decode")}
    result = run(capsys, drill=True, url=URL)
    assert result["failed"] and there.drilled == []


def test_check_mode_reads_manifests_only(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    there = Repository(monkeypatch, [backup(20, "dump.pgc is missing"), backup(21, proof=PROOF)])
    result = run(capsys, _ansible_check_mode=True)
    assert not result["changed"] and there.verified == []
    assert [one["verified"] for one in result["backups"]] == [False, True]
    assert run(capsys, _ansible_check_mode=True, drill=True, url=URL)["changed"] and there.drilled == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"name": "A"}, "The backup name 'A' is not accepted", id="name"),
        pytest.param({"drill": True}, "all of the following are missing: url", id="drill-without-url"),
        pytest.param({"drill": True, "url": URL, "backup": "all"}, "a drill restores one backup", id="drill-of-all"),
        pytest.param({"drill": True, "url": "x"}, "has no scheme", id="url"),
        pytest.param({"backup": "20200101T000000Z"}, "There is no backup 20200101T000000Z", id="unknown"),
    ],
)
def test_bad_input_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], message: str
) -> None:
    Repository(monkeypatch, [backup(21)])
    result = run(capsys, **given)
    assert result["failed"] and message in result["msg"]


def test_nothing_to_verify_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Repository(monkeypatch, [])
    assert "There is no backup of ledger in" in run(capsys)["msg"]


def test_a_drill_that_cannot_begin_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Repository(monkeypatch, [backup(21)])

    def refuse(*_: Any, **__: Any) -> None:
        raise BackupError("The role admin may not create databases.")

    monkeypatch.setattr(pg_dump_verify, "drill", refuse)
    result = run(capsys, drill=True, url=URL)
    assert result["msg"] == "Backups of ledger: The role admin may not create databases."
