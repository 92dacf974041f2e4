#!/usr/bin/python
# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: sshd_keys_only
short_description: Have sshd accept keys only, without locking anybody out who runs this
version_added: "0.1.0"
description:
  - Writes a drop-in for sshd that turns passwords off, for root as for everybody. Where root may not come in at all it
    stays so.
  - Refuses when the user of this connection came in with a password or has no key.
  - C(sshd -t) has to accept the whole configuration, and what it says it would do is compared with what is wanted.
  - Before the change a timer is armed that takes it back after O(undo_timeout). Call M(quayside.web.undo_confirm) over
    a new connection to keep it.
author: ["The quayside.web authors (@quayside)"]
attributes:
  check_mode:
    description: Refuses and reports as otherwise, and changes nothing.
    support: full
  diff_mode:
    description: Shows the drop-in before and after.
    support: full
options:
  undo_timeout:
    description: After how many seconds an unconfirmed change is undone; never with V(0).
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Keys only
  quayside.web.sshd_keys_only:
  register: sshd

- name: Drop the connection that is in already
  ansible.builtin.meta: reset_connection

- name: Keep it
  quayside.web.undo_confirm:
    name: sshd
  when: sshd.undo_unit != ''
"""

RETURN = r"""
undo_unit:
  description: The timer that runs until the change is confirmed; empty when none is armed.
  returned: success
  type: str
"""

import pwd
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils import _sshd, _ufw_host, _undo
from ansible_collections.quayside.web.plugins.module_utils._files import make_folder, write_atomically
from ansible_collections.quayside.web.plugins.module_utils._host_run import Run, runner


def read_effective(run: Run, user: str = "root", client: str = "127.0.0.1") -> dict[str, str]:
    code, out, err = run(["/usr/sbin/sshd", "-T", "-C", f"user={user},host={client},addr={client}"])
    if code != 0:
        raise _sshd.SshdError(f"sshd does not accept its configuration as it is: {' '.join((err or out).split())}")
    return _sshd.parse_effective(out)


def check_access(run: Run) -> None:
    """Could the one who runs this come back? Without SSH, could anybody?"""
    connection = _ufw_host.read_connection()
    if connection is None:
        people = [entry for entry in pwd.getpwall() if not entry.pw_shell.endswith(("nologin", "false"))]
        if not any(keyed(entry.pw_name, read_effective(run, entry.pw_name))[1] for entry in people):
            raise _sshd.SshdError("hardening_sshd would lock out everybody: no account of this host has a key")
        return
    user, client = connection.user, connection.client
    journal = run(["journalctl", "-q", "-o", "cat", "--no-pager", "-n", "5000", "-t", "sshd", "-t", "sshd-session"])
    method = _sshd.accepted_by(journal[1], user, client, connection.client_port)
    files, found = keyed(user, read_effective(run, user, client))
    _sshd.check_access(user, method, files, found)


def keyed(user: str, effective: dict[str, str]) -> tuple[list[str], bool]:
    files = _sshd.key_files(effective, user, pwd.getpwnam(user).pw_dir)
    texts = [Path(path).read_text(encoding="utf-8", errors="replace") for path in files if Path(path).is_file()]
    return files, _sshd.other_ways(effective) or any(map(_sshd.has_key, texts))


def apply(text: str, settings: dict[str, str], undo_timeout: int, run: Run) -> str:
    path = Path(_sshd.DROPIN)
    reload = "systemctl try-reload-or-restart ssh.service"
    make_folder(path.parent, repair=False)
    _undo.prepare("sshd", [path], [reload])
    try:
        write_atomically(path, text, mode=0o644)
        if wrong := _sshd.not_in_force(settings, read_effective(run)):
            raise _sshd.SshdError(_sshd.explain(wrong))
        unit = _undo.arm("sshd", undo_timeout, run) if undo_timeout > 0 else ""
        _ufw_host.must(run, *reload.split())
    except BaseException:
        _undo.undo_now("sshd", run)
        raise
    if not unit:
        _undo.forget("sshd", run)
    return unit


def ensure(module: AnsibleModule) -> dict[str, Any]:
    run = runner(module)
    path = Path(_sshd.DROPIN)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    effective = read_effective(run)
    settings = _sshd.settings_for(effective)
    text = _sshd.text_of(settings)
    changed = before != text
    if not changed and (wrong := _sshd.not_in_force(settings, effective)):
        raise _sshd.SshdError(_sshd.explain(wrong))
    undo_unit = ""
    if changed:
        check_access(run)
        if not module.check_mode:
            undo_unit = apply(text, settings, module.params["undo_timeout"], run)
    return {
        "changed": changed,
        "undo_unit": undo_unit,
        "diff": {"before_header": str(path), "before": before, "after_header": str(path), "after": text},
    }


def main() -> None:
    module = AnsibleModule(argument_spec={"undo_timeout": {"type": "int", "default": 120}}, supports_check_mode=True)
    try:
        module.exit_json(**ensure(module))
    except (_sshd.SshdError, _ufw_host.UfwError, OSError) as error:
        module.fail_json(msg=f"{str(error).rstrip('.')}.")


if __name__ == "__main__":
    main()
