#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Assign loopback ports to apps and record them on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: app_ports
short_description: Assign each app its own loopback ports, for good
version_added: "0.1.0"
author: ["The quayside.web authors (@quayside)"]
description:
  - Gives each app a block of 20 loopback ports from 21000 on, the first half for its blue slot and the second for its
    green one, and records it in C(/var/lib/quayside/ports.json). What is recorded never changes by itself.
  - The ports lie below Linux's default range of ephemeral ports. A block with a port that something else listens on
    is passed over.
  - Gives C(/var/lib/quayside) and the folders of the apps below it the modes that nginx needs to see which slot is
    live, whatever the umask is, and repairs them on later runs.
attributes:
  check_mode: {support: full, description: Returns the ports that would be assigned.}
  diff_mode: {support: full, description: Shows the recorded ports before and after.}
options:
  apps:
    description: The first port that each app asks for (its key C(slot_port)), or nothing, by the app's name.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Assign ports to two apps
  quayside.web.app_ports:
    apps: {ledger: null, archive: 22000}
"""

RETURN = r"""
ports:
  description: The first port of each app's block, by the app's name; apps that are recorded but not asked for too.
  type: dict
  returned: success
  sample: {ledger: 21000, archive: 22000}
"""

import json
from collections.abc import Iterable
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils import _app_places
from ansible_collections.quayside.web.plugins.module_utils._files import make_folder, write_json
from ansible_collections.quayside.web.plugins.module_utils._listeners import listeners_on

RECORD = Path(_app_places.PORTS_RECORD)


def folders(apps: Iterable[str]) -> list[tuple[Path, int]]:
    """Return the folders that lead to the flags of these apps, with their modes; of an app only an existing one."""
    here = RECORD.parent
    owned = [path for app in sorted(apps) if (path := here / "apps" / app).is_dir()]
    return [(here, 0o755), (here / "apps", 0o755), *((path, 0o711) for path in owned)]


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={"apps": {"type": "dict", "required": True}},
        supports_check_mode=True,
    )
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    asked = [{"name": name, "slot_port": port} for name, port in module.params["apps"].items()]
    every_port = range(_app_places.FIRST_SLOT_PORT, _app_places.LAST_SLOT_PORT + 1)
    # Only a new app needs to know what else listens here.
    fresh = any(app["name"] not in recorded for app in asked)
    in_use = {listener.port for listener in listeners_on(every_port)} if fresh else set()
    try:
        ports = _app_places.assign_ports(asked, recorded, in_use)
    except _app_places.PortError as error:
        module.fail_json(msg=str(error))
    changed = ports != recorded
    # nginx has to reach every app's flag, even if an earlier run under sudo's umask 0077 closed a folder.
    repaired = [make_folder(path, mode, check=module.check_mode) for path, mode in folders(ports)]
    if changed and not module.check_mode:
        write_json(RECORD, ports)
    module.exit_json(changed=changed or any(repaired), ports=ports, diff={"before": recorded, "after": ports})


if __name__ == "__main__":
    main()
