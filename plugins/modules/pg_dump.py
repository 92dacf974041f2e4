#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take one verified backup of a PostgreSQL database."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_dump
short_description: Take one verified backup of a PostgreSQL database
version_added: "0.1.0"
description:
  - Dumps a database in PostgreSQL's custom format into a backup repository on the host that the module runs on, as
    C(<root>/<name>/<id>/) with the dump, the roles and tablespaces where the server shows them, and a manifest.
  - Locks the tables as pg_dump does, takes one snapshot, dumps it, decodes the whole dump, and compares the rows of
    each table in it with those that the same snapshot holds. A backup gets its final name only after that, when every
    file is on disk and hashed. Whatever goes wrong before, earlier backups stay as they are and no partial one is left.
  - Refuses before it writes anything a server that is not the one of the newest backup, tables that its role may not
    read, row-level security that would hide rows, patterns that match nothing, and a disk that is too small.
  - A dump that lost all or much of what the one before had is kept in quarantine and the module fails. Until somebody
    accepts it with C(quayside-backup accept), it does not count and M(quayside.web.pg_dump_rotate) removes nothing.
  - The client that fits the server's version is chosen from C(/usr/lib/postgresql).
  - The password reaches the clients through a file in memory, never through a command line.
author:
  - The quayside.web authors (@quayside)
requirements:
  - Debian's or apt.postgresql.org's C(postgresql-client) of at least the server's version
  - python3-psycopg2
  - age, to encrypt
attributes:
  check_mode:
    support: full
    description: Connects to the server, chooses the client, checks all that a run checks first, and names the tables
      that would be dumped. Writes nothing.
  diff_mode:
    support: none
    description: A new backup has nothing to differ from.
options:
  url:
    description:
      - The database, as C(postgresql://user:password@host:5432/database?sslmode=require).
      - It must reach the server directly, not through a connection pooler.
      - As C(postgresql://postgres@/database?host=/var/run/postgresql) root connects as the OS user V(postgres).
    type: str
    required: true
  name:
    description: Folder of the backups below O(root); a-z, 0-9, C(-) and C(_), starting with a letter.
    type: str
    required: true
  root:
    description: The backup repository; made with mode 0700.
    type: path
    default: /var/backups/quayside
  compression:
    description:
      - V(auto), V(none), or a method and a level such as V(gzip:6) or V(zstd:3).
      - V(auto) is V(zstd:3) from PostgreSQL 16 on and V(gzip:1) before.
    type: str
    default: auto
  tables:
    description: Which tables to dump; all unless something is given here. The manifest of a limited dump says so.
    type: dict
    default: {}
    suboptions:
      include:
        description:
          - Patterns of pg_dump such as V(public.order*); a partitioned table stands for all its partitions.
          - Only these tables are dumped, without the types, functions and schemas that they may need.
        type: list
        elements: str
        default: []
      exclude:
        description: Patterns of tables that are left out.
        type: list
        elements: str
        default: []
  hashed:
    description: Also store a hash of all rows of each table, for a drill to compare. It costs a good second a million
      rows.
    type: bool
    default: false
  encrypt:
    description: Encrypt the backup's files with age before they get their names; not done unless this is given.
    type: dict
    suboptions:
      recipients:
        description: Public keys, each as C(age1…), C(ssh-ed25519 …) or C(ssh-rsa …). Any one of their private keys
          decrypts it; none of them belongs on this host.
        type: list
        elements: str
        required: true
  shrink_percent:
    description: A dump with less than this percentage of the rows or bytes of the newest verified one goes into
      quarantine, from V(0) (never) to V(100).
    type: int
    default: 50
  allow_empty:
    description: Accept a database without tables even if its last backup had some.
    type: bool
    default: false
  allow_other_cluster:
    description: Accept a server that is not the one of the newest backup, after a move or a major upgrade. Needed once.
    type: bool
    default: false
  lock_wait_timeout:
    description: Seconds to wait for each table that a migration has locked, before giving up.
    type: int
    default: 60
  wait:
    description: Seconds to wait for another run on the same O(name) to end.
    type: int
    default: 300
seealso:
  - module: quayside.web.pg_dump_rotate
"""

EXAMPLES = r"""
- name: Back the ledger up before its migration
  quayside.web.pg_dump:
    name: ledger
    url: "{{ ledger_database_url }}"
  register: ledger_backup

- name: Back the orders up without their logs, for two people to read
  quayside.web.pg_dump:
    name: orders
    url: "{{ orders_database_url }}"
    tables:
      exclude: ["public.*_log"]
    encrypt:
      recipients:
        - age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
        - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN ops
"""

RETURN = r"""
id:
  description: Id of the backup, its time in UTC; empty in check mode.
  returned: success, or when the backup is in quarantine
  type: str
  sample: 20261121T030000Z
folder:
  description: Folder of the backup; that of all backups of O(name) in check mode.
  returned: success, or when the backup is in quarantine
  type: str
  sample: /var/backups/quayside/ledger/20261121T030000Z
size:
  description: Bytes of all its files.
  returned: when a backup was taken
  type: int
  sample: 4506994
sha256:
  description: Checksum of the dump as it is on disk.
  returned: when a backup was taken
  type: str
  sample: 1bf9989363572d5d87221d6ce980396430826dd1e095c867908ef0f8df1e1574
verified:
  description: Whether the backup is verified and counts; always true after a success.
  returned: when a backup was taken
  type: bool
  sample: true
tables:
  description: Tables with data in the dump.
  returned: success, or when the backup is in quarantine
  type: int
  sample: 12
table_names:
  description: Their names; in check mode those that would be dumped.
  returned: success, or when the backup is in quarantine
  type: list
  elements: str
  sample: [public.account, public.entry]
rows:
  description: Rows of all tables.
  returned: when a backup was taken
  type: int
  sample: 20100
encrypted:
  description: Whether it is encrypted; in check mode whether it would be.
  returned: success, or when the backup is in quarantine
  type: bool
  sample: false
quarantine:
  description: Why somebody has to look at the backup before it counts; the module has failed then.
  returned: when a backup was taken
  type: str
  sample: ""
duration:
  description: Seconds from the first connection to the end.
  returned: when a backup was taken
  type: float
  sample: 12.1
seconds:
  description: Seconds of each step. Decoding, counting and hashing go on at the same time.
  returned: when a backup was taken
  type: dict
  sample: {dump: 8.3, globals: 0.1, decode: 3.1, count: 1.2, sha256: 0.4}
notes:
  description: What a person should know, for instance that roles could not be read.
  returned: when a backup was taken
  type: list
  elements: str
  sample: []
server_version:
  description: Version of the server; empty in check mode on a host that has no client yet.
  returned: success
  type: str
  sample: "15.8"
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils._age import check_recipients
from ansible_collections.quayside.web.plugins.module_utils._backup_checks import number, patterns
from ansible_collections.quayside.web.plugins.module_utils._database_url import DatabaseUrl, DatabaseUrlError, parse
from ansible_collections.quayside.web.plugins.module_utils._pg_backup import Options, Quarantined, rehearse, take
from ansible_collections.quayside.web.plugins.module_utils._pg_client import check_compression
from ansible_collections.quayside.web.plugins.module_utils._pg_connect import driver_installed
from ansible_collections.quayside.web.plugins.module_utils._pg_programs import installed_clients
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError, Manifest, check_name


def look(module: AnsibleModule, root: str, name: str, url: DatabaseUrl, options: Options) -> dict[str, Any]:
    """What check mode can find out without writing."""
    version, names = "", []
    if installed_clients() and driver_installed():
        ready = rehearse(root, name, url, options)
        version = ready.server.version
        names = [f"{table.schema}.{table.name}" for table in ready.selection.tables]
    else:
        module.warn("No PostgreSQL client or no psycopg2 is installed yet, so the connection was not tried.")
    return {
        "id": "",
        "folder": str(Path(root) / name),
        "server_version": version,
        "tables": len(names),
        "table_names": names,
        "encrypted": bool(options.recipients),
    }


def describe(root: str, manifest: Manifest) -> dict[str, Any]:
    return {
        "id": manifest.id,
        # Not "path": Ansible then puts what it finds there in the place of our own size.
        "folder": str(Path(root) / manifest.name / manifest.id),
        "size": manifest.size,
        "sha256": manifest.sha256,
        "verified": bool(manifest.verified_at) and not manifest.quarantine,
        "tables": len(manifest.tables),
        "table_names": [f"{table.schema}.{table.name}" for table in manifest.tables],
        "rows": manifest.rows,
        "encrypted": manifest.encrypted,
        "quarantine": manifest.quarantine,
        "duration": manifest.duration,
        "seconds": dict(manifest.seconds),
        "notes": list(manifest.notes),
        "server_version": manifest.server_version,
    }


def read_options(given: dict[str, Any]) -> Options:
    return Options(
        compression=check_compression(given["compression"]),
        lock_wait_timeout=number("lock_wait_timeout", given["lock_wait_timeout"], 1, 86400, "seconds"),
        wait=number("wait", given["wait"], 1, 86400, "seconds"),
        allow_empty=given["allow_empty"],
        include=patterns("tables.include", given["tables"]["include"]),
        exclude=patterns("tables.exclude", given["tables"]["exclude"]),
        hashed=given["hashed"],
        recipients=check_recipients(given["encrypt"]["recipients"]) if given["encrypt"] is not None else (),
        shrink_percent=number("shrink_percent", given["shrink_percent"], 0, 100, "percent"),
        allow_other_cluster=given["allow_other_cluster"],
    )


def main() -> None:
    names = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True, "no_log": True},
            "name": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/var/backups/quayside"},
            "compression": {"type": "str", "default": "auto"},
            "tables": {"type": "dict", "default": {}, "options": {"include": names, "exclude": names}},
            "hashed": {"type": "bool", "default": False},
            "encrypt": {
                "type": "dict",
                "options": {"recipients": {"type": "list", "elements": "str", "required": True}},
            },
            "shrink_percent": {"type": "int", "default": 50},
            "allow_empty": {"type": "bool", "default": False},
            "allow_other_cluster": {"type": "bool", "default": False},
            "lock_wait_timeout": {"type": "int", "default": 60},
            "wait": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    given = module.params
    root = given["root"]
    try:
        name = check_name(given["name"])
        url = parse(given["url"])
        options = read_options(given)
        if module.check_mode:
            result = look(module, root, name, url, options)
        else:
            result = describe(root, take(root, name, url, options))
    except Quarantined as error:
        module.fail_json(msg=f"Backup of {given['name']}: {error}", changed=True, **describe(root, error.manifest))
    except (BackupError, DatabaseUrlError) as error:
        module.fail_json(msg=f"Backup of {given['name']}: {error}")
    module.exit_json(changed=True, **result)


if __name__ == "__main__":
    main()
