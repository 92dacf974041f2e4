#!/usr/bin/python
# Copyright: (c) 2026, The quayside.web authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: certbot_certificate
short_description: Have certbot issue all the certificates that a host needs
version_added: "0.1.0"
description:
  - Compares the wanted certificates with those that certbot has, and issues or reissues only what is missing or differs
    in its names, its ACME server or its webroot. Renewal is left to certbot's own timer.
  - Keys are ECDSA P-256. The names are proved over HTTP by files below O(webroot).
  - A certificate that fails does not keep the others from being issued.
author: ["The quayside.web authors (@quayside)"]
requirements: [certbot, openssl]
attributes:
  check_mode:
    description: Can run in check mode and report what would change, even before certbot is installed.
    support: full
  diff_mode:
    description: Returns what changes as a diff.
    support: full
options:
  certificates:
    description: The certificates. Others that certbot has stay as they are.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Certbot's name of the certificate, which is the name of its folder below C(/etc/letsencrypt/live).
        type: str
        required: true
      domains:
        description: The names that the certificate is for. Wildcards can't be proved this way.
        type: list
        elements: str
        required: true
  directory_url:
    description: The directory of the ACME server.
    type: str
    default: https://acme-v02.api.letsencrypt.org/directory
  ca_file:
    description: A file on the host with the CA of the ACME server's own certificate; the system's CAs if empty.
    type: path
  email:
    description: The account's e-mail address; an account without one if empty.
    type: str
    default: ""
  webroot:
    description: The folder from which C(/.well-known/acme-challenge/) is served on port 80. It is created if missing.
    type: path
    default: /var/lib/quayside/acme
  timeout:
    description: Seconds that one certificate may take.
    type: int
    default: 180
"""

EXAMPLES = r"""
- name: Have a certificate for two names
  quayside.web.certbot_certificate:
    certificates:
      - name: shop
        domains: [shop.example.org, www.shop.example.org]
    email: ops@example.org
"""

RETURN = r"""
steps:
  description: What was done, or would be in check mode.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: The name of the certificate.
      type: str
    action:
      description: V(issue) or V(reissue).
      type: str
    reasons:
      description: What there was, or how it differed.
      type: list
      elements: str
  sample: [{name: shop, action: reissue, reasons: [adds www.shop.example.org]}]
installed:
  description: Whether certbot is installed.
  returned: always
  type: bool
"""

import os
import subprocess
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils import _certbot

CONFIG = Path("/etc/letsencrypt")


def read_lineage(module: AnsibleModule, name: str) -> _certbot.Lineage | None:
    renewal = CONFIG / "renewal" / f"{name}.conf"
    if not renewal.exists():
        return None
    argv = [
        "openssl",
        "x509",
        "-noout",
        "-ext",
        "subjectAltName",
        "-enddate",
        "-in",
        str(CONFIG / "live" / name / "cert.pem"),
    ]
    _code, text, _err = module.run_command(argv, environ_update={"LC_ALL": "C"})
    return _certbot.parse_lineage(renewal.read_text(encoding="utf-8"), text)


def run_certbot(module: AnsibleModule, certbot: str, step: _certbot.Step, source: _certbot.Source) -> str:
    """Nothing when it worked, else the sentence that says why not."""
    ca_file, timeout = module.params["ca_file"], module.params["timeout"]
    environment = {
        **os.environ,
        "LC_ALL": "C.UTF-8",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    environment |= {"REQUESTS_CA_BUNDLE": ca_file} if ca_file else {}
    try:
        done = subprocess.run(
            [certbot, *step.argv(source)], env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return _certbot.explain_failure(step, source, f"no answer within {timeout} seconds")
    return "" if done.returncode == 0 else _certbot.explain_failure(step, source, f"{done.stdout}\n{done.stderr}")


def main() -> None:
    certificate = {
        "name": {"type": "str", "required": True},
        "domains": {"type": "list", "elements": "str", "required": True},
    }
    module = AnsibleModule(
        argument_spec={
            "certificates": {"type": "list", "elements": "dict", "required": True, "options": certificate},
            "directory_url": {"type": "str", "default": "https://acme-v02.api.letsencrypt.org/directory"},
            "ca_file": {"type": "path"},
            "email": {"type": "str", "default": ""},
            "webroot": {"type": "path", "default": "/var/lib/quayside/acme"},
            "timeout": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    webroot = Path(module.params["webroot"])
    source = _certbot.Source(module.params["directory_url"], str(webroot), module.params["email"])
    try:
        certificates = _certbot.parse_certificates(module.params["certificates"])
    except _certbot.CertificateError as error:
        module.fail_json(msg=str(error))
    found = {wanted.name: read_lineage(module, wanted.name) for wanted in certificates}
    lineages = {name: lineage for name, lineage in found.items() if lineage is not None}
    steps = _certbot.make_plan(certificates, lineages, source, time.time())
    certbot = module.get_bin_path("certbot")
    result = {
        "changed": bool(steps) or not webroot.is_dir(),
        "steps": [{"name": s.certificate.name, "action": s.action, "reasons": list(s.reasons)} for s in steps],
        "installed": certbot is not None,
        "diff": _certbot.describe(certificates, lineages, source) if steps else {},
    }
    if result["changed"] and not module.check_mode:
        webroot.mkdir(mode=0o755, parents=True, exist_ok=True)
        if steps and certbot is None:
            module.fail_json(msg="certbot is not installed on this host; install the package certbot first.", **result)
        failures = [sentence for step in steps if (sentence := run_certbot(module, str(certbot), step, source))]
        if failures:
            module.fail_json(msg=" ".join(failures), **{**result, "changed": len(failures) < len(steps)})
    module.exit_json(**result)


if __name__ == "__main__":
    main()
