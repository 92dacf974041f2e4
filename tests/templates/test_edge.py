# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What a site's keys make of its file: CORS, limits, passwords, paths, static files, proxies and maintenance."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.quayside.web.plugins.module_utils._nginx_tree import apply_gates
from rendered import BOOKWORM, TRIXIE, Render, Site, a_site, servers, site_servers

ORIGIN = "https://app.example.com"
FLAG = "/var/lib/quayside/apps/shop/maintenance"


def text_of(files: dict[str, str], name: str = "shop") -> str:
    return files[f"quayside/sites/{name}.conf"]


def mapped(text: str, variable: str) -> dict[str, str]:
    """The entries of the map or geo that sets a variable."""
    block = re.search(rf"^(?:map|geo) [^{{]*\${variable} \{{\n(.*?)^\}}", text, re.MULTILINE | re.DOTALL)
    assert block, f"nothing sets ${variable}"
    entries = re.findall(r"""^ +('[^']*'|"[^"]*"|\S+) (.*);$""", block[1], re.MULTILINE)
    return {key.strip("\"'"): value.strip("\"'") for key, value in entries}


def locations(text: str) -> dict[str, str]:
    """The locations of a site's last server by their matches."""
    found = re.findall(r"^    location (.+?) \{\n(.*?)^    \}", text.rsplit("\nserver {", 1)[1], re.M | re.S)
    return {match: "\n".join(line.strip() for line in body.splitlines()) for match, body in found}


def looked_up(entries: dict[str, str], value: str) -> str:
    """What nginx finds in a map: a literal in any case, else the first pattern that fits, else the default."""
    for key, found in entries.items():
        if not key.startswith("~") and key != "default" and key.lower() == value.lower():
            return found
    return next((v for k, v in entries.items() if k.startswith("~") and re.search(k[1:], value)), entries["default"])


@pytest.mark.parametrize(
    ("origin", "answered"),
    [
        pytest.param(ORIGIN, ORIGIN, id="allowed"),
        pytest.param("HTTPS://App.Example.com", ORIGIN, id="another case, answered literally"),
        pytest.param("null", "", id="null"),
        pytest.param("", "", id="no origin"),
        pytest.param(f"{ORIGIN}.evil.test", "", id="suffix"),
        pytest.param("https://evilapp.example.com", "", id="prefix"),
        pytest.param("http://app.example.com", "", id="other scheme"),
        pytest.param(f"{ORIGIN}:8443", "", id="other port"),
    ],
)
def test_an_origin_is_answered_by_the_literal_list(render: Render, origin: str, answered: str) -> None:
    text = text_of(render(a_site(cors={"origins": [ORIGIN, "http://localhost:3000"]})))
    assert looked_up(mapped(text, "shop_cors_origin"), origin) == answered


@pytest.mark.parametrize(("origin", "answered"), [("https://who.test", "*"), ("", "")])
def test_every_origin_may_be_allowed(render: Render, origin: str, answered: str) -> None:
    text = text_of(render(a_site(cors={"origins": ["*"]})))
    assert looked_up(mapped(text, "shop_cors_origin"), origin) == answered


def test_cors_headers_are_on_every_answer_and_vary_too(render: Render) -> None:
    site = a_site(cors={"origins": [ORIGIN], "credentials": True, "expose": ["X-Total", "ETag"], "max_age": 5})
    text = text_of(render(site))
    added = dict(re.findall(r"add_header (\S+) (\S+) always;", site_servers(render(site))[-1]))
    assert added["Vary"] == "Origin"
    names = ("Allow-Origin", "Allow-Credentials", "Allow-Methods", "Allow-Headers", "Expose-Headers", "Max-Age")
    for name in names:
        assert f"Access-Control-{name}" in added
        assert f"proxy_hide_header Access-Control-{name};" in text, "the app's own would come on top"
    methods = looked_up(mapped(text, "shop_cors_methods"), f"1:{ORIGIN}")
    assert methods == "GET, HEAD, POST, PUT, PATCH, DELETE"
    assert looked_up(mapped(text, "shop_cors_credentials"), "0:") == ""
    assert looked_up(mapped(text, "shop_cors_expose"), f"1:{ORIGIN}") == "", "a preflight has nothing to read"
    assert looked_up(mapped(text, "shop_cors_max_age"), f"0:{ORIGIN}") == ""


def test_a_preflight_is_answered_before_anything_may_refuse_it(render: Render) -> None:
    site = a_site(cors={"origins": [ORIGIN]}, basic_auth={}, maintenance={"flag": FLAG}, rate_limit={"rate": "1r/s"})
    files = render(site)
    body = locations(text_of(files))["/"]
    assert body.startswith("if ($quayside_preflight) {\nreturn 204;\n}")
    preflight = mapped(files["quayside/http.conf"], "quayside_preflight")
    assert [looked_up(preflight, value) for value in ("OPTIONS:PUT", "OPTIONS:", "GET:PUT")] == ["1", "0", "0"]


def test_without_cors_the_app_speaks_for_itself(render: Render) -> None:
    assert "Access-Control" not in text_of(render(a_site()))
    assert "preflight" not in text_of(render(a_site()))


@pytest.mark.parametrize(
    ("request_uri", "exempt"),
    [
        ("/hooks", True),
        ("/hooks/stripe?x=/../", True),
        ("/hooks?x", True),
        ("/hooksy", False),
        ("/admin", False),
        ("/admin/../hooks/x", False),
        ("/hooks/../admin", False),
        ("/hooks/..", False),
        ("/hooks/%2e%2e/admin", False),
        ("/hooks/a%2f..%2f..%2fadmin", False),
        ("//hooks", False),
        ("/health", True),
        ("/health/x", False),
    ],
)
@pytest.mark.parametrize(("variable", "free"), [("shop_counted", ""), ("shop_realm", "off")], ids=["limit", "password"])
def test_what_is_exempt_is_written_plainly(
    render: Render, request_uri: str, exempt: bool, variable: str, free: str
) -> None:
    site = a_site(
        rate_limit={"rate": "10r/s", "exempt": ["/hooks"]}, basic_auth={"exempt": ["/hooks"]}, health_path="/health"
    )
    entries = mapped(text_of(render(site)), variable)
    assert (looked_up(entries, f"0:{request_uri}") == free) is exempt
    assert looked_up(entries, "1:/admin") == free, "a deploy's own probe is never refused"


@pytest.mark.parametrize(
    ("rate", "retry_after"), [("10r/s", "1"), ("30r/m", "2"), ("7r/m", "9"), ("1r/m", "60"), ("600r/m", "1")]
)
def test_a_rate_limit(render: Render, rate: str, retry_after: str) -> None:
    files = render(a_site(rate_limit={"rate": rate, "burst": 7}))
    text = text_of(files)
    assert f"limit_req_zone $shop_counted zone=shop_rate:10m rate={rate};" in text
    assert "limit_req zone=shop_rate burst=7 nodelay;" in locations(text)["/"]
    entries = mapped(text, "shop_retry_after")
    assert looked_up(entries, "429:") == retry_after
    assert looked_up(entries, "429:127.0.0.1:21000") == "", "the app's own 429 has a Retry-After of its own"
    assert "limit_req_status 429;" in files["quayside/http.conf"]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "$binary_remote_addr"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:"),
        ("2001:db8:1:2::9", "2001:db8:1:2:"),
        ("2001:db8::9", "2001:db8"),
    ],
)
def test_an_ipv6_customer_is_counted_by_network(render: Render, address: str, counted: str) -> None:
    entries = mapped(render()["quayside/http.conf"], "quayside_client")
    pattern = next((key[1:] for key in entries if key.startswith("~") and re.search(key[1:], address)), None)
    match = re.search(pattern, address) if pattern else None
    assert (match[1] if match else entries["default"]) == counted


def test_a_limit_by_header_falls_back_to_the_address(render: Render) -> None:
    text = text_of(render(a_site(rate_limit={"rate": "1r/s", "by": "header:X-Api-Key"})))
    assert mapped(text, "shop_counted_by") == {"default": "$http_x_api_key", "": "$quayside_client"}
    assert mapped(text, "shop_counted")["default"] == "$shop_counted_by"


def test_a_password_is_nginxs_and_not_the_apps(render: Render) -> None:
    text = text_of(render(a_site(basic_auth={"realm": "Staff only"})))
    assert "auth_basic $shop_realm;" in locations(text)["/"]
    assert "auth_basic_user_file /etc/nginx/quayside-passwords/shop;" in text
    assert "proxy_set_header Authorization $shop_authorization;" in text
    assert mapped(text, "shop_authorization") == {"default": "", "off": "$http_authorization"}


def test_only_listed_networks_and_the_host_itself_are_let_in(render: Render) -> None:
    site = a_site(allow_from=["192.0.2.0/24", "2001:db8::/32"], maintenance={"flag": FLAG})
    text = text_of(render(site))
    assert locations(text)["/"].startswith("if ($shop_outsider) {\nreturn 403;\n}"), "before anything answers"
    let_in = ("127.0.0.1", "::1", "192.0.2.0/24", "2001:db8::/32")
    assert mapped(text, "shop_outsider") == {"default": "1", **dict.fromkeys(let_in, "0")}


@pytest.mark.parametrize(
    ("key", "file"),
    [("00:/", FLAG), ("00:/health", ""), ("00:/health?x=1", ""), ("00:/healthy", FLAG), ("10:/", ""), ("01:/", "")],
    ids=["everybody", "health path", "with a query", "another path", "the host itself", "a listed address"],
)
def test_maintenance_is_asked_for_by_a_file(render: Render, key: str, file: str) -> None:
    site = a_site(maintenance={"flag": FLAG, "allow": ["192.0.2.0/24"], "retry_after": 120}, health_path="/health")
    files = render(site)
    text = text_of(files)
    assert looked_up(mapped(text, "shop_maintenance"), key) == file
    assert mapped(text, "shop_insider") == {"default": "0", "192.0.2.0/24": "1"}
    body = locations(text)["/"]
    assert "if (-f $shop_maintenance) {\nreturn 503;\n}\nerror_page 503 /.quayside/shop/503.html;" in body
    assert "open_file_cache_valid 1s;" in body
    # A switch of slots is seen at once: that file is looked at outside of the locations, on each request.
    outside = text.rsplit("\nserver {", 1)[1].partition("\n    location ")[0]
    assert "set $slot " in outside and "open_file_cache" not in outside
    assert looked_up(mapped(text, "shop_retry_after"), "503:") == "120"
    page = locations(text)["= /.quayside/shop/503.html"]
    assert page.startswith("internal;") and "alias /etc/nginx/quayside/maintenance.html;" in page
    assert "<h1>" in files["quayside/maintenance.html"]


def test_own_error_pages_come_from_the_controller(render: Render, tmp_path: Path) -> None:
    (tmp_path / "503.html").write_text("<p>ours: $5 & {}</p>")
    pages = {503: str(tmp_path / "503.html"), 413: str(tmp_path / "503.html")}
    files = render(a_site(error_pages=pages, maintenance={"flag": FLAG}))
    assert files["quayside/pages/shop/503.html"] == files["quayside/pages/shop/413.html"] == "<p>ours: $5 & {}</p>"
    text = text_of(files)
    assert text.count("error_page 503 ") == 1
    assert "alias /etc/nginx/quayside/pages/shop/503.html;" in locations(text)["= /.quayside/shop/503.html"]
    assert "client_max_body_size 0;" in locations(text)["= /.quayside/shop/413.html"], "else 413 has no page"


def test_static_files(render: Render) -> None:
    site = a_site(static=[{"path": "/static", "root": "/srv/shop/static/", "cache": 60}], rate_limit={"rate": "1r/s"})
    body = locations(text_of(render(site)))["/static/"]
    assert "alias /srv/shop/static/;" in body, "without the slash /static../ would lead out of it"
    assert "expires 60s;" in body
    assert "disable_symlinks on from=/srv/shop/static;" in body
    assert "location ~ /\\.(?!well-known/) {" in body
    assert "proxy_pass" not in body and "limit_req" not in body


def test_event_streams_are_not_buffered(render: Render) -> None:
    found = locations(text_of(render(a_site(sse=["/events"]))))
    for match in ("= /events", "/events/"):
        assert "proxy_buffering off;" in found[match]
        assert "proxy_read_timeout 3600s;" in found[match]
    assert "proxy_buffering" not in found["/"]


@pytest.mark.parametrize("buffered", [True, False])
def test_uploads_may_be_streamed(render: Render, buffered: bool) -> None:
    text = text_of(render(a_site(request_buffering=buffered)))
    assert ("proxy_request_buffering off;" in text) is not buffered


@pytest.mark.parametrize(
    ("real_ip", "network", "header"),
    [
        ({"from": "cloudflare"}, "2606:4700::/32", "CF-Connecting-IP"),
        ({"from": ["10.0.0.0/8"]}, "10.0.0.0/8", "X-Forwarded-For"),
        ({"from": ["10.0.0.1"], "header": "X-Real-IP"}, "10.0.0.1/32", "X-Real-IP"),
    ],
)
def test_the_clients_address_behind_a_proxy(render: Render, real_ip: dict[str, Any], network: str, header: str) -> None:
    for server in site_servers(render(a_site(real_ip=real_ip))):
        assert f"set_real_ip_from {network};" in server
        assert f"real_ip_header {header};" in server
        assert "set_real_ip_from 0.0.0.0/0;" not in server


def two_apps(**api: Any) -> list[Site]:
    shop = a_site(headers={"X-App": "shop"}, maintenance={"flag": FLAG}, body_limit="1m")
    other = a_site(name="shop-api", paths=["/api"], upstreams={"blue": ["127.0.0.1:22000"]}, **api)
    del other["flag"]
    return [shop, other]


def test_two_apps_share_a_domain_by_their_paths(render: Render) -> None:
    files = render(*two_apps(headers={"X-App": "api"}, cors={"origins": [ORIGIN]}, body_limit="9m"))
    assert servers(text_of(files, "shop-api")) == [], "it has no server of its own"
    assert "upstream shop_api_blue {" in text_of(files, "shop-api")
    found = locations(text_of(files))
    assert "proxy_pass http://$slot;" in found["/"]
    assert 'add_header X-App "shop" always;' in found["/"]
    server_level = text_of(files).rsplit("\nserver {", 1)[1].split("\n    location")[0]
    assert "Strict-Transport-Security" in server_level and "X-App" not in server_level, "each has its own"
    for match in ("= /api", "/api/"):
        body = found[match]
        assert "proxy_pass http://$slot_shop_api;" in body
        assert 'add_header X-App "api" always;' in body
        assert "add_header X-Quayside-Slot $quayside_slot always;" in body
        assert "client_max_body_size 9m;" in body
        assert "access_log /var/log/nginx/shop-api.access.log quayside buffer=32k flush=100ms;" in body
        assert "shop_maintenance" not in body, "the other app's maintenance is not this one's"
    server = text_of(files).rsplit("\nserver {", 1)[1]
    assert "set $slot shop_blue;" in server and "set $slot_shop_api shop_api_blue;" in server


def test_paths_that_no_app_has_are_not_found(render: Render) -> None:
    found = locations(text_of(render(a_site(paths=["/api", "/live"]))))
    assert sorted(found) == ["/", "/api/", "/live/", "= /api", "= /live"]
    assert found["/"] == "return 404;"


@pytest.mark.parametrize(("host", "count"), [(TRIXIE, 2), (BOOKWORM, 0)], ids=["trixie", "bookworm"])
def test_http3_only_when_asked_for_and_only_where_nginx_can(render: Render, host: Any, count: int) -> None:
    files = render(a_site(), nginx_http3=True)
    site, default = (apply_gates(files[path], host) for path in ("quayside/sites/shop.conf", "quayside/default.conf"))
    assert site.count("listen 443 quic;") == site.count("Alt-Svc") == count
    assert default.count("listen 443 quic reuseport default_server;") == bool(count)
    assert "quic" not in "".join(render(a_site()).values())


@pytest.mark.parametrize("wanted", [True, False])
def test_brotli_comes_with_its_module(render: Render, wanted: bool) -> None:
    assert ("brotli on;" in render(nginx_brotli=wanted)["quayside/http.conf"]) is wanted


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param(
            {"cors": {"origins": ["*"], "credentials": True}},
            'site "shop": cors.origins is a list with "*"; accepted: each by name',
            id="wildcard with credentials",
        ),
        pytest.param({"cors": {"origins": ["null"]}}, 'cors.origins[0] is "null"', id="null"),
        pytest.param({"cors": {"origins": [f"{ORIGIN}/"]}}, "without a path", id="origin with a path"),
        pytest.param({"cors": {"origins": [f"{ORIGIN}:443"]}}, "default port", id="origin with the default port"),
        pytest.param({"cors": {"origins": ["https://*.example.com"]}}, "cors.origins[0]", id="origin pattern"),
        pytest.param({"headers": {"X-Frame-Option": "DENY"}}, "did you mean X-Frame-Options?", id="header typo"),
        pytest.param({"headers": {"X-A": "a\nX-B: b"}}, "a value on one line", id="header injection"),
        pytest.param({"headers": {"X-A": "$host"}}, "without a dollar sign", id="nginx variable"),
        pytest.param({"headers": {"Access-Control-Allow-Origin": "*"}}, "the key cors", id="CORS by hand"),
        pytest.param({"allow_from": ["192.0.2.7/24"]}, 'allow_from[0] is "192.0.2.7/24"', id="bits right of it"),
        pytest.param({"allow_from": ["192.0.2.0/33"]}, "an address or a network", id="no network"),
        pytest.param({"rate_limit": {"rate": "10/s"}}, "10r/s", id="rate"),
        pytest.param({"paths": ["/api", "/api/v1"]}, 'a list with "/api" and "/api/v1"', id="nested paths"),
        pytest.param({"paths": ["/a b"]}, "paths[0]", id="path with a blank"),
        pytest.param({"static": [{"path": "/static"}]}, "static[0].volume is missing, and so is root", id="no folder"),
        pytest.param({"error_pages": {"418": "x"}}, 'the code "418"', id="unknown code"),
        pytest.param({"certificate": "/etc/a b.pem"}, "certificate is", id="path with a blank"),
        pytest.param({"certificate_key": None}, "certificate_key is", id="no key"),
        pytest.param({"basic_auth": {"realm": 'a" b'}}, "basic_auth.realm", id="quote in the realm"),
    ],
)
def test_bad_values_are_refused(fault: Callable[..., str | None], changes: Site, sentence: str) -> None:
    assert sentence in str(fault(a_site(**changes)))
