# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Whether the certificate that clients are served is the one on the disk, and for how long it is good.

The host runs this file by itself, from a timer: it needs Python and openssl, and imports nothing of the collection.
"""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Certbot renews with a third of the lifetime left. Less than this share means that it failed for days; of certificates
#: that live for a year it would be a quarter of that, and such are renewed by hand.
ALARM_SHARE, ALARM_DAYS = 0.2, 21
TIMEOUT = 10
#: What openssl calls the ways in which a chain does not end at a known authority. Only 21 is the server's own fault.
CHAINS = {0: "ok", 18: "self-signed", 19: "private authority", 20: "private authority", 21: "incomplete"}


@dataclass(frozen=True)
class Certificate:
    """One certificate: its serial number, and from when to when it is good."""

    serial: str
    not_before: float
    not_after: float


@dataclass(frozen=True)
class Served:
    """What a client gets for a domain: None where there is no certificate."""

    certificate: Certificate | None
    chain: str = ""


@dataclass(frozen=True)
class Finding:
    """One domain of one certificate, judged."""

    name: str
    domain: str
    serial: str
    days_left: float
    matches: bool
    chain: str
    problem: str


def parse_x509(text: str) -> Certificate | None:
    """Read `openssl x509 -noout -serial -startdate -enddate`."""
    values = dict(re.findall(r"^(serial|notBefore|notAfter)=(.+)$", text, re.MULTILINE))
    if len(values) < 3:
        return None
    begin, end = (float(ssl.cert_time_to_seconds(values[key].strip())) for key in ("notBefore", "notAfter"))
    return Certificate(values["serial"].strip(), begin, end)


def parse_chain(text: str) -> str:
    """Read what `openssl s_client` says of the chain."""
    codes = re.findall(r"Verify return code: (\d+) \(([^)]*)\)", text)
    return CHAINS.get(int(codes[0][0]), codes[0][1]) if codes else ""


def judge(name: str, domain: str, kept: Certificate | None, served: Served, now: float) -> Finding:
    """Compare what is served with what is kept, and say in one sentence what is wrong, if anything is."""
    label, found = f"{domain} (certificate '{name}')", served.certificate
    if found is None:
        return Finding(name, domain, "", 0.0, False, "", f"{label}: port 443 serves no certificate for it.")
    left = (found.not_after - now) / 86400
    lifetime = (found.not_after - found.not_before) / 86400
    matches = kept is not None and kept.serial == found.serial
    problem = ""
    if left <= 0:
        problem = f"{label}: the certificate that is served ended {-left:.0f} days ago."
    elif not matches:
        told = f"serial {kept.serial}" if kept else "no readable certificate"
        problem = f"{label}: serial {found.serial} is served and the disk has {told}; reload nginx."
    elif left < min(lifetime * ALARM_SHARE, ALARM_DAYS):
        problem = (
            f"{label}: {left:.0f} of {lifetime:.0f} days are left and it was not renewed; where certbot does that, see "
            "its log."
        )
    elif served.chain == "incomplete":
        problem = f"{label}: it is served without the certificates between it and its authority."
    return Finding(name, domain, found.serial, round(left, 2), matches, served.chain, problem)


def metrics(findings: Sequence[Finding], now: float) -> str:
    """The findings as Prometheus' node exporter reads them."""
    rows = (
        ("quayside_certificate_days_left", "Days until the served certificate ends.", lambda f: f.days_left),
        ("quayside_certificate_matches", "Whether the one on the disk is served.", lambda f: int(f.matches)),
        ("quayside_certificate_good", "Whether nothing is wrong with it.", lambda f: int(not f.problem)),
    )
    lines = []
    for metric, meaning, value in rows:
        lines += [f"# HELP {metric} {meaning}", f"# TYPE {metric} gauge"]
        lines += [f'{metric}{{certificate="{f.name}",domain="{f.domain}"}} {value(f)}' for f in findings]
    stamp = "quayside_certificates_checked_timestamp_seconds"
    lines += [f"# HELP {stamp} When the certificates were looked at.", f"# TYPE {stamp} gauge", f"{stamp} {now:.0f}"]
    return "\n".join(lines) + "\n"


def _openssl(arguments: list[str], text: str = "") -> str:
    command = ["openssl", *arguments]
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, timeout=TIMEOUT, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


def _x509(pem: str) -> Certificate | None:
    return parse_x509(_openssl(["x509", "-noout", "-serial", "-startdate", "-enddate"], pem))


def _chain(said: str) -> str:
    """Only who names the place of its issuer's certificate has one; a private root may sign without any in between."""
    chain = parse_chain(said)
    if chain == "incomplete" and "CA Issuers" not in _openssl(["x509", "-noout", "-text"], said):
        return "private authority"
    return chain


def look(certificates: Iterable[Mapping[str, Any]], address: str, port: int, now: float) -> list[Finding]:
    """Ask for each domain of each certificate as a client would, but of this host."""
    findings = []
    for item in certificates:
        path = Path(item["path"])
        kept = _x509(path.read_text(encoding="ascii", errors="replace")) if path.exists() else None
        for domain in item["domains"]:
            if domain.startswith("*."):
                continue
            said = _openssl(["s_client", "-connect", f"{address}:{port}", "-servername", domain])
            served = Served(_x509(said) if "BEGIN CERTIFICATE" in said else None, _chain(said))
            findings.append(judge(item["name"], domain, kept, served, now))
    return findings


def write_metrics(folder: str, findings: Sequence[Finding], now: float) -> None:
    path = Path(folder) / "quayside_certificates.prom"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(metrics(findings, now), encoding="ascii")
    temporary.chmod(0o644)
    temporary.replace(path)


def main(arguments: Sequence[str]) -> int:
    """Look at the certificates of a settings file; 1 where something is wrong with one."""
    settings = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    now = time.time()
    findings = look(settings["certificates"], "127.0.0.1", settings["port"], now)
    if settings["metrics"] and Path(settings["metrics"]).is_dir():
        write_metrics(settings["metrics"], findings, now)
    for finding in findings:
        sys.stderr.write(f"{finding.problem or f'{finding.domain}: {finding.days_left:.0f} days left'}\n")
    return int(any(finding.problem for finding in findings))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
