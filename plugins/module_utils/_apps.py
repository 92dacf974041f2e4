# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The list `quayside_apps`: what may stand in it, and what follows from it for each role.

This is the one place where sites, certificates, backups and containers are derived from the list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ._app_places import FIRST_SLOT_PORT, SLOT_BLOCK, flag_path, maintenance_path, slot_ports
from ._app_schema import APP, MIGRATION_TOOLS
from ._backup_schema import without_nothing
from ._edge_checks import sharing, texts, within
from ._edge_schema import EDGE_KEYS
from ._edge_sites import owner_of, roots
from ._rules import Problem, shown


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
    if isinstance(app, Mapping):
        yield from _across_source(app)
        yield from _across_database(app)
        yield from _across_names(app)
        yield from within(app)
        yield from _across_certificate(app.get("certificate"))


def _across_source(app: Mapping[str, Any]) -> Iterator[Problem]:
    source = app.get("source", "pull")
    for name in ("build", "archive"):
        if source == name and not app.get(name):
            yield Problem(name, "missing", f"it must be given when source is {name}")
    for name, owner in (("build", "build"), ("archive", "archive"), ("registry", "pull")):
        if source != owner and app.get(name):
            yield Problem(name, "given", f"it goes with source: {owner}, and source is {source}")


def _across_database(app: Mapping[str, Any]) -> Iterator[Problem]:
    for name in ("migrate", "database_pooled_url"):
        if app.get(name) and not app.get("database_url"):
            yield Problem("database_url", "missing", f"it must be given when {name} is")
    migrate = app.get("migrate")
    if not isinstance(migrate, Mapping):
        return
    tool = migrate.get("tool")
    for name, owner in (("path", "sql"), ("command", "command")):
        if tool == owner and not migrate.get(name):
            yield Problem(f"migrate.{name}", "missing", f"it must be given when tool is {owner}")
    for name, owners in (("path", ("sql", "prisma")), ("check", ("command",))):
        if tool in MIGRATION_TOOLS and tool not in owners and migrate.get(name):
            yield Problem(f"migrate.{name}", "given", f"it goes with tool: {' or '.join(owners)}, and tool is {tool}")


def _across_certificate(certificate: object) -> Iterator[Problem]:
    if not isinstance(certificate, Mapping):
        return
    source = certificate.get("source", "acme")
    for name in ("certificate", "key"):
        if source == "file" and not certificate.get(name):
            yield Problem(f"certificate.{name}", "missing", "it must be given when source is file")
    for name, owner in (("certificate", "file"), ("key", "file"), ("dns", "acme")):
        if source != owner and certificate.get(name):
            yield Problem(f"certificate.{name}", "given", f"it goes with source: {owner}, and source is {source}")


def _across_names(app: Mapping[str, Any]) -> Iterator[Problem]:
    for name in _repeated(texts(app, "domains")):
        yield Problem("domains", f'a list with "{name}" twice', "each domain once")
    for key in ("workers", "jobs"):
        if "web" in _names(app, key):
            yield Problem(key, 'a list with the name "web"', "another name, for web is the app itself")
    for name in _repeated([*_names(app, "workers"), *_names(app, "jobs")]):
        yield Problem("workers and jobs", f'lists with the name "{name}" twice', "each name once")


def _across_apps(apps: list[Any]) -> Iterator[str]:
    """Yield what is wrong between apps: names, domains and slot ports that two of them claim."""
    names: set[str] = set()
    blocks: list[tuple[int, str]] = []
    for position, app in enumerate(apps):
        if not isinstance(app, Mapping):
            continue
        label = _label(app, position)
        name = app.get("name")
        if isinstance(name, str):
            if name in names:
                yield (
                    f'{label}: name is "{name}" in quayside_apps[{position}], and another app has it; '
                    "accepted: each name once."
                )
            names.add(name)
        base = app.get("slot_port")
        if isinstance(base, int):
            for other, owner in blocks:
                if abs(other - base) < SLOT_BLOCK:
                    yield (
                        f"{label}: slot_port is {base}, and {owner} has {other}; "
                        f"accepted: ports at least {SLOT_BLOCK} apart."
                    )
            blocks.append((base, label))
    yield from sharing((_label(app, n), app) for n, app in enumerate(apps) if isinstance(app, Mapping))


def _names(app: Mapping[str, Any], key: str) -> list[str]:
    items = app.get(key)
    names = [item.get("name") for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []
    return [name for name in names if isinstance(name, str)]


def _repeated(items: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [item for item in items if item in seen or seen.add(item)]  # type: ignore[func-returns-value]


#: What a site takes over from its app as it is.
_SITE_KEYS = ("name", "domains", *(key for key in EDGE_KEYS if key != "static"))


def sites(apps: object, ports: Mapping[str, int]) -> list[dict[str, Any]]:
    """Return `nginx_sites`: one site for each app, proxying to its two slots."""
    listed = normal(apps)
    result = []
    for app in listed:
        # Unknown only in a check of a host that has none yet: the diff then shows the first block.
        slots = slot_ports(ports.get(app["name"], FIRST_SLOT_PORT), app["replicas"])
        owner = owner_of(app, listed)
        place = "/etc/letsencrypt/live" if owner["certificate"]["source"] == "acme" else "/etc/quayside-certificates"
        folder = f"{place}/{owner['name']}"
        auth = app["basic_auth"]
        site = {key: app[key] for key in _SITE_KEYS} | {
            "certificate": f"{folder}/fullchain.pem",
            "certificate_key": f"{folder}/privkey.pem",
            "upstreams": {slot: [f"127.0.0.1:{port}" for port in numbers] for slot, numbers in slots.items()},
            "flag": flag_path(app["name"]),
            "health_path": app["health"]["path"].partition("?")[0],
            "maintenance": {"flag": maintenance_path(app["name"]), **app["maintenance"]},
            "basic_auth": auth and {"realm": auth["realm"], "exempt": auth["exempt"]},
            "static": roots(app),
        }
        result.append({key: value for key, value in site.items() if value is not None})
    return result


def passwords(apps: object) -> dict[str, dict[str, str]]:
    """Return `nginx_passwords`: of each app that asks for one, the passwords by the users' names."""
    return {app["name"]: app["basic_auth"]["users"] for app in normal(apps) if app["basic_auth"]}


def certificates(apps: object) -> list[dict[str, Any]]:
    """Return `letsencrypt_certificates`: one for each app with all its names; apps that share domains share it."""
    listed = normal(apps)
    result = []
    for app in listed:
        if owner_of(app, listed) is app:
            told = {key: value for key, value in app["certificate"].items() if value and value != "acme"}
            result.append({"name": app["name"], "domains": app["domains"], **told})
    return result


def databases(apps: object) -> list[dict[str, Any]]:
    """Return `pg_backup_databases`: the database of each app that has one and wants backups, by its direct URL."""
    return [
        {"name": app["name"], "url": app["database_url"], **without_nothing(app["backup"])}
        for app in normal(apps)
        if app["database_url"] and app["backup"] is not False
    ]


_SECRET_KEYS = ("secrets", "database_url", "database_pooled_url", "registry", "basic_auth", "backup")


def public(app: Mapping[str, Any]) -> dict[str, Any]:
    """Return an app in normal form without the keys that hold secrets."""
    return {key: value for key, value in app.items() if key not in _SECRET_KEYS}


def secrets(app: Mapping[str, Any]) -> dict[str, str]:
    """Return all that must stay secret in an app's environment: its secrets, and its database URL as DATABASE_URL."""
    url = app["database_pooled_url"] or app["database_url"]
    return {**({"DATABASE_URL": url} if url else {}), **app["secrets"]}
