#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Ansible module nginx_passwords."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: nginx_passwords
short_description: Keeps the password files of sites that nginx guards
version_added: "0.1.0"
description:
  - Writes one file of users and SHA-512 hashes for each site, readable by root and by nginx alone, and removes the
    files of sites that are not in O(sites).
  - Passwords are hashed on the host by C(openssl passwd), which reads them from a pipe. They are in no argument list,
    diff or result. A hash that is of the same password stays as it is.
  - nginx reads the files on each request, so that nothing has to be reloaded.
requirements: [openssl]
options:
  sites:
    description: Of each site, by its name, the passwords by the users' names.
    type: dict
    required: true
  path:
    description: The folder of the files. It belongs to this module alone.
    type: path
    default: /etc/nginx/quayside-passwords
  group:
    description: The group of nginx's worker processes.
    type: str
    default: www-data
attributes:
  check_mode:
    description: Says which users' lines would change.
    support: full
  diff_mode:
    description: Returns no diff, for it would show hashes.
    support: none
author:
  - The quayside.web authors (@quayside)
"""

EXAMPLES = r"""
- name: Ask for a password at the staging site
  quayside.web.nginx_passwords:
    sites:
      shop:
        visitor: "{{ vault_visitor_password }}"
"""

RETURN = r"""
users:
  description: The users whose lines are new, changed or gone, by site.
  returned: success
  type: dict
  sample: {shop: [visitor]}
"""

import grp
import os
import re
import secrets
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.quayside.web.plugins.module_utils._files import write_atomically
from ansible_collections.quayside.web.plugins.module_utils._htpasswd import changes, file_text

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


class PasswordError(Exception):
    """What went wrong, in one sentence."""


def checked(sites: dict[str, object]) -> dict[str, dict[str, str]]:
    for site, users in sites.items():
        if not NAME.fullmatch(site) or not isinstance(users, dict) or not users:
            raise PasswordError(f'site "{site}": accepted: a site\'s name with a mapping of users to passwords.')
        for user, password in users.items():
            if not re.fullmatch(r"[^:\s\0]{1,64}", str(user)) or not re.fullmatch(r"[^\0-\x1f]{1,200}", str(password)):
                raise PasswordError(
                    f'site "{site}", user "{user}": accepted: a name without colons and blanks, and a password on one '
                    "line."
                )
    return {site: {str(k): str(v) for k, v in dict(users).items()} for site, users in sites.items()}  # type: ignore[call-overload]


def hashed(module: AnsibleModule, password: str, salt: str) -> str:
    openssl = module.get_bin_path("openssl", required=True)
    command = [openssl, "passwd", "-6", "-salt", salt, "-stdin"]
    code, out, err = module.run_command(command, data=password, check_rc=False)
    if code:
        raise PasswordError(f"openssl passwd: {err.strip()}")
    return str(out).strip()


def write(folder: Path, group: int, before: dict[str, str], after: dict[str, str]) -> None:
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    os.chown(folder, 0, group)
    folder.chmod(0o750)
    for site, text in after.items():
        path = folder / site
        if before.get(site) != text:
            write_atomically(path, text)
        os.chown(path, 0, group)
        path.chmod(0o640)
    for site in set(before) - set(after):
        (folder / site).unlink()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sites": {"type": "dict", "required": True, "no_log": True},
            "path": {"type": "path", "default": "/etc/nginx/quayside-passwords"},
            "group": {"type": "str", "default": "www-data"},
        },
        supports_check_mode=True,
    )
    folder = Path(module.params["path"])
    try:
        sites = checked(module.params["sites"])
        found = {path.name: path for path in folder.glob("*") if path.is_file() and NAME.fullmatch(path.name)}
        before = {name: path.read_text(encoding="utf-8", errors="replace") for name, path in found.items()}
        after = {
            site: file_text(
                before.get(site, ""), users, lambda word, salt: hashed(module, word, salt), lambda: secrets.token_hex(8)
            )
            for site, users in sites.items()
        }
        changed = changes(before, after)
        if not module.check_mode and (after or before):
            write(folder, grp.getgrnam(module.params["group"]).gr_gid, before, after)
    except KeyError:
        module.fail_json(msg=f"nginx_passwords: there is no group {module.params['group']} on this host")
    except (PasswordError, OSError) as error:
        module.fail_json(msg=f"nginx_passwords: {error}")
    module.exit_json(changed=bool(changed), users=changed)


if __name__ == "__main__":
    main()
