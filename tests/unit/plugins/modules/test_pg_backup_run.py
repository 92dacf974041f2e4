# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.quayside.web.plugins.doc_fragments.backup_settings import ModuleDocFragment
from ansible_collections.quayside.web.plugins.module_utils._backup_options import OFFSITE, SETTINGS
from ansible_collections.quayside.web.plugins.module_utils._pg_config import parse_config
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError
from ansible_collections.quayside.web.plugins.modules import pg_backup_run

CONFIG = parse_config(
    {"root": "/b", "databases": [{"name": name, "url": "postgresql://u@h/d"} for name in ("ledger", "shop")]}
)


@pytest.mark.parametrize(
    ("only", "chosen"), [([], ["ledger", "shop"]), (["shop"], ["shop"]), (["shop", "ledger"], ["shop", "ledger"])]
)
def test_which_databases(only: list[str], chosen: list[str]) -> None:
    assert [database.name for database in pg_backup_run.choose(CONFIG, only)] == chosen


def test_a_name_that_no_database_has() -> None:
    with pytest.raises(BackupError, match="these are: ledger, shop"):
        pg_backup_run.choose(CONFIG, ["ledger", "moon"])


def documented(options: dict[str, Any]) -> dict[str, Any]:
    """A documentation's options as an argument spec has them, without what only one of the two can say."""
    return {
        name: {
            key: documented(value) if key == "suboptions" else value
            for key, value in option.items()
            if key in ("type", "elements", "default", "required", "suboptions")
        }
        for name, option in options.items()
    }


def specified(options: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {
            ("suboptions" if key == "options" else key): specified(value) if key == "options" else value
            for key, value in option.items()
            if key != "no_log"
        }
        for name, option in options.items()
    }


def test_the_documentation_has_the_options_there_are() -> None:
    assert documented(yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]) == specified(SETTINGS)
    for name, fragment in ("offsite", ModuleDocFragment.OFFSITE), ("from", ModuleDocFragment.FROM):
        assert documented(yaml.safe_load(fragment)["options"][name]["suboptions"]) == specified(OFFSITE)


@pytest.mark.parametrize("name", ["url", "admin_url"])
def test_urls_are_secrets(name: str) -> None:
    assert SETTINGS["databases"]["options"][name]["no_log"] is True


@pytest.mark.parametrize("name", ["access_key", "secret_key", "password"])
def test_keys_are_secrets(name: str) -> None:
    assert OFFSITE[name]["no_log"] is True
