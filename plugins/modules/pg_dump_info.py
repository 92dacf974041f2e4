#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""List backups, their proof and their age."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_dump_info
short_description: List backups, their proof and their age
version_added: "0.1.0"
description:
  - Lists the backups of a repository on the host, or the copies at an offsite target, and says which of them can be
    trusted. A verified backup was decoded in full and compared with its database; a proven one was restored too.
  - Reads manifests and sizes only. M(quayside.web.pg_dump_verify) reads whole backups.
author:
  - The quayside.web authors (@quayside)
extends_documentation_fragment:
  - quayside.web.backup_settings.offsite
attributes:
  check_mode:
    support: full
    description: Does the same; it never changes anything.
  diff_mode:
    support: none
    description: It never changes anything.
options:
  root:
    description: The backup repository.
    type: path
    default: /var/backups/quayside
  names:
    description: Only the backups of these databases; all when empty.
    type: list
    elements: str
    default: []
  offsite:
    description:
      - List the copies at this target in place of the backups of the host; an entry of O(ignore:databases[].offsite) of
        M(quayside.web.pg_backup_agent).
      - Needs rclone on the host.
seealso:
  - module: quayside.web.pg_backup_agent
  - module: quayside.web.pg_dump_verify
"""

EXAMPLES = r"""
- name: Read what there is of the ledger
  quayside.web.pg_dump_info:
    names: [ledger]
  register: found

- name: Refuse to go on without a proven backup of the last two days
  ansible.builtin.assert:
    that: found.backups | selectattr('proven') | selectattr('age_hours', 'lt', 48) | list | length > 0
"""

RETURN = r"""
backups:
  description: The backups, by name and from the oldest to the newest.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The database's name in the repository.
      type: str
    id:
      description: Its id, a moment in UTC.
      type: str
    verified:
      description: Whether it can be trusted.
      type: bool
    proven:
      description: Whether its last drill restored every row.
      type: bool
    problem:
      description: Why it can't be trusted.
      type: str
    quarantine:
      description: Why a person has to look at it; empty when nobody has to.
      type: str
    created_at:
      description: When it was taken, UTC.
      type: str
    age_hours:
      description: How long ago that is.
      type: float
    verified_at:
      description: When it was last verified, UTC.
      type: str
    proof:
      description: What its last drill found; null when there was none.
      type: dict
      contains:
        at:
          description: When, UTC.
          type: str
        seconds:
          description: How long the restore took.
          type: float
        server_version:
          description: Version of the server that it was restored on.
          type: str
        tables:
          description: Tables that were counted.
          type: int
        rows:
          description: Rows that were counted.
          type: int
        hashed:
          description: Whether contents were compared too.
          type: bool
        problem:
          description: What was not as in the manifest; empty when all was.
          type: str
        excepted:
          description: Indexes and the like that could not be made, although every row was there.
          type: list
          elements: str
    size:
      description: Bytes of all its files.
      type: int
    rows:
      description: Rows in all its tables.
      type: int
    tables:
      description: Number of tables.
      type: int
    seconds:
      description: How long it took.
      type: float
    sha256:
      description: Of the dump.
      type: str
    encrypted:
      description: Whether a private key is needed to restore it.
      type: bool
    partial:
      description: Whether tables were left out on purpose.
      type: bool
    copies:
      description: Its offsite copies, each with target, path, at and problem.
      type: list
      elements: dict
    server_version:
      description: Version of the server that was dumped.
      type: str
    notes:
      description: What else a person should know.
      type: list
      elements: str
runs:
  description: The last run and the last drill of each name; null for what there has not been yet.
  returned: success
  type: dict
  sample:
    ledger:
      run: {started: "2026-11-21T03:00:00Z", finished: "2026-11-21T03:00:09Z", ok: true, error: "", step: retention}
      drill: null
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils import _backup_status as status
from ansible_collections.quayside.web.plugins.module_utils._backup_options import OFFSITE, ROOT
from ansible_collections.quayside.web.plugins.module_utils._offsite import Target, parse_target
from ansible_collections.quayside.web.plugins.module_utils._offsite_copy import listing
from ansible_collections.quayside.web.plugins.module_utils._offsite_copy import names as names_there
from ansible_collections.quayside.web.plugins.module_utils._pg_cli_output import describe
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import Backup, BackupError, check_name
from ansible_collections.quayside.web.plugins.module_utils._pg_store import list_names, load, utc_now


def find(root: str, names: list[str], target: Target | None) -> dict[str, list[Backup]]:
    """The backups of each name, here or at a target."""
    wanted = [check_name(name) for name in names]
    if target is None:
        return {name: load(root, name) for name in wanted or list_names(root)}
    return {name: listing(target, name) for name in wanted or names_there(target)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "root": ROOT,
            "names": {"type": "list", "elements": "str", "default": []},
            "offsite": {"type": "dict", "options": OFFSITE},
        },
        supports_check_mode=True,
    )
    root, given = module.params["root"], module.params["offsite"]
    try:
        target = parse_target({key: value for key, value in given.items() if value is not None}) if given else None
        found = find(root, module.params["names"], target)
    except BackupError as error:
        module.fail_json(msg=str(error))
    now = utc_now()
    states = {name: status.read(root, name).to_dict() for name in found}
    module.exit_json(
        changed=False,
        backups=[describe(name, backup, now) for name, backups in found.items() for backup in backups],
        runs={name: {key: state[key] for key in ("run", "drill")} for name, state in states.items()},
    )


if __name__ == "__main__":
    main()
