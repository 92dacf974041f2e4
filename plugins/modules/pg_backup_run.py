#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back databases up now, as their timers do."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup_run
short_description: Back databases up now, as their timers do
version_added: "0.1.0"
description:
  - Takes a verified backup of each database, copies it to its offsite targets, applies the retention here and there,
    brings the metrics up to date and tells the alerts, by the same code and with the same settings as the timers that
    M(quayside.web.pg_backup_agent) installs. The host needs neither of them for that.
  - One database that fails does not keep the others from their backup; the module then fails with a sentence for each.
author:
  - The quayside.web authors (@quayside)
extends_documentation_fragment:
  - quayside.web.backup_settings
attributes:
  check_mode:
    support: full
    description: A rehearsal. Connects, chooses the client, tries the keys, and writes nothing.
  diff_mode:
    support: none
    description: A backup changes no state that could be compared.
options:
  only:
    description: The names of the databases to back up; all when empty.
    type: list
    elements: str
    default: []
  drill:
    description: Prove each backup by a restore into a scratch database as well.
    type: bool
    default: false
seealso:
  - module: quayside.web.pg_backup_agent
  - module: quayside.web.pg_dump
"""

EXAMPLES = r"""
- name: Back the ledger up before something is done to it
  quayside.web.pg_backup_run:
    databases:
      - name: ledger
        url: "{{ ledger_database_url }}"
"""

RETURN = r"""
results:
  description: How it went, a database each.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The database.
      type: str
    ok:
      description: Whether all of it went well, its copies and its drill included.
      type: bool
    id:
      description: Id of the backup; empty when there is none, and in check mode.
      type: str
    error:
      description: What went wrong.
      type: str
    size:
      description: Bytes of the backup.
      type: int
    rows:
      description: Rows in it.
      type: int
    seconds:
      description: How long it took.
      type: float
    removed:
      description: Ids of the backups that the retention removed here.
      type: list
      elements: str
    copies:
      description: The offsite copies.
      type: list
      elements: dict
      contains:
        target:
          description: Name of the target.
          type: str
        path:
          description: Where the copy is.
          type: str
        at:
          description: When it was read back, UTC.
          type: str
        problem:
          description: Why it is not there; empty when it is.
          type: str
    proof:
      description: What the drill found, when there was one.
      type: dict
  sample:
    - {name: ledger, ok: true, id: 20261121T030000Z, error: "", size: 1204224, rows: 20100, seconds: 2.1, removed: [],
       copies: [], proof: null}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils._backup_options import SETTINGS
from ansible_collections.quayside.web.plugins.module_utils._pg_config import Config, Database, parse_config
from ansible_collections.quayside.web.plugins.module_utils._pg_repository import BackupError
from ansible_collections.quayside.web.plugins.module_utils._pg_run import rehearse, run_one


def choose(config: Config, only: list[str]) -> list[Database]:
    """The databases that are meant; a name that none has is refused before anything is done."""
    chosen = [config.find(name) for name in only]
    return chosen or list(config.databases)


def main() -> None:
    own = {
        "only": {"type": "list", "elements": "str", "default": []},
        "drill": {"type": "bool", "default": False},
    }
    module = AnsibleModule(argument_spec={**SETTINGS, **own}, supports_check_mode=True)
    try:
        config = parse_config({key: module.params[key] for key in SETTINGS})
        databases = choose(config, module.params["only"])
    except BackupError as error:
        module.fail_json(msg=str(error), results=[])
    if module.check_mode:
        outcomes = [rehearse(config, database, module.log) for database in databases]
    else:
        outcomes = [run_one(config, one, module.log, drill=module.params["drill"]) for one in databases]
    results = [outcome.to_dict() for outcome in outcomes]
    changed = bool(outcomes) and (module.check_mode or any(outcome.id for outcome in outcomes))
    failed = [f"{outcome.name}: {outcome.error}" for outcome in outcomes if not outcome.ok]
    if failed:
        module.fail_json(msg="\n".join(failed), changed=changed, results=results)
    module.exit_json(changed=changed, results=results)


if __name__ == "__main__":
    main()
