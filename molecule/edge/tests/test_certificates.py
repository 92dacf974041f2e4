# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Certificates through their life: names come and go, renewals are served, failures are told and change nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

testinfra_hosts = ["ansible://web"]

CONVERGE = yaml.safe_load((Path(__file__).parents[1] / "converge.yml").read_text())
APPS: list[dict[str, Any]] = CONVERGE[0]["vars"]["quayside_apps"]
HOSTS = ("debian12", "debian13")
METRICS = "/var/lib/node-metrics/quayside_certificates.prom"
RENEW = "REQUESTS_CA_BUNDLE=/etc/letsencrypt/quayside-ca.pem certbot renew --force-renewal --no-random-sleep-on-renew"
AUTHORITY = "authority.example"
ZONE_KEY = "czNudGluZWwtem9uZS1rZXktb2YtdGhpcnR5LTIhISE="
# A name server whose zone takes changes signed by the key, and an ACME server that asks it.
DNS01 = """
set -e
mkdir -p /srv/dns01
cd /srv/dns01
cat > wild.test <<'ZONE'
$TTL 1
@ SOA localhost. root.localhost. 1 60 60 60 1
@ NS localhost.
ZONE
cat > named.conf <<'CONFIG'
options { directory "/srv/dns01"; pid-file none; recursion no; dnssec-validation no; listen-on port 5353 { any; }; };
controls {};
key acme { algorithm hmac-sha256; secret "KEY"; };
zone wild.test { type primary; file "wild.test"; update-policy { grant acme zonesub TXT; }; };
CONFIG
sed 's/:14000/:14001/; s/:15000/:15001/' /etc/pebble/pebble.json > pebble.json
systemd-run --quiet --unit=dns01-named named -f -c /srv/dns01/named.conf
systemd-run --quiet --unit=dns01-pebble --setenv=PEBBLE_VA_NOSLEEP=1 \\
    pebble -config /srv/dns01/pebble.json -dnsserver 127.0.0.1:5353
"""
# An ACME server that serves the holders of an account only, and refuses 15 nonces of a hundred.
FUSSY_PORT = 14003
EAB_KEY = "czNudGluZWwtZWFiLWtleS1vZi1hLWN1c3RvbWVyLW9uZQ"
FUSSY = """
set -e
sed -e 's/:14000/:14003/; s/:15000/:15003/' \\
    -e 's/BindingRequired": false/BindingRequired": true, "externalAccountMACKeys": {"customer-1": "KEY"}/' \\
    /etc/pebble/pebble.json > /srv/fussy.json
systemd-run --quiet --unit=fussy-pebble --setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_AUTHZREUSE=0 \\
    --setenv=PEBBLE_WFE_NONCEREJECT=15 pebble -config /srv/fussy.json -dnsserver 127.0.0.1:8053
"""
# The directory of the ACME server, with what it is called in CAA records: Pebble does not say.
CAA = """
set -e
mkdir -p /srv/caa
cd /srv/caa
printf 'HTTP/1.0 200 ok\r\nContent-Type: application/json\r\n\r\n' > dir
curl -ks https://127.0.0.1:14000/dir | sed 's/"meta": *{/"meta": {"caaIdentities": ["AUTHORITY"],/' >> dir
grep -q AUTHORITY dir
systemd-run --quiet --unit=caa-directory --working-directory=/srv/caa openssl s_server -quiet -HTTP -accept 14002 \
    -cert /etc/pebble/api.pem -key /etc/pebble/api.key
"""


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


def renewal_when_due(machine: Any) -> Any:
    """What the packaged timer starts, while the certificate of the shop is due."""
    conf = "/etc/letsencrypt/renewal/shop.conf"
    machine.check_output(f"sed -i '1i renew_before_expiry = 300 days' {conf}")
    try:
        return machine.run("systemctl start certbot.service")
    finally:
        machine.check_output(f"sed -i '/^renew_before_expiry = 300 days/d' {conf}")


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


EXTRA = {"name": "extra", "domains": domains("more.shop"), "watch": False}
EXTRA_NOW = "openssl x509 -noout -issuer -text -in /etc/letsencrypt/live/extra/cert.pem"


@dataclass(frozen=True)
class Tried:
    """Three runs: with a key that is refused, with the right one, and once more."""

    refused: Any
    issued: Any
    again: Any

    def show(self, key: str) -> bool:
        """Whether any of them prints the key; the refused one is that with upper and lower case swapped."""
        runs = (self.refused, self.issued, self.again)
        return any(form in run.output for run in runs for form in (key, key.swapcase()))


@dataclass(frozen=True)
class Fussy(Tried):
    """A certificate of another authority, by the key of the account."""

    texts: dict[str, str]
    """What openssl says of the certificate, by host."""
    refused_nonces: int
    """On all hosts; some fifty are sent, so that there is one in all but 1 of 4,000 runs."""


@pytest.fixture(scope="module")
def fussy(container: Callable[[str], Any], converge_with: Callable[..., Any]) -> Fussy:
    services = container("services")
    services.check_output(FUSSY.replace("KEY", EAB_KEY))

    def run(key: str) -> Any:
        return converge_with(
            letsencrypt_directory_url=f"https://services:{FUSSY_PORT}/dir",
            letsencrypt_eab={"kid": "customer-1", "hmac_key": key},
            letsencrypt_key_type="rsa",
            letsencrypt_profile="tlsserver",
            letsencrypt_certificates=[EXTRA],
        )

    runs = [run(EAB_KEY.swapcase()), run(EAB_KEY), run(EAB_KEY)]
    texts = {name: container(name).check_output(EXTRA_NOW) for name in HOSTS}
    count = "cat /var/log/letsencrypt/letsencrypt.log* | grep -c error:badNonce"
    return Fussy(*runs, texts, sum(int(container(name).run(count).stdout) for name in HOSTS))


@dataclass(frozen=True)
class GivenUp:
    """A certificate that came back to the scenario's authority, and then is no longer declared: kept, then deleted."""

    texts: dict[str, str]
    changed: dict[str, list[str]]
    """What the run that deletes it changed, by host."""


@pytest.fixture(scope="module")
def given_up(fussy: Fussy, container: Callable[[str], Any], converge_with: Callable[..., Any]) -> GivenUp:
    derived = [{"name": app["name"], "domains": app["domains"]} for app in APPS if app["name"] not in ("api", "lan")]
    lan = {"name": "lan", "domains": domains("lan"), "source": "self_signed"}
    watched = {**EXTRA, "watch": True}
    taken_in = converge_with(letsencrypt_certificates=[*derived, lan, watched])
    assert all("(certificate 'extra'): port 443 serves no certificate" in entry for entry in taken_in.failed)
    texts = {name: container(name).check_output(EXTRA_NOW) for name in HOSTS}
    kept, deleted = converge_with(), converge_with(letsencrypt_unlisted="revoke")
    assert kept.failed == deleted.failed == []
    return GivenUp(texts, {name: [entry for entry in deleted.changed if entry.startswith(name)] for name in HOSTS})


@dataclass(frozen=True)
class Wild(Tried):
    """A wildcard proved over DNS, by the key of the name server."""

    names: dict[str, set[str]]
    """In the certificate, by host."""
    renewed: dict[str, int]
    """The exit code of a renewal."""


@pytest.fixture(scope="module")
def wild(container: Callable[[str], Any], converge_with: Callable[..., Any]) -> Wild:
    container("services").check_output(DNS01.replace("KEY", ZONE_KEY))

    def run(name: str, key: str) -> Any:
        credentials = {
            "dns_rfc2136_server": "172.30.13.20",
            "dns_rfc2136_port": "5353",
            "dns_rfc2136_name": "acme",
            "dns_rfc2136_secret": key,
            "dns_rfc2136_algorithm": "HMAC-SHA256",
        }
        wildcard = {"name": name, "domains": ["*.{{ host_name }}.wild.test"], "dns": "rfc2136"}
        host_itself = {
            "name": f"{name}-mail",
            "domains": ["{{ host_name }}.wild.test"],
            "dns": "rfc2136",
            "watch": False,
        }
        return converge_with(
            letsencrypt_directory_url="https://services:14001/dir",
            letsencrypt_dns={"rfc2136": {"credentials": credentials, "propagation": 1}},
            letsencrypt_certificates=[wildcard, host_itself],
        )

    runs = [run("refused", ZONE_KEY.swapcase()), run("wild", ZONE_KEY), run("wild", ZONE_KEY)]
    shown = "openssl x509 -noout -ext subjectAltName -in /etc/letsencrypt/live/wild/cert.pem"
    names = {name: names_of(container(name).run(shown).stdout) for name in HOSTS}
    return Wild(*runs, names, {name: container(name).run(f"{RENEW} --cert-name wild").rc for name in HOSTS})


@pytest.fixture(scope="module")
def forbidden(container: Callable[[str], Any], converge_with: Callable[..., Any]) -> dict[str, str]:
    """What a run says of a name whose CAA record is for another authority."""
    services = container("services")
    services.check_output(CAA.replace("AUTHORITY", AUTHORITY))
    policy = '{"host": "%s.test.", "policies": [{"tag": "issue", "value": "other.example"}]}'
    for name in HOSTS:
        services.check_output("curl -fsS -d %s http://127.0.0.1:8055/add-caa", policy % name)
    run = converge_with(
        letsencrypt_directory_url="https://services:14002/dir",
        letsencrypt_certificates=[{"name": "forbidden", "domains": domains("more.shop")}],
    )
    for name in HOSTS:
        services.check_output("curl -fsS -d %s http://127.0.0.1:8055/clear-caa", policy % name)
    return dict(run.messages)


@pytest.fixture(scope="module")
def wrong_url(converge_with: Callable[..., Any]) -> dict[str, str]:
    return dict(converge_with(letsencrypt_directory_url="https://services:14000/nothing").messages)


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


def test_the_key_is_an_ecdsa_one(name: str, served: Callable[..., str]) -> None:
    assert "prime256v1" in served(name, "shop", "-text")


def test_the_packaged_timer_renews_and_what_is_served_changes(
    name: str, machine: Any, served: Callable[..., str]
) -> None:
    timer = machine.service("certbot.timer")
    assert timer.is_running and timer.is_enabled
    before = served(name)
    # What the timer starts has to find the CA and to run the hook.
    assert renewal_when_due(machine).rc == 0
    time.sleep(1)
    assert served(name) != before


def test_the_hook_tells_of_a_configuration_that_nginx_refuses(machine: Any) -> None:
    machine.check_output("echo 'nonsense on;' > /etc/nginx/conf.d/zz.conf")
    try:
        hook = machine.run("/etc/letsencrypt/renewal-hooks/deploy/quayside-nginx")
    finally:
        machine.check_output("rm /etc/nginx/conf.d/zz.conf")
    assert hook.rc != 0
    assert "nonsense" in hook.stderr
    assert machine.service("nginx").is_running


def test_a_wrong_directory_url_is_told_in_one_sentence(name: str, wrong_url: dict[str, str]) -> None:
    told = wrong_url[name]
    assert told.startswith("Certificate 'shop' (")
    assert "could not be reissued by https://services" in told and "check the directory URL" in told
    assert "\n" not in told


def test_a_forced_renewal_is_served(name: str, machine: Any, served: Callable[..., str]) -> None:
    before = served(name)
    machine.check_output(f"{RENEW} --cert-name shop")
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
    hook = "/etc/letsencrypt/renewal-hooks/deploy/quayside-nginx"
    machine.check_output(f"chmod -x {hook}")
    try:
        machine.check_output(f"{RENEW} --cert-name limited")
        watched = machine.run("systemctl start quayside-certificates.service")
        said = machine.check_output("journalctl -u quayside-certificates --no-pager -n 30")
    finally:
        machine.check_output(f"chmod +x {hook}; systemctl reload nginx")
    assert watched.rc != 0
    assert f"limited.{name}.test (certificate 'limited'): serial " in said
    assert "reload nginx" in said


def test_an_authority_that_is_down_leaves_what_is_served(name: str, machine: Any, served: Callable[..., str]) -> None:
    before = served(name)
    machine.check_output("cp /etc/hosts /root/hosts; echo 127.0.0.9 services >> /etc/hosts")
    try:
        renewal = renewal_when_due(machine)
    finally:
        machine.check_output("cat /root/hosts > /etc/hosts")
    assert renewal.rc != 0, "nobody would be told"
    assert served(name) == before


def test_names_that_cannot_be_proved_are_told_one_by_one(name: str, refused: dict[str, list[str]]) -> None:
    told, asked = refused[name]
    assert told.startswith("Certificate 'stray' was not asked for: astray.test: DNS says 172.30.13.99, where port 80 ")
    assert f"this host has 172.30.13.{name[-2:]}" in told
    assert f"shop.{name}.test: " not in told
    assert "\n" not in told
    assert "stray" not in asked, "the authority was asked"


def test_a_record_for_another_authority_is_told(name: str, forbidden: dict[str, str]) -> None:
    told = f"more.shop.{name}.test: CAA lets other.example issue certificates, and this ACME server is {AUTHORITY}; "
    assert forbidden[name].startswith(f"Certificate 'forbidden' was not asked for: {told}")


def test_a_wildcard_is_proved_over_dns(name: str, wild: Wild) -> None:
    assert wild.issued.failed == []
    assert wild.names[name] == {f"*.{name}.wild.test"}
    assert (wild.again.failed, wild.again.changed) == ([], [])
    assert wild.renewed[name] == 0


def test_a_zones_key_is_kept_to_itself(name: str, machine: Any, wild: Wild) -> None:
    kept = machine.file("/etc/letsencrypt/quayside-dns/rfc2136.ini")
    assert (kept.user, kept.mode) == ("root", 0o600)
    assert ZONE_KEY in kept.content_string
    told = wild.refused.messages[name]
    assert told.startswith(
        f"Certificate 'refused' (*.{name}.wild.test) could not be issued by https://services:14001/dir: "
    )
    assert "check that the credentials of rfc2136 may change the zone" in told
    assert not wild.show(ZONE_KEY)
    assert not machine.file("/etc/letsencrypt/live/refused").exists


def test_an_authority_that_asks_for_an_account_and_refuses_nonces(name: str, fussy: Fussy) -> None:
    assert fussy.issued.failed == []
    assert "rsaEncryption" in fussy.texts[name]
    assert (fussy.again.failed, fussy.again.changed) == ([], [])
    assert fussy.refused_nonces > 0


def test_a_wrong_account_is_told_and_its_key_is_not_shown(name: str, fussy: Fussy) -> None:
    told = fussy.refused.messages[name]
    assert told.startswith(
        f"Certificate 'extra' (more.shop.{name}.test) could not be issued by https://services:{FUSSY_PORT}/dir: "
    )
    assert "give the eab that the certificate authority handed out" in told
    assert not fussy.show(EAB_KEY)


def test_another_authority_reissues(name: str, fussy: Fussy, given_up: GivenUp) -> None:
    def issuer(text: str) -> str:
        return text.splitlines()[0]

    assert issuer(given_up.texts[name]) != issuer(fussy.texts[name])
    assert "id-ecPublicKey" in given_up.texts[name]


def test_a_refusal_is_not_repeated_within_an_hour(name: str, failed_twice: dict[str, list[str]]) -> None:
    first, second, third = failed_twice[name]
    refusal = r"Certificate '(no-\d+)' \(\1\.test\) could not be issued by https://services:14000/dir: \1\.test: "
    assert re.match(refusal, first)
    assert re.match(r"Certificate 'no-\d+' was refused \d minutes ago and is not asked for again for \d\d, ", second)
    assert re.match(refusal, third)


def test_what_is_no_longer_declared_goes_where_that_is_asked_for(name: str, machine: Any, given_up: GivenUp) -> None:
    assert any("Issue the certificates" in entry for entry in given_up.changed[name])
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
