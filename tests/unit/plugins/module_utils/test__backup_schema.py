# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The key `backup` of an app, as far as the backup program itself takes what follows from it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _apps
from ansible_collections.quayside.web.plugins.module_utils._backup_role import PACKAGES, packages, settings
from ansible_collections.quayside.web.plugins.module_utils._pg_config import parse_config

SECRET = "s3ntinel"
AGE = "age1e8pgyghkcvtf64r2p2vr5jjxlcp282rxeg3txj7ac8u72q5wwcmsruzsx8"
DISK = {"name": "disk", "type": "local", "path": "/mnt/disk"}
FULL: dict[str, Any] = {
    **{"admin_url": f"postgresql://admin:{SECRET}@h/postgres", "schedule": "Mon..Fri 02:30", "minimum": 1},
    **{"keep": {"daily": 2, "yearly": 1}, "tables": {"exclude": ["log_*"]}, "hashed": True, "shrink_percent": 0},
    **{"drill": {"schedule": "05:00"}, "encrypt": {"recipients": [AGE]}, "offsite": [DISK], "keep_old_days": 1},
}


def app(backup: Any) -> dict[str, Any]:
    return {
        **{"name": "ledger", "image": "ledger:1", "port": 8000, "domains": ["l.example.com"]},
        **{"database_url": f"postgresql://u:{SECRET}@h/ledger", "backup": backup},
    }


@pytest.mark.parametrize("backup", [{}, {"drill": False}, FULL], ids=["defaults", "no drills", "everything"])
def test_what_an_app_says_the_program_takes(backup: Any) -> None:
    derived = _apps.databases([app(backup)])
    (got,) = parse_config({"root": "/b", "databases": settings(derived)}).databases
    name_and_url = {"name": "ledger", "url": f"postgresql://u:{SECRET}@h/ledger"}
    (wanted,) = parse_config({"root": "/b", "databases": [{**name_and_url, **backup}]}).databases
    assert got == wanted


@pytest.mark.parametrize(
    ("backup", "words"),
    [
        ({"schedule": "25:00"}, "backup.schedule is not accepted (schedule is '25:00'"),
        ({"drill": True}, "backup.drill is a boolean"),
        ({"drill": {"schedule": 180}}, "backup.drill.schedule is not accepted"),
        (
            {"admin_url": f"mysql://u:{SECRET}@h/d"},
            "backup.admin_url is not accepted (The database URL's scheme is mysql",
        ),
        ({"admin_url": "CHANGE_ME"}, 'backup.admin_url is still the placeholder "CHANGE_ME"'),
        ({"encrypt": {}}, "backup.encrypt.recipients is missing"),
        ({"encrypt": {"recipients": [f"AGE-SECRET-KEY-{SECRET}"]}}, "Recipient 1 is a PRIVATE key"),
        ({"offsite": [{**DISK, "type": "ftp"}]}, "Offsite target disk: type is 'ftp'"),
        ({"offsite": [DISK, DISK]}, "Two offsite targets are called disk"),
        ({"offsite": DISK}, "offsite is not a list"),
        ({"tables": {"exclude": ["\n"]}}, "backup.tables.exclude[0] is"),
        ({"shrink": 3}, "backup.shrink is an unknown key"),
        ({"keep": {"hourly": 1}}, "backup.keep.hourly is an unknown key"),
        ({"minimum": 0}, "backup.minimum is"),
    ],
)
def test_refusals(backup: Any, words: str) -> None:
    (sentence,) = _apps.problems([app(backup)])
    assert words in sentence and SECRET not in sentence


def test_the_settings_hold_secrets() -> None:
    (ledger,) = _apps.normal([app(FULL)])
    assert SECRET not in str(_apps.public(ledger))


@pytest.mark.parametrize(
    ("given", "module"),
    [
        ({"name": "a", "drill": False}, {"name": "a", "drill": {"enabled": False}}),
        ({"name": "a", "drill": {"schedule": "05:00"}}, {"name": "a", "drill": {"schedule": "05:00"}}),
        ({"name": "a", "encrypt": False, "offsite": None}, {"name": "a"}),
        ({"name": "a", "encrypt": {}}, {"name": "a", "encrypt": {}}),
    ],
    ids=["no drills", "drills", "nothing", "an empty mapping is not nothing"],
)
def test_settings_for_the_modules(given: dict[str, Any], module: dict[str, Any]) -> None:
    assert settings([given]) == [module]


@pytest.mark.parametrize(
    ("databases", "more"),
    [
        ([], []),
        ([{"offsite": []}], []),
        ([{"offsite": [DISK]}, {}], ["rclone"]),
        ([{"encrypt": {"recipients": [AGE]}}], ["age"]),
        ([{"encrypt": {"recipients": [AGE]}}, {"offsite": [DISK]}], ["rclone", "age"]),
    ],
)
def test_packages(databases: list[dict[str, Any]], more: list[str]) -> None:
    assert packages(databases) == [*PACKAGES, *more]
