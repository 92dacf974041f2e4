#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Ansible module port_check."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: port_check
short_description: Refuses to go on where another process holds a port
version_added: "0.1.0"
description:
  - Fails with the name of the process that listens on one of O(ports), unless it is one of O(allow).
  - Reads C(/proc) and changes nothing, so it can run on a bare host before anything is installed.
options:
  ports:
    description: TCP ports that must be free or held by an allowed process.
    type: list
    elements: int
    required: true
  allow:
    description: Process names that may hold the ports.
    type: list
    elements: str
    default: []
  wanted_by:
    description: What needs the ports, for the error.
    type: str
    required: true
attributes:
  check_mode:
    description: Changes nothing, so it does the same.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author:
  - The quayside.web authors (@quayside)
"""

EXAMPLES = r"""
- name: Refuse a host where something else serves the web ports
  quayside.web.port_check:
    ports: [80, 443]
    allow: [nginx]
    wanted_by: nginx
"""

RETURN = r"""
listeners:
  description: Who listens on the ports now.
  returned: success
  type: list
  elements: dict
  sample: [{address: 0.0.0.0, pid: 811, port: 80, process: nginx, unit: nginx.service}]
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils._listeners import intruders, listeners_on, sentence


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "ports": {"type": "list", "elements": "int", "required": True},
            "allow": {"type": "list", "elements": "str", "default": []},
            "wanted_by": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    found = listeners_on(module.params["ports"])
    strangers = intruders(found, module.params["allow"])
    if strangers:
        module.fail_json(msg="; ".join(sentence(listener, module.params["wanted_by"]) for listener in strangers))
    module.exit_json(changed=False, listeners=[asdict(listener) for listener in found])


if __name__ == "__main__":
    main()
