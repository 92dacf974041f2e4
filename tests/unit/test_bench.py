# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What the benchmark makes of output and samples."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).resolve().parents[2] / "bench/run.py"


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    if not PATH.exists():
        pytest.skip("the benchmark is not part of the built collection")
    spec = importlib.util.spec_from_file_location("bench_run", PATH)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_run"] = module
    spec.loader.exec_module(module)
    return module


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
