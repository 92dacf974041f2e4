# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What certbot said when it could not, as one sentence. No I/O."""

from __future__ import annotations

import re

from ._certbot import Source, Step

BOILERPLATE = (
    "Saving debug log",
    "Ask for help",
    "Some challenges have failed",
    "An unexpected error occurred",
    "Hint:",
    "Account registered",
    "Requesting a certificate",
    "Renewing an existing certificate",
    "Waiting ",
    "Encountered exception during recovery",
)


_FIXES = (
    (r"Another instance of Certbot", "wait until that one has finished and run again"),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed",
        "name the CA that signed that server's own certificate as the CA file",
    ),
    (r"rateLimited|too many", "wait as long as it says, and try with the staging directory URL meanwhile"),
    (
        r"ConnectionError|Connection refused|Max retries|Timeout|NameResolution",
        "check the directory URL and that this host reaches it",
    ),
    (r"externalAccountRequired|external account", "give the eab that the certificate authority handed out"),
)
_LAST_FIX = "check the directory URL, and see /var/log/letsencrypt/letsencrypt.log on the host"


#: certbot 2.1 of Debian 12 fails again while it ends with an answer of the ACME server, and says only this.
_MASK = "AttributeError: can't set attribute"


def unmask(said: str, log: str) -> str:
    """What certbot said, or the ACME server's answer from its log where another error stands before it.

    Source: https://github.com/certbot/certbot/issues/9539
    """
    answers = re.findall(r"^acme\.messages\.Error: (.+)$", log, re.MULTILINE)
    return f"An unexpected error occurred:\n{answers[-1]}" if _MASK in said and answers else said


def refused_names(said: str) -> list[tuple[str, str, str]]:
    """The names that the ACME server could not prove: each with the type of the problem, and its detail."""
    return re.findall(r"Domain:\s*(\S+)\s+Type:\s*(\S+)\s+Detail:\s*(.+?)\s*$", said, re.MULTILINE)


def explain_failure(step: Step, source: Source, said: str) -> str:
    """One sentence: the certificate, its names, what was answered, what to do."""
    problems = refused_names(said)
    answer = "; ".join(f"{domain}: {kind}: {detail}" for domain, kind, detail in problems) or _last_word(said)
    names = ", ".join(step.certificate.domains)
    fix = _fix(step, source, said, bool(problems))
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


def _fix(step: Step, source: Source, said: str, is_about_names: bool) -> str:
    last = _LAST_FIX
    if step.certificate.dns:
        last = (
            f"check that the credentials of {step.certificate.dns} may change the zone, or raise its propagation time"
        )
    elif is_about_names:
        return (
            "make these names resolve to this host and their port 80 reach it, where "
            f"/.well-known/acme-challenge/ must be served from {source.webroot}"
        )
    return next((fix for pattern, fix in _FIXES if re.search(pattern, said, re.IGNORECASE)), last)


def is_about_a_nonce(said: str) -> bool:
    """Whether the ACME server refused nothing but a request's nonce, and wants it with a new one.

    Source: https://www.rfc-editor.org/rfc/rfc8555#section-6.5
    """
    return not refused_names(said) and re.search(r"error:badNonce|anti-replay nonce", said) is not None


def is_about_the_server(said: str) -> bool:
    """Whether nothing was asked of the ACME server yet, so that its limits don't count it."""
    pattern = (
        r"Another instance of Certbot|certificate verify failed|CERTIFICATE_VERIFY_FAILED"
        r"|ConnectionError|Connection refused|Max retries|NameResolution|PluginError"
    )
    # A name that could not be proved may be told in the same words.
    return not refused_names(said) and re.search(pattern, said) is not None
