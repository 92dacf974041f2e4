#!/usr/bin/python
# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: undo_confirm
short_description: Keep a change that would undo itself, now that a new connection got in
version_added: "0.1.0"
description:
  - Changes that could cut this connection off arm a timer first that undoes them. This stops the timer.
  - Fails when the timer was faster, so that the run says that the change did not last.
author: ["The quayside.web authors (@quayside)"]
attributes:
  check_mode:
    description: Stops nothing.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
options:
  name:
    description: What was changed.
    type: str
    choices: [ufw, sshd]
    required: true
"""

EXAMPLES = r"""
- name: Drop the connection that the firewall knows already
  ansible.builtin.meta: reset_connection

- name: Keep the change
  quayside.web.undo_confirm:
    name: ufw
"""

RETURN = r"""
confirmed:
  description: Whether a change was waiting.
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils import _undo

HINTS = {
    "ufw": "find out which rule kept this machine out (a wrong port of SSH, a firewall in front), then run again",
    "sshd": "find out why this machine's key was not accepted (`journalctl -u ssh` on the host), then run again",
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={"name": {"type": "str", "choices": sorted(HINTS), "required": True}}, supports_check_mode=True
    )
    name = module.params["name"]
    try:
        confirmed = False if module.check_mode else _undo.confirm(name, module.run_command)
    except _undo.UndoError as error:
        module.fail_json(msg=f"{error}; {HINTS[name]}.")
    module.exit_json(changed=confirmed, confirmed=confirmed)


if __name__ == "__main__":
    main()
