# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The migrations and the models agree, in both directions."""

from __future__ import annotations

import os
from collections.abc import Callable

import psycopg
import pytest
from conftest import App, alembic


def test_down_and_up_again(start: Callable[..., App], migrated: str) -> None:
    alembic(migrated, "downgrade", "base")
    alembic(migrated, "upgrade", "heads")
    alembic(migrated, "check")


def test_a_migration_does_not_queue_behind_a_lock(migrated: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "PGOPTIONS", "-c lock_timeout=200ms")
    with psycopg.connect(migrated) as reader:
        reader.execute("SELECT * FROM entries")
        with pytest.raises(AssertionError, match="lock timeout"):
            alembic(migrated, "downgrade", "-1")
