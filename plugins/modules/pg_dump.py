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
  - A backup gets its final name only after every file is on disk, hashed, and the whole dump has been decoded. Whatever
    goes wrong before, earlier backups stay as they are and no partial one is left.
  - The client that fits the server's version is chosen from C(/usr/lib/postgresql).
  - The password reaches the clients through a file in memory, never through a command line.
author:
  - The quayside.web authors (@quayside)
requirements:
  - Debian's or apt.postgresql.org's C(postgresql-client) of at least the server's version
attributes:
  check_mode:
    support: full
    description: Connects to the server and chooses the client, writes nothing.
  diff_mode:
    support: none
    description: A new backup has nothing to differ from.
options:
  url:
    description:
      - The database, as C(postgresql://user:password@host:5432/database?sslmode=require).
      - It must reach the server directly, not through a transaction pooler.
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
  lock_wait_timeout:
    description: Seconds to wait for each table that a migration has locked, before giving up.
    type: int
    default: 60
  wait:
    description: Seconds to wait for another run on the same O(name) to end.
    type: int
    default: 300
  allow_empty:
    description: Accept a database without tables even if its last backup had some.
    type: bool
    default: false
seealso:
  - module: quayside.web.pg_dump_rotate
"""

EXAMPLES = r"""
- name: Back the ledger up before its migration
  quayside.web.pg_dump:
    name: ledger
    url: "{{ ledger_database_url }}"
  register: ledger_backup
"""

RETURN = r"""
id:
  description: Id of the backup, its time in UTC; empty in check mode.
  returned: success
  type: str
  sample: 20261121T030000Z
path:
  description: Folder of the backup; that of all backups of O(name) in check mode.
  returned: success
  type: str
  sample: /var/backups/quayside/ledger/20261121T030000Z
size:
  description: Bytes of all its files.
  returned: when a backup was taken
  type: int
  sample: 4506994
sha256:
  description: Checksum of the dump.
  returned: when a backup was taken
  type: str
  sample: 1bf9989363572d5d87221d6ce980396430826dd1e095c867908ef0f8df1e1574
verified:
  description: Whether the backup was proven; always true after a success.
  returned: when a backup was taken
  type: bool
  sample: true
tables:
  description: Tables with data in the dump.
  returned: when a backup was taken
  type: int
  sample: 12
duration:
  description: Seconds from the first connection to the proof.
  returned: when a backup was taken
  type: float
  sample: 8.3
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
from ansible_collections.quayside.web.plugins.module_utils._backup_checks import number
from ansible_collections.quayside.web.plugins.module_utils._database_url import DatabaseUrl, DatabaseUrlError, parse
from ansible_collections.quayside.web.plugins.module_utils._pg_backup import Options, take
from ansible_collections.quayside.web.plugins.module_utils._pg_client import (
    check_compression,
    choose_compression,
    choose_major,
)
from ansible_collections.quayside.web.plugins.module_utils._pg_programs import installed_clients, probe
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError, check_name


def rehearse(module: AnsibleModule, root: str, name: str, url: DatabaseUrl, options: Options) -> dict[str, Any]:
    """What check mode can find out without writing."""
    version = ""
    if installed_clients():
        server = probe(url)
        choose_compression(options.compression, choose_major(installed_clients(), server.major), server.major)
        version = server.version
    else:
        module.warn("No PostgreSQL client is installed yet, so the connection was not tried.")
    return {"id": "", "path": str(Path(root) / name), "server_version": version}


def back_up(root: str, name: str, url: DatabaseUrl, options: Options) -> dict[str, Any]:
    manifest = take(root, name, url, options)
    return {
        "id": manifest.id,
        "path": str(Path(root) / name / manifest.id),
        "size": manifest.size,
        "sha256": manifest.sha256,
        "verified": bool(manifest.verified_at),
        "tables": len(manifest.tables),
        "duration": manifest.duration,
        "notes": list(manifest.notes),
        "server_version": manifest.server_version,
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True, "no_log": True},
            "name": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/var/backups/quayside"},
            "compression": {"type": "str", "default": "auto"},
            "lock_wait_timeout": {"type": "int", "default": 60},
            "wait": {"type": "int", "default": 300},
            "allow_empty": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        name = check_name(given["name"])
        url = parse(given["url"])
        options = Options(
            compression=check_compression(given["compression"]),
            lock_wait_timeout=number("lock_wait_timeout", given["lock_wait_timeout"], 1, 86400, "seconds"),
            wait=number("wait", given["wait"], 1, 86400, "seconds"),
            allow_empty=given["allow_empty"],
        )
        if module.check_mode:
            result = rehearse(module, given["root"], name, url, options)
        else:
            result = back_up(given["root"], name, url, options)
    except (BackupError, DatabaseUrlError) as error:
        module.fail_json(msg=f"Backup of {given['name']}: {error}")
    module.exit_json(changed=True, **result)


if __name__ == "__main__":
    main()
