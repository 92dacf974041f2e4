#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Ansible module nginx_config."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: nginx_config
short_description: Owns files of the nginx configuration and proves that nginx serves them
version_added: "0.1.0"
description:
  - Brings C(nginx.conf) and the files below C(quayside/) to their declared content, and leaves every other file alone.
  - A change is built as a whole tree beside the live one, tested with C(nginx -t), renamed into place and reloaded. It
    counts as done only when the running nginx answers with the new revision on its loopback status server, because a
    reload can succeed while the old configuration keeps serving.
  - When anything goes wrong, the old files are put back and reloaded, and the module fails with nginx's own line.
  - Where nginx runs an older revision than its files say, as after an interrupted run, it is reloaded.
  - The service is enabled and started.
options:
  files:
    description:
      - Content of each file by its path relative to O(path).
      - "A line that ends in a gate is kept, without the gate, only where the host meets every term of it:
        C(listen [::]:443 ssl http2; #@ ipv6 nginx<1.25.1). The terms are C(ipv6), C(nginx<VERSION), C(nginx>=VERSION),
        C(openssl<VERSION) and C(openssl>=VERSION)."
    type: dict
    required: true
  owns:
    description:
      - Patterns of the files that this task decides about. A file that matches and is not in O(files) is removed.
      - A C(*) does not match a C(/).
    type: list
    elements: str
    required: true
  purge_unmanaged:
    description: Remove the sites of others in C(conf.d) too, in the same change.
    type: bool
    default: false
  path:
    description: Folder of the nginx configuration.
    type: path
    default: /etc/nginx
  service:
    description: The systemd unit of nginx.
    type: str
    default: nginx
  status_port:
    description: Loopback port on which C(/revision) answers with the revision in C(quayside/revision.conf).
    type: int
    default: 20080
  timeout:
    description: Seconds to wait for the new revision to be served.
    type: float
    default: 5
attributes:
  check_mode:
    description: The candidate tree is tested too where nginx is installed; what nginx -t objects to is then a warning,
      because a certificate may be issued only in the real run.
    support: full
  diff_mode:
    description: Shows each changed file.
    support: full
author:
  - The quayside.web authors (@quayside)
"""

EXAMPLES = r"""
- name: Serve the declared sites and no others
  quayside.web.nginx_config:
    owns: ["quayside/sites/*"]
    files:
      quayside/sites/shop.conf: "{{ lookup('ansible.builtin.template', 'shop.conf.j2') }}"
"""

RETURN = r"""
revision:
  description: Hash of all files of ours, as the running nginx answers it.
  returned: success
  type: str
  sample: 5f2b7c0d1e8a9f34
written:
  description: Files that were new or different.
  returned: success
  type: list
  elements: str
  sample: [quayside/sites/shop.conf]
removed:
  description: Files that were no longer declared.
  returned: success
  type: list
  elements: str
  sample: []
reloaded:
  description: Whether nginx was reloaded or started.
  returned: success
  type: bool
nginx_version:
  description: The version of nginx, empty where it is not installed yet.
  returned: success
  type: str
  sample: 1.26.3
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils._nginx_host import (
    Nginx,
    NginxError,
    candidate,
    exclusive,
    fault_of,
    live_revision,
    read_host,
    read_service,
    read_tree,
)
from ansible_collections.quayside.web.plugins.module_utils._nginx_tree import UNMANAGED, Plan, diff_of, make_plan


def rehearse(module: AnsibleModule, binary: str, plan: Plan) -> None:
    root = Path(module.params["path"])
    with candidate(root, plan, folder=module.tmpdir) as copy:
        fault = fault_of(binary, copy, root, plan.tree, module.run_command)
    if fault:
        module.warn(f"nginx would refuse this configuration as things are now: {fault}")


def ensure(module: AnsibleModule) -> dict[str, object]:
    with exclusive(Path(module.params["path"])):
        return _ensure(module)


def _ensure(module: AnsibleModule) -> dict[str, object]:
    root, name, run = Path(module.params["path"]), module.params["service"], module.run_command
    binary = module.get_bin_path("nginx")
    if binary is None and not module.check_mode:
        raise NginxError("nginx is not installed on this host; install the package nginx first")
    purged = [UNMANAGED] if module.params["purge_unmanaged"] else []
    host, live, service = read_host(binary, run), read_tree(root, purged), read_service(name, run)
    plan = make_plan(live, module.params["files"], [*module.params["owns"], *purged], host)
    stale = not service.active or live_revision(module.params["status_port"]) != plan.revision
    if module.check_mode and binary and plan.changes_files:
        rehearse(module, binary, plan)
    elif binary and not module.check_mode:
        if plan.changes_files or stale:
            nginx = Nginx(binary, root, name, module.params["status_port"], run)
            nginx.apply(plan, module.params["timeout"])
        if not service.enabled:
            module.run_command(["systemctl", "enable", name], check_rc=True)
    return {
        "changed": plan.changes_files or stale or not service.enabled,
        "diff": diff_of(str(root), live, plan),
        "revision": plan.revision,
        "written": list(plan.written),
        "removed": list(plan.removed),
        "reloaded": plan.changes_files or stale,
        "nginx_version": ".".join(map(str, host.nginx or ())),
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "dict", "required": True},
            "owns": {"type": "list", "elements": "str", "required": True},
            "purge_unmanaged": {"type": "bool", "default": False},
            "path": {"type": "path", "default": "/etc/nginx"},
            "service": {"type": "str", "default": "nginx"},
            "status_port": {"type": "int", "default": 20080},
            "timeout": {"type": "float", "default": 5},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**ensure(module))
    except (NginxError, ValueError, OSError) as error:
        module.fail_json(msg=f"nginx_config: {error}")


if __name__ == "__main__":
    main()
