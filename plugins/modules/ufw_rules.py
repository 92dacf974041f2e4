#!/usr/bin/python
# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: ufw_rules
short_description: Bring ufw to a whole set of rules without locking SSH out
version_added: "0.1.0"
description:
  - Compares all rules, the default policies and what the kernel has in force, and changes only what differs.
  - The ports of SSH (this connection's, those of C(sshd -T), those that sshd listens on, and O(ssh_ports)) are
    allowed before anything else.
  - Before a change a timer of systemd is armed that disables ufw again after O(undo_timeout).
    Stop RV(undo_unit) over a new connection to keep the change.
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
    description: The openings that this host offers, besides SSH. Rules that are not listed stay as they are.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: A port, or a range such as V(6000:6007).
        type: str
        required: true
      proto:
        description: The protocol.
        type: str
        choices: [tcp, udp, any]
        default: tcp
      from:
        description: An address or a network, of IPv4 or IPv6, or V(any).
        type: str
        default: any
      comment:
        description: A note that ufw keeps with the rule.
        type: str
        default: ""
  incoming:
    description: What happens to other incoming connections.
    type: str
    choices: [deny, reject, allow]
    default: deny
  outgoing:
    description: What happens to outgoing connections.
    type: str
    choices: [deny, reject, allow]
    default: allow
  ssh_ports:
    description: Ports of SSH to allow besides those found on the host.
    type: list
    elements: int
    default: []
  undo_timeout:
    description: After how many seconds an unconfirmed change is undone; never with V(0).
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Allow the web and one network to PostgreSQL
  quayside.web.ufw_rules:
    rules:
      - port: 80
      - {port: 5432, from: 10.0.0.0/8, comment: database}
"""

RETURN = r"""
added:
  description: The rules that were added, in ufw's own words.
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
  description: The timer to stop over a new connection; empty when none is armed.
  returned: success
  type: str
"""

import os
import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils import _ufw

UNDO_UNIT = "quayside-ufw-undo"
DEFAULTS = Path("/etc/default/ufw")
CONFIG = Path("/etc/ufw/ufw.conf")


def output(module: AnsibleModule, *argv: str) -> str:
    """What a command prints, or nothing where it fails or is missing."""
    path = module.get_bin_path(argv[0], opt_dirs=["/usr/sbin", "/sbin"])
    if path is None:
        return ""
    code, text, _err = module.run_command([path, *argv[1:]], environ_update={"LC_ALL": "C"})
    return str(text) if code == 0 else ""


def must(module: AnsibleModule, *argv: str) -> None:
    """Run a command that has to succeed."""
    code, out, err = module.run_command(list(argv), environ_update={"LC_ALL": "C"})
    if code != 0:
        said = " ".join((err or out).split()) or f"exit code {code}"
        module.fail_json(msg=f"`{' '.join(argv)}` failed: {said}.")


def connection_ports() -> set[int]:
    """SSH_CONNECTION of the nearest ancestor that has it: sudo takes it from our own environment."""
    pid = os.getpid()
    while pid > 1:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
            pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            return set()
        if found := re.search(r"(?:^|\x00)SSH_CONNECTION=([^\x00]*)", environment):
            return _ufw.port_of_connection(found.group(1))
    return set()


def find_ssh_ports(module: AnsibleModule) -> set[int]:
    found = {*module.params["ssh_ports"], *_ufw.ports_of_sshd_config(output(module, "sshd", "-T"))}
    return found | connection_ports() | _ufw.ports_of_listeners(output(module, "ss", "-Hltnp"))


def read_live(module: AnsibleModule) -> dict[int, tuple[str, ...]]:
    live = {4: tuple(output(module, "iptables", "-S").splitlines())}
    ipv6 = output(module, "ip6tables", "-S") if Path("/proc/sys/net/ipv6").exists() else ""
    return {**live, 6: tuple(ipv6.splitlines())} if ipv6 else live


def read_state(module: AnsibleModule) -> _ufw.State:
    if not (module.get_bin_path("ufw", opt_dirs=["/usr/sbin"]) and DEFAULTS.exists() and CONFIG.exists()):
        return _ufw.State()
    defaults = _ufw.parse_shell_file(DEFAULTS.read_text(encoding="utf-8"))
    return _ufw.State(
        installed=True,
        enabled=_ufw.parse_shell_file(CONFIG.read_text(encoding="utf-8")).get("ENABLED") == "yes",
        ipv6=defaults.get("IPV6", "yes").lower() == "yes",
        boot=output(module, "systemctl", "is-enabled", "ufw.service").strip() == "enabled",
        policies=_ufw.stored_policies(defaults),
        added=_ufw.parse_added(output(module, "ufw", "show", "added")),
        live=read_live(module),
    )


def arm_undo(module: AnsibleModule, seconds: int) -> str:
    """Have systemd disable the firewall unless somebody comes back in and stops the timer."""
    module.run_command(["systemctl", "stop", f"{UNDO_UNIT}.timer"])
    timer = [f"--unit={UNDO_UNIT}", f"--on-active={seconds}", "--timer-property=AccuracySec=1s"]
    must(module, "systemd-run", "--quiet", *timer, "ufw", "--force", "disable")
    return f"{UNDO_UNIT}.timer"


def apply_plan(module: AnsibleModule, plan: _ufw.Plan) -> None:
    if plan.ipv6:
        text = DEFAULTS.read_text(encoding="utf-8")
        DEFAULTS.write_text(re.sub(r"(?m)^IPV6=.*$", "IPV6=yes", text), encoding="utf-8")
    for rule in plan.rules:
        must(module, "ufw", *rule.argv())
    for way, policy in plan.policies:
        must(module, "ufw", "default", policy, way)
    if plan.boot:
        must(module, "systemctl", "enable", "--quiet", "ufw.service")
    if plan.enable:
        must(module, "ufw", "--force", "enable")
    if plan.reload:
        must(module, "ufw", "reload")


def verify(module: AnsibleModule, rules: tuple[_ufw.Rule, ...], policies: dict[str, str]) -> None:
    """Believe the kernel, not ufw: `enable` leaves chains alone that are loaded already."""
    state = read_state(module)
    if _ufw.not_in_force(state, rules, policies):
        must(module, "ufw", "reload")
        state = read_state(module)
    wrong = _ufw.not_in_force(state, rules, policies)
    if wrong or not state.enabled:
        what = ", ".join(wrong) or "ENABLED=yes in /etc/ufw/ufw.conf"
        module.fail_json(
            msg=f"ufw took the rules but the kernel does not have them in force: {what}; see `iptables -S`."
        )


def main() -> None:
    rule = {
        "port": {"type": "str", "required": True},
        "proto": {"type": "str", "choices": ["tcp", "udp", "any"], "default": "tcp"},
        "from": {"type": "str", "default": "any"},
        "comment": {"type": "str", "default": ""},
    }
    module = AnsibleModule(
        argument_spec={
            "rules": {"type": "list", "elements": "dict", "default": [], "options": rule},
            "incoming": {"type": "str", "choices": ["deny", "reject", "allow"], "default": "deny"},
            "outgoing": {"type": "str", "choices": ["deny", "reject", "allow"], "default": "allow"},
            "ssh_ports": {"type": "list", "elements": "int", "default": []},
            "undo_timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    policies = {way: module.params[way] for way in ("incoming", "outgoing")}
    ssh_ports = find_ssh_ports(module)
    try:
        rules = _ufw.wanted_rules(module.params["rules"], ssh_ports)
    except _ufw.RuleError as error:
        module.fail_json(msg=str(error))
    state = read_state(module)
    plan = _ufw.make_plan(state, rules, policies)
    undo_unit = ""
    if plan.changed and not module.check_mode:
        if not state.installed:
            module.fail_json(msg="ufw is not installed on this host; install the package ufw first.")
        if module.params["undo_timeout"] > 0:
            undo_unit = arm_undo(module, module.params["undo_timeout"])
        apply_plan(module, plan)
        verify(module, rules, policies)
    module.exit_json(
        changed=plan.changed,
        added=[rule.command() for rule in plan.rules],
        undeclared=list(plan.undeclared),
        ssh_ports=sorted(ssh_ports),
        undo_unit=undo_unit,
        diff=_ufw.describe(state, plan) if plan.changed else {},
    )


if __name__ == "__main__":
    main()
