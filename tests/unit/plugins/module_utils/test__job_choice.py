# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Which container a job runs in, and how a run ended."""

from __future__ import annotations

import pytest
from ansible_collections.quayside.web.plugins.module_utils._job_choice import (
    LAST_LINES,
    Container,
    choose,
    last_lines,
    live_release,
    parse,
    result_of,
)

OLD, NEW = "20261121T000001Z-aaaaaaaa", "20261121T000002Z-bbbbbbbb"


def web(slot: str, release: str, running: bool = True) -> Container:
    return Container(f"web-{slot}-{release}", running, slot, "web", "web", release)


def job(slot: str, release: str, running: bool = False, name: str = "report") -> Container:
    return Container(f"{name}-{slot}-{release}", running, slot, name, "job", release)


@pytest.mark.parametrize(
    ("containers", "slot", "release"),
    [
        pytest.param([web("blue", OLD), job("blue", OLD)], "blue", OLD, id="the one that serves"),
        pytest.param([web("blue", OLD), web("green", NEW)], "green", NEW, id="after the flag has moved"),
        pytest.param([web("blue", OLD), web("green", NEW)], "blue", OLD, id="before the flag has moved"),
        pytest.param([web("blue", OLD), job("blue", NEW, True)], "blue", OLD, id="a job does not serve"),
        pytest.param([web("blue", OLD, False), web("blue", NEW, False)], "blue", NEW, id="all down"),
        pytest.param([web("green", NEW)], "blue", "", id="nothing in the slot"),
    ],
)
def test_the_live_release(containers: list[Container], slot: str, release: str) -> None:
    assert live_release(containers, slot) == release


@pytest.mark.parametrize(
    ("containers", "slot", "chosen"),
    [
        pytest.param([web("blue", OLD), job("blue", OLD)], "blue", job("blue", OLD), id="one release"),
        pytest.param(
            [web("blue", OLD), web("green", NEW), job("blue", OLD), job("green", NEW)],
            "green",
            job("green", NEW),
            id="in a deploy",
        ),
        pytest.param(
            [web("blue", NEW), job("blue", OLD), job("blue", NEW)], "blue", job("blue", NEW), id="two in the same slot"
        ),
        pytest.param(
            [web("green", NEW), job("green", NEW), job("blue", OLD, True)],
            "green",
            job("blue", OLD, True),
            id="an old one is still at work",
        ),
        pytest.param([web("green", NEW), job("blue", OLD)], "green", None, id="not made yet"),
        pytest.param([web("blue", OLD), job("blue", OLD, name="tidy")], "blue", None, id="another job"),
        pytest.param(
            [web("blue", OLD), Container("x", True, "blue", "report", "worker", OLD)], "blue", None, id="a worker"
        ),
        pytest.param([], "blue", None, id="nothing"),
    ],
)
def test_the_container_of_a_job(containers: list[Container], slot: str, chosen: Container | None) -> None:
    assert choose(containers, slot, "report") == chosen


def test_what_docker_lists() -> None:
    listing = f"1f\trunning\tblue\tweb\tweb\t{OLD}\n2e\texited\tblue\treport\tjob\t{OLD}\n3d\tcreated\t\t\t\t\n"
    assert parse(listing) == [
        Container("1f", True, "blue", "web", "web", OLD),
        Container("2e", False, "blue", "report", "job", OLD),
        Container("3d", False, "", "", "", ""),
    ]


@pytest.mark.parametrize(
    ("code", "timed_out", "oom", "result", "said"),
    [
        (0, False, False, "ok", ""),
        (0, False, True, "ok", ""),
        (7, False, False, "failed", "exit code 7"),
        (137, False, True, "failed", "more memory than resources.memory"),
        (137, True, False, "timeout", "after 90 s"),
        (0, True, False, "timeout", "after 90 s"),
    ],
)
def test_results(code: int, timed_out: bool, oom: bool, result: str, said: str) -> None:
    found, message = result_of(code, timed_out, oom, 90)
    assert found == result
    assert said in message
    assert bool(said) is bool(message)


def test_the_last_lines() -> None:
    lines = [f"line {number}" for number in range(70)]
    assert last_lines("\n".join(lines).encode()) == lines[-LAST_LINES:]
    assert last_lines(b"\xff half\n") == ["\ufffd half"]
    assert last_lines(b"") == []
