# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Certificates that no ACME server issues: what is wrong with one that was brought, and when one is due. No I/O."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: A certificate that is signed by the host itself is made anew this long before its end.
RENEW_BEFORE = 30 * 86400


@dataclass(frozen=True)
class Facts:
    """What openssl says of a certificate and of a key: the names, the end, and the public key of each."""

    domains: frozenset[str]
    not_after: float
    public_key: str
    key_public: str


def facts_of(x509: str, key_public: str) -> Facts | None:
    """Read `openssl x509 -noout -ext subjectAltName -enddate -pubkey`; None where it is no certificate."""
    end = re.search(r"^notAfter=(.+)$", x509, re.MULTILINE)
    public = re.search(r"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", x509, re.DOTALL)
    if not end or not public:
        return None
    domains = frozenset(domain.lower() for domain in re.findall(r"DNS:([^,\s]+)", x509))
    return Facts(domains, float(ssl.cert_time_to_seconds(end[1].strip())), public[0].strip(), key_public.strip())


def covered(domain: str, names: Iterable[str]) -> bool:
    """Whether one of a certificate's names is for a domain; a wildcard is for one label."""
    return any(name in (domain, f"*.{domain.partition('.')[2]}") for name in names)


def fault_of(name: str, domains: Sequence[str], facts: Facts | None, now: float) -> str | None:
    """Say in one sentence why a certificate that was brought can't be served, or None."""
    label = f"Certificate '{name}'"
    if facts is None:
        return f"{label}: its file is no certificate in PEM; give the certificate followed by its chain."
    if not facts.key_public:
        return f"{label}: its key's file is no private key in PEM without a passphrase; give that of the certificate."
    if facts.public_key != facts.key_public:
        return f"{label}: its key belongs to another certificate; give the two that were issued together."
    missing = [domain for domain in domains if not covered(domain, facts.domains)]
    if missing:
        return f"{label} is for {', '.join(sorted(facts.domains))} and not for {', '.join(missing)}; bring one for all."
    if facts.not_after <= now:
        return f"{label} ended {int((now - facts.not_after) / 86400)} days ago; bring a newer one."
    return None


def is_due(domains: Sequence[str], facts: Facts | None, now: float) -> bool:
    """Whether a certificate that the host signs itself is to be made, or made anew."""
    if facts is None or facts.public_key != facts.key_public:
        return True
    return facts.domains != frozenset(domains) or facts.not_after - now < RENEW_BEFORE
