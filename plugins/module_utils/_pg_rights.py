# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Who does what in a restore. A dump is an app's: whatever code is in it runs as the role that loads it.

So the administrator only makes, renames and drops databases, and never looks into one that came from a dump. Another
role loads: the owner, who may gain nothing by it that the app does not have anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._database_url import DatabaseUrl

#: Roles whose members reach beyond their own databases; those at the end are the superusers of managed servers.
POWERFUL = (
    *("pg_execute_server_program", "pg_read_server_files", "pg_write_server_files"),
    *("pg_read_all_data", "pg_write_all_data", "pg_create_subscription"),
    *("rds_superuser", "cloudsqlsuperuser", "azure_pg_admin"),
)
#: Arguments: the powerful roles, the live database twice, the role that is asked for.
LOADING = """
SELECT r.rolsuper, r.rolcreaterole, r.rolreplication,
       ARRAY(SELECT g.rolname::text FROM pg_catalog.pg_roles g
             WHERE g.rolname = ANY (%s::text[]) AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER') ORDER BY 1),
       ARRAY(SELECT d.datname::text FROM pg_catalog.pg_database d
             WHERE d.datdba <> r.oid AND d.datname <> %s AND NOT d.datistemplate
               AND d.datdba NOT IN (SELECT l.datdba FROM pg_catalog.pg_database l WHERE l.datname = %s)
               AND pg_catalog.pg_has_role(r.oid, d.datdba, 'MEMBER') ORDER BY 1)
FROM pg_catalog.pg_roles r WHERE r.rolname = %s
"""


@dataclass(frozen=True)
class Logins:
    """The two roles of a restore, on the same server. Often they are one: the app's, if it may create databases."""

    admin: DatabaseUrl
    owner: DatabaseUrl

    @property
    def together(self) -> bool:
        """Whether one role does both."""
        return self.admin.user == self.owner.user


@dataclass(frozen=True)
class Loader:
    """What code in a dump could do as the role that loads it. databases are other apps' that it reaches as a member."""

    name: str
    exists: bool = True
    superuser: bool = False
    may_create_roles: bool = False
    may_replicate: bool = False
    powerful: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()


def read_loader(name: str, found: list[tuple[bool, bool, bool, list[str], list[str]]]) -> Loader:
    """The answer to LOADING."""
    if not found:
        return Loader(name, exists=False)
    superuser, may_create_roles, may_replicate, powerful, databases = found[0]
    return Loader(name, True, superuser, may_create_roles, may_replicate, tuple(powerful), tuple(databases))


def loading_problem(loader: Loader) -> str:
    """Why a role must not load a dump, with what to do instead; empty if it may."""
    if not loader.exists:
        return f"The server has no role {loader.name}, which is to load the backup; create it, or correct owner_url."
    if loader.superuser:
        why = "is a superuser"
    elif loader.may_create_roles:
        why = "may create and change roles (CREATEROLE)"
    elif loader.may_replicate:
        why = "may read the whole server (REPLICATION)"
    elif loader.powerful:
        why = f"is a member of {', '.join(loader.powerful)}"
    elif loader.databases:
        shown = ", ".join(loader.databases[:3]) + (", ..." if len(loader.databases) > 3 else "")
        why = f"is a member of roles that own other databases ({shown})"
    else:
        return ""
    return (
        f"The role {loader.name} must not load a backup, because code in the dump would run with its rights, and it "
        f"{why}; name as owner_url the app's own role, or one that owns nothing else."
    )
