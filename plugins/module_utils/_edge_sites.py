# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""The list `nginx_sites`: what may stand in it, and what its templates are given.

Sites that share domains become one server: the one with the path / owns it, and the others are mounted in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._edge_checks import host_folder, paths_of, sharing, texts, within
from ._edge_schema import AUTH, EDGE_KEYS, MAINTENANCE
from ._rules import Key, ListOf, Problem, Record, number, shown, text

#: https://www.cloudflare.com/ips/
CLOUDFLARE = (
    *("173.245.48.0/20", "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "141.101.64.0/18"),
    *("108.162.192.0/18", "190.93.240.0/20", "188.114.96.0/20", "197.234.240.0/22", "198.41.128.0/17"),
    *("162.158.0.0/15", "104.16.0.0/13", "104.24.0.0/14", "172.64.0.0/13", "131.0.72.0/22"),
    *("2400:cb00::/32", "2606:4700::/32", "2803:f800::/32", "2405:b500::/32", "2405:8100::/32"),
    *("2a06:98c0::/29", "2c0f:f248::/32"),
)

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ADDRESS = text("an address and a port such as 127.0.0.1:8000", r"(?:[A-Za-z0-9.-]+|\[[0-9a-f:.]+\]):[1-9][0-9]{0,4}")
# It goes into nginx's configuration: no blanks, quotes, braces, semicolons or dollars.
_FILE = text("an absolute path of letters, digits and . _ + @ -", r"/[A-Za-z0-9._+@/-]+")

SITE = Record(
    {
        "name": Key(text("a name that matches [a-z][a-z0-9-]{0,62}", r"[a-z][a-z0-9-]{0,62}"), required=True),
        "domains": Key(
            ListOf(text("a lower-case host name such as www.example.com", rf"(?:{_LABEL}\.)*{_LABEL}"), least=1),
            required=True,
        ),
        "certificate": Key(_FILE, required=True),
        "certificate_key": Key(_FILE, required=True),
        "upstreams": Key(
            Record({"blue": Key(ListOf(_ADDRESS, least=1), required=True), "green": Key(ListOf(_ADDRESS, least=1))}),
            required=True,
        ),
        "flag": Key(_FILE),
        "upstream_idle": Key(number(0.01, 3600, "seconds"), 0.25),
        "health_path": Key(text("a path such as /health", r"/[!#-\[\]-~]*")),
        "maintenance": Key(Record({"flag": Key(_FILE, required=True), **MAINTENANCE.keys})),
        "basic_auth": Key(Record(AUTH)),
        **EDGE_KEYS,
    }
)


def problems(sites: object) -> list[str]:
    """Return one sentence for each thing that is wrong in `nginx_sites`; an empty list if nothing is."""
    if not isinstance(sites, list):
        return [f"nginx_sites is {shown(sites)}; accepted: a list of sites."]
    labelled = [(_label(site, position), site) for position, site in enumerate(sites)]
    sentences = []
    for label, site in labelled:
        found = [*SITE.problems("", site), *(_across_keys(site) if isinstance(site, Mapping) else ())]
        sentences += [f"{label}: {problem}." for problem in found]
    entries = [(label, site) for label, site in labelled if isinstance(site, Mapping)]
    names = [str(site.get("name")) for _label_, site in entries]
    repeated = sorted({name for name in names if names.count(name) > 1})
    sentences += [f'nginx_sites: the name "{name}" is there twice; accepted: each name once.' for name in repeated]
    return sentences + list(sharing(entries))


def _label(site: object, position: int) -> str:
    name = site.get("name") if isinstance(site, Mapping) else None
    return f'site "{name}"' if isinstance(name, str) else f"nginx_sites[{position}]"


def _across_keys(site: Mapping[str, Any]) -> Iterator[Problem]:
    yield from within(site)
    for name in {domain for domain in texts(site, "domains") if texts(site, "domains").count(domain) > 1}:
        yield Problem("domains", f'a list with "{name}" twice', "each domain once")
    upstreams = site.get("upstreams")
    green = isinstance(upstreams, Mapping) and bool(upstreams.get("green"))
    if green != bool(site.get("flag")):
        found = "given without upstreams.green" if site.get("flag") else "missing, and upstreams.green is given"
        yield Problem("flag", found, "both for two slots, or neither for one")
    for index, entry in enumerate(site.get("static") or []):
        if isinstance(entry, Mapping) and entry.get("volume"):
            yield Problem(f"static[{index}].volume", "given", "root, for a site has no volumes")


def files(sites: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what `site.conf.j2` is given for each site's file: the site, and the server where it owns one."""
    views = [view(SITE.normal(site)) for site in sites]
    return [{**own, "server": _server(own, views)} for own in views]


def _server(own: dict[str, Any], views: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The server that this site owns, with the sites that are mounted in it; None for one that is mounted itself."""
    group = [other for other in views if set(other["domains"]) == set(own["domains"])]
    owner = next((other for other in group if "/" in other["paths"]), group[0])
    if owner is not own:
        return None
    canonical, *rest = own["domains"]
    return {
        "aliases": [] if own["serve_all"] else rest,
        "served": own["domains"] if own["serve_all"] else [canonical],
        "canonical": canonical,
        "mounted": [other for other in group if other is not own],
        "has_root": "/" in own["paths"],
    }


def view(site: dict[str, Any]) -> dict[str, Any]:
    """Return a site in normal form with what its templates would else have to work out."""
    health = [site["health_path"]] if site["health_path"] else []
    limit, auth, real_ip = site["rate_limit"], site["basic_auth"], site["real_ip"]
    if limit:
        count, _slash, unit = limit["rate"].partition("r/")
        limit = limit | {
            "header": _header_variable(limit["by"]),
            "exempt": _exact(health) + _below(limit["exempt"]),
            "retry_after": max(1, -(-(1 if unit == "s" else 60) // int(count))),
        }
    if auth:
        auth = auth | {"exempt": _exact(health) + _below(auth["exempt"])}
    if real_ip:
        cloudflare = real_ip["from"] == "cloudflare"
        header = real_ip["header"] or ("CF-Connecting-IP" if cloudflare else "X-Forwarded-For")
        real_ip = {"from": list(CLOUDFLARE) if cloudflare else real_ip["from"], "header": header}
    return site | {
        "id": site["name"].replace("-", "_"),
        "rate_limit": limit,
        "basic_auth": auth,
        "real_ip": real_ip,
        "health": _exact(health),
        "locations": list(_locations(site)),
    }


def _header_variable(by: str) -> str | None:
    return None if by == "ip" else "$http_" + by.partition(":")[2].lower().replace("-", "_")


def _locations(site: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Each location of a site: its match and how it is served. /api is /api and all below it, but not /apis."""
    sse = set(site["sse"])
    for path in dict.fromkeys([*site["paths"], *site["sse"]]):
        kind = "sse" if path in sse else "proxy"
        yield from ({"match": match, "kind": kind} for match in ([path] if path == "/" else [f"= {path}", f"{path}/"]))
    for entry in site["static"]:
        yield {
            "match": f"{entry['path']}/",
            "kind": "static",
            "root": entry["root"].rstrip("/"),
            "cache": entry["cache"],
        }


def _exact(paths: Sequence[str]) -> list[str]:
    return [rf"{re.escape(path)}(?:\?|$)" for path in paths]


def _below(prefixes: Sequence[str]) -> list[str]:
    """Patterns of the target in the request line, as the app gets it.

    nginx's own $uri is decoded and has its dot segments resolved, and the app's router may see another path in the
    same request: /admin/../hook. So what is exempt is written plainly: no dot segments and no percent signs.
    """
    segment = r"(?:/(?!\.{1,2}(?:[/?]|$))[^/%?]*)*"
    return [rf"{'' if prefix == '/' else re.escape(prefix)}{segment}(?:\?|$)" for prefix in prefixes]


def roots(app: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the `static` of an app with the host's folders in place of the container's."""
    return [
        {"path": entry["path"], "root": entry["root"] or host_folder(app, entry["volume"]), "cache": entry["cache"]}
        for entry in app["static"]
    ]


def owner_of(app: Mapping[str, Any], apps: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the app that has the server, and so the certificate, of an app's domains."""
    group = [other for other in apps if set(texts(other, "domains")) == set(texts(app, "domains"))]
    return next((other for other in group if "/" in paths_of(other)), group[0])
