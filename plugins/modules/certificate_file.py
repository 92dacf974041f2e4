#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Ansible module certificate_file."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: certificate_file
short_description: Keeps certificates that were brought along, or that the host signs itself
version_added: "0.1.0"
description:
  - Writes C(NAME/fullchain.pem) and C(NAME/privkey.pem) below O(path), where C(privkey.pem) is root's alone.
  - A certificate that was brought is checked before anything is written. It must be for all its domains, not be over,
    and fit its key.
  - One that the host signs itself is made anew when its names change, and 30 days before its end.
requirements: [openssl]
options:
  certificates:
    description: The certificates. Others in the folder stay.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The name of the certificate and of its folder.
        type: str
        required: true
      domains:
        description: The names that it must be for.
        type: list
        elements: str
        required: true
      certificate:
        description: The certificate followed by its chain, in PEM. Without it the host signs one itself.
        type: str
      key:
        description: The key of the certificate, in PEM, without a passphrase.
        type: str
  path:
    description: The folder of the certificates.
    type: path
    default: /etc/quayside-certificates
  days:
    description: How long a certificate that the host signs itself is good for.
    type: int
    default: 365
attributes:
  check_mode:
    description: Says which certificates would be written. What was brought is checked too.
    support: full
  diff_mode:
    description: Returns no diff, for it would show keys.
    support: none
author:
  - The quayside.web authors (@quayside)
"""

EXAMPLES = r"""
- name: Serve a closed network with a certificate of the host's own
  quayside.web.certificate_file:
    certificates:
      - name: intranet
        domains: [intranet.example.lan]
"""

RETURN = r"""
written:
  description: The certificates that are new or changed.
  returned: success
  type: list
  elements: str
  sample: [intranet]
"""

import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils._certbot_wanted import CertificateError, parse_certificates
from ansible_collections.quayside.web.plugins.module_utils._files import write_atomically
from ansible_collections.quayside.web.plugins.module_utils._own_certificate import Facts, facts_of, fault_of, is_due

X509 = ["x509", "-noout", "-ext", "subjectAltName", "-enddate", "-pubkey"]
P256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Host:
    """openssl and the folder of the certificates on this host."""

    def __init__(self, module: AnsibleModule) -> None:
        self._run, self._openssl = module.run_command, module.get_bin_path("openssl", required=True)
        self._root, self._days, self._temporary = Path(module.params["path"]), module.params["days"], module.tmpdir

    def facts(self, certificate: str, key: str) -> Facts | None:
        x509 = self._run([self._openssl, *X509], data=certificate, environ_update={"LC_ALL": "C"})[1]
        return facts_of(x509, self._run([self._openssl, "pkey", "-pubout"], data=key)[1])

    def read(self, name: str) -> tuple[str, str]:
        files = [self._root / name / file for file in ("fullchain.pem", "privkey.pem")]
        certificate, key = (file.read_text(encoding="utf-8") if file.exists() else "" for file in files)
        return certificate, key

    def signed(self, domains: list[str]) -> tuple[str, str]:
        key, certificate = (Path(self._temporary) / file for file in ("own-key.pem", "own-certificate.pem"))
        names = ",".join(f"DNS:{domain}" for domain in domains)
        command = [self._openssl, "req", "-x509", *P256, "-days", str(self._days), "-subj", "/CN=quayside"]
        command += ["-addext", f"subjectAltName={names}", "-keyout", str(key), "-out", str(certificate)]
        code, _out, err = self._run(command, umask=0o077)
        if code:
            raise CertificateError(f"openssl req: {' '.join(err.split())}")
        return certificate.read_text(encoding="ascii"), key.read_text(encoding="ascii")

    def write(self, name: str, certificate: str, key: str) -> None:
        folder = self._root / name
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        write_atomically(folder / "privkey.pem", key)
        write_atomically(folder / "fullchain.pem", certificate, 0o644)


def wanted(host: Host, item: dict[str, Any], now: float) -> tuple[str, str] | None:
    """The certificate and the key to be written, or None where what is there is right."""
    if bool(item["certificate"]) != bool(item["key"]):
        missing = "key" if item["certificate"] else "certificate"
        raise CertificateError(f"Certificate '{item['name']}' comes without its {missing}; give both, or neither.")
    there = host.read(item["name"])
    if not item["certificate"]:
        return host.signed(item["domains"]) if is_due(item["domains"], host.facts(*there), now) else None
    given = (item["certificate"].strip() + "\n", item["key"].strip() + "\n")
    fault = fault_of(item["name"], item["domains"], host.facts(*given), now)
    if fault:
        raise CertificateError(fault)
    return given if given != there else None


def main() -> None:
    certificate = {
        "name": {"type": "str", "required": True},
        "domains": {"type": "list", "elements": "str", "required": True},
        "certificate": {"type": "str"},
        "key": {"type": "str", "no_log": True},
    }
    module = AnsibleModule(
        argument_spec={
            "certificates": {"type": "list", "elements": "dict", "required": True, "options": certificate},
            "path": {"type": "path", "default": "/etc/quayside-certificates"},
            "days": {"type": "int", "default": 365},
        },
        supports_check_mode=True,
    )
    try:
        host, now = Host(module), time.time()
        parse_certificates(module.params["certificates"])
        # All of them are judged before the first is written.
        found = {item["name"]: wanted(host, item, now) for item in module.params["certificates"]}
        changed = {name: pair for name, pair in found.items() if pair is not None}
        for name, pair in ({} if module.check_mode else changed).items():
            host.write(name, *pair)
    except (CertificateError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changed), written=sorted(changed))


if __name__ == "__main__":
    main()
