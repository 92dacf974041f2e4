#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Pull an image if the registry has another one than the host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_pull
short_description: Pull a container image when the registry's differs from the host's
version_added: "0.1.0"
author: ["The quayside.web authors (@quayside)"]
description:
  - Asks the registry for the digest behind a tag first, so that a run with nothing to do transfers nothing, and check
    mode tells the truth. The image is then pulled by that digest.
  - An image that does not exist, or not for this host's architecture, a refused login or a disk without room fails
    before anything is transferred.
  - Where the registry does not answer but the host has the image under this reference, it warns and goes on.
  - Without O(username), logins are those of C(docker login) on the host.
requirements:
  - docker (Python package, C(python3-docker) in Debian)
seealso:
  - module: community.docker.docker_image_pull
attributes:
  check_mode: {support: full, description: Asks the registry and pulls nothing.}
  diff_mode: {support: full, description: Shows the digests before and after.}
options:
  name:
    description: The image's reference, with a tag or a digest.
    type: str
    required: true
  wait:
    description:
      - Whether to wait until the image is there. With V(false) the pull goes on after the module has ended, while the
        play does other things; a later call joins it, and tells whether it worked.
    type: bool
    default: true
  username:
    description:
      - The user to log in to the registry as, for this pull alone.
      - The login goes to the Docker engine with the request. It is written to no file of the host and shown nowhere.
    type: str
  password:
    description: The user's password or token.
    type: str
  retries:
    description:
      - How often to try again where the network fails, after 1, 2, 4 and so on up to 10 seconds. A registry that
        refuses, or has no such image, is believed at once.
      - Where the transfer itself breaks off, the engine tries again five times within 50 seconds; that is not repeated.
    type: int
    default: 3
  min_free:
    description:
      - What must be free on the file system where Docker keeps images before a pull, such as V(512m) or V(1g). Twice
        the size of the largest image of the same repository on the host must be free too, and 20,000 inodes.
    type: str
    default: 1g
"""

EXAMPLES = r"""
- name: Pull the ledger
  quayside.web.image_pull:
    name: registry.example.com/ledger:1.4.2

- name: Pull it with a login that stays on the controller
  quayside.web.image_pull:
    name: registry.example.com/ledger:1.4.2
    username: deploy
    password: "{{ vault_registry_password }}"
    min_free: 3g
"""

RETURN = r"""
id:
  description: The id of the image on the host; empty if it is not there yet.
  type: str
  returned: success
digest:
  description: The digest that the reference stands for.
  type: str
  returned: success
  sample: sha256:4bcff63911fcb4448bd4fdacec207030997caf25e9bea4045fa6c8c44de311d1
"""

import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.quayside.web.plugins.module_utils._image_pull import fetch
from ansible_collections.quayside.web.plugins.module_utils._preflight import size_bytes
from ansible_collections.quayside.web.plugins.module_utils._registry import DOCKER_ERROR, NoEngine, client
from ansible_collections.quayside.web.plugins.module_utils._registry_answer import ImageError


def run(module: AnsibleModule, api: Any) -> dict[str, Any]:
    """Read, plan, and unless this is a check, apply."""
    params = module.params
    if not re.fullmatch("[0-9]+[kmg]", params["min_free"]):
        raise ImageError(f'min_free is "{params["min_free"]}"; accepted: a size such as 512m or 1g.')
    if params["retries"] < 0:
        raise ImageError(f"retries is {params['retries']}; accepted: 0 or more.")
    login = {"username": params["username"], "password": params["password"]} if params["username"] else None
    fetched = fetch(
        api,
        params["name"],
        auth=login,
        wait=params["wait"],
        check=module.check_mode,
        retries=params["retries"],
        min_free_bytes=size_bytes(params["min_free"]),
        notify=module.warn,
    )
    before, after = f"{fetched.before_digest or 'none'}\n", f"{fetched.digest}\n"
    return {
        "changed": fetched.changed,
        "id": fetched.id,
        "digest": fetched.digest,
        "diff": {"before": before, "after": after} if fetched.changed else {},
    }


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "wait": {"type": "bool", "default": True},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "retries": {"type": "int", "default": 3},
            "min_free": {"type": "str", "default": "1g"},
        },
        required_together=[("username", "password")],
        supports_check_mode=True,
    )
    if DOCKER_ERROR and not module.check_mode:
        module.fail_json(msg=missing_required_lib("docker"), exception=DOCKER_ERROR)
    try:
        module.exit_json(**run(module, client()))
    except NoEngine as error:
        if not module.check_mode:
            module.fail_json(msg=str(error))
        module.exit_json(
            changed=True, id="", digest="", msg="Docker is not on this host yet: the image would be pulled."
        )
    except ImageError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
