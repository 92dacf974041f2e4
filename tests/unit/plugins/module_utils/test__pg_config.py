# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_config import (
    Config,
    Database,
    from_json,
    parse_config,
    to_json,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError
from ansible_collections.quayside.web.plugins.module_utils._pg_rotation import Keep

SECRET = "s3ntinel"
URL = f"postgresql://u:{SECRET}@h/d"


def settings(**entry: Any) -> dict[str, Any]:
    return {"root": "/var/backups/quayside", "databases": [{"name": "ledger", "url": URL, **entry}]}


def test_defaults() -> None:
    assert parse_config(settings()) == Config(
        root="/var/backups/quayside", databases=(Database("ledger", URL, "03:00", Keep(7, 4, 6, 0), 3),)
    )


def test_round_trip() -> None:
    config = parse_config(settings(keep={"daily": 2}, schedule="Sun 04:00", minimum=1))
    assert from_json(to_json(config)) == config
    assert SECRET in to_json(config)


def test_secrets_stay_out_of_diffs_and_reprs() -> None:
    config = parse_config(settings())
    assert SECRET not in to_json(config, redacted=True) + repr(config)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (settings(schedule="25:00"), "Backup of ledger: schedule is '25:00'"),
        (settings(schedule="03:60"), "schedule is '03:60'"),
        (settings(schedule=180), "YAML reads 3:00 as a number"),
        (settings(schedule="03:00\nExecStart=x"), "schedule is"),
        (settings(schedule=""), "schedule is"),
        (settings(keep={"daily": -1}), "Backup of ledger: keep.daily is '-1'"),
        (settings(minimum=0), "Backup of ledger: minimum is '0'"),
        (settings(url=f"mysql://u:{SECRET}@h/d"), "Backup of ledger: url: The database URL's scheme is mysql"),
        (settings(name="Led ger"), "'Led ger' is not accepted"),
        ({"root": "backups"}, "root is 'backups'"),
        ({"root": "/var/../etc"}, "root is"),
        ({"root": "/var/b\nReadWritePaths=/"}, "root is"),
        ({"root": "/"}, "root is"),
        ({"root": "/b", "compression": "best"}, "compression is 'best'"),
        ({"root": "/b", "lock_wait_timeout": 0}, "lock_wait_timeout is '0'"),
        ({"root": "/b", "databases": settings()["databases"] * 2}, "'ledger' is given 2 times"),
    ],
)
def test_refusals(data: dict[str, Any], words: str) -> None:
    with pytest.raises(BackupError) as caught:
        parse_config(data)
    assert words in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 2, "root": "/b"}'])
def test_a_file_that_is_not_ours(text: str) -> None:
    with pytest.raises(BackupError, match="let the role pg_backup write it again"):
        from_json(text)


def test_unknown_name() -> None:
    with pytest.raises(BackupError, match=r"'shop' is configured; these are: ledger\."):
        parse_config(settings()).find("shop")
