#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Remove apps that are on a host and no longer listed, where that is confirmed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: app_remove
short_description: Remove apps that are no longer listed, where that is confirmed
version_added: "0.1.0"
author: ["The quayside.web authors (@quayside)"]
description:
  - Compares the apps that the host has with those that are listed. For one that is not listed it fails, and says what
    would disappear, unless O(confirm) names it.
  - Of a confirmed one it removes the timers, the containers, the network, the images that no other app needs, what the
    image was built from, the ports and the releases. Its database and its backups stay.
  - Its site and its certificate are the business of M(quayside.web.nginx_config) and
    M(quayside.web.certbot_certificate), which serve what is listed.
  - A removal that was interrupted is completed by the next run.
requirements:
  - docker (Python package, C(python3-docker) in Debian)
  - requests (Python package, C(python3-requests) in Debian)
attributes:
  check_mode: {support: full, description: Says what would be removed. What is not confirmed is refused then too.}
  diff_mode: {support: full, description: Shows the containers and timers that go.}
options:
  listed:
    description: The names of the apps that the host is to have.
    type: list
    elements: str
    required: true
  confirm:
    description: The names of the apps that may go.
    type: list
    elements: str
    default: []
  by:
    description: Who does this, for the lock that keeps deploys of the app away.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Remove the shop, which is no longer in the list
  quayside.web.app_remove:
    listed: "{{ quayside_apps | map(attribute='name') }}"
    confirm: [shop]
"""

RETURN = r"""
removed:
  description: The names of the apps that were removed, or would be.
  type: list
  elements: str
  returned: success
  sample: [shop]
msg:
  description: What was done, in a sentence; empty where nothing was.
  type: str
  returned: success
  sample: 'Removed all of shop but its database and its backups.'
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils import _app_removal, _app_removal_host
from ansible_collections.quayside.web.plugins.module_utils._app_jobs_host import JobsError
from ansible_collections.quayside.web.plugins.module_utils._release_host import EXPECTED
from ansible_collections.quayside.web.plugins.module_utils._release_lock import Locked


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "listed": {"type": "list", "elements": "str", "required": True},
            "confirm": {"type": "list", "elements": "str", "default": []},
            "by": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    listed, confirmed = module.params["listed"], module.params["confirm"]
    try:
        found = _app_removal.unlisted(_app_removal_host.names(), listed)
        left = [_app_removal_host.look(name, module.warn) for name in found]
        problems = _app_removal.problems(left, listed, confirmed)
        if problems:
            module.fail_json(msg="\n".join(problems))
        if not module.check_mode:
            for name in found:
                _app_removal_host.remove(name, module.params["by"], module.warn)
    except EXPECTED as error:
        module.fail_json(msg=str(error))
        return
    except (JobsError, Locked, ValueError) as error:
        module.fail_json(msg=str(error))
        return
    before = {app.name: {"containers": app.containers, "timers": app.timers} for app in left}
    verb = "Would remove" if module.check_mode else "Removed"
    msg = f"{verb} all of {', '.join(found)} but the database and the backups." if found else ""
    module.exit_json(changed=bool(found), removed=found, msg=msg, diff={"before": before, "after": {}})


if __name__ == "__main__":
    main()
