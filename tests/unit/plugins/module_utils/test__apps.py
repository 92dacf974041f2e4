# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The list of apps: what is refused and how, and what follows from it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _apps

SENTINEL = "s3ntinel-7f1c"


def app(**changes: Any) -> dict[str, Any]:
    """A complete entry with some keys changed; None takes a key away."""
    entry = {
        "name": "ledger",
        "image": "registry.example.com:5000/ledger:1.0",
        "port": 8000,
        "domains": ["ledger.example.com"],
        **changes,
    }
    return {key: value for key, value in entry.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"domain": "x"}, ["domain is an unknown key", "(did you mean domains?)"], id="unknown key"),
        pytest.param({"health": {"pth": "/"}}, ["health.pth is an unknown key"], id="unknown key inside"),
        pytest.param({"port": "8000"}, ['port is "8000"', "an integer from 1 to 65535"], id="text for a port"),
        pytest.param({"port": True}, ["port is a boolean, True", "an integer"], id="boolean for a port"),
        pytest.param({"port": 70000}, ["port is an integer, 70000", "1 to 65535"], id="port too high"),
        pytest.param({"port": None}, ["port is missing"], id="no port"),
        pytest.param({"name": "Led"}, ['app "Led": name is "Led"', "[a-z][a-z0-9-]{1,30}"], id="upper-case name"),
        pytest.param({"name": "l"}, ["name is"], id="short name"),
        pytest.param({"name": 1.1}, ["quayside_apps[0]: name is a number, 1.1"], id="number for a name"),
        pytest.param({"image": "ledger"}, ['image is "ledger"', "with a tag or a digest"], id="image without tag"),
        pytest.param({"image": "host:5000/ledger"}, ["image is", "with a tag"], id="a port is no tag"),
        pytest.param({"image": "Ledger:1"}, ["image is"], id="upper-case repository"),
        pytest.param({"image": None}, ["image is missing"], id="no image"),
        pytest.param({"domains": []}, ["domains is an empty list"], id="no domain"),
        pytest.param({"domains": "a.example.com"}, ['domains is "a.example.com"', "a list"], id="a domain, no list"),
        pytest.param({"domains": ["https://a.example.com"]}, ["domains[0] is", "a host name"], id="URL for a domain"),
        pytest.param(
            {"domains": ["a.example.com", "A.example.com"]}, ["a.example.com", "each domain once"], id="twice"
        ),
        pytest.param({"env": {"DEBUG": True}}, ["env.DEBUG is a boolean", "in quotes"], id="boolean in env"),
        pytest.param({"env": {"1A": "x"}}, ["env is a mapping with the key"], id="bad variable name"),
        pytest.param({"source": "ftp"}, ['source is "ftp"', "pull, build, archive"], id="unknown source"),
        pytest.param({"source": "archive"}, ["archive is missing"], id="archive without its file"),
        pytest.param({"archive": "x.tar"}, ["archive is given", "source: archive"], id="file without source"),
        pytest.param({"migrate": {"tool": "alembic"}}, ["database_url is missing"], id="migrate without database"),
        pytest.param({"health": {"timeout": "1m"}}, ["health.timeout is", "seconds"], id="wrong type inside"),
        pytest.param({"domains": ["CHANGE_ME.example.com"]}, ['still the placeholder "CHANGE_ME"'], id="placeholder"),
        pytest.param(
            {"workers": [{"name": "web", "command": ["x"]}]}, ['workers is a list with the name "web"'], id="web worker"
        ),
        pytest.param(
            {
                "workers": [{"name": "mail", "command": ["x"]}],
                "jobs": [{"name": "mail", "command": ["y"], "schedule": "daily"}],
            },
            ['workers and jobs is lists with the name "mail" twice'],
            id="a job like a worker",
        ),
        pytest.param(
            {"jobs": [{"name": "mail", "command": ["y"]}]},
            ["jobs[0].schedule is missing"],
            id="a job without a schedule",
        ),
        pytest.param(
            {"migrate": {"tool": "sql"}, "database_url": "postgresql://u@h/d"},
            ["migrate.path is missing"],
            id="sql without a path",
        ),
        pytest.param(
            {"migrate": {"tool": "command"}, "database_url": "postgresql://u@h/d"},
            ["migrate.command is missing"],
            id="no command",
        ),
        pytest.param(
            {"migrate": {"tool": "alembic", "path": "/sql"}, "database_url": "postgresql://u@h/d"},
            ["migrate.path is given", "it goes with tool: sql"],
            id="a path that nothing reads",
        ),
        pytest.param(
            {"registry": {"username": "me"}}, ["registry.password is missing"], id="a login without a password"
        ),
        pytest.param(
            {"registry": {"username": "me", "password": "x"}, "source": "build", "build": {"path": "."}},
            ["registry is given", "source: pull"],
            id="a login for a build",
        ),
        pytest.param({"warm_up": ["start"]}, ["warm_up[0] is"], id="no path"),
        pytest.param({"hooks": {"pre": ["x"]}}, ["hooks.pre is an unknown key"], id="an unknown hook"),
        pytest.param({"workers": [{"name": "w1", "command": "x y"}]}, ["workers[0].command is"], id="command as text"),
        pytest.param({"backup": True}, ["backup is a boolean", "false, or"], id="true for a backup"),
        pytest.param({"backup": {"keep": {"daily": -1}}}, ["backup.keep.daily is"], id="negative keep"),
        pytest.param({"backup": {"schedule": "25:00"}}, ["backup.schedule is", "03:00"], id="no such hour"),
        pytest.param({"replicas": 11}, ["replicas is", "1 to 10"], id="more replicas than ports"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], expected: list[str]) -> None:
    found = _apps.problems([app(**changes)])
    assert len(found) == 1, found
    for text in expected:
        assert text in found[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"secrets": {"TOKEN": float("1.5")}},
        {"secrets": {"TOKEN": [SENTINEL]}},
        {"secrets": SENTINEL},
        {"database_url": f"mysql://u:{SENTINEL}@db/x"},
        {"database_url": f"postgresql://u:{SENTINEL}@/x"},
        {"database_url": SENTINEL},
        {"database_url": f"postgresql://u:{SENTINEL}/@db/x"},
    ],
)
def test_a_wrong_secret_is_never_shown(changes: dict[str, Any]) -> None:
    found = " ".join(_apps.problems([app(**changes)]))
    assert found
    assert SENTINEL not in found


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({}, ["another app has it", 'which app "ledger" has too']),
        ({"name": "other"}, ['domains has "ledger.example.com", which app "ledger" has too']),
        ({"name": "other", "domains": ["LEDGER.example.com"]}, ['which app "ledger" has too']),
        (
            {"name": "other", "domains": ["o.example.com"], "slot_port": 22010},
            ['slot_port is 22010, and app "ledger" has 22000'],
        ),
    ],
)
def test_two_apps_cannot_claim_the_same(other: dict[str, Any], expected: list[str]) -> None:
    found = _apps.problems([app(slot_port=22000), app(**other)])
    assert len(found) == len(expected)
    for sentence, text in zip(found, expected):
        assert text in sentence


@pytest.mark.parametrize("apps", [None, {}, [], "x", 1])
def test_no_list_of_apps(apps: object) -> None:
    assert _apps.problems(apps)[0].startswith("quayside_apps is")


@pytest.mark.parametrize(
    "image", ["a:1", "a/b_c:1.0-x", "localhost/a:1", "r.example.com:5000/a/b:1", "a@sha256:" + "0" * 64, "a__b:1"]
)
def test_good_images(image: str) -> None:
    assert _apps.problems([app(image=image)]) == []


def test_defaults_are_filled_in_and_normal_form_is_stable() -> None:
    first = _apps.normal([app(env={"PORT": 8000}, workers=[{"name": "w1", "command": ["x"]}])])
    assert first[0]["health"] == {
        "path": "/health", "status": 200, "successes": 2, "interval": 0.25, "timeout": 60, "expect": {},
    }  # fmt: skip
    assert first[0]["env"] == {"PORT": "8000"}
    assert first[0]["workers"] == [{"name": "w1", "command": ["x"], "replicas": 1, "overlap": True}]
    assert first[0]["read_only"] is True
    assert _apps.normal(first) == first


def test_normal_refuses_what_problems_names() -> None:
    with pytest.raises(_apps.AppError, match="port is missing"):
        _apps.normal([app(port=None)])


def test_what_follows_for_the_roles() -> None:
    url = "postgresql://u:p@db/ledger"
    apps = [
        app(database_url=url, database_pooled_url="postgresql://u:p@pool/ledger", secrets={"KEY": "k"}, replicas=2),
        app(name="other", domains=["o.example.com"], database_url=url, backup=False),
        app(name="static", domains=["s.example.com"]),
    ]
    assert [database["name"] for database in _apps.databases(apps)] == ["ledger"]
    assert _apps.databases(apps)[0]["url"] == url
    assert _apps.certificates(apps)[1] == {"name": "other", "domains": ["o.example.com"]}
    site = _apps.sites(apps, {"ledger": 21040})[0]
    assert site["upstreams"]["blue"] == ["127.0.0.1:21040", "127.0.0.1:21041"]
    assert site["flag"] == "/var/lib/quayside/apps/ledger/green"
    ledger, _other, static = _apps.normal(apps)
    assert _apps.secrets(ledger) == {"DATABASE_URL": "postgresql://u:p@pool/ledger", "KEY": "k"}
    assert _apps.secrets(static) == {}
    assert not {"secrets", "database_url", "database_pooled_url"} & set(_apps.public(ledger))
