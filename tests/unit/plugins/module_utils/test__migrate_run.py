# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _docker_run, _migrate_cache, _migrate_run
from ansible_collections.quayside.web.plugins.module_utils._alembic import HISTORY
from ansible_collections.quayside.web.plugins.module_utils._database_url import parse
from ansible_collections.quayside.web.plugins.module_utils._docker_run import RunTimeout
from ansible_collections.quayside.web.plugins.module_utils._migrate_run import (
    Failed,
    Request,
    check_request,
    current_state,
    migrate,
)
from ansible_collections.quayside.web.plugins.module_utils._migration import MigrationError
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError

HISTORY_OUTPUT = "Rev: b2 (head)\nParent: a1\n\n    second\n\nRev: a1\nParent: <base>\n\n    first\n"
REQUEST = Request(url="postgresql://shop:Secret-1@db/shop", image="shop:2", secrets={"TOKEN": "Secret-2"})
LOCK_TIMEOUT = (1, "", "LockNotAvailable: canceling statement due to lock timeout")


class Watch:
    """Stands in for the second session, which here finds nothing to cancel."""

    cancelled = 0

    def __init__(self, *_args: object) -> None:
        pass

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_args: object) -> None:
        pass


class Stage:
    """A database, an engine and a backup repository that only remember."""

    url = parse(REQUEST.url)
    server_version = 150000

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.current: tuple[str, ...] = ("a1",)
        self.others_apply: tuple[str, ...] = ()
        self.outcomes: list[Any] = [(0, "", "")]
        self.applies: tuple[str, ...] = ("b2",)
        self.checks: list[int] = []
        self.empty = False
        self.backup_runs = 0.0
        self.indexes: list[str] = []
        self.log: list[str] = []
        self.env: dict[str, str] = {}
        self.networks: list[str | None] = []
        self.layers = ("sha256:layer",)
        self.clock = 0.0
        monkeypatch.setattr(_migrate_cache, "FOLDER", folder)
        monkeypatch.setattr(_docker_run, "connect", lambda: None)
        monkeypatch.setattr(_docker_run, "image_id", lambda _client, _image: "sha256:2")
        monkeypatch.setattr(_docker_run, "image_config", lambda _client, _image: ("/app", self.layers))
        monkeypatch.setattr(_docker_run, "read_files", self.read_files)
        monkeypatch.setattr(_docker_run, "run_once", self.run)
        monkeypatch.setattr(_docker_run, "remove_leftovers", lambda *_args, **_options: self.log.append("leftovers"))
        monkeypatch.setattr(_migrate_run, "LockWatch", Watch)
        monkeypatch.setattr(_migrate_run.time, "sleep", lambda _seconds: self.log.append("pause"))
        monkeypatch.setattr(_migrate_run, "take", self.take)

    def read_files(self, _client: None, _image: str, paths: tuple[str, ...], **_options: Any) -> Any:
        raise FileNotFoundError(2, "no such file", paths[0])

    def run(self, _client: None, _image: str, command: list[str], **options: Any) -> tuple[int, str, str]:
        self.log.append(" ".join(command[1:]) if command[0] == "own" else command[1])
        self.env = options["env"]
        self.networks.append(options["network"])
        if tuple(command[1:]) == HISTORY:
            return 0, HISTORY_OUTPUT, ""
        if list(command[1:]) == ["check"]:
            return self.checks.pop(0), "", ""
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        if outcome[0] == 0 or outcome[0] == 3:
            self.current = self.applies or self.current
        return outcome

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

    def wait_for_backups(self, _timeout: float) -> float:
        self.log.append("backups")
        waited, self.backup_runs = self.backup_runs, 0.0
        return waited

    def invalid_indexes(self) -> list[str]:
        return self.indexes

    def terminate_leftovers(self) -> int:
        self.log.append("sessions")
        return 0

    def is_empty(self) -> bool:
        return self.empty


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stage:
    return Stage(monkeypatch, tmp_path / "cache")


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
    stage.backup_runs = 0.5
    found = migrate(asked(backup_root="/backups", backup_name="shop-1", network="net"), stage, check=False)
    assert stage.log == [
        "history",
        "lock",
        "leftovers",
        "leftovers",
        "sessions",
        "backups",
        "dump /backups shop-1",
        "backups",
        "upgrade",
    ]
    assert (found["changed"], found["before"], found["after"], found["applied"]) == (True, ["a1"], ["b2"], ["b2"])
    assert (found["backup_id"], found["lock_wait"]) == ("20260101T000000Z", 0.75)
    assert stage.env["DATABASE_URL"] == REQUEST.url
    assert (stage.env["TOKEN"], "lock_timeout=5000" in stage.env["PGOPTIONS"]) == ("Secret-2", True)
    assert stage.networks == ["none", "net"]


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


def test_a_failure_tells_the_true_state_the_dump_and_no_secret(stage: Stage) -> None:
    stage.outcomes = [(1, "", "INFO Running upgrade a1 -> b2, second\nDataError: (x) at Secret-1, Secret-2")]
    with pytest.raises(Failed) as caught:
        migrate(asked(backup_root="/backups"), stage, check=False)
    result = caught.value.result
    assert (result["changed"], result["after"], result["applied"]) == (False, ["a1"], [])
    assert (result["failed_migration"], result["backup_id"]) == ("b2", "20260101T000000Z")
    assert str(caught.value).startswith(
        "Migration b2 of image shop:2 failed on database shop, which is now at a1: exit code 1: DataError"
    )
    assert str(caught.value).endswith("The dump 20260101T000000Z was taken before.")
    assert "Secret" not in str(caught.value) + str(result)


def test_a_timeout_ends_the_sessions_before_it_reads_again(stage: Stage) -> None:
    stage.outcomes = [RunTimeout("`alembic upgrade heads` was killed after 5 s", "", "at Secret-1")]
    with pytest.raises(Failed, match="was killed after 5 s") as caught:
        migrate(asked(), stage, check=False)
    assert stage.log[-1] == "sessions"
    assert caught.value.result["stderr"] == "at ********"


def test_a_tool_that_lies_is_found_out(stage: Stage) -> None:
    stage.applies = ()
    with pytest.raises(Failed, match="the tool said that all is well, but b2 was expected"):
        migrate(asked(), stage, check=False)


# A lock that another holds


def test_a_lock_timeout_is_tried_once_more(stage: Stage) -> None:
    stage.outcomes = [LOCK_TIMEOUT, (0, "", "")]
    found = migrate(asked(), stage, check=False)
    assert (found["changed"], found["after"]) == (True, ["b2"])
    assert "was tried once more" in found["warnings"][0]
    assert stage.log[-5:] == ["upgrade", "sessions", "pause", "backups", "upgrade"]


@pytest.mark.parametrize(
    ("outcomes", "applies", "runs"),
    [
        ([LOCK_TIMEOUT, LOCK_TIMEOUT, (0, "", "")], ("b2",), 2),
        ([(3, "", "lock timeout"), (0, "", "")], ("x9",), 1),
        ([(1, "", "division by zero"), (0, "", "")], ("b2",), 1),
    ],
    ids=["twice at most", "not when the revision has moved", "not for another failure"],
)
def test_what_is_not_tried_again(stage: Stage, outcomes: list[Any], applies: tuple[str, ...], runs: int) -> None:
    stage.outcomes, stage.applies = outcomes, applies
    with pytest.raises(Failed):
        migrate(asked(), stage, check=False)
    assert stage.log.count("upgrade") == runs


def test_a_statement_that_the_watch_cancelled_says_so(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "cancelled", 1)
    cancelled = (1, "", "Error: canceling statement due to user request")
    stage.outcomes = [cancelled, cancelled]
    with pytest.raises(Failed, match=r"a statement waited for a lock longer than lock_timeout \(5s\): exit code 1"):
        migrate(asked(), stage, check=False)
    assert stage.log.count("upgrade") == 2


def test_invalid_indexes_are_reported_even_when_nothing_is_pending(stage: Stage) -> None:
    stage.current, stage.indexes = ("b2",), ["parts_email"]
    assert "index parts_email is invalid" in migrate(asked(), stage, check=False)["warnings"][0]


# The list of migrations


def test_the_same_layers_are_asked_once(stage: Stage) -> None:
    migrate(asked(), stage, check=False)
    stage.log.clear()
    assert migrate(asked(image="shop:3"), stage, check=False)["changed"] is False
    assert stage.log == []
    stage.layers = ("sha256:other",)
    migrate(asked(image="shop:4"), stage, check=False)
    assert stage.log == ["history"]


def test_the_same_scripts_in_other_layers_are_asked_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/app/alembic.ini": {"": b"[alembic]\nscript_location = db\n"},
        "/app/db": {"env.py": b"e", "versions/a1.py": b"a", "__pycache__/x.pyc": b"p"},
    }
    monkeypatch.setattr(
        _docker_run, "read_files", lambda _client, _image, paths, **_options: [files[path] for path in paths]
    )
    stage.current = ("b2",)
    migrate(asked(), stage, check=False)
    stage.log.clear()
    stage.layers = ("sha256:other",)
    files["/app/db"]["__pycache__/x.pyc"] = b"q"
    migrate(asked(), stage, check=False)
    assert stage.log == []
    stage.layers = ("sha256:another",)
    files["/app/db"]["versions/b2.py"] = b"b"
    migrate(asked(), stage, check=False)
    assert stage.log == ["history"]


def test_check_mode_keeps_nothing(stage: Stage) -> None:
    migrate(asked(), stage, check=True)
    migrate(asked(), stage, check=True)
    assert stage.log == ["history", "history"]


def test_alembic_is_asked_again_with_a_network_where_it_wants_the_database(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(_client: None, _image: str, _command: list[str], **options: Any) -> tuple[int, str, str]:
        offline = options["network"] == "none"
        return (1, "", "OperationalError: no route") if offline else (0, HISTORY_OUTPUT, "")

    monkeypatch.setattr(_docker_run, "run_once", run)
    assert migrate(asked(), stage, check=True)["pending"] == ["b2"]


def test_a_broken_tree_is_reported(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_docker_run, "run_once", lambda *_args, **_options: (1, "", "KeyError: 'nope' Secret-2"))
    with pytest.raises(
        MigrationError, match=r"`alembic history --verbose` failed in image shop:2 with exit code 1, .*nope' \*+$"
    ):
        migrate(asked(), stage, check=False)


# A command of one's own

OWN = {"tool": "command", "command": ("own", "up")}


def test_a_command_without_a_check_always_runs(stage: Stage) -> None:
    found = migrate(asked(**OWN), stage, check=True)
    assert (found["changed"], found["pending"], found["before"], found["after"]) == (True, ["own up"], None, None)
    assert stage.log == []
    found = migrate(asked(**OWN), stage, check=False)
    assert (found["changed"], found["applied"], found["after"]) == (True, ["own up"], None)
    assert current_state(asked(**OWN), stage) is None


@pytest.mark.parametrize(
    ("checks", "log"),
    [
        ([0], ["check"]),
        ([1, 0], ["check", "lock", "leftovers", "leftovers", "sessions", "check"]),
    ],
    ids=["nothing pending", "another host was first"],
)
def test_a_check_that_ends_well_leaves_the_command_out(stage: Stage, checks: list[int], log: list[str]) -> None:
    stage.checks = checks
    found = migrate(asked(**OWN, check=("own", "check")), stage, check=False)
    assert (found["changed"], found["pending"]) == (False, [])
    assert stage.log == log


def test_a_check_that_still_fails_after_the_command_is_a_failure(stage: Stage) -> None:
    stage.checks = [1, 1, 1]
    with pytest.raises(Failed, match="it ended well, but `own check` still says that something is pending"):
        migrate(asked(**OWN, check=("own", "check")), stage, check=False)


def test_a_command_is_never_tried_twice(stage: Stage) -> None:
    stage.outcomes = [LOCK_TIMEOUT]
    with pytest.raises(Failed, match="Migration own up of image shop:2 failed on database shop: exit code 1"):
        migrate(asked(**OWN), stage, check=False)


# Requests


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tool": "command"}, "command is missing, expected one as tool is command; set it."),
        ({"tool": "sql"}, "path is missing, expected one as tool is sql; set it."),
        ({"path": "/m"}, "path is given, but tool is alembic; it goes with sql and prisma, remove it."),
        ({"check": ("a",)}, "check is given, but tool is alembic; it goes with command, remove it."),
        ({"tool": "sql", "path": "/m", "command": ("a",)}, "command is given, but tool is sql, which calls none"),
        ({"tool": "flyway"}, "tool is 'flyway', expected one of alembic, django, prisma, sql, command."),
        ({"lock_timeout": "soon"}, "lock_timeout is 'soon', expected a time above zero"),
    ],
)
def test_options_that_do_not_go_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MigrationError) as caught:
        check_request(asked(**changes))
    assert str(caught.value).startswith(message)


def test_a_request_does_not_show_its_secrets() -> None:
    assert "Secret" not in repr(REQUEST)
