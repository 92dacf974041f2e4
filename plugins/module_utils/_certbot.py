# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which certificates certbot has to issue or reissue, why, and what it said when it could not. No I/O."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
DOMAIN = re.compile(r"^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")

BOILERPLATE = (
    "Saving debug log",
    "Ask for help",
    "Some challenges have failed",
    "An unexpected error occurred",
    "Hint:",
)


class CertificateError(ValueError):
    """A certificate that can't be asked for, told in one sentence."""


@dataclass(frozen=True)
class Certificate:
    """What is wanted: certbot's name of the certificate, and the names it is for."""

    name: str
    domains: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """Where certificates come from, and how the server proves that the names are its own."""

    directory_url: str
    webroot: str
    email: str = ""


@dataclass(frozen=True)
class Lineage:
    """What certbot has under a name; `domains` is None where its certificate can't be read."""

    domains: frozenset[str] | None
    not_after: float | None
    server: str
    authenticator: str
    webroots: frozenset[str]


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
            *("--webroot", "--webroot-path", source.webroot, "--cert-name", self.certificate.name, *names),
            *("--key-type", "ecdsa", "--elliptic-curve", "secp256r1", "--renew-with-new-domains"),
            *(["--force-renewal"] if self.action == "reissue" else []),
        ]


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
        for domain in domains:
            if domain.startswith("*."):
                raise CertificateError(
                    f"Certificate '{name}': '{domain}' is a wildcard, which the webroot challenge can't prove; "
                    "list its names one by one."
                )
            if not DOMAIN.match(domain):
                raise CertificateError(
                    f"Certificate '{name}': '{domain}' is not a domain name such as www.example.org "
                    "(write an internationalised name in its xn-- form)."
                )
        seen.add(name)
        parsed.append(Certificate(name=name, domains=domains))
    return tuple(parsed)


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
    if lineage.authenticator != "webroot":
        yield f"is renewed by {lineage.authenticator or 'nothing'}"
    elif lineage.webroots != {source.webroot}:
        yield f"is renewed below {', '.join(sorted(lineage.webroots)) or 'nothing'}"
    if lineage.not_after is not None and lineage.not_after <= now:
        yield "has expired"


def parse_lineage(renewal: str, x509: str) -> Lineage:
    """Read certbot's renewal/<name>.conf and `openssl x509 -noout -ext subjectAltName -enddate`."""
    head, _separator, webroot_map = renewal.partition("[[webroot_map]]")
    values = dict(re.findall(r"^(\w+)\s*=\s*(.*?)\s*$", head, re.MULTILINE))
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


def explain_failure(step: Step, source: Source, said: str) -> str:
    """One sentence: the certificate, its names, what was answered, what to do."""
    problems = re.findall(r"Domain:\s*(\S+)\s+Type:\s*(\S+)\s+Detail:\s*(.+?)\s*$", said, re.MULTILINE)
    answer = "; ".join(f"{domain}: {kind}: {detail}" for domain, kind, detail in problems) or _last_word(said)
    names = ", ".join(step.certificate.domains)
    fix = _fix(source, said, bool(problems))
    return (
        f"Certificate '{step.certificate.name}' ({names}) could not be {step.action}d by {source.directory_url}: "
        f"{answer.rstrip('.')}; {fix}."
    )


def _last_word(said: str) -> str:
    _before, _separator, after = said.rpartition("An unexpected error occurred:")
    lines = [line.strip() for line in (after or said).splitlines()]
    told = [" ".join(line.split()) for line in lines if line and not line.startswith(BOILERPLATE)]
    if not told:
        return "certbot gave no reason"
    # Of what the HTTP library wraps around the cause, only the cause is of use.
    cause = re.search(r"\(Caused by .*(?:object at \w+>: |\d, ['\"])(.+?)['\"]\)+$", told[0])
    return cause.group(1) if cause else re.sub(r"^[\w.]+(?:Error|Exception): ", "", told[0])


def _fix(source: Source, said: str, is_about_names: bool) -> str:
    if is_about_names:
        return (
            "make these names resolve to this host and their port 80 reach it, where "
            f"/.well-known/acme-challenge/ must be served from {source.webroot}"
        )
    if "Another instance of Certbot" in said:
        return "wait until that one has finished and run again"
    if re.search(r"CERTIFICATE_VERIFY_FAILED|certificate verify failed", said):
        return "name the CA that signed that server's own certificate as the CA file"
    if re.search(r"rateLimited|too many", said, re.IGNORECASE):
        return "wait as long as it says, and try with the staging directory URL meanwhile"
    if re.search(r"ConnectionError|Connection refused|Max retries|Timeout|NameResolution", said):
        return "check the directory URL and that this host reaches it"
    return "check the directory URL, and see /var/log/letsencrypt/letsencrypt.log on the host"
