# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""What speaks against a restore, all of it at once and each with its fix, before anything is touched. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ._pg_dump_sql import Needs, quote
from ._pg_facts import Live, Target
from ._pg_repository import Manifest
from ._pg_restore_plan import OTHER_CONNECTIONS, Request, estimate_size, major_of
from ._pg_rights import loading_problem

#: Databases of the server itself.
RESERVED = ("postgres", "template0", "template1")
_MEBIBYTE = 1 << 20
#: Debian's packages of extensions that are not named after them.
_PACKAGES = {
    "vector": "pgvector",
    "postgis": "postgis-3",
    "postgis_topology": "postgis-3",
    "postgis_raster": "postgis-3",
}


def final_name(request: Request, manifest: Manifest) -> str:
    """The name under which the restored database will be found."""
    return request.into or live_name(request, manifest)


def live_name(request: Request, manifest: Manifest) -> str:
    return request.database or manifest.database


def find_problems(
    manifest: Manifest, needs: Needs, target: Target, request: Request, *, drill: bool = False
) -> list[str]:
    """Every reason not to begin, as sentences."""
    problems = list(filter(None, [loading_problem(target.loader)])) + _server_problems(manifest, target, request, drill)
    if request.data_only:
        return problems + _data_problems(manifest, target, request)
    problems += _right_problems(needs, target, request)
    problems += _space_problems(manifest, target, request)
    return problems if drill else problems + _name_problems(manifest, target, request)


def find_warnings(manifest: Manifest, needs: Needs, target: Target, request: Request) -> list[str]:
    """What a person should know, though it stops nothing."""
    warnings = []
    missing = missing_tablespaces(needs, target)
    if missing:
        warnings.append(f"the server has no tablespace {', '.join(missing)}; everything goes to its default one")
    if needs.subscriptions:
        warnings.append(
            f"the subscription {', '.join(needs.subscriptions)} is left out; create it again where it belongs"
        )
    if not manifest.system_identifier or not target.system_identifier:
        warnings.append(
            "the server does not tell its identifier, so nothing shows whether it is the one that was dumped"
        )
    if target.free_bytes is None and not request.data_only:
        warnings.append("the free disk space of the server is not known here")
    if manifest.quarantine:
        warnings.append(f"the backup was in quarantine: {manifest.quarantine}")
    return warnings


def missing_tablespaces(needs: Needs, target: Target) -> list[str]:
    return sorted(set(needs.tablespaces) - set(target.tablespaces))


def _server_problems(manifest: Manifest, target: Target, request: Request, drill: bool) -> list[str]:
    problems = []
    dumped = major_of(manifest.server_version)
    if target.major < dumped:
        problems.append(
            f"The server runs PostgreSQL {target.version} and the dump is of {manifest.server_version}; "
            f"restore it into {dumped} or later, for there is no way back."
        )
    known = manifest.system_identifier and target.system_identifier
    if known and manifest.system_identifier != target.system_identifier and not (drill or request.allow_other_cluster):
        problems.append(
            f"This server is another one than the dump's ({target.system_identifier} instead of "
            f"{manifest.system_identifier}, on {manifest.host}); pass allow_other_cluster if that is meant."
        )
    if target.free_connections < OTHER_CONNECTIONS + 1:
        problems.append(
            f"The server has {max(0, target.free_connections)} free connections and a restore needs "
            f"{OTHER_CONNECTIONS + 1}; end some sessions or raise max_connections."
        )
    return problems


def _right_problems(needs: Needs, target: Target, request: Request) -> list[str]:
    problems = []
    user = quote(target.user)
    if not target.may_create:
        problems.append(
            f"The role {target.user} may not create databases; ALTER ROLE {user} CREATEDB; or give an admin_url of "
            "a role that may."
        )
    loader = target.role(target.loader.name)
    if loader and not loader.assignable:
        problems.append(
            f"The role {target.user} may not make a database for {loader.name}, which loads the backup; "
            f"GRANT {quote(loader.name)} TO {user};"
        )
    if request.no_owner:
        wanted = sorted({*needs.named, *filter(None, [request.owner])})
        missing = [role for role in wanted if role not in {known.name for known in target.roles}]
        if missing:
            lines = " ".join(f"CREATE ROLE {quote(role)};" for role in missing)
            problems.append(f"The server has no role {', '.join(missing)}, which is needed all the same; {lines}")
        owner = target.role(request.owner)
        if owner and not owner.reachable and owner != loader:
            problems.append(
                f"The role {target.loader.name} may not give anything to {owner.name}; leave owner out, or name the "
                f"role of {owner.name} as owner_url."
            )
    else:
        problems += owner_problems(needs, target)
    return problems + _extension_problems(needs, target)


def owner_problems(needs: Needs, target: Target) -> list[str]:
    """What keeps owners and grants from being restored."""
    problems = []
    loader = target.loader.name
    known = {role.name: role for role in target.roles}
    missing = [role for role in needs.roles if role not in known]
    if missing:
        lines = " ".join(f"CREATE ROLE {quote(role)};" for role in missing)
        problems.append(
            f"The server has no role {', '.join(missing)}, which the dump names; {lines} (globals.sql beside "
            "the dump has them in full), or pass no_owner."
        )
    foreign = [role for role in needs.owners if role in known and not known[role].reachable]
    if foreign:
        problems.append(
            f"The role {loader} may not give anything to {', '.join(foreign)}, which owns a part of the dump; pass "
            f"no_owner, and everything belongs to {loader}, or name another owner_url."
        )
    return problems


def _extension_problems(needs: Needs, target: Target) -> list[str]:
    problems = []
    available = {extension.name: extension for extension in target.extensions}
    for name in needs.extensions:
        if name not in available:
            package = f"postgresql-{target.major}-{_PACKAGES.get(name, name.replace('_', '-'))}"
            problems.append(f"The server has no extension {name}; install its package there ({package} or the like).")
        elif not available[name].permitted and name not in untrusted_extensions(needs, target):
            problems.append(
                f"The extension {name} may only be created by a superuser; give an admin_url of one, and create it in "
                "the live database if it is missing there."
            )
    return problems


def untrusted_extensions(needs: Needs, target: Target) -> tuple[str, ...]:
    """The extensions that only a superuser may create, and may: those that a person gave to the live database before.

    Without a live database there is none to ask, and a dump names no others than those that a superuser had created.
    """
    denied = {extension.name for extension in target.extensions if not extension.permitted}
    known = set(target.live_extensions) if target.live else denied
    return tuple(name for name in needs.extensions if target.superuser and name in denied & known)


def _space_problems(manifest: Manifest, target: Target, request: Request) -> list[str]:
    needed = int(estimate_size(manifest) * 1.1)
    if target.free_bytes is None or target.free_bytes >= needed or request.ignore_space:
        return []
    return [
        f"The server's disk has {target.free_bytes // _MEBIBYTE} MiB free and the database needs about "
        f"{needed // _MEBIBYTE} MiB; free some, or pass ignore_space if you know better."
    ]


def _name_problems(manifest: Manifest, target: Target, request: Request) -> list[str]:
    final, live = final_name(request, manifest), live_name(request, manifest)
    if final in RESERVED:
        return [f"{final} is the server's own database; restore into another name."]
    if final != live and final in target.databases:
        return [f"There is a database {final} already, and it is not {live}; choose another name, or drop it first."]
    if final == live and (manifest.partial or request.tables):
        what = "The backup holds" if manifest.partial else "This would restore"
        return [
            f"{what} only some of the tables, which must not replace {live}; name another database (into), or use "
            "data_only."
        ]
    if final == live and target.live is not None:
        return swap_problems(target.live, target.user)
    return []


def swap_problems(live: Live, user: str) -> list[str]:
    """What keeps a database from being renamed in a moment."""
    problems = []
    if not live.manageable:
        problems.append(
            f"{live.name} belongs to {live.owner} and {user} may not rename it; GRANT {quote(live.owner)} TO "
            f"{quote(user)}; or give an admin_url of a superuser."
        )
    if live.unstoppable:
        problems.append(
            f"{user} may not end the sessions of {', '.join(live.unstoppable)} on {live.name}; "
            f"GRANT pg_signal_backend TO {quote(user)}; or end them (those of superusers yourself)."
        )
    if live.prepared:
        problems.append(
            f"{live.name} has {live.prepared} prepared transactions, which keep it from being renamed; COMMIT "
            "PREPARED or ROLLBACK PREPARED them (pg_prepared_xacts)."
        )
    if live.slots:
        problems.append(f"{live.name} has the replication slots {', '.join(live.slots)}, which cannot move; drop them.")
    if live.subscriptions:
        problems.append(
            f"{live.name} has the subscriptions {', '.join(live.subscriptions)}, which cannot move; drop them."
        )
    return problems


def _data_problems(manifest: Manifest, target: Target, request: Request) -> list[str]:
    final = final_name(request, manifest)
    if final in target.databases:
        return []
    return [f"There is no database {final} to load data into; leave data_only out to restore the whole database."]


def join(problems: Sequence[str]) -> str:
    """One message of all problems."""
    if len(problems) == 1:
        return problems[0]
    return f"{len(problems)} things are in the way: " + " ".join(f"({n}) {text}" for n, text in enumerate(problems, 1))
