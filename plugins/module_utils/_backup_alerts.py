# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Whom a backup tells how it went: a ping URL, a webhook, and mail through the host's own MTA."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from email.message import EmailMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from ._backup_checks import check_keys
from ._pg_repository import BackupError

SENDMAIL = "/usr/sbin/sendmail"
TIMEOUT = 10
TRIES = 2
PAUSE = 1.0

START, SUCCESS, FAILURE = "start", "success", "failure"

Log = Callable[[str], None]

_URL = re.compile(r"https?://[^\s/?#]+[!-~]*")
# What an address list or a header could be smuggled in by is not accepted.
_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[a-z_][a-z0-9_-]{0,31}")


@dataclass(frozen=True)
class Alerts:
    """Where alerts go; empty for nowhere. The URLs are secrets: whoever has one may say that all is well."""

    ping: str = field(default="", repr=False)
    webhook: str = field(default="", repr=False)
    mail: str = ""

    def to_dict(self, *, redacted: bool = False) -> dict[str, str]:
        show = shown_url if redacted else str
        return {"ping": show(self.ping), "webhook": show(self.webhook), "mail": self.mail}


@dataclass(frozen=True)
class Event:
    """What happened. all_well: nothing else that uses the same ping URL is wrong, so that it may hear of success."""

    event: str
    name: str
    host: str
    action: str = "backup"
    id: str = ""
    ok: bool = True
    error: str = ""
    seconds: float = 0.0
    size: int = 0
    all_well: bool = True

    @property
    def sentence(self) -> str:
        subject = f"{self.action} of {self.name} on {self.host}"
        if self.event == START:
            return f"{subject} has started"
        if self.event == FAILURE:
            return f"{subject} failed: {self.error}"
        return f"{subject} is fine: {self.id}, {self.size} bytes, {self.seconds:.1f} s"


@dataclass(frozen=True)
class Post:
    """One request to make."""

    label: str
    url: str = field(repr=False)
    body: bytes
    content_type: str


def parse_alerts(given: Mapping[str, object] | None) -> Alerts:
    """Check {ping, webhook, mail}; one sentence for the first thing that is wrong."""
    values = {key: value for key, value in (given or {}).items() if value not in (None, "")}
    check_keys("alerts", values, ("ping", "webhook", "mail"))
    return Alerts(
        ping=_check_url("ping", values.get("ping", "")),
        webhook=_check_url("webhook", values.get("webhook", "")),
        mail=_check_mail(values.get("mail", "")),
    )


def _check_url(key: str, url: object) -> str:
    # What was found is not shown: it holds a secret.
    if url != "" and not (isinstance(url, str) and _URL.fullmatch(url) and _has_good_host(url)):
        raise BackupError(f"alerts.{key} is not a URL; one such as https://hc-ping.com/KEY/{{name}} is accepted.")
    return str(url)


def _has_good_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _check_mail(address: object) -> str:
    if address != "" and not (isinstance(address, str) and _MAIL.fullmatch(address)):
        raise BackupError(
            f"alerts.mail is {str(address)[:60]!r}; one address such as ops@example.com, or a local user such as root, "
            "is accepted."
        )
    return str(address)


def shown_url(url: str) -> str:
    """As much of a URL as is no secret."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}/…" if url else ""


def posts(alerts: Alerts, event: Event) -> list[Post]:
    """The requests that tell of an event; a webhook hears of ends only."""
    found = []
    if alerts.ping and (event.event != SUCCESS or event.all_well):
        url = alerts.ping.replace("{name}", event.name).replace("{host}", event.host)
        found.append(Post("ping", _ping_url(url, event.event), event.sentence.encode()[:2000], "text/plain"))
    if alerts.webhook and event.event != START:
        data = asdict(event)
        del data["all_well"]
        found.append(Post("webhook", alerts.webhook, json.dumps(data, sort_keys=True).encode(), "application/json"))
    return found


def _ping_url(url: str, event: str) -> str:
    """As healthchecks.io and its like have it: /start and /fail after the path, before a query."""
    ending = {START: "/start", FAILURE: "/fail"}.get(event, "")
    head, mark, query = url.partition("?")
    return head.rstrip("/") + ending + mark + query if ending else url


def letter(address: str, event: Event) -> EmailMessage:
    message = EmailMessage()
    message["To"] = address
    message["Subject"] = f"[{event.host}] {event.action} of {event.name} failed"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(
        f"The {event.sentence}\n\n"
        f"On {event.host}, as root:\n"
        f"  quayside-backup status\n"
        f"  quayside-backup list {event.name}\n"
        f"  journalctl --unit='quayside-backup*@{event.name}.service' --since=-1d\n"
    )
    return message


def send(alerts: Alerts, event: Event, log: Log, *, mail: bool = True) -> None:
    """Tell everyone; whoever can't be reached is logged, and changes nothing else."""
    for post in posts(alerts, event):
        problem = deliver(post)
        if problem:
            log(f"{event.name}: the {post.label} to {shown_url(post.url)} failed: {problem}")
    if mail and alerts.mail and event.event == FAILURE:
        problem = hand_over(letter(alerts.mail, event))
        if problem:
            log(f"{event.name}: the mail to {alerts.mail} failed: {problem}")


def deliver(post: Post, tries: int = TRIES, pause: float = PAUSE) -> str:
    """Make a request, and again when it failed; returns the last problem, empty when it went through."""
    problem = ""
    for attempt in range(tries):
        if attempt:
            time.sleep(pause)
        problem = _post_once(post)
        if not problem:
            break
    return problem


def _post_once(post: Post) -> str:
    headers = {"Content-Type": post.content_type, "User-Agent": "quayside-backup"}
    # The scheme was checked when the settings were read.
    request = urllib.request.Request(post.url, data=post.body, headers=headers, method="POST")  # noqa: S310
    opener = urllib.request.build_opener(_SameScheme)
    try:
        with opener.open(request, timeout=TIMEOUT) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        error.close()
        return f"it answers {error.code}"
    except urllib.error.URLError as error:
        return _explain(error.reason)
    # Names of hosts and ports that the standard library can't encode end in a ValueError.
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _explain(error)
    return ""


def _explain(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return f"no answer within {TIMEOUT} s"
    return str(getattr(reason, "strerror", None) or (reason if isinstance(reason, str) else type(reason).__name__))[
        :200
    ]


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """From https to http would show the secret URL to everyone on the way."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme != urlsplit(req.full_url).scheme:
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def hand_over(message: EmailMessage, sendmail: str = SENDMAIL) -> str:
    """Give a letter to the host's MTA; returns the problem, empty when it took it."""
    if not Path(sendmail).exists():
        return f"there is no {sendmail}; install an MTA such as the package postfix or msmtp-mta"
    try:
        done = subprocess.run(
            [sendmail, "-i", "-t"],
            input=message.as_bytes(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{sendmail} did not end within 60 s"
    except OSError as error:
        return f"{sendmail}: {error.strerror}"
    said = " ".join(done.stderr.decode(errors="replace").split())[:200]
    return f"{sendmail} ended with {done.returncode}: {said}" if done.returncode else ""
