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
from ansible_collections.quayside.web.plugins.module_utils._pg_rights import Logins
from ansible_collections.quayside.web.plugins.module_utils._pg_rotation import Keep

SECRET = "s3ntinel"
URL = f"postgresql://u:{SECRET}@h/d"


def settings(**entry: Any) -> dict[str, Any]:
    return {"root": "/var/backups/quayside", "databases": [{"name": "ledger", "url": URL, **entry}]}


def test_defaults() -> None:
    assert parse_config(settings()) == Config(
        root="/var/backups/quayside", databases=(Database("ledger", URL, "03:00", Keep(7, 4, 6, 0), 3),)
    )


AGE = "age1e8pgyghkcvtf64r2p2vr5jjxlcp282rxeg3txj7ac8u72q5wwcmsruzsx8"
BUCKET = {
    **{"name": "bucket", "type": "s3", "endpoint": "https://s3.example.com", "bucket": "backups"},
    **{"access_key": f"access-{SECRET}", "secret_key": f"secret-{SECRET}"},
}
SFTP = {
    **{"name": "nas", "type": "sftp", "host": "nas", "user": "u", "path": "p", "password": SECRET},
    **{"known_hosts": "nas ssh-ed25519 AAAA", "keep": {"daily": 3}},
}
EVERYTHING = {
    "root": "/var/backups/quayside",
    "metrics": "/var/lib/metrics",
    "alerts": {"ping": f"https://h/{SECRET}", "webhook": f"https://w:8443/{SECRET}", "mail": "root"},
    "databases": [
        {
            **{"name": "ledger", "url": URL, "admin_url": f"postgresql://admin:{SECRET}@h/postgres"},
            **{"schedule": "Sun 04:00", "keep": {"daily": 2}, "minimum": 1, "hashed": True, "shrink_percent": 0},
            "tables": {"include": ["public.*"], "exclude": ["public.log_*"]},
            "drill": {"schedule": "05:00", "url": f"postgresql://drill:{SECRET}@other/postgres"},
            "encrypt": {"recipients": [AGE]},
            "offsite": [BUCKET, SFTP],
            "keep_old_days": 0,
        }
    ],
}


@pytest.mark.parametrize("data", [settings(drill=False), EVERYTHING], ids=["few", "everything"])
def test_round_trip(data: dict[str, Any]) -> None:
    config = parse_config(data)
    assert from_json(to_json(config)) == config
    assert SECRET in to_json(config)


def test_secrets_stay_out_of_diffs_and_reprs() -> None:
    config = parse_config(EVERYTHING)
    shown = to_json(config, redacted=True)
    assert SECRET not in shown + repr(config)
    for words in ("https://w:8443/…", "postgresql://admin:***@h:5432/postgres", "s3.example.com", AGE):
        assert words in shown


def test_what_was_left_out_of_a_module_is_as_if_not_given() -> None:
    data = settings(
        admin_url=None, encrypt=None, offsite=[{**SFTP, "bandwidth": None}], drill={"enabled": True, "url": None}
    )
    assert parse_config(data) == parse_config(settings(offsite=[SFTP]))


def test_servers() -> None:
    (plain,) = parse_config(settings()).databases
    assert plain.logins == Logins(plain.parsed_url, plain.parsed_url) and plain.drill_logins is None
    (full,) = parse_config(EVERYTHING).databases
    assert (full.admin.user, full.drill_logins.admin.user, full.drill_logins.owner.host) == ("admin", "drill", "other")
    (admin,) = parse_config(settings(admin_url="postgresql://a@h/postgres", drill={"server": "same"})).databases
    assert (admin.drill_logins.admin.user, admin.drill_logins.owner.user) == ("a", admin.parsed_url.user)
    (owner,) = parse_config(
        settings(owner_url="postgresql://o@h/d", drill={"owner_url": "postgresql://p@h/d"})
    ).databases
    assert (owner.logins.owner.user, owner.drill_logins.owner.user) == ("o", "p")
    assert owner.logins.admin == owner.drill_logins.admin == owner.parsed_url


@pytest.mark.parametrize("drill", [False, {"enabled": False}])
def test_no_drills(drill: object) -> None:
    assert parse_config(settings(drill=drill)).databases[0].drill is None


def test_a_target_takes_the_retention_of_its_database() -> None:
    bucket, nas = parse_config(settings(keep={"daily": 9}, minimum=5, offsite=[BUCKET, SFTP])).databases[0].offsite
    assert (bucket.keep.daily, nas.keep.daily, bucket.minimum) == (9, 3, 5)


def test_unknown_target() -> None:
    with pytest.raises(BackupError, match=r"ledger: no offsite target 'moon' is configured; these are: nas\."):
        parse_config(settings(offsite=[SFTP])).databases[0].target("moon")


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
        ({"root": "/b", "databases": "ledger"}, "databases is str and not what is accepted: a list of mappings"),
        ({"root": "/b", "rot": "/c"}, "unknown key 'rot'; format, root, databases, "),
        ({"root": "/b", "metrics": "metrics"}, "metrics is 'metrics'"),
        ({"root": "/b", "alerts": {"ping": f"ftp://h/{SECRET}"}}, "alerts.ping is not a URL"),
        ({"root": "/b", "alerts": "root"}, "alerts is str"),
        (settings(schedul="03:00"), "Backup of ledger: it has the unknown key 'schedul'; name, url, admin_url, "),
        (settings(admin_url=f"mysql://u:{SECRET}@h/d"), "Backup of ledger: admin_url: The database URL's scheme"),
        (settings(drill=True), "drill is bool and not what is accepted: false, or a mapping"),
        (settings(drill={"schedule": "25:00"}), "drill.schedule is '25:00'"),
        (
            settings(drill={"when": "05:00"}),
            "drill has the unknown key 'when'; enabled, schedule, server, url, owner_url",
        ),
        (settings(drill={"server": "there"}), "drill.server is 'there'; local and same are accepted"),
        (settings(drill={"server": "local", "url": URL}), "drill.server is local, which needs no url and no owner_url"),
        (settings(drill={"url": f"postgresql://u:{SECRET}@h"}), "drill.url: The database URL names no database"),
        (settings(encrypt={}), "encrypt names no recipients"),
        (settings(encrypt={"recipients": []}), "recipients is empty"),
        (settings(encrypt={"recipients": ["age1x"]}), "Recipient 1"),
        (settings(encrypt={"key": "x"}), "encrypt has the unknown key 'key'; recipients are accepted"),
        (settings(offsite=[{**BUCKET, "type": "ftp"}]), "Offsite target bucket: type is 'ftp'"),
        (settings(offsite=[SFTP, SFTP]), "Two offsite targets are called nas"),
        (
            settings(offsite=[{"name": "disk", "type": "local", "path": "/var/backups/quayside/x"}]),
            "lie in one another",
        ),
        (settings(offsite={"name": "nas"}), "offsite is dict"),
        (settings(shrink_percent=101), "shrink_percent is '101'; a whole number from 0 to 100"),
        (settings(keep_old_days=-1), "keep_old_days is '-1'"),
        (settings(hashed="yes"), "hashed is 'yes'; true or false"),
        (settings(tables={"include": "public.*"}), "tables.include is not accepted; a list"),
        (settings(tables={"exclude": [""]}), "tables.exclude is not accepted"),
        (settings(tables={"only": []}), "tables has the unknown key 'only'; include, exclude"),
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
