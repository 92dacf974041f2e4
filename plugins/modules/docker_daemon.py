#!/usr/bin/python
# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: docker_daemon
short_description: Bring the Docker engine to a configuration without stopping what runs
version_added: "0.1.0"
description:
  - Lays O(options) over what others have put into C(/etc/docker/daemon.json). An option that an earlier run set and
    that is no longer in O(options) is taken out.
  - A configuration that the engine refuses is never written. An engine of its own is started with it first, in a
    network and with folders of its own.
  - Reloads the engine where that is enough and restarts it elsewhere. Running containers go on, for which
    C(live-restore) is turned on before the restart where it was off; a restart that would stop them is refused.
  - The service is enabled and started.
author: ["The quayside.web authors (@quayside)"]
attributes:
  check_mode:
    description: Says what would be done; the trial is left out.
    support: full
  diff_mode:
    description: Shows daemon.json before and after.
    support: full
options:
  options:
    description: Options of C(daemon.json) for the version that is installed. A null takes one out, whoever put it in.
    type: dict
    required: true
  stop_containers:
    description: Whether a restart may stop running containers where C(live-restore) is not wanted.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Use a mirror, and let containers outlive the engine
  quayside.web.docker_daemon:
    options:
      live-restore: true
      registry-mirrors: [https://mirror.example.com]
"""

RETURN = r"""
how:
  description: What had to be done for it, empty when the engine had it already.
  returned: success
  type: str
  sample: reload
kept:
  description: Options that others put into daemon.json and that stay.
  returned: success
  type: list
  elements: str
  sample: [storage-driver]
version:
  description: The version of the engine, empty where it is not installed yet.
  returned: success
  type: str
  sample: 26.1.5
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils import _docker_daemon_host as host
from ansible_collections.quayside.web.plugins.module_utils._docker_daemon import DaemonError, make_plan, to_text
from ansible_collections.quayside.web.plugins.module_utils._host_run import runner


def ensure(module: AnsibleModule) -> dict[str, Any]:
    run = runner(module)
    options = module.params["options"]
    state = host.read_state(run)
    plan = make_plan(state, options, module.params["stop_containers"])
    if plan.changed and not module.check_mode:
        if not state.version:
            raise DaemonError("Docker is not installed on this host; install the package docker.io or docker-ce first")
        if plan.write:
            host.try_out(plan, state.version, run)
        host.apply_plan(plan, state, options, run)
    before, after = to_text(state.file or {}), to_text(plan.content)
    return {
        "changed": plan.changed,
        "how": plan.how,
        "kept": list(plan.kept),
        "version": state.version,
        "diff": {"before_header": str(host.FILE), "before": before, "after_header": str(host.FILE), "after": after},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "options": {"type": "dict", "required": True},
            "stop_containers": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**ensure(module))
    except (DaemonError, OSError) as error:
        module.fail_json(msg=f"{str(error).rstrip('.')}.")


if __name__ == "__main__":
    main()
