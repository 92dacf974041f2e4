# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Certificates through their life: names come and go, renewals are served, failures are told and change nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

testinfra_hosts = ["ansible://web"]

CONVERGE = yaml.safe_load((Path(__file__).parents[1] / "converge.yml").read_text())
APPS: list[dict[str, Any]] = CONVERGE[0]["vars"]["quayside_apps"]
HOSTS = ("debian12", "debian13")
METRICS = "/var/lib/node-metrics/quayside_certificates.prom"


def apps(**shop: Any) -> list[dict[str, Any]]:
    """The apps, with other keys for the first one and for the one that shares its domains."""
    return [{**app, **(shop if app["name"] in ("shop", "api") else {})} for app in APPS]


def domains(*names: str) -> list[str]:
    return [f"{name}.{{{{ host_name }}}}.test" for name in names]


@pytest.fixture(scope="module")
def served(outside: Any, address_of: Callable[[str], str]) -> Callable[..., str]:
    """What openssl prints of the certificate that a machine outside is served."""

    def look(name: str, site: str = "shop", *options: str) -> str:
        what = " ".join(options or ("-serial",))
        command = f"openssl s_client -connect {address_of(name)}:443 -servername {site}.{name}.test </dev/null"
        return str(outside.check_output(f"{command} 2>/dev/null | openssl x509 -noout {what}"))

    return look


def names_of(text: str) -> set[str]:
    return set(re.findall(r"DNS:([^,\s]+)", text))


@pytest.fixture(scope="module")
def with_more(converge_with: Callable[..., Any], served: Callable[..., str]) -> Iterator[dict[str, set[str]]]:
    """What was served while the hosts had one more name; it is taken away again."""
    more = converge_with(quayside_apps=apps(domains=domains("shop", "www.shop", "more.shop")))
    assert more.failed == []
    found = {name: names_of(served(name, "shop", "-ext", "subjectAltName")) for name in HOSTS}
    less = converge_with()
    assert less.failed == []
    yield found


@pytest.fixture(scope="module")
def refused(converge_with: Callable[..., Any], container: Callable[[str], Any]) -> dict[str, list[str]]:
    """What a run says of a name that leads elsewhere, beside one that is good; the ACME server is not asked."""
    container("services").check_output("journalctl --rotate --vacuum-time=1s >/dev/null 2>&1; true")
    stray = [{"name": "stray", "domains": ["astray.test", *domains("shop")]}]
    run = converge_with(letsencrypt_certificates=stray)
    asked = container("services").run("journalctl -u pebble --no-pager").stdout
    return {name: [run.messages[name], asked] for name in HOSTS}


@pytest.fixture(scope="module")
def failed_twice(converge_with: Callable[..., Any]) -> dict[str, list[str]]:
    """What two runs say of a name that the ACME server refuses."""
    # Its address is the ACME server's own loopback, where nobody answers; the preflight would have told.
    # A name that no run before this one asked for.
    name = f"no-{time.time_ns()}"
    wanted = {"letsencrypt_certificates": [{"name": name, "domains": [f"{name}.test"]}], "letsencrypt_preflight": False}
    first, second = converge_with(**wanted), converge_with(**wanted)
    third = converge_with(**wanted, letsencrypt_retry=True)
    return {name: [run.messages[name] for run in (first, second, third)] for name in HOSTS}


@pytest.fixture(scope="module")
def given_up(converge_with: Callable[..., Any]) -> dict[str, list[str]]:
    """What is changed when a certificate is no longer declared, in three runs: taken in, left, deleted."""
    derived = [{"name": app["name"], "domains": app["domains"]} for app in APPS if app["name"] not in ("api", "lan")]
    extra = {"name": "extra", "domains": domains("more.shop")}
    lan = {"name": "lan", "domains": domains("lan"), "source": "self_signed"}
    taken_in = converge_with(letsencrypt_certificates=[*derived, lan, extra])
    assert all("(certificate 'extra'): port 443 serves no certificate" in entry for entry in taken_in.failed)
    kept, deleted = converge_with(), converge_with(letsencrypt_unlisted="revoke")
    assert kept.failed == deleted.failed == []
    return {name: [entry for entry in deleted.changed if entry.startswith(name)] for name in HOSTS}


def test_names_come_and_go(name: str, with_more: dict[str, set[str]], served: Callable[..., str]) -> None:
    both = {f"shop.{name}.test", f"www.shop.{name}.test"}
    assert with_more[name] == {*both, f"more.shop.{name}.test"}
    assert names_of(served(name, "shop", "-ext", "subjectAltName")) == both


def test_apps_that_share_domains_share_one_certificate(machine: Any) -> None:
    names = set(machine.check_output("ls /etc/letsencrypt/renewal").split())
    assert {"shop.conf", "limited.conf"} <= names
    assert not {"api.conf", "lan.conf"} & names


def test_a_closed_networks_certificate_is_the_hosts_own(name: str, served: Callable[..., str], machine: Any) -> None:
    assert names_of(served(name, "lan", "-ext", "subjectAltName")) == {f"lan.{name}.test"}
    key = machine.file("/etc/quayside-certificates/lan/privkey.pem")
    assert (key.user, key.mode) == ("root", 0o600)


def test_a_forced_renewal_is_served(name: str, machine: Any, served: Callable[..., str]) -> None:
    before = served(name)
    ca = "REQUESTS_CA_BUNDLE=/etc/letsencrypt/quayside-ca.pem"
    machine.check_output(f"{ca} certbot renew --cert-name shop --force-renewal --no-random-sleep-on-renew")
    time.sleep(1)
    assert served(name) != before


def test_what_is_served_is_watched(machine: Any, name: str) -> None:
    machine.check_output("systemctl start quayside-certificates.service")
    text = machine.file(METRICS).content_string
    assert f'quayside_certificate_good{{certificate="shop",domain="shop.{name}.test"}} 1' in text
    days = re.search(rf'days_left{{certificate="limited",domain="limited.{name}.test"}} ([\d.]+)', text)
    assert days and 40 < float(days[1]) <= 45
    assert machine.service("quayside-certificates.timer").is_running


def test_a_renewal_that_is_not_served_is_told(machine: Any, name: str) -> None:
    ca, hook = (
        "REQUESTS_CA_BUNDLE=/etc/letsencrypt/quayside-ca.pem",
        "/etc/letsencrypt/renewal-hooks/deploy/quayside-nginx",
    )
    machine.check_output(f"chmod -x {hook}")
    try:
        machine.check_output(f"{ca} certbot renew --cert-name limited --force-renewal --no-random-sleep-on-renew")
        watched = machine.run("systemctl start quayside-certificates.service")
        said = machine.check_output("journalctl -u quayside-certificates --no-pager -n 30")
    finally:
        machine.check_output(f"chmod +x {hook}; systemctl reload nginx")
    assert watched.rc != 0
    assert f"limited.{name}.test (certificate 'limited'): serial " in said
    assert "reload nginx" in said


def test_an_authority_that_is_down_leaves_what_is_served(name: str, machine: Any, served: Callable[..., str]) -> None:
    before, conf = served(name), "/etc/letsencrypt/renewal/shop.conf"
    machine.check_output(f"cp /etc/hosts /root/hosts; echo 127.0.0.9 services >> /etc/hosts; cp {conf} /root/shop.conf")
    machine.check_output(f"sed -i '1i renew_before_expiry = 300 days' {conf}")
    try:
        renewal = machine.run("systemctl start certbot.service")
    finally:
        machine.check_output(f"cat /root/hosts > /etc/hosts; sed -i '/^renew_before_expiry = 300 days/d' {conf}")
    assert renewal.rc != 0, "nobody would be told"
    assert served(name) == before


def test_names_that_cannot_be_proved_are_told_one_by_one(name: str, refused: dict[str, list[str]]) -> None:
    told, asked = refused[name]
    assert told.startswith("Certificate 'stray' was not asked for: astray.test: DNS says 172.30.13.99, where port 80 ")
    assert f"this host has 172.30.13.{name[-2:]}" in told
    assert f"shop.{name}.test: " not in told
    assert "\n" not in told
    assert "stray" not in asked, "the authority was asked"


def test_a_refusal_is_not_repeated_within_an_hour(name: str, failed_twice: dict[str, list[str]]) -> None:
    first, second, third = failed_twice[name]
    refusal = r"Certificate '(no-\d+)' \(\1\.test\) could not be issued by https://services:14000/dir: \1\.test: "
    assert re.match(refusal, first)
    assert re.match(r"Certificate 'no-\d+' was refused \d minutes ago and is not asked for again for \d\d, ", second)
    assert re.match(refusal, third)


def test_what_is_no_longer_declared_goes_where_that_is_asked_for(
    name: str, machine: Any, given_up: dict[str, list[str]]
) -> None:
    assert any("Issue the certificates" in entry for entry in given_up[name])
    assert not machine.file("/etc/letsencrypt/live/extra").exists
    assert machine.file("/etc/letsencrypt/live/shop/fullchain.pem").exists


def test_a_lost_account_heals(
    name: str, container: Callable[[str], Any], converge_with: Callable[..., Any], served: Callable[..., str]
) -> None:
    before = served(name)
    container(name).check_output("rm -r /etc/letsencrypt/accounts")
    run = converge_with(limit=name)
    assert run.failed == []
    assert served(name) != before
