# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _migrate_run
from ansible_collections.quayside.web.plugins.module_utils._alembic import HISTORY
from ansible_collections.quayside.web.plugins.module_utils._database_url import parse
from ansible_collections.quayside.web.plugins.module_utils._docker_run import RunTimeout
from ansible_collections.quayside.web.plugins.module_utils._migrate_run import Failed, Request, migrate
from ansible_collections.quayside.web.plugins.module_utils._migration import MigrationError
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError

HISTORY_OUTPUT = "Rev: b2 (head)\nParent: a1\n\n    second\n\nRev: a1\nParent: <base>\n\n    first\n"
REQUEST = Request(url="postgresql://shop:Secret-1@db/shop", image="shop:2", secrets={"TOKEN": "Secret-2"})


class Stage:
    """A database, an engine and a backup repository that only remember."""

    url = parse(REQUEST.url)
    server_version = 150000

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.current: tuple[str, ...] = ("a1",)
        self.others_apply: tuple[str, ...] = ()
        self.outcome = (0, "", "")
        self.failures: list[Exception] = []
        self.applies: tuple[str, ...] = ("b2",)
        self.empty = False
        self.log: list[str] = []
        self.env: dict[str, str] = {}
        monkeypatch.setattr(_migrate_run._docker_run, "connect", lambda: None)
        monkeypatch.setattr(_migrate_run._docker_run, "image_id", lambda _client, _image: "sha256:2")
        monkeypatch.setattr(_migrate_run._docker_run, "run_once", self.run)
        monkeypatch.setattr(
            _migrate_run._docker_run, "remove_leftovers", lambda *_args, **_options: self.log.append("leftovers")
        )
        monkeypatch.setattr(_migrate_run, "take", self.take)

    def run(self, _client: None, _image: str, command: list[str], **options: Any) -> tuple[int, str, str]:
        self.log.append(command[1])
        self.env = options["env"]
        if tuple(command[1:]) == HISTORY:
            return 0, HISTORY_OUTPUT, ""
        for failure in self.failures:
            raise failure
        self.current = self.applies or self.current
        return self.outcome

    def take(self, root: str, name: str, *_rest: object) -> Any:
        self.log.append(f"dump {root} {name}")
        if root == "/full":
            raise BackupError("the disk is full")
        return type("Manifest", (), {"id": "20260101T000000Z"})

    def revisions(self, _table: str) -> tuple[str, ...]:
        return self.current

    def lock(self, _key: int, _timeout: float) -> float:
        self.log.append("lock")
        self.current = self.others_apply or self.current
        return 0.25

    def terminate_leftovers(self) -> int:
        self.log.append("sessions")
        return 0

    def is_empty(self) -> bool:
        return self.empty


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def asked(**changes: Any) -> Request:
    return Request(**{**copy.copy(REQUEST.__dict__), **changes})


def test_nothing_pending_starts_no_upgrade(stage: Stage) -> None:
    stage.current = ("b2",)
    assert migrate(asked(backup_root="/backups"), stage, check=False)["changed"] is False
    assert stage.log == ["history"]


def test_check_mode_takes_no_lock(stage: Stage) -> None:
    found = migrate(asked(backup_root="/backups"), stage, check=True)
    assert (found["changed"], found["pending"], found["after"], found["applied"]) == (True, ["b2"], ["b2"], [])
    assert stage.log == ["history"]


def test_apply_in_order(stage: Stage) -> None:
    found = migrate(asked(backup_root="/backups", backup_name="shop-1"), stage, check=False)
    assert stage.log == ["history", "lock", "leftovers", "sessions", "dump /backups shop-1", "upgrade"]
    assert (found["changed"], found["before"], found["after"], found["applied"]) == (True, ["a1"], ["b2"], ["b2"])
    assert (found["backup_id"], found["lock_wait"]) == ("20260101T000000Z", 0.25)
    assert stage.env["DATABASE_URL"] == REQUEST.url
    assert (stage.env["TOKEN"], "lock_timeout=5000" in stage.env["PGOPTIONS"]) == ("Secret-2", True)


def test_the_loser_of_a_race_changes_nothing(stage: Stage) -> None:
    stage.others_apply = ("b2",)
    found = migrate(asked(backup_root="/backups"), stage, check=False)
    assert (found["changed"], found["before"], found["applied"]) == (False, ["b2"], [])
    assert "upgrade" not in stage.log


@pytest.mark.parametrize(("empty", "root"), [(True, "/backups"), (False, None)])
def test_no_dump_where_there_is_nothing_or_none_is_wanted(stage: Stage, empty: bool, root: str | None) -> None:
    stage.empty = empty
    assert migrate(asked(backup_root=root), stage, check=False)["backup_id"] is None
    assert not [line for line in stage.log if line.startswith("dump")]


def test_a_failed_dump_stops_the_migration(stage: Stage) -> None:
    with pytest.raises(MigrationError, match="Database shop was not migrated, as its dump failed: the disk is full"):
        migrate(asked(backup_root="/full"), stage, check=False)
    assert "upgrade" not in stage.log


def test_a_failure_tells_the_true_state_and_no_secret(stage: Stage) -> None:
    stage.applies = ()
    stage.outcome = (1, "", "INFO Running upgrade a1 -> b2, second\nDataError: (x) at Secret-1, Secret-2")
    with pytest.raises(Failed) as caught:
        migrate(asked(), stage, check=False)
    result = caught.value.result
    assert (result["changed"], result["after"], result["applied"]) == (False, ["a1"], [])
    assert result["failed_migration"] == "b2"
    assert str(caught.value).startswith(
        "Migration b2 of image shop:2 failed on database shop, which is now at a1: exit"
    )
    assert "Secret" not in str(caught.value) + str(result)


def test_a_timeout_ends_the_sessions_before_it_reads_again(stage: Stage) -> None:
    stage.failures = [RunTimeout("`alembic upgrade heads` was killed after 5 s", "", "at Secret-1")]
    with pytest.raises(Failed, match="was killed after 5 s") as caught:
        migrate(asked(), stage, check=False)
    assert stage.log[-1] == "sessions"
    assert caught.value.result["stderr"] == "at ********"


def test_a_tool_that_lies_is_found_out(stage: Stage) -> None:
    stage.applies = ()
    with pytest.raises(Failed, match="the tool said that all is well, but b2 was expected"):
        migrate(asked(), stage, check=False)


def test_a_broken_tree_is_reported(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_migrate_run._docker_run, "run_once", lambda *_args, **_options: (1, "", "KeyError: 'nope'"))
    with pytest.raises(
        MigrationError, match=r"`alembic history --verbose` failed in image shop:2 with exit code 1, .*nope"
    ):
        migrate(asked(), stage, check=False)


def test_a_request_does_not_show_its_secrets() -> None:
    assert "Secret" not in repr(REQUEST)
