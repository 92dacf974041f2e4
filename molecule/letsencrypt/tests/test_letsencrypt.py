# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors

"""Certificates from a real ACME server, told by what a client is served."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

testinfra_hosts = ["ansible://web"]

SCENARIO = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
HOSTS = ("debian12", "debian13")
LIVE = "/etc/letsencrypt/live/shop"


def with_names(*names: str) -> dict[str, Any]:
    domains = [f"{name}{{{{ inventory_hostname }}}}.test" for name in names]
    return {"letsencrypt_certificates": [{"name": "shop", "domains": domains}]}


def name_of(host: Any) -> str:
    return str(host.check_output("hostname"))


def names_in(host: Any, argument: str) -> set[str]:
    text = host.check_output(f"{argument} | openssl x509 -noout -ext subjectAltName")
    return set(re.findall(r"DNS:([^,\s]+)", text))


SERVED = "openssl s_client -connect localhost:443 </dev/null 2>/dev/null"


def served_serial(host: Any) -> str:
    return str(host.check_output(f"{SERVED} | openssl x509 -noout -serial"))


@pytest.fixture(scope="module", autouse=True)
def serving(container: Callable[[str], Any]) -> None:
    """The hosts' nginx serves the certificate, as it will when the role has issued it."""
    tls = (SCENARIO / "files" / "tls.conf").read_text()
    for name in HOSTS:
        container(name).check_output("printf %%s %s > /etc/nginx/conf.d/tls.conf && systemctl reload nginx", tls)
    time.sleep(1)


@pytest.fixture(scope="module")
def served_with_more(container: Callable[[str], Any], converge_with: Callable[..., Any]) -> dict[str, set[str]]:
    """The names that the hosts served while they had one more; it is taken away again."""
    assert converge_with(**with_names("", "www.", "more.")).failed == []
    time.sleep(1)
    served = {name: names_in(container(name), SERVED) for name in HOSTS}
    assert converge_with(**with_names("", "www.")).failed == []
    time.sleep(1)
    return served


@pytest.fixture(scope="module")
def wrong_url(converge_with: Callable[..., Any]) -> dict[str, str]:
    return dict(converge_with(letsencrypt_directory_url="https://services:14000/nothing").messages)


@pytest.fixture(scope="module")
def wrong_name(converge_with: Callable[..., Any]) -> dict[str, str]:
    stray = {"name": "stray", "domains": ["stray.{{ inventory_hostname }}.test"]}
    return dict(converge_with(letsencrypt_certificates=[stray]).messages)


def test_the_certificate_is_for_the_names_and_ecdsa(host: Any) -> None:
    name = name_of(host)
    assert names_in(host, f"cat {LIVE}/cert.pem") == {f"{name}.test", f"www.{name}.test"}
    assert "prime256v1" in host.check_output(f"openssl x509 -noout -text -in {LIVE}/cert.pem")


def test_the_timer_renews(host: Any) -> None:
    timer = host.service("certbot.timer")
    assert timer.is_running
    assert timer.is_enabled


def test_a_renewal_by_the_packaged_service_changes_what_is_served(host: Any) -> None:
    before = served_serial(host)
    # Due at once: what certbot.timer starts has to find the CA and to run the hook.
    renewal = "/etc/letsencrypt/renewal/shop.conf"
    host.check_output(f"cp {renewal} /root/shop.conf && sed -i '1i renew_before_expiry = 300 days' {renewal}")
    try:
        host.check_output("systemctl start certbot.service")
    finally:
        host.check_output("sed -i '/^renew_before_expiry = 300 days/d' " + renewal)
    host.check_output("sleep 1")
    assert served_serial(host) != before


def test_a_forced_renewal_runs_the_hook(host: Any) -> None:
    before = served_serial(host)
    ca = "REQUESTS_CA_BUNDLE=/etc/letsencrypt/quayside-ca.pem"
    host.check_output(f"{ca} certbot renew --force-renewal --no-random-sleep-on-renew")
    host.check_output("sleep 1")
    assert served_serial(host) != before


def test_the_hook_tells_of_a_configuration_that_nginx_refuses(host: Any) -> None:
    host.check_output("echo 'nonsense on;' > /etc/nginx/conf.d/zz.conf")
    try:
        hook = host.run("/etc/letsencrypt/renewal-hooks/deploy/quayside-nginx")
    finally:
        host.check_output("rm /etc/nginx/conf.d/zz.conf")
    assert hook.rc != 0
    assert "nonsense" in hook.stderr
    assert host.service("nginx").is_running


def test_added_and_dropped_names_are_served(host: Any, served_with_more: dict[str, set[str]]) -> None:
    name = name_of(host)
    assert served_with_more[name] == {f"{name}.test", f"www.{name}.test", f"more.{name}.test"}
    assert names_in(host, SERVED) == {f"{name}.test", f"www.{name}.test"}


def test_a_wrong_directory_url_is_told_in_one_sentence(host: Any, wrong_url: dict[str, str]) -> None:
    name = name_of(host)
    told = wrong_url[name]
    assert told.startswith(
        f"Certificate 'shop' ({name}.test, www.{name}.test) could not be reissued by https://services"
    )
    assert "check the directory URL" in told
    assert "\n" not in told


def test_a_name_that_leads_elsewhere_is_told_in_one_sentence(host: Any, wrong_name: dict[str, str]) -> None:
    name = name_of(host)
    told = wrong_name[name]
    assert told.startswith(
        f"Certificate 'stray' (stray.{name}.test) could not be issued by https://services:14000/dir: "
    )
    assert f"stray.{name}.test: " in told
    assert "port 80" in told
