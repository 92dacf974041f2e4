#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove the backups that a day, week, month and year policy doesn't keep."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_dump_rotate
short_description: Remove backups that a day, week, month and year policy does not keep
version_added: "0.1.0"
description:
  - Keeps the newest verified backup of each of the last days, weeks, months and years (UTC) that have one, and never
    fewer than O(minimum) verified backups, of which the newest can't be removed at all.
  - Time alone removes nothing. When no new backups arrive, the old ones stay.
  - A backup that can't be trusted (damaged, cut, without manifest) neither counts nor is removed; it's listed with its
    problem for a person to look at.
  - Nothing is removed while a backup newer than the newest verified one is in quarantine, for it may have lost what
    only the older ones hold.
author:
  - The quayside.web authors (@quayside)
extends_documentation_fragment:
  - quayside.web.backup_settings.keep
attributes:
  check_mode:
    support: full
    description: Reports what would be removed, and why each of the others stays. Removes nothing.
  diff_mode:
    support: full
    description: Shows the backups before and after.
options:
  name:
    description: Folder of the backups below O(root).
    type: str
    required: true
  root:
    description: The backup repository.
    type: path
    default: /var/backups/quayside
  keep:
    description: How many periods of each kind keep a backup.
    default: {}
  minimum:
    description: Verified backups that always stay, whatever O(keep) says; at least 1.
    type: int
    default: 3
  wait:
    description: Seconds to wait for another run on the same O(name) to end.
    type: int
    default: 300
seealso:
  - module: quayside.web.pg_dump
"""

EXAMPLES = r"""
- name: Keep a week of daily and a year of monthly backups
  quayside.web.pg_dump_rotate:
    name: ledger
    keep:
      daily: 7
      weekly: 0
      monthly: 12
"""

RETURN = r"""
kept:
  description: The backups that stay, newest first, each with the reasons why.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Id of the backup.
      type: str
    reasons:
      description: Why it stays.
      type: list
      elements: str
  sample:
    - id: 20261121T030000Z
      reasons: [newest, day 2026-11-21, week 2026-W47, month 2026-11]
frozen:
  description: Why nothing may be removed at all; empty otherwise.
  returned: success
  type: str
  sample: ""
removed:
  description: Ids of the backups that went, or would go in check mode.
  returned: success
  type: list
  elements: str
  sample: [20261113T030000Z]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils._backup_checks import number
from ansible_collections.quayside.web.plugins.module_utils._pg_backup import rotate
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError, check_name
from ansible_collections.quayside.web.plugins.module_utils._pg_rotation import Plan, check_minimum, parse_keep, plan
from ansible_collections.quayside.web.plugins.module_utils._pg_store import load


def describe(decided: Plan) -> dict[str, Any]:
    """The result of a plan, with its diff: one line a backup."""
    stays = {kept.id: ", ".join(kept.reasons) for kept in decided.kept}
    everything = sorted([*stays, *decided.removed], reverse=True)
    return {
        "changed": bool(decided.removed),
        "kept": [{"id": kept.id, "reasons": list(kept.reasons)} for kept in decided.kept],
        "removed": list(decided.removed),
        "frozen": decided.frozen,
        "diff": {
            "before": "".join(f"{backup_id}  {stays.get(backup_id, 'no rule keeps it')}\n" for backup_id in everything),
            "after": "".join(f"{backup_id}  {stays[backup_id]}\n" for backup_id in everything if backup_id in stays),
        },
    }


def main() -> None:
    periods = {"daily": 7, "weekly": 4, "monthly": 6, "yearly": 0}
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "root": {"type": "path", "default": "/var/backups/quayside"},
            "keep": {
                "type": "dict",
                "default": {},
                "options": {key: {"type": "int", "default": count} for key, count in periods.items()},
            },
            "minimum": {"type": "int", "default": 3},
            "wait": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        name = check_name(given["name"])
        keep = parse_keep(given["keep"])
        minimum = check_minimum(given["minimum"])
        wait = number("wait", given["wait"], 1, 86400, "seconds")
        if module.check_mode:
            decided = plan(load(given["root"], name), keep, minimum)
        else:
            decided = rotate(given["root"], name, keep, minimum, wait=wait)
    except BackupError as error:
        module.fail_json(msg=f"Backups of {given['name']}: {error}")
    if decided.frozen:
        module.warn(f"Backups of {given['name']}: nothing is removed, as {decided.frozen}.")
    module.exit_json(**describe(decided))


if __name__ == "__main__":
    main()
