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
    in its names, its ACME server, its proof, its type of key or its profile. Renewal is left to certbot's own timer.
  - The names are proved over HTTP by files below O(webroot), or over DNS by one of certbot's packaged plugins.
  - Before the ACME server is asked, each name is looked up and asked for a token of our own, and what is wrong is said
    in one sentence for each name.
  - A certificate that fails does not keep the others from being issued. It is not asked for again within an hour,
    unless O(retry), so that the limits of the ACME server are kept.
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
    description: The certificates. Others that certbot has stay as they are, unless O(unlisted) says otherwise.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Certbot's name of the certificate, which is the name of its folder below C(/etc/letsencrypt/live).
        type: str
        required: true
      domains:
        description: The names that the certificate is for. Wildcards need O(certificates[].dns).
        type: list
        elements: str
        required: true
      dns:
        description: The plugin of certbot, as in V(cloudflare), that proves the names over DNS. Over HTTP if empty.
        type: str
        default: ""
  directory_url:
    description: The directory of the ACME server; V(production) and V(staging) are those of Let's Encrypt.
    type: str
    default: https://acme-v02.api.letsencrypt.org/directory
  ca_file:
    description: A file on the host with the CA of the ACME server's own certificate; the system's CAs if empty.
    type: path
  email:
    description: The account's e-mail address; an account without one if empty.
    type: str
    default: ""
  eab:
    description: The external account that some certificate authorities ask for.
    type: dict
    suboptions:
      kid:
        description: The id of its key.
        type: str
        required: true
      hmac_key:
        description: The key, in base64url.
        type: str
        required: true
  key_type:
    description: The type of the certificates' keys. ECDSA keys are P-256.
    type: str
    choices: [ecdsa, rsa]
    default: ecdsa
  profile:
    description: The profile to prefer, as in V(tlsserver). Needs certbot 4.0; an older one warns and does without.
    type: str
    default: ""
  dns:
    description:
      - For each plugin that O(certificates) names, C(credentials) as a dictionary, and as wanted C(propagation) in
        seconds (60).
      - Kept below C(/etc/letsencrypt/quayside-dns), where only root reads them.
    type: dict
    default: {}
  webroot:
    description: The folder from which C(/.well-known/acme-challenge/) is served on port 80. It is created if missing.
    type: path
    default: /var/lib/quayside/acme
  preflight:
    description: Look each name up and ask for a token of our own before the ACME server is asked.
    type: bool
    default: true
  addresses:
    description: More addresses that lead to this host, such as that of a router in front of it.
    type: list
    elements: str
    default: []
  nameservers:
    description: The name servers that O(preflight) asks, by address; those of the host if empty.
    type: list
    elements: str
    default: []
  unlisted:
    description: What happens to certificates that were issued here and are no longer in O(certificates). One that
      nginx's files still name stays until the next run.
    type: str
    choices: [keep, delete, revoke]
    default: keep
  retry:
    description: Ask again also within an hour after a failure.
    type: bool
    default: false
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

- name: Have a wildcard certificate
  quayside.web.certbot_certificate:
    certificates:
      - name: tenants
        domains: [tenants.example.org, "*.tenants.example.org"]
        dns: cloudflare
    dns:
      cloudflare:
        credentials: {dns_cloudflare_api_token: "{{ vault_cloudflare_token }}"}
        propagation: 30
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
      description: V(issue), V(reissue), V(delete) or V(revoke).
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

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils import _certbot, _certbot_host, _certbot_record
from ansible_collections.quayside.web.plugins.module_utils._certbot_run import Asked, Certbot, preflight_faults
from ansible_collections.quayside.web.plugins.module_utils._certbot_wanted import (
    CertificateError,
    check_dns,
    parse_certificates,
)
from ansible_collections.quayside.web.plugins.module_utils._no_log import let_short_values_show

STRINGS = {"type": "list", "elements": "str", "default": []}
CERTIFICATE = {
    "name": {"type": "str", "required": True},
    "domains": {"type": "list", "elements": "str", "required": True},
    "dns": {"type": "str", "default": ""},
}
EAB = {"kid": {"type": "str", "required": True}, "hmac_key": {"type": "str", "required": True, "no_log": True}}
ARGUMENTS = {
    "certificates": {"type": "list", "elements": "dict", "required": True, "options": CERTIFICATE},
    "directory_url": {"type": "str", "default": "https://acme-v02.api.letsencrypt.org/directory"},
    "ca_file": {"type": "path"},
    "email": {"type": "str", "default": ""},
    "eab": {"type": "dict", "options": EAB},
    "key_type": {"type": "str", "choices": ["ecdsa", "rsa"], "default": "ecdsa"},
    "profile": {"type": "str", "default": ""},
    "dns": {"type": "dict", "default": {}, "no_log": True},
    "webroot": {"type": "path", "default": "/var/lib/quayside/acme"},
    "preflight": {"type": "bool", "default": True},
    "addresses": STRINGS,
    "nameservers": STRINGS,
    "unlisted": {"type": "str", "choices": ["keep", "delete", "revoke"], "default": "keep"},
    "retry": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 180},
}


def source_of(module: AnsibleModule, certbot: Certbot) -> _certbot.Source:
    params = module.params
    url = _certbot.LETS_ENCRYPT.get(params["directory_url"], params["directory_url"])
    profile = params["profile"]
    # Asked only where it matters: certbot takes most of a second to say who it is.
    version = certbot.version() if profile else None
    if version is not None and version < _certbot.PROFILES_SINCE:
        module.warn(f"certbot {'.'.join(map(str, version))} knows no profiles: '{profile}' is asked for from 4.0 on")
        profile = ""
    account = json.dumps(params["eab"] or {}, sort_keys=True)
    return _certbot.Source(url, params["webroot"], params["email"], params["key_type"], profile, account)


def apply(module: AnsibleModule, certbot: Certbot, source: _certbot.Source, steps: list[_certbot.Step]) -> list[str]:
    """Ask for each certificate that can be proved; the sentences of those that failed."""
    params, record, now = module.params, _certbot_host.read_record(), time.time()
    waiting = {} if params["retry"] else {step: _certbot_record.held_back(record, step, source, now) for step in steps}
    failures = [sentence for sentence in waiting.values() if sentence]
    ready = [step for step in steps if not waiting.get(step)]
    faults = {}
    if params["preflight"] and ready:
        asked = Asked(params["addresses"], params["nameservers"], params["ca_file"])
        faults = preflight_faults(ready, source, asked, certbot.run)
    dns = {
        name: (str(_certbot_host.write_credentials(name, entry["credentials"])[0]), int(entry.get("propagation", 60)))
        for name, entry in params["dns"].items()
    }
    with _certbot_host.secrets_file(params["eab"]) as secrets_file:
        full = dataclasses.replace(source, secrets_file=secrets_file, dns=dns)
        for step in ready:
            if step in faults:
                failures.append(faults[step])
                continue
            record, sentence = certbot.ask(step, full, record)
            failures += [sentence] if sentence else []
    return failures


def ensure(module: AnsibleModule) -> dict[str, Any]:
    params, run = module.params, module.run_command
    webroot, certbot = Path(params["webroot"]), Certbot(module.get_bin_path("certbot"), params, run)
    certificates = parse_certificates(params["certificates"])
    check_dns(certificates, params["dns"])
    source = source_of(module, certbot)
    found, record = _certbot_host.lineages(run), _certbot_host.read_record()
    steps = list(_certbot.make_plan(certificates, found, source, time.time()))
    names = [certificate.name for certificate in certificates]
    gone = _certbot_record.given_up(record, names, found) if params["unlisted"] != "keep" else []
    used = {name: files for name in gone if (files := _certbot_host.users_of(name))}
    gone = [name for name in gone if name not in used]
    for name, files in used.items():
        module.warn(f"certificate '{name}' is no longer declared and stays as long as {files[0]} names it")
    told = [{"name": s.certificate.name, "action": s.action, "reasons": list(s.reasons)} for s in steps]
    told += [{"name": name, "action": params["unlisted"], "reasons": ["is no longer declared"]} for name in gone]
    result = {
        "changed": bool(told) or not webroot.is_dir(),
        "steps": told,
        "installed": certbot.path is not None,
        "diff": _certbot.describe(certificates, found, source) if steps else {},
    }
    if module.check_mode:
        return result
    webroot.mkdir(mode=0o755, parents=True, exist_ok=True)
    if told and certbot.path is None:
        raise CertificateError("certbot is not installed on this host; install the package certbot first.")
    failures = apply(module, certbot, source, steps) if steps else []
    failures += [sentence for name in gone if (sentence := certbot.give_up(name, found[name], params["unlisted"]))]
    known = _certbot_host.read_record()
    ours = dataclasses.replace(known, issued=known.issued | (set(names) & _certbot_host.names()))
    if ours != known:
        _certbot_host.write_record(ours)
    if failures:
        module.fail_json(msg=" ".join(failures), **{**result, "changed": len(failures) < len(told)})
    return result


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    let_short_values_show(module)
    try:
        module.exit_json(**ensure(module))
    except (CertificateError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
