# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _access_log
from ansible_collections.quayside.web.plugins.module_utils._access_log import AccessLog
from ansible_collections.quayside.web.plugins.module_utils._traffic import Request


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.access.log"


def lines(*paths: str) -> str:
    return "".join(json.dumps({"slot": "blue", "path": path, "status": "200"}) + "\n" for path in paths)


def append(path: Path, text: str) -> None:
    with path.open("a") as stream:
        stream.write(text)


def paths(requests: list[Request]) -> list[str]:
    return [request.path for request in requests]


def test_the_tail_and_what_comes_after(path: Path) -> None:
    append(path, lines("/a", "/b"))
    log = AccessLog(path)
    assert paths(log.tail()) == ["/a", "/b"]
    assert log.read() == []
    append(path, lines("/c", "/d"))
    assert paths(log.read()) == ["/c", "/d"]
    assert log.read() == []


@pytest.mark.parametrize(
    ("size", "expected"),
    [(1, []), (len(lines("/c")) - 1, []), (len(lines("/c")), ["/c"]), (len(lines("/b", "/c")) + 3, ["/b", "/c"])],
    ids=["less than a line", "one byte less", "exactly a line", "the rest of a line before"],
)
def test_the_tail_begins_with_a_whole_line(path: Path, size: int, expected: list[str]) -> None:
    append(path, lines("/a", "/b", "/c"))
    assert paths(AccessLog(path).tail(size)) == expected


def test_the_tail_goes_back_into_the_log_before(path: Path) -> None:
    append(path.with_name("ledger.access.log.1"), lines("/0", "/1", "/2"))
    append(path, lines("/3"))
    log = AccessLog(path)
    assert paths(log.tail(len(lines("/1", "/2", "/3")))) == ["/1", "/2", "/3"]
    path.unlink()
    assert paths(log.tail(len(lines("/2")))) == ["/2"]


def test_a_line_counts_when_it_is_complete(path: Path) -> None:
    text = lines("/b")
    append(path, lines("/a") + text[:20])
    log = AccessLog(path)
    assert paths(log.tail()) == ["/a"]
    append(path, text[20:30])
    assert log.read() == []
    append(path, text[30:] + lines("/c"))
    assert paths(log.read()) == ["/b", "/c"]


def test_a_log_that_is_not_there_yet(path: Path) -> None:
    log = AccessLog(path)
    assert log.tail() == []
    assert log.read() == []
    append(path, lines("/a"))
    assert paths(log.read()) == ["/a"]


def test_rotation_by_a_new_file(path: Path) -> None:
    append(path, lines("/a"))
    log = AccessLog(path)
    log.tail()
    append(path, lines("/b"))
    old = path.rename(path.with_name("ledger.access.log.1"))
    append(old, lines("/c"))
    assert paths(log.read()) == ["/b", "/c"], "nginx goes on with the old file until it is told"
    append(old, lines("/d"))
    append(path, lines("/e", "/f"))
    assert paths(log.read()) == ["/d", "/e", "/f"]
    append(path, lines("/g"))
    assert paths(log.read()) == ["/g"]


def test_rotation_by_cutting_in_place(path: Path) -> None:
    append(path, lines("/a", "/b", "/c"))
    log = AccessLog(path)
    log.tail()
    path.write_text("")
    append(path, lines("/d"))
    assert paths(log.read()) == ["/d"]


def test_other_lines_are_passed_over(path: Path) -> None:
    path.write_bytes(b"\xff\x00 not JSON\n\n[]\n" + lines("/a").encode())
    assert paths(AccessLog(path).tail()) == ["/a"]


def test_a_flood_is_read_in_part(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AccessLog(path)
    log.tail()
    monkeypatch.setattr(_access_log, "READ_BYTES", len(lines("/8", "/9")))
    append(path, lines(*(f"/{number}" for number in range(10))))
    assert paths(log.read()) == ["/8", "/9"]
    assert log.read() == []
