#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Make one release of an app the live one on this host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: app_release
short_description: Make a release of an app live without dropping a request
version_added: "0.1.0"
author: ["The quayside.web authors (@quayside)"]
description:
  - The whole deploy of an app on one host in one process. It gets the image, dumps and migrates the database, starts
    the release in the idle one of two slots (blue and green), waits until it is healthy, moves the traffic by a flag
    file that nginx looks at for each request, verifies through the public site, watches errors and latency, replaces
    workers and jobs, drains the old slot by counting its connections, stops it, and prunes.
  - What is live is read from the flag and the running containers. The same image and settings again change nothing.
  - A failure before the traffic has moved leaves the old release untouched, one after it moves the traffic back.
  - It goes on when the controller or the connection dies. When its own process is killed, a second one undoes what was
    begun or, where the traffic has moved already, finishes it. After the death of both the next run does that first.
  - Only one deploy of an app runs at a time. The lock is a lease with owner, start and expiry; the kernel gives it back
    when its owner dies, and a run that has outlived its own timeouts loses it.
  - The upstreams in nginx's site of the app list as many replicas as the release has, before it gets the traffic. Where
    their number changes nginx is reloaded, and the old one's stay until it has finished its work.
  - While a release replaces another, a probe asks the public site ten times a second; RV(proof) tells what it saw.
requirements:
  - docker (Python package, C(python3-docker) in Debian)
  - requests (Python package, C(python3-requests) in Debian)
  - psycopg2 (Python package, C(python3-psycopg2) in Debian), for O(database_url)
seealso:
  - module: quayside.web.db_migrate
  - module: quayside.web.image_pull
  - module: quayside.web.health_wait
attributes:
  check_mode: {support: full, description: Reports the plan and changes nothing.}
  diff_mode:
    support: full
    description: Shows the settings of both releases, secrets by name only, slots, pending migrations, and images that
      would be pruned.
options:
  name:
    description: The name of the app.
    type: str
    required: true
  app:
    description:
      - The app in normal form without its secrets, as P(quayside.web.app_public#filter) gives it.
      - Required unless O(release) is given.
    type: dict
  secrets:
    description: Secret environment variables, as P(quayside.web.app_secrets#filter) gives them.
    type: dict
    default: {}
  database_url:
    description:
      - The direct URL of the app's database, to migrate it. Without it nothing is migrated.
      - With O(release) nothing is migrated either; the schema is compared with the one that the release came with.
    type: str
  registry:
    description: The login for the image's registry. It is sent with the request and written nowhere.
    type: dict
    suboptions:
      username:
        description: The user's name.
        type: str
        required: true
      password:
        description: The password or token.
        type: str
        required: true
  slot_port:
    description:
      - The first loopback port of the app's block, as M(quayside.web.app_ports) assigns it.
      - By default the one that is recorded on the host.
    type: int
  release:
    description:
      - Go back to a recorded release, with its image, settings and secrets, instead of O(app).
      - Either the id of one, or V(previous), the last that was live before the live one.
    type: str
  allow_schema_ahead:
    description: Go back to a release although the database has another schema by now than it was brought out with.
    type: bool
    default: false
  verify_port:
    description:
      - The port on loopback where nginx serves the app's first domain over HTTPS, asked after the traffic has moved.
      - V(0) where there is no nginx in front. Then there is no probe and no watch either.
    type: int
    default: 443
  keep_releases:
    description: How many releases that have been live are kept beside the live one, with their images.
    type: int
    default: 3
  min_free:
    description: Space that must be free where Docker keeps its images before one is pulled, such as V(500m) or V(2g).
    type: str
    default: 1g
  backup_root:
    description: The backup repository that takes the dump before a migration. Without it no dump is taken.
    type: path
  lock_wait:
    description: Seconds to wait for another deploy of the app to end.
    type: int
    default: 0
  by:
    description: Who does this, for the lock and for the record.
    type: str
    default: ""
  reason:
    description: Why this is done, for the record.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Make the ledger live
  quayside.web.app_release:
    name: ledger
    app: "{{ ledger | quayside.web.app_public }}"
    secrets: "{{ ledger | quayside.web.app_secrets }}"
    database_url: "{{ ledger.database_url }}"
    slot_port: 21000

- name: Go back to the release before
  quayside.web.app_release:
    name: ledger
    release: previous
"""

RETURN = r"""
msg:
  description: What was done, in a sentence.
  type: str
  returned: always
  sample: 'app "ledger": release 20261121T030000Z-1f2e3d4c is live in slot green, 0 of 53 requests failed, p99 12 ms.'
release:
  description: The id of the release that is live, or would be.
  type: str
  returned: success
  sample: 20261121T030000Z-1f2e3d4c
previous:
  description: The id of the release that was live before; empty if none was.
  type: str
  returned: success
slot:
  description: The slot that is live.
  type: str
  returned: success
  sample: green
image_id:
  description: The id of the image that is live.
  type: str
  returned: success
steps:
  description: How many seconds each step took.
  type: dict
  returned: always
  sample: {image: 0.3, migrate: 0.6, start: 0.2, gate: 1.4, verify: 0.02, watch: 5.0, drain: 0.1, stop: 0.4}
proof:
  description: What the probe saw through the public site; empty where no release was replaced.
  type: dict
  returned: success
  sample: {requests: 53, failed: 0, p50_ms: 4.1, p99_ms: 12.0, max_ms: 12.4, first_failure: ""}
migration:
  description: What M(quayside.web.db_migrate) returns; empty where nothing was to be migrated.
  type: dict
  returned: always
pruned:
  description: The ids of the images that were removed.
  type: list
  elements: str
  returned: success
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.formatters import human_to_bytes
from ansible_collections.quayside.web.plugins.module_utils._no_log import let_short_values_show
from ansible_collections.quayside.web.plugins.module_utils._release_deploy import Deploy
from ansible_collections.quayside.web.plugins.module_utils._release_host import EXPECTED, open_host
from ansible_collections.quayside.web.plugins.module_utils._release_lock import Locked
from ansible_collections.quayside.web.plugins.module_utils._release_request import Request
from ansible_collections.quayside.web.plugins.module_utils._release_run import run
from ansible_collections.quayside.web.plugins.module_utils._release_steps import Steps

_OWN = ("lock_wait", "min_free", "verify_port")


def request_of(params: dict[str, Any]) -> Request:
    """Return what the options ask for.

    Raises:
        ValueError: min_free is no size.
    """
    given = {key: value for key, value in params.items() if key not in _OWN}
    return Request(**given, verify_port=params["verify_port"] or None, min_free=human_to_bytes(params["min_free"]))


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "app": {"type": "dict"},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "database_url": {"type": "str", "no_log": True},
            "registry": {
                "type": "dict",
                "options": {
                    "username": {"type": "str", "required": True},
                    "password": {"type": "str", "required": True, "no_log": True},
                },
            },
            "slot_port": {"type": "int"},
            "release": {"type": "str"},
            "allow_schema_ahead": {"type": "bool", "default": False},
            "verify_port": {"type": "int", "default": 443},
            "keep_releases": {"type": "int", "default": 3},
            "min_free": {"type": "str", "default": "1g"},
            "backup_root": {"type": "path"},
            "lock_wait": {"type": "int", "default": 0},
            "by": {"type": "str", "default": ""},
            "reason": {"type": "str", "default": ""},
        },
        required_one_of=[("app", "release")],
        mutually_exclusive=[("app", "release")],
        supports_check_mode=True,
    )
    let_short_values_show(module)
    host = open_host(module.params["name"], module.warn)
    if host is None:
        if module.check_mode:
            module.exit_json(changed=True, msg="Docker is not on this host yet: the first release would start.")
        module.fail_json(msg="Docker does not answer on this host, or python3-docker is missing; run the docker role.")
        return
    try:
        request = request_of(module.params)
        if module.check_mode:
            module.exit_json(**Deploy(host, request, Steps(), check=True).run())
        result = run(request, lock_wait=module.params["lock_wait"], notify=module.warn)
    except EXPECTED as error:
        module.fail_json(msg=str(error))
        return
    except (Locked, ValueError) as error:
        module.fail_json(msg=str(error))
        return
    for note in result.pop("notes"):
        module.warn(note)
    if result.pop("failed", False):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
