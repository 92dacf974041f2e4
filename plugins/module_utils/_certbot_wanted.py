# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The list of certificates that people write: what is accepted, and one sentence for what is not. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
DOMAIN = re.compile(r"^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")
#: The plugins of certbot that Debian and Ubuntu package, as far as they take their credentials from a file.
DNS_PLUGINS = (
    *("cloudflare", "desec", "digitalocean", "dnsimple", "gandi", "gehirn", "google", "infomaniak", "linode"),
    *("ovh", "rfc2136", "sakuracloud"),
)


class CertificateError(ValueError):
    """A certificate that can't be asked for, told in one sentence."""


@dataclass(frozen=True)
class Certificate:
    """What is wanted: certbot's name of the certificate, the names it is for, and how they are proved."""

    name: str
    domains: tuple[str, ...]
    #: The plugin that proves the names over DNS; over HTTP if empty.
    dns: str = ""


def parse_certificates(certificates: Iterable[Mapping[str, Any]]) -> tuple[Certificate, ...]:
    """Check what the user wrote."""
    seen: set[str] = set()
    parsed = []
    for item in certificates:
        name = str(item["name"])
        domains = tuple(dict.fromkeys(str(domain).lower().rstrip(".") for domain in item["domains"]))
        if not NAME.match(name):
            raise CertificateError(
                f"Certificate '{name}': a name is made of letters, digits, dots, dashes and underscores."
            )
        if name in seen:
            raise CertificateError(f"Certificate '{name}' is listed twice; give each certificate a name of its own.")
        if not domains:
            raise CertificateError(f"Certificate '{name}' has no domains; list at least one.")
        dns = str(item.get("dns") or "")
        if dns and dns not in DNS_PLUGINS:
            raise CertificateError(f"Certificate '{name}': dns is '{dns}'; accepted: {', '.join(DNS_PLUGINS)}.")
        for domain in domains:
            if domain.startswith("*.") and not dns:
                raise CertificateError(
                    f"Certificate '{name}': '{domain}' is a wildcard, which the webroot challenge can't prove; "
                    "list its names one by one, or prove them over DNS by the key dns."
                )
            if not DOMAIN.match(domain.removeprefix("*.")):
                raise CertificateError(
                    f"Certificate '{name}': '{domain}' is not a domain name such as www.example.org "
                    "(write an internationalised name in its xn-- form)."
                )
        seen.add(name)
        parsed.append(Certificate(name=name, domains=domains, dns=dns))
    return tuple(parsed)


def check_dns(certificates: Iterable[Certificate], dns: Mapping[str, Any]) -> None:
    """Check the settings of certbot's DNS plugins: by plugin, `credentials` and as wanted `propagation` (seconds).

    Raises:
        CertificateError: a plugin is unknown, has none that certbot can read, or has none and a certificate names it.
    """
    for plugin, entry in dns.items():
        if plugin not in DNS_PLUGINS:
            raise CertificateError(f"letsencrypt_dns: '{plugin}' is unknown; accepted: {', '.join(DNS_PLUGINS)}.")
        if not isinstance(entry, Mapping) or not isinstance(entry.get("credentials"), Mapping):
            raise CertificateError(f"letsencrypt_dns: {plugin} has no credentials; give them as a dictionary.")
        for key, value in entry["credentials"].items():
            if plugin != "google" and not re.fullmatch(r"[^\0-\x1f]+", f"{key}{value}"):
                raise CertificateError(f"letsencrypt_dns: {plugin}: the credential {key} is not on one line.")
        if not str(entry.get("propagation", 60)).isdigit():
            raise CertificateError(
                f"letsencrypt_dns: {plugin}: propagation is '{entry['propagation']}'; accepted: seconds, as in 60."
            )
    for certificate in certificates:
        if certificate.dns and certificate.dns not in dns:
            raise CertificateError(
                f"Certificate '{certificate.name}' is proved by {certificate.dns}, which letsencrypt_dns gives no "
                "credentials for; add them there."
            )
