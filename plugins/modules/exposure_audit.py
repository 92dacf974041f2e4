#!/usr/bin/python
# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: exposure_audit
short_description: Compare what a host is declared to offer with what can be reached
version_added: "0.1.0"
description:
  - Reads the listening sockets, the ports that containers publish, and the rules that the kernel has in force, for IPv4
    and IPv6, and changes nothing.
  - Fails with the list of differences. These are a firewall that is not in force or will not be after a reboot, rules
    that nobody declared, rules that were declared and are not in force, ports that containers publish on other
    addresses than loopback without a rule with C(docker=true), and a C(DOCKER-USER) that is not as declared.
  - Listeners that only the firewall hides, and openings behind which nothing listens, are returned as RV(notes) and
    fail with O(strict).
author: ["The quayside.web authors (@quayside)"]
attributes:
  check_mode:
    description: Changes nothing, so it does the same.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
options:
  rules:
    description: What this host offers, as for M(quayside.web.ufw_rules).
    type: list
    elements: dict
    default: []
  docker:
    description: Whether C(DOCKER-USER) is owned.
    type: bool
    default: true
  incoming:
    description: What happens to other incoming connections. With V(allow) only containers are audited.
    type: str
    choices: [deny, reject, allow]
    default: deny
  ssh_ports:
    description: Ports of SSH besides those found on the host.
    type: list
    elements: int
    default: []
  ssh_from:
    description: Who may use SSH.
    type: list
    elements: str
    default: [any]
  ssh_limit:
    description: Whether SSH is allowed with V(limit).
    type: bool
    default: false
  strict:
    description: Whether RV(notes) fail too.
    type: bool
    default: false
  ignore:
    description: What nothing is said about, each as a finding begins, such as V(8080/tcp).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Nothing but the web is open
  quayside.web.exposure_audit:
    rules:
      - port: [80, 443]
"""

RETURN = r"""
drift:
  description: What differs, a sentence each.
  returned: always
  type: list
  elements: str
  sample:
    - "5432/tcp: container db publishes it on 0.0.0.0, which nobody declares (it is open to everybody); publish it on
      127.0.0.1, or declare {port: 5432, docker: true} in ufw_rules"
notes:
  description: What is worth knowing and opens nothing.
  returned: always
  type: list
  elements: str
  sample: ["9100/tcp: node_exporter listens on every address and only the firewall hides it; bind it to 127.0.0.1"]
listening:
  description: The ports on which something listens on other addresses than loopback.
  returned: always
  type: list
  elements: str
  sample: ["22/tcp", "80/tcp", "443/tcp"]
published:
  description: The ports that containers publish, with their address.
  returned: always
  type: list
  elements: str
  sample: ["127.0.0.1:21000/tcp shop-blue-1"]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils import _ufw_host
from ansible_collections.quayside.web.plugins.module_utils._exposure import Declared, audit
from ansible_collections.quayside.web.plugins.module_utils._exposure_host import read_seen
from ansible_collections.quayside.web.plugins.module_utils._host_run import runner
from ansible_collections.quayside.web.plugins.module_utils._ufw_rules import RuleError
from ansible_collections.quayside.web.plugins.module_utils._ufw_wanted import ssh_rules, wanted_rules


def examine(module: AnsibleModule) -> dict[str, Any]:
    run = runner(module)
    params, connection = module.params, _ufw_host.read_connection()
    ssh_ports = {*params["ssh_ports"], *_ufw_host.read_ssh_ports(run), *([connection.port] if connection else [])}
    rules = wanted_rules(params["rules"], ssh_rules(ssh_ports, params["ssh_from"], params["ssh_limit"]))
    seen = read_seen(run, {int(rule.port) for rule in rules if rule.port.isdigit()})
    declared = Declared(
        rules, params["docker"], params["incoming"] != "allow", params["strict"], frozenset(params["ignore"])
    )
    findings = audit(declared, seen)
    return {
        "drift": [str(finding) for finding in findings if finding.drift],
        "notes": [str(finding) for finding in findings if not finding.drift],
        "listening": [str(port) for port in sorted(seen.listeners)],
        "published": [f"{item.address}:{item.port} {item.container}" for item in seen.published],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "rules": {"type": "list", "elements": "dict", "default": []},
            "docker": {"type": "bool", "default": True},
            "incoming": {"type": "str", "choices": ["deny", "reject", "allow"], "default": "deny"},
            "ssh_ports": {"type": "list", "elements": "int", "default": []},
            "ssh_from": {"type": "list", "elements": "str", "default": ["any"]},
            "ssh_limit": {"type": "bool", "default": False},
            "strict": {"type": "bool", "default": False},
            "ignore": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        found = examine(module)
    except (RuleError, OSError) as error:
        module.fail_json(msg=f"{str(error).rstrip('.')}.", drift=[], notes=[], listening=[], published=[])
    if found["drift"]:
        count = len(found["drift"])
        differences = "1 difference" if count == 1 else f"{count} differences"
        module.fail_json(
            msg=f"what is exposed is not what is declared, {differences}: {' | '.join(found['drift'])}.", **found
        )
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
