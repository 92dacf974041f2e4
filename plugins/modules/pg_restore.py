#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore a backup of a PostgreSQL database, or undo a restore."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_restore
short_description: Restore a backup of a PostgreSQL database, or undo a restore
version_added: "0.1.0"
description:
  - Restores a backup of M(quayside.web.pg_dump) into a new database beside the live one, counts every table (and
    compares its hash if the backup has one), gathers statistics, and then puts it in the place of the live database in
    one transaction. The old database is kept under another name for O(keep_old_days).
  - Whatever goes wrong or is killed, either the old or the new database is live, and whole.
  - Everything that speaks against the restore (roles, extensions, versions, disk, connections, damage) is told in one
    message, before anything is touched.
  - The app may go on running. Its sessions are ended at the swap and refused for about 0.2 seconds.
  - With O(data_only) rows are loaded into the tables of an existing database instead, all in one transaction.
author:
  - The quayside.web authors (@quayside)
requirements:
  - Debian's or apt.postgresql.org's C(postgresql-client) of at least the version that the dump was made with
  - psycopg2 (C(python3-psycopg2))
  - for encrypted backups C(age), for O(from) C(rclone)
extends_documentation_fragment:
  - quayside.web.backup_settings.from
attributes:
  check_mode:
    support: full
    description:
      - Does the whole preflight and reports the plan; writes nothing.
      - With O(from) the backup is chosen, but neither fetched nor looked into.
  diff_mode:
    support: full
    description: Shows which database has the name before and after, with its rows.
options:
  name:
    description: Folder of the backups below O(root).
    type: str
    required: true
  url:
    description:
      - The live database, as C(postgresql://user:password@host:5432/database?sslmode=require).
      - With another server's URL the backup is restored there; see O(allow_other_cluster).
    type: str
    required: true
  admin_url:
    description:
      - The same server with a role that may create databases, and may give them to the role of O(owner_url).
      - It creates, renames and drops databases, and runs nothing that a backup holds.
      - As root a URL with a socket, such as C(postgresql://postgres@%2Fvar%2Frun%2Fpostgresql/postgres), logs in as the
        system user of that name.
      - O(url) by default.
    type: str
  owner_url:
    description:
      - The same server with the role that loads the backup and owns what it loads. Code in the backup runs with its
        rights, so a superuser, a role with C(CREATEROLE) or C(REPLICATION), a member of such roles as
        C(pg_read_all_data) and a member of other apps' roles are refused.
      - O(url) by default.
    type: str
  backup:
    description:
      - Which backup to restore, one of V(latest) (the newest that is verified, whole and in no quarantine), an id such
        as V(20261121T030000Z), or a time such as V(2026-11-21T03:00) or V(2026-11-21 03:00+01:00) (without a zone the
        host's), which means the newest one that is not after it. A day alone means its end.
    type: str
    default: latest
  root:
    description: The backup repository.
    type: path
    default: /var/backups/quayside
  from:
    description:
      - An offsite target to fetch the backup from if it is not in O(root); an entry of O(ignore:databases[].offsite) of
        M(quayside.web.pg_backup_agent). It stays in O(root) afterwards.
  into:
    description:
      - Another name for the restored database. There must be none of that name yet.
      - With O(data_only) the database to load into.
    type: str
    default: ""
  identity:
    description: File with the private age key, of mode 0600; needed for an encrypted backup.
    type: path
  undo:
    description:
      - Put the database back that the last restore of O(name) replaced. The present one is kept for O(keep_old_days).
      - Fails if there is none.
    type: bool
    default: false
  keep_old_days:
    description:
      - Days that the replaced database is kept; the nightly run drops it then. With V(0) the next run does.
    type: int
    default: 7
  data_only:
    description:
      - Load rows into tables that exist, in one transaction and with foreign keys checked at its end, and nothing else.
      - Triggers of the tables do not fire.
    type: bool
    default: false
  tables:
    description:
      - Tables to restore, as C(schema.table), or by the name alone where only one schema has it.
      - Without O(data_only) the structure of all tables is restored but only the rows of these, and no foreign keys;
        this needs another database (O(into)).
    type: list
    elements: str
    default: []
  truncate:
    description: Empty the tables first, with O(data_only).
    type: bool
    default: false
  no_owner:
    description:
      - Restore neither owners nor grants, for a server that lacks the dump's roles. Everything belongs to O(owner).
    type: bool
    default: false
  owner:
    description: The role that everything shall belong to, with O(no_owner); that of O(url) by default.
    type: str
    default: ""
  jobs:
    description: How many tables and indexes are restored at the same time; V(0) is one a processor, at most 4.
    type: int
    default: 0
  force:
    description: Accept a backup that is in quarantine, if O(backup) names it by its id.
    type: bool
    default: false
  allow_other_cluster:
    description: Accept a server that is not the one that was dumped.
    type: bool
    default: false
  accept_missing:
    description:
      - Replace the live database even if an index or a materialized view cannot be made, because a function of it does
        not find what it calls under an empty C(search_path). Every row is there all the same, and a warning names them.
    type: bool
    default: false
  ignore_space:
    description: Begin although the server's disk seems too small.
    type: bool
    default: false
  wait:
    description: Seconds to wait for another run on the same O(name) to end.
    type: int
    default: 300
seealso:
  - module: quayside.web.pg_dump
  - module: quayside.web.pg_dump_verify
"""

EXAMPLES = r"""
- name: Take the ledger back to last night
  quayside.web.pg_restore:
    name: ledger
    url: "{{ ledger_database_url }}"
    admin_url: postgresql://postgres@%2Fvar%2Frun%2Fpostgresql/postgres
    backup: 2026-11-21T03:00

- name: That was the wrong night
  quayside.web.pg_restore:
    name: ledger
    url: "{{ ledger_database_url }}"
    admin_url: postgresql://postgres@%2Fvar%2Frun%2Fpostgresql/postgres
    undo: true

- name: Look at an old state beside the live one
  quayside.web.pg_restore:
    name: ledger
    url: "{{ ledger_database_url }}"
    backup: 20261101T030000Z
    into: ledger_november

- name: Bring one table's rows back
  quayside.web.pg_restore:
    name: ledger
    url: "{{ ledger_database_url }}"
    data_only: true
    truncate: true
    tables: [public.rates]
"""

RETURN = r"""
id:
  description: Id of the backup; with O(undo) of the one whose restore was undone.
  returned: success
  type: str
  sample: 20261121T030000Z
database:
  description: The name under which the restored database is found.
  returned: success
  type: str
  sample: ledger
tables:
  description: Tables whose rows were restored.
  returned: when not O(undo)
  type: int
  sample: 12
rows:
  description: Rows in them.
  returned: when not O(undo)
  type: int
  sample: 48211
seconds:
  description: Seconds by step (check, create, restore, count, analyze, swap, or load); empty in check mode.
  returned: success
  type: dict
  sample: {check: 0.4, create: 0.1, restore: 22.0, count: 1.1, analyze: 0.9, swap: 0.1}
duration:
  description: Sum of O(ignore:seconds), the measured time to recovery.
  returned: when something was restored
  type: float
  sample: 24.6
old_database:
  description: What the replaced database is called now, or would be; empty if none was replaced.
  returned: success
  type: str
  sample: ledger_old_20261121t101500z
old_expires:
  description: From when on it may be dropped.
  returned: when something was restored
  type: str
  sample: "2026-11-28T10:15:00Z"
undo:
  description: The host's command that swaps back.
  returned: when something was restored
  type: str
  sample: quayside-backup undo ledger
sessions:
  description: Sessions on the database that would be ended.
  returned: in check mode
  type: int
  sample: 20
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils._backup_options import OFFSITE
from ansible_collections.quayside.web.plugins.module_utils._database_url import DatabaseUrl, DatabaseUrlError, parse
from ansible_collections.quayside.web.plugins.module_utils._offsite import parse_target
from ansible_collections.quayside.web.plugins.module_utils._pg_bring import bring, choose_remote
from ansible_collections.quayside.web.plugins.module_utils._pg_config import check_seconds
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError, check_name
from ansible_collections.quayside.web.plugins.module_utils._pg_restore import preflight, restore
from ansible_collections.quayside.web.plugins.module_utils._pg_restore_plan import Request
from ansible_collections.quayside.web.plugins.module_utils._pg_rights import Logins
from ansible_collections.quayside.web.plugins.module_utils._pg_swap import look_for_old, undo


def read_request(given: dict[str, Any], database: str, loader: str) -> Request:
    """What is wanted; BackupError for what contradicts itself."""
    return Request(
        database=database,
        into=given["into"],
        identity=Path(given["identity"]) if given["identity"] else None,
        no_owner=given["no_owner"],
        owner=given["owner"] or (loader if given["no_owner"] else ""),
        jobs=given["jobs"],
        keep_old_days=given["keep_old_days"],
        data_only=given["data_only"],
        tables=tuple(given["tables"]),
        truncate=given["truncate"],
        force=given["force"],
        allow_other_cluster=given["allow_other_cluster"],
        ignore_space=given["ignore_space"],
        accept_missing=given["accept_missing"],
        wait=check_seconds("wait", given["wait"]),
    )


def take_back(given: dict[str, Any], admin: DatabaseUrl, database: str, check: bool) -> dict[str, Any]:
    """Undo the last restore, or in check mode find what that would bring back."""
    wait = check_seconds("wait", given["wait"])
    if check:
        old, mark = look_for_old(given["name"], admin, database)
        diff = {"before": f"{mark.database}: as restored\n", "after": f"{mark.database}: {old}\n"}
        return {"id": mark.backup, "database": mark.database, "old_database": "", "seconds": {}, "diff": diff}
    done = undo(given["root"], given["name"], admin, database=database, keep_days=given["keep_old_days"], wait=wait)
    left_out = ("tables", "rows", "undo")
    return {key: value for key, value in done.to_dict().items() if key not in left_out}


def put_back(given: dict[str, Any], logins: Logins, request: Request, check: bool) -> dict[str, Any]:
    """Restore, or in check mode find out whether that would succeed."""
    root, name, wanted = given["root"], given["name"], given["backup"]
    source = {key: value for key, value in (given["from"] or {}).items() if value is not None}
    target = parse_target(source) if source else None
    if target and check:
        found = choose_remote(target, name, wanted, request.force)
        return {"id": found.id, "database": request.into or request.database, "old_database": "", "seconds": {}}
    if target:
        wanted = bring(target, root, name, wanted, request.force)
    if check:
        plan = preflight(root, name, wanted, logins, request)
        return {**plan.to_dict(), "diff": plan.diff()}
    return restore(root, name, wanted, logins, request).to_dict()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "url": {"type": "str", "required": True, "no_log": True},
            "admin_url": {"type": "str", "no_log": True},
            "owner_url": {"type": "str", "no_log": True},
            "backup": {"type": "str", "default": "latest"},
            "root": {"type": "path", "default": "/var/backups/quayside"},
            "from": {"type": "dict", "options": OFFSITE},
            "into": {"type": "str", "default": ""},
            "identity": {"type": "path"},
            "undo": {"type": "bool", "default": False},
            "keep_old_days": {"type": "int", "default": 7},
            "data_only": {"type": "bool", "default": False},
            "tables": {"type": "list", "elements": "str", "default": []},
            "truncate": {"type": "bool", "default": False},
            "no_owner": {"type": "bool", "default": False},
            "owner": {"type": "str", "default": ""},
            "jobs": {"type": "int", "default": 0},
            "force": {"type": "bool", "default": False},
            "allow_other_cluster": {"type": "bool", "default": False},
            "ignore_space": {"type": "bool", "default": False},
            "accept_missing": {"type": "bool", "default": False},
            "wait": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        check_name(given["name"])
        url = parse(given["url"])
        logins = Logins(*(parse(given[key]) if given[key] else url for key in ("admin_url", "owner_url")))
        request = read_request(given, url.database, logins.owner.user)
        if given["undo"]:
            result = take_back(given, logins.admin, url.database, module.check_mode)
        else:
            result = put_back(given, logins, request, module.check_mode)
    except (BackupError, DatabaseUrlError) as error:
        module.fail_json(msg=f"{'Undo' if given['undo'] else 'Restore'} of {given['name']}: {error}")
    for warning in result.pop("warnings", []):
        module.warn(f"{given['name']}: {warning}")
    module.exit_json(changed=True, **result)


if __name__ == "__main__":
    main()
