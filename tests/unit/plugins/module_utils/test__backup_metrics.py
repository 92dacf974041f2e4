# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _backup_metrics as metrics
from ansible_collections.quayside.web.plugins.module_utils._backup_metrics import Facts, render
from ansible_collections.quayside.web.plugins.module_utils._backup_status import LastRun, Status
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import (
    Backup,
    Copy,
    DumpFile,
    Manifest,
    Proof,
    Table,
)

DAY1, DAY2 = 1795143600, 1795230000
#: The grammar of Prometheus' text format, as far as it is used: a line, a label, a value.
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\\\|\\"|\\n)*"'
LINE = re.compile(rf"({NAME})\{{({LABEL}(?:,{LABEL})*)\}} (-?[0-9]+(?:\.[0-9]+)?)")


def backup(day: int, **more: Any) -> Backup:
    problem = more.pop("problem", "")
    manifest = Manifest(
        id=f"202611{day:02}T030000Z",
        name="ledger",
        created_at=f"2026-11-{day:02}T03:00:00Z",
        database="ledger",
        host="db",
        port=5432,
        server_version="17.2",
        client_version=17,
        compression="zstd:3",
        duration=2.5,
        seconds={"dump": 1.25},
        tables=(Table("public", "entry", 20000), Table("public", "account", 100)),
        files=(DumpFile("dump.pgc", 12_345_678_901_234, "0" * 64),),
        verified_at="x",
    )
    return Backup(manifest.id, replace(manifest, **more), problem)


def parse(text: str) -> dict[str, str]:
    """What promtool checks: HELP and TYPE before the lines of a metric, which stand together; no line twice."""
    values: dict[str, str] = {}
    current = ""
    seen: set[str] = set()
    pending = ""
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            pending = line.split()[2]
            assert pending not in seen and len(line.split()) > 3
            seen.add(pending)
        elif line.startswith("# TYPE "):
            current = line.split()[2]
            assert (current, line.split()[3]) == (pending, "gauge")
        else:
            match = LINE.fullmatch(line)
            assert match, line
            assert match[1] == current
            key = f"{match[1].removeprefix('quayside_backup_')}{{{match[2]}}}"
            assert key not in values
            values[key] = match[3]
    return values


def test_no_backup_yet_is_a_time_long_ago_and_no_failed_run() -> None:
    found = parse(render([Facts("ledger", targets=["bucket"])]))
    assert found == {
        'schedule_seconds{name="ledger"}': "86400",
        'last_verified_timestamp_seconds{name="ledger"}': "0",
        'last_proven_timestamp_seconds{name="ledger"}': "0",
        'verified{name="ledger"}': "0",
        'quarantined{name="ledger"}': "0",
        'damaged{name="ledger"}': "0",
        'offsite_success{name="ledger",target="bucket"}': "0",
        'offsite_last_timestamp_seconds{name="ledger",target="bucket"}': "0",
    }


def test_the_newest_verified_the_newest_proven_and_the_newest_copy() -> None:
    proof = Proof("2026-11-20T04:30:00Z", 40.5, "17.2", 2, 20100)
    copied = (Copy("bucket", "s3://b", "2026-11-20T03:01:00Z"), Copy("nas", "/n", "", problem="full"))
    backups = [
        backup(20, proof=proof, copies=copied),
        backup(21, copies=(Copy("nas", "/n", "2026-11-21T03:01:00Z"),)),
        backup(22, quarantine="it is small", problem="in quarantine: it is small"),
        backup(23, damage="a bit flipped", problem="a bit flipped"),
    ]
    found = parse(render([Facts("ledger", backups, targets=["bucket", "nas"])]))
    expected = {
        'last_verified_timestamp_seconds{name="ledger"}': str(DAY2),
        'last_proven_timestamp_seconds{name="ledger"}': str(DAY1),
        'size_bytes{name="ledger"}': "12345678901234",
        'rows{name="ledger"}': "20100",
        'seconds{name="ledger"}': "2.5",
        'step_seconds{name="ledger",step="dump"}': "1.25",
        'drill_seconds{name="ledger"}': "40.5",
        'verified{name="ledger"}': "2",
        'quarantined{name="ledger"}': "1",
        'damaged{name="ledger"}': "1",
        'offsite_success{name="ledger",target="bucket"}': "0",
        'offsite_last_timestamp_seconds{name="ledger",target="bucket"}': str(DAY1),
        'offsite_success{name="ledger",target="nas"}': "1",
        'offsite_last_timestamp_seconds{name="ledger",target="nas"}': str(DAY2),
    }
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("last", "success"),
    [
        (LastRun("2026-11-21T03:00:00Z", "2026-11-21T03:00:09Z", ok=True, seconds=9.0), "1"),
        (LastRun("2026-11-21T03:00:00Z", "2026-11-21T03:00:09Z", error="x"), "0"),
        (LastRun("2026-11-21T03:00:00Z", pid=2**22 + 1), "0"),
        (LastRun("2026-11-21T03:00:00Z", pid=os.getpid()), None),
    ],
    ids=["fine", "failed", "killed", "running"],
)
def test_the_last_run_and_the_last_drill(last: LastRun, success: str | None) -> None:
    found = parse(render([Facts("ledger", status=Status(last, last))]))
    for action in ("run", "drill"):
        assert found[f'last_{action}_timestamp_seconds{{name="ledger"}}'] == str(DAY2)
        assert found.get(f'last_{action}_success{{name="ledger"}}') == success


def test_several_databases_share_one_head() -> None:
    text = render([Facts("ledger", [backup(20)]), Facts("shop", [backup(21)])])
    assert text.count("# HELP quayside_backup_size_bytes") == 1
    assert len([key for key in parse(text) if key.startswith("size_bytes")]) == 2


def test_labels_are_escaped() -> None:
    found = parse(render([Facts("ledger", targets=['a"b\\c\nd'])]))
    assert 'offsite_success{name="ledger",target="a\\"b\\\\c\\nd"}' in found


def test_the_file_may_be_read_by_a_collector_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        with metrics.alone(tmp_path):
            metrics.write(tmp_path, "x 1\n")
            metrics.write(tmp_path, "x 2\n")
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(old)
    assert [path.name for path in tmp_path.iterdir()] == ["quayside_backup.prom"]
    assert (tmp_path / metrics.FILE).stat().st_mode & 0o777 == 0o644
    assert (tmp_path / metrics.FILE).read_text() == "x 2\n"
