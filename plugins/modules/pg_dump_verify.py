#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verify backups again, and prove one by restoring it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_dump_verify
short_description: Verify backups again, and prove one by a restore
version_added: "0.1.0"
description:
  - Reads backups of M(quayside.web.pg_dump) as they are on disk now, compares size and sha256 of every file with the
    manifest and decodes the whole dump. What is found is written into the manifest, so that a damaged backup no longer
    counts in the retention.
  - With O(drill) one backup is restored into a scratch database, every table's rows are counted and compared (and their
    hash if the backup has one), and the scratch database is dropped. Result and seconds go into the manifest.
  - Fails if a backup that was asked for turns out not to be good, after all of them have been looked at.
author:
  - The quayside.web authors (@quayside)
requirements:
  - Debian's or apt.postgresql.org's C(postgresql-client) of at least the version that the dump was made with
  - for O(drill) psycopg2 (C(python3-psycopg2)), for encrypted backups C(age)
attributes:
  check_mode:
    support: full
    description: Reports what the manifests say; reads no dump, restores nothing, writes nothing.
  diff_mode:
    support: full
    description: Shows each backup's verdict before and after.
options:
  name:
    description: Folder of the backups below O(root).
    type: str
    required: true
  backup:
    description:
      - V(all), or one backup by V(latest), an id, or a time (see M(quayside.web.pg_restore)).
      - With O(drill) one backup, V(latest) by default.
    type: str
  root:
    description: The backup repository.
    type: path
    default: /var/backups/quayside
  identity:
    description:
      - File with the private age key, of mode 0600.
      - Without it an encrypted backup is compared with its checksum and not decoded.
    type: path
  drill:
    description: Prove the backup by restoring it on O(url)'s server.
    type: bool
    default: false
  url:
    description: >-
      For O(drill), the server to restore on, as C(postgresql://user:password@host:5432/database); its role must be
      allowed to create databases. It may be another one than the dump's.
    type: str
  owner_url:
    description:
      - For O(drill), the role that loads the backup on that server, by default that of O(url). Code in the backup runs
        with its rights, so a superuser or another powerful role is refused.
    type: str
  hashed:
    description: With O(drill), compare the tables' hashes too, where the backup has them.
    type: bool
    default: true
  wait:
    description: Seconds that a drill waits for another run on the same O(name) to end.
    type: int
    default: 300
seealso:
  - module: quayside.web.pg_dump
  - module: quayside.web.pg_restore
"""

EXAMPLES = r"""
- name: Read all backups of the ledger again
  quayside.web.pg_dump_verify:
    name: ledger

- name: Prove the newest one by a real restore
  quayside.web.pg_dump_verify:
    name: ledger
    drill: true
    url: postgresql://postgres@%2Fvar%2Frun%2Fpostgresql/postgres
"""

RETURN = r"""
backups:
  description: The backups that were looked at, oldest first.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: Id of the backup.
      type: str
    verified:
      description: Whether it can be trusted.
      type: bool
    proven:
      description: Whether its last drill restored every row.
      type: bool
    problem:
      description: Why it cannot be trusted, or what its last drill found; empty when all is well.
      type: str
    seconds:
      description: How long its last drill took; 0 without one.
      type: float
  sample:
    - {id: 20261121T030000Z, verified: true, proven: true, problem: "", seconds: 24.6}
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils._database_url import DatabaseUrlError, parse
from ansible_collections.quayside.web.plugins.module_utils._pg_backup import verify
from ansible_collections.quayside.web.plugins.module_utils._pg_config import check_seconds
from ansible_collections.quayside.web.plugins.module_utils._pg_drill import drill
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import Backup, BackupError, check_name
from ansible_collections.quayside.web.plugins.module_utils._pg_restore_plan import choose
from ansible_collections.quayside.web.plugins.module_utils._pg_rights import Logins
from ansible_collections.quayside.web.plugins.module_utils._pg_store import find, load

ALL = "all"


def chosen(root: str, name: str, wanted: str) -> list[Backup]:
    """The backups that are meant; a damaged one may be looked at again, so an id is enough for it."""
    backups = load(root, name)
    if wanted == ALL:
        if not backups:
            raise BackupError(f"There is no backup of {name} in {root}.")
        return backups
    by_id = [backup for backup in backups if backup.id == wanted]
    return by_id or [choose(backups, wanted)]


def describe(backup: Backup) -> dict[str, Any]:
    proof = backup.manifest.proof if backup.manifest else None
    return {
        "id": backup.id,
        "verified": backup.verified,
        "proven": backup.proven,
        "problem": backup.problem or (f"its drill failed: {proof.problem}" if proof and proof.problem else ""),
        "seconds": proof.seconds if proof else 0.0,
    }


def verdict(backup: Backup) -> str:
    """One line of the diff."""
    found = describe(backup)
    word = "proven" if found["proven"] else "verified" if found["verified"] else "not to be trusted"
    return f"{backup.id}  {word}{': ' + found['problem'] if found['problem'] else ''}\n"


def look(given: dict[str, Any], before: list[Backup]) -> list[Backup]:
    """Verify, and drill if wanted; the backups as they are known afterwards."""
    root, name = given["root"], given["name"]
    identity = Path(given["identity"]) if given["identity"] else None
    after = [verify(root, name, backup.id, identity=identity) for backup in before]
    if given["drill"] and all(backup.verified for backup in after):
        wait = check_seconds("wait", given["wait"])
        logins = Logins(parse(given["url"]), parse(given["owner_url"] or given["url"]))
        for backup in after:
            drill(root, name, backup.id, logins, hashed=given["hashed"], identity=identity, wait=wait)
        after = [find(root, name, backup.id) for backup in after]
    return after


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "backup": {"type": "str"},
            "root": {"type": "path", "default": "/var/backups/quayside"},
            "identity": {"type": "path"},
            "drill": {"type": "bool", "default": False},
            "url": {"type": "str", "no_log": True},
            "owner_url": {"type": "str", "no_log": True},
            "hashed": {"type": "bool", "default": True},
            "wait": {"type": "int", "default": 300},
        },
        required_if=[("drill", True, ["url"])],
        supports_check_mode=True,
    )
    given = module.params
    wanted = given["backup"] or ("latest" if given["drill"] else ALL)
    try:
        if given["drill"] and wanted == ALL:
            raise BackupError("backup is all; a drill restores one backup, name it or leave it out for the latest.")
        before = chosen(given["root"], check_name(given["name"]), wanted)
        after = before if module.check_mode else look(given, before)
    except (BackupError, DatabaseUrlError) as error:
        module.fail_json(msg=f"Backups of {given['name']}: {error}")
    diff = {"before": "".join(map(verdict, before)), "after": "".join(map(verdict, after))}
    # A drill always leaves a newer proof behind.
    changed = diff["before"] != diff["after"] or given["drill"]
    result = {"changed": changed, "backups": [describe(backup) for backup in after], "diff": diff}
    bad = [describe(backup) for backup in after if describe(backup)["problem"]]
    if bad and not module.check_mode:
        told = "; ".join(f"{one['id']}: {one['problem']}" for one in bad[:5])
        more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
        module.fail_json(msg=f"Backups of {given['name']}: {told}{more}.", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
