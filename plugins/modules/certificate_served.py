#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Ansible module certificate_served."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: certificate_served
short_description: Proves that clients are served the certificates that are on the disk
version_added: "0.1.0"
description:
  - Asks the web server on this host for each domain, as a client would, and compares the serial number with that of the
    certificate's file.
  - Fails, with one sentence for each domain, where none is served, another one is, it is over, less than a fifth of its
    lifetime is left, or its chain is incomplete.
requirements: [openssl]
options:
  certificates:
    description: The certificates.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the certificate, for messages.
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
  address:
    description: The address to ask.
    type: str
    default: 127.0.0.1
  port:
    description: The port to ask.
    type: int
    default: 443
attributes:
  check_mode:
    description: Changes nothing and does the same.
    support: full
  diff_mode:
    description: Changes nothing.
    support: none
author:
  - The quayside.web authors (@quayside)
"""

EXAMPLES = r"""
- name: Prove that the renewed certificate is served
  quayside.web.certificate_served:
    certificates:
      - name: shop
        domains: [shop.example.org]
        path: /etc/letsencrypt/live/shop/fullchain.pem
"""

RETURN = r"""
domains:
  description: What was found.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The name of the certificate.
      type: str
    domain:
      description: The domain that was asked for.
      type: str
    serial:
      description: The serial number of the certificate that is served.
      type: str
    days_left:
      description: Days until it ends.
      type: float
    matches:
      description: Whether it is the one on the disk.
      type: bool
    chain:
      description: V(ok), V(private authority), V(self-signed), V(incomplete), or openssl's own words.
      type: str
    problem:
      description: What is wrong, in one sentence; empty if nothing is.
      type: str
"""

import dataclasses
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils._served_certificate import look


def main() -> None:
    certificate = {
        "name": {"type": "str", "required": True},
        "domains": {"type": "list", "elements": "str", "required": True},
        "path": {"type": "path", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "certificates": {"type": "list", "elements": "dict", "required": True, "options": certificate},
            "address": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int", "default": 443},
        },
        supports_check_mode=True,
    )
    try:
        findings = look(module.params["certificates"], module.params["address"], module.params["port"], time.time())
    except OSError as error:
        module.fail_json(msg=f"certificate_served: {error}", domains=[])
    domains = [dataclasses.asdict(finding) for finding in findings]
    problems = [finding.problem for finding in findings if finding.problem]
    if problems:
        module.fail_json(msg=" ".join(problems), domains=domains)
    module.exit_json(changed=False, domains=domains)


if __name__ == "__main__":
    main()
