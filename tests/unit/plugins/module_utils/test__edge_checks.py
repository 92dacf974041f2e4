# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The edge of apps: what is refused between keys and between apps, and what a site takes from its app."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils import _apps, _edge_checks, _edge_sites

SENTINEL = "s3ntinel-7f1c"


def app(**changes: Any) -> dict[str, Any]:
    return {"name": "shop", "image": "shop:1", "port": 80, "domains": ["shop.test", "www.shop.test"], **changes}


def api(**changes: Any) -> dict[str, Any]:
    return app(name="api", paths=["/api"], health={"path": "/api/health"}) | changes


@pytest.mark.parametrize(
    ("prefix", "path", "expected"),
    [
        ("/", "/x", True),
        ("/api", "/api", True),
        ("/api", "/api/v1", True),
        ("/api", "/apis", False),
        ("/api/v1", "/api", False),
    ],
)
def test_a_prefix_covers_what_lies_below_it(prefix: str, path: str, expected: bool) -> None:
    assert _edge_checks.covers(prefix, path) is expected


@pytest.mark.parametrize(
    ("apps", "sentence"),
    [
        pytest.param(
            [app(cors={"origins": ["*"], "credentials": True})],
            'app "shop": cors.origins is a list with "*"; accepted: each by name',
            id="wildcard with credentials",
        ),
        pytest.param(
            [app(cors={"origins": ["https://a.test"], "credentials": True, "headers": ["*"]})],
            "cors.headers is a list with",
            id="header wildcard with credentials",
        ),
        pytest.param([app(cors={"origins": ["*", "https://a.test"]})], '"*" alone', id="wildcard beside others"),
        pytest.param([app(cors={"origin": ["*"]})], "did you mean origins?", id="key of cors"),
        pytest.param([app(cors={"origins": ["https://a.test"], "methods": ["GETT"]})], "methods[0]", id="method"),
        pytest.param(
            [app(paths=["/api"])],
            'health.path is "/health"; accepted: a path below /api',
            id="health path elsewhere",
        ),
        pytest.param([app(sse=["/x"], paths=["/api"], health={"path": "/api"})], 'sse is a list with "/x"', id="sse"),
        pytest.param(
            [app(), api(paths=["/"], health={})], 'app "api": domains has "shop.test", which app "shop" has', id="twice"
        ),
        pytest.param(
            [api(), api(name="v1", paths=["/api/v1"], health={"path": "/api/v1"})],
            'app "v1": paths has "/api/v1" at shop.test, where app "api" has "/api"',
            id="overlapping paths",
        ),
        pytest.param(
            [app(static=[{"path": "/api", "root": "/a"}]), api()],
            'app "shop": static has "/api" at shop.test, where app "api" has "/api"',
            id="static where another app is",
        ),
        pytest.param(
            [api(), app(sse=["/api/events"])],
            'app "shop": sse has "/api/events" at shop.test, where app "api" has "/api"',
            id="sse where another app is",
        ),
        pytest.param([app(basic_auth={"users": {"ann": SENTINEL}, "realm": "Off"})], "and not off", id="no realm"),
        pytest.param(
            [app(), api(domains=["shop.test"])],
            'app "api": domains are shop.test, and app "shop", which shares shop.test, has shop.test, www.shop.test',
            id="other domains",
        ),
        pytest.param([app(serve_all=True), api()], "its first domain or serve_all differs", id="serve_all"),
        pytest.param([app(), api(real_ip={"from": "cloudflare"})], "it goes with the app that has the path /", id="ip"),
        pytest.param([app(real_ip={"from": "fastly"})], "cloudflare, or a list of networks", id="unknown proxy"),
        pytest.param(
            [app(static=[{"path": "/s", "volume": "/app/static"}], volumes=["files:/app/static"])],
            "nginx can't read into Docker's own named volumes",
            id="named volume",
        ),
        pytest.param(
            [app(static=[{"path": "/s", "root": "/a", "volume": "/b"}])], "one of the two", id="root and volume"
        ),
        pytest.param([app(static=[{"path": "/", "root": "/a"}])], 'static[0].path is "/"', id="static at the root"),
        pytest.param(
            [app(basic_auth={"users": {"ann": "short"}})], "basic_auth.users.ann is a string", id="short password"
        ),
        pytest.param([app(headers={"Content-Length": "1"})], "set for each answer by nginx or the app", id="framing"),
        pytest.param([app(headers={"Strict-Transport": "1"})], "Strict-Transport-Security?", id="header typo"),
        pytest.param(
            [app(certificate={"source": "file", "certificate": "a.pem"})],
            "certificate.key is missing; accepted: it must be given when source is file",
            id="certificate without key",
        ),
        pytest.param([app(certificate={"source": "self_signed", "dns": "ovh"})], "source: acme", id="dns of none"),
        pytest.param([app(maintenance={"allow": ["10.0.0.1/8"]})], "maintenance.allow[0]", id="network"),
    ],
)
def test_what_is_refused(apps: list[dict[str, Any]], sentence: str) -> None:
    found = _apps.problems(apps)
    assert any(sentence in problem for problem in found), found
    assert all(problem.endswith(".") and "\n" not in problem for problem in found)


def test_passwords_are_shown_nowhere() -> None:
    wrong = app(basic_auth={"users": {"ann": f"{SENTINEL}\n"}})
    assert SENTINEL not in str(_apps.problems([wrong]))
    good = [app(basic_auth={"users": {"ann": SENTINEL}, "realm": "Staff"})]
    assert _apps.passwords(good) == {"shop": {"ann": SENTINEL}}
    assert SENTINEL not in str(_apps.sites(good, {}))
    assert SENTINEL not in str(_apps.public(_apps.normal(good)[0]))


def test_apps_on_one_domain_share_server_and_certificate() -> None:
    apps = [api(), app()]
    assert _apps.problems(apps) == []
    assert [entry["name"] for entry in _apps.certificates(apps)] == ["shop"]
    sites = _apps.sites(apps, {})
    assert {site["certificate"] for site in sites} == {"/etc/letsencrypt/live/shop/fullchain.pem"}
    mounted, owner = _edge_sites.files(sites)
    assert mounted["server"] is None
    assert [site["name"] for site in owner["server"]["mounted"]] == ["api"]


def test_a_site_of_an_app_is_accepted_as_it_is() -> None:
    full = app(
        cors={"origins": ["https://a.test"]},
        rate_limit={"rate": "10r/s"},
        headers={"x-frame-options": None, "Content-Security-Policy": "default-src 'self'"},
        basic_auth={"users": {"ann": SENTINEL}},
        static=[{"path": "/static", "volume": "/app/files/static"}],
        volumes=["/srv/shop:/app/files:ro"],
        real_ip={"from": "cloudflare"},
        error_pages={502: "502.html"},
        allow_from=["192.0.2.1"],
        sse=["/events"],
        maintenance={"allow": ["2001:db8::/32"]},
    )
    sites = _apps.sites([full], {})
    assert _edge_sites.problems(sites) == []
    site = sites[0]
    assert site["static"] == [{"path": "/static", "root": "/srv/shop/static", "cache": 3600}]
    assert site["headers"]["X-Frame-Options"] == ""
    assert site["maintenance"]["flag"] == "/var/lib/quayside/apps/shop/maintenance"
    assert site["health_path"] == "/health"


@pytest.mark.parametrize(
    ("certificate", "expected", "folder"),
    [
        ({}, {}, "/etc/letsencrypt/live/shop"),
        ({"dns": "ovh"}, {"dns": "ovh"}, "/etc/letsencrypt/live/shop"),
        ({"source": "self_signed"}, {"source": "self_signed"}, "/etc/quayside-certificates/shop"),
        (
            {"source": "file", "certificate": "a.pem", "key": "b.pem"},
            {"source": "file", "certificate": "a.pem", "key": "b.pem"},
            "/etc/quayside-certificates/shop",
        ),
    ],
    ids=["by default", "over DNS", "self-signed", "brought"],
)
def test_where_a_certificate_comes_from(certificate: dict[str, str], expected: dict[str, str], folder: str) -> None:
    apps = [app(certificate=certificate)]
    assert _apps.certificates(apps) == [{"name": "shop", "domains": ["shop.test", "www.shop.test"], **expected}]
    assert _apps.sites(apps, {})[0]["certificate"] == f"{folder}/fullchain.pem"
