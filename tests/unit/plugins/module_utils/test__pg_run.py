# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""A run with the real repository, status file and metrics; the server and the targets are stood in for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _backup_status as status
from ansible_collections.quayside.web.plugins.module_utils import _pg_report, _pg_run
from ansible_collections.quayside.web.plugins.module_utils._backup_alerts import Alerts, Event
from ansible_collections.quayside.web.plugins.module_utils._backup_status import DRILL, RUN, LastRun
from ansible_collections.quayside.web.plugins.module_utils._pg_backup import Options, Quarantined, Ready
from ansible_collections.quayside.web.plugins.module_utils._pg_config import Config, parse_config, to_json
from ansible_collections.quayside.web.plugins.module_utils._pg_options import configured_options, options_of
from ansible_collections.quayside.web.plugins.module_utils._pg_programs import Server
from ansible_collections.quayside.web.plugins.module_utils._pg_relations import Selection
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import (
    BackupError,
    Copy,
    DumpFile,
    Manifest,
    Proof,
    Table,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_rotation import Plan
from ansible_collections.quayside.web.plugins.module_utils._pg_run import (
    Outcome,
    drill_one,
    rehearse,
    run_one,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_store import find, load, locked, update

PROOF = Proof("2026-11-21T04:30:00Z", 2.0, "17.2", 1, 7)
OFFSITE = [{"name": name, "type": "local", "path": f"/mnt/{name}"} for name in ("nas", "disk")]


def manifest(number: int = 1, **more: Any) -> Manifest:
    return Manifest(
        id=f"20261121T03000{number}Z",
        name="ledger",
        created_at=f"2026-11-21T03:00:0{number}Z",
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


def store(root: str, found: Manifest) -> Manifest:
    """What take() leaves behind."""
    with locked(root, found.name, 1) as folder:
        (folder / found.id).mkdir()
        (folder / found.id / "dump.pgc").write_bytes(b"dump")
        update(root, found.name, found)
    return found


class World:
    """The settings of one database, and what was said, told and called for it."""

    def __init__(self, root: Path, **entry: Any) -> None:
        self.root = str(root / "root")
        self.metrics = root / "metrics"
        self.metrics.mkdir()
        databases = [{"name": "ledger", "url": "postgresql://u:p@h/ledger", **entry}]
        self.config: Config = parse_config({"root": self.root, "databases": databases, "metrics": str(self.metrics)})
        self.said: list[str] = []
        self.told: list[Event] = []
        self.calls: list[str] = []
        self.copy_problem: dict[str, str] = {}
        self.take: Callable[..., Manifest] = lambda *_all: store(self.root, manifest())

    def run(self, **more: Any) -> Outcome:
        return run_one(self.config, self.config.databases[0], self.said.append, **more)

    def state(self) -> status.Status:
        return status.read(self.root, "ledger")

    def metric(self, name: str) -> str:
        lines = (self.metrics / "quayside_backup.prom").read_text().splitlines()
        return next(line.split()[-1] for line in lines if line.startswith(f"quayside_backup_{name}{{"))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> World:
    made = World(tmp_path, **getattr(request, "param", {}))

    def call(name: str, answer: Any = None) -> Callable[..., Any]:
        def called(*_all: Any, **_more: Any) -> Any:
            made.calls.append(name)
            return answer

        return called

    def copy(target: Any, _root: str, found: Manifest, _log: Any) -> Copy:
        made.calls.append(f"copy {found.id[-3:-1]} to {target.name}")
        return Copy(target.name, target.place, "2026-11-21T03:01:00Z", made.copy_problem.get(target.name, ""))

    def take(*all_: Any) -> Manifest:
        return made.take(*all_)

    monkeypatch.setattr(_pg_run, "take", take)
    monkeypatch.setattr(_pg_run, "copy", copy)
    monkeypatch.setattr(_pg_run, "rotate", call("rotate", Plan((), ("20261101T030000Z",))))
    monkeypatch.setattr(_pg_run, "rotate_copies", lambda target, *_all: made.calls.append(f"rotate {target.name}"))
    monkeypatch.setattr(_pg_run, "sweep", call("sweep"))
    monkeypatch.setattr(_pg_report, "send", lambda _alerts, event, _log, mail=True: made.told.append(event))
    return made


def fail(error: BaseException) -> Callable[..., Any]:
    def raising(*_all: Any, **_more: Any) -> Any:
        raise error

    return raising


with_offsite = pytest.mark.parametrize("world", [{"offsite": OFFSITE}], indirect=True)


def test_a_run_that_goes_well(world: World) -> None:
    outcome = world.run()
    assert outcome.ok and (outcome.id, outcome.size, outcome.rows) == ("20261121T030001Z", 4, 7)
    assert outcome.removed == ("20261101T030000Z",)
    assert world.calls == ["rotate", "sweep"]
    assert [event.event for event in world.told] == ["start", "success"]
    last = world.state().run
    assert last is not None and last.ok and last.finished and last.id == outcome.id and world.state().drill is None
    assert world.metric("last_run_success") == "1" and world.metric("verified") == "1"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BackupError("no route to host"), "no route to host"),
        (OSError(28, "No space left on device", "/var/backups"), "/var/backups: No space left on device"),
    ],
)
def test_a_failure_is_told_and_nothing_is_removed(world: World, error: Exception, words: str) -> None:
    world.take = fail(error)
    outcome = world.run()
    assert (outcome.ok, outcome.error) == (False, words)
    assert world.calls == []
    assert world.told[-1].event == "failure" and world.told[-1].error == words
    last = world.state().run
    assert last is not None and last.failed and last.problem == words and last.step == "backup"
    assert world.said == [f"error: ledger: {words}"]
    assert world.metric("last_run_success") == "0"


def test_a_quarantine_fails_and_freezes_but_says_which_backup_it_is(world: World) -> None:
    world.take = fail(Quarantined(manifest(quarantine="it has 3 rows")))
    outcome = world.run()
    assert not outcome.ok and outcome.id == "20261121T030001Z" and "it has 3 rows" in outcome.error
    assert world.calls == [] and world.told[-1].event == "failure"


@with_offsite
def test_copies_are_remembered_and_the_retention_applies_there_too(world: World) -> None:
    outcome = world.run()
    assert outcome.ok
    assert world.calls == ["copy 01 to nas", "copy 01 to disk", "rotate", "rotate nas", "rotate disk", "sweep"]
    assert find(world.root, "ledger", outcome.id).manifest == manifest(copies=outcome.copies)


@with_offsite
def test_a_failed_copy_keeps_the_backup_and_fails_the_run(world: World) -> None:
    world.copy_problem["nas"] = "the host is down"
    outcome = world.run()
    assert outcome.error == "the copy to nas failed: the host is down"
    assert world.calls == ["copy 01 to nas", "copy 01 to disk", "rotate", "rotate disk", "sweep"]
    assert [backup.verified for backup in load(world.root, "ledger")] == [True]
    assert world.metric("last_run_success") == "0" and world.told[-1].event == "failure"


@with_offsite
def test_the_copies_of_an_outage_are_made_up_for(world: World) -> None:
    store(world.root, manifest(0, copies=(Copy("nas", "/mnt/nas", "x"),)))
    store(world.root, manifest(1, copies=(Copy("nas", "/mnt/nas", "", problem="down"),)))
    world.take = lambda *_all: store(world.root, manifest(2))
    assert world.run().ok
    assert [call for call in world.calls if "nas" in call] == ["copy 01 to nas", "copy 02 to nas", "rotate nas"]


@with_offsite
def test_an_outage_that_goes_on_is_tried_once_a_night(world: World) -> None:
    world.copy_problem["nas"] = "down"
    store(world.root, manifest(0, copies=(Copy("nas", "/mnt/nas", "x"),)))
    store(world.root, manifest(1))
    world.take = lambda *_all: store(world.root, manifest(2))
    world.run()
    assert [call for call in world.calls if "nas" in call] == ["copy 01 to nas"]
    newest = load(world.root, "ledger")[-1].manifest
    assert newest is not None
    assert [copy.problem for copy in newest.copies if copy.target == "nas"] == ["down"]


def test_a_retention_that_fails_offsite_fails_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    target = parse_config({"root": "/r", "databases": [{"name": "x", "url": "postgresql://u@h/d", "offsite": OFFSITE}]})
    database = replace(world.config.databases[0], offsite=target.databases[0].offsite)
    world.config = replace(world.config, databases=(database,))
    monkeypatch.setattr(_pg_run, "rotate_copies", fail(BackupError("denied")))
    assert world.run().error == "the retention at nas failed: denied; the retention at disk failed: denied"


def test_old_databases_that_cannot_be_looked_at_are_no_reason_to_doubt_a_backup(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_pg_run, "sweep", fail(BackupError("no such role")))
    assert world.run().ok
    assert "old databases were not looked at: no such role" in world.said[-1]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SystemExit(143), "stopped by SIGTERM at the step backup"),
        (KeyboardInterrupt(), "stopped by a person (Ctrl-C)"),
        (ZeroDivisionError(), "stopped by an unexpected ZeroDivisionError"),
    ],
)
def test_a_stop_is_told_and_goes_on(world: World, error: BaseException, words: str) -> None:
    world.take = fail(error)
    with pytest.raises(type(error)):
        world.run()
    last = world.state().run
    assert last is not None and words in last.problem and world.told[-1].event == "failure"


@pytest.mark.parametrize(
    ("problem", "words"), [("", ""), ("public.entry has 6 rows instead of 7", "the drill failed: public.entry")]
)
def test_a_run_with_a_drill(world: World, problem: str, words: str) -> None:
    proof = replace(PROOF, problem=problem)
    world.take = lambda *all_: store(world.root, manifest(proof=proof))
    outcome = world.run(drill=True)
    assert outcome.error.startswith(words) and outcome.ok is not bool(words) and outcome.proof == proof
    for action in (RUN, DRILL):
        last = world.state().of(action)
        assert last is not None and last.ok is outcome.ok


def test_the_drill_of_a_run_restores_the_plain_dump(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(_pg_run, "prove_file", lambda *all_, **more: asked.append((*all_, more)) or PROOF)
    world.take = lambda _root, _name, _url, _options, _log, prove: store(
        world.root, manifest(proof=prove(Path("/draft/dump.pgc"), manifest()))
    )
    assert world.run(drill=True).proof == PROOF
    ((dump, found, logins, _log, more),) = asked
    assert (dump, found, logins, more) == (Path("/draft/dump.pgc"), manifest(), None, {"hashed": False})


@pytest.mark.parametrize(("problem", "event"), [("", "success"), ("a table is missing", "failure")])
def test_a_drill(world: World, monkeypatch: pytest.MonkeyPatch, problem: str, event: str) -> None:
    store(world.root, manifest(1))
    store(world.root, manifest(2, damage="a bit flipped"))
    drilled: list[str] = []
    monkeypatch.setattr(
        _pg_run,
        "drill",
        lambda _root, _name, wanted, *_all, **_more: drilled.append(wanted) or replace(PROOF, problem=problem),
    )
    outcome = drill_one(world.config, world.config.databases[0], world.said.append)
    assert drilled == ["20261121T030001Z"] and outcome.error == problem and outcome.rows == 7
    assert world.told[-1].event == event and world.told[-1].action == "drill"
    assert world.state().run is None and world.state().drill is not None


def test_nothing_to_drill(world: World) -> None:
    outcome = drill_one(world.config, world.config.databases[0], world.said.append)
    assert outcome.error.startswith("ledger has no verified backup to restore")


@pytest.mark.parametrize(
    "world", [{"tables": {"exclude": ["log_*"]}, "hashed": True, "shrink_percent": 10}], indirect=True
)
def test_the_settings_reach_the_dump(world: World) -> None:
    assert options_of(world.config, world.config.databases[0], allow_other_cluster=True) == Options(
        exclude=("log_*",), hashed=True, shrink_percent=10, allow_other_cluster=True
    )


@pytest.mark.parametrize("world", [{"hashed": True, "shrink_percent": 10}], indirect=True)
def test_a_dump_outside_the_timers_is_taken_as_the_host_is_told(world: World, tmp_path: Path) -> None:
    path = tmp_path / "backup.json"
    assert configured_options("ledger", str(path)) == Options()
    path.write_text(to_json(world.config))
    assert configured_options("ledger", str(path)) == Options(hashed=True, shrink_percent=10)
    assert configured_options("shop", str(path)) == Options()
    path.write_text("{")
    with pytest.raises(BackupError, match="is not JSON"):
        configured_options("ledger", str(path))


def test_a_rehearsal_writes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = Ready(Server("17.2", 17, False), 17, "zstd:3", Selection((), (), ()))
    monkeypatch.setattr(_pg_run, "rehearse_dump", lambda *_: ready)
    assert rehearse(world.config, world.config.databases[0], world.said.append) == Outcome("ledger")
    assert "would dump postgresql://u:***@h:5432/ledger (PostgreSQL 17.2, zstd:3)" in world.said[0]

    def refuse(*_: object) -> Ready:
        raise BackupError("it is a pooler")

    monkeypatch.setattr(_pg_run, "rehearse_dump", refuse)
    assert rehearse(world.config, world.config.databases[0], world.said.append).error == "it is a pooler"
    assert not Path(world.root).exists() and world.told == []


# ----------------------------------------------------------------------------------------------- who is told of what


@pytest.mark.parametrize(
    ("ping", "other", "well"),
    [
        ("https://h/k", LastRun("2026-11-21T03:00:00Z", "2026-11-21T03:00:01Z", ok=True), True),
        ("https://h/k", LastRun("2026-11-21T03:00:00Z", "2026-11-21T03:00:01Z", error="x"), False),
        ("https://h/k/{name}", LastRun("2026-11-21T03:00:00Z", "2026-11-21T03:00:01Z", error="x"), True),
    ],
    ids=["shared and fine", "shared and another failed", "its own"],
)
def test_a_shared_ping_hears_of_success_only_while_all_are_fine(
    world: World, ping: str, other: LastRun, well: bool
) -> None:
    shop = replace(world.config.databases[0], name="shop")
    world.config = replace(world.config, databases=(*world.config.databases, shop), alerts=Alerts(ping=ping))
    status.write(world.root, "shop", RUN, other, print)
    assert world.run().ok
    assert world.told[-1].all_well is well


KILLED = LastRun("2026-11-21T03:00:00Z", step="backup", pid=2**22 + 1)
FAILED = LastRun("2026-11-21T03:00:00Z", "2026-11-21T03:00:01Z", error="no route to host")


@pytest.mark.parametrize(
    ("last", "alerts"),
    [
        (KILLED, [Alerts("https://p/k", "https://w/k", "root")]),
        (FAILED, [Alerts(mail="root")]),
        (replace(FAILED, mailed=True), []),
        (replace(FAILED, ok=True, error=""), []),
        (LastRun("2026-11-21T03:00:00Z", pid=1), []),
    ],
    ids=["killed", "failed", "told already", "fine", "running"],
)
def test_the_report_of_a_failed_unit(
    world: World, monkeypatch: pytest.MonkeyPatch, last: LastRun, alerts: list[Alerts]
) -> None:
    sent: list[tuple[Alerts, Event]] = []
    monkeypatch.setattr(_pg_report, "send", lambda to, event, _log: sent.append((to, event)))
    world.config = replace(world.config, alerts=Alerts("https://p/k", "https://w/k", "root"))
    status.write(world.root, "ledger", RUN, last, print)
    for _time in range(2):
        _pg_report.report(world.config, world.config.databases[0], world.said.append)
    assert [to for to, _event in sent] == alerts
    assert all(event.event == "failure" and event.error == last.problem for _to, event in sent)
    after = world.state().run
    assert after is not None and after.failed is last.failed


def test_a_unit_leaves_the_mail_to_another(world: World) -> None:
    world.take = fail(BackupError("no route to host"))
    world.run(mail=False)
    last = world.state().run
    assert last is not None and not last.mailed


def test_metrics_that_cannot_be_written_fail_no_backup(world: World) -> None:
    world.metrics.rmdir()
    assert world.run().ok
    assert "cannot write" in world.said[-1]
