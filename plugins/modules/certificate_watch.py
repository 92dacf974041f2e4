#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Ansible module certificate_watch."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: certificate_watch
short_description: Has a host look at the certificates that it serves
version_added: "0.1.0"
description:
  - Installs a program and a systemd timer that does every hour what M(quayside.web.certificate_served) does once. The
    service fails where something is wrong, and says in the journal what.
requirements: [openssl, systemd]
options:
  certificates:
    description: The certificates.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the certificate.
        type: str
        required: true
      domains:
        description: The domains to ask for. Wildcards are passed over.
        type: list
        elements: str
        required: true
      path:
        description: The file of the certificate, in PEM.
        type: path
        required: true
  port:
    description: The port to ask on loopback.
    type: int
    default: 443
  metrics:
    description: The folder of the node exporter's text files. Metrics are written where it exists.
    type: str
    default: /var/lib/prometheus/node-exporter
attributes:
  check_mode:
    description: Says what would change.
    support: full
  diff_mode:
    description: Shows the settings and the units.
    support: full
author:
  - The quayside.web authors (@quayside)
"""

EXAMPLES = r"""
- name: Have the certificate looked at every hour
  quayside.web.certificate_watch:
    certificates:
      - name: shop
        domains: [shop.example.org]
        path: /etc/letsencrypt/live/shop/fullchain.pem
"""

RETURN = r"""
written:
  description: The files that are new or changed.
  returned: success
  type: list
  elements: str
  sample: [/etc/quayside-certificates.json]
"""

import pkgutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils import _served_certificate
from ansible_collections.quayside.web.plugins.module_utils._certificate_watch import TIMER, diff, files
from ansible_collections.quayside.web.plugins.module_utils._files import make_folder, write_atomically


def own_program() -> str:
    """The program, as it travelled here with the module."""
    package, _dot, name = _served_certificate.__name__.rpartition(".")
    return (pkgutil.get_data(package, f"{name}.py") or b"").decode("utf-8")


def text_of(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def main() -> None:
    certificate = {
        "name": {"type": "str", "required": True},
        "domains": {"type": "list", "elements": "str", "required": True},
        "path": {"type": "path", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "certificates": {"type": "list", "elements": "dict", "required": True, "options": certificate},
            "port": {"type": "int", "default": 443},
            "metrics": {"type": "str", "default": "/var/lib/prometheus/node-exporter"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        after = files(own_program(), params["certificates"], params["port"], params["metrics"])
        before = {path: text for path in after if (text := text_of(path)) is not None}
        written = [path for path, text in after.items() if before.get(path) != text]
        shown = module.run_command(["systemctl", "show", "--property=ActiveState,UnitFileState", TIMER])[1]
        runs = "ActiveState=active" in shown and "UnitFileState=enabled" in shown
        if not module.check_mode:
            for path in written:
                make_folder(Path(path).parent, repair=False)
                write_atomically(Path(path), after[path], 0o644)
            if written:
                module.run_command(["systemctl", "daemon-reload"], check_rc=True)
            if written or not runs:
                module.run_command(["systemctl", "enable", "--now", TIMER], check_rc=True)
    except OSError as error:
        module.fail_json(msg=f"certificate_watch: {error}")
    module.exit_json(changed=bool(written) or not runs, written=written, diff=diff(before, after))


if __name__ == "__main__":
    main()
