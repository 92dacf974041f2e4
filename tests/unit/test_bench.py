# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What the benchmark makes of output and samples."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
if not (ROOT / "bench").exists():
    pytest.skip("the benchmark is not part of the built collection", allow_module_level=True)


def module(name: str) -> ModuleType:
    sys.path.insert(0, str(ROOT))
    try:
        return importlib.import_module(f"bench.{name}")
    finally:
        sys.path.remove(str(ROOT))


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return module("figures")


@pytest.fixture(scope="module")
def load() -> ModuleType:
    return module("load")


@pytest.fixture(scope="module")
def under_load() -> ModuleType:
    return module("under_load")


def test_task_seconds_are_summed_by_name_without_the_role(bench: ModuleType) -> None:
    output = (
        "PLAY RECAP ****\nweb : ok=3 changed=0\n=========\n"
        "Install every role's packages -------------------------- 13.07s\n"
        "quayside.web.docker : Start Docker --------------------- 0.94s\n"
        "quayside.web.nginx : Write the file -------------------- 0.30s\n"
        "quayside.web.docker : Write the file ------------------- 0.20s\n"
    )
    found = bench.task_seconds(output)
    assert found == {"Install every role's packages": 13.07, "Start Docker": 0.94, "Write the file": 0.5}


def test_changed_is_summed_over_the_hosts(bench: ModuleType) -> None:
    assert bench.changed_count("a : ok=1 changed=2 failed=0\nb : ok=1 changed=1 failed=0\n") == 3


def test_the_script_s_steps_last_until_the_next(bench: ModuleType) -> None:
    assert bench.script_seconds("@ 10.0 packages\nnoise\n@ 22.5 image\n@ 23.0 end\n") == {
        "packages": 12.5,
        "image": 0.5,
    }


def test_the_table_compares_medians_and_judges(bench: ModuleType) -> None:
    def samples(*seconds: float) -> list[object]:
        return [bench.Sample(value) for value in seconds]

    lines = bench.rows({"baseline": samples(20, 10, 30), "site": samples(32, 33, 20), "noop": samples(16, 12, 13)})
    assert [(row.name.partition(",")[0], row.median, row.verdict) for row in lines] == [
        ("bare host to live app", 20, ""),
        ("bare host to live app", 32, ""),
        ("ratio site.yml / baseline.sh", 1.6, "too slow"),
        ("site.yml with nothing to do", 13, "good"),
    ]
    assert "| site.yml with nothing to do | 13.00 s | 12.00-16.00 | 3 | 15 s | good |" in bench.table(lines)


def test_crashes_and_ways_back_have_goals_of_their_own(bench: ModuleType) -> None:
    samples = {name: [] for name in bench.TITLES} | {
        "watched": [bench.Sample(9.5)],
        "rollback": [bench.Sample(3.1)],
        "crash": [bench.Sample(0.3)],
    }
    assert [(row.median, row.goal, row.verdict) for row in bench.rows(samples)] == [
        (9.5, None, ""),
        (3.1, 3.0, "too slow"),
        (0.3, 3.0, "good"),
    ]


@pytest.mark.parametrize(
    ("values", "part", "expected"),
    [
        pytest.param([], 0.99, 0.0, id="of nothing"),
        pytest.param([5.0], 0.99, 5.0, id="of one"),
        pytest.param([3.0, 1.0, 2.0], 0.5, 2.0, id="the middle of three"),
        pytest.param([1.0, 2.0, 3.0, 4.0], 0.5, 2.0, id="the lower middle of four"),
        pytest.param([float(n) for n in range(1, 101)], 0.99, 99.0, id="one of a hundred may exceed it"),
        pytest.param([float(n) for n in range(1, 102)], 0.99, 100.0, id="one of 101 may exceed it"),
    ],
)
def test_percentile(load: ModuleType, values: list[float], part: float, expected: float) -> None:
    assert load.percentile(values, part) == expected


def test_requests_belong_to_the_windows_that_they_touch(load: ModuleType) -> None:
    before, into, inside, out_of, after = (load.Request(due, 1.0, "get kept") for due in (8.0, 9.5, 10.5, 11.5, 12.0))
    everything = [before, into, inside, out_of, after]
    assert load.during(everything, [(10.0, 12.0)]) == [into, inside, out_of]
    assert load.outside(everything, [(10.0, 12.0)]) == [before, after]


def test_long_requests_and_websockets_count_but_their_time_does_not(load: ModuleType) -> None:
    requests = [
        load.Request(1.0, 0.004, "get kept"),
        load.Request(1.0, 0.006, "post fresh", "status 502"),
        load.Request(1.0, 25.0, "slow"),
        load.Request(1.0, 60.0, "websocket", "closed with 1012"),
    ]
    found = load.figures(requests)
    assert (found.count, found.failed, found.p50, found.longest) == (4, 2, 4.0, 6.0)


def test_the_log_of_h2load_is_read(under_load: ModuleType) -> None:
    good, bad = under_load.read_h2load("1700000000000000\t200\t2500\n1700000000500000\t-1\t9000\n")
    assert (good.due, good.seconds, good.kind, good.error) == (1700000000.0, 0.0025, "h2", "")
    assert bad.error == "status -1"


def test_the_proof_compares_deploys_with_the_time_between(load: ModuleType, under_load: ModuleType) -> None:
    quiet = [load.Request(float(second), 0.010, "get kept") for second in range(100)]
    busy = [load.Request(200.0 + second, 0.025, "post kept") for second in range(10)]
    lost = load.Request(205.5, 0.001, "h2", "status 502")
    proof = under_load.proof([*quiet, *busy, lost], [(200.0, 210.0)], lost=1)
    assert (proof.all.count, proof.all.failed, proof.ratio) == (111, 1, 2.5)
    assert proof.failures == ["h2 at 205.5: status 502"]
    table = under_load.table(proof)
    assert "| deploys | 1 | >= 20 | missed |" in table
    assert "| failed | 1 | 0 | missed |" in table
    assert "| confirmed, and lost | 1 | 0 | missed |" in table
    assert "| p99 while deploying / without | 2.5 | <= 2 | missed |" in table


def test_backups_are_compared_within_a_round() -> None:
    figures = module("measures")
    found = {
        figure.measure.title: figure
        for figure in figures.figures(
            figures.BACKUPS,
            {
                "bare_dump": [8.0, 10.0, 9.0],
                "dump": [8.4, 10.2, 9.9],
                "size": [250.0, 250.0, 250.0],
                "restore": [30.0],
                "bare_restore": [24.0],
                "bare_checks": [5.0],
                "memory": [70.0],
            },
        )
    }
    ratio = found["ratio of the two"]
    assert [round(value, 3) for value in ratio.values] == [1.05, 1.02, 1.1]
    assert (round(ratio.median, 3), ratio.verdict) == (1.05, "good")
    assert found["ratio of that to the two"].median == 30 / 29
    assert found["bare pg_dump, the same options"].verdict == ""
    table = figures.table("backups", list(found.values()))
    assert "| size of our dump | 250 MB | 250-250 | 3 |  |  |" in table
    assert "| memory of quayside-backup run (VmHWM) | 70.0 MB | 70.0-70.0 | 1 | <= 64 MB | missed |" in table
    assert "retention planned" not in table


def test_a_site_is_good_from_its_goal_upwards() -> None:
    measures, edge = module("measures"), module("edge")
    said = "finished in 4.02s, 7164.18 req/s, 8.4MB/s\nstatus codes: 28800 2xx, 0 3xx, 0 4xx, 0 5xx\n"
    assert edge.read_summary(said) == (7164.18, 28800)
    assert edge.read_summary("") == (0.0, 0)
    samples = {"hand_h1": [1000.0], "site_h1": [960.0], "hand_h2": [1000.0], "site_h2": [940.0], "memory_added": [5.5]}
    table = measures.table("edge", measures.figures(measures.EDGE, samples))
    assert "| 0.96 | 0.96-0.96 | 1 | >= 0.95 | good |" in table
    assert "| 0.94 | 0.94-0.94 | 1 | >= 0.95 | missed |" in table
    assert "| 5.5 MB | 5.5-5.5 | 1 | <= 5 MB | missed |" in table
