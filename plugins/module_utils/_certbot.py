# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which certificates certbot has to issue, reissue or give up, and why. No I/O."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ._certbot_wanted import Certificate

LETS_ENCRYPT = {
    "production": "https://acme-v02.api.letsencrypt.org/directory",
    "staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
#: From which version of certbot on a profile can be asked for.
PROFILES_SINCE = (4, 0)
_CURVE = ("--elliptic-curve", "secp256r1")


@dataclass(frozen=True)
class Source:
    """Where certificates come from, and how the server proves that the names are its own."""

    directory_url: str
    webroot: str
    email: str = ""
    key_type: str = "ecdsa"
    profile: str = ""
    #: The external account, its key included: another one may be let in where this one was refused.
    account: str = field(default="", repr=False)
    #: Configuration of certbot with what must stand in no argument list.
    secrets_file: str = ""
    #: The credentials file of each DNS plugin, and its seconds of propagation.
    dns: Mapping[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Lineage:
    """What certbot has under a name; `domains` is None where its certificate can't be read."""

    domains: frozenset[str] | None
    not_after: float | None
    server: str
    authenticator: str
    webroots: frozenset[str]
    key_type: str = "ecdsa"
    profile: str = ""
    #: The account that renews it, by certbot's own id, and whether certbot still has it.
    account: str = ""
    account_lost: bool = False


@dataclass(frozen=True)
class Step:
    """One call of certbot, and the reasons for it."""

    certificate: Certificate
    action: str
    reasons: tuple[str, ...]

    def argv(self, source: Source) -> list[str]:
        """The arguments of certbot."""
        contact = ["--email", source.email, "--no-eff-email"] if source.email else ["--register-unsafely-without-email"]
        names = [argument for domain in self.certificate.domains for argument in ("-d", domain)]
        return [
            *("certonly", "--non-interactive", "--agree-tos", "--server", source.directory_url, *contact),
            *self._proof(source),
            *("--cert-name", self.certificate.name, *names, "--renew-with-new-domains"),
            *(["--key-type", "rsa"] if source.key_type == "rsa" else ["--key-type", "ecdsa", *_CURVE]),
            *(["--preferred-profile", source.profile] if source.profile else []),
            *(["--config", source.secrets_file] if source.secrets_file else []),
            *(["--force-renewal"] if self.action == "reissue" else []),
        ]

    def _proof(self, source: Source) -> list[str]:
        plugin = self.certificate.dns
        if not plugin:
            return ["--webroot", "--webroot-path", source.webroot]
        credentials, seconds = source.dns[plugin]
        waiting = [f"--dns-{plugin}-propagation-seconds", str(seconds)]
        return ["--authenticator", f"dns-{plugin}", f"--dns-{plugin}-credentials", credentials, *waiting]


def make_plan(
    certificates: Iterable[Certificate], lineages: Mapping[str, Lineage], source: Source, now: float
) -> tuple[Step, ...]:
    """One step for each certificate that is missing or differs from what is wanted; renewal is the timer's job."""
    steps = []
    for certificate in certificates:
        lineage = lineages.get(certificate.name)
        if lineage is None or lineage.domains is None:
            steps.append(Step(certificate, "issue", ("there is none",)))
            continue
        reasons = tuple(_differences(certificate, lineage, source, now))
        if reasons:
            steps.append(Step(certificate, "reissue", reasons))
    return tuple(steps)


def _differences(certificate: Certificate, lineage: Lineage, source: Source, now: float) -> Iterable[str]:
    names, wanted = lineage.domains or frozenset(), frozenset(certificate.domains)
    if names != wanted:
        added, removed = sorted(wanted - names), sorted(names - wanted)
        changes = [f"{verb} {', '.join(found)}" for verb, found in (("adds", added), ("drops", removed)) if found]
        yield " and ".join(changes)
    if lineage.server != source.directory_url:
        yield f"comes from {lineage.server}"
    authenticator = f"dns-{certificate.dns}" if certificate.dns else "webroot"
    if lineage.key_type != source.key_type:
        yield f"has a key of type {lineage.key_type}"
    if lineage.profile != source.profile:
        yield f"has the profile {lineage.profile or '(none)'}"
    if lineage.authenticator != authenticator:
        yield f"is renewed by {lineage.authenticator or 'nothing'}"
    elif not certificate.dns and lineage.webroots != {source.webroot}:
        yield f"is renewed below {', '.join(sorted(lineage.webroots)) or 'nothing'}"
    if lineage.account_lost:
        yield "has lost the account that renews it"
    if lineage.not_after is not None and lineage.not_after <= now:
        yield "has expired"


def parse_lineage(renewal: str, x509: str) -> Lineage:
    """Read certbot's renewal/<name>.conf and `openssl x509 -noout -ext subjectAltName -enddate`."""
    head, _separator, webroot_map = renewal.partition("[[webroot_map]]")
    values = dict(re.findall(r"^(\w+)[ \t]*=[ \t]*(.*?)[ \t]*$", head, re.MULTILINE))
    mapped = re.findall(r"^\S+\s*=\s*(.*?)\s*$", webroot_map, re.MULTILINE)
    listed = [path.strip() for path in values.get("webroot_path", "").split(",") if path.strip()]
    domains = frozenset(domain.lower() for domain in re.findall(r"DNS:([^,\s]+)", x509))
    end = re.search(r"^notAfter=(.+)$", x509, re.MULTILINE)
    return Lineage(
        domains=domains or None,
        not_after=float(ssl.cert_time_to_seconds(end.group(1).strip())) if end else None,
        server=values.get("server", ""),
        authenticator=values.get("authenticator", ""),
        webroots=frozenset(mapped or listed),
        account=values.get("account", ""),
        key_type=values.get("key_type", "rsa"),
        profile=values.get("preferred_profile", "").replace("None", ""),
    )


def describe(certificates: Iterable[Certificate], lineages: Mapping[str, Lineage], source: Source) -> dict[str, str]:
    """What there is and what is wanted, as a diff."""
    before, after = [], []
    for certificate in certificates:
        lineage = lineages.get(certificate.name)
        if lineage is not None and lineage.domains:
            before.append(f"{certificate.name}: {' '.join(sorted(lineage.domains))} ({lineage.server})")
        after.append(f"{certificate.name}: {' '.join(sorted(certificate.domains))} ({source.directory_url})")
    return {"before": "".join(f"{line}\n" for line in before), "after": "".join(f"{line}\n" for line in after)}
