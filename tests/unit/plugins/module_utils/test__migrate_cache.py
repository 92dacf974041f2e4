# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _migrate_cache
from ansible_collections.quayside.web.plugins.module_utils._migrate_cache import key_of, load, store


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(_migrate_cache, "FOLDER", tmp_path / "cache/migrations")
    return tmp_path / "cache/migrations"


def test_what_is_stored_is_found_by_its_key_alone(folder: Path) -> None:
    store(key_of(["a", ("b",), {"c": 1}]), "text")
    assert load(key_of(["a", ["b"], {"c": 1}])) == "text"
    assert load(key_of(["a", ["b"], {"c": 2}])) is None
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]


def test_a_damaged_entry_is_none_at_all(folder: Path) -> None:
    store("k", "text")
    (folder / "k.json").write_text('"te')
    assert load("k") is None


def test_the_oldest_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_migrate_cache, "KEPT", 2)
    for age, key in ((300, "a"), (200, "b"), (100, "c")):
        store(key, key)
        os.utime(folder / f"{key}.json", (1e9 - age, 1e9 - age))
    assert load("b") == "b"  # and is the latest used now
    store("d", "d")
    assert sorted(path.stem for path in folder.glob("*.json")) == ["b", "d"]


def test_a_place_that_cannot_be_written_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_migrate_cache, "FOLDER", Path("/proc/no/such"))
    store("k", "text")
    assert load("k") is None
