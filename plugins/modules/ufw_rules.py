#!/usr/bin/python
# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: ufw_rules
short_description: Bring ufw and the ports that containers publish to a whole set of rules, without locking SSH out
version_added: "0.1.0"
description:
  - Compares all rules, the default policies, the chain C(DOCKER-USER) and what the kernel has in force, and changes
    only what differs. Rules that an earlier run declared and this one does not are removed.
  - What refuses comes before what allows, and what limits after it; the order in which rules are declared says nothing.
  - The ports of SSH (this connection's, those of C(sshd -T), those that sshd listens on, and O(ssh_ports)) are
    allowed before anything else.
  - Before a change a timer of systemd is armed that puts back what was in force after O(undo_timeout).
    Call M(quayside.web.undo_confirm) over a new connection to keep the change.
  - When a step fails, what was in force before is put back at once.
author: ["The quayside.web authors (@quayside)"]
attributes:
  check_mode:
    description: Reports what would change without changing it.
    support: full
  diff_mode:
    description: Returns what changes as a diff.
    support: full
options:
  rules:
    description: What this host offers, besides SSH, and what it refuses by name.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: Ports, each a number or a range such as V(6000:6007). Without it the rule is about every port.
        type: list
        elements: str
      proto:
        description: The protocol. By default V(tcp) where a port is given and V(any) elsewhere.
        type: str
        choices: [tcp, udp, any]
      from:
        description: Who may connect, each an address or a network, of IPv4 or IPv6, or V(any).
        type: list
        elements: str
        default: [any]
      to:
        description: The address of this host that is meant or, with O(rules[].direction=out), of the other end.
        type: str
        default: any
      interface:
        description: Only connections on this network interface.
        type: str
        default: ""
      direction:
        description: Connections to this host or from it.
        type: str
        choices: [in, out]
        default: in
      action:
        description: V(limit) allows, and refuses an address that opens six connections within 30 seconds.
        type: str
        choices: [allow, deny, reject, limit]
        default: allow
      docker:
        description: The port is one that a container publishes. Without such a rule nobody reaches it from outside.
        type: bool
        default: false
      comment:
        description: A note that ufw keeps with the rule.
        type: str
        default: ""
  purge:
    description: Remove the rules too that nobody ever declared here, as those set by hand.
    type: bool
    default: false
  incoming:
    description: What happens to other incoming connections.
    type: str
    choices: [deny, reject, allow]
    default: deny
  outgoing:
    description: What happens to other outgoing connections.
    type: str
    choices: [deny, reject, allow]
    default: allow
  routed:
    description: What happens to connections that this host would forward. Those of containers are Docker's matter.
    type: str
    choices: [deny, reject, allow]
    default: deny
  logging:
    description: How much ufw logs.
    type: str
    choices: ["off", low, medium, high, full]
    default: low
  docker:
    description:
      - Whether the chain C(DOCKER-USER) is owned, by a section in C(/etc/ufw/after.rules) and C(after6.rules), so that
        only ports of rules with O(rules[].docker) are reached from outside.
    type: bool
    default: true
  ssh_ports:
    description: Ports of SSH to allow besides those found on the host.
    type: list
    elements: int
    default: []
  ssh_from:
    description: Who may use SSH. A list without the address that this connection comes from is refused.
    type: list
    elements: str
    default: [any]
  ssh_limit:
    description: Allow SSH with V(limit). Ansible itself opens several connections, so let it reuse one.
    type: bool
    default: false
  undo_timeout:
    description: After how many seconds an unconfirmed change is undone; never with V(0).
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Allow the web, one network to PostgreSQL, and a port that a container publishes
  quayside.web.ufw_rules:
    rules:
      - port: [80, 443]
      - {port: 5432, from: [10.0.0.0/8, "fd00::/8"], interface: eth1, comment: database}
      - {port: 8443, docker: true}
      - {from: 203.0.113.0/24, action: deny}
  register: firewall

- name: Keep it, now that this task's connection got in
  quayside.web.undo_confirm:
    name: ufw
  when: firewall.undo_unit != ''
"""

RETURN = r"""
added:
  description: The rules that were added or changed, in ufw's own words.
  returned: success
  type: list
  elements: str
removed:
  description: The rules that were removed.
  returned: success
  type: list
  elements: str
undeclared:
  description: Rules that ufw has and that nobody declared. They are left alone.
  returned: success
  type: list
  elements: str
ssh_ports:
  description: The ports that were taken for SSH.
  returned: success
  type: list
  elements: int
undo_unit:
  description: The timer that runs until the change is confirmed; empty when none is armed.
  returned: success
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils import _ufw, _ufw_host, _undo
from ansible_collections.quayside.web.plugins.module_utils._host_run import runner
from ansible_collections.quayside.web.plugins.module_utils._ufw_docker import DockerFirewallError
from ansible_collections.quayside.web.plugins.module_utils._ufw_rules import RuleError
from ansible_collections.quayside.web.plugins.module_utils._ufw_wanted import ssh_rules, wanted_rules

WAYS = ("incoming", "outgoing", "routed")
POLICY = {"type": "str", "choices": ["deny", "reject", "allow"]}
RULE: dict[str, Any] = {
    "port": {"type": "list", "elements": "str"},
    "proto": {"type": "str", "choices": ["tcp", "udp", "any"]},
    "from": {"type": "list", "elements": "str", "default": ["any"]},
    "to": {"type": "str", "default": "any"},
    "interface": {"type": "str", "default": ""},
    "direction": {"type": "str", "choices": ["in", "out"], "default": "in"},
    "action": {"type": "str", "choices": ["allow", "deny", "reject", "limit"], "default": "allow"},
    "docker": {"type": "bool", "default": False},
    "comment": {"type": "str", "default": ""},
}


def read_wanted(params: dict[str, Any], ssh_ports: set[int], client: str) -> _ufw.Wanted:
    ssh = ssh_rules(ssh_ports, params["ssh_from"], params["ssh_limit"])
    return _ufw.Wanted(
        rules=wanted_rules(params["rules"], ssh, client),
        policies={way: params[way] for way in WAYS},
        logging=params["logging"],
        docker=params["docker"],
        bridges=_ufw_host.read_bridges() if params["docker"] else (),
        purge=params["purge"],
    )


def apply(state: _ufw.State, wanted: _ufw.Wanted, plan: _ufw.Plan, undo_timeout: int, run: Any) -> str:
    """Make the change; when it fails, at any step, put back what was there."""
    if not state.installed:
        raise _ufw_host.UfwError("ufw is not installed on this host; install the package ufw first")
    _ufw_host.check_files(state, plan, run)
    _ufw_host.prepare_undo(state.enabled)
    unit = _undo.arm("ufw", undo_timeout, run) if undo_timeout > 0 else ""
    try:
        _ufw_host.apply_plan(plan, wanted, state.recorded, run)
        _ufw_host.verify(wanted, run)
    except BaseException:
        _undo.undo_now("ufw", run)
        raise
    if not unit:
        _undo.forget("ufw", run)
    return unit


def ensure(module: AnsibleModule) -> dict[str, Any]:
    run = runner(module)
    connection = _ufw_host.read_connection()
    ssh_ports = {
        *module.params["ssh_ports"],
        *_ufw_host.read_ssh_ports(run),
        *([connection.port] if connection else []),
    }
    wanted = read_wanted(module.params, ssh_ports, connection.client if connection else "")
    state = _ufw_host.read_state(run)
    plan = _ufw.make_plan(state, wanted)
    undo_unit = ""
    if plan.changed and not module.check_mode:
        undo_unit = apply(state, wanted, plan, module.params["undo_timeout"], run)
    return {
        "changed": plan.changed,
        "added": [rule.command() for rule in plan.rules],
        "removed": list(plan.removed),
        "undeclared": list(plan.undeclared),
        "ssh_ports": sorted(ssh_ports),
        "undo_unit": undo_unit,
        "diff": _ufw.describe(state, wanted, plan) if plan.changed else {},
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "rules": {"type": "list", "elements": "dict", "default": [], "options": RULE},
            "purge": {"type": "bool", "default": False},
            "incoming": {**POLICY, "default": "deny"},
            "outgoing": {**POLICY, "default": "allow"},
            "routed": {**POLICY, "default": "deny"},
            "logging": {"type": "str", "choices": ["off", "low", "medium", "high", "full"], "default": "low"},
            "docker": {"type": "bool", "default": True},
            "ssh_ports": {"type": "list", "elements": "int", "default": []},
            "ssh_from": {"type": "list", "elements": "str", "default": ["any"]},
            "ssh_limit": {"type": "bool", "default": False},
            "undo_timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**ensure(module))
    except (RuleError, DockerFirewallError, _ufw_host.UfwError, OSError) as error:
        module.fail_json(msg=f"{str(error).rstrip('.')}.")


if __name__ == "__main__":
    main()
