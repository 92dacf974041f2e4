# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Which roles may load what came from an app."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._pg_rights import Loader, loading_problem, read_loader


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        pytest.param({"exists": False}, "The server has no role app, which is to load the backup", id="missing"),
        pytest.param({"superuser": True}, "it is a superuser; name as owner_url", id="superuser"),
        pytest.param({"may_create_roles": True}, "CREATEROLE", id="createrole"),
        pytest.param({"may_replicate": True}, "REPLICATION", id="replication"),
        pytest.param({"powerful": ("pg_read_all_data",)}, "a member of pg_read_all_data", id="reads-everything"),
        pytest.param({"databases": ("blog", "crm")}, "roles that own other databases (blog, crm)", id="several-apps"),
        pytest.param({"databases": ("a", "b", "c", "d")}, "(a, b, c, ...)", id="many-apps"),
    ],
)
def test_whoever_reaches_beyond_the_app_may_not_load(facts: dict[str, Any], told: str) -> None:
    assert told in loading_problem(Loader("app", **facts))


def test_the_apps_own_role_may_load() -> None:
    assert loading_problem(Loader("app")) == ""


@pytest.mark.parametrize(
    ("found", "loader"),
    [
        ([], Loader("app", exists=False)),
        ([(False, False, False, [], [])], Loader("app")),
        (
            [(False, True, True, ["pg_read_all_data"], ["x"])],
            Loader("app", True, False, True, True, ("pg_read_all_data",), ("x",)),
        ),
    ],
)
def test_what_the_server_says(found: list[Any], loader: Loader) -> None:
    assert read_loader("app", found) == loader
