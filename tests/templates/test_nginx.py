# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The nginx role's templates, rendered by Ansible as in a real run but without a host."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
import yaml
from ansible_collections.quayside.web.plugins.module_utils._app_places import slot_ports
from ansible_collections.quayside.web.plugins.module_utils._edge_sites import SITE
from ansible_collections.quayside.web.plugins.module_utils._nginx_tree import Host, apply_gates, make_plan
from ansible_collections.quayside.web.plugins.module_utils._nginx_upstreams import with_ports
from rendered import BOOKWORM, HOSTS, JAMMY, OWNED, ROLE, TRIXIE, Render, Site, a_site, servers, site_servers


def test_no_sites_is_no_site_files(render: Render) -> None:
    assert sorted(render()) == [
        "nginx.conf",
        "quayside/acme.conf",
        "quayside/default.conf",
        "quayside/http.conf",
        "quayside/maintenance.html",
    ]


def test_one_file_per_site(render: Render) -> None:
    files = render(a_site(), a_site(name="my-blog", domains=["blog.test"]))
    assert {"quayside/sites/shop.conf", "quayside/sites/my-blog.conf"} <= set(files)
    assert "shop" not in files["quayside/sites/my-blog.conf"].replace("/etc/shop/", "").replace("/apps/shop/", "")


@HOSTS
def test_every_rendered_file_is_accepted_by_the_plan(render: Render, host: Host) -> None:
    plan = make_plan({}, render(a_site()), OWNED, host)
    assert all("#@" not in text for text in plan.tree.values())
    assert all(text.count("{") == text.count("}") for path, text in plan.tree.items() if "http.conf" not in path)


@HOSTS
def test_every_port_80_server_answers_acme_before_anything_else(render: Render, host: Host) -> None:
    files = render(a_site(), nginx_acme_webroot="/srv/acme")
    default = servers(apply_gates(files["quayside/default.conf"], host))
    plain = [
        server for server in default + site_servers(files, host) if re.search(r"^listen (\[::\]:)?80\b", server, re.M)
    ]
    assert len(plain) == 2
    for server in plain:
        assert server.index("include quayside/acme.conf;") < server.index("location /")
        assert not re.search(r"^return", server.split("location /")[0], re.M), "a server-level return would beat ACME"
    assert "root /srv/acme;" in files["quayside/acme.conf"]


def test_port_80_redirects_to_the_same_host(render: Render) -> None:
    plain = site_servers(render(a_site()))[0]
    assert "server_name shop.test www.shop.test;" in plain
    assert "return 308 https://$host$request_uri;" in plain


@pytest.mark.parametrize(
    ("domains", "serve_all", "redirected", "served"),
    [
        (["shop.test"], False, None, "shop.test"),
        (["shop.test", "www.shop.test", "shop.example"], False, "www.shop.test shop.example", "shop.test"),
        (["shop.test", "www.shop.test"], True, None, "shop.test www.shop.test"),
    ],
)
def test_canonical_domain(
    render: Render, domains: list[str], serve_all: bool, redirected: str | None, served: str
) -> None:
    tls = site_servers(render(a_site(domains=domains, serve_all=serve_all)))[1:]
    assert f"server_name {served};" in tls[-1]
    assert len(tls) == (2 if redirected else 1)
    if redirected:
        assert f"server_name {redirected};" in tls[0]
        assert "return 308 https://shop.test$request_uri;" in tls[0]
        assert "Strict-Transport-Security" in tls[0]
        assert "proxy_pass" not in tls[0]


@pytest.mark.parametrize(
    ("host", "present", "absent"),
    [
        (BOOKWORM, ["listen 443 ssl http2;", "listen [::]:443 ssl http2;"], ["http2 on;"]),
        (TRIXIE, ["listen 443 ssl;", "listen [::]:443 ssl;", "http2 on;"], ["ssl http2;"]),
        (JAMMY, ["listen 443 ssl http2;"], ["[::]", "http2 on;"]),
    ],
    ids=["bookworm", "trixie", "jammy"],
)
def test_http2_and_ipv6_fit_the_host(render: Render, host: Host, present: list[str], absent: list[str]) -> None:
    for server in site_servers(render(a_site()), host)[1:]:
        assert all(line in server for line in present), server
        assert not any(line in server for line in absent), server


@pytest.mark.parametrize(
    ("host", "curves", "tickets_off", "reject"),
    [
        (BOOKWORM, "X25519:prime256v1:secp384r1", True, True),
        (TRIXIE, "X25519MLKEM768:X25519:prime256v1:secp384r1", False, True),
        (JAMMY, "X25519:prime256v1:secp384r1", True, False),
    ],
    ids=["bookworm", "trixie", "jammy"],
)
def test_tls_fits_the_host(render: Render, host: Host, curves: str, tickets_off: bool, reject: bool) -> None:
    files = render()
    http = apply_gates(files["quayside/http.conf"], host)
    assert re.findall(r"ssl_ecdh_curve (.*);", http) == [curves]
    assert re.findall(r"ssl_protocols (.*);", http) == ["TLSv1.2 TLSv1.3"]
    assert ("ssl_session_tickets off;" in http) is tickets_off
    assert not re.search(r"CBC|(?<!EC)DHE|RC4|SHA\b", http)
    refusing = servers(apply_gates(files["quayside/default.conf"], host))[1]
    assert ("ssl_reject_handshake on;" in refusing) is reject
    assert ("ssl_certificate data:$ssl_server_name;" in refusing) is not reject
    assert "return 421;" in refusing


def test_an_undeclared_host_gets_nothing_on_port_80(render: Render) -> None:
    default = servers(render()["quayside/default.conf"])[0]
    assert "listen 80 default_server;" in default
    assert "return 444;" in default


def test_the_slot_is_chosen_by_the_flag_on_each_request(render: Render) -> None:
    text = render(a_site(name="my-shop"))["quayside/sites/my-shop.conf"]
    assert re.findall(r"^upstream (\S+) \{", text, re.M) == ["my_shop_blue", "my_shop_green"]
    assert re.search(
        r"set \$slot my_shop_blue;\s+if \(-f /var/lib/quayside/apps/shop/green\) \{\s+set \$slot my_shop_green;", text
    )
    assert "proxy_pass http://$slot;" in text


def test_a_deploy_can_write_the_replicas_that_the_role_would(render: Render) -> None:
    def text(replicas: int) -> str:
        slots = {slot: [f"127.0.0.1:{port}" for port in ports] for slot, ports in slot_ports(21000, replicas).items()}
        return render(a_site(name="my-shop", upstreams=slots))["quayside/sites/my-shop.conf"]

    for before, after in ((1, 3), (3, 1), (2, 2)):
        assert with_ports(text(before), "my-shop", slot_ports(21000, after)) == text(after)


def test_a_site_without_slots(render: Render) -> None:
    site = a_site(upstreams={"blue": ["10.0.0.5:8000", "10.0.0.6:8000"]})
    del site["flag"]
    text = render(site)["quayside/sites/shop.conf"]
    assert re.findall(r"server (\S+) max_fails=0;", text) == ["10.0.0.5:8000", "10.0.0.6:8000"]
    assert "if (-f" not in text
    assert "green" not in text


def test_connections_to_the_app_are_kept_but_never_requests_repeated(render: Render) -> None:
    text = render(a_site())["quayside/sites/shop.conf"]
    assert text.count("keepalive 32;") == 2
    assert text.count("keepalive_timeout 250ms;") == 2
    assert "proxy_set_header Connection '';" in text
    assert re.findall(r"proxy_next_upstream (.*);", text) == ["error timeout"]


@pytest.mark.parametrize(("seconds", "milliseconds"), [(2, "2000ms"), (0.25, "250ms"), ("1.5", "1500ms")])
def test_how_long_unused_connections_to_the_app_are_kept(
    render: Render, seconds: float | str, milliseconds: str
) -> None:
    text = render(a_site(upstream_idle=seconds))["quayside/sites/shop.conf"]
    assert text.count(f"    keepalive_timeout {milliseconds};") == 2


def test_only_the_host_itself_is_told_the_slot(render: Render) -> None:
    files = render(a_site())
    redirecting, served = site_servers(files)[1:]
    assert "add_header X-Quayside-Slot $quayside_slot always;" in served
    assert "proxy_hide_header X-Quayside-Slot;" in served.split("location /")[1], "an app cannot claim to be another"
    assert "X-Quayside-Slot" not in redirecting
    http = files["quayside/http.conf"]
    local = re.search(r"geo \$quayside_is_local \{([^}]*)\}", http)
    slot = re.search(r"map \$quayside_is_local \$quayside_slot \{([^}]*)\}", http)
    assert local and local[1].split() == ["default", "0;", "127.0.0.0/8", "1;", "::1", "1;"]
    assert slot and slot[1].split() == ["default", "'';", "1", "$proxy_host;"]


@pytest.mark.parametrize(("websockets", "connection"), [(False, "''"), (True, "$quayside_connection")])
def test_websockets_only_when_asked_for(render: Render, websockets: bool, connection: str) -> None:
    text = render(a_site(websockets=websockets))["quayside/sites/shop.conf"]
    assert re.findall(r"proxy_set_header Connection (.*);", text) == [connection]
    assert ("proxy_set_header Upgrade $http_upgrade;" in text) is websockets


def test_the_app_hears_about_the_client_from_nginx_only(render: Render) -> None:
    text = render(a_site())["quayside/sites/shop.conf"]
    sent = dict(re.findall(r"proxy_set_header (\S+) (.*);", text))
    assert sent["Host"] == sent["X-Forwarded-Host"] == "$host"
    assert sent["X-Forwarded-For"] == sent["X-Real-IP"] == "$remote_addr"
    assert sent["X-Forwarded-Proto"] == "$scheme"
    assert sent["Forwarded"] == "''"
    assert "$http_host" not in text


@pytest.mark.parametrize(
    ("headers", "present", "absent"),
    [
        ({}, {"Strict-Transport-Security": '"max-age=63072000"', "X-Frame-Options": '"SAMEORIGIN"'}, []),
        ({"X-Frame-Options": "DENY"}, {"X-Frame-Options": '"DENY"', "X-Content-Type-Options": '"nosniff"'}, []),
        ({"X-Frame-Options": ""}, {"Referrer-Policy": '"strict-origin-when-cross-origin"'}, ["X-Frame-Options"]),
        ({"X-Motto": 'say "hi"'}, {"X-Motto": r'"say \"hi\""'}, []),
    ],
)
def test_headers(render: Render, headers: dict[str, str], present: dict[str, str], absent: list[str]) -> None:
    served = site_servers(render(a_site(headers=headers)))[-1]
    added = dict(re.findall(r"^add_header (\S+) (.*) always;$", served, re.M))
    assert present.items() <= added.items()
    assert not set(absent) & set(added)
    hidden = set(re.findall(r"proxy_hide_header (\S+);", served)) - {"X-Powered-By"}
    assert hidden == set(added), "the app's own copy of a header must not come on top"


def test_headers_are_added_at_one_level_only(render: Render) -> None:
    served = site_servers(render(a_site()))[-1]
    assert "add_header" not in served.split("location /")[1]


def test_limits(render: Render) -> None:
    served = site_servers(render(a_site(body_limit="20m", read_timeout=300)))[-1]
    assert "client_max_body_size 20m;" in served
    assert "proxy_read_timeout 300s;" in served


def test_the_log_holds_no_query_and_no_referrer(render: Render) -> None:
    files = render(a_site())
    http = files["quayside/http.conf"]
    start = http.index("log_format quayside escape=json")
    log_format = http[start : http.index(";", http.index("'}'", start))]
    entry = json.loads("".join(re.findall(r"'(.*)'", log_format)))
    assert entry["path"] == "$uri"
    assert not {"$request_uri", "$request", "$args", "$query_string", "$http_referer"} & set(entry.values())
    for server in site_servers(files):
        assert "access_log /var/log/nginx/shop.access.log quayside buffer=32k flush=100ms;" in server


def test_process_limits(render: Render) -> None:
    text = render(nginx_worker_connections=1000, nginx_worker_shutdown_timeout=30)["nginx.conf"]
    assert "worker_shutdown_timeout 30s;" in text
    assert "worker_connections 1000;" in text
    assert "worker_rlimit_nofile 3024;" in text


def test_other_peoples_sites_are_included_and_debians_default_site_is_not(render: Render) -> None:
    text = render()["nginx.conf"]
    assert "include conf.d/*.conf;" in text
    assert "sites-enabled" not in text


def test_the_revision_is_served_on_loopback_only(render: Render) -> None:
    status = servers(render(nginx_status_port=20999)["quayside/default.conf"])[2]
    assert re.findall(r"^listen (.*);", status, re.M) == ["127.0.0.1:20999"]
    assert re.search(r"location = /revision \{\s+include quayside/revision.conf;", status)


def test_specs_and_rules_of_a_site_agree() -> None:
    spec = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    options = spec["main"]["options"]["nginx_sites"]["options"]
    documented = {key: option["default"] for key, option in options.items() if "default" in option}
    assert documented == {key: rule.default for key, rule in SITE.keys.items() if rule.default is not None}
    assert sorted(options) == sorted(SITE.keys)
    assert spec["base"]["options"] == spec["sites"]["options"] == spec["main"]["options"]


@pytest.mark.parametrize(
    ("sites", "words"),
    [
        ([a_site()], None),
        ([a_site(), a_site(name="blog-2", domains=["xn--bcher.example", "localhost"])], None),
        ([], None),
        ([a_site(name="Shop")], "Shop"),
        ([a_site(name="../etc")], "../etc"),
        ([a_site(domains=["shop.test", "bad_domain.test"])], "bad_domain.test"),
        ([a_site(domains=["shop.test; return 200"])], "shop.test; return 200"),
        ([a_site(domains=["https://shop.test"])], "https://shop.test"),
        ([a_site(domains=["shop.test\n"])], "shop.test"),
        ([a_site(), a_site()], 'the name "shop" is there twice'),
        ([a_site(upstreams={"blue": ["127.0.0.1:21000"]})], 'site "shop": flag is given without upstreams.green'),
    ],
)
def test_bad_sites_are_refused(fault: Callable[..., str | None], sites: list[Site], words: str | None) -> None:
    message = fault(*sites)
    assert message is None if words is None else words in str(message)
