# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The keys of one entry of `quayside_apps`: what each accepts, and its default."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ._app_places import MAX_REPLICAS, SLOT_BLOCK
from ._backup_schema import BACKUP
from ._certbot_wanted import DNS_PLUGINS
from ._database_url import DatabaseUrlError, parse
from ._edge_schema import AUTH, EDGE_KEYS, MAINTENANCE
from ._rules import Key, ListOf, MapOf, Problem, Record, Rule, boolean, choice, integer, number, text

MIGRATION_TOOLS = ("alembic", "prisma", "django", "sql", "command")

# RFC 1123 section 2.1: letters, digits and hyphens; at least one dot, since a public certificate needs it.
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_DOMAIN = text("a host name such as app.example.com", rf"(?=.{{4,253}}\Z){_LABEL}(?:\.{_LABEL})+")
_NAME = r"[a-z][a-z0-9-]{1,30}"
# The grammar of https://pkg.go.dev/github.com/distribution/reference, with a tag or a digest required.
_IMAGE_PATTERN = re.compile(
    r"(?:[a-zA-Z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}(?:@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})"
)
_IMAGE = Rule(
    "an image reference with a tag or a digest, such as registry.example.com/app:1.2.3",
    lambda value: isinstance(value, str) and _IMAGE_PATTERN.fullmatch(value) is not None,
    convert=str,
)
_SIZE = text("a size such as 512k, 10m or 1g", r"[1-9][0-9]*[kmg]")
_COMMAND = ListOf(text("a string, one for each argument"), least=1)
_ENV_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_PASSWORD = text("a password of 8 characters or more, on one line", r"[^\0-\x1f]{8,200}", secret=True)


def _env_value(secret: bool) -> Rule:
    # A boolean or a float has several spellings ("true", "True"; 1.10 arrives as 1.1): quoting decides.
    return Rule(
        "a string or an integer (put other values in quotes)",
        lambda v: isinstance(v, (str, int)) and not isinstance(v, bool),
        secret,
        str,
    )


def _url_is_good(value: object) -> bool:
    try:
        parse(str(value))
    except DatabaseUrlError:
        return False
    return isinstance(value, str)


class _UrlRule(Rule):
    """A database URL: the reason it is not accepted comes from its parser, which shows no secret."""

    def problems(self, path: str, value: Any) -> Iterator[Problem]:
        for problem in super().problems(path, value):
            found = problem.found
            if isinstance(value, str) and "placeholder" not in found:
                try:
                    parse(value)
                except DatabaseUrlError as error:
                    found = f"not a database URL ({error})"
            yield Problem(problem.path, found, problem.accepted)


_DATABASE_URL = _UrlRule("postgresql://user:password@host:5432/database", _url_is_good, secret=True, convert=str)

_SECONDS = integer(0, 86400, "seconds")
_PATH = text("a path such as /health", r"/[!-~]*")

_WORKER = Record(
    {
        "name": Key(text("a name such as worker", _NAME), required=True),
        "command": Key(_COMMAND, required=True),
        "replicas": Key(integer(1, MAX_REPLICAS), 1),
        "overlap": Key(boolean(), True),
    }
)

_JOB = Record(
    {
        "name": Key(text("a name such as report", _NAME), required=True),
        "command": Key(_COMMAND, required=True),
        # systemd itself judges the rest when the timer is written; this keeps it on one line.
        "schedule": Key(text("a calendar event of systemd.time(7) such as *:0/15 or 04:30", r"[ -~]+"), required=True),
        "timeout": Key(integer(1, 604800, "seconds"), 3600),
    }
)

APP = Record(
    {
        "name": Key(text(f"a name that matches {_NAME}", _NAME), required=True),
        "image": Key(_IMAGE, required=True),
        "source": Key(choice("pull", "build", "archive"), "pull"),
        "build": Key(
            Record(
                {
                    "repo": Key(text("a git URL")),
                    "version": Key(text("a branch, tag or commit, as a string"), "HEAD"),
                    "path": Key(text("a folder"), "."),
                    "dockerfile": Key(text("a file name"), "Dockerfile"),
                    "args": Key(MapOf(_ENV_NAME, _env_value(False), "a mapping of build arguments"), {}),
                }
            )
        ),
        "archive": Key(text("the path of a docker save file on the controller")),
        "registry": Key(
            Record(
                {
                    "username": Key(text("a user name"), required=True),
                    "password": Key(text("a password or token", secret=True), required=True),
                }
            )
        ),
        "command": Key(_COMMAND),
        "port": Key(integer(1, 65535), required=True),
        "replicas": Key(integer(1, MAX_REPLICAS), 1),
        "slot_port": Key(integer(1024, 65535 - SLOT_BLOCK)),
        "domains": Key(ListOf(_DOMAIN, least=1), required=True),
        "health": Key(
            Record(
                {
                    "path": Key(_PATH, "/health"),
                    "status": Key(integer(100, 599), 200),
                    "successes": Key(integer(1, 100), 2),
                    "interval": Key(number(0.05, 3600, "seconds"), 0.25),
                    "timeout": Key(number(1, 86400, "seconds"), 60),
                    "expect": Key(
                        MapOf(r".+", Rule("a value", lambda v: True), "a mapping of JSON paths to values"), {}
                    ),
                }
            ),
            {},
        ),
        "warm_up": Key(ListOf(_PATH), []),
        "watch": Key(number(0, 3600, "seconds"), 5),
        "keep_warm": Key(_SECONDS, 0),
        "env": Key(MapOf(_ENV_NAME, _env_value(False), "a mapping of NAME: value"), {}),
        "secrets": Key(MapOf(_ENV_NAME, _env_value(True), "a mapping of NAME: value"), {}),
        "database_url": Key(_DATABASE_URL),
        "database_pooled_url": Key(_DATABASE_URL),
        "migrate": Key(
            Record(
                {
                    "tool": Key(choice(*MIGRATION_TOOLS), required=True),
                    "command": Key(_COMMAND),
                    "check": Key(_COMMAND),
                    "path": Key(text("an absolute folder in the image", r"/.*")),
                    "workdir": Key(text("an absolute folder in the image", r"/.*")),
                    "lock_timeout": Key(text("a time such as 500ms or 5s", r"[1-9][0-9]*(?:ms|s|min)"), "5s"),
                    "timeout": Key(integer(1, 86400, "seconds"), 600),
                    "backup": Key(boolean(), True),
                }
            )
        ),
        "hooks": Key(
            Record(
                {
                    "pre_deploy": Key(_COMMAND),
                    "post_deploy": Key(_COMMAND),
                    "timeout": Key(integer(1, 86400, "seconds"), 600),
                }
            ),
            {},
        ),
        "workers": Key(ListOf(_WORKER), []),
        "jobs": Key(ListOf(_JOB), []),
        **EDGE_KEYS,
        "basic_auth": Key(
            Record(
                {
                    "users": Key(MapOf(r"[^:\s\0]{1,64}", _PASSWORD, "a mapping of NAME: password"), required=True),
                    **AUTH,
                }
            )
        ),
        "maintenance": Key(MAINTENANCE, {}),
        "certificate": Key(
            Record(
                {
                    "source": Key(choice("acme", "self_signed", "file"), "acme"),
                    "dns": Key(choice(*DNS_PLUGINS)),
                    "certificate": Key(text("a file on the controller")),
                    "key": Key(text("a file on the controller")),
                }
            ),
            {},
        ),
        "resources": Key(
            Record(
                {
                    "memory": Key(_SIZE, "512m"),
                    "cpus": Key(number(0.01, 1024, "CPUs")),
                    "pids": Key(integer(1, 1000000), 512),
                }
            ),
            {},
        ),
        "volumes": Key(
            ListOf(text("name:/path or /host/path:/path, with :ro if read-only", r"[^:]+:/[^:]*(?::ro|:rw)?")), []
        ),
        "user": Key(text("uid or uid:gid", r"[0-9a-z_-]+(?::[0-9a-z_-]+)?")),
        "read_only": Key(boolean(), True),
        "cap_add": Key(ListOf(text("a capability such as NET_BIND_SERVICE", r"[A-Z_]+")), []),
        "drain_timeout": Key(_SECONDS, 30),
        "stop_timeout": Key(_SECONDS, 30),
        "backup": Key(BACKUP, {}),
    }
)
