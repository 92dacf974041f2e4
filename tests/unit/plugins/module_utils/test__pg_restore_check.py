# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What speaks against a restore, and that all of it is told at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_dump_sql import Needs
from ansible_collections.quayside.web.plugins.module_utils._pg_facts import Extension, Live, Role, Target
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import DumpFile, Manifest, Table
from ansible_collections.quayside.web.plugins.module_utils._pg_restore_check import (
    find_problems,
    find_warnings,
    join,
    owner_problems,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_restore_plan import Request
from ansible_collections.quayside.web.plugins.module_utils._pg_rights import Loader

MANIFEST = Manifest(
    "20261121T030000Z",
    "ledger",
    "2026-11-21T03:00:00Z",
    "ledger",
    "db1",
    5432,
    "15.8",
    15,
    "gzip:1",
    system_identifier="111",
    tables=(Table("public", "t", 3),),
    files=(DumpFile("dump.pgc", 100 << 20, ""),),
)
LIVE = Live("ledger", 16384, "app", sessions=3)
TARGET = Target(
    "15.8",
    15,
    "admin",
    "postgres",
    Loader("app"),
    system_identifier="111",
    roles=(Role("app"), Role("admin"), Role("boss", reachable=False)),
    extensions=(Extension("plpgsql"), Extension("pg_buffercache", permitted=False)),
    tablespaces=("pg_default",),
    free_bytes=2 << 30,
    databases=("ledger", "postgres", "shop"),
    live=LIVE,
)
NEEDS = Needs(roles=("app",), owners=("app",), extensions=("plpgsql",))


def problems(
    manifest: dict[str, Any] | None = None,
    needs: dict[str, Any] | None = None,
    target: dict[str, Any] | None = None,
    request: dict[str, Any] | None = None,
    drill: bool = False,
) -> list[str]:
    return find_problems(
        replace(MANIFEST, **manifest or {}),
        replace(NEEDS, **needs or {}),
        replace(TARGET, **target or {}),
        Request(**request or {}),
        drill=drill,
    )


def test_nothing_speaks_against_a_good_restore() -> None:
    assert problems() == []
    assert problems(drill=True) == []
    assert problems(request={"into": "ledger_copy"}) == []
    assert problems(request={"data_only": True}) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        pytest.param({"manifest": {"server_version": "17.1"}}, "restore it into 17 or later", id="downgrade"),
        pytest.param(
            {"target": {"system_identifier": "222"}},
            "(222 instead of 111, on db1); pass allow_other_cluster",
            id="cluster",
        ),
        pytest.param(
            {"target": {"free_connections": 3}}, "has 3 free connections and a restore needs 4", id="connections"
        ),
        pytest.param({"target": {"loader": Loader("app", superuser=True)}}, "and it is a superuser", id="superuser"),
        pytest.param(
            {"target": {"loader": Loader("app", superuser=True)}, "request": {"data_only": True}},
            "and it is a superuser",
            id="superuser-for-rows",
        ),
        pytest.param(
            {"target": {"roles": (Role("app", assignable=False), Role("admin"))}},
            'may not make a database for app, which loads the backup; GRANT "app" TO "admin";',
            id="loader-out-of-reach",
        ),
        pytest.param({"target": {"may_create": False}}, 'ALTER ROLE "admin" CREATEDB;', id="createdb"),
        pytest.param(
            {"needs": {"roles": ("app", "ghost", "The Other")}},
            'no role ghost, The Other, which the dump names; CREATE ROLE "ghost"; CREATE ROLE "The Other";',
            id="roles",
        ),
        pytest.param(
            {"needs": {"roles": ("boss",), "owners": ("boss",)}},
            "The role app may not give anything to boss, which owns a part of the dump; pass no_owner",
            id="role-out-of-reach",
        ),
        pytest.param(
            {"needs": {"named": ("ghost",)}, "request": {"no_owner": True}},
            "no role ghost, which is needed all the same",
            id="role-of-a-policy",
        ),
        pytest.param(
            {"request": {"no_owner": True, "owner": "nobody"}}, 'CREATE ROLE "nobody";', id="the-owner-that-is-wanted"
        ),
        pytest.param(
            {"needs": {"extensions": ("vector",)}},
            "no extension vector; install its package there (postgresql-15-pgvector",
            id="extension",
        ),
        pytest.param(
            {"needs": {"extensions": ("pg_buffercache",)}},
            "may only be created by a superuser",
            id="extension-not-ours",
        ),
        pytest.param(
            {"target": {"free_bytes": 800 << 20}}, "has 800 MiB free and the database needs about 880", id="space"
        ),
        pytest.param({"request": {"into": "template1"}}, "the server's own database", id="reserved"),
        pytest.param(
            {"request": {"into": "shop"}}, "There is a database shop already, and it is not ledger", id="exists"
        ),
        pytest.param({"request": {"database": "shop", "into": "ledger"}}, "it is not shop", id="another-app"),
        pytest.param({"manifest": {"exclude": ("log",)}}, "The backup holds only some of the tables", id="partial"),
        pytest.param({"request": {"tables": ("t",)}}, "This would restore only some of the tables", id="tables"),
        pytest.param({"target": {"live": replace(LIVE, manageable=False)}}, 'GRANT "app" TO "admin"', id="not-ours"),
        pytest.param(
            {"target": {"live": replace(LIVE, unstoppable=("postgres",))}},
            "admin may not end the sessions of postgres on ledger",
            id="sessions",
        ),
        pytest.param({"target": {"live": replace(LIVE, prepared=2)}}, "has 2 prepared transactions", id="prepared"),
        pytest.param({"target": {"live": replace(LIVE, slots=("cdc",))}}, "replication slots cdc", id="slots"),
        pytest.param({"target": {"live": replace(LIVE, subscriptions=("s",))}}, "subscriptions s", id="subscriptions"),
        pytest.param(
            {"request": {"data_only": True, "into": "nope"}},
            "There is no database nope to load data into",
            id="nowhere",
        ),
    ],
)
def test_each_problem_comes_with_its_fix(changes: dict[str, Any], told: str) -> None:
    found = problems(**changes)
    assert len(found) == 1
    assert told in found[0]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"target": {"system_identifier": "222"}, "request": {"allow_other_cluster": True}}, id="cluster"),
        pytest.param({"target": {"system_identifier": ""}}, id="cluster-not-told"),
        pytest.param({"target": {"system_identifier": "222"}, "drill": True}, id="drill-elsewhere"),
        pytest.param({"target": {"free_bytes": 0}, "request": {"ignore_space": True}}, id="space"),
        pytest.param({"target": {"free_bytes": None}}, id="space-not-known"),
        pytest.param({"needs": {"roles": ("ghost",)}, "request": {"no_owner": True}}, id="roles"),
        pytest.param({"manifest": {"exclude": ("log",)}, "request": {"into": "part"}}, id="partial-beside"),
        pytest.param({"manifest": {"exclude": ("log",)}, "drill": True}, id="partial-drill"),
        pytest.param(
            {"target": {"live": replace(LIVE, slots=("cdc",))}, "request": {"into": "copy"}}, id="slots-beside"
        ),
        pytest.param(
            {"target": {"live": replace(LIVE, unstoppable=("postgres",))}, "drill": True}, id="sessions-drill"
        ),
        pytest.param({"target": {"live": None, "databases": ("postgres",)}}, id="nothing-live"),
        pytest.param({"target": {"may_create": False}, "request": {"data_only": True}}, id="rows-need-no-createdb"),
        pytest.param({"needs": {"tablespaces": ("fast",)}}, id="tablespaces"),
    ],
)
def test_what_is_allowed(changes: dict[str, Any]) -> None:
    assert problems(**changes) == []


def test_all_problems_are_in_one_message() -> None:
    found = problems(target={"may_create": False, "system_identifier": "2"}, needs={"extensions": ("vector",)})
    told = join(found)
    assert told.startswith("3 things are in the way: (1) This server is another one")
    assert "(2) The role admin may not create" in told and "(3) The server has no extension vector" in told
    assert join(found[:1]) == found[0]


def test_owners_that_cannot_be_restored() -> None:
    assert owner_problems(NEEDS, TARGET) == []
    assert len(owner_problems(Needs(roles=("ghost", "boss"), owners=("boss",)), TARGET)) == 2


@pytest.mark.parametrize(
    ("manifest", "needs", "target", "told"),
    [
        pytest.param({}, {"tablespaces": ("fast", "pg_default")}, {}, "no tablespace fast;", id="tablespace"),
        pytest.param({}, {"subscriptions": ("sub",)}, {}, "subscription sub is left out", id="subscription"),
        pytest.param({"system_identifier": ""}, {}, {}, "does not tell its identifier", id="identifier"),
        pytest.param({}, {}, {"free_bytes": None}, "free disk space", id="space"),
        pytest.param({"quarantine": "small"}, {}, {}, "was in quarantine: small", id="quarantine"),
    ],
)
def test_what_a_person_should_know(
    manifest: dict[str, Any], needs: dict[str, Any], target: dict[str, Any], told: str
) -> None:
    assert find_warnings(MANIFEST, NEEDS, TARGET, Request()) == []
    found = find_warnings(replace(MANIFEST, **manifest), replace(NEEDS, **needs), replace(TARGET, **target), Request())
    assert len(found) == 1 and told in found[0]
