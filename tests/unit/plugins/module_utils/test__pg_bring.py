# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Bringing a backup from an offsite target, and only when it is not here yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _pg_bring
from ansible_collections.quayside.web.plugins.module_utils._offsite import parse_target
from ansible_collections.quayside.web.plugins.module_utils._pg_bring import bring, choose_remote
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import Backup, BackupError, DumpFile, Manifest

FILES = (DumpFile("dump.pgc", 3, "aa"),)
MANIFEST = Manifest("20261121T030000Z", "ledger", "2026-11-21T03:00:00Z", "d", "h", 1, "15", 15, "none", files=FILES)
REMOTE = Backup(MANIFEST.id, MANIFEST)


@pytest.mark.parametrize(
    ("here", "fetched"),
    [
        pytest.param([], True, id="not-here"),
        pytest.param([REMOTE], False, id="here"),
        pytest.param([replace(REMOTE, problem="dump.pgc is missing")], True, id="here-but-damaged"),
        pytest.param([Backup(MANIFEST.id, problem="no manifest")], True, id="here-without-manifest"),
        pytest.param(
            [Backup(MANIFEST.id, replace(MANIFEST, files=(DumpFile("dump.pgc", 3, "bb"),)))],
            True,
            id="another-of-that-id",
        ),
    ],
)
def test_it_is_fetched_when_it_is_not_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, here: list[Backup], fetched: bool
) -> None:
    calls: list[tuple[Any, ...]] = []
    target = parse_target({"name": "vault", "type": "local", "path": str(tmp_path)})
    monkeypatch.setattr(_pg_bring, "listing", lambda *_: [REMOTE])
    monkeypatch.setattr(_pg_bring, "load", lambda *_: here)
    monkeypatch.setattr(_pg_bring, "fetch", lambda *given: calls.append(given[1:4]))
    assert bring(target, "/r", "ledger", "latest") == MANIFEST.id
    assert calls == ([("/r", "ledger", MANIFEST.id)] if fetched else [])


def test_an_empty_target_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    target = parse_target({"name": "vault", "type": "local", "path": str(tmp_path)})
    monkeypatch.setattr(_pg_bring, "listing", lambda *_: [])
    with pytest.raises(BackupError, match="The offsite target vault holds no backup of ledger"):
        choose_remote(target, "ledger", "latest")
