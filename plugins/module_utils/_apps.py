# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The list `quayside_apps`: what may stand in it, and what follows from it for each role.

This is the one place where sites, certificates, backups and containers are derived from the list.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from ._database_url import DatabaseUrlError, parse
from ._rules import Either, Key, ListOf, MapOf, Problem, Record, Rule, boolean, choice, integer, number, shown, text

#: Loopback ports of the slots. They lie below Linux's default ip_local_port_range (32768-60999), so that no
#: outgoing connection takes one. Each app owns a block: the first half is blue's, the second green's.
FIRST_SLOT_PORT = 21000
LAST_SLOT_PORT = 29999
SLOT_BLOCK = 20
MAX_REPLICAS = SLOT_BLOCK // 2

APPS_DIRECTORY = "/var/lib/quayside/apps"
#: Where a host records the first slot port of each app.
PORTS_RECORD = "/var/lib/quayside/ports.json"

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
_HEADER_NAME = r"[A-Za-z][A-Za-z0-9-]*"


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

_WORKER = Record(
    {
        "name": Key(text("a name such as worker", _NAME), required=True),
        "command": Key(_COMMAND, required=True),
        "replicas": Key(integer(1, MAX_REPLICAS), 1),
        "overlap": Key(boolean(), True),
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
        "command": Key(_COMMAND),
        "port": Key(integer(1, 65535), required=True),
        "replicas": Key(integer(1, MAX_REPLICAS), 1),
        "slot_port": Key(integer(1024, 65535 - SLOT_BLOCK)),
        "domains": Key(ListOf(_DOMAIN, least=1), required=True),
        "serve_all": Key(boolean(), False),
        "health": Key(
            Record(
                {
                    "path": Key(text("a path such as /health", r"/[!-~]*"), "/health"),
                    "status": Key(integer(100, 599), 200),
                    "successes": Key(integer(1, 100), 2),
                    "interval": Key(number(0.05, 3600, "seconds"), 1),
                    "timeout": Key(number(1, 86400, "seconds"), 60),
                    "expect": Key(
                        MapOf(r".+", Rule("a value", lambda v: True), "a mapping of JSON paths to values"), {}
                    ),
                }
            ),
            {},
        ),
        "env": Key(MapOf(_ENV_NAME, _env_value(False), "a mapping of NAME: value"), {}),
        "secrets": Key(MapOf(_ENV_NAME, _env_value(True), "a mapping of NAME: value"), {}),
        "database_url": Key(_DATABASE_URL),
        "database_pooled_url": Key(_DATABASE_URL),
        "migrate": Key(
            Record(
                {
                    "tool": Key(choice("alembic"), required=True),
                    "command": Key(_COMMAND),
                    "workdir": Key(text("an absolute folder in the image", r"/.*")),
                    "lock_timeout": Key(text("a time such as 500ms or 5s", r"[1-9][0-9]*(?:ms|s|min)"), "5s"),
                    "timeout": Key(integer(1, 86400, "seconds"), 600),
                    "backup": Key(boolean(), True),
                }
            )
        ),
        "workers": Key(ListOf(_WORKER), []),
        "websockets": Key(boolean(), False),
        "body_limit": Key(_SIZE, "1m"),
        "headers": Key(MapOf(_HEADER_NAME, text("a header value on one line", r"[ -~]+"), "a mapping of headers"), {}),
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
        "backup": Key(
            Either(
                Record(
                    {
                        "schedule": Key(
                            text("a time of day such as 03:00, in quotes", r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"), "03:00"
                        ),
                        "keep": Key(
                            Record(
                                {
                                    "daily": Key(integer(0, 10000), 7),
                                    "weekly": Key(integer(0, 10000), 4),
                                    "monthly": Key(integer(0, 10000), 6),
                                }
                            ),
                            {},
                        ),
                    }
                )
            ),
            {},
        ),
    }
)


class AppError(ValueError):
    """The list of apps is not usable; the text names the app, the key, what was found and what is accepted."""


def problems(apps: object) -> list[str]:
    """Return one sentence for each thing that is wrong in `quayside_apps`; an empty list if nothing is."""
    if not isinstance(apps, list) or not apps:
        return [f"quayside_apps is {shown(apps) if apps != [] else 'an empty list'}; accepted: a list of apps."]
    sentences = []
    for position, app in enumerate(apps):
        label = _label(app, position)
        sentences += [f"{label}: {problem}." for problem in APP.problems("", app)]
        sentences += [f"{label}: {problem}." for problem in _across_keys(app)]
    return sentences + list(_across_apps(apps))


def normal(apps: object) -> list[dict[str, Any]]:
    """Return the apps with every default filled in. No apps are no mistake here: roles are usable without the list.

    Raises:
        AppError: something in the list is not accepted.
    """
    if apps == []:
        return []
    found = problems(apps)
    if found or not isinstance(apps, list):
        raise AppError(" ".join(found))
    return [APP.normal(app) for app in apps]


def _label(app: object, position: int) -> str:
    name = app.get("name") if isinstance(app, Mapping) else None
    return f'app "{name}"' if isinstance(name, str) else f"quayside_apps[{position}]"


def _across_keys(app: object) -> Iterator[Problem]:
    """Yield what is wrong between the keys of one app."""
    if not isinstance(app, Mapping):
        return
    source = app.get("source", "pull")
    for name in ("build", "archive"):
        if source == name and not app.get(name):
            yield Problem(name, "missing", f"it must be given when source is {name}")
        if source != name and app.get(name):
            yield Problem(name, "given", f"it goes with source: {name}, and source is {source}")
    if app.get("migrate") and not app.get("database_url"):
        yield Problem("database_url", "missing", "it must be given when migrate is")
    if app.get("database_pooled_url") and not app.get("database_url"):
        yield Problem("database_url", "missing", "it must be given when database_pooled_url is")
    for name in _repeated(_texts(app, "domains")):
        yield Problem("domains", f'a list with "{name}" twice', "each domain once")
    workers = app.get("workers")
    names = [w.get("name") for w in workers if isinstance(w, Mapping)] if isinstance(workers, list) else []
    for name in _repeated([name for name in names if isinstance(name, str)]):
        yield Problem("workers", f'a list with the name "{name}" twice', "each name once")
    if "web" in names:
        yield Problem("workers", 'a list with the name "web"', "another name, for web is the app itself")


def _across_apps(apps: list[Any]) -> Iterator[str]:
    """Yield what is wrong between apps: names, domains and slot ports that two of them claim."""
    owners: dict[str, dict[Any, str]] = {"name": {}, "domains": {}}
    blocks: list[tuple[int, str]] = []
    for position, app in enumerate(apps):
        if not isinstance(app, Mapping):
            continue
        label = _label(app, position)
        name = app.get("name")
        if isinstance(name, str):
            if name in owners["name"]:
                yield (
                    f'{label}: name is "{name}" in quayside_apps[{position}], and another app has it; '
                    "accepted: each name once."
                )
            owners["name"][name] = label
        for domain in dict.fromkeys(_texts(app, "domains")):
            if domain in owners["domains"]:
                yield (
                    f'{label}: domains has "{domain}", which {owners["domains"][domain]} has too; '
                    "accepted: each domain in one app."
                )
            owners["domains"].setdefault(domain, label)
        base = app.get("slot_port")
        if isinstance(base, int):
            for other, owner in blocks:
                if abs(other - base) < SLOT_BLOCK:
                    yield (
                        f"{label}: slot_port is {base}, and {owner} has {other}; "
                        f"accepted: ports at least {SLOT_BLOCK} apart."
                    )
            blocks.append((base, label))


def _texts(app: Mapping[str, Any], key: str) -> list[str]:
    value = app.get(key)
    return [item.lower() for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _repeated(items: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [item for item in items if item in seen or seen.add(item)]  # type: ignore[func-returns-value]


def slot_ports(base: int, replicas: int) -> dict[str, list[int]]:
    """Return the loopback ports of both slots in an app's block of ports."""
    return {
        "blue": [base + n for n in range(replicas)],
        "green": [base + MAX_REPLICAS + n for n in range(replicas)],
    }


def assign_ports(
    apps: Iterable[Mapping[str, Any]], recorded: Mapping[str, int], in_use: Collection[int] = ()
) -> dict[str, int]:
    """Return the first slot port of every app: the one it asks for, the one recorded, or the next free block.

    What was recorded for apps that are no longer listed stays theirs: their containers may still run. A block with a
    port of `in_use` is passed over.

    Raises:
        AppError: a port asked for is recorded for another app, or no block is free.
    """
    ports = dict(recorded)
    listed = list(apps)
    for app in listed:
        if app["slot_port"] is not None:
            ports[app["name"]] = app["slot_port"]
    for app in listed:
        if app["name"] not in ports:
            ports[app["name"]] = _free_block(app["name"], ports.values(), in_use)
    for app in listed:
        base = ports[app["name"]]
        for other, taken in ports.items():
            if other != app["name"] and abs(taken - base) < SLOT_BLOCK:
                raise AppError(
                    f'app "{app["name"]}": slot_port is {base}, and {taken} is recorded for app "{other}"; '
                    f"accepted: ports at least {SLOT_BLOCK} apart."
                )
    return ports


def _free_block(name: str, taken: Iterable[int], in_use: Collection[int]) -> int:
    taken = list(taken)
    for base in range(FIRST_SLOT_PORT, LAST_SLOT_PORT, SLOT_BLOCK):
        if all(abs(base - other) >= SLOT_BLOCK for other in taken) and not any(
            base <= port < base + SLOT_BLOCK for port in in_use
        ):
            return base
    raise AppError(f'app "{name}": no block of slot ports is free from {FIRST_SLOT_PORT} to {LAST_SLOT_PORT}.')


def flag_path(name: str) -> str:
    """Return the file whose presence makes the green slot live; without it blue is."""
    return f"{APPS_DIRECTORY}/{name}/green"


def sites(apps: object, ports: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return `nginx_sites`: one site for each app, proxying to its two slots."""
    result = []
    for app in normal(apps):
        # Unknown only in a check of a host that has none yet: the diff then shows the first block.
        slots = slot_ports(ports.get(app["name"], FIRST_SLOT_PORT), app["replicas"])
        result.append(
            {
                "name": app["name"],
                "domains": app["domains"],
                "serve_all": app["serve_all"],
                "certificate": f"/etc/letsencrypt/live/{app['name']}/fullchain.pem",
                "certificate_key": f"/etc/letsencrypt/live/{app['name']}/privkey.pem",
                "upstreams": {slot: [f"127.0.0.1:{port}" for port in numbers] for slot, numbers in slots.items()},
                "flag": flag_path(app["name"]),
                "websockets": app["websockets"],
                "body_limit": app["body_limit"],
                "headers": app["headers"],
            }
        )
    return result


def certificates(apps: object) -> list[dict[str, Any]]:
    """Return `letsencrypt_certificates`: one certificate for each app, with all its names."""
    return [{"name": app["name"], "domains": app["domains"]} for app in normal(apps)]


def databases(apps: object) -> list[dict[str, Any]]:
    """Return `pg_backup_databases`: the database of each app that has one and wants backups, by its direct URL."""
    return [
        {"name": app["name"], "url": app["database_url"], **app["backup"]}
        for app in normal(apps)
        if app["database_url"] and app["backup"] is not False
    ]


_SECRET_KEYS = ("secrets", "database_url", "database_pooled_url")


def public(app: Mapping[str, Any]) -> dict[str, Any]:
    """Return an app in normal form without the keys that hold secrets."""
    return {key: value for key, value in app.items() if key not in _SECRET_KEYS}


def secrets(app: Mapping[str, Any]) -> dict[str, str]:
    """Return all that must stay secret in an app's environment: its secrets, and its database URL as DATABASE_URL."""
    url = app["database_pooled_url"] or app["database_url"]
    return {**({"DATABASE_URL": url} if url else {}), **app["secrets"]}
