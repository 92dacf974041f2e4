# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What every migration tool has in common: the plan, the lock, the environment, and errors without secrets. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ._database_url import DatabaseUrl

ROLE_LABEL = "quayside.role"
ROLE = "migrate"
DATABASE_LABEL = "quayside.database"
UNTIL_LABEL = "quayside.until"
#: What the tool's own sessions are called, so that those of a killed run can be told apart from the app's.
APPLICATION_NAME = "quayside-migrate"
OUTPUT_KEPT = 20_000


class MigrationError(Exception):
    """One sentence for the user, without any secret."""


@dataclass(frozen=True)
class Migration:
    """One step of a tool: Alembic's revision, Django's app and number, a file."""

    id: str
    title: str = ""

    def __str__(self) -> str:
        return f"{self.id} {self.title}".strip()


@dataclass(frozen=True)
class Plan:
    """What a database needs to reach an image's schema. `ahead` means that it has already gone past it.

    A state is None where the tool has none that can be read.
    """

    before: tuple[str, ...] | None
    after: tuple[str, ...] | None
    pending: tuple[Migration, ...] = ()
    ahead: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return bool(self.pending)


def summary(state: tuple[str, ...] | None) -> str:
    """A state in a few words: Alembic's is one revision, Django's is every migration that was ever applied."""
    if state is None:
        return "(unknown)"
    if len(state) > 3:
        return f"{state[-1]} and {len(state) - 1} more"
    return ", ".join(state) or "(none)"


def diff(plan: Plan) -> dict[str, str]:
    """The plan as Ansible's before and after texts."""
    before = [f"revision: {summary(plan.before)}"]
    after = [f"revision: {summary(plan.after)}", *(f"apply: {step}" for step in plan.pending)]
    return {"before": "\n".join(before) + "\n", "after": "\n".join(after) + "\n"}


def report(plan: Plan) -> dict[str, Any]:
    """The plan as the module returns it, before anything was applied."""
    return {
        "changed": plan.changed,
        "before": None if plan.before is None else list(plan.before),
        "after": None if plan.after is None else list(plan.after),
        "pending": [step.id for step in plan.pending],
        "applied": [],
        "ahead": plan.ahead,
        "backup_id": None,
        "lock_wait": 0.0,
        "duration": 0.0,
        "warnings": list(plan.warnings),
        "stdout": "",
        "stderr": "",
        "diff": diff(plan),
    }


def index_warnings(database: str, indexes: Iterable[str]) -> list[str]:
    """What a failed CREATE INDEX CONCURRENTLY leaves behind costs every write and serves no query."""
    return [
        f"Database {database}: index {name} is invalid, as after a CREATE INDEX CONCURRENTLY that failed; "
        f"drop it, or rebuild it by REINDEX INDEX CONCURRENTLY {name}."
        for name in indexes
    ]


def gave_up_for_a_lock(text: str) -> bool:
    """Whether this is what a tool prints when a statement waited longer for a lock than it may."""
    return re.search(r"lock timeout|LockNotAvailable|55P03|P1002", text) is not None


def lock_key(database: str) -> int:
    """The advisory lock's number. Advisory locks are per database, so the name alone makes it unique."""
    digest = hashlib.sha256(f"quayside.web migrate {database}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def database_label(url: DatabaseUrl) -> str:
    """Names a database in a container's label, without the login."""
    return f"{url.host}:{url.port}/{url.database}"


def milliseconds(duration: str) -> int:
    """A PostgreSQL duration such as `5s`, `500ms`, `1min`; a bare number is milliseconds, as there."""
    found = re.fullmatch(r"(\d{1,9}) ?(ms|s|min)?", duration.strip())
    value = int(found[1]) * {"ms": 1, "s": 1000, "min": 60_000}[found[2] or "ms"] if found else 0
    if value < 1:
        raise MigrationError(f"lock_timeout is {duration!r}, expected a time above zero such as 5s, 500ms or 1min")
    return value


def session_settings(lock_timeout: str, server_version: int) -> str:
    """libpq options for the tool's sessions, as PGOPTIONS spells them."""
    settings = {"lock_timeout": str(milliseconds(lock_timeout)), "tcp_keepalives_idle": "30"}
    if server_version >= 140000:
        # A statement whose client was killed gives up its locks at once, and not when it is through.
        settings["client_connection_check_interval"] = "1000"
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def tool_env(
    env: Mapping[str, str], *, url: str, url_variable: str, settings: str, in_url: bool = False
) -> dict[str, str]:
    """The environment of the tool: the app's own, the direct URL, and settings for libpq drivers.

    `in_url` puts the settings into the URL as well, for a driver that takes no notice of PGOPTIONS.
    """
    if in_url:
        url = _with_parameter(url, "application_name", APPLICATION_NAME)
        url = _with_parameter(url, "options", "")
    return {
        "NO_COLOR": "1",
        **env,
        url_variable: _url_with_settings(url, settings),
        "PGOPTIONS": f"{env.get('PGOPTIONS', '')} {settings}".strip(),
        "PGAPPNAME": APPLICATION_NAME,
    }


def parse_env_file(text: str) -> dict[str, str]:
    """`KEY=value` lines as `docker run --env-file` reads them: no quoting, # only at the start of a line."""
    lines = [line.lstrip() for line in text.splitlines()]
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def mask(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets, as they are and as a URL spells them; the end of it, if it is very long."""
    for secret in sorted({form for value in secrets for form in (value, quote(value, safe=""))}, key=len, reverse=True):
        if len(secret) > 3:
            text = text.replace(secret, "********")
    return text if len(text) <= OUTPUT_KEPT else "[…]" + text[-OUTPUT_KEPT:]


def last_line(text: str) -> str:
    """The line that usually holds the error."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("(Background on")]
    errors = [line for line in lines if re.search(r"(Error|Exception|Timeout|Conflict\w*|NotAvailable)\b.*[:(]", line)]
    return (errors or lines or ["it printed nothing"])[-1][:500]


# The server's answers, and libpq's, by what stands in them; the first row that matches wins. The flag says that the
# cause may be a host that is not set up yet, which check mode must bear.
_CONNECT: tuple[tuple[str, str, bool], ...] = (
    ("unsupported startup parameter|no such database: |pgbouncer", "pooler", False),
    ("password authentication failed|no password supplied|authentication failed", "login", False),
    ('role ".*" does not exist', "role", False),
    ('database ".*" does not exist', "database", True),
    ("could not translate host name|Name or service not known", "dns", True),
    ("Connection refused|No such file or directory", "refused", True),
    ("timeout expired|timed out", "timeout", True),
    ("No route to host|Network is unreachable", "route", True),
    ("no pg_hba.conf entry", "hba", False),
    ("certificate|SSL", "tls", False),
    ("too many clients|remaining connection slots", "full", False),
    ("starting up|shutting down|in recovery", "busy", True),
)
_CONNECT_TEXT = {
    "pooler": "{where} is a connection pooler, but migrations need the direct URL of PostgreSQL itself "
    "(session locks do not survive a pooler); put that one in database_url and the pooler in database_pooled_url",
    "login": "PostgreSQL at {where} refused the password of user {user}; check the user and password in the URL",
    "role": "PostgreSQL at {where} has no user {user}; create it or correct the URL",
    "database": "PostgreSQL at {where} has no database {database}; create it or correct the URL",
    "dns": "the database host {host} does not resolve; correct the URL or the DNS",
    "refused": "nothing listens on {where}; start PostgreSQL, or correct host and port in the URL",
    "timeout": "no answer from {where}; check that a firewall lets this host through",
    "route": "there is no route to {where}; check host and network",
    "hba": "PostgreSQL at {where} does not admit user {user} to {database} from this host; add a pg_hba.conf entry",
    "tls": "TLS with PostgreSQL at {where} failed; check sslmode and sslrootcert in the URL",
    "full": "PostgreSQL at {where} has no free connection; raise max_connections or shrink the apps' pools",
    "busy": "PostgreSQL at {where} is not accepting connections now (starting, stopping or a standby); try again later",
}


def explain_connect(text: str, url: DatabaseUrl) -> tuple[str, bool]:
    """A sentence for a failed connection, and whether check mode should bear it. `text` is the driver's message."""
    fill: dict[str, Any] = {
        "where": f"{url.host}:{url.port}",
        "host": url.host,
        "user": url.user,
        "database": url.database,
    }
    for pattern, kind, bearable in _CONNECT:
        if re.search(pattern, text, re.IGNORECASE):
            return f"Database {url.database}: {_CONNECT_TEXT[kind].format(**fill)}.", bearable
    first = mask(text.strip().splitlines()[0] if text.strip() else "no reason given", [url.password])
    return f"Database {url.database}: no connection to {url.host}:{url.port} ({first}).", False


def _url_with_settings(url: str, settings: str) -> str:
    """libpq lets `options` in a URL override PGOPTIONS, so the settings must join it there."""
    base, mark, query = url.partition("?")
    pairs = query.split("&") if mark else []
    if not any(pair.startswith("options=") for pair in pairs):
        return url
    added = [
        pair + quote(f" {settings}" if pair != "options=" else settings, safe="")
        if pair.startswith("options=")
        else pair
        for pair in pairs
    ]
    return base + "?" + "&".join(added)


def _with_parameter(url: str, name: str, value: str) -> str:
    base, _mark, query = url.partition("?")
    pairs = [pair for pair in query.split("&") if pair]
    if not any(pair.startswith(f"{name}=") for pair in pairs):
        pairs.append(f"{name}={quote(value, safe='')}")
    return base + "?" + "&".join(pairs)
